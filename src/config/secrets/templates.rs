//! A template's file → the template. Its owner is held to the rules of a key's file.

use std::io;
use std::path::PathBuf;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

use super::sources::{SecretFile, Unusable};
use crate::payload::{Template, TemplateFault};

/// A template, and the content type of its bodies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateSource {
    /// The file.
    pub file: SecretFile,
    /// The header `Content-Type`.
    pub content_type: String,
}

/// Reason for which an endpoint's template cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The file cannot be read.
    #[error("cannot read template `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Cause of that.
        source: io::Error,
    },
    /// All accounts can write the file.
    #[error("cannot use template `{}`: mode {mode:04o} lets others write it", path.display())]
    Writable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another account owns the file, and can change it.
    #[error("cannot use template `{}`: it belongs to user {owner}, who can change it", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The account's number.
        owner: u32,
    },
    /// A folder, a pipe, a device.
    #[error("cannot use template `{}`: it is no regular file", .0.display())]
    NotRegular(PathBuf),
    /// The file is longer than any template.
    #[error("cannot use template `{}`: it is longer than 64 KiB", .0.display())]
    TooLong(PathBuf),
    /// Its text is no template.
    #[error("cannot use template `{}`", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Cause of that.
        source: TemplateFault,
    },
}

/// The header `Content-Type` of an endpoint with a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::config) struct ContentType(pub(in crate::config) String);

impl<'de> Deserialize<'de> for ContentType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let kind = text.split(';').next().unwrap_or_default().trim_end();
        let parts = kind.split_once('/');
        let is_part = |part: &str| {
            let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$&^_.+-".contains(c);
            !part.is_empty() && part.chars().all(is_token)
        };
        let is_type = parts.is_some_and(|(one, other)| is_part(one) && is_part(other));
        if is_type && text.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
            Ok(Self(text))
        } else {
            let why = "this is no content type, expected one like `application/json`";
            Err(D::Error::custom(why))
        }
    }
}

impl TemplateError {
    /// Returns advice, if there is any.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Writable { path, .. } => Some(format!("chmod o-w {}", path.display())),
            Self::Foreign { path, .. } => Some(format!("chown root {}", path.display())),
            Self::Read { .. } | Self::NotRegular(_) | Self::TooLong(_) | Self::Invalid { .. } => {
                None
            }
        }
    }
}

impl TemplateSource {
    pub(in crate::config) fn new(file: SecretFile, content_type: Option<ContentType>) -> Self {
        let content_type = content_type.map(|own| own.0);
        Self {
            file,
            content_type: content_type.unwrap_or_else(|| "application/json".to_owned()),
        }
    }

    /// Reads and compiles the template.
    ///
    /// Other accounts may read it, unlike a key: it holds no secret.
    pub fn read(&self) -> Result<Template, TemplateError> {
        let path = self.file.path.clone();
        let bytes = self.file.bytes(0o002).map_err(|unusable| {
            let path = path.clone();
            match unusable {
                Unusable::Read(source) => TemplateError::Read { path, source },
                Unusable::Mode(mode) => TemplateError::Writable { path, mode },
                Unusable::Foreign(owner) => TemplateError::Foreign { path, owner },
                Unusable::NotRegular => TemplateError::NotRegular(path),
                Unusable::TooLong => TemplateError::TooLong(path),
            }
        })?;
        let text = String::from_utf8(bytes.to_vec()).map_err(|error| TemplateError::Read {
            path: path.clone(),
            source: io::Error::new(io::ErrorKind::InvalidData, error),
        })?;
        // A byte order mark of an editor is no part of the body.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Template::parse(&name, text, &self.content_type).map_err(|source| TemplateError::Invalid {
            path: path.clone(),
            source,
        })
    }
}
