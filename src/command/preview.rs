//! `preview`: prints the messages of a push, and sends nothing.

use std::path::PathBuf;

use clap::Args;

use super::parse_format;
use crate::announce::batches::Input;
use crate::announce::compose::{self, Composer};
use crate::announce::push_options::PushOptions;
use crate::config::{Bus, Endpoint, Settings};
use crate::context::{Context, locate};
use crate::delivery::{Header, HeaderValue, Publication, Request};
use crate::error::{Error, Exit};
use crate::payload::Format;
use crate::payload::Message;
use crate::report;

/// Arguments of `preview`.
#[derive(Debug, Args)]
pub(crate) struct PreviewArgs {
    /// The repository [default: that of the running hook, or the current directory]
    pub(crate) repo: Option<PathBuf>,
    /// Name of the pusher [default: found as in a hook]
    #[arg(long, value_name = "NAME")]
    pub(crate) pusher: Option<String>,
    /// A push option, as with `git push -o`; can be repeated
    #[arg(short = 'o', long = "push-option", value_name = "OPTION")]
    pub(crate) push_options: Vec<String>,
    /// Show the whole request for each endpoint, or what a bus gets, without secrets
    #[arg(long)]
    pub(crate) http: bool,
    /// Show messages in this format, whether or not an endpoint uses it [default: the formats
    /// of all endpoints]; `template` without such an endpoint shows the facts
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    pub(crate) format: Option<Format>,
}

pub(crate) fn run(args: &PreviewArgs, ctx: &Context) -> Result<Exit, Error> {
    let repository = locate::repository_in_hook(args.repo.as_deref(), ctx)?;
    let settings = ctx.load(Some(&repository.path()))?.settings;
    let pusher = match &args.pusher {
        Some(name) => name.clone(),
        None => compose::pusher(ctx),
    };
    let push_options = PushOptions::of(&args.push_options, settings.push_options);
    for complaint in &push_options.complaints {
        report::warning(complaint);
    }
    if push_options.skip {
        report::say("not announced, as asked (refpost.skip)");
        return Ok(Exit::Well);
    }
    let (note, now) = (push_options.note.as_deref(), ctx.now());
    let formats = match args.format {
        Some(format) => [format].into(),
        None => settings.formats(),
    };
    let with = (&settings, ctx);
    let mut composer = Composer::of_formats(formats, &repository, with, &pusher, note, now);
    let mut batches = Input::new(std::io::stdin().lock(), usize::MAX);
    let (mut misfits, mut unrendered) = (0, 0);
    for batch in &mut batches {
        composer.each(&batch?, |message| {
            compose::explain(&message, &settings, ctx);
            if let Some((template, fault)) = message.template.as_ref().zip(message.fault()) {
                let name = &template.endpoint;
                report::error(&Error::failed(format!(
                    "cannot render a message for `{name}`: {fault}"
                )));
                unrendered += 1;
                return Ok(());
            }
            if !args.http {
                report::raw(&message.body);
                report::raw(b"\n");
                return Ok(());
            }
            let endpoints = settings.endpoints.iter();
            endpoints
                .filter(|endpoint| endpoint.gets(message.about()))
                .try_for_each(|endpoint| show_request(&message, endpoint, &settings, ctx))
        })?;
        composer.tell_misfits();
        misfits += composer.misfits();
    }
    Ok(if batches.is_malformed() || misfits + unrendered > 0 {
        Exit::No
    } else {
        Exit::Well
    })
}

fn show_request(
    message: &Message,
    endpoint: &Endpoint,
    settings: &Settings,
    ctx: &Context,
) -> Result<(), Error> {
    if let Some(bus) = &endpoint.bus {
        show_publication(message, bus);
        return Ok(());
    }
    let credentials = endpoint.credentials(&|name| ctx.variable(name), ctx.now())?;
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

/// Shows what a broker gets. Properties are shown by their names in AMQP.
fn show_publication(message: &Message, bus: &Bus) {
    // Messages that were just made are of the format.
    let Some(publication) = Publication::new(message, bus) else {
        return;
    };
    report::line(&format!("basic.publish {}", publication.exchange));
    report::line(&format!("routing-key: {}", publication.routing_key));
    report::line("content-type: application/json");
    report::line("content-encoding: utf-8");
    report::line("delivery-mode: 2");
    report::line(&format!("message-id: {}", publication.message_id));
    for (name, value) in &publication.headers {
        match value {
            Header::Text(text) => report::line(&format!("{name}: {text}")),
            Header::Number(number) => report::line(&format!("{name}: {number}")),
            Header::True => report::line(&format!("{name}: true")),
        }
    }
    report::raw(b"\n");
    report::raw(publication.body);
    report::raw(b"\n\n");
}
