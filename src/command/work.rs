//! `work`: the service, and a watch that delivers what it takes in.

use std::path::PathBuf;

use clap::Args;

use super::{ReposArgs, flush};
use crate::context::Context;
use crate::error::{Error, Exit};
use crate::service;

/// Arguments of `work`.
#[derive(Debug, Args)]
pub(crate) struct WorkArgs {
    /// Import a mail drop of an earlier refpost and exit
    #[arg(long, value_name = "FOLDER", conflicts_with = "json")]
    pub(crate) drain: Option<PathBuf>,
    /// Print a JSON object for each queue that was flushed
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &WorkArgs, ctx: &Context) -> Result<Exit, Error> {
    let server = ctx.server()?;
    let missing = |what: &str| Error::Failed {
        what: format!("cannot work as the service: `{what}` is not set in the server's file"),
        hint: Some("docs/guides/accounts.md, \"A service account\"".to_owned()),
    };
    let socket = server.socket().ok_or_else(|| missing("socket"))?;
    if server.root().is_none() {
        return Err(missing("root"));
    }
    if server.spools().next().is_none() {
        return Err(missing("spool"));
    }
    if ctx.own_uid() == 0 {
        return Err(Error::Failed {
            what: "cannot work as the service as root: it needs none of root's rights".to_owned(),
            hint: Some("run it as an account of its own, which owns `spool`".to_owned()),
        });
    }
    if let Some(old) = &args.drain {
        return service::drain(old, &server, ctx);
    }
    service::serve(socket, &server, ctx)?;
    let watch = flush::FlushArgs {
        repos: ReposArgs {
            repos: Vec::new(),
            server: true,
        },
        watch: true,
        budget: None,
        strict: false,
        json: args.json,
        page: None,
        alerts: false,
        detached: false,
    };
    flush::run(&watch, ctx)
}
