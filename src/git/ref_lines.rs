//! `old new ref` lines, as git gives them to its hooks, a batch at a time.
//!
//! Nobody promises how many lines there are, or that they ever end: what is in
//! memory is one batch, one line, and the first few complaints.

use std::io::{self, BufRead, Read};

use crate::event::{Oid, RefName, RefUpdate};

/// Longer lines are refused: no file system holds such a ref, and memory is finite.
const LONGEST_LINE: u64 = 64 << 10;

/// Most updates in a batch.
pub const BATCH_UPDATES: usize = 10_000;

/// Most bytes of ref names in a batch. The header of its entry stays well below the length that the
/// spool reads, even with every byte of them escaped.
const BATCH_NAMES: usize = 2 << 20;

/// Whether a batch has as much as a batch holds, so that others may follow.
#[must_use]
pub fn is_full(batch: &[RefUpdate]) -> bool {
    let names = batch.iter().map(|update| update.name.as_bytes().len());
    batch.len() >= BATCH_UPDATES || names.sum::<usize>() >= BATCH_NAMES
}

/// Most malformed lines that are remembered; the rest are counted.
const MALFORMED_KEPT: usize = 20;

/// Most characters of a word that an error shows.
const LONGEST_WORD: usize = 80;

/// A malformed line. The lines around it still count.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read line {line} of the ref updates: {why}")]
pub struct Malformed {
    /// Counted from 1.
    pub line: usize,
    why: String,
}

/// The ref updates of a hook's standard input, one a line (githooks(5)).
pub struct RefLines<R> {
    input: R,
    line: Vec<u8>,
    number: usize,
    has_ended: bool,
    keeps_unmoved: bool,
    malformed: Vec<Malformed>,
    malformed_count: usize,
}

impl<R: BufRead> RefLines<R> {
    /// Those of a push (pre-receive, post-receive). A line whose two ids are the
    /// same, or both zero, moved nothing and is skipped: git itself reports the
    /// deletion of a ref that was not there in that way.
    pub fn of_push(input: R) -> Self {
        Self {
            input,
            line: Vec::new(),
            number: 0,
            has_ended: false,
            keeps_unmoved: false,
            malformed: Vec::new(),
            malformed_count: 0,
        }
    }

    /// Reads the lines of a transaction (reference-transaction), where zeros as the old id may mean
    /// "any". Passes over symbolic refs (`ref:…`) and names that are not below `refs/` (`HEAD`,
    /// `ORIG_HEAD`).
    pub fn of_transaction(input: R) -> Self {
        Self {
            keeps_unmoved: true,
            ..Self::of_push(input)
        }
    }

    /// The next updates, in their order; none: the input has ended. Only the last ones are
    /// fewer than [`is_full`] says.
    pub fn batch(&mut self) -> io::Result<Vec<RefUpdate>> {
        let mut updates = Vec::new();
        let mut names = 0;
        while updates.len() < BATCH_UPDATES && names < BATCH_NAMES {
            let Some(parsed) = self.next()? else {
                break;
            };
            match parsed {
                Ok(update) if update.old == update.new && !self.keeps_unmoved => {}
                Ok(update) => {
                    names += update.name.as_bytes().len();
                    updates.push(update);
                }
                Err(why) => self.complain(why),
            }
        }
        Ok(updates)
    }

    /// The first lines so far that are no ref updates.
    pub fn malformed(&self) -> &[Malformed] {
        &self.malformed
    }

    /// Returns the number of malformed lines so far.
    pub fn malformed_count(&self) -> usize {
        self.malformed_count
    }

    fn next(&mut self) -> io::Result<Option<Result<RefUpdate, String>>> {
        self.line.clear();
        let mut start = Read::take(&mut self.input, LONGEST_LINE);
        if self.has_ended || start.read_until(b'\n', &mut self.line)? == 0 {
            self.has_ended = true;
            return Ok(None);
        }
        self.number += 1;
        let ended = self.line.pop_if(|&mut byte| byte == b'\n').is_some();
        if !ended && self.line.len() as u64 == LONGEST_LINE {
            // The rest of it is part of the same line, whatever it looks like.
            self.input.skip_until(b'\n')?;
            return Ok(Some(Err("it is longer than 64 KiB".to_owned())));
        }
        Ok(Some(parse(&self.line)))
    }

    fn complain(&mut self, why: String) {
        self.malformed_count += 1;
        if self.malformed.len() < MALFORMED_KEPT {
            self.malformed.push(Malformed {
                line: self.number,
                why,
            });
        }
    }
}

fn parse(line: &[u8]) -> Result<RefUpdate, String> {
    let mut fields = line.splitn(3, |&byte| byte == b' ');
    let (Some(old), Some(new), Some(name)) = (fields.next(), fields.next(), fields.next()) else {
        return Err("expected `old new ref`".to_owned());
    };
    let update = RefUpdate {
        old: parse_oid(old)?,
        new: parse_oid(new)?,
        name: RefName::new(name),
    };
    if old.len() != new.len() {
        return Err("the two object ids differ in length".to_owned());
    }
    if !name.starts_with(b"refs/") || name.contains(&0) {
        return Err("the ref name does not start with `refs/`".to_owned());
    }
    Ok(update)
}

