//! `ping`: sends a test message to each endpoint now, and prints its answer.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use serde_json::json;

use crate::announce::compose;
use crate::announce::templates::Templates;
use crate::as_account::apart::{self, Job};
use crate::command::completions::candidates;
use crate::config::{Endpoint, Network, Settings, Via};
use crate::context::found::ByOwner;
use crate::context::repositories::{self, Repositories, Whose};
use crate::context::{Context, locate, named};
use crate::delivery::{self, Answer, Client, Outcome, Request, Transport};
use crate::error::{Error, Exit, IoContext};
use crate::git::Repository;
use crate::json::Object;
use crate::payload::{Format, Message, forge, pagure};
use crate::report;

/// Arguments of `ping`.
#[derive(Debug, Args)]
pub(crate) struct PingArgs {
    /// The repositories [default: that of the current folder]
    #[arg(value_name = "REPO", add = ArgValueCompleter::new(candidates::repositories))]
    pub(crate) repos: Vec<PathBuf>,
    /// Test each distinct endpoint of all repositories below `root` of the server's configuration
    #[arg(long, conflicts_with = "repos")]
    pub(crate) server: bool,
    /// Test only this endpoint
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(candidates::endpoints))]
    pub(crate) endpoint: Option<String>,
    /// Print a JSON object for each endpoint
    #[arg(long)]
    pub(crate) json: bool,
}

/// An endpoint, and the test message of one of the repositories that have it.
struct Test {
    endpoint: Endpoint,
    message: Message,
    network: Arc<Network>,
    instance: String,
    /// Number of repositories that have it.
    count: usize,
}

/// Topic of Pagure's own test message.
const TOPIC: &str = "Test.notification";
const CONTENT: &str = "Test message";

pub(crate) fn run(args: &PingArgs, ctx: &Context) -> Result<Exit, Error> {
    let mut tests = Vec::new();
    if args.server {
        let root = [repositories::root(ctx)?];
        let found = match Repositories::find(&root, &[], ctx)? {
            Whose::Ours(found) => found,
            Whose::Several(found) => return apart(found, args, ctx),
        };
        let tally = found.each(|repo, _| add(repo, args, &mut tests, ctx).map(|()| true));
        if tally.failed > 0 {
            ctx.note_failure();
        }
    } else {
        let here = [PathBuf::from(".")];
        let repos = match &args.repos[..] {
            [] if is_nowhere(ctx)? => return Err(no_repository()),
            [] => &here,
            repos => repos,
        };
        repos
            .iter()
            .try_for_each(|repo| add(repo, args, &mut tests, ctx))?;
    }
    if tests.is_empty() && ctx.is_given {
        return Ok(Exit::NotHere);
    }
    if tests.is_empty() && ctx.outcome() == Exit::Well {
        return Err(no_such_endpoint(args));
    }
    let mut all_well = true;
    delivery::run(async {
        let client = Client::of_few(ctx.host());
        for test in &tests {
            all_well &= ping(test, args, &client, ctx).await;
        }
    })
    .doing("wait for", std::path::Path::new("answers"))?;
    Ok(if all_well { ctx.outcome() } else { Exit::No })
}

/// Has each account test the endpoints of its own repositories.
fn apart(found: ByOwner, args: &PingArgs, ctx: &Context) -> Result<Exit, Error> {
    let mut line: Vec<OsString> = vec!["ping".into(), "--server".into()];
    if let Some(endpoint) = &args.endpoint {
        line.extend(["--endpoint".into(), endpoint.into()]);
    }
    line.extend(args.json.then(|| "--json".into()));
    let job = Job {
        as_json: args.json,
        ..Job::for_a_person(line)
    };
    match apart::run(found, &job, ctx)? {
        Exit::NotHere => Err(no_such_endpoint(args)),
        done => Ok(done),
    }
}

/// Returns whether the current folder is no repository.
fn is_nowhere(ctx: &Context) -> Result<bool, Error> {
    Ok(named::here(ctx)?.is_none() && !named::is_repository(Path::new(".")))
}

fn no_repository() -> Error {
    Error::Failed {
        what: "cannot ping: this folder is no repository".to_owned(),
        hint: Some("name repositories, or all of the server with --server".to_owned()),
    }
}

fn no_such_endpoint(args: &PingArgs) -> Error {
    Error::Failed {
        what: match &args.endpoint {
            Some(name) => format!("cannot ping `{name}`: there is no such endpoint"),
            None => "cannot ping: no endpoint is configured".to_owned(),
        },
        hint: Some("`refpost check` lists the endpoints".to_owned()),
    }
}

