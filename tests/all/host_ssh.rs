//! Plain ssh: people with accounts that share a group, and people who share an account.

use std::fs;
use std::os::unix::fs::chown;

use crate::support::{
    Accounts, KEY, Receiver, Request, Sshd, SystemAccount, has_host_and_accounts,
};

/// A commit more, pushed with this key to this address; who did it, as it is announced.
#[track_caller]
fn pushed_by(site: (&Accounts, &Sshd, &Receiver), key: &str, url: &str) -> String {
    let (accounts, sshd, receiver) = site;
    let work = accounts.path("work");
    if !work.exists() {
        let init = ["init", "-q", "-b", "main", "work"];
        accounts.environment.git(&accounts.path(""), &init);
    }
    let commit = ["commit", "-q", "--allow-empty", "-m", "change"];
    accounts.environment.git(&work, &commit);
    let ran = sshd.git(accounts, key, &work, &["push", url, "main"]).run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let requests = receiver.take();
    let message = requests.first().map(Request::message);
    let message = message.unwrap_or_else(|| panic!("{}", ran.stderr));
    assert_eq!(message["project_fullname"], "tools");
    message["agent"].as_str().unwrap().to_owned()
}

#[test]
fn accounts_that_share_a_group_push_under_their_own_names() {
    let Some((accounts, sshd)) = ready() else {
        return;
    };
    let receiver = Receiver::start();
    let git = SystemAccount::new(&accounts, "git");
    let people = ["alice", "bob"].map(|name| SystemAccount::in_group(&accounts, name, &git));
    let bare = git.home.join("tools.git");
    let binary = accounts.binary.display();
    git.shell(&format!(
        "chmod 2750 ~; git init -q --bare --shared=group -b main tools.git; \
         {binary} enable tools.git --url {}",
        receiver.url("/hook")
    ));
    let config = bare.join("refpost.toml");
    let sync = fs::read_to_string(&config).unwrap();
    fs::write(
        &config,
        format!("mode = \"sync\"\npush_budget = \"60s\"\n{sync}"),
    )
    .unwrap();
    for (person, key) in people.iter().zip(["alice", "bob"]) {
        person.write(".ssh/authorized_keys", &sshd.key(key));
        person.shell(&format!(
            "git config --global safe.directory {}",
            bare.display()
        ));
        let url = sshd.url(person, bare.to_str().unwrap());
        assert_eq!(
            pushed_by((&accounts, &sshd, &receiver), key, &url),
            person.name
        );
    }
    // What one of them made in the spool, the others can take away.
    let made = git.shell("find tools.git/refpost -type d ! -perm -2770");
    assert_eq!(made.stdout, "");
}

#[test]
fn people_who_share_an_account_are_told_apart_by_their_keys() {
    let Some((accounts, sshd)) = ready() else {
        return;
    };
    let receiver = Receiver::start();
    let git = SystemAccount::new(&accounts, "one");
    let lines = ["alice", "bob"].map(|name| {
        format!(
            "restrict,environment=\"REFPOST_PUSHER={name}\" {}",
            sshd.key(name)
        )
    });
    git.write(".ssh/authorized_keys", &lines.concat());
    git.write("key", KEY);
    let config = format!(
        "mode = \"sync\"\npush_budget = \"60s\"\nurls = [\"{}\"]\nkey_file = \"{}\"\n",
        receiver.url("/hook"),
        git.home.join("key").display()
    );
    git.shell("git init -q --bare -b main tools.git");
    git.write("tools.git/refpost.toml", &config);
    chown(git.home.join("tools.git"), Some(git.uid), None).unwrap();
    git.shell(&format!("{} enable tools.git", accounts.binary.display()));
    for name in ["alice", "bob"] {
        let url = sshd.url(&git, "~/tools.git");
        assert_eq!(pushed_by((&accounts, &sshd, &receiver), name, &url), name);
    }
}

fn ready() -> Option<(Accounts, Sshd)> {
    let needed = [("sshd", "openssh-server"), ("ssh", "openssh-client")];
    if !has_host_and_accounts(&needed) {
        return None;
    }
    let accounts = Accounts::new()?;
    let sshd = Sshd::start(&accounts);
    Some((accounts, sshd))
}
