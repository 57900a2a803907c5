//! Acts on the entries that a command line selects, here or as the accounts that own them.

use std::ffi::OsString;
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::{ArgGroup, Args};
use clap_complete::engine::ArgValueCompleter;

use super::rows::Rows;
use super::scope::{Asked, Choice, FilterArgs, IdPrefix, ScopeArgs};
use super::selection::{ByLocation, Listed, select};
use crate::as_account::apart::{self, Job};
use crate::command::completions::candidates;
use crate::context::Context;
use crate::context::targets::{self, Searched, Target};
use crate::error::{Error, Exit};
use crate::report;
use crate::spool::{Spool, SpoolError};

/// Arguments of `queue retry` and `queue drop`.
///
/// At least one is required, so that an omission does not retry or drop everything.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("chosen").required(true).multiple(true)
    .args(["ids", "endpoint", "older_than", "all"])))]
pub(crate) struct QueueChooseArgs {
    /// Entries, by their ids or the beginnings of these
    #[arg(value_name = "ID", add = ArgValueCompleter::new(candidates::ids))]
    pub(crate) ids: Vec<IdPrefix>,
    /// The spools in which entries are looked for.
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    /// The selection.
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Select everything
    #[arg(long)]
    pub(crate) all: bool,
}

impl QueueChooseArgs {
    fn asked(&self) -> Asked<'_> {
        Asked {
            ids: &self.ids,
            filter: self.filter.clone(),
            named: self.scope.named(),
        }
    }
}

/// Runs a command line as each owner of what was found, on that owner's own.
pub(super) fn apart(searched: Searched, line: Vec<OsString>, ctx: &Context) -> Result<Exit, Error> {
    let ended = apart::run(searched.by_owner, &Job::for_a_person(line), ctx)?;
    if ended == Exit::NotHere {
        return Err(nothing_chosen());
    }
    Ok(ended)
}

/// Returns the error that nothing of what was asked for is here. If root's refpost asks several
/// accounts, returns [`Exit::NotHere`] instead.
pub(in crate::command) fn nowhere(ctx: &Context, error: impl Fn() -> Error) -> Result<Exit, Error> {
    if ctx.is_given {
        return Ok(Exit::NotHere);
    }
    Err(error())
}

/// Returns the outcome where ids are named and none of them was found.
pub(super) fn none_found(ctx: &Context) -> Result<Exit, Error> {
    match ctx.outcome() {
        Exit::Well => nowhere(ctx, nothing_chosen),
        // Each was told.
        outcome => Ok(outcome),
    }
}

/// Tells of repositories that are named, do not exist, and have no entries either. Returns the
/// outcome if no others are named.
pub(super) fn tell_strangers(targets: &[Target], choice: &Choice, ctx: &Context) -> Option<Exit> {
    let is_stranger = |path: &&PathBuf| {
        let its = Choice {
            ids: None,
            filter: FilterArgs::default(),
            gone: vec![(*path).clone()],
            is_server: choice.is_server,
        };
        let mut all = targets.iter();
        all.all(|target| select(target, &its, ctx).is_ok_and(|its| its.is_empty()))
    };
    let strangers: Vec<&PathBuf> = choice.gone.iter().filter(is_stranger).collect();
    let is_all = !choice.gone.is_empty() && strangers.len() == choice.gone.len();
    // Another account may have entries of it.
    if ctx.is_given {
        return is_all.then_some(Exit::NotHere);
    }
    for path in strangers {
        let path = path.display();
        let why = format!("cannot find `{path}`: it does not exist, and nothing waits for it");
        ctx.tell_failure(Error::failed(why));
    }
    is_all.then(|| ctx.outcome())
}

/// Returns whether an endpoint is named that nothing configures, and nothing is here for it.
pub(super) fn is_typo(targets: &[Target], choice: &Choice, ctx: &Context) -> bool {
    let Some(name) = &choice.filter.endpoint else {
        return false;
    };
    let all_of_it = Choice {
        ids: None,
        filter: FilterArgs {
            endpoint: Some(name.clone()),
            older_than: None,
        },
        gone: choice.gone.clone(),
        is_server: choice.is_server,
    };
    let is_empty =
        |target: &Target| select(target, &all_of_it, ctx).is_ok_and(|all| all.is_empty());
    let is_unknown = |target: &Target| !target.may_have(name) && is_empty(target);
    targets.iter().all(is_unknown)
}

