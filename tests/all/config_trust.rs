//! A configuration that somebody else may have written, or that is no file of text.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use crate::support::spooled::commits;
use crate::support::{Ran, Site, Spooled, set_mode};

/// Accounts that need no name.
const OWNER: u32 = 4201;
const STRANGER: u32 = 4202;

fn preview(site: &Spooled) -> Ran {
    site.refpost(["preview", "test.git"]).run()
}

fn refused(file: &Path, why: &str, hint: &str) -> String {
    let file = file.display();
    let hint = match hint {
        "" => String::new(),
        hint => format!("hint: see what it says, then: {hint} {file}\n"),
    };
    format!("refpost: cannot load config `{file}`: {why}\n{hint}")
}

#[test]
fn a_config_that_others_may_write_is_refused() {
    let site = Spooled::new();
    for (name, mode) in [
        ("test.git/refpost.toml", 0o602),
        ("test.git/refpost.toml", 0o666),
        ("system.toml", 0o646),
        ("system.toml", 0o1777),
    ] {
        let file = site.path(name);
        set_mode(&file, mode);
        let why = format!("mode {mode:04o} lets others write it");
        preview(&site).fails(78, &refused(&file, &why, "chmod o-w"));
        let check = site.refpost(["check", "test.git"]).run();
        assert_eq!(check.status, 1);
        assert!(check.stdout.contains(&why), "{}", check.stdout);
        set_mode(&file, 0o600);
        preview(&site).well();
    }
    // The group is whom the admin put there.
    set_mode(&site.path("test.git/refpost.toml"), 0o660);
    preview(&site).well();
}

#[test]
fn a_push_under_a_config_that_others_may_write_is_owed() {
    let site = Spooled::new();
    let file = site.path("test.git/refpost.toml");
    set_mode(&file, 0o602);
    let (commit, push) = site.announce();
    let said = push.remote();
    let why = format!(
        "refpost: cannot load config `{}`: mode 0602 lets others write it: recorded, to be \
         announced once that is mended (your push was accepted)",
        file.display()
    );
    assert_eq!(said[0], why);
    assert!(said[1].starts_with("hint: see what it says, then: chmod o-w "));
    let flush = site.flush();
    assert_eq!(flush.status, 0);
    assert!(flush.stderr.contains("lets others write it"));
    assert!(site.receiver.take().is_empty());
    set_mode(&file, 0o600);
    let arrived = site.flush_well();
    assert_eq!(crate::support::spooled::commits(&arrived), [commit]);
}

#[test]
fn what_an_untrusted_config_says_of_require_counts_for_nothing() {
    let site = Spooled::new();
    site.refpost(["enable", "--guaranteed", "test.git"])
        .run()
        .well();
    site.configure("mode = \"spool\"\nrequire = true\nulrs = []", "");
    site.commit("file");
    assert_eq!(site.try_push(&["origin", "main"]).status, 1);
    // The same, and anybody may have written it.
    set_mode(&site.path("test.git/refpost.toml"), 0o606);
    assert_eq!(site.try_push(&["origin", "main"]).status, 0);
}

#[test]
fn only_root_whoever_runs_and_the_repositorys_owner_configure() {
    if !nix::unistd::geteuid().is_root() {
        crate::support::leave_out("only root gives files away, so that is not tested");
        return;
    }
    let site = Spooled::new();
    let file = site.path("test.git/refpost.toml");
    let owned_by = |path: &Path, owner| chown(path, Some(owner), None).unwrap();
    owned_by(&file, STRANGER);
    let why = "it belongs to account 4202: neither root, nor 0, who runs this, nor 0, whose \
               repository it is";
    preview(&site).fails(78, &refused(&file, why, "chown 0"));
    // Another account's repository is nothing that root looks into; others see ownership.rs.
    owned_by(&file, OWNER);
    owned_by(&site.bare, OWNER);
    site.write("gitconfig", "[safe]\ndirectory = *\n");
    let ran = preview(&site);
    assert!(
        ran.stderr.contains("as root: it belongs to `4201`"),
        "{}",
        ran.stderr
    );
    owned_by(&file, 0);
    owned_by(&site.bare, 0);
    // The owner of a repository does not configure the server.
    let server = site.path("system.toml");
    owned_by(&server, OWNER);
    let why = "it belongs to account 4201: neither root, nor 0, who runs this";
    preview(&site).fails(78, &refused(&server, why, "chown 0"));
}

#[test]
fn what_is_no_regular_file_is_refused_and_does_not_hang() {
    let site = Spooled::new();
    let file = site.path("test.git/refpost.toml");
    let why = refused(&file, "it is no regular file", "");
    fs::remove_file(&file).unwrap();
    let made = Command::new("mkfifo").arg(&file).status().unwrap();
    assert!(made.success());
    preview(&site).fails(78, &why);
    let (_, push) = site.announce();
    assert!(
        push.said.contains("it is no regular file: recorded"),
        "{}",
        push.said
    );
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    preview(&site).fails(78, &why);
    fs::remove_dir(&file).unwrap();
    // What an administrator names can be a link, but not to anything.
    let server = site.path("system.toml");
    fs::remove_file(&server).unwrap();
    symlink("/dev/zero", &server).unwrap();
    preview(&site).fails(78, &refused(&server, "it is no regular file", ""));
}

#[test]
fn a_file_of_a_hundred_megabytes_is_not_read() {
    let site = Spooled::new();
    let file = site.path("test.git/refpost.toml");
    let length = fs::metadata(&file).unwrap().size();
    let grow = |length| {
        let file = fs::File::options().write(true).open(&file).unwrap();
        file.set_len(length).unwrap();
    };
    for size in [16 * 1024 * 1024 + 1, 100 * 1024 * 1024, 1 << 40] {
        grow(size);
        preview(&site).fails(78, &refused(&file, "it is larger than 16 MiB", ""));
    }
    grow(length);
    preview(&site).well();
}

#[test]
fn a_link_that_leads_nowhere_is_no_config_that_is_not_there() {
    let site = Spooled::new();
    let file = site.path("system.toml");
    let away = site.path("away.toml");
    fs::rename(&file, &away).unwrap();
    symlink(site.path("nowhere.toml"), &file).unwrap();
    let (commit, push) = site.announce();
    let said = push.remote().concat();
    assert!(said.contains("it is a link that leads nowhere"), "{said}");
    fs::rename(&away, &file).unwrap();
    assert_eq!(commits(&site.flush_well()), [commit]);
}

#[test]
fn a_typo_in_the_servers_file_refused_the_push_that_mends_it() {
    let site = Site::guaranteed();
    site.write("system.toml", "require = true\nulrs = []\n");
    site.commit("a");
    let refused = "(the push is refused, as `require` has it)";
    let push = site.try_push(&["origin", "main"]);
    assert!(
        push.status != 0 && push.said.contains(refused),
        "{}",
        push.said
    );

    // gitolite's own repository, whose pushes get to the folder of the server's file.
    let link = |base: &Path| {
        let hook = site.bare.join("hooks/post-update");
        fs::remove_file(&hook).ok();
        symlink(base.join("hooks/gitolite-admin/post-update"), hook).unwrap();
    };
    link(&site.bare);
    assert_ne!(site.try_push(&["origin", "main"]).status, 0, "another's");
    link(&site.path(""));
    let push = site.try_push(&["origin", "main"]);
    let recorded = "recorded, to be announced once that is mended (your push was accepted)";
    assert!(
        push.status == 0 && push.said.contains(recorded),
        "{}",
        push.said
    );
    site.write("system.toml", "require = true\n");
    assert_eq!(site.flush().len(), 2);
    site.assert_quiet();
}
