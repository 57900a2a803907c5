//! Queue folders: created for the first link, removed once they are empty.
//!
//! - A folder in `retry/` is removed under its lock only. A process that locks one compares it with
//!   its path: it may have been removed, and made again, since it was opened.
//! - rmdir(2) removes no folder that has a name in it, and link(2) makes no name in one that is
//!   removed. A link that finds no folder makes it and tries again.
//! - Links are flushed by way of their folder's path. If that folder is gone, all that was linked
//!   there has been taken.
//!
//! Crash at any point: an empty folder, which the next flush removes.

use std::fs::File;
use std::io;

use super::error::{IoContext, IoError};
use super::lane::Lane;
use super::names::queue::Queue;
use super::{Folder, Lock, Spool, disk};

/// Number of times that a folder is made for one link. Each time but the first, another process has
/// removed it.
const TRIES: usize = 16;

impl Spool {
    /// Makes a name in `dir` by `link`, and `dir` itself if need be.
    ///
    /// `link` gets the folder as opened anew for each try.
    pub(super) fn link_into<T>(
        &self,
        dir: &Folder,
        link: impl Fn(&Folder) -> Result<T, IoError>,
    ) -> Result<T, IoError> {
        for _ in 0..TRIES {
            match link(&dir.anew()) {
                Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
                    disk::unless_gone(disk::ensure_dir(&dir.anew(), self.access))?;
                }
                linked => return linked,
            }
        }
        link(&dir.anew())
    }

    /// Makes the links in `dir`, a folder of a queue, durable.
    ///
    /// Its parent is flushed too: the process that made `dir` may have died before that, and
    /// without its name its contents are lost.
    pub(super) fn flush_queue_dir(dir: &Folder) -> Result<(), IoError> {
        disk::unless_gone(disk::flush_dir(&dir.anew()))?;
        dir.parent().map_or(Ok(()), disk::flush_dir)
    }

    /// Locks a queue's folder. Returns `None` if another process holds it or it does not exist.
    pub(super) fn lock_queue(
        &self,
        queue: &Queue,
        lock: Lock,
    ) -> Result<Option<(Folder, File)>, IoError> {
        loop {
            let dir = self.retry_dir(queue);
            let Some(held) = disk::lock(&dir, lock)?.held() else {
                return Ok(None);
            };
            if disk::is_at_its_path(&dir)? {
                return Ok(Some((dir, held)));
            }
        }
    }

    /// Waits for the lock of a queue, whose folder is created if need be.
    pub(super) fn lane_made(&self, queue: &Queue) -> Result<Lane, IoError> {
        self.link_into(&self.retry_dir(queue), |dir| {
            // A process that waits gets the lock, or there is no folder.
            let lane = self.lane_within(queue, Lock::Wait)?;
            let gone = || io::Error::from(io::ErrorKind::NotFound);
            lane.ok_or_else(gone).context("lock", || dir.path())
        })
    }

    /// Removes the folder of an empty queue.
    ///
    /// The caller looks at the queue again: a process that found it locked meanwhile has left it to
    /// the caller.
    pub fn remove_if_empty(&self, queue: &Queue) {
        // Dropping the lane removes the folder. An error is reported by the process that works on
        // the queue.
        drop(self.lane(queue));
    }
}
