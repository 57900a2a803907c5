//! `flush`: deliver what is due.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Instant;

use futures_util::StreamExt;
use serde::Serialize;

use super::spools::{self, Target};
use super::surroundings::Surroundings;
use super::watch::Watch;
use super::{Done, Error};
use crate::cli::FlushArgs;
use crate::delivery::{self, Client, Courier, LaneReport, Left, Limits, Notice};
use crate::report::{self, Progress};
use crate::spool::{Distributed, Lock, Queue, Spool};

/// How many endpoints are delivered to side by side.
const SIDE_BY_SIDE: usize = 8;

pub(super) fn run(args: &FlushArgs, around: &Surroundings) -> Result<Done, Error> {
    if args.detached {
        around.detach();
    }
    let begin_before = args.budget.map(|budget| Instant::now() + budget.into());
    let told = RefCell::new(HashSet::new());
    let pass = || -> Result<Totals, Error> {
        let targets = spools::find(&args.paths, around)?;
        Ok(flush(&targets, begin_before, args, &told, around))
    };
    if args.watch {
        Watch::new()?.run(|watch| {
            told.borrow_mut().clear();
            let targets = spools::find(&args.paths, around)?;
            watch.follow(targets.iter().map(|target| target.spool.root()));
            flush(&targets, begin_before, args, &told, around);
            Ok(spools::next_due(&targets, around.now()))
        })?;
        return Ok(Done::Well);
    }
    let totals = pass()?;
    Ok(match (args.strict, totals.left) {
        (true, left) if left > 0 => Done::Deferred,
        _ => Done::Well,
    })
}
