//! Files of a repository that are not what they should be.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::support::{REFPOST, Received, Runner, Site, ZEROS, only_git_opens, parse_bodies};

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

/// Whoever announces may read what whoever made the link may not.
#[test]
fn a_link_in_the_place_of_a_description_sent_what_it_led_to() {
    let site = Site::new();
    let secret = site.write("secret", "a secret of the server's\n");
    let cgitrc = site.write("cgitrc", "desc=another secret\nsection=a third\n");
    for (name, target) in [("description", &secret), ("cgitrc", &cgitrc)] {
        let file = site.bare.join(name);
        fs::remove_file(&file).ok();
        symlink(target, file).unwrap();
    }
    site.commit("a");
    let push = site.push(&["main"]);
    let body = push.messages[0]["repo"].to_string();
    assert!(
        !body.contains("secret") && !body.contains("third"),
        "{body}"
    );
}

#[test]
fn a_link_in_the_place_of_a_configuration_was_followed() {
    let site = Site::new();
    let file = site.bare.join("refpost.toml");
    let away = site.path("away.toml");
    fs::rename(&file, &away).unwrap();
    symlink(&away, &file).unwrap();
    site.commit("a");
    let push = site.try_push(&["origin", "main"]);
    assert_eq!(push.status, 0);
    assert!(
        push.said.contains("it is a symbolic link: recorded"),
        "{}",
        push.said
    );
    assert!(
        push.said.contains("hint: put the file itself there"),
        "{}",
        push.said
    );
    fs::rename(&away, &file).unwrap();
    site.refpost(["flush", "test.git"]).run();
    assert_eq!(site.receiver.wait_for(2).len(), 2);
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
        let preview = timed(&site, &["preview", "test.git"]);
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
    let preview = timed(&site, &["preview", "test.git"]);
    preview.stdin(&line).run().well();
}

/// It was taken for no edge at all, and all that is behind it was told as new.
#[test]
fn a_shallow_file_that_git_refuses_had_no_edge() {
    let site = Site::new();
    let ids = ["a", "b", "c"].map(|file| site.commit(file));
    site.push(&["main"]);
    // No branch is the default one, so that a new one lists all that it has.
    site.head("ref: refs/heads/none");
    let shallow = site.bare.join("shallow");
    let hook = || site.refpost(["hook", "post-receive"]).dir(&site.bare);
    let line = format!("{ZEROS} {} refs/heads/other\n", ids[2]);
    for bad in [&b"garbage"[..], b"", b"\xff\xfe", b"1111"] {
        fs::write(&shallow, [ids[1].as_bytes(), b"\n", bad, b"\n"].concat()).unwrap();
        let list = site.run("git").dir(&site.bare).args(["rev-list", "main"]);
        assert_eq!(list.run().status, 128);
        let said = hook().stdin(&line).run().stderr;
        let why = "/shallow`: line 2 begins with no id: recorded, to be announced";
        assert!(said.contains(why), "{said}");
    }
    // A file of zeros that takes no place on the disk, and none in memory.
    fs::File::create(&shallow)
        .unwrap()
        .set_len(700 << 20)
        .unwrap();
    let said = hook().stdin(&line).run().stderr;
    let why = "/shallow` is larger than 64 MiB: recorded, to be announced";
    assert!(said.contains(why), "{said}");
    assert!(site.receiver.take().is_empty());
    fs::write(&shallow, format!("{}\n", ids[1])).unwrap();
    site.refpost(["flush", "test.git"]).run().well();
    let arrived = site.receiver.take();
    // A new branch is two messages.
    assert_eq!(arrived.len(), 10);
    assert!(arrived.iter().all(|it| it.message()["total_commits"] != 3));
}

/// libgit2 and git wait at a FIFO, each in its own place: a ref, its log, what HEAD leads to,
/// an object, a pack, an index.
#[test]
fn a_fifo_where_git_keeps_refs_and_objects_keeps_nobody_waiting() {
    for only_git in [false, true] {
        let site = Site::guaranteed();
        let ids = ["a", "b"].map(|file| site.commit(file));
        site.push(&["main"]);
        site.bare_git(&["repack", "-q", "-a", "-d"]);
        let tip = site.commit("c");
        site.push(&["main", "main:refs/heads/other"]);
        let line = format!(
            "{} {tip} refs/heads/main\n{ZEROS} {tip} refs/heads/new\n",
            ids[0]
        );
        let pack = site.bare.join("objects/pack");
        let in_pack = |kind: &str| {
            let mut packs = fs::read_dir(&pack)
                .unwrap()
                .map(|entry| entry.unwrap().path());
            let found = packs.find(|path| path.extension().is_some_and(|it| it == kind));
            found.unwrap()
        };
        let object = format!("objects/{}/{}", &tip[..2], &tip[2..]);
        let files = [
            (site.bare.join("refs/heads/main"), true),
            (site.bare.join(object), true),
            (in_pack("pack"), true),
            (in_pack("idx"), true),
            (pack.join("multi-pack-index"), true),
            (site.bare.join("HEAD"), true),
        ];
        if only_git {
            only_git_opens(&site.bare);
        }
        for (path, is_told) in files {
            let name = path.display();
            let short = path.strip_prefix(&site.bare).unwrap();
            let kept = path.with_extension("kept");
            let was_there = fs::rename(&path, &kept).is_ok();
            fifo(&path);
            let preview = timed(&site, &["preview", "test.git"]);
            let ran = preview.stdin(&line).run();
            assert_ne!(ran.status, 124, "{name}");
            if is_told {
                let said = format!("{}` is no regular file", short.display());
                assert!(ran.stderr.contains(&said), "{name}: {}", ran.stderr);
            }
            let hook = timed(&site, &["hook", "post-receive"]).dir(&site.bare);
            assert_eq!(hook.stdin(&line).run().status, 0, "{name}");
            for args in [["flush"], ["status"], ["check"]] {
                let ran = timed(&site, &args).arg("test.git").run();
                assert_ne!(ran.status, 124, "{args:?}: {name}");
            }
            fs::remove_file(&path).unwrap();
            if was_there {
                fs::rename(&kept, &path).unwrap();
            }
        }
        let ran = timed(&site, &["flush", "test.git"]).run();
        assert_eq!(ran.status, 0, "{}", ran.stderr);
    }
}

