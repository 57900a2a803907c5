//! `[alerts]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::values::text::Period;

/// Time for which a receiver is down before anyone is told, by default.
const ALERT_AFTER: Duration = Duration::from_mins(15);

/// `[alerts]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct AlertsLayer {
    pub(super) command: Option<Vec<String>>,
    pub(super) alert_after: Option<Period>,
}

/// The way by which people are told that receivers fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alerts {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Time for which a receiver is down before anyone is told.
    pub after: Duration,
}

impl AlertsLayer {
    /// Checks rules that types do not express. The error is a key and its fault.
    pub(super) fn check(&self) -> Result<(), (Option<&'static str>, String)> {
        let program = self.command.as_ref().map(|command| command.first());
        match program {
            None if *self != Self::default() => {
                let why = "`alerts` needs a `command`";
                Err((None, why.to_owned()))
            }
            Some(None) => {
                let why = "`alerts.command` is empty: leave the key out";
                Err((Some("command"), why.to_owned()))
            }
            Some(Some(program)) if program.is_empty() => {
                let why = "`alerts.command` begins with the name of a program";
                Err((Some("command"), why.to_owned()))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn settled(&self) -> Option<Alerts> {
        let command = self.command.clone()?;
        let after = self.alert_after.as_ref();
        Some(Alerts {
            command,
            after: after.map_or(ALERT_AFTER, |after| after.0),
        })
    }
}
