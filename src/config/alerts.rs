//! `[alerts]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::values::text::{EndpointName, Period};
use crate::payload::Format;

/// Time for which a receiver is down before anyone is told, by default.
pub const ALERT_AFTER: Duration = Duration::from_mins(15);

/// `[alerts]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct AlertsLayer {
    pub(super) command: Option<Vec<String>>,
    pub(super) endpoint: Option<EndpointName>,
    pub(super) alert_after: Option<Period>,
}

/// The ways by which people are told that receivers fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alerts {
    /// The program and its arguments.
    pub command: Option<Vec<String>>,
    /// The name of an endpoint of the server's file, which gets alerts alone.
    pub endpoint: Option<String>,
    /// Time for which a receiver is down before anyone is told.
    pub after: Duration,
}

impl AlertsLayer {
    /// Returns whether a key is set.
    pub(super) fn is_set(&self) -> bool {
        self.command.is_some() || self.endpoint.is_some() || self.alert_after.is_some()
    }

    /// Checks rules that types do not express. `format_of` finds an endpoint of the file. The error
    /// is a key and its fault.
    pub(super) fn check(
        &self,
        has_socket: bool,
        format_of: impl Fn(&EndpointName) -> Option<Format>,
    ) -> Result<(), (Option<&'static str>, String)> {
        if self.is_set() && self.command.is_none() && self.endpoint.is_none() {
            let why = "`alerts` needs a `command` or an `endpoint`";
            return Err((None, why.to_owned()));
        }
        let program = self.command.as_ref().map(|command| command.first());
        if program.is_some_and(|program| program.is_none_or(String::is_empty)) {
            let why = "`alerts.command` has no program: leave the key out";
            return Err((Some("command"), why.to_owned()));
        }
        let Some(name) = &self.endpoint else {
            return Ok(());
        };
        let why = match format_of(name).map(|format| (format, format.name())) {
            None => format!(
                "`alerts.endpoint`: no `[[endpoint]]` of this file is named `{}`",
                name.0
            ),
            Some((Format::Pagure | Format::Slack, _)) if has_socket => {
                "`alerts.endpoint` has no effect with `socket`: name a `command`".to_owned()
            }
            Some((Format::Pagure | Format::Slack, _)) => return Ok(()),
            Some((_, format)) => format!(
                "`alerts.endpoint`: alerts have formats `pagure` and `slack`, and that of `{}` is \
                 `{format}`",
                name.0
            ),
        };
        Err((Some("endpoint"), why))
    }

    pub(super) fn settled(&self) -> Option<Alerts> {
        let after = self.alert_after.as_ref();
        self.is_set().then(|| Alerts {
            command: self.command.clone(),
            endpoint: self.endpoint.as_ref().map(|name| name.0.clone()),
            after: after.map_or(ALERT_AFTER, |after| after.0),
        })
    }
}
