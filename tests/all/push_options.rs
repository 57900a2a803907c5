//! `git push -o refpost.skip` and `-o refpost.note=TEXT`.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use crate::intents_levels::said;
use crate::support::spooled::{eventually, files_below};
use crate::support::{Message, Push, Site, ZEROS, names, read_entry};

const SKIP: &str = "refpost.skip";
const SKIPPED: &str = "refpost: not announced, as asked (refpost.skip)";
const CREATED: (&str, &str) = ("git.branch.creation", "main");
const RECEIVED: (&str, &str) = ("git.receive", "main");

/// A site that takes push options; `more` is in its configuration too.
fn site(more: &str) -> Site {
    let site = Site::new();
    takes_options(&site, more);
    site
}

fn takes_options(site: &Site, more: &str) {
    site.bare_git(&["config", "receive.advertisePushOptions", "true"]);
    site.config(&format!("push_options = true\n{more}"));
}

/// Commits, and pushes that with these options; the push succeeds.
#[track_caller]
fn push(site: &Site, options: &[&str]) -> Push {
    site.commit("file");
    push_again(site, options)
}

#[track_caller]
fn push_again(site: &Site, options: &[&str]) -> Push {
    let mut args = Vec::new();
    for option in options {
        args.extend(["-o", *option]);
    }
    args.extend(["origin", "HEAD:main"]);
    let push = site.try_push(&args);
    assert_eq!(push.status, 0, "{}", push.said);
    push
}

fn notes(messages: &[Message]) -> Vec<&Value> {
    messages.iter().map(|message| &message["note"]).collect()
}

/// The last line of the log that is about no message.
fn log(site: &Site) -> String {
    let ran = site.refpost(["log", "test.git"]).run().well();
    let lines = ran.stdout.lines();
    let mut lines = lines.filter(|line| line.starts_with("skipped "));
    lines.next_back().unwrap_or_default().to_owned()
}

/// git runs this script in the place of post-receive.
fn dies(site: &Site) {
    site.hook("post-receive", "kill -9 $PPID");
}

fn lives(site: &Site) {
    site.hook("post-receive", "exec REFPOST hook post-receive");
}

#[test]
fn a_note_goes_with_every_message_of_the_push() {
    let site = site("");
    let told = push(&site, &["refpost.note=for é \u{1b}[31m \"x\"", "ci.skip"]);
    assert_eq!(told.about(), [CREATED, RECEIVED]);
    assert_eq!(notes(&told.messages), ["for é \u{1b}[31m \"x\""; 2]);
    assert_eq!(said(&told).len(), 1, "{}", told.said);
    let told = push(&site, &["refpost.note=one", "refpost.note=two"]);
    assert_eq!(told.only()["note"], "one\ntwo");
    let told = push(&site, &["refpost.note="]);
    assert!(told.only().whole["msg"].get("note").is_none());
    let long = format!("refpost.note={}", "x".repeat(1025));
    let told = push(&site, &[&long]);
    assert_eq!(told.only()["note"], format!("{}…", "x".repeat(1023)));
    let warning = "warning: push option `refpost.note` is cut: 1024 characters at most";
    assert_eq!(told.remote()[0], warning);
}

#[test]
fn a_skipped_push_is_not_announced_and_the_next_one_is() {
    let site = site("");
    push(&site, &[]);
    let told = push(&site, &[SKIP]);
    assert_eq!(told.about(), []);
    assert_eq!(told.remote(), [SKIPPED]);
    assert!(log(&site).contains("1 ref not announced, as alice asked"));
    let skipped = site.git(&["rev-parse", "HEAD"]);
    let told = push(&site, &[]);
    assert_eq!(told.only()["old_commit"], skipped);
    assert_eq!(told.only()["total_commits"], 1);
    site.config("push_options = true\nquiet = true");
    let told = push(&site, &[SKIP]);
    assert_eq!((told.remote().len(), told.messages.len()), (0, 0));
    site.assert_quiet();
}

#[test]
fn what_makes_no_sense_is_told_and_the_push_is_announced() {
    let site = site("");
    let told = push(&site, &["refpost.skp", "refpost.note"]);
    assert_eq!(told.about(), [CREATED, RECEIVED]);
    assert_eq!(
        told.remote()[..2],
        [
            "warning: unknown push option `refpost.skp`, did you mean `refpost.skip`?",
            "warning: push option `refpost.note` has no text: -o refpost.note=TEXT"
        ]
    );
}

