//! `[[repository]]`: what the server's file says of some repositories.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::schema::{Layer, Origin};
use super::values::matching::{Names, RepositoryPatterns};

/// Tables that a section can have too. Below a section's header TOML takes their
/// plain headers for the whole server's.
const ALSO_IN_SECTIONS: [&str; 5] = ["endpoint", "people", "project", "retry", "web"];

/// A line of the file, counted from 1, and the text of the error.
pub(super) type Wrong = (usize, String);

/// A section of the server's file.
#[derive(Debug)]
pub(super) struct Section {
    /// The line of its header, counted from 1.
    pub(super) line: usize,
    pub(super) patterns: RepositoryPatterns,
    pub(super) layer: Layer,
}

impl Section {
    /// Returns its name: `/etc/refpost/config.toml:12 (match "infra/**")`.
    pub(super) fn name(&self, file: &Path) -> String {
        let (file, line, patterns) = (file.display(), self.line, &self.patterns);
        format!("{file}:{line} (match {patterns})")
    }

    pub(super) fn is_about(&self, names: &Names) -> bool {
        self.patterns.choose(names)
    }
}

/// Takes the sections out of a layer that was checked; `lines` are those of their headers.
pub(super) fn take(layer: &mut Layer, lines: &[usize]) -> Vec<Section> {
    let layers = std::mem::take(&mut layer.repository);
    let sections = layers.into_iter().zip(lines);
    sections
        .map(|(mut layer, &line)| {
            let patterns = layer.matched.take().unwrap_or_default();
            layer.mark(&Origin::Section(patterns.identity()));
            Section {
                line,
                patterns,
                layer,
            }
        })
        .collect()
}

/// Returns the places of the sections' headers.
pub(super) fn headers(document: &DeTable<'_>) -> Vec<usize> {
    match named(document, "repository") {
        Some((_, DeValue::Array(sections))) => sections
            .iter()
            .map(|section| section.span().start)
            .collect(),
        _ => Vec::new(),
    }
}

/// Refuses a server's table that looks like a part of the section above it: its author meant some
/// repositories, and it would be about all of them.
pub(super) fn check_order(
    document: &DeTable<'_>,
    text: &str,
    line_at: &dyn Fn(usize) -> usize,
) -> Result<(), Wrong> {
    let is_header = |at: &usize| text[*at..].starts_with('[');
    let Some(first) = headers(document).into_iter().find(is_header) else {
        return Ok(());
    };
    for name in ALSO_IN_SECTIONS {
        let Some((key, value)) = named(document, name) else {
            continue;
        };
        let starts: Vec<usize> = match value {
            DeValue::Array(tables) => tables.iter().map(|table| table.span().start).collect(),
            _ => vec![key],
        };
        if let Some(&below) = starts.iter().find(|&&start| start > first) {
            let (open, close) = match value {
                DeValue::Array(_) => ("[[", "]]"),
                _ => ("[", "]"),
            };
            let why = format!(
                "`{open}{name}{close}` is no part of the `[[repository]]` above it: write \
                 `{open}repository.{name}{close}`, or move it above all of them"
            );
            return Err((line_at(below), why));
        }
    }
    Ok(())
}

/// A key's place and its value.
fn named<'a, 'i>(table: &'a DeTable<'i>, name: &str) -> Option<(usize, &'a DeValue<'i>)> {
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
    Some((key.span().start, value.get_ref()))
}
