//! From `new/` to the queues of those who get it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use super::entry::Entry;
use super::error::{EntryError, EntryFault, IoError, SpoolError};
use super::first::First;
use super::id::Id;
use super::item::Item;
use super::mail_drop::{Admission, Taken};
use super::queue::Queue;
use super::record::{Built, Content, Header};
use super::waiting::STRANGE;
use super::{Folder, Lock, Name, Spool, disk, enqueue};
use crate::payload::Message;

/// How many entries share the flushes of the queues that they go to: to eight endpoints,
/// nine flushes, of some milliseconds each where the disk is busy.
const BATCH: usize = if cfg!(test) { 256 } else { 4096 };
/// How many queues are open, or a few more, before the batch ends.
const QUEUES: usize = 64;
/// How many ids of `new/` are held at once. The folder is read anew for each so many,
/// hence more than of a queue, of which eight are held side by side.
const WINDOW: usize = 32_768;

/// What a distribution came to; `E` is why messages could not be built.
#[derive(Debug)]
pub struct Distributed<E> {
    /// How many entries left `new/` for the queues.
    pub entries: usize,
    /// What a person should know.
    pub notices: Vec<Notice>,
    /// The repositories whose entries stay, in the order of the paths.
    pub blocked: BTreeMap<PathBuf, Blocked<E>>,
    /// What kept the rest in `new/`: a full disk, say. Beside the others, for what
    /// was set aside before it must be told all the same.
    pub stopped: Option<SpoolError>,
}

/// Why the entries of a repository stay in `new/`.
#[derive(Debug)]
pub struct Blocked<E> {
    /// The first of them: its messages could not be built.
    pub id: Id,
    /// Why.
    pub error: E,
    /// How many stay, the first included.
    pub entries: usize,
}

/// Something about `new/` that a person should know.
#[derive(Debug)]
pub enum Notice {
    /// This entry makes no sense; it lies in `failed/unreadable/` now.
    SetAside(EntryError),
    /// The kernel does not let us read this entry; it stays, and others pass.
    Unopened(EntryError),
    /// In a mail drop, whether the entries of this repository may be announced cannot be
    /// told, for this reason; they stay.
    Later(PathBuf, String),
    /// This is no entry by its name; it stays.
    Strange(OsString),
    /// A queue is not what it should be: the entries of this repository that came
    /// after one for it stay, in their order.
    Refused(PathBuf, IoError),
}

/// What became of one entry.
enum Placed {
    /// It has a name in each queue: it can leave `new/`.
    Linked,
    /// It stays.
    Stays,
}

impl Spool {
    /// Moves the entries of `new/`, oldest first, to `retry/<queue>/` for each of
    /// their recipients. `None`: somebody else is doing that right now.
    ///
    /// `build` makes the messages of an entry that only has ref updates. If it
    /// cannot, that entry and all later ones of its repository stay where they
    /// are, in their order.
    ///
    /// `admit` is asked only in a mail drop: whether the owner of an entry's file may
    /// announce what the entry says.
    pub fn distribute<E>(
        &self,
        lock: Lock,
        build: impl FnMut(&Id, &Header) -> Result<Built<Message>, E>,
        admit: impl FnMut(u32, &Header) -> Admission,
    ) -> Result<Option<Distributed<E>>, IoError> {
        let mut run = Run {
            spool: self,
            build,
            admit,
            touched: BTreeMap::new(),
            held: BTreeSet::new(),
            report: Distributed {
                entries: 0,
                notices: vec![],
                blocked: BTreeMap::new(),
                stopped: None,
            },
        };
        let mut is_empty = true;
        disk::each_name(&self.new_dir(), &mut |_| is_empty = false)?;
        if is_empty {
            return Ok(Some(run.report));
        }
        let Some(_held) = disk::lock(&self.new_dir(), lock)? else {
            return Ok(None);
        };
        let mut arrivals = self.arrived(None, WINDOW)?;
        let strange = std::mem::take(&mut arrivals.strange);
        run.report.notices = strange.into_iter().map(Notice::Strange).collect();
        loop {
            let mut rest = &arrivals.ids[..];
            while !rest.is_empty() {
                match run.batch(rest) {
                    Ok(done) => rest = &rest[done..],
                    Err(error) => {
                        run.report.stopped = Some(error);
                        return Ok(Some(run.report));
                    }
                }
            }
            // What stays, stays before what is listed next.
            match arrivals.ids.last() {
                Some(last) if arrivals.more => arrivals = self.arrived(Some(last), WINDOW)?,
                _ => return Ok(Some(run.report)),
            }
        }
    }

