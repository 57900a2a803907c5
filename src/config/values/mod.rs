//! What one value may be. Each is checked where it is read, so that an error has its line.
//!
//! ```text
//! bus       what only a message bus has
//! text      URLs, durations, names
//! patterns  globs that choose topics and refs
//! size      numbers of bytes
//! matching  which repositories a section is about
//! ```

pub(super) mod bus;
pub(super) mod matching;
pub(super) mod patterns;
pub(super) mod size;
pub(super) mod text;
