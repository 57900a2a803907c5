//! What root asks of one repository of another account's, and what lies in wait there.

use std::time::{Duration, Instant};

use crate::support::{Accounts, set_mode};

const ALICE: u32 = 4301;
const BOB: u32 = 4302;

/// `srv/a.git`, of this account.
fn repository(accounts: &Accounts, account: u32) -> String {
    let srv = accounts.folder("srv", account);
    accounts.git(account, &srv, &["init", "-q", "--bare", "a.git"]);
    accounts.path("srv/a.git").display().to_string()
}

/// Each of these opened the repository with root's rights, or with git's.
#[test]
fn root_opened_the_repository_of_another_account_for_what_it_was_asked() {
    let Some(accounts) = Accounts::new() else {
        return;
    };
    let bare = repository(&accounts, ALICE);
    // As in a container: git lets root in.
    accounts.public("gitconfig", "[safe]\n\tdirectory = *\n");
    // Whoever opens it waits.
    accounts
        .shell(ALICE, &format!("rm {bare}/HEAD && mkfifo {bare}/HEAD"))
        .well();
    let said = format!("cannot work on `{bare}` as root: it belongs to `{ALICE}`\n");
    for args in [
        &["ping", &bare][..],
        &["preview", &bare],
        &["emit", "--topic", "a.b", &bare],
        &["check", "--show", &bare],
    ] {
        let ran = accounts.refpost(0, args);
        assert_eq!(ran.status, 1, "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(&said), "{args:?}: {}", ran.stderr);
        assert!(
            ran.stderr.ends_with("runuser -u 4301 -- refpost …\n"),
            "{}",
            ran.stderr
        );
    }
    let ran = accounts.refpost(0, &["check", &bare]);
    assert!(ran.stdout.contains(&said), "{}", ran.stdout);
}

/// git opens `HEAD` to see whether a folder is a repository, in `.git` first and further up too.
#[test]
fn a_fifo_called_head_held_whoever_looked_at_the_folder() {
    let Some(accounts) = Accounts::new() else {
        return;
    };
    let bare = repository(&accounts, ALICE);
    set_mode(accounts.path("srv").as_path(), 0o755);
    let srv = accounts.path("srv").display().to_string();
    for planted in [
        // What git does not take for a repository, and a FIFO above it.
        format!("mkdir {srv}/objects {srv}/refs && mkfifo {srv}/HEAD && echo x > {bare}/HEAD"),
        // The folder that was looked at is `.git`, and git looks at the other one too.
        format!("mkdir {bare}/.git && rm -f {bare}/HEAD && mkfifo {bare}/HEAD"),
    ] {
        accounts.shell(ALICE, &planted).well();
        for account in [ALICE, BOB, 0] {
            for args in [&["status", &bare][..], &["check", &bare], &["status", &srv]] {
                let begun = Instant::now();
                accounts.refpost(account, args);
                let took = begun.elapsed();
                let limit = Duration::from_secs(10);
                assert!(took < limit, "{planted}: {account} {args:?} took {took:?}");
            }
        }
    }
}
