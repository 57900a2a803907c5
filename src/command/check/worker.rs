//! `check` of a worker: the broker, and the endpoints of the server's file with their keys.
//!
//! A worker looks at no repository.

use super::alerts::{self, Remembers};
use super::broker::{self, Brokers};
use super::endpoint::{self, Trusts};
use super::findings::Findings;
use crate::config::{self, Server};
use crate::context::Context;
use crate::error::{Error, Exit};

/// Checks this machine as a worker, if the account that runs this is one.
pub(super) fn run(as_json: bool, server: &Server, ctx: &Context) -> Result<Option<Exit>, Error> {
    let (Some(worker), Some(broker)) = (server.worker(), server.broker()) else {
        return Ok(None);
    };
    if !ctx.is_service()? {
        return Ok(None);
    }
    let (file, _) = ctx.server_file();
    let mut findings = Findings::told(as_json);
    findings.ok(&format!("config `{}`", file.display()));
    findings.ok(&format!("spool `{}`", worker.spool.display()));
    let whole = server.load(None, ctx.host())?.settings;
    let (trusts, mut seen) = (Trusts::default(), Vec::new());
    for (_, settings) in config::load_alone(&file, ctx.host())? {
        let settings = settings?;
        for one in &settings.endpoints {
            if !seen.contains(one) {
                endpoint::check(one, &settings, &trusts, &mut findings, ctx);
                seen.push(one.clone());
            }
        }
    }
    alerts::check_state(server, &Remembers::default(), &mut findings, ctx);
    broker::fits(&whole, &mut findings);
    broker::reach(&broker, &whole, &Brokers::default(), &mut findings, ctx);
    Ok(Some(findings.summary()))
}
