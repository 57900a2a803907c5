//! What a push means: ref updates in, facts out. The only user of git2, and of git.
//!
//! ```text
//! ref_lines   bytes of stdin → RefUpdate, a batch at a time
//! repository  peeling, the default branch
//! objects     reading objects, through libgit2 or git
//! history     commits that a ref gained, and merge bases
//! tree_diff   files that differ
//! details     commits one by one, for formats that list them
//! changes     what became of a ref: RefUpdate → RefChange
//! refs        where refs are and were
//! replay      whether a ref moved as it was meant to (pure)
//! command     running git
//! hooks_dir   where hooks are looked for
//! everywhere  what git's configuration says of all repositories
//! ownership   whose a repository is, and whether git trusts that
//! error       why something cannot be read
//! ```

mod changes;
mod command;
mod details;
mod error;
mod everywhere;
mod history;
mod hooks_dir;
mod objects;
mod ownership;
mod ref_lines;
mod refs;
mod replay;
mod repository;
mod tree_diff;

pub use changes::Changes;
pub use command::WHERE_CONFIG_IS;
pub use details::WantedDetails;
pub use error::Error;
pub use everywhere::Everywhere;
pub use objects::header::{commit_header, tag_header};
pub use objects::settings::Setting;
pub use objects::text::commit_text;
pub use ownership::ensure_trusted;
pub use ref_lines::{BATCH_UPDATES, Malformed, RefLines, is_full};
pub use refs::LogLine;
pub use replay::{Verdict, replay};
pub use repository::Repository;
pub use tree_diff::Wants;
