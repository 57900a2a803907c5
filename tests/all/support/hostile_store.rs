//! Where the objects of a hostile repository lie, and what happened to them there.

use std::fs;
use std::path::Path;

use super::{Hostile, Runner, only_git_opens};

/// The kinds of repositories.
pub(crate) const KINDS: [&str; 21] = [
    "loose",
    "packed",
    "mixed",
    "a multi-pack-index",
    "alternates",
    "quoted alternates",
    "a commit-graph",
    "a commit-graph of old generations",
    "a commit-graph of one layer",
    "a chain of commit-graphs",
    "a chain of commit-graphs of old generations",
    "shallow",
    "partial clone",
    "an object is gone",
    "an empty object",
    "an empty object beside a packed one",
    "a cut object",
    "a garbled object",
    "only git opens it",
    "SHA-256",
    "reftable",
];

impl Hostile {
    /// Brings the objects to where they lie. Kinds take turns by the seed, with cycles of lengths
    /// without a common divisor, so that all of them meet.
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
        self.lay(&all);
        self.write_graph();
        if self.seed % 11 < 2 {
            let edge = self.any(&self.commits.clone());
            fs::write(self.bare.join("shallow"), edge + "\n").unwrap();
            self.kinds.insert("shallow");
        }
        if self.seed % 13 < 2 {
            self.git(&["config", "core.repositoryFormatVersion", "1"]);
            self.git(&["config", "extensions.partialClone", "origin"]);
            self.git(&["config", "remote.origin.promisor", "true"]);
            self.git(&["config", "remote.origin.url", "file:///nowhere"]);
            let blobs = self.blobs.clone();
            for blob in &blobs {
                self.damage(blob, "gone");
            }
            self.kinds.insert("partial clone");
        }
        if self.seed.is_multiple_of(3) {
            let at = usize::try_from(self.seed / 3 % 4).unwrap();
            let how = ["gone", "empty", "cut", "garbled"][at];
            let victim = self.any(&all);
            let kind = self.damage(&victim, how);
            self.kinds.extend(kind);
        }
        if self.seed % 17 < 4 {
            only_git_opens(&self.bare);
            self.kinds.insert("only git opens it");
        }
        self.story = format!("seed {}, {head}, {:?}", self.seed, self.kinds);
    }

    fn lay(&mut self, all: &[String]) {
        // One object of those that lie by themselves can be damaged: there are more of them.
        let ways = [
            "loose",
            "packed",
            "mixed",
            "a multi-pack-index",
            "alternates",
            "quoted alternates",
            "loose",
        ];
        let way = ways[usize::try_from(self.seed % 7).unwrap()];
        match way {
            "packed" => self.pack(all),
            "mixed" => self.pack(&all[..all.len() / 2]),
            "a multi-pack-index" => {
                let (one, other) = all.split_at(all.len() / 2);
                self.pack(one);
                self.pack(other);
                self.git(&["multi-pack-index", "write"]);
                assert!(self.bare.join("objects/pack/multi-pack-index").exists());
            }
            "alternates" | "quoted alternates" => {
                let base = self.environment.path("base objects");
                fs::rename(self.bare.join("objects"), &base).unwrap();
                fs::create_dir_all(self.bare.join("objects/info")).unwrap();
                fs::create_dir_all(self.bare.join("objects/pack")).unwrap();
                let mut line = base.display().to_string();
                if way == "quoted alternates" {
                    line = format!("\"{line}\"");
                }
                fs::write(self.bare.join("objects/info/alternates"), line + "\n").unwrap();
            }
            _ => {}
        }
        self.kinds.insert(way);
    }

    /// Writes a commit-graph of the commits that one can have.
    fn write_graph(&mut self) {
        let graph = ["none", "one", "chain", "old", "old chain"];
        let graph = graph[usize::try_from(self.seed % 5).unwrap()];
        if graph == "none" {
            return;
        }
        let version = if graph.starts_with("old") { "1" } else { "2" };
        let version = format!("commitGraph.generationVersion={version}");
        let mut args = vec!["-c", &version, "commit-graph", "write", "--stdin-commits"];
        args.push(if graph.ends_with("chain") {
            "--split=no-merge"
        } else {
            "--append"
        });
        for id in &self.commits {
            // It fails for a commit that reaches what is missing.
            let run = self.environment.run("git").dir(&self.bare).args(&args);
            run.stdin(id.clone() + "\n").run();
        }
        let info = self.bare.join("objects/info");
        let chain = info.join("commit-graphs/commit-graph-chain");
        let chain = fs::read_to_string(chain).unwrap_or_default();
        let mut files = vec![info.join("commit-graph")];
        let layers = chain.lines();
        files.extend(layers.map(|id| info.join(format!("commit-graphs/graph-{id}.graph"))));
        let read: Vec<_> = files
            .iter()
            .filter_map(|file| fs::read(file).ok())
            .collect();
        let is_new = read
            .iter()
            .any(|file| file.windows(4).any(|it| it == b"GDA2"));
        let kind = match (read.len(), chain.is_empty(), is_new) {
            (0, ..) => return,
            (_, true, true) => "a commit-graph",
            (_, true, false) => "a commit-graph of old generations",
            (1, false, _) => "a commit-graph of one layer",
            (_, false, true) => "a chain of commit-graphs",
            (_, false, false) => "a chain of commit-graphs of old generations",
        };
        self.kinds.insert(kind);
    }

    /// Does something to an object that lies by itself, or lays an empty one beside one in a pack;
    /// the kind that the repository is from now on.
    fn damage(&self, id: &str, how: &str) -> Option<&'static str> {
        let of = |folder: &Path| folder.join(&id[..2]).join(&id[2..]);
        let own = of(&self.bare.join("objects"));
        let borrowed = of(&self.environment.path("base objects"));
        let Some(path) = [&own, &borrowed].into_iter().find(|path| path.exists()) else {
            if how == "empty" {
                fs::create_dir_all(own.parent().unwrap()).unwrap();
                fs::write(own, "").unwrap();
                return Some("an empty object beside a packed one");
            }
            return None;
        };
        let mut bytes = fs::read(path).unwrap();
        let kind = match how {
            "gone" => {
                fs::remove_file(path).unwrap();
                return Some("an object is gone");
            }
            "empty" => {
                bytes.clear();
                "an empty object"
            }
            "cut" => {
                bytes.truncate(bytes.len() - 5);
                "a cut object"
            }
            _ => {
                bytes.iter_mut().skip(4).for_each(|byte| *byte ^= 0x55);
                "a garbled object"
            }
        };
        fs::write(path, bytes).unwrap();
        Some(kind)
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

    /// Paths of what differs between two commits, with letters; `None`: git cannot tell.
    pub(crate) fn files(&self, from: Option<&str>, to: &str) -> Option<Vec<(Vec<u8>, String)>> {
        let tree = |id| self.line(&["log", "--no-walk", "--format=%T", id]);
        if from.is_some_and(|from| tree(from) == tree(to)) {
            // Be it there or not.
            return Some(Vec::new());
        }
        let empty = self.line(&["hash-object", "-t", "tree", "/dev/null"])?;
        let from = from.map_or(empty, |from| format!("{from}^{{tree}}"));
        let to = format!("{to}^{{tree}}");
        let diff = ["diff-tree", "--root", "-r", "-z", "--name-status"];
        let listed = self.git(&[&diff[..], &[&from, &to]].concat())?;
        let mut fields = listed.split(|&byte| byte == 0);
        let mut files = Vec::new();
        while let (Some(letter), Some(path)) = (fields.next(), fields.next()) {
            let letter = String::from_utf8(letter.to_vec()).unwrap();
            files.push((path.to_vec(), letter));
        }
        files.sort();
        Some(files)
    }
}
