//! What a configuration has read for it, with the rights of whoever sends.

use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

/// The repository's file is another account's, and names a file or the like: it would be
/// read with our rights, and sent where that account says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Borrowed {
    /// The configuration.
    pub path: PathBuf,
    /// Its owner.
    pub owner: u32,
    /// The first key in it that names something to be read.
    pub key: String,
}

/// Returns the first key that names a file, a variable or a credential, among all keys.
pub(super) fn names_something(table: &DeTable<'_>) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let key = key.get_ref();
        let names = key.ends_with("_file") || ["file", "env", "credential"].contains(&&**key);
        if names {
            return Some(key.clone().into_owned());
        }
        let within = match value.get_ref() {
            DeValue::Table(table) => names_something(table),
            DeValue::Array(values) => values.iter().find_map(|value| match value.get_ref() {
                DeValue::Table(table) => names_something(table),
                _ => None,
            }),
            _ => None,
        };
        within.map(|within| format!("{key}.{within}"))
    })
}
