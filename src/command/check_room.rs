//! `check`, of the room for a repository's spool.

use super::findings::Findings;
use crate::report;
use crate::spool::{Lost, Spare, Spool};

/// Looks at the room that is set aside for a full disk, and at what was lost on one.
pub(super) fn check_spare(spool: &Spool, spare: Spare, findings: &mut Findings) {
    // As the next flush would: that says what is wrong.
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

/// What a person should know of the room that is set aside, for `check` and `status`.
pub(super) fn shown(spare: Spare) -> impl Iterator<Item = String> {
    let used = spare.used;
    let used = (used > 0).then(|| format!("{used} in `spare` for lack of room"));
    let lost = spare.lost.map(|Lost { pushes, last }| {
        let last = humantime::format_rfc3339_seconds(last);
        format!("pushes not recorded for lack of room: {pushes}, the last one at {last}")
    });
    used.into_iter().chain(lost)
}
