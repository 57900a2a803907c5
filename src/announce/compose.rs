//! Makes messages of ref updates, and finds who gets them, for `hook`, `preview` and `flush`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use super::templates::Templates;
use crate::config::{self, Endpoint, Settings};
use crate::context::Context;
use crate::error::Error;
use crate::event::{RefChange, RefName, RefUpdate};
use crate::git::{self, Changes, Repository, WantedDetails};
use crate::payload::pagure::{self, Stamp};
use crate::payload::{self, Addresses, Allowance, Format, Message, Project, forge, sent};
use crate::spool::{BESIDE_BODY, Built};
use crate::{delivery, host, report};

/// Greatest sum of the bytes of an entry's bodies, if it has several updates: content that cannot
/// be left out, above all `repo`, is in each of them.
const MOST_BYTES: usize = 256 << 20;

/// Greatest number of malformed refs that are told one by one.
const MISFITS_TOLD: usize = 5;

/// The content of one message.
enum Telling {
    /// An event, in Pagure's format.
    Event(sent::Event),
    /// A topic, in a forge's format.
    Topic(&'static str),
    /// A topic, as the template of the endpoint with this number has it.
    Rendered(&'static str, usize),
}

/// Makes the messages of one push, batch by batch.
pub(crate) struct Composer<'a> {
    changes: Changes<'a>,
    git_dir: PathBuf,
    project: Project,
    addresses: Addresses,
    /// The formats in which each change is told.
    formats: BTreeSet<Format>,
    settings: &'a Settings,
    ctx: &'a Context,
    /// The account name of the pusher.
    pusher: &'a str,
    /// The pusher's note.
    note: Option<&'a str>,
    /// Time at which the push happened.
    time: SystemTime,
    /// Number of messages made in Pagure's format, which are numbered within a push.
    made: usize,
    /// The refs of the batch whose ids cannot be of this repository, with the reasons.
    misfits: Vec<String>,
    templates: Templates,
}

impl<'a> Composer<'a> {
    pub(crate) fn new(
        repository: &'a Repository,
        settings: &'a Settings,
        ctx: &'a Context,
        pusher: &'a str,
        note: Option<&'a str>,
        time: SystemTime,
    ) -> Self {
        let with = (settings, ctx);
        Self::of_formats(settings.formats(), repository, with, pusher, note, time)
    }

    /// Makes a composer of messages in these formats.
    pub(crate) fn of_formats(
        formats: BTreeSet<Format>,
        repository: &'a Repository,
        (settings, ctx): (&'a Settings, &'a Context),
        pusher: &'a str,
        note: Option<&'a str>,
        time: SystemTime,
    ) -> Self {
        let forges = || formats.iter().filter(|&&format| format != Format::Pagure);
        let most = |format: &Format| settings.max_commits.unwrap_or(format.most_commits());
        let wants = git::Wants {
            files: settings.max_changed_files,
            // With more than that the body would be longer than `max_body`, and list none.
            path_bytes: settings.max_body,
        };
        let details = forges().map(most).max().map(|commits| WantedDetails {
            commits,
            bytes: settings.max_body,
            same_as: formats.contains(&Format::Github),
        });
        let (project, addresses) = project(repository, settings, ctx);
        Self {
            changes: repository.changes(wants).with_details(details),
            git_dir: repository.path(),
            project,
            addresses,
            formats,
            settings,
            ctx,
            pusher,
            note,
            time,
            made: 0,
            misfits: Vec::new(),
            templates: Templates::default(),
        }
    }

    /// Returns a composer that tells the known part of updates whose own objects are missing.
    pub(crate) fn of_what_is_known(self) -> Self {
        Self {
            changes: self.changes.of_what_is_known(),
            ..self
        }
    }

    /// Returns the number of bytes that may wait for the repository. `None`: any number.
    pub(crate) fn max_spool(&self) -> Option<u64> {
        self.settings.max_spool
    }

    /// Returns the number of messages made in Pagure's format, which is the `i` of the last one.
    pub(crate) fn made(&self) -> usize {
        self.made
    }

    /// Takes the number back to `made`: the messages after that were made in vain.
    pub(crate) fn rewind(&mut self, made: usize) {
        self.made = made;
    }

    /// Returns the number of refs in the batch whose ids cannot be of this repository.
    pub(crate) fn misfits(&self) -> usize {
        self.misfits.len()
    }

    /// Tells a person of those refs: they are malformed, and no messages of them are made.
    pub(crate) fn tell_misfits(&self) {
        let told = self.misfits.iter().take(MISFITS_TOLD);
        let more = self.misfits.len() - told.len();
        told.for_each(|misfit| self.ctx.tell_once(misfit, None));
        if more > 0 {
            let more = report::count(more, "ref");
            self.ctx.tell_once(&format!("{more} more like that"), None);
        }
    }

