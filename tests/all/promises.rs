//! A push never fails because of refpost.

use std::fs;

use crate::support::{Answer, Receiver, Site};

/// What the pusher saw of refpost, the endpoint's name left out.
fn remote(push: &crate::support::Push) -> Vec<String> {
    let lines = push.remote().into_iter();
    lines
        .map(|line| {
            let mut parts = line.split('`');
            let mut text = parts.next().unwrap().to_owned();
            while let (Some(name), Some(rest)) = (parts.next(), parts.next()) {
                let name = if name.starts_with("receiver-") {
                    "NAME"
                } else {
                    name
                };
                text.extend(["`", name, "`", rest]);
            }
            text
        })
        .collect()
}

#[test]
fn the_pusher_sees_one_line_that_says_what_became_of_it() {
    let site = Site::new();
    site.commit("a");
    assert_eq!(
        remote(&site.push(&["main"])),
        ["refpost: 2 messages sent to `NAME`"]
    );
    site.commit("a");
    assert_eq!(
        remote(&site.push(&["main"])),
        ["refpost: 1 message sent to `NAME`"]
    );
    site.config("quiet = true\n");
    site.commit("a");
    let push = site.push(&["main"]);
    assert_eq!((remote(&push), push.messages.len()), (Vec::new(), 1));
}

#[test]
fn a_receiver_that_fails_costs_the_push_nothing() {
    let mut unlike = Vec::new();
    for answer in [
        Answer::status(500),
        Answer::status(503),
        Answer::status(404),
        Answer::status(410),
        Answer::status(302),
        Answer::CutHead,
    ] {
        let site = Site::new();
        let shown = format!("{answer:?}");
        site.receiver.script(move |_| answer.clone());
        site.commit("a");
        let push = site.try_push(&["origin", "main"]);
        assert_eq!(push.status, 0, "{}", push.said);
        let said = push.remote();
        if said.iter().any(|line| line.contains("sent to")) || said.is_empty() {
            unlike.push((shown, push.said));
        }
        assert_eq!(
            site.bare_git(&["rev-parse", "main"]),
            site.git(&["rev-parse", "main"])
        );
    }
    assert!(unlike.is_empty(), "{unlike:#?}");
}

#[test]
fn a_receiver_that_is_not_there_costs_the_push_nothing() {
    let mut site = Site::new();
    site.receiver.stop();
    site.commit("a");
    let push = site.try_push(&["origin", "main"]);
    assert_eq!(push.status, 0, "{}", push.said);
    let said = remote(&push);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].starts_with("refpost: 2 messages queued for `NAME`"),
        "{said:?}"
    );
    site.receiver.restart();
    let retry = ["queue", "retry", "--all", "--repo", "test.git"];
    assert_eq!(site.refpost(retry).run().status, 0);
    site.refpost(["flush", "test.git"]).run();
    let requests = site.receiver.wait_for(2);
    let topics: Vec<_> = requests
        .iter()
        .map(|own| own.message().topic().to_owned())
        .collect();
    assert_eq!(topics, ["git.branch.creation", "git.receive"]);
}

/// The receiver never answers, and its endpoint may take five minutes: only the
/// push budget can end this push.
#[test]
fn a_push_waits_for_its_budget_and_no_longer() {
    let site = Site::new();
    let (silent, well) = (Receiver::start(), Receiver::start());
    silent.script(|_| Answer::Nothing);
    site.write(
        "test.git/refpost.toml",
        format!(
            "mode = \"sync\"\npush_budget = \"1s\"\nunsigned = true\n\
             [[endpoint]]\nname = \"silent\"\nurl = \"{}\"\ntimeout = \"60s\"\n\
             [[endpoint]]\nname = \"well\"\nurl = \"{}\"\n",
            silent.url("/"),
            well.url("/")
        ),
    );
    site.commit("a");
    let push = site.try_push(&["origin", "main"]);
    assert_eq!(push.status, 0, "{}", push.said);
    assert_eq!(well.take().len(), 2);
    let said = push.remote();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].starts_with("refpost: 2 messages sent to `well`, queued for `silent`"),
        "{said:?}"
    );
}

#[test]
fn a_broken_config_is_told_once_and_costs_the_push_nothing() {
    let site = Site::new();
    let config = site.bare.join("refpost.toml");
    let good = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("ulrs = []\n{good}")).unwrap();
    site.commit("a");
    let push = site.try_push(&["origin", "main"]);
    assert_eq!(push.status, 0, "{}", push.said);
    let said = push.remote();
    assert_eq!(said.len(), 1, "{said:?}");
    let start = format!(
        "refpost: cannot load config `{}`: line 1: unknown key `ulrs`, did you mean `urls`?",
        config.display()
    );
    assert!(said[0].starts_with(&start), "{}", said[0]);
    assert!(said[0].ends_with("(your push was accepted)"), "{}", said[0]);
    assert!(push.messages.is_empty());

    // What could not be understood then is announced once it can be.
    fs::write(&config, good).unwrap();
    site.refpost(["flush", "test.git"]).run();
    let requests = site.receiver.wait_for(2);
    assert_eq!(requests[0].message()["agent"], "alice");
    assert_eq!(requests[1].message().about(), ("git.receive", "main"));
}

