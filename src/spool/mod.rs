//! What is owed, on disk, until every endpoint has it.
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
//! State is where an entry lies and what it is called. The bytes of an entry never
//! change; it moves by link and unlink, and its file is gone with its last name.
//!
//! An entry gets a name in the queue of each of its recipients, and then leaves `new/`. A
//! queue is read by its names alone, and every state that a crash can leave is one of the
//! ordinary ones, or an ordinary one with a name too many, whose worst is a repeat. Beside
//! each step stands what a crash there leaves; `disk` lets the tests make them all.
//!
//! An entry is delivered once it has left `new/`: until then its names in queues may not be
//! durable, and after a power cut those of older ones may be missing.
//!
//! A lane crosses off a delivery while the next one is on its way: a crash repeats the
//! last two of a queue at the worst, in their order.
//!
//! What must survive power loss is flushed *before* what it replaces is unlinked.
//! What would only be repeated (a delivery, an attempt, a due time) is not flushed.
//!
//! On a full disk a push is recorded in `spare`, where room was set aside.
//!
//! Locks (`flock` on a directory) only spare repeats: on `new/` while distributing, on
//! `retry/<queue>/` while delivering from it. Nothing here reads the clock, the
//! environment, the host's name or randomness.

mod adopt;
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
mod first;
mod folder;
mod handover;
mod intent;
mod lane;
mod listing;
mod log;
mod manage;
mod names;
mod record;
mod renamed;
mod search;
mod sizes;
mod spare;
mod stats;
mod survey;
mod sweep;
mod taken;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod tests;
mod trial;
mod waiting;

use std::path::{Path, PathBuf};

use folder::{Folder, Name, Writers};

pub use adopt::Adopted;
pub use arrival::{Arrival, Unusable};
pub use claim::Claim;
pub use distribute::Distribution;
pub use distribute::intake::{Blocked, Build, Distributed, Notice, Unbuilt};
pub use distribute::waiting_refs::WaitingRefs;
pub use enqueue::Stamp;
pub use entry::Entry;
pub use error::{EntryError, EntryFault, IoError, Refused, SpoolError, is_want_of_files};
pub use handover::HandedOver;
pub use intent::{Intent, Life, Process};
pub use lane::Lane;
pub use log::{Attempt, Log, Status};
pub use names::id::Id;
pub use names::item::{Failed, Item, Part};
pub use names::queue::{Queue, QueueNameError};
pub use record::{Built, Content, Draft, Frozen, Header, Recipient, Record, Selection};
pub use renamed::Renaming;
pub use search::{Found, repositories, search, what_is};
pub use spare::{Lost, Spare};
pub use stats::{Death, Failure, Stats};
pub use survey::{QueueSurvey, Standing, Survey};
pub use sweep::Swept;
pub use taken::Taken;
pub use trial::Trial;
pub use waiting::Waiting;

/// Where entries are written.
const TMP: &str = "tmp";
/// Where they arrive.
const NEW: &str = "new";
/// What may move.
const INTENT: &str = "intent";
/// Where they wait for one endpoint each.
const RETRY: &str = "retry";

/// Who may use a spool.
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

/// What to do when somebody else holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Wait, two seconds at most; then it is an error.
    Wait,
    /// Leave it.
    Try,
}

/// A spool: a directory, which need not exist yet.
#[derive(Clone, Debug)]
pub struct Spool {
    /// Where links are the admin's.
    start: PathBuf,
    /// Where it is from there; no link is followed on this way.
    below: PathBuf,
    root: PathBuf,
    access: Access,
    /// Its directories, if they are to stay open.
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
    /// The spool in the directory `root`. Touches nothing.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, access: Access) -> Self {
        Self::within(root, "", access)
    }

    /// The spool that is at `below` in `folder`: no link in `below` is followed.
    /// Touches nothing.
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

    /// The same spool, its directories opened once, at their first use, for all that is
    /// done with this value and its clones: for whoever has few spools and little time.
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

    /// Its directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder where entries arrive, for whoever watches it.
    #[must_use]
    pub fn arrivals(&self) -> PathBuf {
        self.root.join(NEW)
    }

    /// Its log of attempts.
    #[must_use]
    pub fn log(&self) -> Log {
        Log::new(self.clone())
    }

    /// Opens an entry of `new/`.
    pub fn open_new(&self, id: &Id) -> Result<Entry, EntryError> {
        self.at_home(Entry::open(&self.new_name(id)))
    }

    /// Opens the entry of something that waits.
    pub fn open_item(&self, queue: &Queue, item: &Item) -> Result<Entry, EntryError> {
        self.at_home(Entry::open(&self.retry_dir(queue).entry(item.to_string())))
    }

    /// Opens the entry of something that failed.
    pub fn open_failed(&self, failed: &Failed) -> Result<Entry, EntryError> {
        self.at_home(Entry::open(&self.failed_name(failed)))
    }

    /// What lies in the spool inside a repository is that repository's. If the path that an entry
    /// names is gone, the repository was renamed, and its spool with it.
    fn at_home(&self, opened: Result<Entry, EntryError>) -> Result<Entry, EntryError> {
        let mut entry = opened?;
        let named = &entry.header().repository;
        if !self.below.as_os_str().is_empty() && *named != self.start && is_gone(named) {
            entry.give_to(&self.start);
        }
        Ok(entry)
    }

    /// Its directory. Unless it is held, it is opened anew for each operation: a flush
    /// of ten thousand spools has few of them open at once.
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

    /// The folder in which whoever delivers writes.
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
        self.root_dir().child("failed")
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

fn is_gone(path: &Path) -> bool {
    path.symlink_metadata()
        .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}
