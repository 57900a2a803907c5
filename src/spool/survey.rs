//! The state of a spool, from names alone.

use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::announced::ANNOUNCED;
use super::claim::CLAIM;
use super::error::IoError;
use super::log::{LOG, OLD_LOG};
use super::names::id::Id;
use super::names::item::{Failed, Item, Part, has_come};
use super::names::queue::Queue;
use super::sizes::SIZES;
use super::spare::{SPARE, Spare};
use super::stats::{COUNTS, STATS};
use super::taken::TAKEN;
use super::waiting::is_further;
use super::{Access, FAILED, Folder, INTENT, NEW, RETRY, Spool, TMP, disk};

/// Names in the root of a spool: its own, and the folder that fsck(8) makes where a file system is
/// mounted.
const IN_ROOT: [&str; 15] = [
    TMP,
    CLAIM,
    INTENT,
    NEW,
    SPARE,
    TAKEN,
    RETRY,
    FAILED,
    SIZES,
    ANNOUNCED,
    STATS,
    COUNTS,
    LOG,
    OLD_LOG,
    "lost+found",
];

/// The state of a spool.
#[derive(Debug)]
pub struct Survey {
    /// Number of entries in `new/`, and of claims whose hooks are gone.
    pub new: usize,
    /// Time at which the oldest of them was enqueued.
    pub oldest_new: Option<SystemTime>,
    /// Number of entries that could not be read.
    pub unreadable: usize,
    /// The reserve for a full disk.
    pub spare: Option<Spare>,
    /// Every queue that has something, by name.
    pub queues: Vec<QueueSurvey>,
    /// The errors of queues that could not be listed, as if a link was planted in the place of one.
    pub unseen: Vec<IoError>,
}

/// The state of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSurvey {
    /// Its name.
    pub queue: Queue,
    /// Number of entries that wait in order.
    pub waiting: usize,
    /// Number of refused messages that wait for themselves.
    pub refused: usize,
    /// Number of failed entries and parts of entries.
    pub failed: usize,
    /// The item that holds up all others: its due time and its attempts are the queue's.
    pub head: Option<Item>,
    /// Time of the oldest waiting entry, in order or refused.
    pub oldest: Option<SystemTime>,
    /// Time of the next attempt ([`Standing::next_due`]).
    pub due: Option<SystemTime>,
}

/// The waiting items of a queue, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Number of entries that wait in order.
    pub waiting: usize,
    /// Number of refused messages that wait for themselves.
    pub refused: usize,
    /// The item that holds up all others: its due time and its attempts are the queue's.
    pub head: Option<Item>,
    /// Time of the oldest waiting entry, in order or refused.
    pub oldest: Option<SystemTime>,
    /// Time at which the first refused message is to be tried again.
    refused_due: Option<SystemTime>,
}

impl Standing {
    /// Returns the time of the queue's next attempt, if any item waits.
    ///
    /// The head decides: refused messages are tried only after everything in order is delivered, so
    /// their own due times count once there is no head.
    #[must_use]
    pub fn next_due(&self) -> Option<SystemTime> {
        let head = self.head.as_ref().map(|head| head.due);
        head.or(self.refused_due)
    }

    /// Returns whether an item is to be tried now: the head or, without one, the first refused
    /// message.
    ///
    /// [`Item::is_due`] has the rules.
    #[must_use]
    pub fn is_due(&self, now: SystemTime, longest: Duration) -> bool {
        match &self.head {
            Some(head) => head.is_due(now, longest),
            None => self
                .refused_due
                .is_some_and(|due| has_come(due, now, longest)),
        }
    }

    /// Returns whether the queue's next attempt is a repeated one.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.head.as_ref().is_none_or(|head| head.attempts > 0)
    }

    fn count(&mut self, item: Item) {
        let oldest = self.oldest.get_or_insert(item.id.time());
        *oldest = item.id.time().min(*oldest);
        if let Part::Only(_) = item.part {
            self.refused += 1;
            let due = self.refused_due.get_or_insert(item.due);
            *due = item.due.min(*due);
            return;
        }
        self.waiting += 1;
        let is_head = match &self.head {
            None => true,
            Some(head) if head.id == item.id => is_further(&item, head),
            Some(head) => item.id < head.id,
        };
        if is_head {
            self.head = Some(item);
        }
    }
}

impl Spool {
    /// Counts the contents of the spool. Opens no entry, and takes no lock but those of claims.
    pub fn survey(&self) -> Result<Survey, IoError> {
        let (mut new, mut oldest_new) = (0, None::<Id>);
        let mut count = |id| {
            new += 1;
            if oldest_new.as_ref().is_none_or(|oldest| id < *oldest) {
                oldest_new = Some(id);
            }
        };
        // Before `new/`, where a claim may be by then: none is missed.
        self.each_left_claim(&mut count)?;
        self.each_in_new(&mut count)?;
        let mut names: BTreeSet<Queue> = self.queues()?.into_iter().collect();
        names.extend(self.failed_queues()?);
        names.remove(&Queue::unreadable());
        let (mut queues, mut unseen) = (vec![], vec![]);
        for queue in names {
            match self.survey_queue(queue) {
                Ok(survey) => queues.push(survey),
                Err(error) => unseen.push(error),
            }
        }
        let spare = self.spare().unwrap_or_else(|error| {
            unseen.push(error);
            None
        });
        queues.retain(|one| one.waiting + one.refused + one.failed > 0);
        Ok(Survey {
            new,
            oldest_new: oldest_new.as_ref().map(Id::time),
            unreadable: self.count_failed(&Queue::unreadable())?,
            spare,
            queues,
            unseen,
        })
    }

