//! Secrets.
//!
//! ```text
//! sources  where a secret is: text, file, environment, credential
//! keys     a secret's source → the secret
//! ```

pub(super) mod keys;
pub(super) mod sources;
