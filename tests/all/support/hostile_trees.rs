//! Trees that no git writes.

use super::Hostile;

/// What is wrong with a tree.
pub(super) const TREE_FLAWS: [&str; 15] = [
    "tree: a submodule of nowhere",
    "tree: .git",
    "tree: a slash in a name",
    "tree: a name that is no text",
    "tree: a mode of a group's file",
    "tree: a mode of more than 32 bits",
    "tree: a mode of no kind",
    "tree: a mode with a zero before it",
    "tree: a mode of two kinds",
    "tree: a name twice",
    "tree: not sorted",
    "tree: an object of nowhere",
    "tree: a mode of no number",
    "tree: an empty name",
    "tree: cut",
];

/// From here on git reads no such tree; so there are fewer of them.
const UNREADABLE: usize = 11;

impl Hostile {
    /// Every second tree has a flaw, one after the other.
    pub(super) fn tree(&mut self, number: usize) -> String {
        let (round, at) = (number / 2 / TREE_FLAWS.len(), number / 2 % TREE_FLAWS.len());
        let is_left_out = at >= UNREADABLE && round % 3 > 0;
        let flaw = (number % 2 == 1 && !is_left_out).then(|| TREE_FLAWS[at]);
        let mut of = Vec::new();
        let mut entries = Vec::new();
        for name in ["a", "a.b", "b", "sub", "z"] {
            if self.one_in(3) {
                continue;
            }
            let is_folder = self.one_in(3) && !self.trees.is_empty();
            let (mode, id) = if is_folder {
                ("40000", self.any(&self.trees.clone()))
            } else {
                let mode = self.any(&["100644", "100644", "100755", "120000", "100644"]);
                (mode, self.any(&self.blobs.clone()))
            };
            of.push(id.clone());
            entries.push((mode, name.as_bytes().to_vec(), id));
        }
        if entries.is_empty() {
            let blob = self.any(&self.blobs.clone());
            entries.push(("100644", b"a".to_vec(), blob));
        }
        let at = self.chance.below(entries.len() as u64);
        let (mode, name, id) = &mut entries[usize::try_from(at).unwrap()];
        match flaw.map_or("", |flaw| &flaw["tree: ".len()..]) {
            "a submodule of nowhere" => (*mode, *id) = ("160000", self.nowhere()),
            ".git" => *name = b".git".to_vec(),
            "a slash in a name" => *name = b"x/y".to_vec(),
            "a name that is no text" => *name = b"\xff\xfe".to_vec(),
            "a mode of a group's file" => *mode = "100664",
            "a mode of more than 32 bits" => *mode = "7777777777777100644",
            "a mode of no kind" => *mode = "644",
            "a mode with a zero before it" => *mode = "040000",
            "a mode of two kinds" => *mode = "50000",
            "an object of nowhere" => *id = self.nowhere(),
            "a mode of no number" => *mode = "10064x",
            "an empty name" => name.clear(),
            _ => {}
        }
        if flaw == Some("tree: a name twice") {
            let twice = self.any(&entries);
            entries.push(twice);
        }
        entries.sort_by_cached_key(|(mode, name, _)| {
            let end = if *mode == "40000" { &b"/"[..] } else { b"" };
            [name, end].concat()
        });
        if flaw == Some("tree: not sorted") {
            entries.reverse();
        }
        let mut content = Vec::new();
        for (mode, name, id) in entries {
            let raw = hex::decode(&id).unwrap();
            content.extend([mode.as_bytes(), b" ", &name, b"\0", &raw].concat());
        }
        if flaw == Some("tree: cut") {
            content.pop();
        }
        let tree = self.write("tree", &content);
        self.has_flaws(&tree, flaw, &of);
        tree
    }
}
