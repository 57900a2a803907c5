//! `queue`: what waits and what failed, and taking it into one's own hands.

use std::path::PathBuf;

use serde_json::json;

use super::spools::{self, Target};
use super::surroundings::Surroundings;
use super::{Done, Error};
use crate::cli::{Choice, QueueChooseArgs, QueueCommand, QueueListArgs, QueueShowArgs};
use crate::report;
use crate::spool::{
    Content, Entry, EntryError, Failed, Header, Id, Item, Part, Queue, Spool, SpoolError,
};

pub(super) fn run(command: &QueueCommand, around: &Surroundings) -> Result<Done, Error> {
    match command {
        QueueCommand::List(args) => list(args, around),
        QueueCommand::Show(args) => show(args, around),
        QueueCommand::Retry(args) => retry(args, around),
        QueueCommand::Drop(args) => discard(args, around),
    }
}

/// An entry in one of the places where it can be.
struct Listed {
    place: Place,
    /// `None`: it cannot be read.
    header: Option<Header>,
}

enum Place {
    /// Not yet brought to its queues.
    New(Id),
    Waiting(Queue, Item),
    Failed(Failed),
}

impl Place {
    fn id(&self) -> &Id {
        match self {
            Self::New(id) => id,
            Self::Waiting(_, item) => &item.id,
            Self::Failed(failed) => &failed.id,
        }
    }

    fn queue(&self) -> Option<&Queue> {
        match self {
            Self::New(_) => None,
            Self::Waiting(queue, _) => Some(queue),
            Self::Failed(failed) => Some(&failed.queue),
        }
    }

    fn state(&self) -> &'static str {
        match self {
            Self::New(_) => "new",
            Self::Waiting(_, item) if matches!(item.part, Part::Only(_)) => "refused",
            Self::Waiting(..) => "waiting",
            Self::Failed(_) => "failed",
        }
    }

    fn open(&self, spool: &Spool) -> Result<Entry, EntryError> {
        match self {
            Self::New(id) => spool.open_new(id),
            Self::Waiting(queue, item) => spool.open_item(queue, item),
            Self::Failed(failed) => spool.open_failed(failed),
        }
    }
}

impl Listed {
    fn endpoint(&self) -> String {
        let queue = self.place.queue();
        let header = self.header.as_ref();
        let name = queue.and_then(|queue| header?.endpoint(queue));
        name.or(queue.map(Queue::as_str)).unwrap_or("-").to_owned()
    }

    /// The numbers of its messages within the entry.
    fn messages(&self) -> Vec<usize> {
        let Some(header) = &self.header else {
            return Vec::new();
        };
        let all = match (self.place.queue(), &header.content) {
            (Some(queue), _) => header.messages_for(queue),
            (None, Content::Built(built)) => (0..built.messages.len()).collect(),
            (None, Content::Owed(_)) => Vec::new(),
        };
        let part = match &self.place {
            Place::New(_) => return all,
            Place::Waiting(_, item) => item.part,
            Place::Failed(failed) => failed.part,
        };
        let (Part::From(first) | Part::Only(first)) = part;
        let last = match part {
            Part::From(_) => all.len(),
            Part::Only(n) => n as usize + 1,
        };
        all.get(first as usize..last).unwrap_or_default().to_vec()
    }
}

