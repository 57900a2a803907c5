//! Repositories of objects that nobody made in earnest, drawn from a seed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use refpost::event::RefUpdate;
use refpost::git::RefLines;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::Environment;
use super::hostile_commits::COMMIT_FLAWS;
use super::hostile_trees::TREE_FLAWS;
use super::spooled::Chance;

/// A bare repository of hostile objects.
pub(crate) struct Hostile {
    pub(super) environment: Environment,
    pub(crate) bare: PathBuf,
    pub(super) chance: Chance,
    pub(super) seed: u64,
    sha256: bool,
    pub(super) blobs: Vec<String>,
    pub(super) trees: Vec<String>,
    pub(super) commits: Vec<String>,
    pub(super) tags: Vec<String>,
    /// By the ids of objects.
    flaws: BTreeMap<String, BTreeSet<&'static str>>,
    /// What kinds of a repository this is.
    pub(crate) kinds: BTreeSet<&'static str>,
    /// The same, for whoever looks into a failure.
    pub(crate) story: String,
}

/// So many are made in a repository.
const TREES: usize = 8;
const COMMITS: usize = 14;
const TAGS: usize = 5;

/// What is wrong with objects.
pub(crate) const FLAWS: [&[&str]; 3] = [&TREE_FLAWS, &COMMIT_FLAWS, &TAG_FLAWS];

/// What is wrong with a tag.
const TAG_FLAWS: [&str; 5] = [
    "tag: of nothing",
    "tag: a line left out",
    "tag: a line twice",
    "tag: two lines swapped",
    "tag: of no commit",
];

impl Hostile {
    pub(crate) fn new(seed: u64) -> Self {
        let chance = Chance::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let environment = Environment::new();
        let sha256 = seed % 4 == 3;
        let format = if sha256 { "sha256" } else { "sha1" };
        let format = format!("--object-format={format}");
        let root = environment.path("");
        let mut init = vec!["init", "-q", "--bare", "-b", "main", &format];
        let has_reftable = seed % 19 < 3;
        init.extend(has_reftable.then_some("--ref-format=reftable"));
        init.push("test.git");
        environment.git(&root, &init);
        let mut made = Self {
            bare: environment.path("test.git"),
            environment,
            chance,
            seed,
            sha256,
            blobs: Vec::new(),
            trees: Vec::new(),
            commits: Vec::new(),
            tags: Vec::new(),
            flaws: BTreeMap::new(),
            kinds: BTreeSet::new(),
            story: String::new(),
        };
        made.kinds.extend(sha256.then_some("SHA-256"));
        made.kinds.extend(has_reftable.then_some("reftable"));
        made.fill();
        made.store();
        made
    }

    pub(super) fn one_in(&mut self, bound: u64) -> bool {
        self.chance.below(bound) == 0
    }

    pub(super) fn any<T: Clone>(&mut self, of: &[T]) -> T {
        let at = self.chance.below(of.len() as u64);
        of[usize::try_from(at).unwrap()].clone()
    }

    /// One that is not there.
    pub(super) fn nowhere(&mut self) -> String {
        let digit = self.any(&["1", "a", "f"]);
        digit.repeat(if self.sha256 { 64 } else { 40 })
    }

    /// Writes an object that lies by itself.
    pub(super) fn write(&self, kind: &str, content: &[u8]) -> String {
        let object = [format!("{kind} {}\0", content.len()).as_bytes(), content].concat();
        let id = if self.sha256 {
            hex::encode(Sha256::digest(&object))
        } else {
            hex::encode(Sha1::digest(&object))
        };
        let folder = self.bare.join("objects").join(&id[..2]);
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(&id[2..]);
        if !path.exists() {
            let file = File::create(path).unwrap();
            let mut stream = ZlibEncoder::new(file, Compression::fast());
            stream.write_all(&object).unwrap();
            stream.finish().unwrap();
        }
        id
    }

