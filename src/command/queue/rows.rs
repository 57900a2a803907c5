//! Entries as rows of a table, for `queue list` and `queue drop --dry-run`.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::selection::{Listed, Location};
use crate::config::below;
use crate::context::Context;
use crate::report::table::{Table, Tone};
use crate::report::{self, age};
use crate::spool::{Content, Part};

/// Headings of the table.
const HEADS: [&str; 9] = [
    "STATE", "AGE", "ENDPOINT", "PROJECT", "TOPIC", "MESSAGE", "ATTEMPTS", "NEXT TRY", "ID",
];

/// A table of entries.
pub(super) struct Rows {
    table: Table<9>,
    root: Option<PathBuf>,
    now: SystemTime,
}

impl Rows {
    pub(super) fn new(ctx: &Context) -> Self {
        let server = ctx.server().ok();
        Self {
            table: Table::new(HEADS),
            root: server.and_then(|server| server.root().map(Path::to_owned)),
            now: ctx.now(),
        }
    }

    /// Adds an entry. A reason for which no attempt is made replaces the time of the next one.
    pub(super) fn add(&mut self, listed: &Listed, reason: Option<&str>) {
        let header = listed.header.as_ref();
        let time = header.map_or(listed.location.id().time(), |header| header.time);
        let old = self.now.duration_since(time).unwrap_or_default();
        let item = match &listed.location {
            Location::Waiting(_, item) => Some(item),
            Location::Spare(_) | Location::New(_) | Location::Failed(_) => None,
        };
        let due = item.map(|item| match item.due.duration_since(self.now) {
            Ok(wait) => format!("in {}", age(wait)),
            Err(_) => "now".to_owned(),
        });
        let attempts = item.map_or(0, |item| item.attempts);
        let tone = match &listed.location {
            Location::Failed(_) => Tone::Bad,
            Location::Waiting(_, item) if matches!(item.part, Part::Only(_)) => Tone::Bad,
            Location::Waiting(_, item) if item.attempts > 0 => Tone::Doubtful,
            Location::Spare(_) => Tone::Doubtful,
            Location::Waiting(..) | Location::New(_) => Tone::Plain,
        };
        let project = header.map(|header| project(&header.repository, self.root.as_deref()));
        let id = listed.location.id();
        self.table.row(
            tone,
            [
                listed.location.state().to_owned(),
                age(old),
                listed.endpoint(),
                project.unwrap_or_default(),
                topic(listed),
                messages(listed),
                Some(attempts)
                    .filter(|it| *it > 0)
                    .map(|it| it.to_string())
                    .unwrap_or_default(),
                reason.map(str::to_owned).or(due).unwrap_or_default(),
                id.to_string(),
            ],
        );
    }

    pub(super) fn print(&mut self) {
        self.table.print();
    }
}

/// Returns the path of a repository below `root`, without `.git`, or else its whole path.
pub(crate) fn project(repository: &Path, root: Option<&Path>) -> String {
    let below = root.and_then(|root| below(root, repository));
    let Some(below) = below else {
        return repository.display().to_string();
    };
    let name = below.display().to_string();
    name.strip_suffix(".git").unwrap_or(&name).to_owned()
}

/// Returns the topic of all messages that are left, and the ref if there is one message.
fn topic(listed: &Listed) -> String {
    let Some(header) = &listed.header else {
        return String::new();
    };
    let Content::Built(built) = &header.content else {
        return String::new();
    };
    let numbers = listed.messages();
    let mut all = numbers
        .iter()
        .filter_map(|&number| built.messages.get(number));
    let Some(first) = all.next() else {
        return String::new();
    };
    let more = match all.filter(|one| one.topic != first.topic).count() {
        0 => "",
        _ => ", …",
    };
    let of = match (&numbers[..], first.reference.as_str()) {
        (_, "") | ([_, _, ..], _) => String::new(),
        (_, reference) => format!(" {reference}"),
    };
    format!("{}{more}{of}", first.topic)
}

/// Returns which messages of the entry are left: `3`, `2 of 3`, `2-3 of 3`.
fn messages(listed: &Listed) -> String {
    let Some(header) = &listed.header else {
        return "cannot be read".to_owned();
    };
    let all = match &header.content {
        Content::Deferred(updates) => {
            return format!("{}, not built", report::count(updates.len(), "ref update"));
        }
        Content::Built(built) => match listed.location.queue() {
            Some(queue) => header.messages_for(queue),
            None => (0..built.messages.len()).collect(),
        },
    };
    let left = listed.messages();
    let place = |number: Option<&usize>| all.iter().position(|one| Some(one) == number);
    match (place(left.first()), place(left.last())) {
        _ if left.len() == all.len() => all.len().to_string(),
        (Some(first), Some(last)) if first == last => format!("{} of {}", first + 1, all.len()),
        (Some(first), Some(last)) => format!("{}-{} of {}", first + 1, last + 1, all.len()),
        _ => format!("0 of {}", all.len()),
    }
}
