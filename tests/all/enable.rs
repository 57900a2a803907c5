//! `enable` and `disable`: the hook in its place, and whatever was there before.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::support::{REFPOST, Site, set_mode};

/// A site whose repository has no hook of ours and no others.
pub(crate) fn bare_site() -> Site {
    let site = Site::new();
    fs::remove_dir_all(site.bare.join("hooks")).unwrap();
    fs::create_dir(site.bare.join("hooks")).unwrap();
    site
}
fn enable(site: &Site) -> String {
    site.refpost(["enable", "test.git"]).run().well().stdout
}
fn disable(site: &Site) -> String {
    site.refpost(["disable", "test.git"]).run().well().stdout
}
/// Everything below a folder: mode, and content or target.
pub(crate) fn snapshot(folder: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_symlink() {
                fs::read_link(&path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes()
            } else if metadata.is_dir() {
                folders.push(path.clone());
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            };
            found.insert(path, (metadata.mode(), content));
        }
    }
    found
}
/// A hook that keeps its name and its input.
fn recorder(site: &Site) -> String {
    let record = site.path("record").display().to_string();
    format!("#!/bin/sh\n{{ echo \"${{0##*/}}\"; cat; }} >> {record}\n")
}
#[test]
fn the_hook_is_linked_once_and_a_push_goes_through_it() {
    let site = bare_site();
    let hook = site.bare.join("hooks/post-receive");
    assert_eq!(enable(&site), format!("linked `{}`\n", hook.display()));
    let binary = fs::canonicalize(REFPOST).unwrap();
    assert_eq!(fs::read_link(&hook).unwrap(), binary);
    let before = snapshot(&site.bare);
    assert_eq!(
        enable(&site),
        format!("already linked `{}`\n", hook.display())
    );
    assert_eq!(snapshot(&site.bare), before, "nothing changed");
    site.commit("a");
    assert_eq!(site.push(&["main"]).messages.len(), 2);
    assert_eq!(disable(&site), format!("unlinked `{}`\n", hook.display()));
    assert_eq!(disable(&site), format!("not linked `{}`\n", hook.display()));
    site.commit("b");
    assert!(site.push(&["main"]).messages.is_empty());
}
#[test]
fn several_repositories_are_enabled_at_once() {
    let site = bare_site();
    let other = site.bare("other.git");
    site.refpost(["enable", "test.git", "other.git"]).run();
    for bare in [&site.bare, &other] {
        assert!(bare.join("hooks/post-receive").is_symlink());
    }
    site.refpost(["disable", "test.git", "other.git"])
        .run()
        .well();
    for bare in [&site.bare, &other] {
        assert!(!bare.join("hooks/post-receive").is_symlink());
    }
    let ran = site.refpost(["enable", "nowhere"]).run();
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr
            .starts_with("refpost: cannot open repository `nowhere`: "),
        "{}",
        ran.stderr
    );
}
#[test]
fn a_hook_that_was_there_keeps_running_and_comes_back_as_it_was() {
    let site = bare_site();
    let text = recorder(&site);
    site.script("test.git/hooks/post-receive", &text);
    set_mode(&site.bare.join("hooks/post-receive"), 0o711);
    let before = snapshot(&site.bare.join("hooks"));

    enable(&site);
    let moved = site.bare.join("hooks/post-receive.d/post-receive");
    assert_eq!(fs::read_to_string(&moved).unwrap(), text);
    let enabled = snapshot(&site.bare.join("hooks"));
    enable(&site);
    assert_eq!(
        snapshot(&site.bare.join("hooks")),
        enabled,
        "nothing changed"
    );

    let new = site.commit("a");
    let push = site.push(&["main", "main:refs/heads/b"]);
    assert_eq!(push.messages.len(), 3);
    let record = fs::read_to_string(site.path("record")).unwrap();
    let mut lines = record.lines();
    assert_eq!(
        lines.next(),
        Some("post-receive"),
        "some hooks ask by what name they run"
    );
    let zeros = crate::support::ZEROS;
    for name in ["main", "b"] {
        let line = format!("{zeros} {new} refs/heads/{name}");
        assert!(record.contains(&line), "{record}");
    }
    assert_eq!(lines.count(), 2);

    disable(&site);
    assert_eq!(snapshot(&site.bare.join("hooks")), before);
}
#[test]
fn a_hook_that_fails_is_told_and_costs_no_message() {
    let site = bare_site();
    site.script("test.git/hooks/post-receive", "#!/bin/sh\nexit 3\n");
    enable(&site);
    site.commit("a");
    let push = site.push(&["main"]);
    assert_eq!(push.messages.len(), 2);
    let said = push.remote();
    assert!(
        said.contains(&"refpost: hook `post-receive` exited with status 3"),
        "{said:?}"
    );
}
#[test]
fn further_hooks_in_the_folder_run_in_order() {
    let site = bare_site();
    let record = site.path("record").display().to_string();
    let own = |name: &str| format!("#!/bin/sh\ncat > /dev/null\necho {name} >> {record}\n");
    site.script("test.git/hooks/post-receive", &own("first-hook"));
    enable(&site);
    site.script("test.git/hooks/post-receive.d/10-early", &own("early"));
    site.script("test.git/hooks/post-receive.d/z-late", &own("late"));
    site.write("test.git/hooks/post-receive.d/README", "not executable");
    site.commit("a");
    assert_eq!(site.push(&["main"]).messages.len(), 2);
    assert_eq!(
        fs::read_to_string(&record).unwrap(),
        "early\nfirst-hook\nlate\n"
    );

    // Others depend on the chain now: it is not taken away under them.
    let before = snapshot(&site.bare.join("hooks"));
    let ran = site.refpost(["disable", "test.git"]).run();
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr.contains("runs through it\nhint: "),
        "{}",
        ran.stderr
    );
    assert_eq!(snapshot(&site.bare.join("hooks")), before);
}
#[test]
fn a_linked_hook_stays_linked_to_the_same_file() {
    for target in ["../tools/notify", "notify-here", "ABSOLUTE"] {
        let site = bare_site();
        let script = match target {
            "notify-here" => "test.git/hooks/notify-here",
            _ => "test.git/tools/notify",
        };
        let script = site.script(script, &recorder(&site));
        let target = match target {
            "ABSOLUTE" => script.clone(),
            other => PathBuf::from(other),
        };
        symlink(&target, site.bare.join("hooks/post-receive")).unwrap();
        let before = snapshot(&site.bare.join("hooks"));
        enable(&site);
        let moved = site.bare.join("hooks/post-receive.d/post-receive");
        assert_eq!(
            fs::canonicalize(&moved).unwrap(),
            script,
            "{}",
            target.display()
        );
        site.commit("a");
        assert_eq!(site.push(&["main"]).messages.len(), 2);
        let record = fs::read_to_string(site.path("record")).unwrap();
        assert!(record.starts_with("post-receive\n0000"), "{record}");
        disable(&site);
        assert_eq!(snapshot(&site.bare.join("hooks")), before);
    }
}
#[test]
fn a_hosts_dispatcher_is_left_alone_and_gets_an_entry() {
    let site = bare_site();
    let dispatcher = "#!/bin/sh\ninput=$(cat)\nfor hook in \"$0.d\"/* hooks/post-receive.d/*; do\n\
                      \ttest -x \"$hook\" && echo \"$input\" | \"$hook\"\ndone\n";
    let hook = site.script("test.git/hooks/post-receive", dispatcher);
    let before = snapshot(&site.bare.join("hooks"));
    enable(&site);
    assert_eq!(fs::read_to_string(&hook).unwrap(), dispatcher);
    let entry = site.bare.join("hooks/post-receive.d/90-refpost");
    let mode = fs::metadata(&entry).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
    let enabled = snapshot(&site.bare.join("hooks"));
    enable(&site);
    assert_eq!(
        snapshot(&site.bare.join("hooks")),
        enabled,
        "nothing changed"
    );
    let new = site.commit("a");
    let input = format!("{} {new} refs/heads/main\n", crate::support::ZEROS);
    let entry_run = site
        .run(&entry)
        .dir(&site.bare)
        .env("GIT_DIR", ".")
        .stdin(input);
    site.git(&[
        "push",
        "-q",
        "--receive-pack=git -c core.hooksPath=/dev/null receive-pack",
        "origin",
        "main",
    ]);
    entry_run.run();
    assert_eq!(site.receiver.take().len(), 2);
    disable(&site);
    assert!(!entry.exists());
    assert_eq!(fs::read_to_string(&hook).unwrap(), dispatcher);
    fs::remove_dir(site.bare.join("hooks/post-receive.d")).ok();
    assert_eq!(snapshot(&site.bare.join("hooks")), before);
}
#[test]
fn core_hooks_path_is_where_the_hook_goes() {
    let site = bare_site();
    let elsewhere = site.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    site.bare_git(&["config", "core.hooksPath", elsewhere.to_str().unwrap()]);
    enable(&site);
    assert!(elsewhere.join("post-receive").is_symlink());
    assert!(!site.bare.join("hooks/post-receive").exists());
    site.commit("a");
    assert_eq!(site.push(&["main"]).messages.len(), 2);
    disable(&site);
    assert!(!elsewhere.join("post-receive").is_symlink());

    site.bare_git(&["config", "core.hooksPath", "own-hooks"]);
    enable(&site);
    assert!(site.bare.join("own-hooks/post-receive").is_symlink());
    site.commit("b");
    assert_eq!(site.push(&["main"]).messages.len(), 1);
}
#[test]
fn a_link_that_leads_nowhere_is_put_right() {
    let site = bare_site();
    let hook = site.bare.join("hooks/post-receive");
    // A hook that is gone ran, as `check` had it, if it was not called `refpost`.
    for (gone, is_ours) in [("refpost", true), ("refpost-1.2", true), ("other", false)] {
        fs::remove_file(&hook).ok();
        let gone = format!("/nowhere/bin/{gone}");
        symlink(&gone, &hook).unwrap();
        let check = site.refpost(["check", "test.git"]).run();
        assert_eq!(check.status, 1);
        let told = format!("leads to `{gone}`, which is gone\nhint: refpost enable test.git\n");
        assert!(check.stdout.contains(&told), "{}", check.stdout);
        assert!(!check.stdout.contains("another's"), "{}", check.stdout);
        enable(&site);
        assert!(hook.exists());
        let chained = site.bare.join("hooks/post-receive.d");
        assert_eq!(chained.exists(), !is_ours, "{gone}");
    }
}
#[test]
fn a_push_from_a_path_with_odd_characters_goes_through_the_chain() {
    let site = bare_site();
    let odd = site.path("it's a \"repo\" $x;.git");
    fs::rename(&site.bare, &odd).unwrap();
    site.git(&["remote", "set-url", "origin", odd.to_str().unwrap()]);
    site.script(odd.join("hooks/post-receive"), &recorder(&site));
    let name = odd.file_name().unwrap().to_str().unwrap();
    site.refpost(["enable", name]).run().well();
    site.commit("a");
    let push = site.try_push(&["origin", "main"]);
    assert_eq!(push.messages.len(), 2, "{}", push.said);
    assert_eq!(push.messages[0]["repo"]["name"], "it's a \"repo\" $x;");
    site.refpost(["disable", name]).run().well();
    assert_eq!(
        fs::read_to_string(odd.join("hooks/post-receive")).unwrap(),
        recorder(&site)
    );
}
#[test]
fn a_hook_that_git_ignores_is_an_error_of_check() {
    let site = bare_site();
    let hook = site.bare.join("hooks/post-receive");
    let check = || site.refpost(["check", "test.git"]).run();
    site.script(&hook, "#!/bin/sh\nexit 0\n");
    enable(&site);
    assert_eq!(check().status, 0);
    let binary = site.path("refpost");
    fs::copy(crate::support::REFPOST, &binary).unwrap();
    let chain = fs::read_to_string(&hook).unwrap();
    let chain = chain.replace(crate::support::REFPOST, binary.to_str().unwrap());
    fs::write(&hook, &chain).unwrap();
    for file in [&hook, &binary] {
        crate::support::set_mode(file, 0o644);
        let checked = check();
        let (file_, hook) = (file.display(), hook.display());
        let said = format!(
            "error: hook `{hook}` does not run: `{file_}` is not executable\n\
             hint: chmod +x {file_}\n"
        );
        assert!(checked.stdout.contains(&said), "{}", checked.stdout);
        assert_eq!(checked.status, 1);
        crate::support::set_mode(file, 0o755);
        assert_eq!(check().status, 0);
    }
    fs::remove_file(&binary).unwrap();
    let gone = format!(
        "`{}` is gone\nhint: refpost enable test.git\n",
        binary.display()
    );
    assert!(check().stdout.contains(&gone), "{}", check().stdout);
    fs::write(&hook, chain.replacen("#!/bin/sh\n", "#!/bin/sh\r\n", 1)).unwrap();
    let said = check().stdout;
    assert!(said.contains("which cannot be run\n"), "{said}");
}
