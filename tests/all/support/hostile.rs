//! Repositories of objects that nobody made in earnest, drawn from a seed.

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
use super::spooled::Chance;

/// A bare repository of hostile objects.
pub(crate) struct Hostile {
    pub(super) environment: Environment,
    pub(crate) bare: PathBuf,
    pub(super) chance: Chance,
    sha256: bool,
    pub(super) blobs: Vec<String>,
    pub(super) trees: Vec<String>,
    pub(super) commits: Vec<String>,
    pub(super) tags: Vec<String>,
    /// What was done, for whoever looks into a failure.
    pub(crate) story: String,
}

impl Hostile {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let environment = Environment::new();
        let sha256 = chance.below(4) == 0;
        let format = if sha256 { "sha256" } else { "sha1" };
        let format = format!("--object-format={format}");
        let root = environment.path("");
        let mut init = vec!["init", "-q", "--bare", "-b", "main", &format];
        let has_reftable = chance.below(6) == 0;
        init.extend(has_reftable.then_some("--ref-format=reftable"));
        init.push("test.git");
        environment.git(&root, &init);
        let mut made = Self {
            bare: environment.path("test.git"),
            environment,
            chance,
            sha256,
            blobs: Vec::new(),
            trees: Vec::new(),
            commits: Vec::new(),
            tags: Vec::new(),
            story: format!("seed {seed}, {format}, reftable: {has_reftable}"),
        };
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
    fn nowhere(&mut self) -> String {
        let digit = self.any(&["1", "a", "f"]);
        digit.repeat(if self.sha256 { 64 } else { 40 })
    }

    /// Writes an object that lies by itself.
    fn write(&self, kind: &str, content: &[u8]) -> String {
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
        for _ in 0..8 {
            let tree = self.tree();
            self.trees.push(tree);
        }
        for _ in 0..14 {
            let commit = self.commit();
            self.commits.push(commit);
        }
        for _ in 0..5 {
            let tag = self.tag();
            self.tags.push(tag);
        }
    }

    fn tree(&mut self) -> String {
        let mut entries = Vec::new();
        for name in ["a", "a.b", "b", "sub", "z"] {
            if self.one_in(3) {
                continue;
            }
            let is_folder = self.one_in(3) && !self.trees.is_empty();
            let (mut mode, mut id) = if is_folder {
                ("40000", self.any(&self.trees.clone()))
            } else {
                let mode = self.any(&["100644", "100644", "100755", "120000"]);
                (mode, self.any(&self.blobs.clone()))
            };
            let mut name = name.as_bytes().to_vec();
            match self.chance.below(30) {
                0 => (mode, id) = ("160000", self.nowhere()),
                1 => name = b".git".to_vec(),
                2 => name = b"x/y".to_vec(),
                3 => name = b"\xff\xfe".to_vec(),
                4 => mode = "100664",
                5 => mode = "7777777777777100644",
                6 => mode = "644",
                7 => mode = "040000",
                8 => mode = "50000",
                9 if self.one_in(8) => id = self.nowhere(),
                10 if self.one_in(8) => mode = "10064x",
                11 if self.one_in(8) => name.clear(),
                _ => {}
            }
            let raw = hex::decode(&id).unwrap();
            let entry = [mode.as_bytes(), b" ", &name, b"\0", &raw].concat();
            let sorts_as = [&name[..], if is_folder { b"/" } else { b"" }].concat();
            entries.push((sorts_as, entry));
        }
        if !entries.is_empty() && self.one_in(8) {
            let twice = self.any(&entries);
            entries.push(twice);
        }
        entries.sort();
        if self.one_in(8) {
            entries.reverse();
        }
        let mut content: Vec<u8> = entries.into_iter().flat_map(|it| it.1).collect();
        if self.one_in(120) {
            content.pop();
        }
        self.write("tree", &content)
    }

