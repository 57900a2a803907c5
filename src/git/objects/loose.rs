//! Objects that lie by themselves, as those of a small push do (git-config(1),
//! `receive.unpackLimit`): zlib's stream of `KIND LENGTH`, a zero byte and the content, in
//! a file that is called by the id (gitrepository-layout(5), `objects`).
//!
//! One that is not whole is as good as none: there may be another copy in a pack, and git
//! has the last word.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::{Decompress, FlushDecompress, Status};

use crate::git::objects::bytes::{Bytes, Kind};
use crate::git::objects::id::Id;
use crate::plain_file;

/// Most files are shorter, and are read at once.
const ORDINARY_FILE: usize = 8 << 10;
/// Most objects are no longer.
const ORDINARY_OBJECT: usize = 16 << 10;
/// No `KIND LENGTH` is longer.
const LONGEST_HEADER: usize = 32;

/// Most objects that are kept.
const MOST_KEPT: usize = 256;

/// none of which is longer.
const LONGEST_KEPT: usize = 4 << 10;

/// Returns the kind and the bytes of an object.
type Object = (Kind, Rc<[u8]>);

/// Objects that were read: a million refs at one commit, or a few folders that stand in
/// each other's places, are read but once each.
#[derive(Default)]
pub(in crate::git) struct Loose {
    kept: RefCell<HashMap<Id, Object>>,
}

impl Loose {
    /// Reads an object in a folder of objects; `None` if it does not lie there whole.
    pub(in crate::git) fn read(&self, folder: &Path, id: Id) -> Option<(Kind, Bytes<'static>)> {
        if let Some((kind, bytes)) = self.kept.borrow().get(&id) {
            return Some((*kind, Bytes::Kept(Rc::clone(bytes))));
        }
        let packed = packed(open(folder, id)?).ok()?;
        let (kind, bytes) = inflate(&packed)?;
        Some((kind, self.keep(id, kind, bytes)))
    }

    fn keep(&self, id: Id, kind: Kind, bytes: Vec<u8>) -> Bytes<'static> {
        if bytes.len() > LONGEST_KEPT {
            return Bytes::Owned(bytes);
        }
        let mut kept = self.kept.borrow_mut();
        if kept.len() == MOST_KEPT {
            kept.clear();
        }
        let bytes: Rc<[u8]> = bytes.into();
        kept.insert(id, (kind, Rc::clone(&bytes)));
        Bytes::Kept(bytes)
    }
}

/// Returns the kind of an object, from the beginning of its file.
pub(in crate::git) fn kind(folder: &Path, id: Id) -> Option<Kind> {
    let mut start = vec![0; ORDINARY_FILE];
    let length = open(folder, id)?.read(&mut start).ok()?;
    let mut object = Vec::with_capacity(LONGEST_HEADER);
    let mut stream = Decompress::new(true);
    // It ends in the midst; whether the rest is whole, nobody asks.
    let _ = stream.decompress_vec(&start[..length], &mut object, FlushDecompress::None);
    header(&object).map(|(kind, ..)| kind)
}

fn open(folder: &Path, id: Id) -> Option<File> {
    plain_file::open(&file(folder, id)).ok()
}

/// Returns the path of a loose object in a folder of objects.
pub(in crate::git) fn file(folder: &Path, id: Id) -> PathBuf {
    let digits = id.to_string();
    let (fan, name) = digits.split_at(2);
    folder.join(fan).join(name)
}

/// The bytes of a file.
fn packed(mut file: File) -> io::Result<Vec<u8>> {
    let mut packed = vec![0; ORDINARY_FILE];
    let length = file.read(&mut packed)?;
    packed.truncate(length);
    if length == ORDINARY_FILE {
        file.read_to_end(&mut packed)?;
    }
    Ok(packed)
}