#[test]
fn a_key_that_cannot_be_read_costs_the_push_nothing() {
    let site = Site::new();
    let url = site.receiver.url("/");
    let file = site.write("test.git/own.key", "hidden-key");
    crate::support::set_mode(&file, 0o644);
    site.config_alone(&format!("key_file = \"own.key\"\nurls = [\"{url}\"]"));
    site.commit("a");
    let push = site.try_push(&["origin", "main"]);
    assert_eq!(push.status, 0, "{}", push.said);
    assert!(push.messages.is_empty(), "nothing is sent unsigned");
    assert!(
        push.said.contains("mode 0644 lets others read it"),
        "{}",
        push.said
    );
    assert!(
        push.said
            .contains(&format!("hint: chmod o= {}", file.display())),
        "{}",
        push.said
    );
    assert!(!push.said.contains("hidden-key"));
    crate::support::set_mode(&file, 0o600);
    let retry = ["queue", "retry", "--all", "--repo", "test.git"];
    assert_eq!(site.refpost(retry).run().status, 0);
    site.refpost(["flush", "test.git"]).run();
    assert_eq!(site.receiver.wait_for(2).len(), 2);
}

/// A repository that other accounts can push to may be unreadable in parts.
#[test]
fn a_repository_that_cannot_be_read_costs_the_push_nothing() {
    let site = Site::new();
    site.commit("a");
    site.push(&["main"]);
    // The hook sees a HEAD that no git wrote; git itself is done with it by then.
    let link = fs::read_link(site.bare.join("hooks/post-receive")).unwrap();
    fs::remove_file(site.bare.join("hooks/post-receive")).unwrap();
    site.script(
        "test.git/hooks/post-receive",
        &format!(
            "#!/bin/sh\nmv objects objects-away\n'{}' hook post-receive\nstatus=$?\n\
             mv objects-away objects\nexit $status\n",
            link.display()
        ),
    );
    site.commit("b");
    let push = site.try_push(&["origin", "main"]);
    assert_eq!(push.status, 0, "{}", push.said);
    assert_eq!(push.remote().len(), 1, "{}", push.said);
    assert!(
        push.said.contains("(your push was accepted)"),
        "{}",
        push.said
    );
}

#[test]
fn a_push_is_announced_whatever_reads_its_output() {
    let site = Site::new();
    site.commit("a");
    let record = site.path("status");
    fs::remove_file(site.bare.join("hooks/post-receive")).unwrap();
    site.script(
        "test.git/hooks/post-receive",
        &format!(
            "#!/bin/sh\n'{}' hook post-receive 2>&- >&-\necho $? > '{}'\n",
            crate::support::REFPOST,
            record.display()
        ),
    );
    assert_eq!(site.push(&["main"]).messages.len(), 2);
    assert_eq!(fs::read_to_string(record).unwrap(), "0\n");
}

#[test]
fn in_the_default_mode_messages_leave_beside_the_push() {
    let site = Site::new();
    let url = site.receiver.url("/hook");
    let config = format!("urls = [\"{url}\"]\nkey = \"k\"\n");
    site.write("test.git/refpost.toml", config);
    site.commit("a");
    let ran = site.git_run(&["push", "-q", "origin", "main"]).run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(
        ran.stderr
            .starts_with("remote: refpost: 2 messages queued for `receiver-"),
        "{}",
        ran.stderr
    );
    let requests = site.receiver.wait_for(2);
    let topics: Vec<_> = requests
        .iter()
        .map(|own| own.message().topic().to_owned())
        .collect();
    assert_eq!(topics, ["git.branch.creation", "git.receive"]);
}

#[test]
fn in_mode_spool_messages_leave_with_flush() {
    let site = Site::new();
    let url = site.receiver.url("/hook");
    let config = format!("mode = \"spool\"\nurls = [\"{url}\"]\nkey = \"k\"\n");
    site.write("test.git/refpost.toml", config);
    site.commit("a");
    site.git(&["push", "-q", "origin", "main"]);
    site.git(&["push", "-q", "origin", "main:refs/tags/v1"]);
    assert!(site.receiver.take().is_empty());
    let flush = site.refpost(["flush", "test.git"]).run().well();
    assert_eq!(flush.stdout, "", "cron mails what it prints");
    let requests = site.receiver.take();
    let topics: Vec<_> = requests
        .iter()
        .map(|own| own.message().topic().to_owned())
        .collect();
    assert_eq!(
        topics,
        ["git.branch.creation", "git.receive", "git.tag.creation"]
    );
    site.refpost(["flush", "test.git"]).run().well();
    assert!(site.receiver.take().is_empty(), "each is sent once");
}
