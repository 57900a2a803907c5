//! The number of bytes that wait for each repository: a measure that is cheap to take in a hook.
//!
//! ```text
//! sizes/<repository>   a line for each entry with messages: its size, its id, the sum so far
//! ```
//!
//! A hook reads the last line of its own repository, whatever waits. If the sum comes to the
//! bound, all lines are read and the names in the spool listed, and lines of entries that are gone
//! are left out; no entry is opened. A flush that finds an empty spool removes all lines.
//!
//! The measure is no account. Nothing is flushed to disk; an entry whose line is lost by a crash is
//! not counted, and neither is one that was taken over from another spool or got another id.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::claim::RepositoryHash;
use super::error::{IoContext, IoError};
use super::names::id::Id;
use super::names::item::Item;
use super::{Folder, Name, Spool, disk};

/// Directory of the files.
pub(super) const SIZES: &str = "sizes";
/// Size of the largest file read, in bytes.
const LARGEST: u64 = 256 << 20;

/// A length that no line reaches, in bytes: it has two numbers, and an id, which is a file's name.
const LONGEST_LINE: usize = 512;

/// The size of each entry of a repository, by id.
type Sizes = HashMap<String, u64>;

impl Spool {
    /// Counts an entry of a repository after it was recorded.
    pub fn count_size(&self, repository: &Path, id: &Id, bytes: u64) {
        let name = self.sizes_of(repository);
        // After an error less is counted than waits.
        let _ = self.append_size(&name, id, bytes);
    }

    fn append_size(&self, name: &Name, id: &Id, bytes: u64) -> Result<(), IoError> {
        // Locked, so that each line has the sum of all before it.
        let file = disk::open_locked(name, || self.open_sizes(name))?;
        let end = file.metadata().context("open", || name.path())?.len();
        let (start, sum) = match sum_so_far(&file) {
            Some(sum) => ("", sum),
            // Behind a line that was not written to its end.
            None => ("\n", sum(&read(&file))),
        };
        let line = line(id.as_str(), bytes, sum.saturating_add(bytes));
        disk::write_at(&file, name, end, format!("{start}{line}").as_bytes())
    }

    fn open_sizes(&self, name: &Name) -> Result<File, IoError> {
        let opened = match disk::open_both(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                disk::ensure_dir(name.folder(), self.access)?;
                match disk::create(name, self.access) {
                    // Another hook was faster.
                    Err(error) if error.source.kind() == io::ErrorKind::AlreadyExists => {}
                    made => drop(made?),
                }
                disk::open_both(name)
            }
            opened => opened,
        };
        opened.context("open", || name.path())
    }

    /// Returns the number of bytes that wait for a repository, as far as they were counted.
    ///
    /// With `before`, only entries before that id count. The result may be too large if it is less
    /// than `most`.
    #[must_use]
    pub fn waiting_bytes(&self, repository: &Path, most: u64, before: Option<&Id>) -> u64 {
        let name = self.sizes_of(repository);
        let Ok(file) = disk::open(&name) else {
            return 0;
        };
        let known = sum_so_far(&file);
        if let Some(known) = known.filter(|&known| known < most) {
            return known;
        }
        let mut sizes = read(&file);
        let bytes = |sizes: &Sizes| {
            let is_before = |id: &str| before.is_none_or(|before| id < before.as_str());
            sum(sizes.iter().filter(|(id, _)| is_before(id)))
        };
        if bytes(&sizes) >= most
            && let Ok(waiting) = self.waiting_ids()
        {
            let all = sum(&sizes);
            let gone: Sizes = sizes.extract_if(|id, _| !waiting.contains(id)).collect();
            if !gone.is_empty() || Some(all) != known {
                // If that cannot be done, they are left out again the next time.
                let _ = self.leave_out(&name, &gone);
            }
        }
        bytes(&sizes)
    }

    /// Removes the lines of all repositories once nothing waits for any of them. A flush does not
    /// list what waits for others.
    pub(super) fn sweep_sizes(&self) -> Result<(), IoError> {
        let folder = self.root_dir().child(SIZES);
        let names = disk::names(&folder)?;
        if names.is_empty() || !self.queues()?.is_empty() || !self.ids_in_new()?.is_empty() {
            return Ok(());
        }
        for name in names {
            disk::unlink(&folder.entry(&name))?;
        }
        Ok(())
    }

    /// Removes the lines of entries that no longer wait.
    fn leave_out(&self, name: &Name, gone: &Sizes) -> Result<(), IoError> {
        let file = disk::open(name).context("open", || name.path())?;
        disk::lock_file(&file, name)?;
        if !disk::is_named(&file, name) {
            return Ok(());
        }
        let (mut text, mut sum) = (String::new(), 0_u64);
        let left = read(&file).into_iter();
        for (id, bytes) in left.filter(|(id, _)| !gone.contains_key(id)) {
            sum = sum.saturating_add(bytes);
            text.push_str(&line(&id, bytes, sum));
        }
        if text.is_empty() {
            return disk::unlink(name);
        }
        // Under the lock no other process has this name for this repository.
        let tmp = self
            .work_dir()?
            .entry(format!("{SIZES}.{}", name.name().to_string_lossy()));
        disk::unlink(&tmp)?;
        let file = disk::create(&tmp, self.access)?;
        disk::write(&file, &tmp, &[text.as_bytes()])?;
        // Crash before: the lines that were left out are there still.
        disk::rename(&tmp, name)
    }

    /// Returns the ids of the entries in `new/` and in queues, by names alone.
    fn waiting_ids(&self) -> Result<HashSet<String>, IoError> {
        let mut ids = HashSet::new();
        self.each_in_new(&mut |id| ids.extend([id.to_string()]))?;
        for queue in self.queues()? {
            disk::each_name(&self.retry_dir(&queue), &mut |name| {
                let id = name.to_str().map(Item::id_in);
                ids.extend(id.map(str::to_owned));
            })?;
        }
        Ok(ids)
    }

    fn sizes_of(&self, repository: &Path) -> Name {
        let folder: Folder = self.root_dir().child(SIZES);
        folder.entry(RepositoryHash::of(repository).as_str())
    }
}

