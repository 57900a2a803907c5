//! `verify`: checks a signature of the body on standard input.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::config::{KeyError, SecretFile};
use crate::error::{Error, Exit, IoContext};
use crate::report;
use crate::signature::{self, Secret};

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// File with the key; can be repeated, any one may match
    #[arg(long = "key-file", value_name = "FILE", required = true)]
    pub(crate) key_files: Vec<PathBuf>,
    /// The signature: hex, optionally prefixed with `sha1=` or `sha256=`, or `v1,…` of
    /// Standard Webhooks
    #[arg(long, value_name = "SIGNATURE")]
    pub(crate) signature: String,
    /// Value of `webhook-id` (Standard Webhooks)
    #[arg(long, value_name = "ID", requires = "timestamp")]
    pub(crate) id: Option<String>,
    /// Value of `webhook-timestamp` (Standard Webhooks)
    #[arg(long, value_name = "SECONDS", requires = "id")]
    pub(crate) timestamp: Option<u64>,
}

pub(crate) fn run(args: &VerifyArgs) -> Result<Exit, Error> {
    let keys = read_keys(&args.key_files)?;
    let mut body = Vec::new();
    std::io::stdin()
        .read_to_end(&mut body)
        .doing("read", Path::new("standard input"))?;
    let signature = args.signature.trim();
    let is_right = |key: &Secret| match (&args.id, args.timestamp) {
        (Some(id), Some(time)) => {
            signature::verify_standard_webhooks(key, id, time, &body, signature)
        }
        _ => signature::verify(key, &body, signature::without_prefix(signature)),
    };
    if keys.iter().any(is_right) {
        report::line("signature verified");
        return Ok(Exit::Well);
    }
    report::say("the signature does not match");
    if body.ends_with(b"\n") {
        report::hint("the body ends in a line break, which a body as sent does not");
    }
    Ok(Exit::No)
}

/// Reads the keys in the files that the command line names.
pub(super) fn read_keys(files: &[PathBuf]) -> Result<Vec<Secret>, KeyError> {
    let files = files.iter().cloned().map(SecretFile::named_here);
    files.map(|file| file.read()).collect()
}
