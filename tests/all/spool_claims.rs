//! Pushes are announced in the order in which their hooks began.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::spooled::{commits, eventually};
use crate::support::{Background, Spooled, may_take_minutes};

/// A hook that composes: it has one branch and more tags than a batch holds, and does not
/// know yet whether more follow.
struct Composing {
    hook: Child,
    commit: String,
}

/// Moves `main` without a hook, and begins the hook of that push.
fn compose(site: &Spooled) -> Composing {
    let hooks = site.bare.join("hooks");
    let aside = site.path("hooks-aside");
    let old = site.bare_git(&["rev-parse", "main"]);
    let commit = site.commit("first");
    fs::rename(&hooks, &aside).unwrap();
    site.push(&["main"]);
    fs::rename(&aside, &hooks).unwrap();
    let mut lines = format!("{old} {commit} refs/heads/main\n");
    let zeros = "0".repeat(old.len());
    for n in 0..10_000 {
        writeln!(lines, "{zeros} {commit} refs/tags/t{n}").unwrap();
    }
    let hook = site.refpost(["hook", "post-receive"]);
    let mut hook = hook.dir(&site.bare).env("GIT_DIR", ".").spawn_fed();
    let stdin = hook.stdin.as_mut().unwrap();
    stdin.write_all(lines.as_bytes()).unwrap();
    stdin.flush().unwrap();
    eventually("its place is claimed", || !site.names("claim").is_empty());
    Composing { hook, commit }
}

fn site() -> Spooled {
    let site = Spooled::new();
    site.configure("mode = \"spool\"", "topics = [\"git.receive\"]");
    site
}

#[test]
fn a_push_that_takes_long_to_compose_is_not_overtaken() {
    let site = site();
    let mut first = compose(&site);
    let (second, _) = site.announce();
    let mut flush = Background::start(site.refpost(["flush"]).arg(&site.bare));
    thread::sleep(Duration::from_millis(500));
    assert!(site.receiver.take().is_empty(), "the second came first");
    drop(first.hook.stdin.take());
    assert!(first.hook.wait().unwrap().success());
    assert!(flush.0.wait().unwrap().success());
    assert_eq!(commits(&site.receiver.take()), [first.commit, second]);
    assert!(site.files().is_empty(), "{:?}", site.files());
}

/// A flush waited for the older push for a minute, whatever its budget.
#[test]
fn a_hook_that_composes_held_a_flush_beyond_its_budget() {
    let site = site();
    let mut first = compose(&site);
    let (second, _) = site.announce();
    let begun = Instant::now();
    let flush = site.refpost(["flush", "--budget", "1s"]);
    flush.arg(&site.bare).run().well();
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert!(site.receiver.take().is_empty(), "the second came first");
    drop(first.hook.stdin.take());
    assert!(first.hook.wait().unwrap().success());
    assert_eq!(commits(&site.flush_well()), [first.commit, second]);
}

#[test]
fn a_hook_that_is_killed_while_it_composes_loses_nothing() {
    let site = site();
    let mut first = compose(&site);
    let (second, _) = site.announce();
    first.hook.kill().unwrap();
    first.hook.wait().unwrap();
    assert_eq!(commits(&site.flush_well()), [first.commit, second]);
    assert!(site.files().is_empty(), "{:?}", site.files());
}

#[test]
fn two_pushes_whose_hooks_began_in_the_other_order_are_announced_as_the_branch_moved() {
    let site = site();
    let hooks = site.bare.join("hooks");
    let aside = site.path("hooks-aside");
    let mut lines = vec![];
    for _ in 0..2 {
        let old = site.bare_git(&["rev-parse", "main"]);
        let commit = site.commit("one");
        fs::rename(&hooks, &aside).unwrap();
        site.push(&["main"]);
        fs::rename(&aside, &hooks).unwrap();
        lines.push((format!("{old} {commit} refs/heads/main\n"), commit));
    }
    for (line, _) in lines.iter().rev() {
        let hook = site.refpost(["hook", "post-receive"]);
        let hook = hook.dir(&site.bare).env("GIT_DIR", ".").stdin(line);
        assert_eq!(hook.run().status, 0);
    }
    let pushed: Vec<String> = lines.into_iter().map(|(_, commit)| commit).collect();
    assert_eq!(commits(&site.flush_well()), pushed);
    assert!(site.files().is_empty(), "{:?}", site.files());
}

/// It composes half a gigabyte.
#[test]
fn a_push_that_one_entry_cannot_hold_is_not_overtaken() {
    if !may_take_minutes() {
        return;
    }
    let site = Spooled::new();
    let described = format!("\n[project]\ndescription = \"{}\"\n", "x".repeat(500_000));
    let text = format!("refs = [\"refs/tags/z\"]\n{described}");
    site.configure("mode = \"spool\"", &text);
    site.push(&["main"]);
    site.flush().well();
    site.receiver.take();
    // The last of the tags falls into the second part.
    let mut script = String::new();
    for n in 0..600 {
        writeln!(script, "create refs/tags/t{n:03} main").unwrap();
    }
    writeln!(script, "create refs/tags/z main").unwrap();
    let update = ["update-ref", "--stdin"];
    site.git_run(&update).stdin(script).run().well();
    let mut first = Background::start(site.git_run(&["push", "-q", "--tags", "origin"]));
    eventually("its place is claimed", || !site.names("claim").is_empty());
    site.push(&[":refs/tags/z"]);
    assert!(
        !site.names("claim").is_empty(),
        "it came too late to be between"
    );
    assert!(first.0.wait().unwrap().success());
    let arrived = site.flush_well();
    let topics: Vec<String> = arrived
        .iter()
        .map(|request| request.message().topic().to_owned())
        .collect();
    assert_eq!(topics, ["git.tag.creation", "git.tag.deletion"]);
}
