//! `check` of `[alerts]`: whether flushes of this account can remember what they told.

use std::cell::OnceCell;

use super::findings::Findings;
use crate::config::{Server, Settings};
use crate::context::Context;
use crate::context::state::{ALERTS, State};
use crate::report;

/// The fault of the state folder, if it has one. It is tried out once.
#[derive(Default)]
pub(crate) struct Remembers(OnceCell<Option<String>>);

/// Tries out the state folder, if flushes of this account tell alerts about a repository.
pub(super) fn check(
    settings: &Settings,
    remembers: &Remembers,
    findings: &mut Findings,
    ctx: &Context,
) {
    let is_served = settings.socket.is_some() && !ctx.is_service().unwrap_or(false);
    if !is_served && let Ok(server) = ctx.server() {
        check_state(&server, remembers, findings, ctx);
    }
}

/// Tries out the state folder, if the server's file has alerts.
pub(super) fn check_state(
    server: &Server,
    remembers: &Remembers,
    findings: &mut Findings,
    ctx: &Context,
) {
    if server.alerts().is_none() {
        return;
    }
    let fault = remembers.0.get_or_init(|| {
        let error = State::try_out(ALERTS, ctx).err()?;
        Some(report::chain(&error))
    });
    if let Some(fault) = fault {
        findings.warning(
            &format!("flushes cannot hand over alerts, and print them: {fault}"),
            "name a folder that this account may write in `XDG_STATE_HOME`, where flushes run too",
        );
    }
}
