//! Alerts through an endpoint: a message about no push, in the spool of a repository.

use std::path::Path;

use serde_json::{Value, json};

use super::compose;
use super::push::Push;
use crate::context::{Context, locate};
use crate::delivery;
use crate::error::Error;
use crate::observe::alerts::Letter;
use crate::payload::{Format, Message, pagure, slack_text};
use crate::spool::{Built, Content, Recipient, Selection};

/// The project that messages about refpost name.
const PROJECT: &str = "refpost";

/// Records an alert in a repository's spool, and starts its delivery. Returns false if the
/// repository has no endpoint for alerts.
pub(crate) fn record(letter: &Letter<'_>, git_dir: &Path, ctx: &Context) -> Result<bool, Error> {
    let settings = ctx.load_to_send(git_dir)?.settings;
    let Some(endpoint) = settings.endpoints.iter().find(|one| one.is_for_alerts) else {
        return Ok(false);
    };
    let push = Push::now(git_dir.to_owned(), ctx);
    let recipient = Recipient {
        queue: delivery::queue_of(endpoint, &settings, git_dir),
        endpoint: endpoint.name.clone(),
        messages: Selection::All,
        forward: None,
    };
    let built = Built {
        messages: vec![message(letter, endpoint.format, &push, ctx)?],
        recipients: vec![recipient],
    };
    let spool = locate::spool_of(git_dir, Some(&settings));
    spool
        .enqueue(&push.draft(Content::Built(built)), &ctx.id_parts())
        .map_err(|source| Error::Enqueue {
            messages: 1,
            source,
        })?;
    // Without that, the next flush delivers it.
    ctx.flush_detached(spool.root()).ok();
    Ok(true)
}

fn message(
    letter: &Letter<'_>,
    format: Format,
    push: &Push,
    ctx: &Context,
) -> Result<Message, Error> {
    let stamp = compose::stamp(1, push.time, ctx)?;
    let events = letter.alerts.iter();
    let events = events.map(|alert| json!({"event": alert.event.name(), "about": alert.about}));
    let msg = json!({
        "subject": letter.subject,
        "text": letter.text,
        "host": ctx.host(),
        "account": ctx.own_account(),
        "events": events.collect::<Vec<_>>(),
    });
    let Value::Object(msg) = msg else {
        unreachable!("it was made so")
    };
    let message = pagure::about_no_push(letter.topic(), &msg, PROJECT, &stamp);
    Ok(match format {
        Format::Slack => Message {
            format,
            body: slack_text(&letter.text),
            ..message
        },
        _ => message,
    })
}
