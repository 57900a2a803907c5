//! The ref updates of one push, in batches of as many as one entry takes.

use std::io::BufRead;
use std::path::Path;

use crate::error::{Error, IoContext};
use crate::event::RefUpdate;
use crate::git::{BATCH_UPDATES, RefLines};
use crate::report;

/// Some of a push's updates in their order, at least one; or the error of reading them.
pub(crate) type Batch = Result<Vec<RefUpdate>, Error>;

/// The batches that a hook reads from its input.
///
/// Lines that are no ref updates are told at the end, and do not affect the others.
pub(crate) struct Input<R> {
    lines: RefLines<R>,
    /// Greatest number of malformed lines that are told one by one.
    told: usize,
    is_over: bool,
}

impl<R: BufRead> Input<R> {
    pub(crate) fn new(input: R, told: usize) -> Self {
        Self {
            lines: RefLines::of_push(input),
            told,
            is_over: false,
        }
    }

    /// Returns whether there were lines, so far, that are no ref updates.
    pub(crate) fn is_malformed(&self) -> bool {
        self.lines.malformed_count() > 0
    }

    fn complain(&self) {
        let told = self.lines.malformed().iter().take(self.told);
        let more = self.lines.malformed_count() - told.len();
        told.for_each(|bad| report::error(bad));
        if more > 0 {
            report::say(&format!("{} more like that", report::count(more, "line")));
        }
    }
}

impl<R: BufRead> Iterator for Input<R> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        if self.is_over {
            return None;
        }
        let batch = self.lines.batch();
        self.is_over = batch.as_ref().map_or(true, Vec::is_empty);
        if self.is_over {
            self.complain();
        }
        let batch = batch.doing("read", Path::new("standard input"));
        (!self.is_over || batch.is_err()).then_some(batch)
    }
}

/// Splits known updates into batches.
pub(crate) fn of(updates: &[RefUpdate]) -> impl Iterator<Item = Batch> {
    updates
        .chunks(BATCH_UPDATES)
        .map(|batch| Ok(batch.to_vec()))
}