    fn fill(&mut self) {
        for at in 0..4 {
            let blob = self.write("blob", format!("{at}\n").as_bytes());
            self.blobs.push(blob);
        }
        // Numbers go on through all seeds, so that kinds take turns.
        let before = usize::try_from(self.seed).unwrap();
        for at in 0..TREES {
            let tree = self.tree(before.wrapping_mul(TREES).wrapping_add(at));
            self.trees.push(tree);
        }
        for at in 0..COMMITS {
            let commit = self.commit(before.wrapping_mul(COMMITS).wrapping_add(at));
            self.commits.push(commit);
        }
        for at in 0..TAGS {
            let tag = self.tag(before.wrapping_mul(TAGS).wrapping_add(at));
            self.tags.push(tag);
        }
    }

    /// Notes what is wrong with an object, and with those that it leads to.
    pub(super) fn has_flaws(
        &mut self,
        id: &str,
        flaws: impl IntoIterator<Item = &'static str>,
        of: &[String],
    ) {
        let mut all: BTreeSet<_> = flaws.into_iter().collect();
        all.extend(of.iter().flat_map(|id| self.flaws(id)));
        self.flaws.entry(id.to_owned()).or_default().extend(all);
    }

    /// What is wrong with an object, and with the tree of a commit or the target of a tag.
    pub(crate) fn flaws(&self, id: &str) -> impl Iterator<Item = &'static str> {
        self.flaws.get(id).into_iter().flatten().copied()
    }

    /// Every second tag has a flaw, one after the other.
    fn tag(&mut self, number: usize) -> String {
        let flaw = (number % 2 == 1).then(|| TAG_FLAWS[number / 2 % TAG_FLAWS.len()]);
        let kinds = [
            ("commit", &self.commits),
            ("tag", &self.tags),
            ("commit", &self.commits),
            ("blob", &self.blobs),
            ("commit", &self.commits),
            ("tree", &self.trees),
        ];
        let (kind, targets) = kinds[usize::try_from(self.chance.below(6)).unwrap()];
        let (kind, targets) = if targets.is_empty() {
            ("commit", self.commits.clone())
        } else {
            (kind, targets.clone())
        };
        let mut target = self.any(&targets);
        let of = [target.clone()];
        if flaw == Some("tag: of nothing") {
            target = self.nowhere();
        }
        let mut lines = vec![
            format!("object {target}"),
            format!("type {kind}"),
            "tag x".to_owned(),
            "tagger T <t@x> 1700000000 +0000".to_owned(),
        ];
        let at = usize::try_from(self.chance.below(4)).unwrap();
        match flaw {
            Some("tag: a line left out") => drop(lines.remove(at)),
            Some("tag: a line twice") => lines.insert(at, lines[at].clone()),
            Some("tag: two lines swapped") => lines.swap(at, 3 - at),
            _ => {}
        }
        let tag = self.write("tag", format!("{}\n\nx\n", lines.join("\n")).as_bytes());
        let flaws = flaw
            .into_iter()
            .chain((kind != "commit").then_some("tag: of no commit"));
        self.has_flaws(&tag, flaws, &of);
        tag
    }

    /// One ref update.
    pub(crate) fn update(&mut self) -> RefUpdate {
        let mut tips = self.commits.clone();
        tips.extend(self.commits.iter().rev().take(6).cloned());
        tips.extend(self.tags.clone());
        tips.push(self.nowhere());
        let zeros = "0".repeat(tips[0].len());
        let name = self.any(&[
            "refs/heads/x",
            "refs/heads/main",
            "refs/tags/x",
            "refs/notes/x",
        ]);
        let new = self.any(&tips);
        let old = match self.chance.below(3) {
            0 => zeros,
            _ => self.any(&tips),
        };
        let line = format!("{old} {new} {name}\n");
        let mut lines = RefLines::of_push(line.as_bytes());
        // One that moves nothing is none.
        lines
            .batch()
            .unwrap()
            .pop()
            .unwrap_or_else(|| self.update())
    }
}
