//! Moving the contents of another spool here. This happens after a change of `spool =`, or if an
//! entry was recorded in the repository's own spool while the config could not be read.

use std::ffi::OsString;
use std::io;

use super::error::{IoContext, IoError};
use super::first::First;
use super::names::id::Id;
use super::names::item::{Failed, Item};
use super::names::queue::Queue;
use super::{Folder, Name, Spool, disk};

/// Number of names that are moved at a time.
const WINDOW: usize = 4096;

/// The result of moving another spool's contents.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Number of files moved, from `new/`, queues and `failed/`.
    pub files: usize,
    /// Queues that were left alone because another process delivers from them.
    pub busy: Vec<Queue>,
}

impl Spool {
    /// Moves every entry of `other` here: same place, same name, same bytes.
    pub fn adopt(&self, other: &Spool) -> Result<Adopted, IoError> {
        if other.is_empty()? {
            return Ok(Adopted::default());
        }
        let mut adopted = self.adopt_queues(other)?;
        if let Some(_held) = other.hold_new()? {
            let is_ours = |name: &str| Id::parse(name).is_some();
            adopted.files += self.adopt_dir(&other.new_dir(), &self.new_dir(), is_ours)?;
        }
        Ok(adopted)
    }

    /// Moves the waiting and failed items of `other` here, but not its `new/`.
    pub fn adopt_queues(&self, other: &Spool) -> Result<Adopted, IoError> {
        let mut adopted = Adopted::default();
        self.create_layout()?;
        let mut refused = None;
        for queue in other.queues()? {
            // Oldest first: what is in the queues is older than what is in `new/`.
            match other.lane(&queue) {
                // Whatever was planted in one queue's place does not keep the other queues away.
                Err(error) if error.refused().is_some() => refused = Some(error),
                Err(error) => return Err(error),
                Ok(None) => adopted.busy.push(queue),
                Ok(Some(_lane)) => {
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
        refused.map_or(Ok(adopted), Err)
    }

    /// Returns whether nothing waits here and nothing has failed.
    pub fn is_empty(&self) -> Result<bool, IoError> {
        let survey = self.survey()?;
        let is_known = survey.unseen.is_empty() && !self.has_claims()?;
        let is_known = is_known && !self.has_spare_pushes();
        Ok(is_known && survey.new == 0 && survey.unreadable == 0 && survey.queues.is_empty())
    }

    fn adopt_dir(
        &self,
        from: &Folder,
        to: &Folder,
        is_ours: impl Fn(&str) -> bool,
    ) -> Result<usize, IoError> {
        let mut adopted = 0;
        loop {
            let mut names = First::new(WINDOW);
            disk::each_name(from, &mut |name| {
                if name.to_str().is_some_and(&is_ours) {
                    names.put(name.to_owned());
                }
            })?;
            let (names, more) = names.into_sorted();
            adopted += names.len();
            self.adopt_names(from, to, &names)?;
            if !more {
                return Ok(adopted);
            }
        }
    }

    fn adopt_names(&self, from: &Folder, to: &Folder, names: &[OsString]) -> Result<(), IoError> {
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            let link = |to: &Folder| self.link_or_copy(&from.entry(name), &to.entry(name));
            self.link_into(to, link)?;
        }
        Self::flush_queue_dir(to)?;
        // Crash here: some are in both spools, and are delivered from both, with the
        // same `msg_id`; or are adopted again, and find their names taken.
        for name in names {
            disk::unlink(&from.entry(name))?;
        }
        Ok(())
    }

    fn link_or_copy(&self, from: &Name, to: &Name) -> Result<(), IoError> {
        match disk::link(from, to) {
            Err(error) if error.source.kind() == io::ErrorKind::CrossesDevices => {
                self.copy(from, to)
            }
            linked => linked.map(drop),
        }
    }

    /// Copies a file, which is whole and durable in `tmp/` before it gets its name, as in
    /// `enqueue`.
    pub(super) fn copy(&self, from: &Name, to: &Name) -> Result<(), IoError> {
        let mut copy = to.name().to_owned();
        copy.push(".copy");
        let tmp = self.tmp_dir().entry(copy);
        // A crash may have left this name in an earlier try.
        disk::unlink(&tmp)?;
        let mut source = disk::open(from).context("open", || from.path())?;
        let mut file = disk::create(&tmp, self.access)?;
        io::copy(&mut source, &mut file).context("write", || tmp.path())?;
        disk::flush(&file, &tmp)?;
        disk::link(&tmp, to)?;
        disk::unlink(&tmp)
    }
}
