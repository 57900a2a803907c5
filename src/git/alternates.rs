//! Folders of objects, and those that they borrow from (gitrepository-layout(5),
//! `objects/info/alternates`).

use std::fs;
use std::path::PathBuf;

/// Alternates of alternates are followed so far (odb.c).
const DEEPEST: usize = 5;

/// These folders, and those that they borrow from.
pub(super) fn of(mut folders: Vec<PathBuf>) -> Vec<PathBuf> {
    let (mut start, mut depth) = (0, 0);
    while start < folders.len() && depth <= DEEPEST {
        let end = folders.len();
        for at in start..end {
            let list = fs::read_to_string(folders[at].join("info/alternates"));
            for line in list.unwrap_or_default().lines() {
                if !line.is_empty() && !line.starts_with('#') {
                    let folder = folders[at].join(line);
                    if !folders.contains(&folder) {
                        folders.push(folder);
                    }
                }
            }
        }
        (start, depth) = (end, depth + 1);
    }
    folders
}
