//! A folder, whatever its path.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::encoding;

/// Tells a folder from all others. The number of an inode is given to another one soon after its
/// folder is removed, but then that was made later.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FolderId {
    device: u64,
    inode: u64,
    #[serde(with = "encoding::time")]
    made: SystemTime,
}

impl FolderId {
    /// Returns that of the folder at this path; `None` if there is none, or the file system does
    /// not tell when the folder was made.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let meta = path.metadata().ok()?;
        Some(Self {
            device: meta.dev(),
            inode: meta.ino(),
            made: meta.created().ok()?,
        })
    }
}