#[test]
fn where_they_are_off_they_are_not_obeyed_and_one_line_says_so() {
    let site = site("");
    site.config("");
    let told = push(&site, &["x", "refpost.note=x", SKIP]);
    assert_eq!(told.about(), [CREATED, RECEIVED]);
    assert!(told.messages[0].whole["msg"].get("note").is_none());
    let off = "warning: push option `refpost.note` has no effect: `push_options` is off here";
    assert_eq!(told.remote()[0], off);
    assert_eq!(told.remote().len(), 2);
    let told = push(&site, &["x", "y=z"]);
    assert_eq!(told.remote().len(), 1, "{}", told.said);
}

#[test]
fn in_mode_spool_the_note_waits_with_the_message() {
    let site = site("");
    site.spooled();
    let url = site.receiver.url("/hook");
    let text =
        format!("mode = \"spool\"\npush_options = true\nurls = [\"{url}\"]\nunsigned = true\n");
    site.write("test.git/refpost.toml", &text);
    let told = push(&site, &["refpost.note=later"]);
    assert_eq!(told.messages.len(), 0);
    push(&site, &[SKIP]);
    assert_eq!(names(&site.spool().join("new")).len(), 1);
    assert_eq!(notes(&site.flush()), ["later"; 2]);
    site.assert_quiet();
}

#[test]
fn guaranteed_pushes_are_skipped_whoever_is_killed() {
    let site = Site::guaranteed();
    takes_options(&site, "");
    let told = push(&site, &[SKIP]);
    assert_eq!((told.remote(), told.messages.len()), (vec![SKIPPED], 0));
    site.assert_quiet();
    // Dead once its ref has moved: a flush settles it.
    dies(&site);
    site.commit("file");
    site.try_push(&["-o", SKIP, "origin", "main"]);
    assert_eq!(site.intents().len(), 1);
    site.assert_quiet();
    assert!(log(&site).contains("1 ref not announced, as alice asked"));
    // The next push does.
    site.commit("file");
    site.try_push(&["-o", SKIP, "origin", "main"]);
    let skipped = site.git(&["rev-parse", "HEAD"]);
    lives(&site);
    let told = push(&site, &[]);
    assert_eq!(site.intents().len(), 0);
    assert_eq!(told.only()["old_commit"], skipped);
    site.assert_quiet();
}

#[test]
fn what_an_older_push_owes_leaves_with_a_skipped_one() {
    let site = Site::guaranteed();
    takes_options(&site, "");
    dies(&site);
    site.commit("file");
    site.try_push(&["origin", "main"]);
    let owed = site.git(&["rev-parse", "HEAD"]);
    lives(&site);
    let mut requests = push(&site, &[SKIP]).requests;
    while requests.len() < 2 {
        requests.extend(site.receiver.wait_for(1));
    }
    assert_eq!(requests[1].message()["end_commit"], owed);
    eventually("nothing waits", || {
        site.receiver.take().is_empty() && names(&site.spool().join("new")).is_empty()
    });
    assert_eq!(site.intents(), [""; 0]);
}

#[test]
fn a_note_outlives_the_push_that_recorded_it() {
    let site = Site::guaranteed();
    takes_options(&site, "");
    dies(&site);
    site.commit("file");
    site.try_push(&[
        "-o",
        "refpost.note=kept",
        "-o",
        "ci.token=s3cret",
        "origin",
        "main",
    ]);
    // Only what is ours is written down.
    let intent = site.spool().join("intent").join(&site.intents()[0]);
    let text = fs::read_to_string(intent).unwrap();
    assert!(
        text.contains("refpost.note=kept") && !text.contains("s3cret"),
        "{text}"
    );
    assert_eq!(notes(&site.flush()), ["kept"; 2]);
    // What was asked for in vain stays so, whatever is configured later.
    site.config("");
    site.commit("file");
    site.try_push(&["-o", "refpost.note=x", "-o", SKIP, "origin", "main"]);
    takes_options(&site, "");
    let flushed = site.flush();
    assert_eq!(flushed.len(), 1);
    assert!(flushed[0].whole["msg"].get("note").is_none());
    site.assert_quiet();
}

