//! The parts of accounts in a command of root: what each works on, and which goes first.

use std::collections::VecDeque;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::context::Context;
use crate::context::found::{ByOwner, MOST_BYTES};
use crate::spool::Found;

/// An account, and the paths of its repositories and spools.
pub(super) struct Part {
    pub(super) account: u32,
    /// Paths, each followed by a NUL byte.
    pub(super) found: Vec<u8>,
}

/// Returns the accounts, another one first each minute.
///
/// An account gets at most [`MOST_BYTES`] of paths: the rest is left out, and a person is told.
pub(super) fn parts(found: ByOwner, ctx: &Context) -> VecDeque<Part> {
    let mut parts = VecDeque::new();
    for (account, all) in found.0 {
        let (found, is_whole) = joined(all.iter().map(Found::path), MOST_BYTES);
        if !is_whole {
            let (name, _) = ctx.account(account);
            let text = format!("`{name}` has more than is handed over: the rest is passed over");
            ctx.note_failure();
            ctx.tell_once(&text, None);
        }
        parts.push_back(Part { account, found });
    }
    parts.rotate_left(first(parts.len(), ctx.now()));
    parts
}

/// Joins the first paths that have no more than so many bytes. Returns whether those are all.
fn joined<'a>(paths: impl Iterator<Item = &'a Path>, most: u64) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    for path in paths {
        let path = path.as_os_str().as_bytes();
        if (all.len() + path.len() + 1) as u64 > most {
            return (all, false);
        }
        all.extend(path);
        all.push(0);
    }
    (all, true)
}

/// Returns which of so many accounts goes first.
fn first(count: usize, now: SystemTime) -> usize {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let turn = (since.as_secs() / 60).checked_rem(count as u64);
    usize::try_from(turn.unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_more_is_handed_over_than_is_read() {
        let joined = |most| joined(["/a", "/bcd", "/e"].map(Path::new).into_iter(), most);
        let whole = b"/a\0/bcd\0/e\0";
        assert_eq!(joined(11), (whole.to_vec(), true));
        assert_eq!(joined(10), (whole[..8].to_vec(), false));
        // The rest is left out, even what would fit.
        assert_eq!(joined(7), (whole[..3].to_vec(), false));
        assert_eq!(joined(2), (Vec::new(), false));
    }

    #[test]
    fn each_account_goes_first_in_its_minute() {
        let at = |minutes: u64| UNIX_EPOCH + Duration::from_secs(minutes * 60 + 59);
        let turns = |count| {
            (0..6)
                .map(|minute| first(count, at(minute)))
                .collect::<Vec<_>>()
        };
        assert_eq!(turns(4), [0, 1, 2, 3, 0, 1]);
        assert_eq!(turns(1), [0; 6]);
        assert_eq!(turns(0), [0; 6]);
        let before = UNIX_EPOCH - Duration::from_secs(61);
        assert_eq!(first(4, before), 0);
    }
}