/// A flush settles what a killed push has meant, from refs and their logs.
#[test]
fn a_fifo_for_a_ref_or_its_log_keeps_no_flush_waiting() {
    let site = Site::guaranteed();
    site.spooled();
    site.commit("a");
    site.push(&["main"]);
    site.flush();
    site.hook("post-receive", "kill -9 $PPID");
    for name in ["refs/heads/main", "logs/refs/heads/main"] {
        let new = site.commit("b");
        site.try_push(&["origin", "main"]);
        assert_eq!(site.intents().len(), 1);
        // What was before has to be looked for in the log.
        let elsewhere = site.bare_git(&["commit-tree", "main^{tree}", "-m", name]);
        let main = site.bare.join("refs/heads/main");
        fs::write(&main, format!("{elsewhere}\n")).unwrap();
        let path = site.bare.join(name);
        let before = fs::read(&path).ok();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fifo(&path);
        let ran = timed(&site, &["flush", "test.git"]).run();
        assert_ne!(ran.status, 124, "{name}");
        fs::remove_file(&path).unwrap();
        if let Some(before) = before {
            fs::write(&path, before).unwrap();
        }
        site.refpost(["flush", "test.git"]).run();
        let requests = site.receiver.take();
        assert_eq!(requests[0].message()["end_commit"], new, "{name}");
        assert_eq!(site.intents(), [""; 0], "{name}");
        fs::write(&main, format!("{new}\n")).unwrap();
    }
}

/// libgit2 waited without end for what a configuration includes.
#[test]
fn a_fifo_that_a_configuration_includes_keeps_nobody_waiting() {
    let site = Site::new();
    site.commit("a");
    site.push(&["main"]);
    let path = site.path("included");
    fifo(&path);
    site.bare_git(&["config", "include.path", path.to_str().unwrap()]);
    let args = ["100", REFPOST, "preview", "test.git"];
    let ran = site.run("timeout").args(args).run();
    let said = "what its configuration includes cannot be read to its end";
    assert!(ran.stderr.contains(said), "{}: {}", ran.status, ran.stderr);
}

/// A git that says nothing for ever where its arguments are such.
fn with_silent_git(site: &Site, silent: &str, args: &[&str]) -> Runner {
    let git = crate::support::find("git").unwrap();
    let silent = format!("case \"$*\" in {silent}) exec sleep 300;; esac");
    let text = format!("#!/bin/sh\n{silent}\nexec '{}' \"$@\"\n", git.display());
    site.script("bin/git", &text);
    let path = std::env::var_os("PATH").unwrap();
    let folders = [site.path("bin")]
        .into_iter()
        .chain(std::env::split_paths(&path));
    let path = std::env::join_paths(folders).unwrap();
    let run = site.run("timeout").args(["100", REFPOST]).args(args);
    run.env("PATH", path)
}

/// `git config` was waited for without end when it was asked what holds for all repositories.
#[test]
fn a_git_that_does_not_say_what_holds_everywhere_is_given_up() {
    let site = Site::new();
    site.commit("a");
    site.push(&["main"]);
    let root = site.path("");
    let args = ["check", root.to_str().unwrap()];
    let ran = with_silent_git(&site, "\"config --list --null\"", &args).run();
    assert_ne!(ran.status, 124, "{}", ran.stdout);
    assert!(
        ran.stdout.contains("checked 2 repositories"),
        "{}",
        ran.stdout
    );
}

/// Whatever git waits for, it is not waited for without end.
#[test]
fn a_git_that_does_not_answer_is_given_up() {
    let site = Site::new();
    let one = site.commit("a");
    site.push(&["main"]);
    only_git_opens(&site.bare);
    let preview = with_silent_git(&site, "*cat-file*", &["preview", "test.git"]);
    let line = format!("{ZEROS} {one} refs/heads/main\n");
    let ran = preview.stdin(line).run();
    let said = "`git cat-file` does not answer";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    assert_eq!(ran.status, 1);
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
        let preview = site.refpost(["preview", "test.git"]);
        let bodies = parse_bodies(&preview.stdin(text).run().well().bytes);
        assert_eq!(bodies[1]["total_commits"], 1, "{line}");
    }
}
