//! `page`: writes a page that shows endpoints and recent deliveries.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::as_account::gathered;
use crate::config::Server;
use crate::context::configured::Configured;
use crate::context::named::Named;
use crate::context::targets::{self, Searched, Target};
use crate::context::{Context, written};
use crate::error::{Error, Exit};
use crate::observe::board::Board;
use crate::observe::look::{self, Look};
use crate::observe::page_rows::{self, Active, Shown};
use crate::observe::recent::RECENT;
use crate::observe::{State, page};
use crate::report;
use crate::spool::{IoError, SpoolError};

/// Mode of the file: it names repositories and receivers.
const MODE: u32 = 0o640;

/// Arguments of `page`.
#[derive(Debug, Args)]
pub(crate) struct PageArgs {
    /// Replace FILE, with mode 0640 [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

pub(crate) fn run(args: &PageArgs, ctx: &Context) -> Result<Exit, Error> {
    let board = board(ctx)?;
    if ctx.is_given {
        report::json(&board);
        return Ok(ctx.outcome());
    }
    let page = page::page(&board, ctx.host(), look::seconds(ctx.now()));
    match &args.output {
        Some(file) => written::write_whole(file, page.as_bytes(), MODE)?,
        None => report::raw(page.as_bytes()),
    }
    Ok(ctx.outcome())
}

/// Writes the page for a flush. An error is told.
pub(crate) fn keep_fresh(file: &Path, ctx: &Context) {
    let write = || {
        let page = page::page(&board(ctx)?, ctx.host(), look::seconds(ctx.now()));
        written::write_whole(file, page.as_bytes(), MODE)
    };
    if let Err(error) = write() {
        ctx.tell_failure(error);
    }
}

fn board(ctx: &Context) -> Result<Board, Error> {
    let searched = targets::search(Named::Server, ctx)?;
    let board = if searched.is_of_others(ctx) {
        of_accounts(searched, ctx)?
    } else {
        of_spools(&searched.targets(ctx), ctx)
    };
    Ok(board.settled())
}

/// Has each account look at its own spools.
fn of_accounts(searched: Searched, ctx: &Context) -> Result<Board, Error> {
    let args: Vec<OsString> = vec!["page".into()];
    let mut all = Board::default();
    let now = look::seconds(ctx.now());
    let is_valid = |board: &Board| board.is_valid(now);
    for one in gathered::gather(searched.by_owner, args, is_valid, ctx)? {
        match one.found {
            Some(mut board) => {
                for delivery in &mut board.recent {
                    delivery.account.clone_from(&one.account);
                }
                all.add(board);
            }
            None => all.unread.push(one.account),
        }
    }
    Ok(all)
}

/// Looks at the spools of this account.
fn of_spools(targets: &[Target], ctx: &Context) -> Board {
    let mut all = Board::default();
    let mut active = Vec::new();
    let by_service = ByService::default();
    let configured = Configured::new(ctx);
    for target in targets {
        if target.is_broken() {
            ctx.note_failure();
        }
        let is_shown = |repository: &Path| shows(target, repository, &by_service, ctx);
        let mut shown = shown(target, &is_shown);
        if !shown.is_open && shown.routes.is_empty() {
            continue;
        }
        match look(target, &mut shown, &configured, ctx) {
            Ok((board, one)) => {
                all.add(board);
                active.extend(one.map(|one| (one, target)));
            }
            Err(error) => {
                all.is_partial = true;
                ctx.tell_failure(SpoolError::from(error));
            }
        }
    }
    // Their last attempts are among the newest of all.
    active.sort_by_key(|(one, _)| Reverse(one.last));
    for (one, target) in active.into_iter().take(RECENT) {
        let is_shown = |repository: &Path| shows(target, repository, &by_service, ctx);
        match page_rows::recent(&target.spool, &one, &shown(target, &is_shown)) {
            Ok(recent) => all.recent.extend(recent),
            Err(error) => ctx.tell_failure(SpoolError::from(error)),
        }
    }
    all.is_partial |= ctx.outcome() != Exit::Well;
    all
}

fn look(
    target: &Target,
    shown: &mut Shown<'_>,
    configured: &Configured<'_>,
    ctx: &Context,
) -> Result<(Board, Option<Active>), IoError> {
    let look = Look::at(&target.spool)?;
    for queue in look.survey.queues.iter().map(|one| &one.queue) {
        let is_known = target.endpoints.contains_key(queue);
        if !is_known && configured.orphan_in(&target.spool, queue).is_some() {
            shown.marked.insert(queue.clone(), State::Unconfigured);
        }
    }
    let found = page_rows::endpoints(&target.spool, &look, shown, ctx.now())?;
    for error in look.survey.unseen {
        ctx.tell_failure(SpoolError::from(error));
    }
    Ok(found)
}

/// Returns what the page may show of a spool.
fn shown<'a>(target: &Target, shows: &'a dyn Fn(&Path) -> bool) -> Shown<'a> {
    let homes = target.homes.iter().filter(|home| home.is_shown);
    let routes = homes.flat_map(|home| home.routes.clone()).collect();
    // In a spool that repositories share, a queue that none of them has may be that of one that is
    // left out.
    let is_open = match &target.homes[..] {
        [] => target.repositories.is_empty(),
        [one] => one.is_shown && target.is_alone,
        _ => false,
    };
    Shown {
        routes,
        marked: target.paused(),
        is_open,
        shows,
    }
}

/// The server's file, read once, for spools of the service.
#[derive(Default)]
struct ByService(OnceCell<Option<Server>>);

/// Returns whether the page shows a repository. In a spool of the service, the server's file alone
/// decides.
fn shows(target: &Target, repository: &Path, by_service: &ByService, ctx: &Context) -> bool {
    if !target.homes.is_empty() || !target.repositories.is_empty() {
        let mut homes = target.homes.iter().filter(|home| home.is_shown);
        return homes.any(|home| home.repository == *repository);
    }
    let server = by_service.0.get_or_init(|| ctx.server().ok());
    server.as_ref().is_some_and(|server| {
        let loaded = server.load_served(repository, ctx.host());
        !server.leaves_out(repository) && loaded.is_ok_and(|it| !it.settings.is_private())
    })
}
