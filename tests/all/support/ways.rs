//! The two ways of reading a repository, and what is told each way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs::{self, File};
use std::path::Path;

use serde_json::{Value, json};

use super::{Message, Request, Site, ZEROS};

/// An extension that git knows and that changes nothing (gitrepository-layout(5) and
/// git's `repository-version` document); libgit2 opens no repository that has it.
const ONLY_GIT: &str = "\n[core]\n\trepositoryformatversion = 1\n[extensions]\n\tnoop-v1 = true\n";

/// From now on this repository is read through git: libgit2 cannot open it.
pub(crate) fn only_git_opens(git_dir: &Path) {
    write_config(git_dir, |config| config.extend(ONLY_GIT.as_bytes()));
}

/// And from now on libgit2 can again.
pub(crate) fn libgit2_opens(git_dir: &Path) {
    write_config(git_dir, |config| {
        let length = config.len() - ONLY_GIT.len();
        assert_eq!(config.split_off(length), ONLY_GIT.as_bytes());
    });
}

/// Messages tell when the configuration was changed: it never was.
fn write_config(git_dir: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let path = git_dir.join("config");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let mut config = fs::read(&path).unwrap();
    change(&mut config);
    fs::write(&path, config).unwrap();
    let file = File::options().append(true).open(&path).unwrap();
    file.set_modified(modified).unwrap();
}

/// What must be the same each way, in no order: of two pushes the refs may be in two.
fn told(messages: &[Message]) -> Vec<Value> {
    let told = |message: &Message| json!([message.topic(), message.whole["msg"]]);
    let mut told: Vec<_> = messages.iter().map(told).collect();
    told.sort_by_cached_key(Value::to_string);
    told
}

impl Site {
    /// Where every ref is.
    pub(super) fn refs(&self) -> BTreeMap<String, String> {
        let list = self.bare_git(&["for-each-ref", "--format=%(refname) %(objectname)"]);
        let pair = |line: &str| {
            let (name, id) = line.split_once(' ').unwrap();
            (name.to_owned(), id.to_owned())
        };
        list.lines().map(pair).collect()
    }

    /// The hook, in a repository that only git opens, says of what has moved since
    /// `before` what it said in the push.
    #[track_caller]
    pub(super) fn assert_told_by_git(&self, before: &BTreeMap<String, String>, said: &[Message]) {
        let after = self.refs();
        let zeros = ZEROS.to_owned();
        let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        let mut lines = String::new();
        for name in names {
            let id = |refs: &BTreeMap<String, String>| refs.get(name).unwrap_or(&zeros).clone();
            if before.get(name) != after.get(name) {
                writeln!(lines, "{} {} {name}", id(before), id(&after)).unwrap();
            }
        }
        if lines.is_empty() {
            // What ran was the hook alone.
            return;
        }
        only_git_opens(&self.bare);
        let hook = self.refpost(["hook", "post-receive"]).dir(&self.bare);
        let ran = hook.stdin(lines).run();
        libgit2_opens(&self.bare);
        let requests = self.receiver.take();
        let messages: Vec<_> = requests.iter().map(Request::message).collect();
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        assert_eq!(
            json!(told(&messages)),
            json!(told(said)),
            "git on the left, libgit2 on the right; {}",
            ran.stderr
        );
    }
}
