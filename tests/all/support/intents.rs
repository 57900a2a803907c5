//! Reads intents and entries of a spool, and tells which git there is.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Environment, Message, REFPOST, Request, Site};

/// A git of this machine.
pub(crate) struct Git {
    /// What `git --version` says.
    pub(crate) version: String,
    /// The program.
    pub(crate) program: PathBuf,
    /// A `PATH` on which it is found first.
    pub(crate) path: OsString,
}

impl Git {
    /// One of each version that is on the `PATH`.
    pub(crate) fn all() -> Vec<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        let mut versions = BTreeSet::new();
        let mut found = Vec::new();
        for folder in &folders {
            let program = folder.join("git");
            let Ok(output) = Command::new(&program).arg("--version").output() else {
                continue;
            };
            let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            if output.status.success() && versions.insert(version.clone()) {
                let path = [folder].into_iter().chain(&folders);
                let path = std::env::join_paths(path).unwrap();
                found.push(Self {
                    version,
                    program,
                    path,
                });
            }
        }
        assert!(!found.is_empty(), "no git is on the PATH");
        found
    }

    /// Whether it can keep refs in a reftable; one that cannot is told of.
    pub(crate) fn has_reftable(&self, environment: &Environment) -> bool {
        let probe = environment.path("probe");
        let init = ["init", "-q", "--bare", "--ref-format=reftable"];
        let ran = environment.run(&self.program).env("PATH", &self.path);
        let has = ran.args(init).arg(&probe).run().status == 0;
        if !has {
            eprintln!("{} has no reftable: nothing to test there", self.version);
        }
        has
    }
}

/// An entry's header, and its messages' bodies one after another.
fn split_entry(path: &Path) -> (Value, Vec<u8>) {
    let mut bytes = fs::read(path).unwrap();
    let line = bytes.iter().position(|&byte| byte == b'\n').unwrap();
    let first = String::from_utf8_lossy(&bytes[..line]).into_owned();
    let length: usize = first.split(' ').nth(2).unwrap().parse().unwrap();
    let header = serde_json::from_slice(&bytes[line + 1..=line + length]).unwrap();
    (header, bytes.split_off(line + 1 + length))
}

/// The bodies of an entry's messages.
pub(crate) fn read_bodies(path: &Path) -> Vec<String> {
    let (header, bodies) = split_entry(path);
    let messages = header["content"]["built"]["messages"].as_array().unwrap();
    let mut rest = &bodies[..];
    let bodies = messages.iter().map(|message| {
        let length = usize::try_from(message["length"].as_u64().unwrap()).unwrap();
        let (body, after) = rest.split_at(length);
        rest = after;
        String::from_utf8(body.to_owned()).unwrap()
    });
    bodies.collect()
}

/// What an entry or an intent holds: its messages, or else the ref updates.
pub(crate) fn read_entry(path: &Path) -> Vec<String> {
    let (header, _) = split_entry(path);
    let content = &header["content"];
    if let Some(messages) = content["built"]["messages"].as_array() {
        let text = |message: &Value, name: &str| message[name].as_str().unwrap().to_owned();
        let about = |message| format!("{} {}", text(message, "topic"), text(message, "reference"));
        return messages.iter().map(about).collect();
    }
    let updates = content["owed"].as_array().unwrap();
    updates.iter().map(ToString::to_string).collect()
}

/// The names in a folder, sorted; none if there is no such folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Takes what was recorded out of a spool: each entry's messages.
pub(crate) fn take_entries(spool: &Path) -> Vec<Vec<String>> {
    let new = spool.join("new");
    let take = |name: String| {
        let told = read_entry(&new.join(&name));
        fs::remove_file(new.join(name)).unwrap();
        told
    };
    names(&new).into_iter().map(take).collect()
}

impl Site {
    /// A site whose repository is linked with `enable --guaranteed`.
    pub(crate) fn guaranteed() -> Self {
        let site = Self::new();
        site.guarantee();
        site
    }

    pub(crate) fn guarantee(&self) {
        let enable = ["enable", "--guaranteed", "test.git"];
        self.refpost(enable).run().well();
        // Where a test begins without a spool, it goes on without one: what is announced is not kept.
        if names(&self.spool()) == ["announced"] {
            fs::remove_dir_all(self.bare.join("refpost")).unwrap();
        }
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.bare.join("refpost/spool")
    }

    /// The intents that nobody has settled.
    pub(crate) fn intents(&self) -> Vec<String> {
        names(&self.spool().join("intent"))
    }

    /// From now on messages leave with a flush only.
    pub(crate) fn spooled(&self) {
        let url = self.receiver.url("/hook");
        let config = format!("mode = \"spool\"\nurls = [\"{url}\"]\nunsigned = true\n");
        self.write("test.git/refpost.toml", config);
    }

    /// Flushes, and gives what arrived by it.
    #[track_caller]
    pub(crate) fn flush(&self) -> Vec<Message> {
        self.refpost(["flush", "test.git"]).run().well();
        self.receiver.take().iter().map(Request::message).collect()
    }

    /// Nothing is intended, nothing waits, and a flush sends nothing.
    #[track_caller]
    pub(crate) fn assert_quiet(&self) {
        let flushed = self.flush();
        let about: Vec<_> = flushed.iter().map(Message::about).collect();
        assert!(about.is_empty(), "{about:?}");
        assert_eq!(self.intents(), [""; 0]);
        assert_eq!(names(&self.spool().join("new")), [""; 0]);
        assert_eq!(names(&self.spool().join("tmp")), [""; 0]);
    }

    /// A hook that is a script: `REFPOST` in it is the binary.
    pub(crate) fn hook(&self, name: &str, text: &str) {
        let path = self.bare.join("hooks").join(name);
        fs::remove_file(&path).ok();
        let text = format!("#!/bin/sh\n{}\n", text.replace("REFPOST", REFPOST));
        self.script(&path, &text);
    }

    /// Links hooks to the binary, and only these.
    pub(crate) fn link_only(&self, linked: &[&str]) {
        let hooks = self.bare.join("hooks");
        fs::remove_dir_all(&hooks).unwrap();
        fs::create_dir(&hooks).unwrap();
        for name in linked {
            std::os::unix::fs::symlink(REFPOST, hooks.join(name)).unwrap();
        }
    }
}
