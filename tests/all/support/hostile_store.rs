//! Where the objects of a hostile repository lie, and what happened to them there.

use std::fs;

use super::{Hostile, Runner, only_git_opens};

impl Hostile {
    /// Brings the objects to where they lie.
    pub(super) fn store(&mut self) {
        let tip = self.any(&self.commits.clone());
        let mut head = "refs/heads/main";
        if self.one_in(4) {
            head = "refs/heads/unborn";
        }
        self.git(&["update-ref", "refs/heads/main", &tip]);
        self.git(&["symbolic-ref", "HEAD", head]);
        let all: Vec<_> = [&self.blobs, &self.trees, &self.commits, &self.tags]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        let way = self.any(&["loose", "packed", "mixed", "multi", "alternates", "quoted"]);
        match way {
            "packed" => self.pack(&all),
            "mixed" => self.pack(&all[..all.len() / 2]),
            "multi" => {
                let (one, other) = all.split_at(all.len() / 2);
                self.pack(one);
                self.pack(other);
                self.git(&["multi-pack-index", "write"]);
            }
            "alternates" | "quoted" => {
                let base = self.environment.path("base objects");
                fs::rename(self.bare.join("objects"), &base).unwrap();
                fs::create_dir_all(self.bare.join("objects/info")).unwrap();
                fs::create_dir_all(self.bare.join("objects/pack")).unwrap();
                let mut line = base.display().to_string();
                if way == "quoted" {
                    line = format!("\"{line}\"");
                }
                fs::write(self.bare.join("objects/info/alternates"), line + "\n").unwrap();
            }
            _ => {}
        }
        let graph = self.any(&["none", "none", "one", "chain", "old"]);
        if graph != "none" {
            let version = if graph == "old" { "1" } else { "2" };
            let version = format!("commitGraph.generationVersion={version}");
            let mut args = vec!["-c", &version, "commit-graph", "write", "--stdin-commits"];
            if graph == "chain" {
                args.push("--split=no-merge");
            }
            let half = self.commits.len() / 2;
            for upto in [half, self.commits.len()] {
                let ids = self.commits[..upto].join("\n") + "\n";
                let run = self.environment.run("git").dir(&self.bare).args(&args);
                run.stdin(ids).run();
            }
        }
        let mut more = Vec::new();
        if self.one_in(8) {
            let edge = self.any(&self.commits.clone());
            fs::write(self.bare.join("shallow"), edge + "\n").unwrap();
            more.push("shallow");
        }
        if self.one_in(8) {
            self.git(&["config", "core.repositoryFormatVersion", "1"]);
            self.git(&["config", "extensions.partialClone", "origin"]);
            self.git(&["config", "remote.origin.promisor", "true"]);
            self.git(&["config", "remote.origin.url", "file:///nowhere"]);
            let blobs = self.blobs.clone();
            for blob in &blobs {
                self.damage(blob, "gone");
            }
            more.push("partial");
        }
        if self.one_in(4) {
            let victim = self.any(&all);
            let how = self.any(&["gone", "empty", "cut", "garbled"]);
            self.damage(&victim, how);
            more.push(how);
        }
        if self.one_in(4) {
            only_git_opens(&self.bare);
            more.push("only git opens it");
        }
        self.story = format!("{}, {head}, {way}, graph: {graph}, {more:?}", self.story);
    }

    /// Does something to an object that lies by itself in the repository.
    fn damage(&self, id: &str, how: &str) {
        let path = self.bare.join("objects").join(&id[..2]).join(&id[2..]);
        let Ok(mut bytes) = fs::read(&path) else {
            return;
        };
        match how {
            "gone" => return fs::remove_file(path).unwrap(),
            "empty" => bytes.clear(),
            "cut" => bytes.truncate(bytes.len() - 5),
            _ => bytes.iter_mut().skip(4).for_each(|byte| *byte ^= 0x55),
        }
        fs::write(path, bytes).unwrap();
    }

    fn pack(&self, ids: &[String]) {
        let name = self.bare.join("objects/pack/pack");
        let args = ["pack-objects", "-q", name.to_str().unwrap()];
        let run = self.environment.run("git").dir(&self.bare).args(args);
        run.stdin(ids.join("\n") + "\n").run().well();
        for id in ids {
            self.damage(id, "gone");
        }
    }

    /// What git answers; `None`: it fails.
    pub(crate) fn git(&self, args: &[&str]) -> Option<Vec<u8>> {
        let run = self.environment.run("git").dir(&self.bare);
        // `git log` reads the tree of HEAD for it.
        let run = run.args(["-c", "log.mailmap=false"]);
        let run = run.args(["-c", "advice.graftFileDeprecated=false"]);
        let run = run.args(args).env("GIT_NO_REPLACE_OBJECTS", "1");
        let run = run.env("GIT_GRAFT_FILE", "/dev/null");
        let ran = run.env("GIT_NO_LAZY_FETCH", "1").run();
        (ran.status == 0).then_some(ran.bytes)
    }

    /// The same, as a line of text.
    pub(crate) fn line(&self, args: &[&str]) -> Option<String> {
        let bytes = self.git(args)?;
        Some(String::from_utf8(bytes).unwrap().trim_end().to_owned())
    }

    /// git in the repository, about to run.
    pub(crate) fn run(&self) -> Runner {
        self.environment.run("git").dir(&self.bare)
    }
}