pub(super) fn no_such_endpoint(choice: &Choice) -> Error {
    let name = choice.filter.endpoint.as_deref().unwrap_or_default();
    Error::Failed {
        what: format!(
            "cannot find endpoint `{name}`: it is not configured, and nothing waits for it"
        ),
        hint: Some("`refpost status` lists the endpoints".to_owned()),
    }
}

pub(super) fn nothing_chosen() -> Error {
    Error::Failed {
        what: "nothing of that kind waits or has failed".to_owned(),
        hint: Some("`refpost queue list` shows what does".to_owned()),
    }
}

/// Finds the spools and what is chosen in them. Breaks if nothing is, or once other accounts have
/// run `verb` with `option` for their parts.
fn chosen(
    args: &QueueChooseArgs,
    (verb, option): (&str, Option<&str>),
    ctx: &Context,
) -> Result<ControlFlow<Exit, (Vec<Target>, Choice)>, Error> {
    let asked = args.asked();
    let (searched, mut choice) = asked.search(ctx)?;
    if searched.is_of_others(ctx) {
        let mut line = asked.line(verb, &choice);
        line.extend(args.all.then(|| "--all".into()));
        line.extend(option.map(Into::into));
        return apart(searched, line, ctx).map(ControlFlow::Break);
    }
    let targets = searched.targets(ctx);
    if !asked.resolve(&mut choice, &targets, ctx)? {
        return none_found(ctx).map(ControlFlow::Break);
    }
    if let Some(outcome) = tell_strangers(&targets, &choice, ctx) {
        return Ok(ControlFlow::Break(outcome));
    }
    Ok(ControlFlow::Continue((targets, choice)))
}

/// Acts on the entries of each spool that are chosen and wanted, and prints how many there were.
/// Starts a flush of each spool for those that are due then.
pub(super) fn act_on_selected(
    args: &QueueChooseArgs,
    ctx: &Context,
    (verb, what): (&str, &str),
    is_wanted: impl Fn(&Listed) -> bool,
    act: impl Fn(&Spool, &ByLocation) -> Result<usize, SpoolError>,
) -> Result<Exit, Error> {
    let (targets, choice) = match chosen(args, (verb, None), ctx)? {
        ControlFlow::Continue(chosen) => chosen,
        ControlFlow::Break(done) => return Ok(done),
    };
    let (mut count, mut is_any, mut has_acted) = (0, false, args.all);
    let done = targets::each(&targets, ctx, |target| {
        let mut selected = select(target, &choice, ctx)?;
        is_any |= !selected.is_empty();
        selected.retain(&is_wanted);
        if selected.is_empty() {
            return Ok(());
        }
        has_acted = true;
        let selected: ByLocation = selected.into_iter().map(|listed| listed.location).collect();
        count += act(&target.spool, &selected)?;
        ctx.flush_detached(target.spool.root())
    });
    if !is_any && !args.all && done == Exit::Well {
        return nowhere(ctx, nothing_chosen);
    }
    if !is_any && done == Exit::Well && is_typo(&targets, &choice, ctx) {
        return nowhere(ctx, || no_such_endpoint(&choice));
    }
    if has_acted && (count > 0 || done == Exit::Well) {
        report::line(&format!("{} {what}", report::count(count, "entry")));
    }
    Ok(done)
}

/// Prints the entries that are chosen.
pub(super) fn show_selected(
    args: &QueueChooseArgs,
    ctx: &Context,
    (verb, what): (&str, &str),
) -> Result<Exit, Error> {
    let (targets, choice) = match chosen(args, (verb, Some("--dry-run")), ctx)? {
        ControlFlow::Continue(chosen) => chosen,
        ControlFlow::Break(done) => return Ok(done),
    };
    let (mut rows, mut count) = (Rows::new(ctx), 0);
    let done = targets::each(&targets, ctx, |target| {
        for listed in select(target, &choice, ctx)? {
            rows.add(&listed, None);
            count += 1;
        }
        Ok(())
    });
    if count == 0 && !args.all && done == Exit::Well {
        return nowhere(ctx, nothing_chosen);
    }
    rows.print();
    report::line(&format!("{} {what}", report::count(count, "entry")));
    Ok(done)
}
