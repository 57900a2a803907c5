//! Takes in entries that git servers handed to the broker.
//!
//! The broker tells which of its users sent an entry; of the entry itself, only the messages, the
//! path and the endpoints' names are believed. The server's file tells who gets it.
//!
//! Crash before the acknowledgement: the broker sends the entry again, and its id is known, unless
//! the crash came between the entry and the note of its id: then it is delivered twice, whole. The
//! id is noted after the entry is durable: a power cut may leave a note that is not flushed, and an
//! entry that is known is acknowledged.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::desk::Shared;
use crate::config::{self, Names, Server, Settings, Worker};
use crate::context::told::Told;
use crate::context::{Context, locate};
use crate::delivery::{self, Consumed, Intake};
use crate::error::Error;
use crate::payload::About;
use crate::report;
use crate::spool::{
    Arrival, Content, Frozen, Header, Id, Queue, Recipient, Spool, SpoolError, Unusable,
};

/// Key under which entries from the broker are counted. No repository's path is like this.
const COUNTED_AS: &str = "broker";
/// Number of the account that ids from the broker are kept under. None submits over the socket:
/// it is that of nobody.
const ACCOUNT: u32 = u32::MAX;
/// Number of bytes for which there must be room before entries are taken.
const PROBE: usize = 1 << 20;
/// Greatest number of endpoints of an entry that are not configured here.
const MOST_UNKNOWN: usize = 16;

/// The place of entries from one queue.
pub(crate) struct FromBroker {
    ctx: Context,
    spool: Spool,
    shared: Arc<Shared>,
    told: Told,
    /// The queue, for people.
    queue: String,
    is_failing: bool,
    /// Entries whose names are not durable yet, by repository and id.
    recorded: Vec<(PathBuf, Id)>,
}

/// An entry that is to be recorded.
struct Fresh {
    id: Id,
    arrival: Arrival,
    repository: PathBuf,
    recipients: Vec<Recipient>,
}

/// The server's file, read once for some entries.
struct Rules {
    server: Server,
    worker: Worker,
    root: PathBuf,
    /// Settings by repository.
    settings: HashMap<PathBuf, Settings>,
}

impl Rules {
    fn read(ctx: &Context) -> Result<Self, Error> {
        let server = ctx.server()?;
        match (server.worker(), server.root().map(Path::to_owned)) {
            (Some(worker), Some(root)) => Ok(Self {
                server,
                worker,
                root,
                settings: HashMap::new(),
            }),
            _ => Err(Error::failed("`[worker]` is not set any more".to_owned())),
        }
    }

    fn settings(&mut self, repository: &Path, host: &str) -> Result<&Settings, Error> {
        if !self.settings.contains_key(repository) {
            let loaded = self.server.load_served(repository, host)?;
            self.settings.insert(repository.to_owned(), loaded.settings);
        }
        Ok(&self.settings[repository])
    }
}

/// The reason for which an entry is not recorded.
enum Unfit {
    /// It never will be.
    Never(String),
    /// Not now: a fault of this machine.
    Later(Error),
}

impl From<Error> for Unfit {
    fn from(error: Error) -> Self {
        Self::Later(error)
    }
}

impl FromBroker {
    pub(crate) fn new(worker: &Worker, queue: &str, shared: Arc<Shared>, ctx: Context) -> Self {
        Self {
            spool: locate::spool_at(&worker.spool),
            shared,
            ctx,
            told: Told::default(),
            queue: queue.to_owned(),
            is_failing: false,
            recorded: Vec::new(),
        }
    }

    /// Reads the rules. Returns `None` if they cannot be read, or as much waits as may (`stop_at`),
    /// which is told.
    fn rules(&mut self) -> Option<Rules> {
        let rules = match Rules::read(&self.ctx) {
            Ok(rules) => rules,
            Err(error) => {
                self.tell_untaken("configuration", &error);
                return None;
            }
        };
        let Some(most) = rules.worker.stop_at else {
            return Some(rules);
        };
        let waiting = self.spool.waiting_bytes(Path::new(COUNTED_AS), most, None);
        if waiting < most {
            return Some(rules);
        }
        let text = format!(
            "takes nothing from the broker: {waiting} bytes wait here, and `worker.stop_at` is {most}"
        );
        self.tell("stop_at", &text);
        None
    }

