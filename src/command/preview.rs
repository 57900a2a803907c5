//! `preview`: what would be sent, nothing sent.

use std::path::Path;

use super::surroundings::Surroundings;
use super::{Done, Error, IoContext, compose, place};
use crate::cli::PreviewArgs;
use crate::config::{Endpoint, Settings};
use crate::delivery::{HeaderValue, Request};
use crate::git::{self, Repository};
use crate::payload::Message;
use crate::report;

pub(super) fn run(args: &PreviewArgs, around: &Surroundings) -> Result<Done, Error> {
    let repository = if let Some(repo) = &args.repo {
        place::repository(Some(repo), around)?
    } else {
        let git_dir = place::hook_git_dir(around);
        // As git does, which also trusts whatever `GIT_DIR` names.
        if around.path_variable("GIT_DIR").is_none() {
            around.ensure_trusted(&git_dir)?;
        }
        Repository::open_in_hook(&git_dir)?
    };
    let (updates, malformed) = git::read_ref_lines(&mut std::io::stdin().lock())
        .doing("read", Path::new("standard input"))?;
    for bad in &malformed {
        report::error(bad);
    }
    let settings = around.load(Some(&repository.path()))?.settings;
    let pusher = match &args.pusher {
        Some(name) => name.clone(),
        None => compose::pusher(around),
    };
    let push = compose::Push {
        updates: &updates,
        pusher: &pusher,
        time: around.now(),
    };
    let messages = compose::messages(&push, &repository, &settings, around)?;
    for message in &messages {
        if args.http {
            for endpoint in &settings.endpoints {
                if endpoint.wants(&message.topic, &message.reference) {
                    show_request(message, endpoint, &settings, around)?;
                }
            }
        } else {
            report::raw(&message.body);
            report::raw(b"\n");
        }
    }
    Ok(if malformed.is_empty() {
        Done::Well
    } else {
        Done::No
    })
}

fn show_request(
    message: &Message,
    endpoint: &Endpoint,
    settings: &Settings,
    around: &Surroundings,
) -> Result<(), Error> {
    let credentials = endpoint.credentials(&|name| around.variable(name), around.now())?;
    let request = Request::new(message, &settings.instance, credentials);
    let url = endpoint.url.expose();
    report::line("POST /… HTTP/1.1");
    match (url.host_str().unwrap_or_default(), url.port()) {
        (host, Some(port)) => report::line(&format!("Host: {host}:{port}")),
        (host, None) => report::line(&format!("Host: {host}")),
    }
    report::line(&format!("Content-Length: {}", request.body.len()));
    if endpoint.url.has_userinfo() {
        report::line("Authorization: …");
    }
    for (name, value) in &request.headers {
        match value {
            HeaderValue::Plain(value) => report::line(&format!("{name}: {value}")),
            HeaderValue::Hidden(_) => report::line(&format!("{name}: …")),
        }
    }
    report::raw(b"\n");
    report::raw(request.body);
    report::raw(b"\n\n");
    Ok(())
}