/// Everything in a spool that the choice takes, in push order.
fn chosen(target: &Target, choice: &Choice, around: &Surroundings) -> Result<Vec<Listed>, Error> {
    let spool = &target.spool;
    let now = around.now();
    let mut places: Vec<Place> = Vec::new();
    let new = spool.ids_in_new().map_err(SpoolError::from)?;
    places.extend(new.into_iter().map(Place::New));
    for queue in spool.queues().map_err(SpoolError::from)? {
        let waiting = spool.peek(&queue).map_err(SpoolError::from)?;
        let items = waiting.mains.into_iter().chain(waiting.asides);
        places.extend(items.map(|item| Place::Waiting(queue.clone(), item)));
    }
    for queue in spool.failed_queues().map_err(SpoolError::from)? {
        let failed = spool.failed(&queue).map_err(SpoolError::from)?;
        places.extend(failed.into_iter().map(Place::Failed));
    }
    places.retain(|place| {
        let id = place.id();
        let is_named = choice.ids.is_empty() || choice.ids.iter().any(|name| name == id.as_str());
        let age = now.duration_since(id.time()).unwrap_or_default();
        is_named && choice.older_than.is_none_or(|least| age > *least)
    });
    places.sort_by(|a, b| (a.id(), a.queue()).cmp(&(b.id(), b.queue())));
    // Without a PATH this folder's repository is meant, not others in its spool.
    let is_here = choice.paths.is_empty();
    let here = target
        .repository
        .clone()
        .filter(|_| is_here && target.is_alone);
    let named = choice.repository.as_ref().map(|repository| {
        let opened = super::place::repository(Some(repository), around);
        opened.map_or_else(|_| repository.clone(), |it| it.path())
    });
    let repository = named.or(here);
    let listed = places.into_iter().map(|place| {
        let entry = place.open(spool).ok();
        let header = entry.map(|entry| entry.header().clone());
        Listed { place, header }
    });
    let is_of = |listed: &Listed, repository: &PathBuf| {
        let header = listed.header.as_ref();
        header.is_some_and(|header| header.repository == *repository)
    };
    Ok(listed
        .filter(|listed| {
            repository
                .as_ref()
                .is_none_or(|wanted| is_of(listed, wanted))
        })
        .filter(|listed| {
            let endpoint = listed.endpoint();
            choice
                .endpoint
                .as_ref()
                .is_none_or(|wanted| *wanted == endpoint)
        })
        .collect())
}

fn list(args: &QueueListArgs, around: &Surroundings) -> Result<Done, Error> {
    for target in spools::find_here(&args.choice.paths, around)? {
        for listed in chosen(&target, &args.choice, around)? {
            if args.json {
                report::json(&object(&target.spool, &listed));
            } else {
                report::line(&describe(&listed));
            }
        }
    }
    Ok(Done::Well)
}

fn describe(listed: &Listed) -> String {
    let what = match &listed.header {
        None => "cannot be read".to_owned(),
        Some(header) => {
            let messages = match &header.content {
                Content::Owed(updates) => {
                    format!(
                        "{}, messages not built yet",
                        report::count(updates.len(), "ref update")
                    )
                }
                Content::Built(_) => report::count(listed.messages().len(), "message"),
            };
            format!("{messages} of `{}`", header.repository.display())
        }
    };
    let tries = match &listed.place {
        Place::Waiting(_, item) if item.attempts > 0 => format!(
            ", failed {}, due {}",
            report::count(item.attempts as usize, "time"),
            humantime::format_rfc3339_seconds(item.due)
        ),
        _ => String::new(),
    };
    let (state, id) = (listed.place.state(), listed.place.id());
    format!("{id} {state} `{}` {what}{tries}", listed.endpoint())
}

fn object(spool: &Spool, listed: &Listed) -> serde_json::Value {
    let item = match &listed.place {
        Place::Waiting(_, item) => Some(item),
        Place::New(_) | Place::Failed(_) => None,
    };
    let header = listed.header.as_ref();
    json!({
        "id": listed.place.id().as_str(),
        "state": listed.place.state(),
        "endpoint": listed.endpoint(),
        "spool": spool.root().to_string_lossy(),
        "repository": header.map(|header| header.repository.to_string_lossy()),
        "messages": listed.messages().len(),
        "attempts": item.map_or(0, |item| item.attempts),
        "due": item.map(|item| humantime::format_rfc3339_seconds(item.due).to_string()),
    })
}

