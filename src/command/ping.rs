//! `ping`: sends a test message to each endpoint now, and prints its answer.

use std::path::PathBuf;

use clap::Args;

use super::endpoints_named;
use crate::announce::compose;
use crate::config::{Endpoint, EndpointUrl, Settings};
use crate::context::{Context, locate};
use crate::delivery::{self, Answer, Client, Outcome, Request, Transport};
use crate::error::{Error, Exit, IoContext};
use crate::git::Repository;
use crate::json::Object;
use crate::payload::{self, Message, forge, pagure};
use crate::report;
use crate::signature::Secret;

/// Arguments of `ping`.
#[derive(Debug, Args)]
pub(crate) struct PingArgs {
    /// The repository [default: the current directory]
    pub(crate) repo: Option<PathBuf>,
    /// Test only this endpoint
    #[arg(long, value_name = "NAME")]
    pub(crate) endpoint: Option<String>,
}

/// Topic of Pagure's own test message.
const TOPIC: &str = "Test.notification";
const CONTENT: &str = "Test message";

pub(crate) fn run(args: &PingArgs, ctx: &Context) -> Result<Exit, Error> {
    let repository = locate::repository(args.repo.as_deref(), ctx)?;
    let settings = ctx.load_to_send(&repository.path())?.settings;
    let chosen = endpoints_named(args.endpoint.as_deref(), &settings, "ping")?;
    let messages = chosen
        .iter()
        .map(|endpoint| message(endpoint, &repository, &settings, ctx));
    let messages: Vec<Message> = messages.collect::<Result<_, _>>()?;
    let mut all_well = true;
    delivery::run(async {
        let client = Client::of_few();
        for (endpoint, message) in chosen.into_iter().zip(&messages) {
            all_well &= ping(endpoint, message, &settings, &client, ctx).await;
        }
    })
    .doing("wait for", std::path::Path::new("answers"))?;
    Ok(if all_well { Exit::Well } else { Exit::No })
}

/// Returns the test message of an endpoint. No receiver starts a build for it.
fn message(
    endpoint: &Endpoint,
    repository: &Repository,
    settings: &Settings,
    ctx: &Context,
) -> Result<Message, Error> {
    let (project, addresses) = compose::project(repository, settings, ctx);
    let pusher = compose::pusher(ctx);
    let stamp = compose::stamp(1, ctx.now(), ctx)?;
    let format = endpoint.format;
    let Some(topics) = format.topics() else {
        let context = pagure::Context {
            instance: &settings.instance,
            project: &project,
            people: &settings.people,
            pusher: &pusher,
            note: None,
        };
        let msg = Object::from_iter([("content".to_owned(), CONTENT.into())]);
        return Ok(pagure::other_message(TOPIC, msg, context, &stamp));
    };
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
    let topics = topics.iter().copied();
    let wanted: Vec<&str> = topics
        .filter(|topic| endpoint.topics.matches(topic))
        .collect();
    let receiver = endpoint.url.to_string();
    let receiver = receiver.trim_end_matches('…');
    Ok(forge::ping(format, context, &stamp, (receiver, &wanted)))
}

async fn ping(
    endpoint: &Endpoint,
    message: &Message,
    settings: &Settings,
    client: &Client,
    ctx: &Context,
) -> bool {
    match attempt(endpoint, message, settings, client, ctx).await {
        Ok(answered) => {
            report::line(&describe(endpoint, &answered));
            let answer = answered.answer;
            if let Some(hint) = answer.broken.as_ref().and_then(|own| own.hint.as_ref()) {
                report::hint(hint);
            }
            matches!(answer.outcome, Outcome::Delivered { .. })
        }
        Err(error) => {
            report::say(&format!(
                "cannot ping `{}`: {}",
                endpoint.name,
                report::chain(&error)
            ));
            if let Some(hint) = error.hint() {
                report::hint(&hint);
            }
            false
        }
    }
}

/// An answer, and the header values that must not be shown when it repeats them.
struct Answered {
    answer: Answer,
    headers: Vec<Secret>,
    /// URL of the request.
    url: EndpointUrl,
}

async fn attempt(
    endpoint: &Endpoint,
    message: &Message,
    settings: &Settings,
    client: &Client,
    ctx: &Context,
) -> Result<Answered, Error> {
    let credentials = endpoint.credentials(&|name| ctx.variable(name), ctx.now())?;
    let headers = credentials.headers.iter();
    let headers = headers.map(|(_, value)| value.clone());
    let headers = headers.chain(credentials.token.clone()).collect();
    let request = Request::new(message, &settings.instance, credentials);
    let answer = client
        .post(
            endpoint,
            &settings.network,
            &request,
            endpoint.timeout,
            ctx.now(),
        )
        .await?;
    let url = request.fill(&endpoint.url);
    Ok(Answered {
        answer,
        headers,
        url,
    })
}

/// Returns one line: the endpoint, its answer, and the time that it took.
///
/// Some receivers repeat the request: secrets in it are not shown.
fn describe(endpoint: &Endpoint, answered: &Answered) -> String {
    let answer = &answered.answer;
    let took = answer.took.as_millis();
    let mut body = String::from_utf8_lossy(&answer.body).into_owned();
    for secret in answered.url.secrets() {
        body = body.replace(&secret, "…");
    }
    for header in &answered.headers {
        body = body.replace(header.expose(), "…");
    }
    let words = match body.lines().next().map(str::trim) {
        Some(line) if !line.is_empty() => {
            let line: String = line.chars().take(200).collect();
            format!(": {line}")
        }
        _ => String::new(),
    };
    format!(
        "`{}` {} in {took} ms{words}",
        endpoint.name,
        answer.outcome_text()
    )
}
