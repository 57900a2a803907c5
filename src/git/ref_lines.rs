//! `old new ref` lines, as git gives them to `pre-receive` and `post-receive`.

use std::io::{self, BufRead, Read};

use crate::event::{Oid, RefName, RefUpdate};

/// Longer lines are refused: no file system holds such a ref, and memory is finite.
const LONGEST_LINE: u64 = 1 << 20;

/// A line that is no ref update. The lines around it still count.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read line {line} of the ref updates: {why}")]
pub struct Malformed {
    /// Counted from 1.
    pub line: usize,
    why: &'static str,
}

/// Reads ref updates to the end of `input`, one a line (githooks(5), post-receive).
///
/// Lines that are none come back beside the good ones. A line whose two ids are
/// the same, or both zero, moved nothing and is skipped: git itself reports the
/// deletion of a ref that was not there in that way.
pub fn read_ref_lines(input: &mut dyn BufRead) -> io::Result<(Vec<RefUpdate>, Vec<Malformed>)> {
    let (mut updates, mut malformed) = (Vec::new(), Vec::new());
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if Read::take(&mut *input, LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.pop_if(|&mut byte| byte == b'\n').is_none() && line.len() as u64 == LONGEST_LINE {
            input.skip_until(b'\n')?;
            malformed.push(Malformed {
                line: number,
                why: "it is longer than 1 MiB",
            });
            continue;
        }
        match parse(&line) {
            Ok(update) if update.old == update.new => {}
            Ok(update) => updates.push(update),
            Err(why) => malformed.push(Malformed { line: number, why }),
        }
    }
    Ok((updates, malformed))
}

/// Reads what a transaction of refs is to do: which ref goes where (githooks(5),
/// reference-transaction). Symbolic refs (`ref:…`) and what is no ref below `refs/`
/// (`HEAD`, `ORIG_HEAD`) are left out.
pub fn read_transaction(input: &mut dyn BufRead) -> io::Result<Vec<(RefName, Option<Oid>)>> {
    let mut moves = Vec::new();
    let mut line = Vec::new();
    while {
        line.clear();
        Read::take(&mut *input, LONGEST_LINE).read_until(b'\n', &mut line)? > 0
    } {
        line.pop_if(|&mut byte| byte == b'\n');
        if let Ok(update) = parse(&line) {
            moves.push((update.name, update.new));
        }
    }
    Ok(moves)
}

fn parse(line: &[u8]) -> Result<RefUpdate, &'static str> {
    let mut fields = line.splitn(3, |&byte| byte == b' ');
    let (Some(old), Some(new), Some(name)) = (fields.next(), fields.next(), fields.next()) else {
        return Err("expected `old new ref`");
    };
    if old.len() != new.len() {
        return Err("the two object ids differ in length");
    }
    if !name.starts_with(b"refs/") || name.contains(&0) {
        return Err("the ref name does not start with `refs/`");
    }
    Ok(RefUpdate {
        old: parse_oid(old)?,
        new: parse_oid(new)?,
        name: RefName::new(name),
    })
}

/// `None` for zeros: no object.
fn parse_oid(digits: &[u8]) -> Result<Option<Oid>, &'static str> {
    const WHY: &str = "an object id is not 40 or 64 hex digits";
    if !matches!(digits.len(), 40 | 64) {
        return Err(WHY);
    }
    let bytes = hex::decode(digits).map_err(|_| WHY)?;
    Ok(Oid::from_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8]) -> (Vec<RefUpdate>, Vec<usize>) {
        let (updates, malformed) = read_ref_lines(&mut &input[..]).expect("a slice can be read");
        (updates, malformed.iter().map(|bad| bad.line).collect())
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
    fn an_endless_line_is_skipped_whole() {
        let mut input = vec![b'x'; 3 << 20];
        input
            .extend(format!("\n{} {} refs/heads/a\n", "0".repeat(40), "1".repeat(40)).into_bytes());
        let (updates, malformed) = read(&input);
        assert_eq!((updates.len(), malformed), (1, vec![1]));
    }
}
