//! The last announced value of each ref of a repository.
//!
//! ```text
//! announced/own            of the repository that the spool is inside of
//! announced/<repository>   of another one
//! ```
//!
//! A header has the length of the part that is sorted by ref; lines `OID REF` that came later stand
//! behind it, and the last one of a ref counts. They are sorted in once they are longer than that
//! part, so that a move costs no more in a repository with many refs. An id of zeros is that of a
//! deleted ref, and names are those by which git keeps refs, those of namespaces too.
//!
//! The file exists only where it was begun with all refs; without it nothing is noted. Entries
//! are noted before they leave `new/`: whoever reads `new/` first, and then the file, sees each of
//! them. A push of which no entry is made is noted by its hook, unless older ones wait.
//!
//! Nothing is flushed to disk, and errors are no reason to keep an entry: a line that is lost costs
//! an announced move that is told as missing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::claim::RepositoryHash;
use super::entry::Entry;
use super::error::{IoContext, IoError, SpoolError};
use super::record::{Header, MOST_MOVED};
use super::{Name, Spool, disk};
use crate::event::{Oid, RefName, RefUpdate, namespace_prefix};

/// Directory of the files.
pub(super) const ANNOUNCED: &str = "announced";
/// Beginning of the header. The length of the sorted part follows.
const MAGIC: &str = "refpost-announced 1 ";
/// Length that no header reaches, in bytes.
const LONGEST_HEADER: usize = 64;
/// Number of bytes behind the sorted part that are always left there.
const ROOM: u64 = 4096;
/// Size of the largest file read, in bytes.
const LARGEST: u64 = 1 << 30;

/// The refs of a repository, by the names that git keeps them by, and their values.
pub type Refs = BTreeMap<RefName, Oid>;

/// Refs and their values after a move, `None` for a ref that was deleted.
pub type Ends = Vec<(RefName, Option<Oid>)>;

/// Moves of refs in several repositories, in their order.
#[derive(Debug, Default)]
pub(super) struct Moves(BTreeMap<PathBuf, Ends>);

impl Moves {
    /// Adds the moves of an entry.
    pub(super) fn add(&mut self, header: &Header) {
        let moves = ends_of(header);
        if !moves.is_empty() {
            let known = self.0.entry(header.repository.clone()).or_default();
            known.extend(moves);
        }
    }
}

impl Spool {
    /// Returns what was last announced of a repository, or `None` if that was never kept.
    pub fn announced(&self, repository: &Path) -> Result<Option<Refs>, IoError> {
        let name = self.announced_of(repository);
        match disk::open(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => {
                let read = opened.and_then(|file| read(&file));
                read.context("read", || name.path()).map(Some)
            }
        }
    }

    /// Begins to keep what is announced of a repository: these refs are.
    pub fn begin_announced(&self, repository: &Path, refs: &Refs) -> Result<(), IoError> {
        let name = self.announced_of(repository);
        disk::ensure_dir(name.folder(), self.access)?;
        self.put_announced(&name, refs)
    }

    /// Notes moves of which no entry is made. Returns false if older pushes wait in `new/`: then an
    /// entry behind them must note these.
    #[must_use]
    pub fn note_at_once(&self, repository: &Path, namespace: &Path, updates: &[RefUpdate]) -> bool {
        let name = self.announced_of(repository);
        if disk::stat(&name).is_err() {
            return true;
        }
        let mut are_older = false;
        let listed = disk::each_name(&self.new_dir(), &mut |_| are_older = true);
        if listed.is_err() || are_older {
            return false;
        }
        let prefix = namespace_prefix(namespace);
        let _ = self.append_announced(&name, &ends(&prefix, updates).collect::<Ends>());
        true
    }

    /// Notes the moves of entries that are about to leave `new/`.
    pub(super) fn note_announced(&self, moves: &Moves) {
        for (repository, moves) in &moves.0 {
            let _ = self.append_announced(&self.announced_of(repository), moves);
        }
    }

    /// Returns the moves of a repository's refs that were recorded and are not noted yet, the older
    /// ones first.
    pub fn moves_to_note(&self, repository: &Path) -> Result<Ends, SpoolError> {
        // Read in the order in which a push goes from one to the next.
        let spare = self.in_spare()?.into_iter().map(|(_, header)| header);
        let claims = self.claims()?;
        let new = self.ids_in_new()?;
        // One that is gone by now is noted, and one that cannot be read announces nothing.
        let new = new.iter().filter_map(|id| self.open_new(id).ok());
        let entries = new.chain(claims).map(Entry::into_header);
        let own = spare
            .chain(entries)
            .filter(|it| it.repository == repository);
        Ok(own.flat_map(|header| ends_of(&header)).collect())
    }

