//! Takes entries in, from the socket or from a mail drop.
//!
//! Decides who may submit what, by the server's settings, and how much of it. Of an entry its
//! messages are believed, and which of them each endpoint gets. Owner, group and mode of the
//! repository's folders tell who may submit for it; the server's file, which endpoints there are;
//! the service sets its queue and its id.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use super::asker::Asker;
use super::protocol::{Answer, Request};
use super::reach;
use crate::config::Settings;
use crate::context::told::{self, Told};
use crate::context::{Context, locate, max_spool};
use crate::error::Error;
use crate::spool::{Content, Header, Id, IoError, Recipient, Spool, Taken, Unusable};
use crate::{delivery, report};

/// Greatest size of an entry in bytes. No hook makes a larger one.
const LARGEST: u64 = 320 << 20;

/// Greatest number of bytes of entries that may wait for one account.
///
/// Further entries stay in the repositories' own spools.
const MOST_WAITING: u64 = 1 << 30;

/// Number of the account that stands for those of another user namespace (`user_namespaces(7)`).
const OVERFLOW: u32 = 65534;

/// An entry on offer, sent on request.
pub(crate) trait Offered {
    /// Asks for the entry's bytes.
    fn entry(&mut self) -> io::Result<&mut dyn Read>;
}

/// State that all desks share.
#[derive(Default)]
pub(crate) struct Shared {
    /// Ids of entries that were taken in, by the folder of the spool.
    taken: Mutex<HashMap<PathBuf, Taken>>,
    /// Entries that are being taken in.
    busy: Mutex<HashSet<(PathBuf, Id)>>,
    told: Mutex<Told>,
}

impl Shared {
    /// Returns whether this entry of this repository was taken in before.
    pub(super) fn was_taken(
        &self,
        spool: &Spool,
        repository: &Path,
        id: &Id,
        now: SystemTime,
    ) -> bool {
        let mut taken = lock(&self.taken);
        taken_of(&mut taken, spool, now).has(repository, id)
    }

    /// Notes that this entry of this repository was taken in from an account.
    pub(super) fn note(
        &self,
        account: u32,
        spool: &Spool,
        repository: &Path,
        id: &Id,
        now: SystemTime,
    ) -> Result<(), IoError> {
        let mut taken = lock(&self.taken);
        taken_of(&mut taken, spool, now).note(account, repository, id, now)
    }
}

fn taken_of<'t>(
    taken: &'t mut HashMap<PathBuf, Taken>,
    spool: &Spool,
    now: SystemTime,
) -> &'t mut Taken {
    let known = taken.entry(spool.root().to_owned());
    known.or_insert_with(|| Taken::of(spool, now))
}

/// Locks a mutex, even a poisoned one.
///
/// A poisoned lock is that of a thread that panicked, and its value is whole at any time.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes entries in, on one thread.
pub(crate) struct Desk<'a> {
    ctx: Context,
    shared: &'a Shared,
}

/// A repository that an account may submit for, and the place where its entries go.
struct Welcome {
    repository: PathBuf,
    settings: Settings,
    spool: Spool,
}

/// Marks an entry as being taken in.
struct Busy<'a> {
    shared: &'a Shared,
    key: (PathBuf, Id),
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        lock(&self.shared.busy).remove(&self.key);
    }
}

impl<'a> Desk<'a> {
    pub(crate) fn new(ctx: Context, shared: &'a Shared) -> Self {
        Self { ctx, shared }
    }

    /// Returns the answer to an account that has no name, before it is listened to.
    ///
    /// An account of the server can have thousands of such numbers (subuid(5)), and would take all
    /// places with them.
    pub(crate) fn turn_away(&self, asker: &Asker) -> Option<Answer> {
        let answer = self.know(asker).err()?;
        self.tell(asker, &answer);
        Some(answer)
    }

    /// Answers a request, and records the entry offered with it.
    pub(crate) fn take(
        &self,
        asker: &Asker,
        request: &Request,
        offered: &mut dyn Offered,
    ) -> Answer {
        let answer = match self.welcome(asker, request) {
            Ok(_) if request.length == 0 => Answer::Send,
            Ok(welcome) => self.take_in(&welcome, asker, request, offered),
            Err(answer) => answer,
        };
        self.tell(asker, &answer);
        answer
    }

    /// Reports a refusal in bounded words, once for each account and kind of cause.
    ///
    /// Those without a name are one account.
    fn tell(&self, asker: &Asker, answer: &Answer) {
        let (Answer::Later(why) | Answer::Never(why)) = answer else {
            return;
        };
        let name = self.ctx.account(asker.uid).0;
        let whose = if self.know(asker).is_ok() { &name } else { "" };
        let key = format!("{whose} {}", told::kind(why));
        if lock(&self.shared.told).is_news(&key, Instant::now()) {
            let why = told::cut(why);
            report::say(&format!("cannot take an entry of account `{name}`: {why}"));
        }
    }

    /// Fails for an account without a name. The error is the answer.
    fn know(&self, asker: &Asker) -> Result<(), Answer> {
        let later = |why: &str| Err(Answer::Later(why.to_owned()));
        if asker.uid == OVERFLOW {
            return later(
                "its account is that of another user namespace, or of nobody: the service cannot \
                 tell who it is",
            );
        }
        if self.ctx.has_no_name(asker.uid) {
            return later("its account has no name on this server");
        }
        Ok(())
    }

