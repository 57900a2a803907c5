//! Findings of `check`: told at once, as text or JSON, or kept to be told for many repositories.

use std::path::Path;

use serde_json::json;

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

impl Grade {
    fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
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
        format!("{}: {}", self.grade.word(), self.text)
    }

    /// Prints it as an object. One without a repository is about the configuration alone.
    fn tell_object(&self, repository: Option<&str>) {
        report::json(&json!({
            "repository": repository,
            "level": self.grade.word(),
            "text": self.text,
            "hint": self.hint,
        }));
    }

    pub(crate) fn tell(&self) {
        report::line(&self.line());
        if let Some(hint) = &self.hint {
            report::line(&format!("hint: {hint}"));
        }
    }
}

/// The fate of findings.
#[derive(Default, PartialEq, Eq)]
enum Telling {
    /// Each is printed at once, and so is what is well.
    #[default]
    Lines,
    /// Each is printed at once as an object.
    Objects,
    /// They are kept. Notes and what is well are passed over.
    Kept(Vec<Finding>),
}

/// The findings so far.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) errors: usize,
    pub(crate) warnings: usize,
    pub(crate) notes: usize,
    telling: Telling,
    /// The repository that is examined, for objects.
    repository: Option<String>,
}

impl Findings {
    /// Makes an empty list of findings that are kept.
    pub(crate) fn kept() -> Self {
        Self {
            telling: Telling::Kept(Vec::new()),
            ..Self::default()
        }
    }

    /// Makes an empty list of findings that are printed at once, as text or as objects.
    pub(crate) fn told(as_json: bool) -> Self {
        Self {
            telling: if as_json {
                Telling::Objects
            } else {
                Telling::Lines
            },
            ..Self::default()
        }
    }

    /// Says which repository the next findings are about.
    pub(crate) fn are_about(&mut self, repository: &Path) {
        self.repository = Some(repository.display().to_string());
    }

    pub(crate) fn into_kept(self) -> Vec<Finding> {
        match self.telling {
            Telling::Kept(kept) => kept,
            Telling::Lines | Telling::Objects => Vec::new(),
        }
    }

    pub(crate) fn ok(&self, text: &str) {
        if self.telling == Telling::Lines {
            report::line(&format!("ok: {text}"));
        }
    }

    /// Adds a note, which of many repositories is not told.
    pub(crate) fn note(&mut self, text: &str, hint: &str) {
        if !matches!(self.telling, Telling::Kept(_)) {
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

    /// Prints how many there were, unless as objects, and returns the outcome.
    pub(crate) fn summary(&self) -> Exit {
        let counts = [
            (self.errors, "error"),
            (self.warnings, "warning"),
            (self.notes, "note"),
        ];
        let counts = counts.map(|(count, what)| report::count(count, what));
        if self.telling == Telling::Lines {
            report::line(&counts.join(", "));
        }
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
        match &mut self.telling {
            Telling::Lines => finding.tell(),
            Telling::Objects => finding.tell_object(self.repository.as_deref()),
            Telling::Kept(kept) => kept.push(finding),
        }
    }
}
