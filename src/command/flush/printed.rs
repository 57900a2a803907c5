//! Alerts on standard error: about receivers, for whoever reads what a flush prints.

use std::collections::BTreeSet;

use crate::config::ALERT_AFTER;
use crate::context::Context;
use crate::context::targets::Target;
use crate::observe::alerts::Event;
use crate::observe::look::{self, Look};
use crate::observe::news::{self, Seen};
use crate::observe::situation::Situation;
use crate::spool::{IoError, Lock, Queue, Spool};

/// Advice about a receiver that fails.
const HINT: &str =
    "`refpost status` and `refpost log` tell more, `refpost queue retry` tries again";

/// The receivers of spools, to be told of.
#[derive(Default)]
pub(super) struct Printed {
    all: Situation,
    each: Vec<Seen>,
    spools: Vec<Spool>,
}

impl Printed {
    /// Looks at the receivers of a spool, as far as their endpoints count.
    pub(super) fn look_at(
        &mut self,
        target: &Target,
        counts: &dyn Fn(&str) -> bool,
        ctx: &Context,
    ) {
        let look = has_news(&target.spool)
            .and_then(|has_news| has_news.then(|| Look::at(&target.spool)).transpose());
        let look = match look {
            Ok(Some(look)) => look,
            Ok(None) => return,
            Err(error) => {
                self.all.is_partial = true;
                ctx.note_failure();
                return ctx.tell_once(&error.told_once(), error.hint().as_deref());
            }
        };
        let mut own = Situation::default();
        for one in [&mut self.all, &mut own] {
            let (routes, paused) = (target.routes(), target.paused());
            one.add(&look, &routes, &paused, counts, BTreeSet::new());
        }
        self.each.push(Seen {
            situation: own,
            told: look.stats.told,
        });
        self.spools.push(target.spool.clone());
    }

    /// Prints the alerts that are due. The spools remember them.
    pub(super) fn tell(self, ctx: &Context) {
        let now = look::seconds(ctx.now());
        let due = news::due(&self.each, &self.all, now, ALERT_AFTER);
        let mut is_ours = None;
        for (spool, seen) in self.spools.iter().zip(&self.each) {
            let told = seen.after(&due, now);
            if told == seen.told {
                continue;
            }
            spool.update_stats(Lock::Wait, |stats| {
                // Another flush that told something meanwhile leaves the rest to the next one.
                if *is_ours.get_or_insert(stats.told == seen.told) {
                    stats.told = told;
                }
            });
            if is_ours == Some(false) {
                return;
            }
        }
        // What cannot be remembered is told again rather than not at all.
        for alert in due {
            let hint = (alert.event != Event::Recovered).then_some(HINT);
            ctx.tell_once(&alert.line(), hint);
        }
    }
}

/// Returns whether something waits or was given up in a spool, or a person was told of it.
fn has_news(spool: &Spool) -> Result<bool, IoError> {
    let has = |queues: Vec<Queue>| !queues.is_empty();
    Ok(!spool.stats().told.is_empty() || has(spool.queues()?) || has(spool.failed_queues()?))
}
