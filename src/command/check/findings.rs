//! Findings of `check`: told at once, or kept to be told for many repositories.

use crate::error::Exit;
use crate::report;

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Grade {
    /// Worth knowing, and no fault.
    Note,
    Warning,
    Error,
}

/// A problem that a person should know of, with advice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Finding {
    pub(crate) grade: Grade,
    text: String,
    hint: Option<String>,
}

impl Finding {
    /// Returns the line `error: …`, `warning: …` or `note: …`, without the hint.
    pub(crate) fn line(&self) -> String {
        let word = match self.grade {
            Grade::Note => "note",
            Grade::Warning => "warning",
            Grade::Error => "error",
        };
        format!("{word}: {}", self.text)
    }

    pub(crate) fn tell(&self) {
        report::line(&self.line());
        if let Some(hint) = &self.hint {
            report::line(&format!("hint: {hint}"));
        }
    }
}

/// The findings so far.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) errors: usize,
    pub(crate) warnings: usize,
    pub(crate) notes: usize,
    /// Findings that are not told at once. If there is such a list, nothing good is told either.
    kept: Option<Vec<Finding>>,
}

impl Findings {
    /// Makes an empty list of findings that are kept.
    pub(crate) fn kept() -> Self {
        Self {
            kept: Some(Vec::new()),
            ..Self::default()
        }
    }

    pub(crate) fn into_kept(self) -> Vec<Finding> {
        self.kept.unwrap_or_default()
    }

    pub(crate) fn ok(&self, text: &str) {
        if self.kept.is_none() {
            report::line(&format!("ok: {text}"));
        }
    }

    /// Adds a note, which of many repositories is not told.
    pub(crate) fn note(&mut self, text: &str, hint: &str) {
        if self.kept.is_none() {
            self.add(Finding {
                grade: Grade::Note,
                text: text.to_owned(),
                hint: Some(hint.to_owned()),
            });
        }
    }

    pub(crate) fn warning(&mut self, text: &str, hint: &str) {
        self.add(Finding {
            grade: Grade::Warning,
            text: text.to_owned(),
            hint: Some(hint.to_owned()),
        });
    }

    pub(crate) fn error(&mut self, text: &str, hint: Option<String>) {
        self.add(Finding {
            grade: Grade::Error,
            text: text.to_owned(),
            hint,
        });
    }

    /// Prints how many there were, and returns the outcome.
    pub(crate) fn summary(&self) -> Exit {
        let counts = [
            (self.errors, "error"),
            (self.warnings, "warning"),
            (self.notes, "note"),
        ];
        let counts = counts.map(|(count, what)| report::count(count, what));
        report::line(&counts.join(", "));
        if self.errors == 0 {
            Exit::Well
        } else {
            Exit::No
        }
    }

    /// Adds a finding: counts it, and tells or keeps it.
    pub(crate) fn add(&mut self, finding: Finding) {
        match finding.grade {
            Grade::Note => self.notes += 1,
            Grade::Warning => self.warnings += 1,
            Grade::Error => self.errors += 1,
        }
        match &mut self.kept {
            Some(kept) => kept.push(finding),
            None => finding.tell(),
        }
    }
}
