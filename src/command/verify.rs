//! `verify`: checks a signature of the body on standard input.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::cli::VerifyArgs;
use crate::config::{KeyError, SecretFile};
use crate::error::{Done, Error, IoContext};
use crate::report;
use crate::signature::{self, Secret};

pub(super) fn run(args: &VerifyArgs) -> Result<Done, Error> {
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
        return Ok(Done::Well);
    }
    report::say("the signature does not match");
    if body.ends_with(b"\n") {
        report::hint("the body ends in a line break, which a body as sent does not");
    }
    Ok(Done::No)
}

/// Reads the keys in the files that the command line names.
pub(super) fn read_keys(files: &[PathBuf]) -> Result<Vec<Secret>, KeyError> {
    let files = files.iter().cloned().map(SecretFile::named_here);
    files.map(|file| file.read()).collect()
}