/// Header of a loose object: its kind, its length, and the start of its content.
fn header(object: &[u8]) -> Option<(Kind, usize, usize)> {
    let start = &object[..object.len().min(LONGEST_HEADER)];
    let end = memchr::memchr(0, start)?;
    let (kind, length) = std::str::from_utf8(&start[..end]).ok()?.split_once(' ')?;
    Some((Kind::named(kind.as_bytes())?, length.parse().ok()?, end + 1))
}

/// Returns `None` for an object that ends too soon, or too late.
fn inflate(packed: &[u8]) -> Option<(Kind, Vec<u8>)> {
    let mut object = Vec::with_capacity(ORDINARY_OBJECT);
    let mut stream = Decompress::new(true);
    loop {
        let rest = packed.get(usize::try_from(stream.total_in()).ok()?..)?;
        let status = stream.decompress_vec(rest, &mut object, FlushDecompress::None);
        let (kind, length, start) = header(&object)?;
        match status {
            // The end comes after a checksum that is right.
            Ok(Status::StreamEnd) => {
                let is_whole =
                    stream.total_in() == packed.len() as u64 && object.len() - start == length;
                if object.len() <= ORDINARY_OBJECT {
                    // Whoever holds many holds no room for more of each.
                    return is_whole.then(|| (kind, object[start..].to_vec()));
                }
                object.drain(..start);
                return is_whole.then_some((kind, object));
            }
            // There is more, and no more room. What it says of itself is believed as far as
            // it has come.
            Ok(_) if object.len() == object.capacity() && object.len() - start <= length => {
                let missing = length.saturating_add(start + 1) - object.len();
                object.reserve_exact(missing.min(object.len()));
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    fn packed(object: &[u8]) -> Vec<u8> {
        let mut stream = ZlibEncoder::new(Vec::new(), Compression::fast());
        stream.write_all(object).expect("memory");
        stream.finish().expect("memory")
    }

    fn blob(length: usize) -> (Vec<u8>, Vec<u8>) {
        let content: Vec<u8> = (0..=250).cycle().step_by(7).take(length).collect();
        let object = [format!("blob {length}\0").as_bytes(), &content].concat();
        (packed(&object), content)
    }

    #[test]
    fn what_is_whole_is_read_and_nothing_else() {
        let blob = packed(b"blob 3\0a\0b");
        assert_eq!(inflate(&blob), Some((Kind::Blob, b"a\0b".to_vec())));
        let empty = packed(b"tree 0\0");
        assert_eq!(inflate(&empty), Some((Kind::Tree, vec![])));
        for end in 0..blob.len() {
            assert_eq!(inflate(&blob[..end]), None, "cut at {end}");
        }
        for at in 0..blob.len() {
            let mut damaged = blob.clone();
            damaged[at] ^= 0x10;
            let found = inflate(&damaged);
            // Between the content and its checksum there may be bits that mean nothing.
            let is_whole = found == inflate(&blob);
            assert!(found.is_none() || is_whole, "damaged at {at}");
        }
        assert_eq!(inflate(&[&blob[..], b"x"].concat()), None);
        for odd in [
            "blob 4\0abc",
            "blob 2\0abc",
            "blob\0abc",
            "blub 3\0abc",
            "blob 3",
            "blob -3\0abc",
        ] {
            assert_eq!(inflate(&packed(odd.as_bytes())), None, "{odd}");
        }
    }

    #[test]
    fn a_long_one_is_read_whole_or_not_at_all() {
        for length in [
            ORDINARY_OBJECT - 12,
            ORDINARY_OBJECT - 11,
            ORDINARY_OBJECT,
            1 << 20,
        ] {
            let (packed, content) = blob(length);
            assert_eq!(inflate(&packed), Some((Kind::Blob, content)), "{length}");
            assert_eq!(inflate(&packed[..packed.len() - 1]), None);
            assert_eq!(inflate(&packed[..packed.len() / 2]), None);
        }
    }

    #[test]
    fn a_bomb_takes_hardly_more_room_than_it_says() {
        let mut bomb = b"blob 9\0".to_vec();
        bomb.resize(bomb.len() + (64 << 20), 0);
        assert_eq!(inflate(&packed(&bomb)), None);
    }
}