fn show(args: &QueueShowArgs, around: &Surroundings) -> Result<Done, Error> {
    let choice = Choice {
        ids: vec![args.id.clone()],
        endpoint: None,
        repository: None,
        older_than: None,
        paths: args.paths.clone(),
    };
    let mut shown = None;
    for target in spools::find_here(&choice.paths, around)? {
        for listed in chosen(&target, &choice, around)? {
            report::line(&describe(&listed));
            // In whichever queue, it is one file.
            shown.get_or_insert(listed.place.open(&target.spool).map_err(SpoolError::from)?);
        }
    }
    let Some(entry) = shown else {
        return Err(nothing_chosen());
    };
    let header = entry.header();
    report::line(&format!("repository: {}", header.repository.display()));
    report::line(&format!(
        "time: {}",
        humantime::format_rfc3339_seconds(header.time)
    ));
    report::line(&format!(
        "pusher: {}",
        header.pusher.as_deref().unwrap_or("-")
    ));
    for option in &header.push_options {
        report::line(&format!("push option: {option}"));
    }
    match &header.content {
        Content::Owed(updates) => {
            for update in updates {
                let oid = |oid: Option<crate::event::Oid>| {
                    oid.map_or_else(|| "(none)".to_owned(), |oid| oid.to_string())
                };
                let (old, new) = (oid(update.old), oid(update.new));
                report::line(&format!("{old} {new} {}", update.name.full()));
            }
        }
        Content::Built(built) => {
            for number in 0..built.messages.len() {
                let message = entry.message(number).map_err(SpoolError::from)?;
                report::raw(&message.body);
                report::raw(b"\n");
            }
        }
    }
    Ok(Done::Well)
}

fn nothing_chosen() -> Error {
    Error::Failed {
        what: "nothing of that kind waits or has failed".to_owned(),
        hint: Some("`refpost queue list` shows what does".to_owned()),
    }
}

/// Nobody retries or drops everything by leaving something out.
fn must_choose(args: &QueueChooseArgs) -> Result<(), Error> {
    let choice = &args.choice;
    let chooses = !choice.ids.is_empty()
        || choice.endpoint.is_some()
        || choice.repository.is_some()
        || choice.older_than.is_some();
    if chooses || args.all {
        return Ok(());
    }
    Err(Error::Failed {
        what: "cannot tell which entries are meant".to_owned(),
        hint: Some("name ids, --endpoint, --repository, --older-than, or --all".to_owned()),
    })
}

fn retry(args: &QueueChooseArgs, around: &Surroundings) -> Result<Done, Error> {
    let now = around.now();
    let retried = on_chosen(args, around, |spool, listed| match &listed.place {
        // The next flush takes it anyway.
        Place::New(_) => Ok(()),
        Place::Waiting(queue, item) => spool.retry_waiting(queue, item, now),
        Place::Failed(failed) => spool.retry_failed(failed, now),
    })?;
    report::line(&format!("{} to be tried again now", entries(retried)));
    Ok(Done::Well)
}

fn discard(args: &QueueChooseArgs, around: &Surroundings) -> Result<Done, Error> {
    let dropped = on_chosen(args, around, |spool, listed| match &listed.place {
        Place::New(id) => Ok(spool.drop_new(id)?),
        Place::Waiting(queue, item) => spool.drop_waiting(queue, item),
        Place::Failed(failed) => Ok(spool.drop_failed(failed)?),
    })?;
    report::line(&format!("{} dropped", entries(dropped)));
    Ok(Done::Well)
}

fn entries(count: usize) -> String {
    if count == 1 {
        "1 entry".to_owned()
    } else {
        format!("{count} entries")
    }
}

/// Does something to each chosen entry, and sets a flush off for what is due then.
fn on_chosen(
    args: &QueueChooseArgs,
    around: &Surroundings,
    act: impl Fn(&Spool, &Listed) -> Result<(), SpoolError>,
) -> Result<usize, Error> {
    must_choose(args)?;
    let mut done = 0;
    for target in spools::find_here(&args.choice.paths, around)? {
        let chosen = chosen(&target, &args.choice, around)?;
        for listed in &chosen {
            act(&target.spool, listed)?;
        }
        done += chosen.len();
        if !chosen.is_empty() {
            around.flush_detached(target.spool.root())?;
        }
    }
    if done == 0 && !args.all {
        return Err(nothing_chosen());
    }
    Ok(done)
}
