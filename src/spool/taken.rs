//! The ids of entries received from other processes, so that one that is sent again is recorded
//! once.
//!
//! ```text
//! taken   a line for each: when, in seconds since 1970, the account that sent it, and a hash of
//!         its repository and its id
//! ```
//!
//! Ids are kept for 5 days, 262,144 at most. Where there are more, the oldest one of the account
//! that has most is forgotten, so that no account affects others. Nothing is flushed to disk: after
//! a power failure an entry may be recorded twice, with the same `msg_id`. A process knows what was
//! in the file when it began, and what it noted since.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use super::error::{IoContext, IoError};
use super::names::id::Id;
use super::{Name, Spool, disk};

pub(super) const TAKEN: &str = "taken";
/// Time for which a sender may hold an entry that it has had no answer for.
const LIFE: Duration = Duration::from_hours(5 * 24);
/// Number of ids kept: more than any one server receives in 5 days. They take some 12 MB.
const MOST: usize = 1 << 18;
/// Number of bytes of the file that are read. A line is twice at most 10 digits and a blank, 32
/// digits and an end.
const LONGEST: u64 = 64 * 2 * MOST as u64;

type Hash = [u8; 16];

/// The ids of the entries that a spool has received.
#[derive(Debug)]
pub struct Taken {
    spool: Spool,
    name: Name,
    /// Times and hashes of each account, in the order in which they came.
    all: HashMap<u32, VecDeque<(u64, Hash)>>,
    known: HashSet<Hash>,
    /// Number of ids kept.
    most: usize,
    /// Number of lines in the file.
    lines: usize,
}

impl Taken {
    /// Reads the ids of a spool. Lines that cannot be read are skipped.
    #[must_use]
    pub fn of(spool: &Spool, now: SystemTime) -> Self {
        let mut taken = Self {
            spool: spool.clone(),
            name: spool.root_dir().entry(TAKEN),
            all: HashMap::new(),
            known: HashSet::new(),
            most: MOST,
            lines: 0,
        };
        taken.read();
        taken.forget_old(now);
        taken
    }

    /// Reads what the file has.
    fn read(&mut self) {
        let mut text = Vec::new();
        if let Ok(file) = disk::open(&self.name) {
            let _ = file.take(LONGEST).read_to_end(&mut text);
        }
        self.lines = 0;
        for line in text.split(|&byte| byte == b'\n') {
            self.lines += 1;
            if let Some((account, time, hash)) = parse(line) {
                self.put(account, time, hash);
            }
        }
    }

    /// Returns whether this entry of this repository was received before.
    #[must_use]
    pub fn has(&self, repository: &Path, id: &Id) -> bool {
        self.known.contains(&hash(repository, id))
    }

    /// Records that this entry of this repository was received from an account.
    pub fn note(
        &mut self,
        account: u32,
        repository: &Path,
        id: &Id,
        now: SystemTime,
    ) -> Result<(), IoError> {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (time, hash) = (since.as_secs(), hash(repository, id));
        self.put(account, time, hash);
        self.forget_old(now);
        // Another process may write it anew.
        let file = disk::open_locked(&self.name, || self.open())?;
        if self.lines >= 2 * self.most.min(self.known.len().max(1024)) {
            let own = std::mem::take(&mut self.all);
            self.known.clear();
            self.read();
            // What the file does not have is newer, or could not be written.
            for (account, ids) in own {
                for (time, hash) in ids {
                    self.put(account, time, hash);
                }
            }
            self.forget_old(now);
            return self.write_all();
        }
        self.lines += 1;
        let line = line(account, time, hash);
        disk::write(&file, &self.name, &[line.as_bytes()])
    }

    fn put(&mut self, account: u32, time: u64, hash: Hash) {
        if self.known.insert(hash) {
            self.all.entry(account).or_default().push_back((time, hash));
        }
    }

    fn forget_old(&mut self, now: SystemTime) {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let oldest = since.saturating_sub(LIFE).as_secs();
        self.all.retain(|_, ids| {
            while let Some((_, hash)) = ids.pop_front_if(|(time, _)| *time < oldest) {
                self.known.remove(&hash);
            }
            !ids.is_empty()
        });
        while self.known.len() > self.most
            && let Some(ids) = self.all.values_mut().max_by_key(|ids| ids.len())
            && let Some((_, hash)) = ids.pop_front()
        {
            self.known.remove(&hash);
        }
    }

    fn open(&self) -> Result<File, IoError> {
        match disk::append(&self.name) {
            Ok(file) => Ok(file),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                disk::create(&self.name, self.spool.access)
            }
            Err(error) => Err(error).context("open", || self.name.path()),
        }
    }

    /// Writes the file, whose lock is held, anew, without expired lines.
    fn write_all(&mut self) -> Result<(), IoError> {
        let mut text = String::new();
        for (&account, ids) in &self.all {
            for &(time, hash) in ids {
                text.push_str(&line(account, time, hash));
            }
        }
        let tmp = self.spool.work_dir()?.entry(TAKEN);
        disk::unlink(&tmp)?;
        let file = disk::create(&tmp, self.spool.access)?;
        disk::write(&file, &tmp, &[text.as_bytes()])?;
        // Crash before: the old file stands.
        disk::rename(&tmp, &self.name)?;
        self.lines = self.known.len();
        Ok(())
    }
}

