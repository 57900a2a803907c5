//! A look at all spools of a watch, in steps of some milliseconds between which deliveries go on.

use std::time::{Duration, Instant};
use std::vec;

use super::prepare::prepare;
use crate::announce::delivery_host::DeliveryHost;
use crate::announce::moved_out::MOMENT;
use crate::context::Context;
use crate::context::targets::{Gathering, Target};
use crate::delivery::{STEP, Scheduler};

/// Factor by which the time between two looks is longer than a look.
const REST: u32 = 9;

/// A look under way.
pub(super) struct Look {
    /// The findings whose configuration is to be loaded; `None`: there are no more.
    gathering: Option<Gathering>,
    targets: vec::IntoIter<Target>,
    is_over: bool,
    /// Time that it has taken.
    taken: Duration,
}

impl Look {
    /// Begins a look, which has taken the time since `begun` so far.
    pub(super) fn at(gathering: Gathering, begun: Instant) -> Self {
        Self {
            gathering: Some(gathering),
            targets: Vec::new().into_iter(),
            is_over: false,
            taken: begun.elapsed(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Returns the time until the next look, `least` at least: looking at ten thousand spools
    /// must not keep a processor busy.
    pub(super) fn rest(&self, least: Duration) -> Duration {
        least.max(self.taken * REST)
    }

    /// Loads configurations, then prepares spools and hands them to the flush, for one step or as
    /// long as it has room. `found` is called for each.
    pub(super) fn step(
        &mut self,
        flush: &mut Scheduler<'_>,
        host: &DeliveryHost<'_>,
        ctx: &Context,
        mut found: impl FnMut(&Target),
    ) {
        let begun = Instant::now();
        while begun.elapsed() < STEP && !self.is_over && flush.has_room() {
            if let Some(gathering) = &mut self.gathering {
                if !gathering.load_next(ctx) {
                    let all = self.gathering.take().map(Gathering::finish);
                    self.targets = all.unwrap_or_default().into_iter();
                }
            } else if let Some(target) = self.targets.next() {
                found(&target);
                let begun = Instant::now();
                prepare(&target, host, ctx, &|| begun.elapsed() < MOMENT);
                flush.add(&target.spool);
            } else {
                self.is_over = true;
            }
        }
        self.taken += begun.elapsed();
    }
}
