//! Removing files that are of no more use.

use std::time::{Duration, SystemTime};

use super::error::IoError;
use super::{Name, Spool, disk};

const HOUR: Duration = Duration::from_hours(1);
/// Age at which a file in `tmp/` is removed: long enough for the slowest hook, as in Maildir.
const TMP_LIFE: Duration = HOUR.saturating_mul(36);
/// Age at which a failed item is removed.
const FAILED_LIFE: Duration = HOUR.saturating_mul(24 * 30);

/// The result of a sweep.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Number of files removed from `tmp/`.
    pub tmp: usize,
    /// Number of failed items removed.
    pub failed: usize,
}

impl Spool {
    /// Removes files in `tmp/` after 36 hours and failed items after 30 days. Counts of pushes that
    /// could not be recorded are forgotten after 30 days too.
    ///
    /// The age of a file in `tmp/` counts from its last write. The age of a failed item counts from
    /// its newest link, by the inode's time of change: the id tells the time of the push, which may
    /// be days before it failed. The folder of a queue without failed items is removed; a process
    /// that links into it makes it again.
    ///
    /// A clock that jumped must not empty a spool: nothing counts as old before two sweeps an hour
    /// apart agree about the time ([`Spool::see_clock`]).
    pub fn sweep(&self, now: SystemTime) -> Result<Swept, IoError> {
        let mut swept = Swept::default();
        // Folders are listed even if nothing may be swept: a planted folder is reported.
        let is_settled = self.see_clock(now);
        let is_old = |time, life| is_settled && is_older(time, life, now);
        let tmp = self.tmp_dir();
        let mut done = Ok(());
        disk::each_name(&tmp, &mut |name| {
            let name = tmp.entry(name);
            // A folder is not the spool's, and cannot be unlinked.
            let written = disk::stat(&name).ok().filter(|stat| !disk::is_dir(stat));
            let written = written.map(|stat| disk::time(stat.st_mtime, stat.st_mtime_nsec));
            if done.is_ok() && written.is_some_and(|it| is_old(it, TMP_LIFE)) {
                done = disk::unlink(&name);
                swept.tmp += 1;
            }
        })?;
        done?;
        for queue in self.failed_queues()? {
            let dir = self.failed_dir(&queue);
            let (mut done, mut left) = (Ok(()), 0);
            self.each_failed(&queue, &mut |failed| {
                left += 1;
                let name = dir.entry(failed.name());
                let changed = changed(&name);
                if done.is_ok() && changed.is_some_and(|it| is_old(it, FAILED_LIFE)) {
                    done = disk::unlink(&name);
                    swept.failed += 1;
                    left -= 1;
                }
            })?;
            done?;
            if left == 0 {
                // If it stays, it costs a look at each sweep.
                let _ = disk::remove_if_empty(&dir);
            }
        }
        self.sweep_sizes()?;
        if let Some(before) = now.checked_sub(FAILED_LIFE).filter(|_| is_settled) {
            self.forget_lost(before)?;
        }
        Ok(swept)
    }
}

fn is_older(time: SystemTime, life: Duration, now: SystemTime) -> bool {
    now.duration_since(time).is_ok_and(|age| age > life)
}

fn changed(name: &Name) -> Option<SystemTime> {
    let stat = disk::stat(name).ok()?;
    Some(disk::time(stat.st_ctime, 0))
}
