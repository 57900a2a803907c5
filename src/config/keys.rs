//! A secret's source → the secret. Read at each use, so that a rotated key takes
//! effect at once.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::{Endpoint, SecretSource, Signing};
use crate::signature::Secret;

/// Longer files are no keys.
const LONGEST: u64 = 64 * 1024;

/// Why a secret cannot be had. Never shows any of it.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot read key `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Everybody on the machine can read the file: it is no secret.
    #[error("cannot read key `{}`: mode {mode:04o} lets others read it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// There is nothing in it.
    #[error("cannot read key: {0} is empty")]
    Empty(String),
    /// The environment variable is not set.
    #[error("cannot read key: environment variable `{0}` is not set")]
    Unset(String),
}

impl KeyError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Exposed { path, .. } => Some(format!("chmod o= {}", path.display())),
            Self::Empty(_) => Some("`refpost keygen` makes one".to_owned()),
            Self::Read { .. } | Self::Unset(_) => None,
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
            Self::File(path) => read_file(path),
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

fn read_file(path: &std::path::Path) -> Result<Secret, KeyError> {
    let failed = |source| KeyError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    if mode & 0o007 != 0 {
        return Err(KeyError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(LONGEST)
        .read_to_string(&mut text)
        .map_err(failed)?;
    match text.trim() {
        "" => Err(KeyError::Empty(format!("`{}`", path.display()))),
        key => Ok(Secret::new(key)),
    }
}

/// What an endpoint is sent that nobody else may see.
pub struct Credentials {
    /// What to sign with; `None`: nothing is signed.
    pub key: Option<Secret>,
    /// The headers of its configuration.
    pub headers: Vec<(String, Secret)>,
}

impl Endpoint {
    /// Reads the endpoint's secrets from where they are now; `variable` looks up
    /// the environment.
    pub fn credentials(
        &self,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Credentials, KeyError> {
        let key = match &self.signing {
            Signing::Key(source) => Some(source.read(variable)?),
            Signing::Unsigned => None,
        };
        let headers = self
            .headers
            .iter()
            .map(|(name, source)| Ok((name.clone(), source.read(variable)?)))
            .collect::<Result<_, KeyError>>()?;
        Ok(Credentials { key, headers })
    }
}
