//! Secrets.
//!
//! ```text
//! sources    where a secret is: text, file, environment, credential
//! keys       a secret's source → the secret
//! templates  a template's file → the template
//! ```

pub(super) mod keys;
pub(super) mod sources;
pub(super) mod templates;
