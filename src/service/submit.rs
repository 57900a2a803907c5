//! Submits entries that wait in a spool for the service behind `socket`: whole, in push order.
//!
//! Crash after the answer and before the name is removed: the entry is submitted again, and the
//! service knows its id.

use std::cell::Cell;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::protocol::{Answer, Request};
use super::stream::Stream;
use crate::context::Context;
use crate::delivery::{Outside, Unavailable};
use crate::report;
use crate::spool::{Attempt, Entry, Id, Item, Lane, Queue, Spool, SpoolError, Status};

/// Time that a push waits for the service.
pub(crate) const PUSH_PATIENCE: Duration = Duration::from_secs(2);

/// Time that a flush waits for the service, for each entry.
const FLUSH_PATIENCE: Duration = Duration::from_secs(15);

/// Inputs of submitting entries to the service.
pub(crate) struct Submitter<'a> {
    pub(crate) outside: &'a dyn Outside,
    pub(crate) ctx: &'a Context,
    /// True once the service did not answer.
    pub(crate) is_down: &'a Cell<bool>,
}

/// Submits the entries that wait in these spools. Errors of a spool are passed to `tell`.
///
/// Once the service does not answer, the rest waits for the next flush.
pub(crate) fn submit_all(
    spools: Vec<Spool>,
    submitter: &Submitter<'_>,
    tell: &dyn Fn(&SpoolError),
) {
    for spool in spools {
        if submitter.is_down.get() {
            return;
        }
        let patience = || Instant::now() + FLUSH_PATIENCE;
        match submit(&spool, submitter, &patience) {
            Ok(None) => {}
            Ok(Some(why)) => {
                let spool = spool.root().display();
                let text = format!("pushes wait in `{spool}` for the service: {why}");
                submitter.ctx.tell_once(&text, None);
            }
            Err(error) => tell(&error),
        }
    }
}

/// Submits the entries that wait in a spool, each before the `end` set for it.
///
/// Returns the reason if something is left.
pub(crate) fn submit(
    spool: &Spool,
    submitter: &Submitter<'_>,
    end: &dyn Fn() -> Instant,
) -> Result<Option<String>, SpoolError> {
    let queue = Queue::service();
    let Some(lane) = spool.lane(&queue)? else {
        let is_empty = spool.standing(&queue)?.next_due().is_none();
        return Ok((!is_empty).then(|| "another process submits it".to_owned()));
    };
    loop {
        let waiting = lane.waiting()?;
        let mut items = waiting.in_order.iter().chain(&waiting.refused).peekable();
        if items.peek().is_none() {
            return Ok(None);
        }
        for item in items {
            match one(&lane, item, spool, submitter, end()) {
                Err(error) if error.is_gone() => break,
                Ok(None) => {}
                left => return left,
            }
        }
    }
}

