//! What a configuration has read for it, with the rights of whoever sends.

use std::path::PathBuf;

/// The repository's file is another account's, and names a file or the like: it would be
/// read with our rights, and sent where that account says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Borrowed {
    /// The configuration.
    pub path: PathBuf,
    /// Whose it is.
    pub owner: u32,
    /// The first key in it that names something to be read.
    pub key: String,
}

impl Borrowed {
    /// What a file with this text borrows, which belongs to another account.
    pub(super) fn by(owner: u32, path: PathBuf, text: &str) -> Option<Self> {
        let key = names_something(&toml::from_str(text).ok()?)?;
        Some(Self { path, owner, key })
    }
}

/// The first key that names a file, a variable or a credential, whichever keys there are.
fn names_something(table: &toml::Table) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let names = key.ends_with("_file") || ["file", "env", "credential"].contains(&&**key);
        if names {
            return Some(key.clone());
        }
        let within = match value {
            toml::Value::Table(table) => names_something(table),
            toml::Value::Array(values) => values.iter().find_map(|value| {
                let table = value.as_table()?;
                names_something(table)
            }),
            _ => None,
        };
        within.map(|within| format!("{key}.{within}"))
    })
}
