//! `announce`: builds the messages of a ref update again, and sends them; shows or sends those of
//! moves that were not announced.

use std::path::{Path, PathBuf};

use clap::Args;

use super::endpoints_named;
use crate::announce::by_hand::{self, ByHand};
use crate::announce::missing;
use crate::context::{Context, locate};
use crate::error::{Error, Exit};
use crate::event::{RefName, RefUpdate, namespace_prefix};
use crate::report;

/// Arguments of `announce`.
#[derive(Debug, Args)]
pub(crate) struct AnnounceArgs {
    /// The object or revision before the update; zeros for a ref that was created
    #[arg(required_unless_present = "missing")]
    pub(crate) old: Option<String>,
    /// The object or revision after the update; zeros for a ref that was deleted
    #[arg(required_unless_present = "missing")]
    pub(crate) new: Option<String>,
    /// The full name of the ref, such as refs/heads/main
    #[arg(value_name = "REF", value_parser = parse_ref, required_unless_present = "missing")]
    pub(crate) reference: Option<String>,
    /// Show the refs of the repository that moved since `enable` without being announced, as OLD NEW
    /// REF [default: the current directory]
    #[arg(long, value_name = "REPO", num_args = 0..=1, default_missing_value = ".",
          conflicts_with_all = ["old", "repo", "endpoint"])]
    pub(crate) missing: Option<PathBuf>,
    /// With --missing: announce these refs
    #[arg(long, requires = "missing")]
    pub(crate) send: bool,
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
    if let Some(named) = &args.missing {
        return run_missing(named, args, ctx);
    }
    let (Some(old), Some(new), Some(reference)) = (&args.old, &args.new, &args.reference) else {
        unreachable!("clap requires them")
    };
    let repository = locate::repository(args.repo.as_deref(), ctx)?;
    let git_dir = repository.path();
    let mut settings = ctx.load_to_send(&git_dir)?.settings;
    settings.endpoints = endpoints_named(args.endpoint.as_deref(), &settings, "announce to")?
        .into_iter()
        .cloned()
        .collect();
    let update = RefUpdate {
        old: repository.revision(old)?,
        new: repository.revision(new)?,
        name: RefName::new(reference.as_str()),
    };
    if update.old == update.new {
        return Err(Error::failed(format!(
            "cannot announce `{reference}`: its old and new value are the same"
        )));
    }
    let push = by_hand::push(&repository, args.pusher.as_ref(), ctx);
    let by_hand = ByHand {
        push: &push,
        repository: &repository,
        settings: &settings,
        ctx,
    };
    let built = by_hand.composer().built(&[update])?;
    if built.recipients.is_empty() {
        report::line(&format!("nothing sent: no endpoint wants `{reference}`"));
        return Ok(Exit::Well);
    }
    by_hand.send(built, &[])?;
    Ok(Exit::Well)
}

/// Shows moves that were not announced, or sends them.
fn run_missing(named: &Path, args: &AnnounceArgs, ctx: &Context) -> Result<Exit, Error> {
    let repository = locate::repository(Some(named), ctx)?;
    let git_dir = repository.path();
    let settings = ctx.load_to_send(&git_dir)?.settings;
    let missing = missing::find(&repository, &settings)?;
    let count: usize = missing.values().map(Vec::len).sum();
    if count == 0 {
        report::line("nothing is missing");
        return Ok(Exit::Well);
    }
    for (namespace, updates) in &missing {
        if args.send {
            let within = locate::repository(Some(&git_dir), ctx)?.in_namespace(namespace);
            let by_hand = ByHand {
                push: &by_hand::push(&within, args.pusher.as_ref(), ctx),
                repository: &within,
                settings: &settings,
                ctx,
            };
            missing::send(by_hand, updates)?;
            continue;
        }
        let prefix = RefName::new(namespace_prefix(namespace)).full();
        for update in updates {
            let [old, new] = [update.old, update.new].map(|id| update.digits(id));
            let name = update.name.full();
            report::line(&format!("{old} {new} {prefix}{name}"));
        }
    }
    if args.send {
        report::line(&format!("announced {}", report::count(count, "ref")));
    } else {
        let verb = if count == 1 { "was" } else { "were" };
        report::say(&format!(
            "{} {verb} not announced",
            report::count(count, "move")
        ));
        let repo = report::shell(named);
        report::hint(&format!("refpost announce --missing {repo} --send"));
    }
    Ok(ctx.outcome())
}
