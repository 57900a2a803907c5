//! `verify`: is this the signature of the body on standard input?

use std::io::Read;
use std::path::Path;

use super::surroundings::Surroundings;
use super::{Done, Error, IoContext};
use crate::cli::VerifyArgs;
use crate::config::SecretSource;
use crate::{report, signature};

pub(super) fn run(args: &VerifyArgs, around: &Surroundings) -> Result<Done, Error> {
    let key = SecretSource::File(args.key_file.clone()).read(&|name| around.variable(name))?;
    let mut body = Vec::new();
    std::io::stdin()
        .read_to_end(&mut body)
        .doing("read", Path::new("standard input"))?;
    if signature::verify(&key, &body, args.signature.trim()) {
        report::line("signature verified");
        return Ok(Done::Well);
    }
    report::say("the signature does not match");
    if body.ends_with(b"\n") {
        report::hint("the body ends in a line break, which a body as sent does not");
    }
    Ok(Done::No)
}
