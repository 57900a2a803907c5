//! Pushes that meet: one loses, one is tried again, one is killed in between.

use std::fs;

use crate::support::{Background, Message, Push, Site};

/// A guaranteed site whose `main` is at a first commit.
fn site_with_main() -> (Site, String) {
    let site = Site::guaranteed();
    let first = site.commit("a");
    site.push(&["main"]);
    (site, first)
}

/// A commit on top of another, that no branch of the clone has.
fn commit_on(site: &Site, parent: &str, text: &str) -> String {
    let tree = format!("{parent}^{{tree}}");
    site.git(&["commit-tree", "-p", parent, "-m", text, &tree])
}

fn ends(messages: &[Message]) -> Vec<&str> {
    let ends = messages.iter().map(|one| one["end_commit"].as_str());
    ends.collect::<Option<_>>().unwrap()
}

/// pre-receive of a push with the option `slow` records, then waits for the file
/// `go`. The push waits in the background; when this is back it has recorded.
fn start_slowly(site: &Site, refspecs: &[&str]) -> Background {
    site.bare_git(&["config", "receive.advertisePushOptions", "true"]);
    site.hook(
        "pre-receive",
        "REFPOST hook pre-receive || exit\n\
         test \"$GIT_PUSH_OPTION_0\" = slow || exit 0\n\
         touch ../waiting\nuntil test -e ../go; do sleep 0.01; done",
    );
    let push = site.git_run(&["push", "-q", "-f", "-o", "slow", "origin"]);
    let push = Background::start(push.args(refspecs));
    wait_for(|| site.path("waiting").exists());
    push
}

fn finish(site: &Site, mut push: Background) -> bool {
    fs::write(site.path("go"), "").unwrap();
    push.0.wait().unwrap().success()
}

