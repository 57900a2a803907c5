//! Describes an entry in one line.

use super::selection::{Listed, Location};
use crate::report;
use crate::spool::Content;

pub(super) fn describe(listed: &Listed) -> String {
    let what = match &listed.header {
        None => "cannot be read".to_owned(),
        Some(header) => {
            let messages = match &header.content {
                Content::Deferred(updates) => {
                    format!(
                        "{}, messages not built yet",
                        report::count(updates.len(), "ref update")
                    )
                }
                Content::Built(_) => report::count(listed.messages().len(), "message"),
            };
            // Each of the messages of one push may wait by itself.
            let about = listed.single().map_or_else(String::new, |one| {
                let reference = report::printable(&one.reference);
                format!(" ({} `{reference}`)", one.topic)
            });
            format!("{messages}{about} of `{}`", header.repository.display())
        }
    };
    let tries = match &listed.location {
        Location::Waiting(_, item) if item.attempts > 0 => format!(
            ", failed {}, due {}",
            report::count(item.attempts as usize, "time"),
            humantime::format_rfc3339_seconds(item.due)
        ),
        _ => String::new(),
    };
    let (state, id) = (listed.location.state(), listed.location.id());
    format!("{id} {state} `{}` {what}{tries}", listed.endpoint())
}
