//! The software that a repository lives under: gitolite, GitLab, Gitea, cgit, gitweb.
//!
//! ```text
//! software  which software it is, found out
//! shown     what cgit and gitweb are told to show
//! pusher    who pushed, from the host's environment
//! facts     what a repository says of itself: path, owner, description
//! ```

mod facts;
mod pusher;
mod shown;
mod software;

pub use facts::Facts;
pub use pusher::{VARIABLES as PUSHER_VARIABLES, pusher};
pub use shown::Shown;
pub use software::{Host, HostKind, brings};