    /// All ids in `new/`, in push order. For looking.
    pub fn ids_in_new(&self) -> Result<Vec<Id>, IoError> {
        Ok(self.arrived(None, usize::MAX)?.ids)
    }

    /// Hands over the ids in `new/`, in no order, and holds none.
    pub(super) fn each_in_new(&self, take: &mut dyn FnMut(Id)) -> Result<(), IoError> {
        disk::each_name(&self.new_dir(), &mut |name| {
            if let Some(id) = name.to_str().and_then(Id::parse) {
                take(id);
            }
        })
    }

    /// The first of what is in `new/`, after this one.
    fn arrived(&self, after: Option<&Id>, most: usize) -> Result<Arrivals, IoError> {
        let (mut ids, mut strange) = (First::<Id>::new(most), First::new(STRANGE));
        disk::each_name(&self.new_dir(), &mut |name| {
            let text = name.to_str().unwrap_or_default();
            if after.is_some_and(|after| text <= after.as_str()) {
                return;
            }
            // Most names of many are not even read.
            if ids.last().is_some_and(|last| text > last.as_str()) {
                return ids.leave_out();
            }
            match Id::parse(text) {
                Some(id) => ids.put(id),
                None => strange.put(name.to_owned()),
            }
        })?;
        let (ids, more) = ids.into_sorted();
        let strange = strange.into_sorted().0;
        Ok(Arrivals { ids, strange, more })
    }
}

/// What is in `new/`.
struct Arrivals {
    /// In push order.
    ids: Vec<Id>,
    /// Names that are no ids.
    strange: Vec<OsString>,
    /// Whether there are others after these.
    more: bool,
}

struct Run<'a, E, B, A> {
    spool: &'a Spool,
    build: B,
    admit: A,
    report: Distributed<E>,
    /// The queues that the batch has linked into, open.
    touched: BTreeMap<Queue, Folder>,
    /// Repositories one of whose queues is refused.
    held: BTreeSet<PathBuf>,
}