    /// Gives the file of a repository that was renamed its new name.
    pub(super) fn rename_announced(&self, old: &Path, new: &Path) -> Result<(), IoError> {
        let (old, new) = (self.announced_of(old), self.announced_of(new));
        disk::unless_gone(disk::rename(&old, &new)).map(drop)
    }

    fn append_announced(&self, name: &Name, moves: &Ends) -> Result<(), IoError> {
        let open = || disk::open_both(name).context("open", || name.path());
        let file = match disk::open_locked(name, open) {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let end = file.metadata().context("open", || name.path())?.len();
        let (header, sorted) = header(&file).context("read", || name.path())?;
        let Some(later) = end
            .checked_sub(header)
            .and_then(|all| all.checked_sub(sorted))
        else {
            return Err(damaged()).context("read", || name.path());
        };
        if later > sorted.max(ROOM) {
            let mut refs = read(&file).context("read", || name.path())?;
            apply(&mut refs, moves.iter().cloned());
            return self.put_announced(name, &refs);
        }
        let mut lines = Vec::new();
        let mut last = [b'\n'];
        // Behind a line that was not written to its end.
        let _ = file.read_at(&mut last, end - 1);
        if last != [b'\n'] {
            lines.push(b'\n');
        }
        for (name, id) in moves {
            write_line(&mut lines, name, *id);
        }
        disk::write_at(&file, name, end, &lines)
    }

    fn put_announced(&self, name: &Name, refs: &Refs) -> Result<(), IoError> {
        let mut lines = Vec::new();
        for (name, id) in refs {
            write_line(&mut lines, name, Some(*id));
        }
        let header = format!("{MAGIC}{}\n", lines.len());
        let tmp = format!(".{}", name.name().to_string_lossy());
        let tmp = name.folder().entry(tmp);
        disk::unlink(&tmp)?;
        let file = disk::create(&tmp, self.access)?;
        disk::write(&file, &tmp, &[header.as_bytes(), &lines])?;
        // Crash before: the former file is there, and `tmp`, which the next one replaces.
        disk::rename(&tmp, name)
    }

    fn announced_of(&self, repository: &Path) -> Name {
        let folder = self.root_dir().child(ANNOUNCED);
        if !self.below.as_os_str().is_empty() && repository == self.start {
            return folder.entry("own");
        }
        folder.entry(RepositoryHash::of(repository).as_str())
    }
}

/// Returns the refs that an entry announces, and their values. Messages that a person asked for come
/// with no move.
fn ends_of(header: &Header) -> Ends {
    let prefix = namespace_prefix(&header.namespace);
    let moved: Ends = ends(&prefix, header.all_moves()).collect();
    if !moved.is_empty() {
        return moved;
    }
    // Of many refs the messages alone tell.
    let messages = header.frozen().iter();
    let told = messages.filter_map(|message| {
        let [_, new] = message.ends.as_ref()?;
        let name = [&prefix, message.reference.as_bytes()].concat();
        Some((RefName::new(name), oid(new.as_bytes()).ok()?))
    });
    let told: BTreeMap<RefName, Option<Oid>> = told.collect();
    if told.len() > MOST_MOVED {
        told.into_iter().collect()
    } else {
        Ends::new()
    }
}

fn ends<'a>(
    prefix: &'a [u8],
    updates: impl IntoIterator<Item = &'a RefUpdate> + 'a,
) -> impl Iterator<Item = (RefName, Option<Oid>)> + 'a {
    updates.into_iter().map(move |update| {
        let name = [prefix, update.name.as_bytes()].concat();
        (RefName::new(name), update.new)
    })
}

/// Moves refs.
pub fn apply(refs: &mut Refs, moves: impl IntoIterator<Item = (RefName, Option<Oid>)>) {
    for (name, id) in moves {
        match id {
            Some(id) => drop(refs.insert(name, id)),
            None => drop(refs.remove(&name)),
        }
    }
}

fn write_line(to: &mut Vec<u8>, name: &RefName, id: Option<Oid>) {
    let id = id.map_or_else(|| "0".repeat(40), |id| id.to_string());
    to.extend_from_slice(id.as_bytes());
    to.push(b' ');
    to.extend_from_slice(name.as_bytes());
    to.push(b'\n');
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is damaged")
}

/// Returns the lengths of the header and of the sorted part.
fn header(file: &File) -> io::Result<(u64, u64)> {
    let mut bytes = [0; LONGEST_HEADER];
    let read = file.read_at(&mut bytes, 0)?;
    let end = bytes[..read].iter().position(|&byte| byte == b'\n');
    let line = end.and_then(|end| std::str::from_utf8(&bytes[..end]).ok());
    let line = line.ok_or_else(damaged)?;
    let sorted = line.strip_prefix(MAGIC).and_then(|text| text.parse().ok());
    Ok((line.len() as u64 + 1, sorted.ok_or_else(damaged)?))
}