fn wait_for(there: impl Fn() -> bool) {
    while !there() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn of_two_pushes_to_one_ref_the_loser_is_not_announced() {
    let (site, first) = site_with_main();
    let (lost, won) = (
        commit_on(&site, &first, "lost"),
        commit_on(&site, &first, "won"),
    );
    let slow = start_slowly(&site, &[&format!("{lost}:refs/heads/main")]);
    let push = site.push(&[&format!("{won}:refs/heads/main")]);
    assert_eq!(ends(&push.messages), [won.as_str()]);
    assert!(!finish(&site, slow));
    site.assert_quiet();
}

#[test]
fn a_loser_announces_the_refs_that_it_did_move() {
    let (site, first) = site_with_main();
    let (lost, won) = (
        commit_on(&site, &first, "lost"),
        commit_on(&site, &first, "won"),
    );
    let refspecs = [
        &format!("{lost}:refs/heads/main"),
        &format!("{lost}:refs/tags/v1"),
    ];
    let slow = start_slowly(&site, &refspecs.map(String::as_str));
    site.push(&[&format!("{won}:refs/heads/main")]);
    assert!(!finish(&site, slow));
    let requests = site.receiver.wait_for(1);
    assert_eq!(requests[0].message().about(), ("git.tag.creation", "v1"));
    site.assert_quiet();
}

/// The winner recorded first, and died after its ref had moved; the loser
/// recorded after it. Neither had a post-receive.
#[test]
fn of_two_pushes_that_died_the_one_that_moved_is_announced() {
    for winner_records_first in [true, false] {
        let (site, first) = site_with_main();
        let (lost, won) = (
            commit_on(&site, &first, "lost"),
            commit_on(&site, &first, "won"),
        );
        let (slow, fast) = if winner_records_first {
            (&won, &lost)
        } else {
            (&lost, &won)
        };
        let started = start_slowly(&site, &[&format!("{slow}:refs/heads/main")]);
        // The loser dies once it has recorded, the winner once its ref has moved.
        let dies = "kill -9 $PPID";
        if winner_records_first {
            let pre_receive = site.bare.join("hooks/pre-receive");
            let text = fs::read_to_string(&pre_receive).unwrap();
            site.hook("pre-receive", &format!("REFPOST hook pre-receive; {dies}"));
            site.try_push(&["-q", "origin", &format!("{fast}:refs/heads/main")]);
            site.script(&pre_receive, &text);
        }
        site.hook("post-receive", dies);
        if !winner_records_first {
            site.try_push(&["-q", "origin", &format!("{fast}:refs/heads/main")]);
        }
        finish(&site, started);
        assert_eq!(site.bare_git(&["rev-parse", "main"]), won);
        assert_eq!(site.intents().len(), 2);
        assert_eq!(
            ends(&site.flush()),
            [won.as_str()],
            "{winner_records_first}"
        );
        site.assert_quiet();
    }
}

/// A push whose reflog lines are as old as they are.
fn push_now(site: &Site, refspecs: &[&str]) -> Push {
    let push = site.git_run(&["push", "origin"]).args(refspecs);
    site.push_by(push.without("GIT_COMMITTER_DATE"))
}

/// With a reflog there is a second witness, who must not be heard twice.
fn with_and_without_reflog(test: impl Fn(&Site, &str)) {
    for reflog in ["false", "always"] {
        let (site, first) = site_with_main();
        site.bare_git(&["config", "core.logAllRefUpdates", reflog]);
        test(&site, &first);
    }
}

fn die_before(site: &Site, refspec: &str) -> Push {
    site.hook("pre-receive", "REFPOST hook pre-receive; kill -9 $PPID");
    let push = push_now(site, &[refspec]);
    assert_ne!(push.status, 0);
    fs::remove_file(site.bare.join("hooks/pre-receive")).unwrap();
    site.guarantee();
    push
}

#[test]
fn a_push_that_died_and_is_tried_again_is_announced_once() {
    with_and_without_reflog(|site, first| {
        let next = commit_on(site, first, "next");
        let refspec = format!("{next}:refs/heads/main");
        die_before(site, &refspec);
        assert_eq!(site.intents().len(), 1);
        let push = push_now(site, &[&refspec]);
        assert_eq!(ends(&push.messages), [next.as_str()]);
        site.assert_quiet();
    });
}

#[test]
fn a_push_that_died_twice_the_second_time_too_late_is_announced_once() {
    with_and_without_reflog(|site, first| {
        let next = commit_on(site, first, "next");
        let refspec = format!("{next}:refs/heads/main");
        die_before(site, &refspec);
        site.hook("post-receive", "kill -9 $PPID");
        push_now(site, &[&refspec]);
        assert_eq!(site.intents().len(), 2);
        assert_eq!(ends(&site.flush()), [next.as_str()]);
        site.assert_quiet();
    });
}

/// The next push knows where the ref was: the message of the one that died comes
/// first.
#[test]
fn what_died_is_announced_by_the_next_push_in_order() {
    with_and_without_reflog(|site, first| {
        site.spooled();
        let second = commit_on(site, first, "second");
        let third = commit_on(site, &second, "third");
        site.hook("post-receive", "kill -9 $PPID");
        push_now(site, &[&format!("{second}:refs/heads/main")]);
        site.link_only(&[]);
        site.guarantee();
        push_now(site, &[&format!("{third}:refs/heads/main")]);
        let messages = site.flush();
        assert_eq!(ends(&messages), [second.as_str(), third.as_str()]);
        site.assert_quiet();
    });
}

/// Moved by a push that died, and back by somebody whom no hook saw.
#[test]
fn the_reflog_tells_of_a_move_that_was_undone() {
    let (site, first) = site_with_main();
    site.bare_git(&["config", "core.logAllRefUpdates", "always"]);
    let next = commit_on(&site, &first, "next");
    site.hook("post-receive", "kill -9 $PPID");
    push_now(&site, &[&format!("{next}:refs/heads/main")]);
    let unseen = [
        "-c",
        "core.hooksPath=/dev/null",
        "update-ref",
        "refs/heads/main",
        &first,
    ];
    let unseen = site.run("git").dir(&site.bare).args(unseen);
    unseen.without("GIT_COMMITTER_DATE").run().well();
    assert_eq!(ends(&site.flush()), [next.as_str()]);
    site.assert_quiet();
}

/// A ref that somebody moved unseen: nothing tells whether the push had moved it
/// before, so it is announced, and the log says that this is uncertain.
#[test]
fn what_cannot_be_told_is_announced_rather_than_lost() {
    let (site, first) = site_with_main();
    let (next, other) = (
        commit_on(&site, &first, "next"),
        commit_on(&site, &first, "other"),
    );
    site.hook("post-receive", "kill -9 $PPID");
    site.try_push(&[
        "origin",
        &format!("{next}:refs/heads/main"),
        &format!("{other}:refs/tags/v"),
    ]);
    let unseen = [
        "-c",
        "core.hooksPath=/dev/null",
        "update-ref",
        "refs/heads/main",
        &other,
    ];
    site.bare_git(&unseen);
    let flushed = site.flush();
    assert_eq!(flushed[0]["end_commit"], next.as_str());
    assert_eq!(flushed[1].about(), ("git.tag.creation", "v"));
    let log = fs::read_to_string(site.spool().join("log")).unwrap();
    assert!(
        log.contains("2 refs had moved, for all that can be told; 1 of them uncertain"),
        "{log}"
    );
    site.assert_quiet();
}

/// Of a ref that moves on before its transaction's hook has looked.
#[test]
fn a_move_that_is_overtaken_is_announced_all_the_same() {
    let site = Site::new();
    site.link_only(&[]);
    let first = site.commit("a");
    site.git(&["push", "-q", "origin", "HEAD:refs/other/keep"]);
    let (second, third) = (commit_on(&site, &first, "2"), commit_on(&site, &first, "3"));
    let objects = [
        format!("{second}:refs/other/2"),
        format!("{third}:refs/other/3"),
    ];
    site.git(&["push", "-q", "origin", &objects[0], &objects[1]]);
    site.hook(
        "reference-transaction",
        &format!(
            "input=$(cat)\n\
             if test $1 = committed && mkdir ../once 2>/dev/null; then\n\
             git update-ref refs/heads/x {third}\nfi\n\
             echo \"$input\" | REFPOST hook reference-transaction $1"
        ),
    );
    site.bare_git(&["update-ref", "refs/heads/x", &second]);
    let mut messages: Vec<Message> = site
        .receiver
        .take()
        .iter()
        .map(|one| one.message())
        .collect();
    messages.extend(site.flush());
    let mut ends = ends_of_received(&messages);
    ends.sort_unstable();
    let mut expected = [second.as_str(), third.as_str()];
    expected.sort_unstable();
    assert_eq!(ends, expected);
    site.assert_quiet();
}

fn ends_of_received(messages: &[Message]) -> Vec<&str> {
    let received = messages.iter().filter(|one| one.topic() == "git.receive");
    received
        .map(|one| one["end_commit"].as_str().unwrap())
        .collect()
}