fn line(id: &str, bytes: u64, sum: u64) -> String {
    format!("{bytes} {id} {sum}\n")
}

fn sum<'a>(sizes: impl IntoIterator<Item = (&'a String, &'a u64)>) -> u64 {
    let bytes = sizes.into_iter().map(|(_, bytes)| *bytes);
    bytes.fold(0, u64::saturating_add)
}

/// Returns the sum in the last line, 0 without lines, or `None` if that line cannot be parsed.
fn sum_so_far(file: &File) -> Option<u64> {
    let mut tail = [0; LONGEST_LINE];
    let length = file.metadata().ok()?.len();
    let start = length.saturating_sub(LONGEST_LINE as u64);
    let read = file.read_at(&mut tail, start).ok()?;
    if read == 0 {
        return Some(0);
    }
    let lines = tail[..read].strip_suffix(b"\n")?;
    let last = lines.rsplit(|&byte| byte == b'\n').next()?;
    std::str::from_utf8(last)
        .ok()?
        .split(' ')
        .nth(2)?
        .parse()
        .ok()
}

/// Reads the sizes in a file. A line that cannot be parsed is skipped.
fn read(mut file: &File) -> Sizes {
    let mut bytes = vec![];
    // What was read before an error counts.
    let _ = file.rewind();
    let _ = file.take(LARGEST).read_to_end(&mut bytes);
    let lines = bytes.split(|&byte| byte == b'\n');
    let pairs = lines.filter_map(|line| {
        let mut words = std::str::from_utf8(line).ok()?.split(' ');
        let (bytes, id) = (words.next()?, words.next()?);
        Some((Id::parse(id)?.to_string(), bytes.parse().ok()?))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::super::Access;
    use super::*;

    /// The lines of all that waits were read at each push.
    #[test]
    fn below_the_bound_only_the_last_line_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool::new(folder.path().join("spool"), Access::Owner);
        let repository = Path::new("/srv/a.git");
        let id = |n| {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(n);
            Id::new(time, "host", n)
        };
        for n in 1..=3 {
            spool.count_size(repository, &id(n), 100 * n);
        }
        assert_eq!(spool.waiting_bytes(repository, 1000, None), 600);
        let name = spool.sizes_of(repository);
        let path = name.path();
        let text = std::fs::read_to_string(&path).expect("lines");
        assert!(text.ends_with(&format!("300 {} 600\n", id(3))), "{text}");
        // Another sum in the last line is believed, until it comes to the bound.
        let other = text.replace(" 600\n", " 70\n");
        std::fs::write(&path, &other).expect("a file");
        assert_eq!(spool.waiting_bytes(repository, 1000, None), 70);
        // A line that was cut off is passed over, and all others are added up anew.
        std::fs::write(&path, &text[..text.len() - 2]).expect("a file");
        spool.count_size(repository, &id(4), 1);
        let text = std::fs::read_to_string(&path).expect("lines");
        assert!(text.ends_with(&format!("\n1 {} 601\n", id(4))), "{text}");
        // Nothing of it is there.
        assert_eq!(spool.waiting_bytes(repository, 600, None), 0);
        assert!(!path.exists());
    }

    #[test]
    fn lines_of_many_writers_add_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool::new(folder.path().join("spool"), Access::Owner);
        let repository = Path::new("/srv/a.git");
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let spool = &spool;
                scope.spawn(move || {
                    for n in 0..50 {
                        let id = Id::new(SystemTime::UNIX_EPOCH, "host", thread * 100 + n);
                        spool.count_size(repository, &id, 10);
                    }
                });
            }
        });
        assert_eq!(spool.waiting_bytes(repository, 10_000, None), 2000);
    }
}
