//! `check --routes`: which repository sends where, and which send nowhere.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::CheckArgs;
use crate::as_account::apart;
use crate::context::repositories::{Repositories, Whose};
use crate::context::{Context, locate};
use crate::error::{Error, Exit};
use crate::hooks::file::HookState;
use crate::hooks::{Hooks, ORDINARY};
use crate::report::table::{Table, Tone};
use crate::report::{self, Progress};

/// Headings of the table.
const HEADS: [&str; 3] = ["REPOSITORY", "ENDPOINT", "RECEIVER"];

/// The endpoints of a repository.
struct Route {
    repository: PathBuf,
    /// Names and receivers.
    endpoints: Vec<(String, String)>,
    /// The reason for which nothing is sent.
    nowhere: Option<String>,
}

/// Prints the routes of all repositories in these folders.
pub(super) fn of_many(folders: &[PathBuf], args: &CheckArgs, ctx: &Context) -> Result<Exit, Error> {
    let repositories = match Repositories::find(folders, &args.matches, ctx)? {
        Whose::Ours(repositories) => repositories,
        Whose::Several(found) => return apart::run(found, &args.job(), ctx),
    };
    let mut routes = Vec::new();
    repositories.each(|git_dir, _: &Progress| {
        routes.extend(route(git_dir, ctx));
        Ok(false)
    });
    print(routes, args.json);
    Ok(ctx.outcome())
}

/// Prints the routes of these repositories.
pub(super) fn of_named(repos: &[PathBuf], as_json: bool, ctx: &Context) -> Exit {
    let routes = repos.iter().filter_map(|repo| route(repo, ctx));
    print(routes.collect(), as_json);
    ctx.outcome()
}

/// Returns the route of a repository. An error is told.
fn route(repo: &Path, ctx: &Context) -> Option<Route> {
    let found = locate::repository(Some(repo), ctx).and_then(|repository| {
        let repository_path = repository.path();
        let loaded = ctx.load(Some(&repository_path))?;
        let settings = &loaded.settings;
        let endpoints = settings.endpoints.iter();
        let endpoints = endpoints.map(|one| {
            let receiver = one.url.to_string();
            let receiver = receiver.trim_end_matches("/…").to_owned();
            (one.name.clone(), receiver)
        });
        let hooks = Hooks::of(&repository, ctx);
        let is_linked = |name: &&str| {
            let hook = hooks.hook(name);
            match hook.state() {
                Err(_) | Ok(HookState::Empty | HookState::Foreign) => false,
                Ok(HookState::Linked(_)) if !hook.path().exists() => false,
                Ok(state) => hook.ignored(&state).is_none(),
            }
        };
        let nowhere = if let Some(place) = loaded.switched_off_by() {
            Some(format!("switched off in `{place}`"))
        } else if settings.endpoints.is_empty() {
            Some("no endpoint".to_owned())
        } else if !hooks.run_by_host(&ORDINARY).iter().all(is_linked) {
            Some("no hook".to_owned())
        } else {
            None
        };
        Ok(Route {
            repository: repository_path,
            endpoints: endpoints.collect(),
            nowhere,
        })
    });
    found.map_err(|error| ctx.tell_failure(error)).ok()
}

/// Prints routes: those that lead nowhere first.
fn print(mut routes: Vec<Route>, as_json: bool) {
    routes.sort_by_key(|one| Reverse(one.nowhere.is_some()));
    let mut table = Table::new(HEADS);
    for route in routes {
        let repository = route.repository.display().to_string();
        if as_json {
            let endpoints = route.endpoints.iter();
            let endpoints = endpoints
                .map(|(endpoint, receiver)| json!({ "endpoint": endpoint, "receiver": receiver }));
            report::json(&json!({
                "repository": repository,
                "endpoints": endpoints.collect::<Vec<_>>(),
                "nowhere": route.nowhere,
            }));
        } else if let Some(why) = route.nowhere {
            table.row(Tone::Doubtful, [repository, String::new(), why]);
        } else {
            for (endpoint, receiver) in route.endpoints {
                table.row(Tone::Plain, [repository.clone(), endpoint, receiver]);
            }
        }
    }
    table.print();
}
