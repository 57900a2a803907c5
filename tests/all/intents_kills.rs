//! SIGKILL at every step of a push, many times: no ref that moved goes
//! unannounced, and none that did not is announced.
//!
//! The hooks are scripts around the binary that kill `git receive-pack`, the binary
//! or both: before it, while it runs, after it, or a while later, wherever the push
//! is by then. What happened is read from the refs after each push, and held
//! against what arrived at the end.

use std::collections::BTreeSet;
use std::fs;

use crate::intents_trial::{Shown, Trial};
use crate::support::{Git, Request, Site, is_long, names};

/// Returns the kills that each of the tests must come to, besides those of flushes.
fn kills_wanted() -> usize {
    if is_long() { 200 } else { 30 }
}

/// More pushes than it takes; a test that needs them all does not hit.
const MOST_PUSHES: usize = 800;

impl Trial {
    /// The moves that were announced, each `msg_id` once.
    fn announced(&self) -> Vec<Shown> {
        let mut ids = BTreeSet::new();
        let mut shown = Vec::new();
        for message in &self.arrived {
            if !ids.insert(message.msg_id().to_owned()) {
                continue;
            }
            let (topic, name) = message.about();
            let value = match topic {
                // It goes with a creation.
                "git.receive" if is_zeros(&message["old_commit"]) => continue,
                "git.receive" => &message["end_commit"],
                _ => &message["rev"],
            };
            let name = name.strip_prefix("refs/tags/").unwrap_or(name);
            let value = value.as_str().unwrap();
            shown.push((topic.to_owned(), name.to_owned(), value.to_owned()));
        }
        shown
    }

    fn kills(&self) -> usize {
        let kills = fs::read_to_string(self.site.path("kills"));
        kills.unwrap_or_default().lines().count()
    }

    fn until_killed_enough(&mut self) {
        let mut refs = self.refs();
        let mut pushes = 0;
        while self.kills() < kills_wanted() {
            pushes += 1;
            assert!(pushes <= MOST_PUSHES, "{} kills only", self.kills());
            let args = self.push(&refs);
            self.plan(args.iter().filter(|arg| arg.contains(':')).count());
            refs = self.run(&args, &refs);
            if self.random.one_in(3) {
                // A person whose push has died tries it again.
                self.plan(4);
                if self.random.one_in(2) {
                    fs::remove_file(self.site.path("plan")).unwrap();
                    self.site.write("plan", "none - 0 - - 0\n");
                }
                refs = self.run(&args, &refs);
            }
            if self.random.one_in(3) {
                self.flush();
            }
            if self.random.one_in(10) {
                self.site.write("plan", "none - 0 - - 0\n");
                self.bare_git(&["pack-refs", "--all"]);
            }
        }
    }

    fn finish(mut self) {
        self.until_killed_enough();
        for _ in 0..3 {
            self.site.refpost(["flush", "test.git"]).run().well();
        }
        let requests = self.site.receiver.take();
        self.arrived.extend(requests.iter().map(Request::message));
        assert_eq!(names(&self.site.spool().join("new")), [""; 0]);
        let moved: BTreeSet<_> = self.moved.iter().cloned().collect();
        let announced = self.announced();
        let lost: Vec<_> = moved.iter().filter(|it| !announced.contains(it)).collect();
        let made_up: Vec<_> = announced.iter().filter(|it| !moved.contains(it)).collect();
        let told: BTreeSet<_> = announced.iter().collect();
        let is_right = lost.is_empty() && made_up.is_empty();
        if !is_right || (!self.beside && told.len() != announced.len()) {
            let log = fs::read_to_string(self.site.spool().join("log")).unwrap();
            panic!(
                "lost: {lost:#?} made up: {made_up:#?} of {announced:#?}\n{}\n{log}",
                self.history.join("\n")
            );
        }
        assert!(
            moved.len() > kills_wanted() / 2,
            "{} refs moved",
            moved.len()
        );
        eprintln!(
            "{}: {} refs moved, {} announcements, {} kills, {} of flushes",
            self.git.version,
            moved.len(),
            announced.len(),
            self.kills(),
            self.flushes_killed
        );
    }
}

fn is_zeros(value: &serde_json::Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.bytes().all(|byte| byte == b'0'))
}

fn newest() -> Git {
    Git::all().remove(0)
}

#[test]
fn refs_in_files() {
    Trial::new(1, newest(), "files", &[]).finish();
}

#[test]
fn refs_in_files_with_reflogs() {
    let reflogs = ["core.logAllRefUpdates", "always"];
    Trial::new(2, newest(), "files", &reflogs).finish();
}

#[test]
fn refs_of_the_last_git_and_flushes_beside() {
    let mut trial = Trial::new(3, Git::all().pop().unwrap(), "files", &[]);
    trial.beside = true;
    trial.finish();
}

#[test]
fn refs_in_a_reftable_where_git_has_it() {
    let git = newest();
    let has_reftable = git.has_reftable(&Site::new());
    let format = if has_reftable { "reftable" } else { "files" };
    Trial::new(4, git, format, &[]).finish();
}
