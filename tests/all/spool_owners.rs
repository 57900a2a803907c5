//! Spools of other accounts, flushed by root.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::spooled::{commits, eventually, files_below, names};
use crate::support::{Answer, REFPOST, Spooled, set_mode};

/// The account without rights that every system has.
const NOBODY: u32 = 65534;

fn give_away(path: &Path) {
    for file in [String::new()].into_iter().chain(files_below(path)) {
        let file = path.join(file);
        let chown = Command::new("chown")
            .args(["-hR", "65534:65534"])
            .arg(&file)
            .status();
        assert!(chown.unwrap().success());
    }
}

/// The owners of everything below a folder.
fn owners(path: &Path) -> Vec<u32> {
    let mut owners = vec![fs::symlink_metadata(path).unwrap().uid()];
    if path.is_dir() {
        for name in names(path) {
            owners.extend(self::owners(&path.join(name)));
        }
    }
    owners.sort_unstable();
    owners.dedup();
    owners
}

/// A site whose repository is another account's, which can run the binary. Root
/// alone can make that; where somebody else runs the tests, that is said.
fn of_nobody() -> Option<(Spooled, PathBuf)> {
    if !nix::unistd::geteuid().is_root() {
        crate::support::leave_out("only root hands a flush over, so that is not tested");
        return None;
    }
    let site = Spooled::new();
    set_mode(&site.path(""), 0o755);
    set_mode(&site.path("system.toml"), 0o644);
    let binary = site.path("refpost");
    fs::copy(REFPOST, &binary).unwrap();
    set_mode(&binary, 0o755);
    site.write("gitconfig", "[safe]\ndirectory = *\n");
    let hook = site.bare.join("hooks/post-receive");
    fs::remove_file(&hook).unwrap();
    std::os::unix::fs::symlink(&binary, &hook).unwrap();
    give_away(&site.bare);
    Some((site, binary))
}

#[test]
fn root_hands_a_flush_over_to_the_owner_of_the_spool() {
    let Some((site, binary)) = of_nobody() else {
        return;
    };
    let (first, _) = site.announce();
    give_away(&site.bare);
    let (second, _) = site.announce();
    give_away(&site.bare);
    site.receiver.script(|_| Answer::status(503));
    let flush = || site.run(&binary).arg("flush").arg(&site.bare).run();
    flush().well();
    assert_eq!(owners(&site.spool()), [NOBODY]);
    site.receiver.take();
    site.receiver.script(|_| Answer::status(200));
    let queue = ["queue", "retry", "--all", "--repo"];
    let ran = site.run(&binary).args(queue).arg(&site.bare).run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let mut arrived = Vec::new();
    eventually("they arrived", || {
        flush().well();
        arrived.extend(site.receiver.take());
        arrived.len() == 2
    });
    assert_eq!(commits(&arrived), [first, second]);
    eventually("the spool is empty", || site.files().is_empty());
    assert_eq!(owners(&site.spool()), [NOBODY]);
}

#[test]
fn root_hands_over_what_is_to_be_adopted_too() {
    let Some((site, binary)) = of_nobody() else {
        return;
    };
    let (commit, _) = site.announce();
    give_away(&site.bare);
    let moved = site.path("moved");
    fs::create_dir(&moved).unwrap();
    give_away(&moved);
    site.configure(
        &format!("mode = \"spool\"\nspool = \"{}\"", moved.display()),
        "",
    );
    give_away(&site.bare);
    let ran = site.run(&binary).arg("flush").arg(&site.bare).run();
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    assert_eq!(commits(&site.receiver.take()), [commit]);
    assert_eq!(owners(&moved), [NOBODY]);
}

#[test]
fn what_could_not_be_crossed_off_is_not_sent() {
    let Some((site, binary)) = of_nobody() else {
        return;
    };
    let (commit, _) = site.announce();
    give_away(&site.bare);
    let new = site.spool().join("new");
    set_mode(&new, 0o555);
    let flush = || site.run(&binary).arg("flush").arg(&site.bare).run();
    let said = format!("cannot write `{}`: permission denied", new.display());
    for _ in 0..2 {
        let ran = flush();
        assert!(ran.stderr.contains(&said), "{}", ran.stderr);
    }
    assert!(site.receiver.take().is_empty());
    set_mode(&new, 0o700);
    flush().well();
    assert_eq!(commits(&site.receiver.take()), [commit]);
}

#[test]
fn what_root_left_in_an_accounts_spool_is_told_with_the_command_that_mends_it() {
    let Some((site, binary)) = of_nobody() else {
        return;
    };
    let (first, _) = site.announce();
    give_away(&site.bare);
    let new = site.spool().join("new");
    // As an older version's hook left it, when root pushed.
    let entry = new.join(&site.names("new")[0]);
    let root = Command::new("chown").arg("root:root").arg(&entry).status();
    assert!(root.unwrap().success());
    let (second, _) = site.announce();
    let flush = || site.run(&binary).arg("flush").arg(&site.bare).run();
    let ran = flush();
    let (folder, entry) = (new.display(), entry.display());
    let command = format!("chown -h --reference={folder} {entry}");
    for said in [
        format!("cannot read entry `{entry}`: permission denied"),
        format!("hint: it is another account's; as root: {command}"),
    ] {
        assert!(ran.stderr.contains(&said), "{}", ran.stderr);
    }
    assert_eq!(commits(&site.receiver.take()), [second]);
    let checked = site.run("runuser").args(["-u", "nobody", "--"]);
    let checked = checked.arg(&binary).arg("check").arg(&site.bare).run();
    let spool = site.spool();
    let spool = spool.display();
    let said = format!(
        "error: not of the account that owns spool `{spool}`: `{entry}`\n\
         hint: as root: chown -hR --reference={spool} {spool}\n"
    );
    assert!(checked.stdout.contains(&said), "{}", checked.stdout);
    let mended = Command::new("sh").args(["-c", &command]).status();
    assert!(mended.unwrap().success());
    flush().well();
    assert_eq!(commits(&site.receiver.take()), [first]);
}
