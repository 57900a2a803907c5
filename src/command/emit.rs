//! `emit`: sends a message of any topic, in the same way as those of pushes.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::announce::by_hand::{self, ByHand};
use crate::announce::compose;
use crate::announce::push::Push;
use crate::config::Settings;
use crate::context::{Context, locate};
use crate::error::{Error, Exit, IoContext};
use crate::git::Repository;
use crate::json::{self, Object, Value};
use crate::payload::pagure;
use crate::payload::pagure::parse_topic;
use crate::payload::{Format, Message};
use crate::spool::{Built, Recipient};
use crate::{delivery, report};

/// Arguments of `emit`.
#[derive(Debug, Args)]
pub(crate) struct EmitArgs {
    /// The topic, such as `pull-request.comment.added`
    #[arg(long, value_name = "TOPIC", value_parser = parse_topic)]
    pub(crate) topic: String,
    /// File with the JSON object for `msg` [default: `-`, standard input]
    #[arg(long, value_name = "FILE")]
    pub(crate) msg: Option<PathBuf>,
    /// Name of the account that acted [default: found as in a hook]
    #[arg(long, value_name = "NAME")]
    pub(crate) pusher: Option<String>,
    /// Print the body and its recipients without sending anything
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The repository [default: that of the running hook, or the current directory]
    pub(crate) repo: Option<PathBuf>,
}

/// Factor by which the input may be longer than `max_body`.
///
/// The input may be laid out for people, and is sent without that layout.
const MOST_LAYOUT: usize = 8;

pub(crate) fn run(args: &EmitArgs, ctx: &Context) -> Result<Exit, Error> {
    let repository = locate::repository_in_hook(args.repo.as_deref(), ctx)?;
    let settings = ctx.load_to_send(&repository.path())?.settings;
    let push = by_hand::push(&repository, args.pusher.as_ref(), ctx);
    let msg = read_object(args.msg.as_deref(), &settings)?;
    let message = compose(&args.topic, msg, &push, &repository, &settings, ctx)?;
    let recipients = delivery::recipients(std::slice::from_ref(&message), &settings, &push.git_dir);
    if args.dry_run {
        report::raw(&message.body);
        report::raw(b"\n");
        report::say(&would_get(&args.topic, &recipients));
        tell_left_out(&settings);
        return Ok(Exit::Well);
    }
    if recipients.is_empty() {
        if !settings.quiet {
            report::line(&format!("nothing sent: {}", nobody_wants(&args.topic)));
        }
        return Ok(Exit::Well);
    }
    let built = Built {
        messages: vec![message],
        recipients,
    };
    let by_hand = ByHand {
        push: &push,
        repository: &repository,
        settings: &settings,
        ctx,
    };
    by_hand.send(built, &[])?;
    Ok(Exit::Well)
}

/// Reads the object `msg` from a file or from standard input.
///
/// Fails if the input is no JSON object, or has more than `MOST_LAYOUT` times `max_body` bytes, of
/// which no more is read.
fn read_object(file: Option<&Path>, settings: &Settings) -> Result<Object, Error> {
    let stdin = Path::new("standard input");
    let file = file.filter(|file| *file != Path::new("-"));
    let path = file.unwrap_or(stdin);
    let longest = settings.max_body.saturating_mul(MOST_LAYOUT);
    let mut bytes = Vec::new();
    let mut read = |from: &mut dyn Read| from.take(longest as u64 + 1).read_to_end(&mut bytes);
    let done = if let Some(file) = file {
        read(&mut File::open(file).doing("read", file)?)
    } else {
        let mut stdin = io::stdin().lock();
        if stdin.is_terminal() {
            report::say("waiting for `msg`, a JSON object, on standard input; Ctrl-D ends it");
        }
        read(&mut stdin)
    };
    done.doing("read", path)?;
    let shown = path.display();
    if bytes.len() > longest {
        return Err(Error::Failed {
            what: format!(
                "cannot read message `{shown}`: it is longer than {longest} bytes, {MOST_LAYOUT} \
                 times `max_body`"
            ),
            hint: Some(RAISE.to_owned()),
        });
    }
    match json::read(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(Error::failed(format!(
            "cannot read message `{shown}`: it is {}, and `msg` is an object",
            kind(&other)
        ))),
        Err(source) => Err(Error::Message {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Returns the kind of a value in the words of JSON (RFC 8259).
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::String(_) => "a string",
        Value::Number(_) => "a number",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

const RAISE: &str = "leave something out, or raise `max_body` in the configuration";

fn compose(
    topic: &str,
    mut msg: Object,
    push: &Push,
    repository: &Repository,
    settings: &Settings,
    ctx: &Context,
) -> Result<Message, Error> {
    let (project, _) = compose::project(repository, settings, ctx);
    let context = pagure::Context {
        instance: &settings.instance,
        project: &project,
        people: &settings.people,
        pusher: &push.pusher,
        note: None,
    };
    for (key, own) in pagure::own_keys(context) {
        if msg.get(key).is_some_and(|given| given != own) {
            return Err(Error::Failed {
                what: format!("cannot emit `{topic}`: `{key}` of its `msg` is not `{own}`"),
                hint: Some(format!("leave `{key}` out: it is added")),
            });
        }
    }
    pagure::complete(&mut msg, context);
    let largest = msg
        .iter()
        .map(|(key, value)| (json::to_bytes(value).len(), key.clone()))
        .max();
    let stamp = compose::stamp(1, push.time, ctx)?;
    let message = pagure::other_message(topic, msg, context, &stamp);
    let (length, longest) = (message.body.len(), settings.max_body);
    if length <= longest {
        return Ok(message);
    }
    let (bytes, key) = largest.unwrap_or_default();
    Err(Error::Failed {
        what: format!(
            "cannot emit `{topic}`: its body would have {length} bytes, {bytes} of them in \
             `{key}`; `max_body` is {longest}"
        ),
        hint: Some(RAISE.to_owned()),
    })
}

fn would_get(topic: &str, recipients: &[Recipient]) -> String {
    let names: Vec<String> = recipients
        .iter()
        .map(|one| format!("`{}`", one.endpoint))
        .collect();
    if names.is_empty() {
        nobody_wants(topic)
    } else {
        format!("would be sent to {}", names.join(", "))
    }
}

/// Names the endpoints whose format has no such message.
fn tell_left_out(settings: &Settings) {
    let endpoints = settings.endpoints.iter();
    let others = endpoints.filter(|one| one.format != Format::Pagure);
    let names: Vec<String> = others
        .map(|one| format!("`{}` (`{}`)", one.name, one.format.name()))
        .collect();
    if !names.is_empty() {
        let names = names.join(", ");
        report::say(&format!(
            "left out: {names}: only format `pagure` has other topics"
        ));
    }
}

fn nobody_wants(topic: &str) -> String {
    format!("no endpoint wants `{topic}`")
}
