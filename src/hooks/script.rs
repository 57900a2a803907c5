//! Reads the text of a hook.

use std::path::Path;

use crate::plain_file;

/// Number of bytes that are read of a hook. No script that a person wrote is longer.
pub(crate) const LONGEST_SCRIPT: u64 = 64 * 1024;

/// Returns the beginning of a hook's text; nothing of a hook that cannot be read, which then counts
/// as another program's.
pub(crate) fn beginning(hook: &Path) -> String {
    let text = plain_file::read_named(hook, LONGEST_SCRIPT).unwrap_or_default();
    String::from_utf8_lossy(&text).into_owned()
}
