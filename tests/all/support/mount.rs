//! Mounts, which root alone can make.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mount that ends with the test.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// Mounts at this folder, which is made if it is not there. Where nobody can, that is
    /// said, and `None`.
    pub(crate) fn new(at: PathBuf, args: &[&str]) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let mut mount = Command::new("mount");
        let ran = mount.args(args).arg(&at).output().unwrap();
        if !ran.status.success() {
            let why = String::from_utf8_lossy(&ran.stderr);
            eprintln!("warning: cannot mount, so a part of a test is left out: {why}");
            return None;
        }
        Some(Self(at))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn remount(&self, options: &str) {
        let mut mount = Command::new("mount");
        mount.args(["-o", options]).arg(&self.0);
        assert!(mount.status().unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}
