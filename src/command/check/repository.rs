//! `check` of one repository: its hooks and its configuration.

use std::path::Path;

use super::alerts::Remembers;
use super::broker::Brokers;
use super::endpoint::Trusts;
use super::findings::Findings;
use super::spool::Spools;
use super::{alerts, broker, endpoint, filters, service, spool, template};
use crate::announce::compose;
use crate::config::{Loaded, Via};
use crate::context::{Context, locate};
use crate::git::Repository;
use crate::hooks::file::HookState;
use crate::hooks::{GUARANTEED, Hooks, ORDINARY};
use crate::report;

/// Results that are the same for many repositories.
#[derive(Default)]
pub(crate) struct Known {
    spools: Spools,
    trusts: Trusts,
    brokers: Brokers,
    remembers: Remembers,
}

pub(crate) fn check(repo: &Path, findings: &mut Findings, known: &Known, ctx: &Context) {
    findings.are_about(repo);
    let repository = match locate::repository(Some(repo), ctx) {
        Ok(repository) => repository,
        Err(error) => {
            let hint = error
                .hint()
                .unwrap_or_else(|| "name a bare repository, or run this inside one".to_owned());
            return findings.error(&report::chain(&error), Some(hint));
        }
    };
    findings.are_about(&repository.path());
    findings.ok(&format!("repository `{}`", repository.path().display()));
    let hooks = Hooks::of(&repository, ctx);
    findings.ok(&hooks.found_host());
    if repository.has_grafts() {
        findings.warning(
            "the repository has grafts (`info/grafts`), which messages do not follow: a clone \
             has none",
            "git replace --convert-graft-file, or remove the file",
        );
    }
    check_hooks(&hooks, repo, findings);
    match ctx.load(Some(&repository.path())) {
        Ok(loaded) => {
            let place = (repo, &hooks);
            check_config(&loaded, &repository, place, findings, known, ctx);
        }
        Err(error) => findings.error(&report::chain(&error), error.hint()),
    }
}

fn check_hooks(hooks: &Hooks, repo: &Path, findings: &mut Findings) {
    let enable = format!("refpost enable {}", report::shell(repo));
    let mut linked = Vec::new();
    let all = hooks.run_by_host(&GUARANTEED);
    for &name in &all {
        let hook = hooks.hook(name);
        let is_needed = ORDINARY.contains(&name);
        let shown = hook.path().display().to_string();
        match hook.state() {
            Err(error) => findings.error(&report::chain(&error), None),
            Ok(HookState::Empty | HookState::Foreign) if !is_needed => {}
            Ok(HookState::Empty) => findings.error(
                &format!("no hook `{shown}`: pushes are not seen"),
                Some(enable.clone()),
            ),
            Ok(HookState::Linked(_) | HookState::Foreign) if let Some(target) = hook.nowhere() => {
                findings.error(
                    &format!(
                        "hook `{shown}` leads to `{}`, which is gone",
                        target.display()
                    ),
                    Some(enable.clone()),
                );
            }
            Ok(HookState::Foreign) => findings.error(
                &format!("hook `{shown}` is another's: pushes are not seen"),
                Some(format!("{enable} (the other one keeps running)")),
            ),
            Ok(place) => {
                if let Some(fault) = hook.ignored(&place) {
                    let text = format!("hook `{shown}` does not run: {}", fault.why);
                    let hint = fault.hint.unwrap_or_else(|| enable.clone());
                    findings.error(&text, Some(hint));
                    continue;
                }
                linked.push(name);
                findings.ok(&match place {
                    HookState::Chained => {
                        format!("hook `{shown}`, behind the others in `{shown}.d`")
                    }
                    HookState::Dispatched => format!("hook in `{shown}.d`"),
                    HookState::Called(by) if by != hook.path() => {
                        format!("hook `{shown}`, by `{}`", by.display())
                    }
                    HookState::Called(_) => format!("hook `{shown}`, a script that runs refpost"),
                    _ => format!("hook `{shown}`"),
                });
            }
        }
    }
    if let Some(file) = &hooks.shared_by {
        findings.ok(&format!(
            "`{}` has the hooks of every repository, by `core.hooksPath` in `{file}`",
            hooks.folder().display()
        ));
    }
    if linked == all && all.len() < GUARANTEED.len() {
        findings.ok("guaranteed: a push is recorded before its refs move");
    } else if linked == all {
        findings.ok(
            "guaranteed: a push is recorded before its refs move, and moves without a push are announced",
        );
    } else if linked.contains(&"post-receive") {
        findings.note(
            "a machine that dies between a ref's move and its hook loses that message",
            &format!(
                "refpost enable --guaranteed {} records it before",
                report::shell(repo)
            ),
        );
    }
}

