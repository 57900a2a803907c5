//! `require`, read from files that cannot be loaded.

use std::path::Path;

use toml::de::DeTable;

use super::file;
use super::load::Server;
use crate::host;

/// Returns whether files that cannot be loaded ask for `require`: the repository's, or else the
/// server's. Of a broken server's file, the part above its sections counts. A file that other
/// accounts can write does not count, nor does the server's file in the repository that brings it:
/// the push that mends it is let through.
#[must_use]
pub fn asks_to_require(system: &Path, repository: &Path) -> bool {
    let says = |path: &Path, repository| {
        let text = file::read(path, repository).ok()?;
        let (document, _) = DeTable::parse_recoverable(text.as_str().ok()?);
        let mut keys = document.get_ref().iter();
        let (_, value) = keys.find(|(key, _)| key.get_ref() == "require")?;
        value.get_ref().as_bool()
    };
    let own = || says(&repository.join(super::REPOSITORY_FILE), Some(repository));
    let sections = || {
        let server = Server::read(system, false).ok()?;
        let sections = server.sections_about(Some(repository));
        let mut from_above = sections.into_iter().rev();
        from_above.find_map(|section| section.layer.require)
    };
    own()
        .or_else(sections)
        .or_else(|| says(system, None).filter(|_| !host::brings(repository, system)))
        .unwrap_or(false)
}
