//! `announce`: builds the messages of a ref update again, and sends them.

use std::path::PathBuf;

use clap::Args;

use super::endpoints_named;
use crate::announce::by_hand;
use crate::announce::compose::{self, Composer};
use crate::announce::push::Push;
use crate::announce::push_options::PushOptions;
use crate::context::{Context, locate};
use crate::error::{Error, Exit};
use crate::event::{RefName, RefUpdate};
use crate::report;

/// Arguments of `announce`.
#[derive(Debug, Args)]
pub(crate) struct AnnounceArgs {
    /// The object or revision before the update; zeros for a ref that was created
    pub(crate) old: String,
    /// The object or revision after the update; zeros for a ref that was deleted
    pub(crate) new: String,
    /// The full name of the ref, such as refs/heads/main
    #[arg(value_name = "REF", value_parser = parse_ref)]
    pub(crate) reference: String,
    /// The repository [default: the current directory]
    #[arg(long, value_name = "REPO")]
    pub(crate) repo: Option<PathBuf>,
    /// Send to this endpoint only
    #[arg(long, value_name = "NAME")]
    pub(crate) endpoint: Option<String>,
    /// Name of the pusher [default: found as in a hook]
    #[arg(long, value_name = "NAME")]
    pub(crate) pusher: Option<String>,
}

/// A full name of a ref.
fn parse_ref(text: &str) -> Result<String, String> {
    if text.starts_with("refs/") {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "a full name begins with refs/, as in refs/heads/{text}"
        ))
    }
}

pub(crate) fn run(args: &AnnounceArgs, ctx: &Context) -> Result<Exit, Error> {
    let repository = locate::repository(args.repo.as_deref(), ctx)?;
    let git_dir = repository.path();
    let mut settings = ctx.load_to_send(&git_dir)?.settings;
    settings.endpoints = endpoints_named(args.endpoint.as_deref(), &settings, "announce to")?
        .into_iter()
        .cloned()
        .collect();
    let update = RefUpdate {
        old: repository.revision(&args.old)?,
        new: repository.revision(&args.new)?,
        name: RefName::new(args.reference.as_str()),
    };
    if update.old == update.new {
        return Err(Error::failed(format!(
            "cannot announce `{}`: its old and new value are the same",
            args.reference
        )));
    }
    let push = Push {
        namespace: repository.namespace().to_owned(),
        git_dir,
        pusher: args.pusher.clone().unwrap_or_else(|| compose::pusher(ctx)),
        time: ctx.now(),
        options: PushOptions::default(),
    };
    let mut composer = Composer::new(&repository, &settings, ctx, &push.pusher, None, push.time);
    let built = composer.built(&[update])?;
    if built.recipients.is_empty() {
        report::line(&format!(
            "nothing sent: no endpoint wants `{}`",
            args.reference
        ));
        return Ok(Exit::Well);
    }
    by_hand::send(&push, &repository, &settings, built, ctx)?;
    Ok(Exit::Well)
}
