//! Texts that people read: kept as files, so that a change of them is seen.

use std::fs;
use std::path::Path;

/// Holds a text to `tests/data/golden/NAME`. With `REFPOST_UPDATE_GOLDEN` set it
/// writes the file instead; the change then shows in `git diff`.
#[track_caller]
pub(crate) fn golden(name: &str, text: &str) {
    golden_at(&Path::new("tests/data/golden").join(name), text);
}

/// Holds a text to any file of the sources, in the same way.
#[track_caller]
pub(crate) fn golden_at(path: &Path, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("REFPOST_UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let expected =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(text, expected, "REFPOST_UPDATE_GOLDEN=1 takes the new text");
}
