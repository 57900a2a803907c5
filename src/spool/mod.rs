//! Undelivered messages on disk: a durable queue for each endpoint.
//!
//! ```text
//!  a push ── enqueue ──► new/<id> ── distribute ──► retry/<queue>/<due>.<attempts>.<n>.<id>
//!    (claim/)  │  ▲        │                     │ lane: advance, defer, step aside
//!      spare, tmp/<id>     │                     │
//!                 │        ▼                     ▼
//!                 │  failed/unreadable/<id>   failed/<queue>/<id>[,<part>]
//!                 └──────────── retry ◄──────────┘
//! ```
//!
//! State is the directory and the name of a file. The bytes of an entry never change: it moves by
//! link and unlink, and its file is gone with its last name.
//!
//! Life of an entry:
//!
//! - An entry gets a name in the queue of each of its recipients, and then leaves `new/`. A queue
//!   is read by its names alone.
//! - An entry is delivered only after it has left `new/`. Until then its names in queues may not be
//!   durable, and after a power failure those of older entries may be missing.
//! - A lane crosses off a delivery while the next one is under way. A crash repeats the last two
//!   deliveries of a queue at most, in their order.
//!
//! Durability:
//!
//! - Data that must survive a power failure is flushed *before* the name that it replaces is
//!   unlinked.
//! - Steps whose loss only repeats work (a delivery, an attempt, a due time) are not flushed.
//! - Each state that a crash can leave is an ordinary one, perhaps with one name too many; the
//!   worst result is a repeated delivery. A comment beside each step says what a crash leaves
//!   there, and `disk` lets the tests produce every such state.
//! - On a full disk a push is recorded in `spare`, in room that was reserved in advance.
//!
//! Locks (`flock` on a directory) only avoid repeats: on `new/` while distributing, on
//! `retry/<queue>/` while delivering from it. Nothing here reads the clock, the environment, the
//! host's name or randomness.

mod adopt;
mod announced;
mod arrival;
mod claim;
mod disk;
mod distribute;
mod emptied;
mod encoding;
mod enqueue;
mod entry;
mod error;
mod failed;
mod failure;
mod first;
mod folder;
mod folder_id;
mod handover;
mod intent;
mod lane;
mod listing;
mod log;
mod manage;
mod moved_out;
mod names;
mod recipient;
mod record;
mod renamed;
mod search;
mod sizes;
mod spare;
mod stats;
mod survey;
mod sweep;
mod taken;
mod tally;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod tests;
mod told;
mod trial;
mod waiting;

use std::path::{Path, PathBuf};

use folder::{Folder, Name, Writers};

pub use adopt::Adopted;
pub use announced::{Ends, Refs, apply};
pub use arrival::{Arrival, Unusable};
pub use claim::Claim;
pub use distribute::Distribution;
pub use distribute::intake::{Blocked, Build, Distributed, Problem, Unbuilt};
pub use distribute::waiting_refs::WaitingRefs;
pub use enqueue::IdParts;
pub use entry::Entry;
pub use error::{EntryError, EntryFault, IoError, Refused, SpoolError, is_want_of_files};
pub use failure::{Extent, Failure};
pub use folder_id::FolderId;
pub use handover::HandedOver;
pub use intent::{Intent, Life};
pub use lane::Lane;
pub use log::{Attempt, Log, Status};
pub use names::id::Id;
pub use names::item::{Failed, Item, Part};
pub use names::queue::{Queue, QueueNameError};
pub use recipient::{Forward, Recipient, Selection};
pub use record::{BESIDE_BODY, Built, Content, Draft, Frozen, Header, MOST_MOVED, Process, Record};
pub use renamed::Renaming;
pub use search::{Found, repositories, search, what_is};
pub use spare::{Lost, Spare};
pub use stats::{Death, Stats};
pub use survey::{QueueSurvey, Standing, Survey};
pub use sweep::Swept;
pub use taken::Taken;
pub use tally::{
    CountedOutcome, Counts, DELAYS, DURATIONS, Histogram, Last, Sample, Tallies, Tally, Totals,
};
pub use told::ToldReceiver;
pub use trial::Trial;
pub use waiting::Waiting;

/// Directory in which entries are written.
const TMP: &str = "tmp";
/// Directory in which complete entries arrive.
const NEW: &str = "new";
/// Directory of intents: refs that a push may move.
const INTENT: &str = "intent";
/// Directory of the queues, one for each endpoint.
const RETRY: &str = "retry";
/// Directory of what was given up, by endpoint.
const FAILED: &str = "failed";

/// The accounts that may use a spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Its owner only: directories 0700, files 0600.
    Owner,
    /// Its group too (`core.sharedRepository`, git-config(1)): 02770 and 0660.
    Group,
}

impl Access {
    fn dir_mode(self) -> u32 {
        match self {
            Self::Owner => 0o700,
            Self::Group => 0o2770,
        }
    }

    fn file_mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Group => 0o660,
        }
    }
}

/// The reaction to a lock that another process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Waits for two seconds at most, then fails.
    Wait,
    /// Gives up at once.
    Try,
}