/// `None` for zeros: no object.
fn parse_oid(digits: &[u8]) -> Result<Option<Oid>, String> {
    let bytes = match digits.len() {
        40 | 64 => hex::decode(digits).ok(),
        _ => None,
    };
    let bytes = bytes.ok_or_else(|| {
        let word = String::from_utf8_lossy(digits);
        let word: String = word.chars().take(LONGEST_WORD).collect();
        format!("`{word}` is no object id: 40 or 64 hex digits are expected")
    })?;
    Ok(Oid::from_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all<R: BufRead>(mut lines: RefLines<R>) -> (Vec<RefUpdate>, RefLines<R>) {
        let mut updates = Vec::new();
        loop {
            let batch = lines.batch().expect("memory can be read");
            if batch.is_empty() {
                return (updates, lines);
            }
            updates.extend(batch);
        }
    }

    fn read(input: &[u8]) -> (Vec<RefUpdate>, Vec<usize>) {
        let (updates, lines) = all(RefLines::of_push(input));
        let malformed = lines.malformed().iter().map(|bad| bad.line).collect();
        (updates, malformed)
    }

    fn good(number: usize) -> String {
        format!("{} {} refs/tags/{number}\n", "0".repeat(40), "1".repeat(40))
    }

    #[test]
    fn good_lines_survive_bad_ones() {
        let (one, two) = ("1".repeat(40), "2".repeat(64));
        let (zero40, zero64) = ("0".repeat(40), "0".repeat(64));
        let input = format!(
            "{one} {zero40} refs/heads/a\nnonsense\n{zero64} {two} refs/tags/\u{e9} \"x\n\
             {one} {two} refs/heads/mixed\n{zero40} {zero40} refs/heads/none\n\
             {one}x {one}x refs/heads/digits\n{one} {zero40} HEAD\n\n{zero40} {one} refs/heads/last"
        );
        let (updates, malformed) = read(input.as_bytes());
        let names: Vec<_> = updates.iter().map(|update| update.name.full()).collect();
        assert_eq!(
            names,
            ["refs/heads/a", "refs/tags/\u{e9} \"x", "refs/heads/last"]
        );
        assert_eq!(updates[0].new, None);
        assert_eq!(updates[1].new.expect("set").to_string(), two);
        assert_eq!(malformed, [2, 4, 6, 7, 8]);
    }

    #[test]
    fn only_the_last_batch_is_not_full() {
        let zeros = "0".repeat(40);
        for (count, length) in [(BATCH_UPDATES + 1, 10), (100, 60_000), (BATCH_UPDATES, 10)] {
            let line = |n| format!("{zeros} {} refs/{n:0length$}\n", "1".repeat(40));
            let input: String = (0..count).map(line).collect();
            let mut lines = RefLines::of_push(input.as_bytes());
            let mut seen = 0;
            while seen < count {
                let batch = lines.batch().expect("memory can be read");
                seen += batch.len();
                assert!(is_full(&batch) || seen == count, "{seen} of {count}");
            }
        }
    }

    #[test]
    fn an_endless_line_is_skipped_whole() {
        let mut input = vec![b'x'; 3 << 20];
        input.extend(format!("\n{}", good(1)).into_bytes());
        let (updates, malformed) = read(&input);
        assert_eq!((updates.len(), malformed), (1, vec![1]));
    }

    /// A transaction's line was cut into pieces of the longest length, and each was
    /// read as a line.
    #[test]
    fn the_tail_of_a_long_line_is_no_line_of_its_own() {
        let longest = usize::try_from(LONGEST_LINE).expect("it is small");
        let tail = good(1);
        let input = format!("{}{tail}{}", "x".repeat(longest), good(2));
        for lines in [
            RefLines::of_push(input.as_bytes()),
            RefLines::of_transaction(input.as_bytes()),
        ] {
            let (updates, lines) = all(lines);
            assert_eq!(updates.len(), 1);
            assert_eq!(updates[0].name.full(), "refs/tags/2");
            assert_eq!(lines.malformed_count(), 1);
        }
    }

    #[test]
    fn a_line_is_refused_by_its_length_alone() {
        let start = good(1).trim_end().to_owned();
        let longest = usize::try_from(LONGEST_LINE).expect("it is small");
        for (length, is_taken) in [(longest - 1, true), (longest, false)] {
            let line = format!("{start}{}\n", "x".repeat(length - start.len()));
            let (updates, malformed) = read(format!("{line}{}", good(2)).as_bytes());
            assert_eq!(updates.len(), 1 + usize::from(is_taken), "{length}");
            assert_eq!(malformed.is_empty(), is_taken, "{length}");
        }
    }

    #[test]
    fn malformed_lines_are_counted_and_not_kept() {
        let input = format!("{}{}", "nonsense\n".repeat(1000), good(1));
        let (updates, lines) = all(RefLines::of_push(input.as_bytes()));
        assert_eq!(updates.len(), 1);
        assert_eq!(lines.malformed_count(), 1000);
        assert_eq!(lines.malformed().len(), MALFORMED_KEPT);
    }

    #[test]
    fn a_batch_ends_by_updates_or_by_names() {
        let input: String = (0..25_000).map(good).collect();
        let mut lines = RefLines::of_push(input.as_bytes());
        let mut sizes = Vec::new();
        loop {
            let batch = lines.batch().expect("memory can be read");
            sizes.push(batch.len());
            if batch.is_empty() {
                break;
            }
        }
        assert_eq!(sizes, [10_000, 10_000, 5000, 0]);

        let long = "x".repeat(60_000);
        let line = |n| format!("{}{long}\n", good(n).trim_end());
        let input: String = (0..100).map(line).collect();
        let mut lines = RefLines::of_push(input.as_bytes());
        let batch = lines.batch().expect("memory can be read");
        assert_eq!(batch.len(), BATCH_NAMES.div_ceil(60_000));
    }

    #[test]
    fn a_transaction_keeps_what_looks_unmoved() {
        let zeros = "0".repeat(40);
        let input = format!("{zeros} {zeros} refs/heads/a\nref:x ref:y HEAD\n");
        let (updates, _) = all(RefLines::of_transaction(input.as_bytes()));
        assert_eq!(updates.len(), 1);
        assert_eq!(updates[0].new, None);
    }
}
