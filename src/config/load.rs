//! Reading the layers' files.

use std::collections::BTreeMap;
use std::io;
use std::path::{self, Path, PathBuf};

use super::borrowed::Borrowed;
use super::file::{self, Refusal, Unread};
use super::schema::Layer;
use super::settings::{self, Settings};

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is there and cannot be read.
    #[error("cannot read config `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody could have written it who may not, or it is no file of text.
    #[error("cannot load config `{}`: {why}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What is the matter with it.
        why: Refusal,
    },
    /// A key is misspelt or a value is not what its key takes.
    #[error("cannot load config `{}`: line {line}: {why}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The key, and what is wrong; never a secret's text.
        why: String,
    },
    /// The file holds a key or another secret, and everybody can read it.
    #[error("cannot load config `{}`: it holds a secret, and mode {mode:04o} lets others read it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// There is a URL, and nothing to sign with.
    #[error("cannot load config `{}`: endpoint `{endpoint}` has no key", path.display())]
    NoKey {
        /// The file that was read last.
        path: PathBuf,
        /// The endpoint.
        endpoint: String,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { path, why } => why.hint(path),
            Self::Exposed { path, .. } => Some(format!("chmod o= {}", path.display())),
            Self::NoKey { .. } => Some(
                "make one with `refpost keygen`, and name its file as `key_file`; \
                 or say `unsigned = true`"
                    .to_owned(),
            ),
            Self::Read { .. } | Self::Invalid { .. } => None,
        }
    }
}

/// Settings, and where they come from.
pub struct Loaded {
    /// What is in force.
    pub settings: Settings,
    /// The files that were read, the weakest first. None: nothing is wanted.
    pub files: Vec<PathBuf>,
    /// What the repository's file would have us read for another account.
    pub borrowed: Option<Borrowed>,
    /// The weakest first, and what each is called.
    layers: Vec<(String, Layer)>,
}

impl Loaded {
    /// Every effective setting by its key.
    #[must_use]
    pub fn shown(&self) -> BTreeMap<String, Shown> {
        show(&merged(&self.layers), &self.layers)
    }
}

/// A setting as people may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// As TOML; secrets are hidden.
    pub value: String,
    /// The file that says it, or `default`.
    pub source: String,
}

/// Loads the server's file and the repository's, as far as they are there.
///
/// `required` says that the server's file was asked for by name, so that its
/// absence is an error. `host` is the machine's name, for defaults.
pub fn load(
    system: &Path,
    required: bool,
    repository: Option<&Path>,
    host: &str,
) -> Result<Loaded, Error> {
    let mut layers = vec![("default".to_owned(), settings::defaults(host))];
    let mut files = Vec::new();
    let mut borrowed = None;
    let own = repository.map(|folder| folder.join(super::REPOSITORY_FILE));
    for (path, repository) in [(Some(system), None), (own.as_deref(), repository)] {
        let Some(path) = path else { continue };
        if let Some((layer, lent)) = read(path, repository, required && repository.is_none())? {
            borrowed = lent;
            layers.push((path.display().to_string(), layer));
            files.push(path.to_owned());
        }
    }
    let settings = settings::settle(merged(&layers), system).map_err(|endpoint| Error::NoKey {
        path: files.last().cloned().unwrap_or_default(),
        endpoint,
    })?;
    Ok(Loaded {
        settings,
        files,
        borrowed,
        layers,
    })
}

fn merged(layers: &[(String, Layer)]) -> Layer {
    let mut merged = Layer::default();
    for (_, layer) in layers {
        merged.update(layer.clone());
    }
    merged
}

/// Whether files that cannot be loaded ask for `require`, as far as can be seen:
/// the repository's says so, or it says nothing and the server's does. A file that
/// anybody could have written says nothing.
#[must_use]
pub fn asks_to_require(system: &Path, repository: &Path) -> bool {
    let says = |path: &Path, repository| {
        let text = file::read(path, repository).ok()?;
        let mut values = text.as_str().ok()?.lines().filter_map(|line| {
            let value = line.trim().strip_prefix("require")?.trim_start();
            Some(value.strip_prefix('=')?.trim_start().starts_with("true"))
        });
        values.next()
    };
    says(&repository.join(super::REPOSITORY_FILE), Some(repository))
        .or_else(|| says(system, None))
        .unwrap_or(false)
}

/// Reads one file, the server's or that of a `repository`; `None` if it is not there
/// and need not be.
fn read(path: &Path, repository: Option<&Path>, required: bool) -> Result<Read, Error> {
    let is_system = repository.is_none();
    let failed = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let file = match file::read(path, repository) {
        Ok(file) => file,
        Err(Unread::Io(error)) if error.kind() == io::ErrorKind::NotFound && !required => {
            return Ok(None);
        }
        Err(Unread::Io(error)) => return Err(failed(error)),
        Err(Unread::Refused(why)) => {
            return Err(Error::Refused {
                path: path.to_owned(),
                why,
            });
        }
    };
    let text = file.as_str().map_err(failed)?;
    let invalid = |(line, why)| Error::Invalid {
        path: path.to_owned(),
        line,
        why,
    };
    let mut layer = parse(text).map_err(invalid)?;
    if !is_system && let Some(key) = layer.system_only() {
        let why = format!("`{key}` can only be set in the server's file, not by a repository");
        return Err(invalid((line_of_key(text, key), why)));
    }
    if !is_system {
        layer.mark_own();
    }
    if layer.holds_secret() && file.mode & 0o007 != 0 {
        return Err(Error::Exposed {
            path: path.to_owned(),
            mode: file.mode,
        });
    }
    let path = path::absolute(path).map_err(failed)?;
    layer.rebase(path.parent().unwrap_or(&path), file.owner);
    let borrowed = file
        .stranger
        .and_then(|owner| Borrowed::by(owner, path, text));
    Ok(Some((layer, borrowed)))
}