impl<E, B, A> Run<'_, E, B, A>
where
    B: FnMut(&Id, &Header) -> Result<Built<Message>, E>,
    A: FnMut(u32, &Header) -> Admission,
{
    /// Places the first of them: so many.
    fn batch(&mut self, ids: &[Id]) -> Result<usize, SpoolError> {
        let mut linked = vec![];
        let mut placed = Ok(ids.len().min(BATCH));
        for (done, id) in ids.iter().take(BATCH).enumerate() {
            if self.touched.len() >= QUEUES {
                placed = Ok(done);
                break;
            }
            match self.place(id) {
                Ok(Placed::Linked) => linked.push(id),
                Ok(Placed::Stays) => {}
                // On a full disk, say. Those before it leave `new/` all the same:
                // they would be linked, hence delivered, once more at each run.
                Err(error) => {
                    placed = Err(error);
                    break;
                }
            }
        }
        // Crash here: an entry is in some of its queues and in `new/`. The next run
        // makes the same names, finds those that are there, and adds the others.
        // What was delivered in between is delivered again.
        let touched = std::mem::take(&mut self.touched);
        for queue in touched.values() {
            disk::flush_dir(queue)?;
        }
        if !touched.is_empty() {
            // For queues whose directory is new, whoever made it.
            disk::flush_dir(&self.spool.retry_root())?;
        }
        for id in linked {
            disk::unlink(&self.spool.new_name(id))?;
            self.report.entries += 1;
        }
        placed
    }

    fn place(&mut self, id: &Id) -> Result<Placed, SpoolError> {
        let entry = match self.spool.open_new(id) {
            Ok(entry) => entry,
            Err(error) => return self.unreadable(id, error),
        };
        let repository = &entry.header().repository;
        if let Some(blocked) = self.report.blocked.get_mut(repository) {
            blocked.entries += 1;
            return Ok(Placed::Stays);
        }
        if self.held.contains(repository) {
            return Ok(Placed::Stays);
        }
        let mut header;
        if self.spool.is_drop() {
            match self.take_over(id, &entry)? {
                Some(taken) => header = taken,
                None => return Ok(Placed::Stays),
            }
        } else {
            header = entry.into_header();
            // A mail drop holds no intents, whatever an entry says.
            self.spool.withdraw_confirmed(&header.confirms)?;
        }
        if let Content::Owed(_) = header.content {
            match (self.build)(id, &header) {
                Ok(built) => header = self.replace(id, &header, built)?,
                Err(error) => {
                    let blocked = Blocked {
                        id: id.clone(),
                        error,
                        entries: 1,
                    };
                    self.report.blocked.insert(header.repository, blocked);
                    return Ok(Placed::Stays);
                }
            }
        }
        if let Content::Built(built) = &header.content {
            let queues = built.recipients.iter().map(|one| &one.queue);
            match self.link(id, queues.collect()) {
                Err(error) if error.refused().is_some() => {
                    let repository = header.repository;
                    self.held.insert(repository.clone());
                    let notice = Notice::Refused(repository, error);
                    self.report.notices.push(notice);
                    return Ok(Placed::Stays);
                }
                linked => linked?,
            }
        }
        Ok(Placed::Linked)
    }

    /// What a dropped entry says, once it is ours. `None`: it may not be announced, or
    /// not now.
    fn take_over(&mut self, id: &Id, entry: &Entry) -> Result<Option<Header>, SpoolError> {
        let why = match self.spool.take_over(id, entry, &mut self.admit) {
            Ok(Taken::Over(header)) => return Ok(Some(header)),
            Ok(Taken::Later(why)) => {
                let repository = entry.header().repository.clone();
                self.held.insert(repository.clone());
                self.report.notices.push(Notice::Later(repository, why));
                return Ok(None);
            }
            Ok(Taken::Refused(why)) => EntryFault::Refused(why),
            Err(error) => error.into_corrupt()?.fault,
        };
        let path = self.spool.new_name(id).path();
        self.unreadable(id, EntryError { path, fault: why })?;
        Ok(None)
    }

    /// Puts the messages where the ref updates were, under the same id.
    fn replace(
        &self,
        id: &Id,
        header: &Header,
        built: Built<Message>,
    ) -> Result<Header, SpoolError> {
        let draft = header.with(Content::Built(built));
        let new = self.spool.new_name(id);
        // Not `tmp/<id>`: the hook that enqueued it may yet be unlinking that.
        let tmp = self.spool.work_dir()?.entry(format!("{id}.built"));
        // Crash inside: it is owed still, and built anew; or it is built for good.
        // Its messages go nowhere before that is durable, so their `msg_id` lasts.
        enqueue::replace(&draft, &tmp, &new, self.spool.own_access())?;
        Ok(Entry::open(&new)?.header().clone())
    }

    fn link(&mut self, id: &Id, queues: BTreeSet<&Queue>) -> Result<(), IoError> {
        let new = self.spool.new_name(id);
        let mut made = vec![];
        let item = Item::first(id).to_string();
        for queue in queues {
            let known = self.touched.get(queue).cloned();
            let dir = known.unwrap_or_else(|| self.spool.retry_dir(queue));
            let name = dir.entry(&item);
            match self.link_into(&new, &name) {
                Ok(true) => made.push(name),
                Ok(false) => {}
                Err(error) => {
                    // It stays in `new/`: in no queue, rather than in some at each run.
                    for name in made {
                        let _ = disk::unlink(&name);
                    }
                    return Err(error);
                }
            }
            if !self.touched.contains_key(queue) {
                self.touched.insert(queue.clone(), dir);
            }
        }
        Ok(())
    }

    /// Links into a queue, which is made if need be; whether the name is new.
    fn link_into(&self, new: &Name, name: &Name) -> Result<bool, IoError> {
        match disk::link(new, name) {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
                disk::ensure_dir(name.folder(), self.spool.own_access())?;
                disk::link(new, name)
            }
            other => other,
        }
    }

    fn unreadable(&mut self, id: &Id, error: EntryError) -> Result<Placed, SpoolError> {
        if error.is_corrupt() {
            match self.spool.set_aside(&self.spool.new_name(id), id) {
                Ok(()) => self.report.notices.push(Notice::SetAside(error)),
                // A folder, or another's file: it stays, and the others pass.
                Err(SpoolError::Io(cause)) if concerns_one_file(&cause.source) => {
                    self.report.notices.push(Notice::Unopened(error));
                }
                Err(cause) => return Err(cause),
            }
            return Ok(Placed::Stays);
        }
        match &error.fault {
            // A person removed it.
            EntryFault::Io(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            // This one alone cannot be read: another's file, or a bad sector.
            EntryFault::Io(cause) if concerns_one_file(cause) => {
                self.report.notices.push(Notice::Unopened(error));
            }
            // Too many open files, say: going on would break the order.
            _ => return Err(error.into()),
        }
        Ok(Placed::Stays)
    }
}

fn concerns_one_file(cause: &io::Error) -> bool {
    use nix::errno::Errno;
    cause.kind() == io::ErrorKind::PermissionDenied
        || cause.raw_os_error() == Some(Errno::EIO as i32)
}