#[test]
fn under_a_broken_configuration_they_are_recorded_and_judged_later() {
    for is_on in [true, false] {
        let site = site("ulrs = []");
        let told = push(&site, &["refpost.note=kept"]);
        assert!(
            told.said.contains("recorded, to be announced"),
            "{}",
            told.said
        );
        let new = site.spool().join("new");
        let shown = site.refpost(["queue", "show", "--repo", "test.git"]);
        let shown = shown.arg(&names(&new)[0]).run().stdout;
        assert!(
            shown.contains("push option: refpost.note=kept\n"),
            "{shown}"
        );
        push(&site, &[SKIP]);
        assert_eq!(read_entry(&new.join(&names(&new)[1])).len(), 1);
        site.config(&format!("push_options = {is_on}"));
        let flushed = site.flush();
        let about: Vec<_> = flushed.iter().map(Message::about).collect();
        if is_on {
            assert_eq!(about, [CREATED, RECEIVED]);
            assert_eq!(notes(&flushed), ["kept"; 2]);
        } else {
            assert_eq!(about, [CREATED, RECEIVED, RECEIVED]);
            assert!(
                flushed
                    .iter()
                    .all(|it| it.whole["msg"].get("note").is_none())
            );
        }
        site.assert_quiet();
    }
}

#[test]
fn what_must_be_recorded_must_be_so_whatever_is_asked_for() {
    let site = Site::guaranteed();
    takes_options(&site, "require = true\nulrs = []");
    site.commit("file");
    let refused = site.try_push(&["-o", SKIP, "origin", "main"]);
    assert_ne!(refused.status, 0);
    assert!(
        refused.said.contains("the push is refused"),
        "{}",
        refused.said
    );
}

/// To post-update git says nothing of options: pre-receive has written them down.
#[test]
fn post_update_takes_them_from_the_intent() {
    let site = site("");
    site.link_only(&["pre-receive", "post-update"]);
    let told = push(&site, &["refpost.note=x"]);
    assert_eq!(notes(&told.messages), ["x"; 2]);
    let told = push(&site, &[SKIP]);
    assert_eq!((told.remote(), told.messages.len()), (vec![SKIPPED], 0));
    site.assert_quiet();
}

#[test]
fn what_a_hook_moves_is_not_the_pushers_to_skip() {
    let site = Site::guaranteed();
    takes_options(&site, "");
    site.hook(
        "post-receive",
        "REFPOST hook post-receive\ngit update-ref refs/heads/mirror main",
    );
    let told = push(&site, &[SKIP, "refpost.note=x"]);
    let created = ("git.branch.creation", "mirror");
    assert_eq!(told.about()[..1], [created], "{}", told.said);
    assert!(told.messages[0].whole["msg"].get("note").is_none());
    site.assert_quiet();
}

#[test]
fn a_push_of_many_batches_is_skipped_whole() {
    let site = site("");
    push(&site, &[]);
    let id = site.git(&["rev-parse", "HEAD"]);
    let mut lines = String::new();
    for n in 0..10_001 {
        writeln!(lines, "{ZEROS} {id} refs/tags/{n}").unwrap();
    }
    let hook = site.refpost(["hook", "post-receive"]).dir(&site.bare);
    let hook = hook.env("GIT_PUSH_OPTION_COUNT", "1");
    let ran = hook.env("GIT_PUSH_OPTION_0", SKIP).stdin(lines).run();
    assert_eq!(ran.stderr, format!("{SKIPPED}\n"));
    let mut files = files_below(&site.spool());
    // The push before it was recorded with its messages.
    files.retain(|file| !file.starts_with("sizes/"));
    assert_eq!(files, ["counts", "log"]);
    assert!(log(&site).contains("10001 refs not announced"));
}

#[test]
fn check_says_whether_git_offers_them() {
    let site = site("");
    let warning = "warning: `push_options` has no effect: git does not offer push options here\n\
                   hint: git -C test.git config receive.advertisePushOptions true\n";
    let check = || site.refpost(["check", "test.git"]).run().stdout;
    assert!(!check().contains(warning));
    site.bare_git(&["config", "--unset", "receive.advertisePushOptions"]);
    assert!(check().contains(warning), "{}", check());
    site.config("");
    assert!(!check().contains("push_options"));
}

#[test]
fn preview_shows_what_they_would_do() {
    let site = site("");
    push(&site, &[]);
    let id = site.git(&["rev-parse", "HEAD"]);
    let preview = |options: &[&str]| {
        let preview = site.refpost(["preview", "test.git"]);
        let line = format!("{ZEROS} {id} refs/heads/main\n");
        preview.args(options).stdin(line).run()
    };
    let ran = preview(&["-o", "refpost.note=x", "--push-option", "y"]).well();
    assert_eq!(ran.stdout.matches(r#""note": "x""#).count(), 2);
    let ran = preview(&["-o", SKIP]);
    assert_eq!((ran.status, ran.stdout.as_str()), (0, ""));
    assert_eq!(ran.stderr, format!("{SKIPPED}\n"));
}
