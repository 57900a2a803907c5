//! Tells people, by the server's `[alerts]`, what fails and what has ended.

use super::alert_command;
use crate::announce::held::Held;
use crate::config::Alerts;
use crate::context::Context;
use crate::context::state::State;
use crate::context::targets::Target;
use crate::error::Error;
use crate::json;
use crate::observe::alerts::{Told, letters};
use crate::observe::look::{self, Look};
use crate::observe::situation::Situation;
use crate::spool::SpoolError;

/// Folder of the account's state that flushes lock, one after another, to tell alerts.
const FOLDER: &str = "alerts";
/// What was told.
const TOLD: &str = "told.json";

/// Hands over the alerts that are due. Where that fails, prints the texts that alerts were to
/// replace; the alerts stay due.
///
/// While another flush is at it, nothing is done.
pub(super) fn tell(targets: &[Target], held: &Held, alerts: &Alerts, ctx: &Context) {
    let situation = situation(targets, held, ctx);
    if let Err(error) = hand_over(&situation, alerts, ctx) {
        held.tell_all(ctx);
        ctx.tell_failure(error);
    }
}

/// Looks at the spools of this account.
fn situation(targets: &[Target], held: &Held, ctx: &Context) -> Situation {
    let mut situation = Situation::default();
    for target in targets {
        match Look::at(&target.spool) {
            Ok(look) => {
                let reasons = held.reasons(&target.spool);
                situation.add(&look, &target.routes(), &target.paused(), reasons);
            }
            Err(error) => {
                situation.is_partial = true;
                ctx.tell_failure(SpoolError::from(error));
            }
        }
    }
    situation
}

fn hand_over(situation: &Situation, alerts: &Alerts, ctx: &Context) -> Result<(), Error> {
    let Some(state) = State::try_lock(FOLDER, ctx)? else {
        return Ok(());
    };
    let before = state.read(TOLD)?;
    // One that cannot be read is begun anew.
    let before: Option<Told> = before.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let now = look::seconds(ctx.now());
    let mut told = before.clone().unwrap_or_default();
    told.settle(situation, now, alerts.after);
    let due = told.due(situation, now, alerts.after);
    // Nothing is told that could not be remembered.
    if before.as_ref() != Some(&told) || !due.is_empty() {
        state.write(TOLD, &json::to_bytes(&told))?;
    }
    for (subject, text, of) in letters(&due) {
        let text = format!(
            "{text}host: {}\naccount: {}\n",
            ctx.host(),
            ctx.own_account()
        );
        alert_command::run(&alerts.command, &subject, text, alert_command::LONGEST)?;
        of.iter().for_each(|alert| told.mark(alert, now));
        state.write(TOLD, &json::to_bytes(&told))?;
    }
    Ok(())
}