    /// Makes the messages of a batch, in order, one at a time.
    ///
    /// Fails with [`Error::TooLarge`] if those of several updates have more than `MOST_BYTES`, or
    /// than the broker takes.
    pub(crate) fn each(
        &mut self,
        updates: &[RefUpdate],
        mut take: impl FnMut(Message) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let new = Allowance::new(self.settings.max_body);
        let mut allowances: Vec<_> = self.formats.iter().map(|&one| (one, new)).collect();
        let broker = self.settings.broker.as_ref();
        let most = broker.map_or(MOST_BYTES, |broker| broker.max_message);
        let mut bytes = 0;
        self.misfits.clear();
        for update in updates {
            let change = match self.changes.of(update) {
                Err(error @ git::Error::Length { .. }) => {
                    let name = update.name.full();
                    let misfit = format!("`{name}` is not announced: {error}");
                    self.misfits.push(misfit);
                    continue;
                }
                change => change?,
            };
            // Pagure's messages come last, since they consume the change.
            let ends = [update.old, update.new].map(|id| update.digits(id));
            let mut change = Some(change);
            for (format, allowance) in allowances.iter_mut().rev() {
                for telling in self.tellings(&mut change, *format) {
                    let longest = allowance.longest();
                    let mut message = self.message(change.as_ref(), *format, &telling, longest)?;
                    message.ends = Some(ends.clone());
                    allowance.spend(message.body.len());
                    bytes += message.body.len() + BESIDE_BODY;
                    if bytes > most && updates.len() > 1 {
                        return Err(Error::TooLarge);
                    }
                    take(message)?;
                    self.made += usize::from(*format == Format::Pagure);
                }
            }
        }
        Ok(())
    }

    /// Returns the content of a change's messages in a format: of Pagure's every event, from which
    /// endpoints' `topics` and `refs` choose; of others the wanted topics.
    fn tellings(&self, change: &mut Option<RefChange>, format: Format) -> Vec<Telling> {
        if format == Format::Pagure {
            let events = change.take().map_or_else(Vec::new, sent::events);
            return events.into_iter().map(Telling::Event).collect();
        }
        let Some(change) = change else {
            return Vec::new();
        };
        let reference = change.update.name.full();
        let topics = forge::topics(change, format).iter();
        if format == Format::Template {
            let each = topics.flat_map(|&topic| self.templates_for(topic, &reference));
            return each.collect();
        }
        let wanted = topics.filter(|topic| self.is_wanted(format, topic, &reference));
        wanted.map(|&topic| Telling::Topic(topic)).collect()
    }

    /// Returns a message for each endpoint with a template that wants a topic of a ref. Without
    /// such an endpoint, the facts themselves.
    fn templates_for(&self, topic: &'static str, reference: &str) -> Vec<Telling> {
        let all = self.settings.endpoints.iter().enumerate();
        let mut all = all
            .filter(|(_, one)| one.format == Format::Template)
            .peekable();
        if all.peek().is_none() {
            return vec![Telling::Topic(topic)];
        }
        let wanted = all.filter(|(_, endpoint)| endpoint.wants(topic, reference));
        wanted.map(|(at, _)| Telling::Rendered(topic, at)).collect()
    }

    /// Returns whether an endpoint of a format wants a topic of a ref. Without such an endpoint,
    /// one that does not set `topics` decides.
    fn is_wanted(&self, format: Format, topic: &str, reference: &str) -> bool {
        let endpoints = self.settings.endpoints.iter();
        let mut endpoints = endpoints.filter(|one| one.format == format).peekable();
        if endpoints.peek().is_none() {
            let default = format.default_topics();
            return default.is_empty() || default.contains(&topic);
        }
        endpoints.any(|endpoint| endpoint.wants(topic, reference))
    }

    fn message(
        &self,
        change: Option<&RefChange>,
        format: Format,
        telling: &Telling,
        longest: usize,
    ) -> Result<Message, Error> {
        let stamp = stamp(self.made + 1, self.time, self.ctx)?;
        let settings = self.settings;
        match (telling, change) {
            (Telling::Event(event), _) => {
                let context = pagure::Context {
                    instance: &settings.instance,
                    project: &self.project,
                    people: &settings.people,
                    pusher: self.pusher,
                    note: self.note,
                };
                Ok(pagure::message(event, context, &stamp, longest))
            }
            (Telling::Topic(topic) | Telling::Rendered(topic, _), Some(change)) => {
                let branch = self.changes.default_branch_name()?.map(RefName::short);
                let context = payload::Context {
                    instance: &settings.instance,
                    project: &self.project,
                    addresses: &self.addresses,
                    people: &settings.people,
                    pusher: self.pusher,
                    default_branch: branch.as_deref(),
                    is_sha256: change.update.is_sha256(),
                    max_commits: settings.max_commits,
                };
                let about = (format, *topic);
                let mut message = forge::message(change, about, context, &stamp, longest);
                if let Telling::Rendered(_, at) = telling {
                    let endpoint = &settings.endpoints[*at];
                    self.templates.render(&mut message, endpoint, settings);
                }
                Ok(message)
            }
            (Telling::Topic(_) | Telling::Rendered(..), None) => {
                unreachable!("only Pagure's messages take it apart")
            }
        }
    }