/// A layer, and what it would borrow; `None` if there is no file.
type Read = Option<(Layer, Option<Borrowed>)>;

/// Parses one file's text. The error is a line and what is wrong with it.
fn parse(text: &str) -> Result<Layer, (usize, String)> {
    let line_at = |error: &toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start);
        text.get(..at).unwrap_or(text).matches('\n').count() + 1
    };
    let syntax = |error: toml::de::Error| (line_at(&error), first_line(error.message()));
    let document = toml::Deserializer::parse(text).map_err(syntax)?;
    let layer: Layer = serde_path_to_error::deserialize(document).map_err(|error| {
        let key = error.path().to_string();
        let error = error.into_inner();
        (line_at(&error), explain(&key, error.message()))
    })?;
    check(&layer).map_err(|(key, why)| (line_of_key(text, &key), why))?;
    Ok(layer)
}

/// What cannot be said by the types: which keys exclude each other.
fn check(layer: &Layer) -> Result<(), (String, String)> {
    let both =
        |key, file| format!("`{key}` and `{file}` are two answers to one question: take one");
    if layer.key.is_some() && layer.key_file.is_some() {
        return Err(("key_file".into(), both("key", "key_file")));
    }
    let alone = "`previous_key` stands beside the key that replaces it, `key` or `key_file`";
    if layer.previous_key.is_some() && layer.key.is_none() && layer.key_file.is_none() {
        return Err(("previous_key".into(), alone.into()));
    }
    for (at, endpoint) in layer.endpoint.iter().enumerate() {
        let name = &endpoint.name.0;
        if endpoint.key.is_some() && endpoint.key_file.is_some() {
            return Err(("endpoint".into(), both("key", "key_file")));
        }
        let has_key = endpoint.key.is_some() || endpoint.key_file.is_some();
        if endpoint.previous_key.is_some() && !has_key {
            return Err(("endpoint".into(), alone.into()));
        }
        if layer.endpoint[..at]
            .iter()
            .any(|other| other.name.0 == *name)
        {
            return Err((
                "endpoint".into(),
                format!("two endpoints are named `{name}`"),
            ));
        }
        let mut headers = endpoint.headers.keys();
        if endpoint.url.has_userinfo()
            && headers.any(|header| header.0.eq_ignore_ascii_case("authorization"))
        {
            let why = format!(
                "the name and password in the URL of `{name}` and its header `Authorization` are \
                 two answers to one question: take one"
            );
            return Err(("endpoint".into(), why));
        }
        if endpoint.client_cert_file.is_some() != endpoint.client_key_file.is_some() {
            let why = format!(
                "`client_cert_file` and `client_key_file` of `{name}` are of use only together"
            );
            return Err(("endpoint".into(), why));
        }
        if endpoint.timeout.is_some_and(|timeout| timeout.0.is_zero()) {
            return Err((
                "endpoint".into(),
                format!("`timeout` of `{name}` must be longer than nothing"),
            ));
        }
    }
    if layer.retry.schedule.as_ref().is_some_and(Vec::is_empty) {
        return Err((
            "retry".into(),
            "`retry.schedule` needs one delay at least".into(),
        ));
    }
    Ok(())
}

/// The line on which a top-level key or table first stands.
fn line_of_key(text: &str, key: &str) -> usize {
    let is_it = |line: &str| {
        let line = line.trim_start_matches(['[', ' ', '\t']);
        line.strip_prefix(key)
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    text.lines().position(is_it).map_or(1, |at| at + 1)
}

/// Turns serde's words into ours: the nearest known key for an unknown one, and
/// never the text of a value that may be a secret in the wrong place.
fn explain(key: &str, message: &str) -> String {
    let message = first_line(message);
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let mut quoted = rest.split('`').skip(1).step_by(2);
        let unknown = quoted.next().unwrap_or_default();
        let nearest = quoted
            .map(|known| (strsim::damerau_levenshtein(unknown, known), known))
            .filter(|(distance, known)| *distance <= 1.max(known.len() / 3))
            .min();
        return match nearest {
            Some((_, known)) => format!("unknown key `{unknown}`, did you mean `{known}`?"),
            None => format!("unknown key `{unknown}`"),
        };
    }
    let message = message.replace("missing field", "missing key");
    // serde: ``invalid type: string "…", expected …``.
    let message = match (message.find(": string \""), message.rfind("\", expected")) {
        (Some(start), Some(end)) if start < end => {
            format!("{}: text{}", &message[..start], &message[end + 1..])
        }
        _ => message,
    };
    if key == "." {
        message
    } else {
        format!("`{key}`: {message}")
    }
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}

/// Every setting in force by its dotted key, and the uppermost layer that says so.
fn show(merged: &Layer, layers: &[(String, Layer)]) -> BTreeMap<String, Shown> {
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
