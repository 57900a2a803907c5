//! Entries that another process sends. They are received whole, checked, and recorded under a
//! header of the receiver's own.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::enqueue::IdParts;
use super::entry::{self, Entry};
use super::error::{EntryError, EntryFault, IoContext, IoError, SpoolError};
use super::names::id::Id;
use super::names::item::Failed;
use super::recipient::Recipient;
use super::record::{Content, Header};
use super::{Name, Spool, disk};

/// Start of a file of what could not be taken.
const UNTAKEN: &str = "refpost-untaken ";
/// Number of bytes of such a file that are read: more than any broker takes.
const LONGEST_UNTAKEN: u64 = 512 << 20;

/// A reason for which received bytes cannot be recorded as an entry.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The sender sent too few bytes, or was too slow.
    #[error("cannot read it")]
    Unread(#[source] io::Error),
    /// The bytes are not a whole entry.
    #[error("cannot use it")]
    Fault(#[source] EntryFault),
    /// The messages are not built yet, which only the sender can do.
    #[error("its messages are not made")]
    Deferred,
    /// A system call failed on the receiver's disk.
    #[error(transparent)]
    Io(#[from] IoError),
}

impl From<EntryError> for Unusable {
    fn from(error: EntryError) -> Self {
        match error.fault {
            EntryFault::Io(source) => Self::Io(IoError {
                operation: "read",
                path: error.path,
                source,
            }),
            fault => Self::Fault(fault),
        }
    }
}

/// An entry that was received into `tmp/`, whole and checked. Dropping it removes the file.
#[derive(Debug)]
pub struct Arrival {
    name: Name,
    entry: Entry,
}

impl Drop for Arrival {
    fn drop(&mut self) {
        // If it cannot be removed here, the sweep removes it.
        let _ = disk::unlink(&self.name);
    }
}

impl Arrival {
    /// Returns the header that the sender wrote.
    #[must_use]
    pub fn header(&self) -> &Header {
        self.entry.header()
    }
}

impl Spool {
    /// Receives `length` bytes of an entry into `tmp/` and verifies them.
    ///
    /// The entry is not durable yet, and no claim of its header is trusted.
    pub fn receive(
        &self,
        from: &mut dyn Read,
        length: u64,
        parts: &IdParts<'_>,
    ) -> Result<Arrival, Unusable> {
        let id = Id::new(parts.now, parts.host, parts.random);
        let name = self.work_dir()?.entry(format!("{id}.sent"));
        let file = disk::create(&name, self.access)?;
        let received = Self::fill_arrival(&file, from, length, &name);
        if let Err(error) = received {
            let _ = disk::unlink(&name);
            return Err(error);
        }
        match Entry::open(&name) {
            Ok(entry) => {
                let arrival = Arrival { name, entry };
                let path = arrival.name.path();
                let verified = arrival.entry.verify();
                verified.map_err(|fault| EntryError { path, fault })?;
                match arrival.header().content {
                    Content::Built(_) => Ok(arrival),
                    Content::Deferred(_) => Err(Unusable::Deferred),
                }
            }
            Err(error) => {
                let _ = disk::unlink(&name);
                Err(error.into())
            }
        }
    }

    fn fill_arrival(
        file: &File,
        from: &mut dyn Read,
        length: u64,
        name: &Name,
    ) -> Result<(), Unusable> {
        let mut part = vec![0; 1 << 16];
        let mut left = length;
        while left > 0 {
            let most = part.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = match from.read(&mut part[..most]) {
                Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read,
            };
            let read = read.map_err(Unusable::Unread)?;
            disk::write(file, name, &[&part[..read]])?;
            left -= read as u64;
        }
        Ok(())
    }

    /// Makes the names in `new/` durable.
    pub fn flush_new(&self) -> Result<(), IoError> {
        disk::flush_dir(&self.new_dir())
    }

    /// Fails if there is no room for so many bytes, or nothing can be written.
    pub fn probe_room(&self, bytes: usize, parts: &IdParts<'_>) -> Result<(), IoError> {
        let id = Id::new(parts.now, parts.host, parts.random);
        let name = self.work_dir()?.entry(format!("{id}.probe"));
        let file = disk::create(&name, self.access)?;
        let written = disk::write(&file, &name, &[&vec![0; bytes]]);
        written.and(disk::unlink(&name))
    }

    /// Keeps what cannot be taken in `failed/unreadable/`, durably, behind a line that says where it
    /// came from.
    ///
    /// By that line it is no entry: nobody distributes it as its sender would have it.
    pub fn keep_untaken(
        &self,
        origin: &str,
        bytes: &[u8],
        parts: &IdParts<'_>,
    ) -> Result<Id, SpoolError> {
        let id = Id::new(parts.now, parts.host, parts.random);
        let name = self.work_dir()?.entry(id.as_str());
        let file = disk::create(&name, self.access)?;
        let head = format!("{UNTAKEN}{origin}\n");
        let kept = disk::write(&file, &name, &[head.as_bytes(), bytes])
            .and_then(|()| disk::flush(&file, &name))
            .map_err(SpoolError::from)
            .and_then(|()| self.set_aside(&name, &id));
        let _ = disk::unlink(&name);
        kept.map(|()| id)
    }

    /// Returns what was kept by [`Spool::keep_untaken`]: where it came from, and its bytes. `None`:
    /// it is another file.
    pub fn untaken(&self, failed: &Failed) -> Result<Option<(String, Vec<u8>)>, IoError> {
        let name = self.failed_name(failed);
        let mut bytes = Vec::new();
        let read = disk::open(&name).and_then(|file| {
            let mut start = [0; UNTAKEN.len()];
            let begins = file.read_at(&mut start, 0)? == start.len();
            let is_untaken = begins && start == *UNTAKEN.as_bytes();
            let most = if is_untaken { LONGEST_UNTAKEN } else { 0 };
            file.take(most).read_to_end(&mut bytes)
        });
        read.context("read", || name.path())?;
        let end = bytes.iter().position(|&byte| byte == b'\n');
        Ok(end.map(|end| {
            let body = bytes.split_off(end + 1);
            let origin = bytes.get(UNTAKEN.len()..end).unwrap_or_default();
            (String::from_utf8_lossy(origin).into_owned(), body)
        }))
    }

    /// Gives an arrival an id of this spool, durable once [`Spool::flush_new`] has been called.
    ///
    /// `repository` and `recipients` replace those that the sender names. The sender's process,
    /// intents, push options and moved refs are left out.
    pub fn take_in(
        &self,
        arrival: &Arrival,
        recipients: Vec<Recipient>,
        repository: &Path,
        parts: &IdParts<'_>,
    ) -> Result<Id, SpoolError> {
        let mut header = arrival.header().clone();
        repository.clone_into(&mut header.repository);
        header.folder = None;
        header.push_options = Vec::new();
        header.process = None;
        header.confirms = Vec::new();
        header.missing_since = None;
        // They came in their order. Of an entry that came twice, moves would tell another.
        header.moved = Vec::new();
        if let Content::Built(built) = &mut header.content {
            built.recipients = recipients;
        }
        let root = self.root_dir();
        let id = Self::next_id(&root, parts);
        let (tmp, new) = (self.tmp_dir(), self.new_dir());
        let (tmp, new) = (tmp.entry(id.as_str()), new.entry(id.as_str()));
        let file = disk::create(&tmp, self.access)?;
        disk::set_modified(&root, id.time());
        let recorded = entry::write_again(&header, &arrival.entry, &file, &tmp)
            .map_err(SpoolError::from)
            .and_then(|()| self.publish_later(&file, &tmp, &new));
        let _ = disk::unlink(&tmp);
        recorded.map(|()| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A receiver without free descriptors let the sender give the entry up.
    #[test]
    fn a_fault_of_the_receivers_disk_was_taken_for_one_of_the_entry() {
        let error = |fault| EntryError {
            path: Path::new("tmp/x.sent").to_owned(),
            fault,
        };
        let own = io::Error::from(nix::errno::Errno::EMFILE);
        let unusable = Unusable::from(error(EntryFault::Io(own)));
        assert!(matches!(unusable, Unusable::Io(error) if error.is_want_of_files()));
        let unusable = Unusable::from(error(EntryFault::NotAnEntry));
        assert!(matches!(unusable, Unusable::Fault(EntryFault::NotAnEntry)));
    }
}
