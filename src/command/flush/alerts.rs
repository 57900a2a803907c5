//! Tells people what fails and what has ended: by the server's `[alerts]`, else on standard error.

use super::alert_command;
use super::printed::Printed;
use crate::announce::alert;
use crate::announce::held::Held;
use crate::config::Alerts;
use crate::context::Context;
use crate::context::state::{ALERTS, State};
use crate::context::targets::Target;
use crate::error::Error;
use crate::json;
use crate::observe::alerts::{Letter, letters};
use crate::observe::look::{self, Look};
use crate::observe::situation::Situation;
use crate::observe::told::Told;
use crate::spool::SpoolError;

/// What was told by the command, and what by the endpoint.
const TOLD: [&str; 2] = ["command.json", "endpoint.json"];

/// Tells the alerts that are due: hands them over if there is a way, and prints those that have
/// none.
pub(super) fn tell(targets: &[Target], held: &Held, alerts: Option<&Alerts>, ctx: &Context) {
    let handed_over = alerts.filter(|alerts| hand_over_all(targets, held, alerts, ctx));
    if handed_over.is_some_and(|alerts| alerts.endpoint.is_none()) {
        return;
    }
    // What fails at the endpoint for alerts raises none.
    let counts = |endpoint: &str| {
        handed_over.is_none_or(|alerts| alerts.endpoint.as_deref() == Some(endpoint))
    };
    let mut printed = Printed::default();
    for target in targets {
        printed.look_at(target, &counts, ctx);
    }
    printed.tell(ctx);
}

/// Hands over the alerts that are due. Where that fails, prints the texts that alerts were to
/// replace; the alerts stay due. Returns whether it did not fail.
///
/// While another flush is at it, nothing is done.
fn hand_over_all(targets: &[Target], held: &Held, alerts: &Alerts, ctx: &Context) -> bool {
    let situation = situation(targets, held, alerts.endpoint.as_deref(), ctx);
    let told = || -> Result<(), Error> {
        let Some(state) = State::try_lock(ALERTS, ctx)? else {
            return Ok(());
        };
        let [by_command, by_endpoint] = TOLD;
        let tell = |file, by: &dyn Fn(&Letter<'_>) -> Result<(), Error>| {
            hand_over(&situation, alerts, &state, file, by, ctx)
        };
        let commanded = alerts.command.as_ref().map_or(Ok(()), |command| {
            tell(by_command, &|letter| {
                alert_command::run(command, letter, alert_command::LONGEST)
            })
        });
        let posted = alerts.endpoint.as_ref().map_or(Ok(()), |name| {
            tell(by_endpoint, &|letter| post(letter, name, targets, ctx))
        });
        commanded.and(posted)
    };
    let Err(error) = told() else { return true };
    held.tell_all(ctx);
    ctx.tell_failure(error);
    false
}

/// Looks at the spools of this account. What fails at the endpoint for alerts does not count.
fn situation(targets: &[Target], held: &Held, endpoint: Option<&str>, ctx: &Context) -> Situation {
    let mut situation = Situation::default();
    for target in targets {
        match Look::at(&target.spool) {
            Ok(look) => {
                let reasons = held.reasons(&target.spool);
                let counts = |name: &str| endpoint != Some(name);
                situation.add(&look, &target.routes(), &target.paused(), &counts, reasons);
            }
            Err(error) => {
                situation.is_partial = true;
                ctx.tell_failure(SpoolError::from(error));
            }
        }
    }
    situation
}

/// Hands over the alerts that are due by one way, and remembers in `file` what was told.
fn hand_over(
    situation: &Situation,
    alerts: &Alerts,
    state: &State,
    file: &str,
    by: &dyn Fn(&Letter<'_>) -> Result<(), Error>,
    ctx: &Context,
) -> Result<(), Error> {
    let before = state.read(file)?;
    // One that cannot be read is begun anew.
    let before: Option<Told> = before.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let now = look::seconds(ctx.now());
    let mut told = before.clone().unwrap_or_default();
    told.settle(situation, now, alerts.after);
    let due = told.due(situation, now, alerts.after);
    // Nothing is told that could not be remembered.
    if before.as_ref() != Some(&told) || !due.is_empty() {
        state.write(file, &json::to_bytes(&told))?;
    }
    for mut letter in letters(&due) {
        let (host, account) = (ctx.host(), ctx.own_account());
        let from = format!("host: {host}\naccount: {account}\n");
        letter.text.push_str(&from);
        by(&letter)?;
        for alert in letter.alerts {
            told.mark(alert, now);
        }
        state.write(file, &json::to_bytes(&told))?;
    }
    Ok(())
}

/// Records a message for the endpoint, in the spool of the first repository that has it.
fn post(letter: &Letter<'_>, name: &str, targets: &[Target], ctx: &Context) -> Result<(), Error> {
    let has_it = |target: &&Target| target.endpoints.values().any(|one| one.name == name);
    let targets = targets.iter().filter(has_it);
    for repository in targets.flat_map(|target| &target.repositories) {
        if alert::record(letter, repository, ctx)? {
            return Ok(());
        }
    }
    Err(Error::Failed {
        what: format!("cannot tell an alert by endpoint `{name}`: no repository has it"),
        hint: Some("name a `command` below `[alerts]`".to_owned()),
    })
}
