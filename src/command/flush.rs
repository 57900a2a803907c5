//! `flush`: deliver what is due.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use super::spools::{self, Target, Targets};
use super::surroundings::Surroundings;
use super::world::World;
use super::{Done, Error, IoContext, outbox, watch};
use crate::cli::FlushArgs;
use crate::delivery::{self, Client, Limits, Scheduler, Surveyor};
use crate::report::{self, Progress};

pub(super) fn run(args: &FlushArgs, around: &Surroundings) -> Result<Done, Error> {
    if args.detached {
        around.detach();
    }
    let limits = Limits {
        begin_before: args.budget.map(|budget| delivery::Instant::now() + *budget),
        end_by: None,
    };
    let world = World::new(around, args.json);
    let client = Client::default();
    let stop = Cell::new(false);
    let mut flush = Scheduler::new(&client, &world, limits, &stop, around.descriptors());
    if args.watch {
        watch::run(&mut flush, &world, args, around, &stop)?;
        return Ok(Done::Well);
    }
    let Targets { all, found } = spools::find(&args.paths, around)?;
    let (targets, of_others) = ours_and_others(all);
    let mut is_all_done = hand_over(of_others, args, around)?;
    let progress = Progress::new(|| waiting(&targets));
    delivery::run(async {
        let prepared = targets.iter().map(|target| {
            prepare(target, &world, around);
            target.spool.clone()
        });
        flush
            .drain(prepared, &mut || progress.set(world.delivered.get()))
            .await;
    });
    progress.finish();
    let left = waiting(&targets);
    is_all_done &= left == 0;
    report::to_person(&format!(
        "{} delivered, {left} waiting",
        report::count(world.delivered.get(), "message")
    ));
    Ok(if args.strict && !is_all_done {
        Done::Deferred
    } else {
        found
    })
}

/// Brings a spool up to date: adopts, and sweeps away what nobody needs.
pub(super) fn prepare(target: &Target, world: &World<'_>, around: &Surroundings) {
    let done = target
        .adopt()
        .and_then(|()| target.unconfigured_are_due(around.now()))
        .and_then(|()| target.spool.sweep(around.now()).map(drop));
    if let Err(error) = done {
        world.distributed(&target.spool, Err(error));
    }
    // Why there is no room to be had, `check` says.
    target.spool.keep_spare().ok();
    match outbox::settle_all(&target.spool, around) {
        Err(Error::Spool(error)) => world.tell_spool(&error),
        Err(error) => around.tell_error(error),
        Ok(()) => {}
    }
}

/// How many entries wait, in all queues.
fn waiting(targets: &[Target]) -> usize {
    let count = |target: &Target| target.spool.count_waiting().ok();
    targets.iter().filter_map(count).sum()
}

/// Repositories and spools by the account and the group that own them.
pub(super) type OfOthers = BTreeMap<(u32, u32), Vec<PathBuf>>;

/// Parts the spools that are there: ours, and with root those of other accounts.
/// Whose a repository's spool is, the repository says, wherever it lies; but a mail
/// drop is its own owner's.
pub(super) fn ours_and_others(targets: Vec<Target>) -> (Vec<Target>, OfOthers) {
    let is_root = nix::unistd::geteuid().is_root();
    let mut ours = Vec::new();
    let mut others = OfOthers::new();
    for target in targets {
        let repository = target.repository.as_deref();
        let place = repository.filter(|_| !target.spool.is_drop());
        let place = place.unwrap_or(target.spool.root());
        match fs::metadata(place) {
            Ok(owner) if is_root && owner.uid() != 0 => {
                let paths = others.entry((owner.uid(), owner.gid())).or_default();
                paths.push(place.to_owned());
            }
            Ok(_) => ours.push(target),
            Err(_) => {}
        }
    }
    (ours, others)
}

/// What root makes in somebody's spool, that account's hooks could not use, and
/// a link planted there could lead root anywhere: so a flush that runs as the
/// owner does it. Whether nothing is left.
fn hand_over(of_others: OfOthers, args: &FlushArgs, around: &Surroundings) -> Result<bool, Error> {
    let mut is_all_done = true;
    for ((uid, gid), paths) in of_others {
        let mut command = around.refpost()?;
        // Root's environment may hold what that account must not have.
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.args(["flush", "--strict"]).uid(uid).gid(gid);
        command.args(args.json.then_some("--json"));
        if let Some(budget) = args.budget {
            command.arg("--budget").arg(budget.to_string());
        }
        let status = command
            .args(paths)
            .status()
            .doing("run", Path::new("refpost"))?;
        is_all_done &= status.success();
    }
    Ok(is_all_done)
}
