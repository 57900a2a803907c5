//! Links planted in a spool, and a spool that anybody may write: pushes and flushes
//! say so, and nothing outside changes.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::spooled::{commits, files_below, to};
use crate::support::{Spooled, set_mode};

#[test]
fn a_planted_queue_is_told_and_stops_no_other() {
    let site = Spooled::new();
    let outside = site.path("outside");
    fs::create_dir(&outside).unwrap();
    let (first, _) = site.announce();
    let planted = site.spool().join("retry/one");
    symlink(&outside, &planted).unwrap();
    let said = format!(
        "`{planted}` is a symbolic link\nhint: see whose it is (ls -l {planted}), then remove \
         it: rm {planted}\n",
        planted = planted.display()
    );
    let ran = site.flush();
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains(&said), "{}", ran.stderr);
    let status = site.refpost(["status"]).arg(&site.bare).run();
    assert_eq!(status.status, 1);
    assert!(status.stderr.contains(&said), "{}", status.stderr);
    let check = site.refpost(["check"]).arg(&site.bare).run();
    assert_eq!(check.status, 1);
    assert!(check.stdout.contains(&said), "{}", check.stdout);
    assert!(site.receiver.take().is_empty());
    assert!(files_below(&outside).is_empty());

    fs::remove_file(&planted).unwrap();
    symlink("nowhere", site.spool().join("retry/two")).unwrap();
    let ran = site.flush();
    assert!(ran.stderr.contains("retry/two` is a symbolic link"));
    assert_eq!(commits(&to("/one", &site.receiver.take())), [first]);
}

#[test]
fn a_push_into_planted_folders_is_told_and_writes_nothing_elsewhere() {
    for name in [
        "refpost",
        "refpost/spool",
        "refpost/spool/tmp",
        "refpost/spool/new",
    ] {
        let site = Spooled::new();
        let outside = site.path("outside");
        fs::create_dir(&outside).unwrap();
        let planted = site.bare.join(name);
        fs::create_dir_all(planted.parent().unwrap()).unwrap();
        // What the hook would want to find there is there.
        for folder in ["spool/new", "spool/tmp", "new", "tmp"] {
            fs::create_dir_all(outside.join(folder)).unwrap();
        }
        symlink(&outside, &planted).unwrap();
        let (_, push) = site.announce();
        let why = format!("`{}` is a symbolic link", planted.display());
        let said = push.remote().join("\n");
        assert!(
            said.contains("refpost: cannot enqueue 1 message: "),
            "{said}"
        );
        assert!(
            said.contains(&format!("{why} (your push was accepted)")),
            "{said}"
        );
        assert!(said.contains("\nhint: see whose it is"), "{said}");
        assert!(files_below(&outside).is_empty(), "{name}");
        let ran = site.flush();
        assert!(ran.stderr.contains(&why), "{name}: {}", ran.stderr);
        let check = site.refpost(["check"]).arg(&site.bare).run();
        assert_eq!(check.status, 1, "{name}");
        assert!(check.stdout.contains(&why), "{name}: {}", check.stdout);
        assert!(!check.stdout.contains("ok: spool"), "{}", check.stdout);
        assert!(files_below(&outside).is_empty(), "{name}");
    }
}

#[test]
fn a_spool_that_anybody_may_write_is_refused() {
    let site = Spooled::new();
    let (first, _) = site.announce();
    for name in ["", "tmp", "new"] {
        let folder = site.spool().join(name);
        set_mode(&folder, 0o777);
        let (_, push) = site.announce();
        let why = format!(
            "mode 0777 of `{}` lets others write it",
            folder.display().to_string().trim_end_matches('/')
        );
        let said = push.remote().join("\n");
        assert!(
            said.contains(&format!("{why} (your push was accepted)")),
            "{said}"
        );
        assert!(said.contains("chmod o-w "), "{said}");
        if name != "tmp" {
            let ran = site.flush();
            assert!(ran.stderr.contains(&why), "{}", ran.stderr);
            assert!(site.receiver.take().is_empty());
            let check = site.refpost(["check"]).arg(&site.bare).run();
            assert!(check.stdout.contains(&why), "{}", check.stdout);
            let status = site.refpost(["status"]).arg(&site.bare).run();
            assert!(status.stderr.contains(&why), "{}", status.stderr);
        }
        set_mode(&folder, 0o700);
    }
    assert_eq!(commits(&site.flush_well()), [first]);
}
