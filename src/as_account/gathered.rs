//! Reads what the accounts' refposts found, each as one JSON object.
//!
//! Nothing in it is trusted: it has 4 MiB and 10 seconds at most, and is for the caller to validate.

use std::ffi::OsString;

use serde::de::DeserializeOwned;

use super::apart::{self, Job};
use super::forwarded::Kind;
use crate::context::Context;
use crate::context::found::ByOwner;
use crate::error::Error;
use crate::report;

/// What an account's refpost found. `None`: it failed, which was told.
pub(crate) struct Gathered<T> {
    pub(crate) account: String,
    pub(crate) found: Option<T>,
}

/// Has each account run refpost with these arguments. Returns an object of each, in the order of
/// the accounts' names. `is_valid` decides whether one is believed.
pub(crate) fn gather<T: DeserializeOwned>(
    found: ByOwner,
    args: Vec<OsString>,
    is_valid: impl Fn(&T) -> bool,
    ctx: &Context,
) -> Result<Vec<Gathered<T>>, Error> {
    let job = Job::looking(args, true);
    let mut all = Vec::new();
    apart::each(found, &job, Kind::Gathered, ctx, &mut |ended| {
        let account = ctx.account(ended.account).0;
        let read = ended.output.as_deref().map(serde_json::from_slice);
        let found = match read {
            Some(Ok(found)) if is_valid(&found) => Some(found),
            // Its refpost said why it has none.
            Some(_) if ended.output.as_ref().is_some_and(Vec::is_empty) => None,
            Some(_) => {
                report::say(&format!("{account}: its refpost gave no valid answer"));
                None
            }
            None => None,
        };
        if found.is_none() {
            ctx.note_failure();
        }
        all.push(Gathered { account, found });
    })?;
    all.sort_by(|one, other| one.account.cmp(&other.account));
    Ok(all)
}
