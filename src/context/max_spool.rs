//! Limits the bytes that wait in a spool for one repository (`max_spool`).

use std::path::Path;

use bytesize::ByteSize;

use crate::error::Error;
use crate::spool::{Id, Spool};

/// Hint on the pushes to a repository that has reached its limit.
pub(crate) const MEANWHILE: &str = "pushes are recorded as ref updates alone, and announced in \
     their order once there is room; `refpost status` says whom messages wait for";

/// Fails if `most` bytes or more wait for a repository, in entries before `before` if given.
///
/// The check comes before messages are made, so that none is made in vain: one entry more than the
/// limit may wait, and an entry larger by itself gets its turn.
pub(crate) fn ensure(
    spool: &Spool,
    repository: &Path,
    most: u64,
    before: Option<&Id>,
) -> Result<(), Error> {
    let waiting = spool.waiting_bytes(repository, most, before);
    if waiting < most {
        return Ok(());
    }
    Err(Error::Failed {
        what: shown(waiting, most),
        hint: Some(MEANWHILE.to_owned()),
    })
}

/// Describes a spool in which as much waits as may, for a person.
pub(crate) fn shown(waiting: u64, most: u64) -> String {
    let size = |bytes| ByteSize(bytes).display().iec();
    format!(
        "{} of messages wait, and `max_spool` is {}",
        size(waiting),
        size(most)
    )
}
