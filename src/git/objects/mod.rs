//! Reading objects: bytes and kinds, by their ids.
//!
//! ```text
//! store       the seam: opening, and the two ways of reading
//! by_libgit2  the first way
//! by_git      the second way: git itself, for what libgit2 cannot open
//! cat_file    git cat-file, kept open: the last word on an object
//! loose       objects that lie by themselves, which libgit2 is not asked for
//! alternates  the folders that objects are in
//! irregular   files that are no files, which nobody must open
//! settings    the repository's own configuration
//! id          ids, of the length of the repository's hash
//! bytes       kinds and bytes
//! header      headers of commits and tags, read from their bytes
//! text        what commits and tags say in full
//! iconv       encodings, as git has them
//! ```

mod by_git;
mod by_libgit2;
mod cat_file;
mod iconv;
mod loose;

pub(super) mod alternates;
pub(super) mod bytes;
pub(super) mod header;
pub(super) mod id;
pub(super) mod irregular;
pub(super) mod settings;
pub(super) mod store;
pub(super) mod text;
