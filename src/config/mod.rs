//! The configuration: TOML in layers, effective settings out.
//!
//! ```text
//! values     what one value may be: URL, duration, size, pattern
//! secrets    where a secret is, and the secret itself; templates
//! schema     which keys there are, and how one layer overrides another
//! file       whose file it is, what kind and how large, before it is read
//! sections   [[repository]]: what the server's file says of some repositories
//! document   one file's text → its layer, errors with line and key
//! error      why a configuration cannot be loaded
//! read       reading one file
//! load       the layers' files, laid on each other
//! shown      what is in force, and which layer says so
//! defaults   the layer below all files
//! alerts     [alerts]
//! broker     [broker], [worker]
//! fleet      the broker that entries are handed to, and its workers
//! bus        endpoints that are a message bus
//! endpoint   one receiver of messages
//! settings   the merged layers made whole
//! require    whether files that cannot be loaded ask for `require`
//! project    what [project] says and what the repository tells → Project
//! web        where a project is cloned from and looked at
//! ```
//!
//! The layers: the server's file, those of its sections that are about the repository,
//! and the repository's `refpost.toml`; each overrides those before it key by key.
//! docs/reference/configuration.md has every key.

mod alerts;
mod broker;
mod bus;
mod defaults;
mod document;
mod endpoint;
mod error;
mod file;
mod fleet;
#[cfg(test)]
mod known_keys;
mod load;
mod node;
mod project;
mod read;
mod require;
mod schema;
mod secrets;
mod sections;
mod settings;
mod shown;
mod values;
mod web;

pub use alerts::{ALERT_AFTER, Alerts};
pub use bus::Bus;
pub use defaults::IN_FLIGHT;
pub use endpoint::{ClientCert, Endpoint, Signing, Via};
pub use error::Error;
pub use file::Refusal;
pub use fleet::{Broker, Worker};
pub use load::{Alone, Loaded, Server, load, load_alone};
pub use project::{addresses, project};
pub use require::asks_to_require;
pub use schema::{Mode, Origin};
pub use secrets::keys::{Credentials, KeyError};
pub use secrets::sources::{PreviousKey, SecretFile, SecretSource};
pub use secrets::templates::{TemplateError, TemplateSource};
pub use settings::{Allow, Network, Retry, Settings};
pub use shown::Shown;
pub use values::matching::{Names, RepositoryPattern, RepositoryPatterns, below};
pub use values::patterns::Patterns;
pub use values::text::{EndpointUrl, is_endpoint_name, parse_period};

/// The server's file, unless another is named.
pub const SYSTEM_FILE: &str = "/etc/refpost/config.toml";

/// Place of a repository's spool unless `spool` names another, inside the repository.
pub const OWN_SPOOL: &str = "refpost/spool";

/// The repository's file, inside the bare repository.
pub const REPOSITORY_FILE: &str = "refpost.toml";
