//! `check` of the disk space for a repository's spool.

use std::path::Path;

use bytesize::ByteSize;
use nix::sys::statvfs::statvfs;

use super::findings::Findings;
use crate::report;
use crate::spool::{Lost, Spare, Spool};

/// Number of free bytes with which no disk is nearly full.
const MUCH: u64 = 1 << 30;
/// Number of free files (inodes) with which no disk is nearly full.
const MANY: u64 = 100_000;

/// Checks the disk that holds a folder. The folder must exist.
pub(crate) fn check_disk(folder: &Path, findings: &mut Findings) {
    // A file system without figures is not known to be full.
    let Ok(disk) = statvfs(folder) else {
        return;
    };
    let left = disk.blocks_available().saturating_mul(disk.fragment_size());
    let all = disk.blocks().saturating_mul(disk.fragment_size());
    let files = disk.files_available();
    let left = if is_low(left, all, MUCH) {
        ByteSize(left).display().iec().to_string()
    } else if is_low(files, disk.files(), MANY) {
        report::count(usize::try_from(files).unwrap_or(usize::MAX), "file")
    } else {
        return;
    };
    let folder = folder.display();
    let text = format!("the disk of `{folder}` is nearly full: {left} left");
    findings.warning(&text, "pushes for which there is no room are not announced");
}

/// Returns whether less than `enough`, and less than a twentieth, is left.
///
/// File systems that do not count report 0 in all, and are never low.
fn is_low(left: u64, all: u64, enough: u64) -> bool {
    left < enough && left < all / 20
}

/// Checks the space reserved for a full disk, and tells of pushes lost on one.
pub(crate) fn check_spare(spool: &Spool, spare: Spare, findings: &mut Findings) {
    // The next flush does the same. The error says what is wrong.
    if !spare.is_whole
        && let Err(error) = spool.keep_spare()
    {
        let text = report::chain(&error);
        findings.warning(&text, "without it a push that finds the disk full is lost");
    }
    for text in shown(spare) {
        findings.warning(
            &text,
            "make room on that disk: then a flush announces what is in `spare`, and nobody what \
             was not recorded",
        );
    }
}

/// Describes the use of the reserved space, and lost pushes, for `check` and `status`.
pub(crate) fn shown(spare: Spare) -> impl Iterator<Item = String> {
    let used = spare.used;
    let used = (used > 0).then(|| format!("{used} in `spare` for lack of room"));
    let lost = spare.lost.map(|Lost { pushes, last }| {
        let last = humantime::format_rfc3339_seconds(last);
        format!("pushes not recorded for lack of room: {pushes}, the last one at {last}")
    });
    used.into_iter().chain(lost)
}
