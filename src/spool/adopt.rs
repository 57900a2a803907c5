//! Taking over what another spool holds: `spool =` was changed, or the entry was
//! recorded in the repository's own spool while the config could not be read.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::error::{IoContext, IoError};
use super::id::Id;
use super::item::{Failed, Item};
use super::queue::Queue;
use super::{Lock, Spool, disk};

/// What was taken over.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// How many files, of all three places.
    pub files: usize,
    /// Queues that somebody else is delivering from: nothing of them was taken.
    pub busy: Vec<Queue>,
}

impl Spool {
    /// Moves every entry of `other` here: same place, same name, same bytes.
    pub fn adopt(&self, other: &Spool) -> Result<Adopted, IoError> {
        let mut adopted = Adopted::default();
        if other.is_empty()? {
            return Ok(adopted);
        }
        self.create_layout()?;
        for queue in other.queues()? {
            // Oldest first: what is in the queues is older than what is in `new/`.
            match disk::lock(&other.retry_dir(&queue), Lock::Try)? {
                None => adopted.busy.push(queue),
                Some(_held) => {
                    let (from, to) = (other.retry_dir(&queue), self.retry_dir(&queue));
                    adopted.files +=
                        self.adopt_dir(&from, &to, |name| Item::parse(name).is_some())?;
                }
            }
        }
        for queue in other.failed_queues()? {
            let (from, to) = (other.failed_dir(&queue), self.failed_dir(&queue));
            let is_ours = |name: &str| Failed::parse(&queue, name).is_some();
            adopted.files += self.adopt_dir(&from, &to, is_ours)?;
        }
        if let Some(_held) = disk::lock(&other.new_dir(), Lock::Wait)? {
            let is_ours = |name: &str| Id::parse(name).is_some();
            adopted.files += self.adopt_dir(&other.new_dir(), &self.new_dir(), is_ours)?;
        }
        Ok(adopted)
    }

    /// Whether nothing waits here and nothing has failed.
    pub fn is_empty(&self) -> Result<bool, IoError> {
        let survey = self.survey()?;
        Ok(survey.new == 0 && survey.unreadable == 0 && survey.queues.is_empty())
    }

    fn adopt_dir(
        &self,
        from: &Path,
        to: &Path,
        is_ours: impl Fn(&str) -> bool,
    ) -> Result<usize, IoError> {
        let mut names = disk::names(from)?;
        names.retain(|name| name.to_str().is_some_and(&is_ours));
        if names.is_empty() {
            return Ok(0);
        }
        disk::ensure_dir(to, self.access)?;
        for name in &names {
            self.link_or_copy(&from.join(name), &to.join(name))?;
        }
        Self::flush_queue_dir(to)?;
        // Crash here: some are in both spools, and are delivered from both, with the
        // same `msg_id`; or are adopted again, and find their names taken.
        for name in &names {
            disk::unlink(&from.join(name))?;
        }
        Ok(names.len())
    }

    fn link_or_copy(&self, from: &Path, to: &Path) -> Result<(), IoError> {
        match disk::link(from, to) {
            Err(error) if error.source.kind() == io::ErrorKind::CrossesDevices => {
                self.copy(from, to)
            }
            linked => linked.map(drop),
        }
    }

    /// As with enqueue: whole and durable in `tmp/` before it has its name.
    pub(super) fn copy(&self, from: &Path, to: &Path) -> Result<(), IoError> {
        let name = to.file_name().unwrap_or_default();
        let tmp = self.tmp_dir().join(name).with_added_extension("copy");
        // What a crash left of the last try.
        disk::unlink(&tmp)?;
        let mut options = OpenOptions::new();
        let source = options.read(true).custom_flags(disk::SAFELY).open(from);
        let mut source = source.context("open", from)?;
        let mut file = disk::create(&tmp, self.access)?;
        io::copy(&mut source, &mut file).context("write", &tmp)?;
        disk::flush(&file, &tmp)?;
        disk::link(&tmp, to)?;
        disk::unlink(&tmp)
    }
}