    fn commit(&mut self) -> String {
        let tree = self.any(&self.trees.clone());
        let mut lines = vec![format!("tree {tree}")];
        let parents = if self.commits.is_empty() {
            0
        } else {
            [0, 1, 1, 1, 1, 2, 2, 3][usize::try_from(self.chance.below(8)).unwrap()]
        };
        for _ in 0..parents {
            let late = self.commits.len().saturating_sub(5);
            let parent = self.any(&self.commits.clone()[late..]);
            lines.push(format!("parent {parent}"));
        }
        let at = 1_700_000_000 + self.commits.len();
        let wrong = [
            "0",
            "-1",
            "99999999999999999999",
            "17179869184",
            "x",
            "4294967296",
        ];
        let date = match self.chance.below(20) {
            0 => self.any(&wrong).to_owned(),
            1 => (at - 1000).to_string(),
            _ => at.to_string(),
        };
        let who = self.any(&[
            "Ada <a@x>",
            "Bob <b@x>",
            "Bob <b@y>",
            "Jos\u{e9} <j@x>",
            "<only@x>",
            "No Mail <>",
            "  Spaces   <  s@x >",
            "\"Q\" <q@x>",
            "Two <one@x> <two@x>",
        ]);
        let mut author = format!("author {who} {date} +0000");
        match self.chance.below(30) {
            0 => author = format!("author {who}"),
            1 => author.truncate("author".len()),
            2 => author = ["author", "nobody at all"].join(" "),
            3 => author = format!("author {who} {date}"),
            _ => {}
        }
        lines.push(author);
        lines.push(format!("committer C <c@x> {date} +0000"));
        if self.one_in(10) {
            let encoding = self.any(&["ISO-8859-1", "UTF-8", "latin-1", "nonsense", "CP949"]);
            lines.push(format!("encoding {encoding}"));
        }
        self.twist(&mut lines);
        let text = format!("{}\n\nmessage {}\n", lines.join("\n"), self.commits.len());
        let mut text = text.into_bytes();
        if self.one_in(20) {
            let at = self.chance.below(text.len() as u64);
            text[usize::try_from(at).unwrap()] ^= 0x80;
        }
        if self.one_in(80) {
            let length = self.chance.below(text.len() as u64);
            text.truncate(usize::try_from(length).unwrap());
        }
        self.write("commit", &text)
    }

    /// Does something to a header that no git writes.
    fn twist(&mut self, lines: &mut Vec<String>) {
        if !self.one_in(6) {
            return;
        }
        let at = usize::try_from(self.chance.below(lines.len() as u64)).unwrap();
        let to = usize::try_from(self.chance.below(lines.len() as u64)).unwrap();
        let parent = match self.commits.last() {
            Some(last) => last.clone(),
            None => self.nowhere(),
        };
        match self.chance.below(8) {
            0 => lines.insert(to, lines[at].clone()),
            1 => lines.swap(at, to),
            2 => drop(lines.remove(at)),
            3 => lines.push(format!("parent {parent}")),
            4 => lines.push(format!("parent {}", self.nowhere())),
            5 => lines.insert(1, format!("parent {}", self.nowhere())),
            6 => lines.insert(1, format!("parent {parent}{parent}")),
            _ => {
                let length = lines[at].len() / 2;
                if lines[at].is_char_boundary(length) {
                    lines[at].truncate(length);
                }
            }
        }
    }

    fn tag(&mut self) -> String {
        let kinds: Vec<_> = ["commit", "commit", "commit", "blob", "tree", "tag"].to_vec();
        let kind = self.any(&kinds);
        let target = match kind {
            "blob" => self.any(&self.blobs.clone()),
            "tree" => self.any(&self.trees.clone()),
            "tag" if !self.tags.is_empty() => self.any(&self.tags.clone()),
            _ => self.any(&self.commits.clone()),
        };
        let kind = if kind == "tag" && self.tags.is_empty() {
            "commit"
        } else {
            kind
        };
        let target = if self.one_in(10) {
            self.nowhere()
        } else {
            target
        };
        let mut lines = vec![
            format!("object {target}"),
            format!("type {kind}"),
            "tag x".to_owned(),
            "tagger T <t@x> 1700000000 +0000".to_owned(),
        ];
        if self.one_in(4) {
            let at = usize::try_from(self.chance.below(4)).unwrap();
            let twice = lines[at].clone();
            match self.chance.below(3) {
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, twice),
                _ => lines.swap(at, 3 - at),
            }
        }
        self.write("tag", format!("{}\n\nx\n", lines.join("\n")).as_bytes())
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