    /// Tells a person of the messages whose templates cannot be rendered, each reason once.
    fn tell_unrendered(&self, messages: &[Message]) {
        let all = messages.iter().filter_map(|message| {
            let template = message.template.as_ref()?;
            Some((&template.endpoint, template.fault.as_ref()?))
        });
        for (name, fault) in all {
            let mut endpoints = self.settings.endpoints.iter();
            let endpoint = endpoints.find(|endpoint| endpoint.name == *name);
            let shown = endpoint.map(Endpoint::name_for_pusher);
            let line = delivery::unrendered(shown.as_ref().unwrap_or(name), fault);
            self.ctx.tell_once(&line, None);
        }
    }

    /// Makes the messages of a batch, and finds who gets which. An endpoint that wants none of them
    /// is no recipient.
    pub(crate) fn built(&mut self, updates: &[RefUpdate]) -> Result<Built<Message>, Error> {
        let made = self.made;
        let mut messages = Vec::new();
        let gathered = self.each(updates, |message| {
            messages.push(message);
            Ok(())
        });
        if let Err(error) = gathered {
            self.rewind(made);
            return Err(error);
        }
        self.tell_misfits();
        let each = messages.iter();
        each.for_each(|message| explain(message, self.settings, self.ctx));
        self.tell_unrendered(&messages);
        Ok(Built {
            recipients: delivery::recipients(&messages, self.settings, &self.git_dir),
            messages,
        })
    }
}

/// Says why endpoints do not get a message, with `REFPOST_LOG=debug`.
pub(crate) fn explain(message: &Message, settings: &Settings, ctx: &Context) {
    if !ctx.is_debugging() {
        return;
    }
    for endpoint in &settings.endpoints {
        if let Some(why) = delivery::why_unwanted(endpoint, message.about()) {
            let (name, topic) = (&endpoint.name, &message.topic);
            report::say(&format!("debug: `{name}` does not get `{topic}`: {why}"));
        }
    }
}

/// Returns the project and the addresses of a repository.
pub(crate) fn project(
    repository: &Repository,
    settings: &Settings,
    ctx: &Context,
) -> (Project, Addresses) {
    let facts = repository.facts(&|name| ctx.variable(name));
    let (name, fullname) = ctx.account(facts.owner_uid);
    let project = config::project(settings, &facts, (&name, &fullname));
    let addresses = config::addresses(settings, &facts, &project);
    (project, addresses)
}

/// Calls `make` with what the messages of a repository's forge formats have in common, as for a push
/// of this process.
pub(crate) fn in_context<T>(
    repository: &Repository,
    settings: &Settings,
    ctx: &Context,
    make: impl FnOnce(payload::Context<'_>, &Stamp) -> T,
) -> Result<T, Error> {
    let (project, addresses) = project(repository, settings, ctx);
    let pusher = pusher(ctx);
    let branch = repository.default_branch_name()?;
    let context = payload::Context {
        instance: &settings.instance,
        project: &project,
        addresses: &addresses,
        people: &settings.people,
        pusher: &pusher,
        default_branch: branch.as_deref(),
        is_sha256: repository.is_sha256(),
        max_commits: settings.max_commits,
    };
    Ok(make(context, &stamp(1, ctx.now(), ctx)?))
}

/// Returns the name of the pusher, as far as the environment tells.
pub(crate) fn pusher(ctx: &Context) -> String {
    host::pusher(|name| ctx.variable(name), || ctx.own_account())
}

/// Makes the number, the random id and the time of the `i`th message of a push.
pub(crate) fn stamp(i: usize, now: SystemTime, ctx: &Context) -> Result<Stamp, Error> {
    let timestamp = now
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let rfc3339 = humantime::format_rfc3339_seconds(now).to_string();
    let (year, _) = rfc3339
        .split_once('-')
        .expect("RFC 3339 begins with the year");
    let uuid = uuid::Builder::from_random_bytes(ctx.random()?).into_uuid();
    Ok(Stamp {
        i,
        msg_id: format!("{year}-{uuid}"),
        timestamp,
    })
}
