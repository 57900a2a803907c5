//! The blocks of `spare`: a line `refpost-spare 1 <length> <SHA-256>`, then that number of bytes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::SystemTime;

use super::super::entry;
use super::super::names::id::Id;
use super::super::names::times;
use super::super::record::{Content, Draft, Header};
use crate::event::RefUpdate;

/// Number of slots.
pub(super) const SLOTS: usize = 64;
/// Size of a slot, and of the block before them all, in bytes.
pub(super) const BLOCK: usize = 4096;
/// Size of all blocks, in bytes.
pub(super) const SIZE: u64 = (BLOCK * (1 + SLOTS)) as u64;
/// The word that a block begins with, and its version.
const MAGIC: &str = "refpost-spare 1";

/// Pushes that could not be recorded for lack of room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Number of pushes, at least: a file system that never writes in place may have no room to
    /// count them.
    pub pushes: u64,
    /// Time of the last one that was counted.
    pub last: SystemTime,
}

impl Lost {
    pub(super) fn to_block(self) -> Vec<u8> {
        let text = format!("{} {}", self.pushes, times::seconds(self.last));
        block(text.as_bytes()).expect("a number and a time are short")
    }

    fn of_block(block: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text_of(block)?).ok()?;
        let (pushes, last) = text.split_once(' ')?;
        Some(Self {
            pushes: pushes.parse().ok()?,
            last: times::parse(last)?,
        })
    }
}

/// A push, or a part of one: a line `<id>`, and the header of an entry.
pub(super) struct Slot {
    /// Offset of its block in the file.
    pub(super) at: u64,
    pub(super) id: Id,
    pub(super) header: Header,
}

/// Returns whether all room is reserved, by the number of blocks of 512 bytes (stat(2)).
pub(super) fn is_whole(blocks: i64) -> bool {
    u64::try_from(blocks).is_ok_and(|blocks| blocks.saturating_mul(512) >= SIZE)
}

pub(super) fn used(length: u64) -> usize {
    let blocks = length.div_ceil(BLOCK as u64).saturating_sub(1);
    usize::try_from(blocks).map_or(SLOTS, |used| used.min(SLOTS))
}

/// Adds slots for these updates, halved until each part fits into one. Returns whether they fit.
pub(super) fn fill(
    deferred: &Draft,
    updates: &[RefUpdate],
    ends: bool,
    first: &Id,
    blocks: &mut Vec<Vec<u8>>,
) -> bool {
    let id = (0..blocks.len()).fold(first.clone(), |id, _| id.behind(1));
    let mut part: Header = deferred.with(Content::Deferred(updates.to_vec()));
    if !ends {
        // The last one settles the intents of all.
        part.confirms.clear();
    }
    let mut text = format!("{id}\n").into_bytes();
    text.extend(entry::header_bytes(&part));
    if let Some(block) = block(&text) {
        blocks.push(block);
        return true;
    }
    if updates.len() < 2 || blocks.len() > SLOTS {
        return false;
    }
    let (one, other) = updates.split_at(updates.len() / 2);
    fill(deferred, one, false, first, blocks) && fill(deferred, other, ends, first, blocks)
}

/// Makes a block of a text. Returns `None` if the text is too long.
fn block(text: &[u8]) -> Option<Vec<u8>> {
    let mut block = format!("{MAGIC} {} {}\n", text.len(), entry::checksum(text)).into_bytes();
    block.extend(text);
    (block.len() <= BLOCK).then(|| {
        block.resize(BLOCK, 0);
        block
    })
}

/// Returns the text of a block, if the block is whole.
fn text_of(block: &[u8]) -> Option<&[u8]> {
    let end = block.iter().position(|&byte| byte == b'\n')?;
    let line = std::str::from_utf8(&block[..end]).ok()?;
    let (length, checksum) = line.strip_prefix(MAGIC)?.trim_start().split_once(' ')?;
    let text = block[end + 1..].get(..length.parse().ok()?)?;
    (entry::checksum(text) == checksum).then_some(text)
}

pub(super) fn read_lost(file: &File) -> io::Result<Option<Lost>> {
    let mut block = [0; BLOCK];
    match file.read_exact_at(&mut block, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    Ok(Lost::of_block(&block))
}

pub(super) fn read_slots(file: &File) -> io::Result<Vec<Slot>> {
    let used = used(file.metadata()?.len());
    let mut bytes = vec![0; BLOCK * used];
    let mut read = 0;
    while read < bytes.len() {
        // A crash may have cut the last one off.
        match file.read_at(&mut bytes[read..], (BLOCK + read) as u64)? {
            0 => break,
            more => read += more,
        }
    }
    let blocks = bytes.chunks(BLOCK).enumerate();
    Ok(blocks.filter_map(|(n, block)| slot_of(n, block)).collect())
}

fn slot_of(number: usize, block: &[u8]) -> Option<Slot> {
    let text = text_of(block)?;
    let end = text.iter().position(|&byte| byte == b'\n')?;
    let id = Id::parse(std::str::from_utf8(&text[..end]).ok()?)?;
    let header: Header = serde_json::from_slice(&text[end + 1..]).ok()?;
    let at = (BLOCK * (1 + number)) as u64;
    matches!(header.content, Content::Deferred(_)).then_some(Slot { at, id, header })
}