    /// Tells a text, once for each kind: the numbers and the names of files in it differ each time.
    fn tell(&mut self, kind: &str, text: &str) {
        if self.told.is_news(kind, Instant::now()) {
            report::say(text);
        }
    }

    /// Tells why entries that have come are not taken.
    fn tell_untaken(&mut self, kind: &str, error: &Error) {
        let error = report::chain(error);
        let text = format!("cannot take entries from the broker: {error}");
        self.tell(kind, &text);
    }

    /// Gives an entry a name in `new/`, unless it has come before.
    fn record(&mut self, message: &Consumed, rules: &mut Rules) -> Result<(), Unfit> {
        let Some(fresh) = self.judge(message, rules)? else {
            return Ok(());
        };
        let later = |error: SpoolError| Unfit::Later(error.into());
        let parts = self.ctx.id_parts();
        let length = message.body.len() as u64;
        let id = self
            .spool
            .take_in(&fresh.arrival, fresh.recipients, &fresh.repository, &parts)
            .map_err(later)?;
        self.spool.count_size(Path::new(COUNTED_AS), &id, length);
        self.recorded.push((fresh.repository, fresh.id));
        Ok(())
    }

    /// Notes the ids of what was recorded, once it is durable: what is known is acknowledged.
    fn note_recorded(&mut self) {
        let now = self.ctx.now();
        for (repository, id) in std::mem::take(&mut self.recorded) {
            let shared = &self.shared;
            let noted = shared.note(ACCOUNT, &self.spool, &repository, &id, now);
            // If this cannot be written, it is known until this process ends.
            if let Err(error) = noted {
                self.tell_untaken("cannot note ids", &SpoolError::from(error).into());
            }
        }
    }

    fn has_come(&self, repository: &Path, id: &Id) -> bool {
        let mut recorded = self.recorded.iter();
        let now = self.ctx.now();
        recorded.any(|(at, own)| at == repository && own == id)
            || self.shared.was_taken(&self.spool, repository, id, now)
    }

    /// Reads an entry. Returns `None` if it has come before.
    fn judge(&self, message: &Consumed, rules: &mut Rules) -> Result<Option<Fresh>, Unfit> {
        let never = |why: &str| Unfit::Never(why.to_owned());
        let id = message.id.as_deref().and_then(Id::parse);
        let id = id.ok_or_else(|| never("its `message_id` is no id of an entry"))?;
        let (length, parts) = (message.body.len() as u64, self.ctx.id_parts());
        let arrival = self
            .spool
            .receive(&mut &message.body[..], length, &parts)
            .map_err(|error| match error {
                Unusable::Fault(_) | Unusable::Deferred | Unusable::Unread(_) => {
                    Unfit::Never(report::chain(&error))
                }
                Unusable::Io(error) => Unfit::Later(SpoolError::from(error).into()),
            })?;
        let forward = arrival.header().forward();
        let forward = forward.ok_or_else(|| never("it is not for workers"))?;
        let is_plain = |part| matches!(part, Component::Normal(_));
        if forward.path.file_name().is_none() || !forward.path.components().all(is_plain) {
            return Err(never("its path is not one below `root`"));
        }
        let path: PathBuf = forward.path.components().collect();
        let repository = rules.root.join(path);
        let user = message.user.as_deref();
        let names = Names::new(&repository, Some(&rules.root));
        if !rules.worker.believes(user, &names) {
            let user = user.map_or("a user that it does not name".to_owned(), |user| {
                format!("`{user}`")
            });
            let (user, path) = (report::printable(&user), forward.path.display());
            return Err(Unfit::Never(format!(
                "{user} may not send for `{path}` (`worker.publishers`)"
            )));
        }
        if self.has_come(&repository, &id) {
            return Ok(None);
        }
        let settings = rules.settings(&repository, self.ctx.host())?;
        let recipients = recipients(arrival.header(), settings, &repository);
        if recipients.is_empty() {
            return Ok(None);
        }
        Ok(Some(Fresh {
            id,
            arrival,
            repository,
            recipients,
        }))
    }

