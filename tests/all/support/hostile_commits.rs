//! Commits that no git writes.

use super::Hostile;

/// What is wrong with a commit.
pub(super) const COMMIT_FLAWS: [&str; 31] = [
    "commit: a line twice",
    "commit: two lines swapped",
    "commit: a line left out",
    "commit: half a line",
    "commit: a parent behind the committer",
    "commit: a missing parent behind the committer",
    "commit: a missing parent",
    "commit: a parent of twice the length",
    "commit: a parent of half the length",
    "commit: an author of nothing",
    "commit: an author without address",
    "commit: an author without date",
    "commit: an author without zone",
    "commit: an address without end",
    "commit: two addresses",
    "commit: blanks around name and address",
    "commit: a date of no number",
    "commit: a negative date",
    "commit: a date beyond 64 bits",
    "commit: a date beyond 63 bits",
    "commit: a date beyond 32 bits",
    "commit: a date after the year 9999",
    "commit: a date of 1970",
    "commit: a zone of no clock",
    "commit: a zone of no number",
    "commit: another encoding",
    "commit: an encoding of nobody",
    "commit: a byte of no text",
    "commit: a zero byte",
    "commit: cut",
    "commit: no message",
];

/// The header of a commit that is made.
struct Header {
    parents: Vec<String>,
    author: String,
    committer: String,
    author_date: String,
    committer_date: String,
}

impl Hostile {
    /// Every second commit has a flaw, one after the other, and some have another one.
    pub(super) fn commit(&mut self, number: usize) -> String {
        let tree = self.any(&self.trees.clone());
        let mut flaws = Vec::new();
        if number % 2 == 1 {
            flaws.push(COMMIT_FLAWS[number / 2 % COMMIT_FLAWS.len()]);
        }
        if self.one_in(12) {
            flaws.push(self.any(&COMMIT_FLAWS));
        }
        let mut header = self.header();
        for flaw in &flaws {
            self.spoil_person(flaw, &mut header);
        }
        let mut lines = vec![format!("tree {tree}")];
        let parents = header.parents.iter();
        lines.extend(parents.map(|parent| format!("parent {parent}")));
        lines.push(format!("author {}{}", header.author, header.author_date));
        let (committer, date) = (header.committer, header.committer_date);
        lines.push(format!("committer {committer}{date}"));
        for flaw in &flaws {
            self.spoil_lines(flaw, &mut lines);
        }
        let number = self.commits.len();
        let message = self.any(&[
            "message N\n",
            "",
            "\n\n lead, N\n",
            "N without end",
            "Subject\n\nAnd a body: \u{e9} \u{1f600}\n\n",
        ]);
        let message = message.replace('N', &number.to_string());
        let mut text = format!("{}\n\n{message}", lines.join("\n")).into_bytes();
        for flaw in &flaws {
            let at = usize::try_from(self.chance.below(text.len() as u64)).unwrap();
            match &flaw["commit: ".len()..] {
                "a byte of no text" => text[at] ^= 0x80,
                "a zero byte" => text[at] = 0,
                "cut" => text.truncate(at),
                "no message" => text.truncate(lines.join("\n").len() + 1),
                _ => {}
            }
        }
        let commit = self.write("commit", &text);
        self.has_flaws(&commit, flaws, &[tree]);
        commit
    }

