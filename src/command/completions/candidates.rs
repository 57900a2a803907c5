//! What a shell offers for a value: repositories, endpoints, ids.
//!
//! Nothing is told of what cannot be read: a person is in the middle of a line.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter};

use crate::config::Server;
use crate::context::{Context, locate};
use crate::report;
use crate::spool::{self, Spool};

/// Greatest number of values that are offered.
const MOST: usize = 1000;

/// Offers folders, and behind an absolute path the repositories below `root`.
pub(crate) fn repositories(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut offered = PathCompleter::dir().complete(current);
    let ctx = Context::new(None, false);
    let server = ctx.server().ok();
    let typed = current.to_string_lossy();
    if let Some(root) = server.as_ref().and_then(|server| server.root())
        && (typed.is_empty() || typed.starts_with('/'))
    {
        let take = &mut |git_dir: std::path::PathBuf, _| {
            let text = git_dir.display().to_string();
            if offered.len() < MOST && is_offered(&text, &typed) {
                offered.push(CompletionCandidate::new(git_dir));
            }
        };
        spool::repositories(root, take, &mut |_| {}).ok();
    }
    offered
}

/// Offers the endpoints of the repository of the current folder, or those of the server's file.
pub(crate) fn endpoints(current: &OsStr) -> Vec<CompletionCandidate> {
    let ctx = Context::new(None, false);
    let here = locate::repository(None, &ctx).ok();
    let loaded = match &here {
        Some(here) => ctx.load_to_send(&here.path()).ok(),
        None => ctx.load(None).ok(),
    };
    let endpoints = loaded.map(|loaded| loaded.settings.endpoints);
    let names = endpoints.into_iter().flatten().map(|one| one.name);
    offer(names.collect(), current)
}

/// Offers the ids of what waits or has failed in the spool of the current folder's repository, or in
/// those that the server's file names.
pub(crate) fn ids(current: &OsStr) -> Vec<CompletionCandidate> {
    let ctx = Context::new(None, false);
    let spools = if let Ok(here) = locate::repository(None, &ctx) {
        let loaded = ctx.load_to_send(&here.path()).ok();
        let settings = loaded.map(|loaded| loaded.settings);
        vec![locate::spool_of(&here.path(), settings.as_ref())]
    } else {
        let is_own =
            |root: &&Path| spool::what_is(root).is_ok_and(|(_, owner)| owner == ctx.own_uid());
        let server = ctx.server().ok();
        let roots = server.iter().flat_map(Server::spools);
        roots.filter(is_own).map(locate::spool_named).collect()
    };
    let mut all: Vec<String> = spools.iter().flat_map(ids_in).collect();
    all.sort();
    all.dedup();
    offer(all, current)
}

fn ids_in(spool: &Spool) -> Vec<String> {
    let mut ids = spool.ids_in_new().unwrap_or_default();
    for queue in spool.queues().unwrap_or_default() {
        let waiting = spool.peek(&queue).unwrap_or_default();
        let items = waiting.in_order.into_iter().chain(waiting.refused);
        ids.extend(items.map(|item| item.id));
    }
    for queue in spool.failed_queues().unwrap_or_default() {
        let failed = spool.failed(&queue).unwrap_or_default();
        ids.extend(failed.into_iter().map(|failed| failed.id));
    }
    ids.iter().map(ToString::to_string).collect()
}

fn offer(values: Vec<String>, current: &OsStr) -> Vec<CompletionCandidate> {
    let typed = current.to_string_lossy();
    let offered = values.into_iter().filter(|value| is_offered(value, &typed));
    let offered = offered.take(MOST).map(OsString::from);
    offered.map(CompletionCandidate::new).collect()
}

/// Returns whether a value begins as what was typed, and is safe on a terminal.
fn is_offered(value: &str, typed: &str) -> bool {
    value.starts_with(typed) && report::printable(value) == value
}
