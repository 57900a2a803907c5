//! `key`: prints the key of an endpoint, for its receiver.

use std::path::PathBuf;

use clap::Args;

use super::endpoints_named;
use crate::context::{Context, locate};
use crate::error::{Error, Exit};
use crate::report;

/// Arguments of `key`.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// The repository [default: the current directory]
    pub(crate) repo: Option<PathBuf>,
    /// The endpoint, where several have different keys
    #[arg(long, value_name = "NAME")]
    pub(crate) endpoint: Option<String>,
}

pub(crate) fn run(args: &KeyArgs, ctx: &Context) -> Result<Exit, Error> {
    let repository = locate::repository(args.repo.as_deref(), ctx)?;
    let settings = ctx.load_to_send(&repository.path())?.settings;
    let endpoints = endpoints_named(args.endpoint.as_deref(), &settings, "print a key of")?;
    let mut keys = Vec::new();
    for endpoint in &endpoints {
        let credentials = endpoint.credentials(&|name| ctx.variable(name), ctx.now())?;
        keys.extend(credentials.key.map(|key| (&endpoint.name, key)));
    }
    let Some((first, key)) = keys.first() else {
        return Err(Error::failed("cannot print a key: messages are not signed"));
    };
    if let Some((other, _)) = keys.iter().find(|(_, it)| it.expose() != key.expose()) {
        return Err(Error::Failed {
            what: format!("cannot print a key: `{first}` and `{other}` have different ones"),
            hint: Some("`--endpoint NAME` selects one".to_owned()),
        });
    }
    report::line(key.expose());
    Ok(Exit::Well)
}