/// Adds the endpoints of a repository that no repository before it has.
fn add(repo: &Path, args: &PingArgs, tests: &mut Vec<Test>, ctx: &Context) -> Result<(), Error> {
    let repository = locate::repository(Some(repo), ctx)?;
    let settings = ctx.load_to_send(&repository.path())?.settings;
    for endpoint in &settings.endpoints {
        if args
            .endpoint
            .as_ref()
            .is_some_and(|name| *name != endpoint.name)
        {
            continue;
        }
        if endpoint.via == Via::Broker {
            let name = &endpoint.name;
            let text = format!("not tested from here: workers deliver to `{name}`");
            ctx.tell_once(&text, Some("`refpost check` tests the broker"));
            continue;
        }
        let is_same = |test: &&mut Test| test.endpoint == *endpoint;
        if let Some(known) = tests.iter_mut().find(is_same) {
            known.count += 1;
            continue;
        }
        tests.push(Test {
            message: message(endpoint, &repository, &settings, ctx)?,
            endpoint: endpoint.clone(),
            network: Arc::clone(&settings.network),
            instance: settings.instance.clone(),
            count: 1,
        });
    }
    Ok(())
}

/// Returns the test message of an endpoint. No receiver starts a build for it.
fn message(
    endpoint: &Endpoint,
    repository: &Repository,
    settings: &Settings,
    ctx: &Context,
) -> Result<Message, Error> {
    let format = endpoint.format;
    let Some(topics) = format.topics() else {
        let (project, _) = compose::project(repository, settings, ctx);
        let context = pagure::Context {
            instance: &settings.instance,
            project: &project,
            people: &settings.people,
            pusher: &compose::pusher(ctx),
            note: None,
        };
        let stamp = compose::stamp(1, ctx.now(), ctx)?;
        let msg = Object::from_iter([("content".to_owned(), CONTENT.into())]);
        return Ok(pagure::other_message(TOPIC, msg, context, &stamp));
    };
    let topics = topics.iter().copied();
    let wanted: Vec<&str> = topics
        .filter(|topic| endpoint.topics.matches(topic))
        .collect();
    let receiver = endpoint.url.to_string();
    let receiver = (receiver.trim_end_matches('…'), &wanted[..]);
    let mut message = compose::in_context(repository, settings, ctx, |context, stamp| {
        forge::ping(format, context, stamp, receiver)
    })?;
    if format == Format::Template {
        Templates::default().render(&mut message, endpoint, settings);
    }
    Ok(message)
}

async fn ping(test: &Test, args: &PingArgs, client: &Client, ctx: &Context) -> bool {
    let name = &test.endpoint.name;
    let of = if args.server || args.repos.len() > 1 {
        format!(" of {}", repositories::counted(test.count))
    } else {
        String::new()
    };
    let attempted = attempt(test, client, ctx).await;
    if args.json {
        report::json(&object(test, attempted.as_ref()));
    }
    match attempted {
        Ok(answer) if args.json => matches!(answer.outcome, Outcome::Delivered { .. }),
        Ok(answer) => {
            report::line(&format!("`{name}`{of} {}", describe(&answer)));
            if let Some(hint) = answer.broken.as_ref().and_then(|own| own.hint.as_ref()) {
                report::hint(hint);
            }
            matches!(answer.outcome, Outcome::Delivered { .. })
        }
        Err(error) => {
            report::say(&format!("cannot ping `{name}`: {}", report::chain(&error)));
            if let Some(hint) = error.hint() {
                report::hint(&hint);
            }
            false
        }
    }
}

fn object(test: &Test, attempted: Result<&Answer, &Error>) -> serde_json::Value {
    let answer = attempted.ok();
    let outcome = answer.map(|answer| &answer.outcome);
    let broken = answer.and_then(|answer| answer.broken.as_ref());
    let hint = match attempted {
        Ok(_) => broken.and_then(|broken| broken.hint.clone()),
        Err(error) => error.hint(),
    };
    json!({
        "endpoint": test.endpoint.name,
        "receiver": test.endpoint.url.to_string().trim_end_matches("/…"),
        "format": test.endpoint.format.name(),
        "repositories": test.count,
        "ok": matches!(outcome, Some(Outcome::Delivered { .. })),
        "answer": answer.map(Answer::outcome_text),
        "error": attempted.err().map(|error| report::chain(error)),
        "hint": hint,
        "ms": answer.map(|answer| answer.took.as_millis()),
        "words": answer.and_then(|answer| answer.words.as_ref()),
    })
}

async fn attempt(test: &Test, client: &Client, ctx: &Context) -> Result<Answer, Error> {
    let endpoint = &test.endpoint;
    if let Some(fault) = test.message.fault() {
        return Err(Error::failed(fault));
    }
    let credentials = endpoint.credentials(&|name| ctx.variable(name), ctx.now())?;
    let request = Request::new(&test.message, &test.instance, credentials);
    let network = &test.network;
    let answer = client.post(endpoint, network, &request, endpoint.timeout, ctx.now());
    Ok(answer.await?)
}

/// Returns one line: the answer, and the time that it took.
fn describe(answer: &Answer) -> String {
    let took = answer.took.as_millis();
    let words = answer.words.as_ref();
    let words = words.map_or_else(String::new, |words| format!(": {words}"));
    format!("{} in {took} ms{words}", answer.outcome_text())
}
