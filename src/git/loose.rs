//! Objects that lie by themselves, as those of a small push do (git-config(1),
//! `receive.unpackLimit`): zlib's stream of `KIND LENGTH`, a zero byte and the content, in
//! a file that is called by the id (gitrepository-layout(5), `objects`).

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::{Decompress, FlushDecompress, Status};

use super::store::Kind;
use crate::event::Oid;

/// Files are shorter than this, and what is in them is no longer than that; others are for
/// libgit2 to read.
const LONGEST_FILE: usize = 8 << 10;
const LONGEST_OBJECT: usize = 16 << 10;

/// Reads an object. `None`: it does not lie there, or something in it is out of the
/// ordinary, and libgit2 must judge.
pub(super) fn read(objects: &Path, id: Oid) -> Option<(Kind, Vec<u8>)> {
    let digits = id.to_string();
    let (folder, name) = digits.split_at(2);
    let mut file = File::open(objects.join(folder).join(name)).ok()?;
    let mut packed = vec![0; LONGEST_FILE];
    // Of a file that is cut here the stream does not end.
    let length = file.read(&mut packed).ok()?;
    inflate(&packed[..length])
}

fn inflate(packed: &[u8]) -> Option<(Kind, Vec<u8>)> {
    let mut object = Vec::with_capacity(LONGEST_OBJECT);
    let mut stream = Decompress::new(true);
    let status = stream.decompress_vec(packed, &mut object, FlushDecompress::Finish);
    // The end comes after a checksum that is right.
    if !matches!(status, Ok(Status::StreamEnd)) || stream.total_in() != packed.len() as u64 {
        return None;
    }
    let end = memchr::memchr(0, &object)?;
    let header = std::str::from_utf8(&object[..end]).ok()?;
    let (kind, length) = header.split_once(' ')?;
    let kind = match kind {
        "commit" => Kind::Commit,
        "tree" => Kind::Tree,
        "blob" => Kind::Blob,
        "tag" => Kind::Tag,
        _ => return None,
    };
    let length: usize = length.parse().ok()?;
    object.drain(..=end);
    (length == object.len()).then_some((kind, object))
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

    #[test]
    fn what_is_whole_is_read_and_all_else_is_left() {
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
            "blob\0abc",
            "blub 3\0abc",
            "blob 3",
            "blob -3\0abc",
        ] {
            assert_eq!(inflate(&packed(odd.as_bytes())), None, "{odd}");
        }
    }

    #[test]
    fn a_bomb_takes_no_more_room_than_an_object_may() {
        let mut bomb = format!("blob {}\0", 1 << 20).into_bytes();
        bomb.resize(bomb.len() + (1 << 20), 0);
        assert_eq!(inflate(&packed(&bomb)), None);
    }
}
