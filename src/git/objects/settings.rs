//! Settings of a repository's own configuration.

/// A line of a configuration.
#[derive(Debug, PartialEq)]
pub struct Setting {
    /// In lower case, where case does not count.
    pub name: String,
    /// `None` is a name alone, which is a truth (git-config(1)).
    pub value: Option<String>,
}

/// Returns the value of the last line of this name, which is the one that counts (git-config(1)).
pub(in crate::git) fn last<'a>(config: &'a [Setting], name: &str) -> Option<&'a str> {
    last_of(config, name)?.value.as_deref()
}

/// Returns the value of an on/off setting.
pub(in crate::git) fn truth(config: &[Setting], name: &str) -> Option<bool> {
    let Some(value) = &last_of(config, name)?.value else {
        return Some(true);
    };
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" | "" => Some(false),
        number => Some(number.parse::<i64>().ok()? != 0),
    }
}

fn last_of<'a>(config: &'a [Setting], name: &str) -> Option<&'a Setting> {
    config.iter().rfind(|setting| setting.name == name)
}
