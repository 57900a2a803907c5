//! Taking an id in `new/`, to return an entry whose messages can be delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::ahead::Looked;
use super::waiting_refs::WaitingRefs;
use crate::payload::Message;
use crate::spool::entry::Entry;
use crate::spool::error::{EntryError, EntryFault, IoError, SpoolError};
use crate::spool::names::id::Id;
use crate::spool::names::queue::Queue;
use crate::spool::record::{Built, Content, Header};
use crate::spool::{Spool, encoding};

/// The result of a distribution.
#[derive(Debug, Default)]
pub struct Distributed {
    /// Number of entries that left `new/`.
    pub entries: usize,
    /// The queues that they went to.
    pub queues: BTreeSet<Queue>,
    /// Problems that a person must correct.
    pub problems: Vec<Problem>,
    /// The repositories whose entries stay, in the order of their paths.
    pub blocked: BTreeMap<PathBuf, Blocked>,
    /// True if an entry stays until the hook of an older push is done.
    pub waits: bool,
    /// True if an entry stays until its messages are built.
    pub builds: bool,
    /// The error that kept the rest in `new/`, such as a full disk.
    ///
    /// It does not replace the other fields: entries that were set aside before it must be reported
    /// all the same.
    pub stopped: Option<SpoolError>,
}

impl Distributed {
    /// Returns whether none of the entries that stay is worth looking at again in a moment.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.stopped.is_some() || !(self.waits || self.builds)
    }
}

/// The result of building the messages of an entry that only has ref updates.
#[derive(Debug)]
pub enum Build {
    /// They are built.
    Built(Built<Message>),
    /// Another process builds them, and puts them into the entry.
    Begun,
    /// They cannot be built now.
    Unbuilt(Unbuilt),
    /// Building them kills the process that does it, in this way: the entry is set aside.
    Kills(String),
}

impl From<Result<Built<Message>, Unbuilt>> for Build {
    fn from(built: Result<Built<Message>, Unbuilt>) -> Self {
        built.map_or_else(Self::Unbuilt, Self::Built)
    }
}

/// The entries of a repository that stay in `new/`, and the reason.
#[derive(Debug)]
pub struct Blocked {
    /// The first of them, whose messages could not be built.
    pub id: Id,
    /// The error.
    pub error: String,
    /// Number of entries that stay, the first included.
    pub entries: usize,
    /// True if only entries of the same refs stay behind it.
    pub others_pass: bool,
    /// True if the spool could not be written.
    pub is_failure: bool,
}

/// The reason for which the messages of an entry cannot be built now.
///
/// A process that builds writes it as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unbuilt {
    /// A reason that holds for every entry of the repository, such as its configuration.
    All(String),
    /// The spool cannot be written. The run fails.
    Unwritten(String),
    /// An object of this push is missing. Only later entries of the same refs stay.
    Missing {
        /// The missing object, as text.
        why: String,
        /// Time since which the object is known to be missing, if known.
        #[serde(with = "encoding::optional_time")]
        since: Option<SystemTime>,
        /// Time of this run, if it could open all folders of objects.
        #[serde(with = "encoding::optional_time")]
        opened: Option<SystemTime>,
    },
}

/// An event in `new/` that a person should know.
#[derive(Debug)]
pub enum Problem {
    /// This entry cannot be interpreted. It is in `failed/unreadable/` now.
    SetAside(EntryError),
    /// Building the messages of this entry kills the process, in this way. It is in
    /// `failed/unreadable/` now.
    Kills(Id, String),
    /// The kernel does not allow refpost to read this entry. It stays, and others pass.
    Unopened(EntryError),
    /// A queue's folder is refused. Entries of this repository stay, in their order, from the first
    /// one for that queue on.
    Refused(PathBuf, IoError),
}

/// An older push that an entry of the same repository waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::spool) enum After {
    /// An older push, whose hook composes.
    Claim,
    /// An older push for which there is no room.
    Spare,
}

/// Builds the messages of an entry that only has ref updates, or returns the reason why not.
type Builder<'a> = Box<dyn FnMut(&Id, &Header) -> Build + 'a>;

/// Takes entries in push order, and records those that stay.
pub(in crate::spool) struct Intake<'a> {
    build: Builder<'a>,
    /// Repositories whose entries stay, as for a refused queue.
    held: BTreeSet<PathBuf>,
    /// Refs whose entries stay.
    waiting: BTreeMap<PathBuf, WaitingRefs>,
    pub(in crate::spool) report: Distributed,
}

impl fmt::Debug for Intake<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake").finish_non_exhaustive()
    }
}

impl<'a> Intake<'a> {
    pub(in crate::spool) fn new<B: Into<Build>>(
        mut build: impl FnMut(&Id, &Header) -> B + 'a,
    ) -> Self {
        Self {
            build: Box::new(move |id, header| build(id, header).into()),
            held: BTreeSet::new(),
            waiting: BTreeMap::new(),
            report: Distributed::default(),
        }
    }

