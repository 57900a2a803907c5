//! What is in force, key by key, and which layer says so.

use std::collections::BTreeMap;

use super::schema::Layer;

/// A setting as people may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// As TOML; secrets are hidden.
    pub value: String,
    /// The file that says it, with the section if one does, or `default`.
    pub source: String,
}

/// Every setting in force by its dotted key, and the uppermost layer that says so.
pub(super) fn show(merged: &Layer, layers: &[(String, Layer)]) -> BTreeMap<String, Shown> {
    let layers: Vec<_> = layers
        .iter()
        .map(|(source, layer)| (source, flat(layer)))
        .collect();
    let source_of = |key: &str, value: &str| {
        let mut from_above = layers.iter().rev();
        let found = from_above.find(|(_, layer)| layer.get(key).is_some_and(|own| own == value));
        found.map_or_else(String::new, |(source, _)| (*source).clone())
    };
    flat(merged)
        .into_iter()
        .map(|(key, value)| {
            let source = source_of(&key, &value);
            (key, Shown { value, source })
        })
        .collect()
}

fn flat(layer: &Layer) -> BTreeMap<String, String> {
    let table = toml::Table::try_from(layer).expect("a layer came from TOML");
    let mut settings = BTreeMap::new();
    flatten("", &toml::Value::Table(table), &mut |key, value| {
        settings.insert(key, value);
    });
    settings
}

fn flatten(prefix: &str, value: &toml::Value, leaf: &mut dyn FnMut(String, String)) {
    let join = |name: &str| {
        if prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{prefix}.{name}")
        }
    };
    match value {
        toml::Value::Table(table) => {
            for (name, value) in table {
                flatten(&join(name), value, leaf);
            }
        }
        toml::Value::Array(tables) if prefix == "endpoint" => {
            for table in tables {
                let name = table.get("name").and_then(toml::Value::as_str);
                flatten(&join(name.unwrap_or_default()), table, leaf);
            }
        }
        value => leaf(prefix.to_owned(), value.to_string()),
    }
}
