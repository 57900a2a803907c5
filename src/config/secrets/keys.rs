//! A secret's source → the secret. Read at each use, so that a rotated key takes
//! effect at once.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use zeroize::Zeroizing;

use super::sources::{SecretFile, SecretSource, Unusable};
use crate::config::endpoint::{Endpoint, Signing};
use crate::report;
use crate::signature::Secret;

/// Variable with the folder of a service's credentials (systemd.exec(5)).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Reason for which a secret cannot be read. Contains no part of it.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot read key `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Cause of that.
        source: io::Error,
    },
    /// All accounts can read the file, so its content is no secret.
    #[error("cannot read key `{}`: mode {mode:04o} lets others read it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another account owns the file, and can change it.
    #[error("cannot read key `{}`: it belongs to user {owner}, who can change it", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The account's number.
        owner: u32,
    },
    /// A folder, a pipe, a device.
    #[error("cannot read key `{}`: it is no regular file", .0.display())]
    NotRegular(PathBuf),
    /// The file is longer than any key.
    #[error("cannot read key `{}`: it is longer than 64 KiB", .0.display())]
    TooLong(PathBuf),
    /// There is nothing in it.
    #[error("cannot read key: {0} is empty")]
    Empty(String),
    /// The environment variable is not set.
    #[error("cannot read key: environment variable `{0}` is not set")]
    Unset(String),
    /// No systemd has handed credentials over.
    #[error(
        "cannot read key: no credential `{0}`: environment variable `{CREDENTIALS}` is not set"
    )]
    NoCredentials(String),
}

impl KeyError {
    /// Returns advice, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Exposed { path, .. } => Some(format!("chmod o= {}", report::shell(path))),
            Self::Foreign { path, .. } => Some(format!("chown root {}", report::shell(path))),
            Self::Empty(_) => Some("`refpost keygen` makes one".to_owned()),
            Self::NoCredentials(name) => Some(format!(
                "`LoadCredential={name}:FILE` in the systemd unit that runs refpost"
            )),
            Self::Read { .. } | Self::NotRegular(_) | Self::TooLong(_) | Self::Unset(_) => None,
        }
    }
}

impl SecretSource {
    /// Reads the secret; `variable` looks up the environment.
    pub fn read(&self, variable: &dyn Fn(&str) -> Option<String>) -> Result<Secret, KeyError> {
        match self {
            Self::Text(secret) if secret.expose().is_empty() => {
                Err(KeyError::Empty("its text in the config".to_owned()))
            }
            Self::Text(secret) => Ok(secret.clone()),
            Self::File(file) => file.read(),
            Self::Credential(name) => match variable(CREDENTIALS) {
                None => Err(KeyError::NoCredentials(name.clone())),
                Some(folder) => SecretFile::named_here(Path::new(&folder).join(name)).read(),
            },
            Self::Env(name) => match variable(name) {
                None => Err(KeyError::Unset(name.clone())),
                Some(text) if text.is_empty() => {
                    Err(KeyError::Empty(format!("environment variable `{name}`")))
                }
                Some(text) => Ok(Secret::new(text)),
            },
        }
    }
}

impl SecretFile {
    /// Reads the secret text in it, without the white space around it and the byte order mark
    /// before it, which editors write and do not show.
    pub fn read(&self) -> Result<Secret, KeyError> {
        let bytes = self.read_whole()?;
        let text = std::str::from_utf8(&bytes).map_err(|error| KeyError::Read {
            path: self.path.clone(),
            source: io::Error::new(io::ErrorKind::InvalidData, error),
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match text.trim() {
            "" => Err(KeyError::Empty(format!("`{}`", self.path.display()))),
            key => Ok(Secret::new(key)),
        }
    }

    /// Reads the whole file, if its mode and owner keep it secret.
    pub fn read_whole(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let path = self.path.clone();
        self.bytes(0o007).map_err(|unusable| match unusable {
            Unusable::Read(source) => KeyError::Read { path, source },
            Unusable::Mode(mode) => KeyError::Exposed { path, mode },
            Unusable::Foreign(owner) => KeyError::Foreign { path, owner },
            Unusable::NotRegular => KeyError::NotRegular(path),
            Unusable::TooLong => KeyError::TooLong(path),
        })
    }
}

/// Secrets of an endpoint.
pub struct Credentials {
    /// Keys to sign with; `None`: messages are not signed.
    pub key: Option<Secret>,
    /// The key before it, while it lasts.
    pub previous: Option<Secret>,
    /// Token that GitLab's format carries.
    pub token: Option<Secret>,
    /// True if the key also signs as Standard Webhooks has it.
    pub standard_webhooks: bool,
    /// Time at which they were read, for an attempt at once.
    pub time: SystemTime,
    /// The headers of its configuration.
    pub headers: Vec<(String, Secret)>,
}

impl Endpoint {
    /// Reads the endpoint's secrets from where they are now; `variable` looks up
    /// the environment.
    pub fn credentials(
        &self,
        variable: &dyn Fn(&str) -> Option<String>,
        now: SystemTime,
    ) -> Result<Credentials, KeyError> {
        let (key, previous) = match &self.signing {
            Signing::Unsigned => (None, None),
            Signing::Key { current, previous } => {
                let lasting = previous.as_ref().filter(|previous| now < previous.until);
                (
                    Some(current.read(variable)?),
                    lasting
                        .map(|previous| previous.source.read(variable))
                        .transpose()?,
                )
            }
        };
        let headers = self
            .headers
            .iter()
            .map(|(name, source)| Ok((name.clone(), source.read(variable)?)))
            .collect::<Result<_, KeyError>>()?;
        let token = self.token.as_ref();
        Ok(Credentials {
            key,
            previous,
            token: token.map(|source| source.read(variable)).transpose()?,
            standard_webhooks: self.standard_webhooks,
            time: now,
            headers,
        })
    }
}
