//! Files of a repository that are not what they should be.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::support::{REFPOST, Received, Runner, Site, ZEROS, parse_bodies};

fn fifo(path: &Path) {
    fs::remove_file(path).ok();
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// A command of refpost's that has so many seconds.
fn timed(site: &Site, args: &[&str]) -> Runner {
    site.run("timeout").args(["20", REFPOST]).args(args)
}

#[test]
fn a_fifo_for_a_description_keeps_no_push_waiting() {
    let site = Site::new();
    let config = site.bare.join("config");
    let config = fs::read_to_string(config).unwrap() + "[gitweb]\n\tdescription = Tools\n";
    site.write("test.git/config", config);
    fifo(&site.bare.join("description"));
    fifo(&site.bare.join("cgitrc"));
    site.commit("a");
    let push = site.run("timeout").dir(&site.work);
    let push = site.push_by(push.args(["20", "git", "push", "origin", "main"]));
    assert_eq!(push.status, 0, "{}", push.said);
    assert_eq!(push.messages[0]["repo"]["description"], "Tools");
}

/// git would wait, too: whoever has its file where it is no file is told so.
#[test]
fn a_fifo_in_a_repository_keeps_no_command_waiting() {
    let site = Site::new();
    let one = site.commit("a");
    site.push(&["main"]);
    let line = format!("{ZEROS} {one} refs/heads/other\n");
    for name in [
        "config",
        "packed-refs",
        "shallow",
        "info/grafts",
        "objects/info/alternates",
    ] {
        let path = site.bare.join(name);
        let before = fs::read(&path).ok();
        fifo(&path);
        let preview = timed(&site, &["preview", "--repo", "test.git"]);
        let ran = preview.stdin(&line).run();
        assert_eq!(ran.status, 1, "{name}: {}", ran.stderr);
        let said = format!("{name}` is no regular file");
        assert!(ran.stderr.contains(&said), "{name}: {}", ran.stderr);
        let ran = timed(&site, &["flush", "test.git"]).run();
        assert_ne!(ran.status, 124, "{name}");
        fs::remove_file(&path).unwrap();
        if let Some(before) = before {
            fs::write(&path, before).unwrap();
        }
    }
    fifo(&site.bare.join("objects/info/commit-graph"));
    let preview = timed(&site, &["preview", "--repo", "test.git"]);
    preview.stdin(&line).run().well();
}

/// What a power failure leaves.
#[test]
fn an_empty_object_beside_a_packed_one_is_read_as_git_reads_it() {
    let site = Site::told_twice();
    site.bare_git(&["config", "receive.unpackLimit", "1000"]);
    let ids = ["a", "b"].map(|file| site.commit(file));
    site.push(&["main"]);
    let objects = site.bare_git(&["rev-list", "--objects", "--all", "--no-object-names"]);
    site.bare_git(&["repack", "-q", "-a"]);
    for id in objects.lines() {
        let path = site.bare.join("objects").join(&id[..2]).join(&id[2..]);
        assert!(path.exists());
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
    }
    let new = site.commit("c");
    let expected = Received {
        branch: "main",
        new: &new,
        without: Some(&ids[1]),
        old_commit: &ids[1],
        from: Some(&ids[1]),
        forced: false,
    };
    site.assert_received(site.push(&["main"]).only(), &expected);
}

/// git's own readers of these lines say where the objects are.
#[test]
fn objects_are_borrowed_however_the_folder_is_written() {
    let site = Site::told_twice();
    let one = site.commit("a");
    site.push(&["main"]);
    site.bare_git(&["repack", "-q", "-a", "-d"]);
    let borrowed = site.path("borrowed\"1");
    fs::create_dir(&borrowed).unwrap();
    let objects = site.bare.join("objects");
    fs::rename(objects.join("pack"), borrowed.join("pack")).unwrap();
    fs::create_dir(objects.join("pack")).unwrap();
    symlink("../../borrowed\"1", objects.join("link")).unwrap();
    let quoted = format!(
        "\"{}\"\n",
        borrowed.display().to_string().replace('"', "\\\"")
    );
    for (at, line) in [quoted.as_str(), "link\n", "./link\n"].iter().enumerate() {
        fs::write(objects.join("info/alternates"), line).unwrap();
        let name = format!("new{at}");
        let push = site.push(&[&format!("main:refs/heads/{name}")]);
        assert_eq!(push.about(), [("git.branch.creation", &*name)], "{line}");
        let text = format!("{ZEROS} {one} refs/heads/main\n");
        let preview = site.refpost(["preview", "--repo", "test.git"]);
        let bodies = parse_bodies(&preview.stdin(text).run().well().bytes);
        assert_eq!(bodies[1]["total_commits"], 1, "{line}");
    }
}