    /// Finds the repository, the settings and the spool for a request.
    ///
    /// The error is the answer, if the account may not submit for the repository.
    fn welcome(&self, asker: &Asker, request: &Request) -> Result<Welcome, Answer> {
        let later = |why: &str| Answer::Later(why.to_owned());
        self.know(asker)?;
        let cannot = |error: Error| Answer::Later(report::chain(&error));
        let server = self.ctx.server();
        let server = server.map_err(|error| cannot(error.into()))?;
        let Some(root) = server.root() else {
            return Err(later("the service's configuration has no `root`"));
        };
        let repository = reach::reach(root, &request.repository, asker)
            .map_err(|refusal| Answer::Later(refusal.to_string()))?;
        let loaded = server.load_served(&repository, self.ctx.host());
        let settings = loaded.map_err(|error| cannot(error.into()))?.settings;
        let Some(spool) = settings.spool.as_deref().map(locate::spool_at) else {
            return Err(later("the service's configuration has no `spool`"));
        };
        let knows = |name: &String| settings.endpoints.iter().any(|one| one.name == *name);
        if let Some(unknown) = request.endpoints.iter().find(|name| !knows(name)) {
            let why = format!("the service's configuration has no endpoint `{unknown}`");
            return Err(Answer::Later(why));
        }
        Ok(Welcome {
            repository,
            settings,
            spool,
        })
    }

    fn take_in(
        &self,
        welcome: &Welcome,
        asker: &Asker,
        request: &Request,
        offered: &mut dyn Offered,
    ) -> Answer {
        let Welcome {
            repository, spool, ..
        } = welcome;
        if request.length > LARGEST {
            let length = request.length;
            return Answer::Never(format!("it has {length} bytes, and {LARGEST} is the most"));
        }
        let key = (repository.clone(), request.id.clone());
        if !lock(&self.shared.busy).insert(key.clone()) {
            return Answer::Later("it is being taken".to_owned());
        }
        let _busy = Busy {
            shared: self.shared,
            key,
        };
        if self.was_taken(spool, repository, &request.id) {
            return Answer::Durable;
        }
        if let Err(full) = ensure_room(welcome, asker) {
            return Answer::Later(report::chain(&full));
        }
        match self.record(welcome, asker, request, offered) {
            Ok(()) => Answer::Durable,
            Err(answer) => answer,
        }
    }

    fn record(
        &self,
        welcome: &Welcome,
        asker: &Asker,
        request: &Request,
        offered: &mut dyn Offered,
    ) -> Result<(), Answer> {
        let Welcome {
            repository, spool, ..
        } = welcome;
        let later = |error: Error| Answer::Later(report::chain(&error));
        let entry = offered.entry();
        let entry =
            entry.map_err(|error| later(Error::failed(format!("cannot read it: {error}"))))?;
        let arrival = spool
            .receive(entry, request.length, &self.ctx.id_parts())
            .map_err(|error| match error {
                Unusable::Fault(_) | Unusable::Deferred => Answer::Never(report::chain(&error)),
                Unusable::Unread(_) | Unusable::Io(_) => Answer::Later(report::chain(&error)),
            })?;
        let recipients = recipients(arrival.header(), welcome, &request.endpoints);
        if recipients.is_empty() {
            let why = "it is for no endpoint that the service's configuration has";
            return Err(Answer::Never(why.to_owned()));
        }
        let id = spool
            .take_in(&arrival, recipients, repository, &self.ctx.id_parts())
            .and_then(|id| Ok(spool.flush_new().map(|()| id)?))
            .map_err(|error| later(error.into()))?;
        spool.count_size(repository, &id, request.length);
        spool.count_size(&account(asker), &id, request.length);
        self.note(asker, spool, repository, &request.id);
        Ok(())
    }

    fn was_taken(&self, spool: &Spool, repository: &Path, id: &Id) -> bool {
        self.shared.was_taken(spool, repository, id, self.ctx.now())
    }

    fn note(&self, asker: &Asker, spool: &Spool, repository: &Path, id: &Id) {
        let now = self.ctx.now();
        let noted = self.shared.note(asker.uid, spool, repository, id, now);
        // If this cannot be written, it is known until this process ends.
        if let Err(error) = noted {
            self.ctx.tell_error(crate::spool::SpoolError::from(error));
        }
    }
}

/// Fails if as much waits as may, for the repository or for the account.
fn ensure_room(welcome: &Welcome, asker: &Asker) -> Result<(), Error> {
    let spool = &welcome.spool;
    if let Some(most) = welcome.settings.max_spool {
        max_spool::ensure(spool, &welcome.repository, most, None)?;
    }
    let waiting = spool.waiting_bytes(&account(asker), MOST_WAITING, None);
    if waiting >= MOST_WAITING {
        return Err(Error::failed(format!(
            "{waiting} bytes that the account submitted wait, and {MOST_WAITING} is the most"
        )));
    }
    Ok(())
}

/// Returns who gets an entry, among the endpoints that the asker names, with the messages that the
/// entry means for each.
fn recipients(header: &Header, welcome: &Welcome, named: &[String]) -> Vec<Recipient> {
    let Content::Built(built) = &header.content else {
        return Vec::new();
    };
    let meant = built.recipients.iter().flat_map(Recipient::endpoints);
    let meant = meant.filter(|one| named.contains(&one.endpoint));
    let meant: Vec<Recipient> = meant.cloned().collect();
    delivery::recipients_meant(&meant, &welcome.settings, &welcome.repository)
}

/// Returns the key under which an account's entries are counted. No repository's path begins like
/// this.
fn account(asker: &Asker) -> PathBuf {
    PathBuf::from(format!("account/{}", asker.uid))
}