    fn survey_queue(&self, queue: Queue) -> Result<QueueSurvey, IoError> {
        let standing = self.standing(&queue)?;
        Ok(QueueSurvey {
            waiting: standing.waiting,
            refused: standing.refused,
            failed: self.count_failed(&queue)?,
            oldest: standing.oldest,
            due: standing.next_due(),
            head: standing.head,
            queue,
        })
    }

    fn count_failed(&self, queue: &Queue) -> Result<usize, IoError> {
        let mut count = 0;
        self.each_failed(queue, &mut |_| count += 1)?;
        Ok(count)
    }

    /// Returns the paths in an account's own spool that another account owns, sorted.
    ///
    /// No process delivers these, and many of them stop the processes that deliver others. A spool
    /// of a group has none.
    pub fn of_others(&self) -> Result<Vec<PathBuf>, IoError> {
        let root = self.root_dir();
        let owner = match disk::stat(&root.entry(".")) {
            Ok(root) if self.access == Access::Owner => root.st_uid,
            _ => return Ok(vec![]),
        };
        let mut folders = vec![root.clone(), self.retry_root(), self.failed_root()];
        folders.extend([TMP, NEW, INTENT, CLAIM].map(|name| root.child(name)));
        folders.extend(self.queues()?.iter().map(|queue| self.retry_dir(queue)));
        folders.extend(
            self.failed_queues()?
                .iter()
                .map(|queue| self.failed_dir(queue)),
        );
        let mut others = vec![];
        for folder in folders {
            let listed = disk::each_name(&folder, &mut |name| {
                let name = folder.entry(name);
                if disk::stat(&name).is_ok_and(|stat| stat.st_uid != owner) {
                    others.push(name.path());
                }
            });
            // A folder that cannot be listed is another account's: it was found in the folder above
            // it.
            listed.or_else(|error| match error.source.kind() {
                io::ErrorKind::PermissionDenied => Ok(()),
                _ => Err(error),
            })?;
        }
        others.sort();
        Ok(others)
    }

    /// Returns the paths in the spool's folders that are not a spool's, relative to the spool,
    /// sorted.
    ///
    /// Names that begin with a dot, which other programs and NFS leave for a while, do not count.
    pub fn foreign(&self) -> Result<Vec<PathBuf>, IoError> {
        let mut foreign = vec![];
        let root = self.root_dir();
        foreign_in(&root, &|name| IN_ROOT.contains(&name), &mut foreign)?;
        for name in [NEW, INTENT] {
            let is_known = |name: &str| Id::parse(name).is_some();
            foreign_in(&root.child(name), &is_known, &mut foreign)?;
        }
        let (queues, failed) = (self.queues()?, self.failed_queues()?);
        for (folder, queues) in [(self.retry_root(), &queues), (self.failed_root(), &failed)] {
            let is_known = |name: &str| queues.iter().any(|queue| queue.as_str() == name);
            foreign_in(&folder, &is_known, &mut foreign)?;
        }
        for queue in queues {
            let is_known = |name: &str| Item::parse(name).is_some();
            foreign_in(&self.retry_dir(&queue), &is_known, &mut foreign)?;
        }
        for queue in failed {
            let is_known = |name: &str| Failed::parse(&queue, name).is_some();
            foreign_in(&self.failed_dir(&queue), &is_known, &mut foreign)?;
        }
        let below = |path: &PathBuf| path.strip_prefix(&self.root).map(Path::to_owned);
        let mut foreign: Vec<_> = foreign.iter().flat_map(below).collect();
        foreign.sort();
        Ok(foreign)
    }

    /// Returns the number of waiting entries and messages: in order, refused, in `new/` and in
    /// `spare`.
    pub fn count_waiting(&self) -> Result<usize, IoError> {
        // An error is reported by the command that shows the reserve.
        let spare = self.spare().unwrap_or_default();
        let mut count = spare.map_or(0, |spare| spare.used);
        self.each_in_new(&mut |_| count += 1)?;
        for queue in self.queues()? {
            // An error is reported by the process that works on the queue, or shows it.
            let standing = self.standing(&queue).unwrap_or_default();
            count += standing.waiting + standing.refused;
        }
        Ok(count)
    }

    /// Counts the entries that wait in order in a queue, up to `most`. The rest is not read.
    pub fn count_in_order(&self, queue: &Queue, most: usize) -> Result<usize, IoError> {
        let mut count = 0;
        disk::each_name_until(&self.retry_dir(queue), &mut |name| {
            let item = name.to_str().and_then(Item::parse);
            count += usize::from(item.is_some_and(|item| matches!(item.part, Part::From(_))));
            if count < most {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        Ok(count)
    }

    /// Counts the waiting items of a queue. Takes no lock and keeps no names in memory.
    ///
    /// Names that a crash left over count until the queue is worked on.
    pub fn standing(&self, queue: &Queue) -> Result<Standing, IoError> {
        let mut standing = Standing::default();
        disk::each_name(&self.retry_dir(queue), &mut |name| {
            if let Some(item) = name.to_str().and_then(Item::parse) {
                standing.count(item);
            }
        })?;
        Ok(standing)
    }
}

fn foreign_in(
    folder: &Folder,
    is_known: &dyn Fn(&str) -> bool,
    foreign: &mut Vec<PathBuf>,
) -> Result<(), IoError> {
    disk::each_name(folder, &mut |name| {
        let text = name.to_string_lossy();
        if !text.starts_with('.') && !is_known(&text) {
            foreign.push(folder.path().join(name));
        }
    })
}