    fn header(&mut self) -> Header {
        let count = [0, 1, 1, 1, 1, 2, 2, 3][usize::try_from(self.chance.below(8)).unwrap()];
        let count = if self.commits.is_empty() { 0 } else { count };
        let parents = (0..count).map(|_| {
            // Mostly of the last ones, so that there are chains.
            let last = self.commits.len().saturating_sub(4);
            let of = if self.one_in(3) { 0 } else { last };
            self.any(&self.commits.clone()[of..])
        });
        let parents = parents.collect();
        let mut person = || {
            let who = self.any(&[
                "Ada <a@x>",
                "Bob <b@x>",
                "Bob <b@y>",
                "Jos\u{e9} <j@x>",
                "<only@x>",
                "No Mail <>",
                "\"Q\" <q@x>",
            ]);
            who.to_owned()
        };
        let (author, committer) = (person(), person());
        let at = 1_700_000_000 + self.commits.len();
        let mut date = || {
            let at = if self.one_in(20) { at - 1000 } else { at };
            let zone = self.any(&["+0000", "+0000", "+0200", "-0530", "-0001", "+1400"]);
            format!(" {at} {zone}")
        };
        let (author_date, committer_date) = (date(), date());
        Header {
            parents,
            author,
            committer,
            author_date,
            committer_date,
        }
    }

    /// Does something to author, committer or their dates.
    fn spoil_person(&mut self, flaw: &str, header: &mut Header) {
        let date = match &flaw["commit: ".len()..] {
            "an author of nothing" => return header.author.clear(),
            "an author without address" => return header.author = String::from("nobody at all"),
            "an author without date" => return header.author_date.clear(),
            "an author without zone" => return header.author_date = String::from(" 1700000000"),
            "an address without end" => return header.author = String::from("Ada <a@x"),
            "two addresses" => return header.author = String::from("Two <one@x> <two@x>"),
            "blanks around name and address" => {
                return header.author = String::from("  Spaces \t  <  s@x >");
            }
            "a date of no number" => "x +0100",
            "a negative date" => "-1 +0100",
            "a date beyond 64 bits" => "99999999999999999999 +0100",
            "a date beyond 63 bits" => "9223372036854775808 +0100",
            "a date beyond 32 bits" => self.any(&["4294967296 +0100", "17179869184 -0100"]),
            "a date after the year 9999" => "253402300800 +0000",
            "a date of 1970" => "0 +0000",
            "a zone of no clock" => {
                let zones = ["+9999", "-9999", "+2400", "+0160", "-0099", "+1"];
                header.author_date = format!(" 1700000000 {}", self.any(&zones));
                return;
            }
            "a zone of no number" => {
                let zones = ["0100", "UTC", "+", "+1h", "+99999999999", "+2147483647"];
                header.author_date = format!(" 1700000000 {}", self.any(&zones));
                return;
            }
            _ => return,
        };
        header.author_date = format!(" {date}");
        header.committer_date = format!(" {date}");
    }

    /// Does something to the lines of a header.
    fn spoil_lines(&mut self, flaw: &str, lines: &mut Vec<String>) {
        let at = usize::try_from(self.chance.below(lines.len() as u64)).unwrap();
        let to = usize::try_from(self.chance.below(lines.len() as u64)).unwrap();
        let parent = match self.commits.last() {
            Some(last) => last.clone(),
            None => self.nowhere(),
        };
        match &flaw["commit: ".len()..] {
            "a line twice" => lines.insert(to, lines[at].clone()),
            "two lines swapped" => lines.swap(at, to),
            "a line left out" => drop(lines.remove(at)),
            "a parent behind the committer" => lines.push(format!("parent {parent}")),
            "a missing parent behind the committer" => {
                lines.push(format!("parent {}", self.nowhere()));
            }
            "a missing parent" => lines.insert(1, format!("parent {}", self.nowhere())),
            "a parent of twice the length" => lines.insert(1, format!("parent {parent}{parent}")),
            "a parent of half the length" => {
                lines.insert(1, format!("parent {}", &parent[..parent.len() / 2]));
            }
            "half a line" => {
                let length = lines[at].len() / 2;
                if lines[at].is_char_boundary(length) {
                    lines[at].truncate(length);
                }
            }
            "another encoding" => {
                let encoding = self.any(&["ISO-8859-1", "UTF-8", "latin-1", "CP949"]);
                lines.push(format!("encoding {encoding}"));
            }
            "an encoding of nobody" => lines.push("encoding nonsense".to_owned()),
            _ => {}
        }
    }
}