    /// Records as many messages as it can, from the first on.
    fn record_all(&mut self, messages: &[Consumed], rules: &mut Rules) -> usize {
        for (at, message) in messages.iter().enumerate() {
            let done = match self.record(message, rules) {
                Err(Unfit::Never(why)) => self.keep_unreadable(message, &why),
                Err(Unfit::Later(error)) => Err(error),
                Ok(()) => Ok(()),
            };
            if let Err(error) = done {
                self.tell_untaken("cannot write", &error);
                return at;
            }
        }
        messages.len()
    }

    fn keep_unreadable(&mut self, message: &Consumed, why: &str) -> Result<(), Error> {
        let parts = self.ctx.id_parts();
        let id = self.spool.keep_unreadable(&message.body, &parts)?;
        let text = format!(
            "cannot take an entry from `{}`: {why}: it lies in `failed/unreadable/{id}` now",
            self.queue
        );
        self.tell(why, &text);
        Ok(())
    }
}

impl Intake for FromBroker {
    fn has_room(&mut self) -> bool {
        if self.rules().is_none() {
            return false;
        }
        match self.spool.probe_room(PROBE, &self.ctx.id_parts()) {
            Ok(()) => true,
            Err(error) => {
                self.tell_untaken("cannot write", &SpoolError::from(error).into());
                false
            }
        }
    }

    fn take(&mut self, messages: &[Consumed]) -> usize {
        let Some(mut rules) = self.rules() else {
            return 0;
        };
        // Whoever distributes meanwhile could see a later name and not an earlier one.
        let held = match self.spool.hold_new() {
            Ok(held) => held,
            Err(error) => {
                self.tell_untaken("cannot lock", &SpoolError::from(error).into());
                return 0;
            }
        };
        let taken = self.record_all(messages, &mut rules);
        let flushed = self.spool.flush_new();
        drop(held);
        if let Err(error) = flushed {
            self.recorded.clear();
            self.tell_untaken("cannot make names durable", &SpoolError::from(error).into());
            return 0;
        }
        self.note_recorded();
        taken
    }

    fn is_well(&mut self) {
        if std::mem::take(&mut self.is_failing) {
            report::say(&format!("takes from `{}` again", self.queue));
        }
    }

    fn fails(&mut self, why: &str) {
        self.is_failing = true;
        let text = format!("cannot take from `{}`: {why}", self.queue);
        self.tell(&text, &text);
    }
}

/// Returns who gets an entry by the server's file, among the endpoints that the git server meant.
///
/// Each gets the messages that it wants. Of one that is not configured here the messages are kept in
/// `failed/`, under its own name.
fn recipients(header: &Header, settings: &Settings, repository: &Path) -> Vec<Recipient> {
    let Content::Built(built) = &header.content else {
        return Vec::new();
    };
    let about: Vec<About<'_>> = built.messages.iter().map(Frozen::about).collect();
    let meant = header.forward().map_or(&[][..], |forward| &forward.to);
    let mut all = delivery::recipients_of(&about, settings, repository);
    all.retain(|one| meant.iter().any(|own| own.endpoint == one.endpoint));
    let is_known = |name: &str| settings.endpoints.iter().any(|own| own.name == name);
    let unknown = meant.iter().filter(|one| !is_known(&one.endpoint));
    let unknown = unknown.filter(|one| config::is_endpoint_name(&one.endpoint));
    let unknown: BTreeMap<&str, &Recipient> =
        unknown.map(|one| (one.endpoint.as_str(), one)).collect();
    all.extend(
        unknown
            .into_iter()
            .take(MOST_UNKNOWN)
            .filter_map(|(name, one)| {
                Some(Recipient {
                    queue: Queue::new(name).ok()?,
                    forward: None,
                    ..one.clone()
                })
            }),
    );
    all
}
