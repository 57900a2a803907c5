//! Reading one file of the configuration.

use std::path::{self, Path};

use super::document::{self, Document, Whose};
use super::error::Error;
use super::file::{self, Unread};

/// A file that was read.
pub(super) struct Read {
    pub(super) document: Document,
    /// Whether it has no character.
    pub(super) is_blank: bool,
    /// Whether it has no key, but comments at the most.
    pub(super) says_nothing: bool,
}

/// Reads one file, the server's or that of a `repository`.
pub(super) fn read(path: &Path, repository: Option<&Path>) -> Result<Read, Error> {
    let failed = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let file = file::read(path, repository).map_err(|unread| match unread {
        Unread::Io(error) => failed(error),
        Unread::Refused(why) => Error::Refused {
            path: path.to_owned(),
            why,
        },
    })?;
    let text = file.as_str().map_err(failed)?;
    let whose = match repository {
        Some(_) => Whose::Repository,
        None => Whose::Server,
    };
    let invalid = |(line, why)| Error::Invalid {
        path: path.to_owned(),
        line,
        why,
    };
    let says_nothing = text.lines().all(|line| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#')
    });
    let is_blank = text.trim().is_empty();
    let mut document = document::parse(text, whose).map_err(invalid)?;
    refuse_rootless(&document, path)?;
    if document.holds_secret() && file.mode & 0o007 != 0 {
        return Err(Error::Exposed {
            path: path.to_owned(),
            mode: file.mode,
        });
    }
    let path = path::absolute(path).map_err(failed)?;
    document.rebase(path.parent().unwrap_or(&path), file.owner);
    Ok(Read {
        document,
        is_blank,
        says_nothing,
    })
}

/// A path below the root is nowhere while there is none.
fn refuse_rootless(document: &Document, path: &Path) -> Result<(), Error> {
    if document.layer.root.is_some() {
        return Ok(());
    }
    let rootless = document.sections.iter().find_map(|section| {
        let pattern = section.patterns.first_relative()?;
        Some((section.line, pattern.to_string()))
    });
    rootless.map_or(Ok(()), |(line, pattern)| {
        Err(Error::NoRoot {
            path: path.to_owned(),
            line,
            pattern,
        })
    })
}
