//! Disks that a test mounts, and fills.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mount that ends with the test. Only root can make one; where nobody can, that
/// is said, and `None`.
pub(crate) struct Mount(PathBuf);

impl Mount {
    pub(crate) fn new(at: PathBuf, args: &[&str]) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let mut mount = Command::new("mount");
        let ran = mount.args(args).arg(&at).output().unwrap();
        if !ran.status.success() {
            let why = String::from_utf8_lossy(&ran.stderr);
            super::leave_out_mount(&format!(
                "cannot mount, so a part of a test is left out: {why}"
            ));
            return None;
        }
        Some(Self(at))
    }

    /// A disk of a few megabytes, on a file beside it.
    pub(crate) fn disk(at: PathBuf, kind: &str, megabytes: u64) -> Option<Self> {
        let image = at.with_extension("img");
        let file = fs::File::create(&image).unwrap();
        file.set_len(megabytes << 20).unwrap();
        let made = Command::new(format!("mkfs.{kind}"))
            .arg("-q")
            .arg(&image)
            .output();
        if !made.as_ref().is_ok_and(|made| made.status.success()) {
            super::leave_out_mount(&format!(
                "cannot make {kind}, so a part of a test is left out: {made:?}"
            ));
            return None;
        }
        let image = image.to_str().unwrap();
        Self::new(at, &["-o", "loop", "-t", kind, image])
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

/// Takes all the room that there is; gives the file that does.
pub(crate) fn fill(folder: &Path) -> PathBuf {
    let path = folder.join("ballast");
    let mut file = fs::File::create(&path).unwrap();
    // What was set aside for what is not on the disk yet is free again once it is.
    let mut length = None;
    while length != Some(path.metadata().unwrap().len()) {
        length = Some(path.metadata().unwrap().len());
        for size in [4096, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
        file.sync_all().ok();
    }
    path
}

/// Removes what takes the room. What it took is free once the disk has it, not before.
pub(crate) fn make_room(ballast: &Path) {
    fs::remove_file(ballast).unwrap();
    let folder = ballast.parent().unwrap();
    let synced = Command::new("sync").arg("-f").arg(folder).status();
    assert!(synced.unwrap().success());
}