fn hash(repository: &Path, id: &Id) -> Hash {
    let digest = Sha256::new()
        .chain_update(repository.as_os_str().as_bytes())
        .chain_update([0])
        .chain_update(id.as_str())
        .finalize();
    let mut hash = [0; 16];
    hash.copy_from_slice(&digest[..16]);
    hash
}

fn line(account: u32, time: u64, hash: Hash) -> String {
    let mut line = String::new();
    // Writing to text does not fail.
    let _ = writeln!(line, "{time} {account} {}", hex::encode(hash));
    line
}

fn parse(line: &[u8]) -> Option<(u32, u64, Hash)> {
    let (time, rest) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let (account, digits) = rest.split_once(' ')?;
    let mut hash = [0; 16];
    hex::decode_to_slice(digits, &mut hash).ok()?;
    Some((account.parse().ok()?, time.parse().ok()?, hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::Access;

    const ALICE: u32 = 1001;
    const BOB: u32 = 1002;

    fn id(n: u64) -> Id {
        Id::new(UNIX_EPOCH + Duration::from_secs(n), "git1", n)
    }

    #[test]
    fn an_id_is_known_to_the_next_process_and_for_five_days() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool::new(folder.path(), Access::Owner);
        let start = UNIX_EPOCH + Duration::from_hours(24 * 365);
        let (one, other) = (Path::new("/srv/one.git"), Path::new("/srv/other.git"));
        let mut taken = Taken::of(&spool, start);
        taken
            .note(ALICE, one, &id(1), start)
            .expect("it is written");
        taken
            .note(ALICE, one, &id(2), start)
            .expect("it is written");
        for later in [taken, Taken::of(&spool, start)] {
            assert!(later.has(one, &id(1)) && later.has(one, &id(2)));
            assert!(!later.has(other, &id(1)) && !later.has(one, &id(3)));
        }
        let later = Taken::of(&spool, start + LIFE + Duration::from_secs(1));
        assert!(!later.has(one, &id(1)));
    }

    #[test]
    fn the_ids_of_one_account_displaced_those_of_all_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool::new(folder.path(), Access::Owner);
        let now = UNIX_EPOCH + Duration::from_hours(24 * 365);
        let (alices, bobs) = (Path::new("/srv/alice.git"), Path::new("/srv/bob.git"));
        let mut taken = Taken::of(&spool, now);
        taken.most = 100;
        for n in 0..40 {
            taken.note(ALICE, alices, &id(n), now).expect("written");
        }
        for n in 0..1000 {
            taken.note(BOB, bobs, &id(n), now).expect("written");
        }
        assert!((0..40).all(|n| taken.has(alices, &id(n))));
        assert!((940..1000).all(|n| taken.has(bobs, &id(n))));
        assert!(!taken.has(bobs, &id(939)));
        assert_eq!(taken.known.len(), 100);
    }

    #[test]
    fn the_file_is_written_anew_once_most_of_it_is_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool::new(folder.path(), Access::Owner);
        let one = Path::new("/srv/one.git");
        let at = |n: u64| UNIX_EPOCH + Duration::from_hours(n);
        let mut taken = Taken::of(&spool, at(0));
        for n in 0..5000 {
            taken
                .note(ALICE, one, &id(n), at(n))
                .expect("it is written");
        }
        let text = std::fs::read_to_string(folder.path().join(TAKEN)).expect("it is there");
        assert!(text.lines().count() < 2100, "{}", text.lines().count());
        let later = Taken::of(&spool, at(5000));
        assert!(later.has(one, &id(4999)) && !later.has(one, &id(4000)));
        // Lines that cannot be parsed are skipped.
        std::fs::write(folder.path().join(TAKEN), "x\n1 zz\n\n").expect("it is written");
        assert!(!Taken::of(&spool, at(5000)).has(one, &id(4999)));
    }

    /// One wrote it anew; what the other noted after that was in a file without a name.
    #[test]
    fn a_second_process_notes_ids_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool::new(folder.path(), Access::Owner);
        let one = Path::new("/srv/one.git");
        let now = UNIX_EPOCH + Duration::from_hours(24 * 365);
        let mut all = [Taken::of(&spool, now), Taken::of(&spool, now)];
        all[0].most = 100;
        for n in 0..500 {
            let (taken, account) = match n % 50 {
                49 => (&mut all[1], BOB),
                _ => (&mut all[0], ALICE),
            };
            taken
                .note(account, one, &id(n), now)
                .expect("it is written");
        }
        let later = Taken::of(&spool, now);
        assert!((0..500).all(|n| n % 50 != 49 || later.has(one, &id(n))));
        let text = std::fs::read_to_string(folder.path().join(TAKEN)).expect("it is there");
        assert!(text.lines().count() < 250, "{}", text.lines().count());
    }
}
