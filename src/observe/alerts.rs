//! Alerts, and the texts that tell them.

use crate::report::{count, printable};

/// Number of alerts that are told one by one.
const MOST: usize = 5;
/// Length of the longest text, in bytes: as much as a pipe takes at once.
const LONGEST: usize = 32 * 1024;

/// The kind of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A receiver is down for long, or refused a message.
    Failing,
    /// A receiver that was failing still is, a day later.
    StillFailing,
    /// A receiver that was failing takes messages again.
    Recovered,
    /// Messages were given up.
    GivenUp,
    /// Pushes wait to be put into queues.
    Blocked,
    /// Pushes could not be recorded.
    Unrecorded,
}

impl Event {
    /// Returns its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Failing => "endpoint.failing",
            Self::StillFailing => "endpoint.still_failing",
            Self::Recovered => "endpoint.recovered",
            Self::GivenUp => "message.given_up",
            Self::Blocked => "spool.blocked",
            Self::Unrecorded => "spool.unrecorded",
        }
    }
}

/// A text for a person. Nothing in it moves a cursor or begins a line of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Its kind.
    pub event: Event,
    /// The receiver, or the folder of the spool.
    pub about: String,
    /// The receiver's total of messages given up, or the spool's of pushes that were not recorded.
    pub(super) total: u64,
    /// Facts, a line each.
    pub(super) facts: String,
}

impl Alert {
    /// Returns the alert in a line.
    #[must_use]
    pub fn subject(&self) -> String {
        format!("{} {}", self.event.name(), printable(&self.about))
    }

    /// Returns the alert and its facts in a line.
    #[must_use]
    pub fn line(&self) -> String {
        format!(
            "{}: {}",
            self.subject(),
            self.facts.trim_end().replace('\n', "; ")
        )
    }

    /// Returns the alert as a text of several lines.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}", self.subject(), self.facts)
    }
}

/// A text that tells alerts.
#[derive(Clone, Debug)]
pub struct Letter<'a> {
    /// The text in a line.
    pub subject: String,
    /// The text, of several lines.
    pub text: String,
    /// The alerts that it tells.
    pub alerts: &'a [Alert],
}

impl Letter<'_> {
    /// Returns the name of its event, or the word for several.
    #[must_use]
    pub fn topic(&self) -> &'static str {
        match self.alerts {
            [one] => one.event.name(),
            _ => "alerts",
        }
    }
}

/// Returns a text for each alert, or one for many of them.
#[must_use]
pub fn letters(alerts: &[Alert]) -> Vec<Letter<'_>> {
    if alerts.len() <= MOST {
        let letter = |alert: &Alert| (alert.subject(), alert.text());
        let each = alerts.chunks(1).map(|one| (letter(&one[0]), one));
        return each
            .map(|((subject, text), alerts)| Letter {
                subject,
                text,
                alerts,
            })
            .collect();
    }
    let mut text = String::new();
    for alert in alerts {
        let next = alert.text() + "\n";
        if text.len() + next.len() > LONGEST {
            text += "…\n";
            break;
        }
        text += &next;
    }
    vec![Letter {
        subject: count(alerts.len(), "alert"),
        text,
        alerts,
    }]
}