/// Reads all of a file. A later line that cannot be parsed is passed over: its write was cut off.
fn read(file: &File) -> io::Result<Refs> {
    let (header, sorted) = header(file)?;
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    let length = |bytes: u64| usize::try_from(bytes).map_err(|_| damaged());
    let (header, sorted) = (length(header)?, length(sorted)?);
    let lines = bytes.get(header..).ok_or_else(damaged)?;
    let (sorted, later) = lines.split_at_checked(sorted).ok_or_else(damaged)?;
    let mut refs = Refs::new();
    for line in lines_of(sorted) {
        apply(&mut refs, [parse_line(line)?]);
    }
    apply(
        &mut refs,
        lines_of(later).filter_map(|line| parse_line(line).ok()),
    );
    Ok(refs)
}

fn lines_of(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = bytes.split_inclusive(|&byte| byte == b'\n');
    lines.filter(|line| *line != b"\n")
}

fn parse_line(line: &[u8]) -> io::Result<(RefName, Option<Oid>)> {
    let line = line.strip_suffix(b"\n").ok_or_else(damaged)?;
    let space = memchr::memchr(b' ', line).ok_or_else(damaged)?;
    let (id, name) = (&line[..space], &line[space + 1..]);
    if !name.starts_with(b"refs/") {
        return Err(damaged());
    }
    Ok((RefName::new(name), oid(id)?))
}

/// Parses digits. `None` for zeros.
fn oid(digits: &[u8]) -> io::Result<Option<Oid>> {
    let raw = hex::decode(digits).map_err(|_| damaged())?;
    if !matches!(raw.len(), 20 | 32) {
        return Err(damaged());
    }
    Ok(Oid::from_bytes(&raw))
}

#[cfg(test)]
mod tests {
    use super::super::Access;
    use super::*;

    fn id(digit: u8) -> Oid {
        Oid::from_bytes(&[digit; 20]).expect("an id")
    }

    fn update(name: &str, new: Option<u8>) -> RefUpdate {
        RefUpdate {
            old: None,
            new: new.map(id),
            name: RefName::new(name),
        }
    }

    /// The file was written anew at each push, however many refs it had.
    #[test]
    fn a_move_is_appended_and_sorted_in_when_there_are_many() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool::new(folder.path().join("spool"), Access::Owner);
        let (repository, team) = (Path::new("/srv/a.git"), Path::new("team"));
        assert!(spool.note_at_once(repository, team, &[update("refs/heads/a", Some(1))]));
        assert_eq!(spool.announced(repository).expect("none"), None);

        let begun: Refs = [(RefName::new("refs/heads/a"), id(1))].into();
        spool.begin_announced(repository, &begun).expect("begun");
        let path = spool.announced_of(repository).path();
        let length = || std::fs::metadata(&path).expect("a file").len();
        let at_first = length();
        let in_team = |name: &str| RefName::new(format!("refs/namespaces/team/{name}"));
        let (mut longest, mut times) = (0, 0);
        for n in 0..200_u8 {
            let name = format!("refs/heads/{}", n % 7);
            let new = (!n.is_multiple_of(7)).then_some(n + 1);
            let before = length();
            assert!(spool.note_at_once(repository, team, &[update(&name, new)]));
            longest = longest.max(length());
            times += usize::from(length() < before);
        }
        assert!(longest > at_first && longest < 8192, "{longest}");
        assert!(times > 1, "{times}");
        let known = spool.announced(repository).expect("read").expect("kept");
        assert_eq!(known.len(), 7, "{known:?}");
        assert_eq!(known.get(&in_team("refs/heads/0")), None);
        assert_eq!(known[&in_team("refs/heads/3")], id(200));

        // A write that was cut off costs its line, and not the next one.
        let mut text = std::fs::read(&path).expect("a file");
        text.extend_from_slice(b"0123");
        std::fs::write(&path, &text).expect("a file");
        assert!(spool.note_at_once(repository, team, &[update("refs/tags/x", Some(9))]));
        let known = spool.announced(repository).expect("read").expect("kept");
        assert_eq!((known.len(), known[&in_team("refs/tags/x")]), (8, id(9)));

        for text in [
            "",
            "refpost-announced 1 999\n",
            "refpost-announced 1 3\nxx\n",
        ] {
            std::fs::write(&path, text).expect("a file");
            let error = spool.announced(repository).expect_err("damaged");
            assert_eq!(error.source.to_string(), "it is damaged", "{text}");
            assert!(spool.note_at_once(repository, team, &[update("refs/tags/x", Some(9))]));
            spool.announced(repository).expect_err("damaged still");
        }
    }
}