fn check_config(
    loaded: &Loaded,
    repository: &Repository,
    (repo, hooks): (&Path, &Hooks),
    findings: &mut Findings,
    known: &Known,
    ctx: &Context,
) {
    let settings = &loaded.settings;
    for file in &loaded.files {
        findings.ok(&format!("config `{}`", file.display()));
    }
    for section in &loaded.sections {
        findings.ok(&format!("section `{section}`"));
    }
    if loaded.files.is_empty() {
        let hint = format!("refpost enable {} --url URL", report::shell(repo));
        return findings.error("no config: nothing is sent", Some(hint));
    }
    let (project, addresses) = compose::project(repository, settings, ctx);
    findings.ok(&format!(
        "project `{}` of {}",
        project.fullname, settings.instance
    ));
    if loaded.is_instance_guessed() {
        findings.note(
            &format!(
                "`instance` is not set: messages name it `{}`",
                settings.instance
            ),
            "set the URL of this server, by which receivers tell servers apart",
        );
    }
    endpoint::check_addresses(settings, &addresses, findings);
    if let Some(root) = &settings.root {
        let inside = root
            .canonicalize()
            .is_ok_and(|root| repository.path().starts_with(root));
        if !inside && hooks.host.project.is_none() {
            findings.warning(
                &format!("the repository is not below `root`, `{}`", root.display()),
                "its project is named by its folder alone; set `project.fullname`",
            );
        }
    }
    if let Some(place) = loaded.switched_off_by() {
        findings.ok(&format!("switched off by an empty `urls` in `{place}`"));
    } else if settings.endpoints.is_empty() {
        findings.warning(
            "no endpoint is configured: nothing is sent",
            "name URLs in `urls`; an empty `urls` stops all notifications",
        );
    }
    let pre_receive = hooks.hook("pre-receive").state();
    if settings.require && matches!(pre_receive, Ok(HookState::Empty | HookState::Foreign)) {
        findings.warning(
            "`require` has no effect: pre-receive is not linked",
            &format!("refpost enable --guaranteed {}", report::shell(repo)),
        );
    }
    if settings.push_options && !repository.takes_push_options() {
        findings.warning(
            "`push_options` has no effect: git does not offer push options here",
            &format!(
                "git -C {} config receive.advertisePushOptions true",
                report::shell(repo)
            ),
        );
    }
    filters::check(settings, findings);
    for endpoint in &settings.endpoints {
        if endpoint.paused {
            findings.note(
                &format!("endpoint `{}` is paused: its messages wait", endpoint.name),
                "remove `paused` to have them delivered",
            );
        }
        filters::check_endpoint(endpoint, findings);
        template::check(endpoint, settings, repository, findings, ctx);
        if endpoint.via == Via::Here {
            endpoint::check(endpoint, settings, &known.trusts, findings, ctx);
        }
    }
    let git_dir = repository.path();
    service::check(settings, &git_dir, findings, ctx);
    broker::check(settings, &known.brokers, findings, ctx);
    alerts::check(settings, &known.remembers, findings, ctx);
    spool::check(settings, &git_dir, &known.spools, findings, ctx);
}
