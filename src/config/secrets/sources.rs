//! Where a secret is to be found when it is needed, as the configuration says it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize, Serializer};
use toml::value::{Datetime, Offset};
use zeroize::Zeroizing;

use crate::config::file::is_strange;
use crate::plain_file::{Plain, Unfit};
use crate::signature::Secret;

/// Longer files are no keys and no templates.
const LONGEST: u64 = 64 * 1024;

/// Place of a secret text, read at each use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// In the configuration itself.
    Text(Secret),
    /// The content of a file, without the white space around it.
    File(SecretFile),
    /// An environment variable.
    Env(String),
    /// A file in the folder that systemd hands to a service
    /// (systemd.exec(5), `LoadCredential=`).
    Credential(String),
}

/// A file that only its readers can read, and no other account can change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretFile {
    /// The file.
    pub path: PathBuf,
    /// Owner of the configuration with its name, who may own it too. `None`: the command line names
    /// it.
    pub named_by: Option<u32>,
}

/// A key under replacement: messages are signed with it too, for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousKey {
    /// Its place.
    pub source: SecretSource,
    /// From then on it signs no more.
    pub until: SystemTime,
}

impl SecretFile {
    /// A file that the person at the command line names.
    #[must_use]
    pub fn named_here(path: PathBuf) -> Self {
        Self {
            path,
            named_by: None,
        }
    }

    /// Makes a relative name one below `folder`, and remembers the account that
    /// owns the configuration which it stands in.
    pub(in crate::config) fn rebase(&mut self, folder: &Path, owner: u32) {
        self.path = folder.join(&self.path);
        self.named_by = Some(owner);
    }
}

/// Reason for which a file of secrets or of a template is not used.
pub(super) enum Unusable {
    /// It cannot be read.
    Read(io::Error),
    /// Its permission bits allow others too much.
    Mode(u32),
    /// This other account owns it, and can change it.
    Foreign(u32),
    /// The file is a folder, a pipe or a device.
    NotRegular,
    /// The file is longer than 64 KiB.
    TooLong,
}

impl SecretFile {
    /// Reads the whole file, unless its mode has one of the `forbidden` bits or another account
    /// owns it than root, this one, or the owner of the configuration that names it.
    pub(super) fn bytes(&self, forbidden: u32) -> Result<Zeroizing<Vec<u8>>, Unusable> {
        let file = match Plain::named(&self.path) {
            Err(error) if Unfit::of(&error).is_some() => return Err(Unusable::NotRegular),
            opened => opened.map_err(Unusable::Read)?,
        };
        let (mode, owner) = (file.mode(), file.owner());
        if mode & forbidden != 0 {
            Err(Unusable::Mode(mode))
        } else if is_strange(&file) && self.named_by != Some(owner) {
            Err(Unusable::Foreign(owner))
        } else {
            let bytes = file.read(LONGEST).map_err(Unusable::Read)?;
            bytes.ok_or(Unusable::TooLong)
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("(hidden)"),
            Self::File(file) => write!(f, "file {}", file.path.display()),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::Credential(name) => write!(f, "credential {name}"),
        }
    }
}

impl Serialize for SecretSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for SecretFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.path.serialize(serializer)
    }
}

impl Serialize for PreviousKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let until = humantime::format_rfc3339_seconds(self.until);
        serializer.collect_str(&format_args!("{} until {until}", self.source))
    }
}

impl<'de> Deserialize<'de> for SecretFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        PathBuf::deserialize(deserializer).map(Self::named_here)
    }
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            deny_unknown_fields,
            expecting = "expected text, `{ file = \"…\" }`, `{ env = \"…\" }` or `{ credential = \"…\" }`"
        )]
        enum Form {
            Text(String),
            File { file: SecretFile },
            Env { env: String },
            Credential { credential: String },
        }
        match Form::deserialize(deserializer)? {
            Form::Text(text) => Ok(Self::Text(Secret::new(text))),
            Form::File { file } => Ok(Self::File(file)),
            Form::Env { env } => Ok(Self::Env(env)),
            Form::Credential { credential } => credential_name(credential).map(Self::Credential),
        }
    }
}

/// A name, and no way out of the folder of credentials.
fn credential_name<E: serde::de::Error>(name: String) -> Result<String, E> {
    let leads_out = name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']);
    if leads_out {
        return Err(E::custom(
            "a credential's name is that of a file, without a folder",
        ));
    }
    Ok(name)
}

impl<'de> Deserialize<'de> for PreviousKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            deny_unknown_fields,
            expecting = "a table, `{ file = \"…\", until = 2027-01-31 }`"
        )]
        struct Form {
            text: Option<String>,
            file: Option<SecretFile>,
            env: Option<String>,
            credential: Option<String>,
            until: String,
        }
        let form = Form::deserialize(deserializer)?;
        let credential = form.credential.map(credential_name).transpose()?;
        let sources = [
            form.text.map(|text| SecretSource::Text(Secret::new(text))),
            form.file.map(SecretSource::File),
            form.env.map(SecretSource::Env),
            credential.map(SecretSource::Credential),
        ];
        let mut sources = sources.into_iter().flatten();
        let (Some(source), None) = (sources.next(), sources.next()) else {
            return Err(D::Error::custom(
                "expected one of `text`, `file`, `env` and `credential`, and `until`",
            ));
        };
        let until = form.until.parse().ok();
        let until = until
            .and_then(|until| end_of(&until))
            .ok_or_else(|| D::Error::custom("`until` is no date, expected one like 2027-01-31"))?;
        Ok(Self { source, until })
    }
}

/// The moment that a date and time of TOML names, in UTC where it has no offset;
/// of a date alone the end of its day.
fn end_of(datetime: &Datetime) -> Option<SystemTime> {
    let date = datetime.date?;
    let day = humantime::parse_rfc3339(&format!("{date}T00:00:00Z")).ok()?;
    let Some(time) = datetime.time else {
        return day.checked_add(Duration::from_hours(24));
    };
    let seconds = u64::from(time.hour) * 3600
        + u64::from(time.minute) * 60
        + u64::from(time.second.unwrap_or(0));
    let local = day.checked_add(Duration::from_secs(seconds))?;
    let minutes = match datetime.offset {
        Some(Offset::Custom { minutes }) => minutes,
        Some(Offset::Z) | None => 0,
    };
    let shift = Duration::from_secs(u64::from(minutes.unsigned_abs()) * 60);
    if minutes < 0 {
        local.checked_add(shift)
    } else {
        local.checked_sub(shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_previous_key_lasts_to_the_end_of_its_day() {
        let until = |text: &str| {
            let datetime: Datetime = text.parse().expect("a date of TOML");
            let end = end_of(&datetime).expect("a date that a clock can show");
            humantime::format_rfc3339_seconds(end).to_string()
        };
        for (text, expected) in [
            ("2026-12-31", "2027-01-01T00:00:00Z"),
            ("2026-12-31T12:30:05Z", "2026-12-31T12:30:05Z"),
            ("2026-12-31T12:30:05", "2026-12-31T12:30:05Z"),
            ("2026-12-31T12:30:05+02:00", "2026-12-31T10:30:05Z"),
            ("2026-12-31T23:30:00-02:30", "2027-01-01T02:00:00Z"),
        ] {
            assert_eq!(until(text), expected, "{text}");
        }
    }
}
