//! How many bytes wait for each repository: a measure that is cheap to take in a hook.
//!
//! ```text
//! sizes/<repository>   a line for each entry with messages: its size, its id
//! ```
//!
//! A hook reads the lines of its own repository. If they come to the bound, the names in the
//! spool are listed, and lines of entries that are gone are left out; no entry is opened. A
//! flush that finds an empty spool removes all lines.
//!
//! It is a measure and no account. Nothing is flushed to disk; an entry whose line is lost (by a
//! crash, or written while another process leaves lines out) is not counted, and neither is one
//! that was taken over from another spool or got another id.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::Path;

use super::claim::RepositoryHash;
use super::disk::Locked;
use super::error::{IoContext, IoError};
use super::names::id::Id;
use super::names::item::Item;
use super::{Folder, Lock, Name, Spool, disk};

/// Where they are.
const SIZES: &str = "sizes";
/// The largest file that is read.
const LARGEST: u64 = 256 << 20;

/// The entries of a repository, and the size of each.
type Sizes = HashMap<String, u64>;

impl Spool {
    /// Counts an entry of a repository, now that it is recorded.
    pub fn count_size(&self, repository: &Path, id: &Id, bytes: u64) {
        let name = self.sizes_of(repository);
        // Where that cannot be done, less is counted than waits.
        let _ = self.append_size(&name, &line(id.as_str(), bytes));
    }

    fn append_size(&self, name: &Name, line: &str) -> Result<(), IoError> {
        let opened = match disk::append(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                disk::ensure_dir(name.folder(), self.own_access())?;
                match disk::create(name, self.own_access()) {
                    // Another hook was faster.
                    Err(error) if error.source.kind() == io::ErrorKind::AlreadyExists => {}
                    made => drop(made?),
                }
                disk::append(name)
            }
            opened => opened,
        };
        let file = opened.context("open", || name.path())?;
        // In one write, so that lines of many writers do not mix.
        disk::write(&file, name, &[line.as_bytes()])
    }

    /// Returns how many bytes wait for a repository, as far as was counted, of entries before
    /// `before` if it is given. More may be returned than waits, if it is less than `most`.
    #[must_use]
    pub fn waiting_bytes(&self, repository: &Path, most: u64, before: Option<&Id>) -> u64 {
        let name = self.sizes_of(repository);
        let sum = |sizes: &Sizes| {
            let is_before = |id: &str| before.is_none_or(|before| id < before.as_str());
            let sizes = sizes.iter().filter(|(id, _)| is_before(id));
            sizes.map(|(_, bytes)| *bytes).fold(0, u64::saturating_add)
        };
        let mut sizes = read(&name);
        if sum(&sizes) >= most
            && let Ok(waiting) = self.waiting_ids()
        {
            self.leave_out(&name, &mut sizes, &waiting);
        }
        sum(&sizes)
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

    /// Leaves out lines of entries that wait no more. If that cannot be written, they are left
    /// out again the next time.
    fn leave_out(&self, name: &Name, sizes: &mut Sizes, waiting: &HashSet<String>) {
        let all = sizes.len();
        sizes.retain(|id, _| waiting.contains(id));
        if sizes.len() == all && all > 0 {
            return;
        }
        let Ok(Locked::Held(_lock)) = disk::lock(name.folder(), Lock::Try) else {
            return;
        };
        let _ = if sizes.is_empty() {
            disk::unlink(name)
        } else {
            self.rewrite_sizes(name, sizes)
        };
    }

    fn rewrite_sizes(&self, name: &Name, sizes: &Sizes) -> Result<(), IoError> {
        let mut text = String::new();
        for (id, bytes) in sizes {
            text.push_str(&line(id, *bytes));
        }
        // Under the lock nobody else has this name.
        let tmp = self.work_dir()?.entry(SIZES);
        disk::unlink(&tmp)?;
        let file = disk::create(&tmp, self.own_access())?;
        disk::write(&file, &tmp, &[text.as_bytes()])?;
        // Crash before: the lines that were left out are there still.
        disk::rename(&tmp, name)
    }

    /// The ids of what waits in `new/` and in queues, by names alone.
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

fn line(id: &str, bytes: u64) -> String {
    let mut line = String::new();
    // Writing to text does not fail.
    let _ = writeln!(line, "{bytes} {id}");
    line
}

/// Reads what a file says. A line that makes no sense is passed over.
fn read(name: &Name) -> Sizes {
    let mut bytes = vec![];
    if let Ok(file) = disk::open(name) {
        // What was read before an error counts.
        let _ = file.take(LARGEST).read_to_end(&mut bytes);
    }
    let lines = bytes.split(|&byte| byte == b'\n');
    let pairs = lines.filter_map(|line| {
        let (bytes, id) = std::str::from_utf8(line).ok()?.split_once(' ')?;
        Some((Id::parse(id)?.to_string(), bytes.parse().ok()?))
    });
    pairs.collect()
}