/// Submits one entry. Returns the reason if the entry is left.
fn one(
    lane: &Lane,
    item: &Item,
    spool: &Spool,
    submitter: &Submitter<'_>,
    end: Instant,
) -> Result<Option<String>, SpoolError> {
    if lane.is_arriving(item) {
        return Ok(Some("it is being distributed".to_owned()));
    }
    let entry = match lane.open(item) {
        Ok(entry) => entry,
        Err(error) if error.is_corrupt() => {
            lane.set_aside(item)?;
            let error = report::chain(&error);
            let text = format!("{error}: it lies in `failed/unreadable/` now");
            submitter.ctx.tell_once(&text, None);
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let repository = &entry.header().repository;
    let settings = match submitter.outside.settings(repository) {
        Ok(settings) => settings,
        Err(Unavailable::Gone(_)) => {
            return give_up(
                lane,
                item,
                &entry,
                spool,
                submitter,
                "the repository is gone",
            );
        }
        Err(Unavailable::Broken(why)) => return Ok(Some(why)),
    };
    let Some(socket) = &settings.socket else {
        return Ok(Some("`socket` is not set any more".to_owned()));
    };
    let request = Request {
        id: item.id.clone(),
        repository: repository.clone(),
        endpoints: settings.served(),
        length: entry.size(),
    };
    if request.endpoints.is_empty() {
        let why = "no endpoint of the server's is configured any more";
        return give_up(lane, item, &entry, spool, submitter, why);
    }
    let begun = Instant::now();
    let answer = ask(socket, &request, Some(&entry), end);
    match answer {
        Ok(Answer::Durable) => {
            log(spool, submitter.ctx, &entry, item, "submitted", None, begun);
            lane.remove(item)?;
            Ok(None)
        }
        Ok(Answer::Never(why)) => give_up(lane, item, &entry, spool, submitter, &why),
        Ok(Answer::Later(why)) => {
            log(
                spool,
                submitter.ctx,
                &entry,
                item,
                "refused",
                Some(&why),
                begun,
            );
            Ok(Some(why))
        }
        Ok(Answer::Send) => Ok(Some("the service answers what was not asked".to_owned())),
        Err(error) => {
            submitter.is_down.set(true);
            let (socket, error) = (socket.display(), report::chain(&error));
            Ok(Some(format!("cannot reach it at `{socket}`: {error}")))
        }
    }
}

/// Moves an entry that the service can never take to `failed/`, and tells a person.
fn give_up(
    lane: &Lane,
    item: &Item,
    entry: &Entry,
    spool: &Spool,
    submitter: &Submitter<'_>,
    why: &str,
) -> Result<Option<String>, SpoolError> {
    log(
        spool,
        submitter.ctx,
        entry,
        item,
        "given up",
        Some(why),
        Instant::now(),
    );
    lane.fail_rest(item)?;
    let id = &item.id;
    let text = format!("cannot submit entry `{id}`: {why}: it lies in `failed/` now");
    let hint = format!("to try again: refpost queue retry {id}");
    submitter.ctx.tell_once(&text, Some(&hint));
    Ok(None)
}

/// Asks the service whether it would take entries of a repository. If not, its answer has the
/// reason.
pub(crate) fn probe(
    socket: &Path,
    repository: &Path,
    endpoints: Vec<String>,
    ctx: &Context,
) -> io::Result<Answer> {
    let parts = ctx.id_parts();
    let request = Request {
        id: Id::new(parts.now, parts.host, parts.random),
        repository: repository.to_owned(),
        endpoints,
        length: 0,
    };
    ask(socket, &request, None, Instant::now() + PUSH_PATIENCE)
}

/// Sends a request, and the entry if the service asks for it. Returns the last answer.
fn ask(
    socket: &Path,
    request: &Request,
    entry: Option<&Entry>,
    end: Instant,
) -> io::Result<Answer> {
    let mut stream = Stream::connect(socket, end)?;
    let said = stream.write_all(&request.line());
    let answer = hear(&mut stream, said)?;
    let (Answer::Send, Some(entry)) = (&answer, entry) else {
        return Ok(answer);
    };
    let said = io::copy(&mut entry.bytes()?, &mut stream);
    hear(&mut stream, said.map(drop))
}

/// Reads the answer to the bytes sent, which may have come before all of them were read.
fn hear(stream: &mut Stream, said: io::Result<()>) -> io::Result<Answer> {
    match said {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Answer::read(stream),
    }
}

/// Writes a line for an entry, as for an attempt.
fn log(
    spool: &Spool,
    ctx: &Context,
    entry: &Entry,
    item: &Item,
    word: &str,
    note: Option<&str>,
    begun: Instant,
) {
    let attempt = Attempt {
        time: ctx.now(),
        repository: entry.header().repository.clone(),
        endpoint: Queue::service().to_string(),
        msg_id: String::new(),
        topic: String::new(),
        reference: String::new(),
        id: item.id.to_string(),
        attempt: 0,
        status: Status::Error(word.to_owned()),
        ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        note: note.map(str::to_owned),
    };
    spool.log().append(&attempt).ok();
}
