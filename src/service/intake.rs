//! Takes in entries that git servers handed to the broker.
//!
//! The broker tells which of its users sent an entry, and the server's file, which repositories this
//! user may send for. Of the entry the messages, the path, the endpoints with the messages that each
//! gets, the pusher, the time and the namespace are believed. What cannot be taken is kept with its
//! sender, and is judged again on `queue retry`.
//!
//! Crash before the acknowledgement: the broker sends the entry again, and its id is known, unless
//! the crash came between the entry and the note of its id: then it is delivered twice, whole. The
//! id is noted after the entry is durable: a power cut may leave a note that is not flushed, and an
//! entry that is known is acknowledged.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::desk::Shared;
use super::rules::{Rules, recipients};
use crate::config::{Names, Worker};
use crate::context::told::{self, Told};
use crate::context::{Context, locate, targets};
use crate::delivery::{Consumed, Intake};
use crate::error::Error;
use crate::report::{self, chain};
use crate::spool::{Arrival, Failed, Id, Recipient, Spool, SpoolError, Unusable};

/// Key under which entries from the broker are counted. No repository's path is like this.
const COUNTED_AS: &str = "broker";
/// Number of the account that ids from the broker are kept under. None submits over the socket:
/// it is that of nobody.
const ACCOUNT: u32 = u32::MAX;
/// Number of bytes for which there must be room before entries are taken.
const PROBE: usize = 1 << 20;

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

/// The reason for which an entry is not recorded.
enum Unfit {
    /// It never will be.
    Never(String),
    /// Not now: a fault of this machine.
    Later(Error),
}

/// Where an entry that was kept came from.
#[derive(Serialize, Deserialize)]
struct Origin {
    id: Option<String>,
    user: Option<String>,
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
        let error = chain(error);
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
                    Unfit::Never(chain(&error))
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
        let settings = rules.settings(&repository, self.ctx.host());
        let recipients = recipients(forward, settings, &repository).map_err(Unfit::Never)?;
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
                Err(Unfit::Never(why)) => self.keep(message, &why),
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

    fn keep(&mut self, message: &Consumed, why: &str) -> Result<(), Error> {
        let (id, user) = (message.id.clone(), message.user.clone());
        let origin = serde_json::json!(Origin { id, user }).to_string();
        let parts = self.ctx.id_parts();
        let id = self.spool.keep_untaken(&origin, &message.body, &parts)?;
        let text = format!(
            "cannot take an entry from `{}`: {}: it lies in `failed/unreadable/{id}` now",
            self.queue,
            told::cut(why)
        );
        let user = message.user.as_deref().unwrap_or_default();
        self.tell(&format!("{user} {}", told::kind(why)), &text);
        Ok(())
    }

    /// Takes in an entry that was kept, if it fits by now.
    fn take_again(&mut self, message: &Consumed) -> Result<(), Error> {
        let mut rules = Rules::read(&self.ctx)?;
        let held = self.spool.hold_new().map_err(SpoolError::from)?;
        match self.record(message, &mut rules) {
            Ok(()) => {}
            Err(Unfit::Never(why)) => return Err(Error::failed(told::cut(&why))),
            Err(Unfit::Later(error)) => return Err(error),
        }
        self.spool.flush_new().map_err(SpoolError::from)?;
        drop(held);
        self.note_recorded();
        Ok(())
    }
}

/// Takes in an entry that the worker of this spool kept, as if it came from the broker now. Returns
/// whether `failed` is one. Crash before it is removed: its id is known.
pub(crate) fn take_again(spool: &Spool, failed: &Failed, ctx: &Context) -> Result<bool, Error> {
    let kept = spool.untaken(failed).map_err(SpoolError::from)?;
    let Some((origin, body)) = kept else {
        return Ok(false);
    };
    let cannot = |why: &str| Error::failed(format!("cannot take entry `{}`: {why}", failed.id));
    let origin: Origin = serde_json::from_str(&origin).map_err(|error| cannot(&chain(&error)))?;
    let worker = ctx.server()?.worker();
    let worker = worker.filter(|worker| targets::is_same(&worker.spool, spool.root()));
    let worker = worker.ok_or_else(|| cannot("`[worker]` is not set for this spool"))?;
    let own = Context::new(ctx.named_config(), false);
    let message = Consumed {
        id: origin.id,
        user: origin.user,
        is_repeated: true,
        body,
    };
    let mut intake = FromBroker::new(&worker, "", Arc::default(), own);
    let taken = intake.take_again(&message);
    taken.map_err(|error| cannot(&chain(&error)))?;
    spool.drop_failed(failed).map_err(SpoolError::from)?;
    Ok(true)
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
            // They are known when they are offered again.
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