/// A spool: a directory, which need not exist yet.
#[derive(Clone, Debug)]
pub struct Spool {
    /// The path at which the way down begins. Links in it belong to the administrator and are
    /// followed.
    start: PathBuf,
    /// The path from there to the spool. No link in it is followed.
    below: PathBuf,
    root: PathBuf,
    access: Access,
    /// The directories, if they stay open.
    held: Option<Held>,
}

/// The directories of a spool, each opened at its first use.
#[derive(Clone, Debug)]
struct Held {
    root: Folder,
    tmp: Folder,
    new: Folder,
    retry: Folder,
}

impl Spool {
    /// Makes a handle to the spool in the directory `root`. Touches nothing.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, access: Access) -> Self {
        Self::within(root, "", access)
    }

    /// Makes a handle to the spool at `below` in `folder`. Touches nothing.
    ///
    /// No link in `below` is followed.
    #[must_use]
    pub fn within(folder: impl Into<PathBuf>, below: impl Into<PathBuf>, access: Access) -> Self {
        let (start, below) = (folder.into(), below.into());
        let root = start.components().chain(below.components()).collect();
        Self {
            start,
            below,
            root,
            access,
            held: None,
        }
    }

    /// Keeps the directories of the spool open.
    ///
    /// Each is opened once, at its first use, for all operations on this value and its clones. This
    /// suits callers with few spools and little time.
    #[must_use]
    pub fn held_open(self) -> Self {
        let root = self.root_dir();
        let held = Some(Held {
            tmp: root.child(TMP),
            new: root.child(NEW),
            retry: root.child(RETRY),
            root,
        });
        Self { held, ..self }
    }

    /// Returns the spool's directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the directory in which entries arrive, for a watcher.
    #[must_use]
    pub fn arrivals(&self) -> PathBuf {
        self.root.join(NEW)
    }

    /// Returns the spool's log of attempts.
    #[must_use]
    pub fn log(&self) -> Log {
        Log::new(self.clone())
    }

    /// Opens an entry of `new/`.
    pub fn open_new(&self, id: &Id) -> Result<Entry, EntryError> {
        self.at_home(Entry::open(&self.new_name(id)))
    }

    /// Opens the entry of a waiting item.
    pub fn open_item(&self, queue: &Queue, item: &Item) -> Result<Entry, EntryError> {
        self.at_home(Entry::open(&self.retry_dir(queue).entry(item.to_string())))
    }

    /// Opens the entry of a failed item.
    pub fn open_failed(&self, failed: &Failed) -> Result<Entry, EntryError> {
        self.at_home(Entry::open(&self.failed_name(failed)))
    }

    /// Corrects the repository that an entry of a repository's own spool names.
    ///
    /// Entries of a spool inside a repository belong to that repository. If the path that an entry
    /// names is gone, the repository was renamed, and its spool with it.
    fn at_home(&self, opened: Result<Entry, EntryError>) -> Result<Entry, EntryError> {
        let mut entry = opened?;
        let named = &entry.header().repository;
        if !self.below.as_os_str().is_empty() && *named != self.start && is_gone(named) {
            entry.give_to(&self.start);
        }
        Ok(entry)
    }

    /// Returns the spool's directory.
    ///
    /// Unless held, it is opened anew for each operation: a flush of ten thousand spools has
    /// few of them open at once.
    fn root_dir(&self) -> Folder {
        if let Some(held) = &self.held {
            return held.root.clone();
        }
        let mut components = self.below.components().peekable();
        let writers = match components.peek() {
            None => Writers::Known,
            Some(_) => Writers::Any,
        };
        let start = Folder::start(&self.start, writers);
        components.fold(start, |folder, name| folder.child(name))
    }

    fn tmp_dir(&self) -> Folder {
        match &self.held {
            Some(held) => held.tmp.clone(),
            None => self.root_dir().child(TMP),
        }
    }

    fn new_dir(&self) -> Folder {
        match &self.held {
            Some(held) => held.new.clone(),
            None => self.root_dir().child(NEW),
        }
    }

    /// Returns the directory for temporary files of a process that delivers. Creates it if need be.
    fn work_dir(&self) -> Result<Folder, IoError> {
        let tmp = self.tmp_dir();
        // A backup may have left it out.
        if disk::modified(&tmp).is_none() {
            self.create_layout()?;
        }
        Ok(tmp)
    }

    fn retry_root(&self) -> Folder {
        match &self.held {
            Some(held) => held.retry.clone(),
            None => self.root_dir().child(RETRY),
        }
    }

    fn failed_root(&self) -> Folder {
        self.root_dir().child(FAILED)
    }

    fn new_name(&self, id: &Id) -> Name {
        self.new_dir().entry(id.as_str())
    }

    fn retry_dir(&self, queue: &Queue) -> Folder {
        self.retry_root().child(queue.as_str())
    }

    fn failed_dir(&self, queue: &Queue) -> Folder {
        self.failed_root().child(queue.as_str())
    }

    fn failed_name(&self, failed: &Failed) -> Name {
        self.failed_dir(&failed.queue).entry(failed.name())
    }
}

/// Makes the disk full for this thread, or gives it room again.
#[cfg(test)]
pub(crate) fn fill_disk(is_full: bool) {
    disk::fault::fill(is_full);
}

fn is_gone(path: &Path) -> bool {
    path.symlink_metadata()
        .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}