    /// Returns the entry's header, with messages that are built. Returns `None` if the entry stays.
    pub(in crate::spool) fn take(
        &mut self,
        spool: &Spool,
        next: Looked,
        comes_after: impl Fn(&Path) -> Option<After>,
    ) -> Result<Option<Header>, SpoolError> {
        let id = &next.id;
        let read = || spool.open_new(id).map(Entry::into_header);
        let mut header = match next.header.map_or_else(read, Ok) {
            Ok(header) => header,
            Err(error) => return self.unreadable(spool, id, error).map(|()| None),
        };
        let repository = &header.repository;
        if self.held.contains(repository) {
            self.count_blocked(repository);
            return Ok(None);
        }
        if self.stays_behind(spool, id, &header)? {
            return Ok(None);
        }
        if let Some(after) = comes_after(repository) {
            self.held.insert(repository.clone());
            self.report.waits |= after == After::Claim;
            return Ok(None);
        }
        spool.withdraw_confirmed(&header.confirms)?;
        if let Content::Deferred(_) = header.content {
            match (self.build)(id, &header) {
                Build::Built(built) => {
                    let entry = spool.replace(id, &header.with(Content::Built(built)))?;
                    header = entry.into_header();
                }
                Build::Begun => {
                    self.held.insert(header.repository.clone());
                    self.report.builds = true;
                    return Ok(None);
                }
                Build::Kills(why) => {
                    spool.set_aside(&spool.new_name(id), id)?;
                    self.report.problems.push(Problem::Kills(id.clone(), why));
                    return Ok(None);
                }
                Build::Unbuilt(why) => return self.unbuilt(spool, id, &header, why).map(|()| None),
            }
        }
        Ok(Some(header))
    }

    /// Keeps this entry, and later ones of its repository or of its refs, in `new/`.
    fn unbuilt(
        &mut self,
        spool: &Spool,
        id: &Id,
        header: &Header,
        why: Unbuilt,
    ) -> Result<(), SpoolError> {
        let repository = &header.repository;
        let others_pass = matches!(why, Unbuilt::Missing { .. });
        let is_failure = matches!(why, Unbuilt::Unwritten(_));
        let error = match why {
            Unbuilt::All(error) | Unbuilt::Unwritten(error) => {
                self.held.insert(repository.clone());
                error
            }
            Unbuilt::Missing { why, since, opened } => {
                let waiting = self.waiting.entry(repository.clone()).or_default();
                waiting.add(header, opened);
                spool.note_missing(id, header, since)?;
                why
            }
        };
        let blocked = self.report.blocked.entry(repository.clone());
        let blocked = blocked.or_insert(Blocked {
            id: id.clone(),
            error,
            entries: 0,
            others_pass,
            is_failure,
        });
        blocked.entries += 1;
        blocked.others_pass &= others_pass;
        Ok(())
    }

    /// Returns whether an entry is about a ref of one that stays.
    ///
    /// The time for which it waits runs beside that of the other.
    fn stays_behind(
        &mut self,
        spool: &Spool,
        id: &Id,
        header: &Header,
    ) -> Result<bool, SpoolError> {
        let Some(waiting) = self.waiting.get_mut(&header.repository) else {
            return Ok(false);
        };
        if !waiting.holds(header) {
            return Ok(false);
        }
        let to_note = waiting.to_note(header);
        self.count_blocked(&header.repository);
        if to_note.is_some() {
            spool.note_missing(id, header, to_note)?;
        }
        Ok(true)
    }

    /// Counts an entry that stays behind another one of its repository.
    fn count_blocked(&mut self, repository: &Path) {
        if let Some(blocked) = self.report.blocked.get_mut(repository) {
            blocked.entries += 1;
        }
    }

    /// Keeps this entry, and all later ones of its repository, in `new/`: a queue is refused.
    pub(in crate::spool) fn hold(&mut self, header: &Header, error: IoError) {
        let repository = header.repository.clone();
        self.held.insert(repository.clone());
        let problem = Problem::Refused(repository, error);
        self.report.problems.push(problem);
    }

    fn unreadable(&mut self, spool: &Spool, id: &Id, error: EntryError) -> Result<(), SpoolError> {
        if error.is_corrupt() {
            match spool.set_aside(&spool.new_name(id), id) {
                Ok(()) => self.report.problems.push(Problem::SetAside(error)),
                // A folder, or another's file: it stays, and the others pass.
                Err(SpoolError::Io(cause)) if concerns_one_file(&cause.source) => {
                    self.report.problems.push(Problem::Unopened(error));
                }
                Err(cause) => return Err(cause),
            }
            return Ok(());
        }
        match &error.fault {
            // A person removed it.
            EntryFault::Io(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            // Only this one cannot be read: it is another account's, or on a bad sector.
            EntryFault::Io(cause) if concerns_one_file(cause) => {
                self.report.problems.push(Problem::Unopened(error));
            }
            // Too many open files, for example: going on would break the order.
            _ => return Err(error.into()),
        }
        Ok(())
    }
}

fn concerns_one_file(cause: &io::Error) -> bool {
    use nix::errno::Errno;
    cause.kind() == io::ErrorKind::PermissionDenied
        || cause.raw_os_error() == Some(Errno::EIO as i32)
}
