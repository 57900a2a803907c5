//! `check`: is all well, and what to do where it is not.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::AccessFlags;

use super::enable::{GUARANTEED, ORDINARY};
use super::links::{Hook, Place};
use super::surroundings::Surroundings;
use super::{Done, Error, check_endpoint, place};
use crate::cli::CheckArgs;
use crate::config::{Loaded, Settings};
use crate::git::Repository;
use crate::report;
use crate::spool::{Content, Id, IoError, Spool};

/// An entry that nobody has looked at for so long was forgotten.
const LONG: Duration = Duration::from_mins(15);

/// What was found, line by line.
#[derive(Default)]
pub(super) struct Findings {
    errors: usize,
    warnings: usize,
}

impl Findings {
    pub(super) fn warning(&mut self, text: &str, hint: &str) {
        self.warnings += 1;
        report::line(&format!("warning: {text}"));
        report::line(&format!("hint: {hint}"));
    }

    pub(super) fn error(&mut self, text: &str, hint: Option<String>) {
        self.errors += 1;
        report::line(&format!("error: {text}"));
        if let Some(hint) = hint {
            report::line(&format!("hint: {hint}"));
        }
    }
}

pub(super) fn ok(text: &str) {
    report::line(&format!("ok: {text}"));
}

pub(super) fn run(args: &CheckArgs, around: &Surroundings) -> Result<Done, Error> {
    let here = [PathBuf::from(".")];
    let repos = if args.repos.is_empty() {
        &here[..]
    } else {
        &args.repos
    };
    let mut findings = Findings::default();
    for repo in repos {
        if args.show {
            show(repo, around)?;
        } else {
            check(repo, &mut findings, around);
        }
    }
    if !args.show {
        let (errors, warnings) = (findings.errors, findings.warnings);
        report::line(&format!(
            "{}, {}",
            report::count(errors, "error"),
            report::count(warnings, "warning")
        ));
    }
    Ok(if findings.errors == 0 {
        Done::Well
    } else {
        Done::No
    })
}

/// Prints the effective settings as TOML with their sources as comments.
fn show(repo: &Path, around: &Surroundings) -> Result<(), Error> {
    let git_dir = place::repository(Some(repo), around)?.path();
    for (key, shown) in around.load(Some(&git_dir))?.shown() {
        report::line(&format!("{key} = {}  # {}", shown.value, shown.source));
    }
    Ok(())
}

fn check(repo: &Path, findings: &mut Findings, around: &Surroundings) {
    let repository = match place::repository(Some(repo), around) {
        Ok(repository) => repository,
        Err(error) => {
            let hint = error
                .hint()
                .unwrap_or_else(|| "name a bare repository, or run this inside one".to_owned());
            return findings.error(&report::chain(&error), Some(hint));
        }
    };
    ok(&format!("repository `{}`", repository.path().display()));
    check_hooks(&repository, repo, findings);
    match around.load(Some(&repository.path())) {
        Ok(loaded) => check_config(&loaded, &repository, repo, findings, around),
        Err(error) => findings.error(&report::chain(&error), error.hint()),
    }
}

fn check_hooks(repository: &Repository, repo: &Path, findings: &mut Findings) {
    let enable = format!("refpost enable {}", repo.display());
    let hooks_dir = repository.hooks_dir();
    let mut linked = Vec::new();
    for name in GUARANTEED {
        let hook = Hook::new(&hooks_dir, name);
        let is_needed = ORDINARY.contains(&name);
        let shown = hook.path().display().to_string();
        match hook.place() {
            Err(error) => findings.error(&report::chain(&error), None),
            Ok(Place::Empty | Place::Foreign) if !is_needed => {}
            Ok(Place::Empty) => findings.error(
                &format!("no hook `{shown}`: pushes are not seen"),
                Some(enable.clone()),
            ),
            Ok(Place::Foreign) => findings.error(
                &format!("hook `{shown}` is another's: pushes are not seen"),
                Some(format!("{enable} (the other one keeps running)")),
            ),
            Ok(Place::Linked(target)) if !hook.path().exists() => findings.error(
                &format!(
                    "hook `{shown}` leads to `{}`, which is gone",
                    target.display()
                ),
                Some(enable.clone()),
            ),
            Ok(place) => {
                linked.push(name);
                ok(&match place {
                    Place::Chained => format!("hook `{shown}`, behind the others in `{shown}.d`"),
                    Place::Dispatched => format!("hook in `{shown}.d`"),
                    _ => format!("hook `{shown}`"),
                });
            }
        }
    }
    if linked == GUARANTEED {
        ok(
            "guaranteed: a push is recorded before its refs move, and moves without a push are announced",
        );
    } else if linked.contains(&"post-receive") {
        ok(
            "a machine that dies between a ref's move and its hook loses that message \
            (`refpost enable --guaranteed` records it before)",
        );
    }
}

fn check_config(
    loaded: &Loaded,
    repository: &Repository,
    repo: &Path,
    findings: &mut Findings,
    around: &Surroundings,
) {
    let settings = &loaded.settings;
    for file in &loaded.files {
        ok(&format!("config `{}`", file.display()));
    }
    if loaded.files.is_empty() {
        let hint = format!("refpost enable {} --url URL", repo.display());
        return findings.error("no config: nothing is sent", Some(hint));
    }
    let project = super::compose::project(repository, settings, around);
    ok(&format!(
        "project `{}` of {}",
        project.fullname, settings.instance
    ));
    if let Some(root) = &settings.root {
        let inside = root
            .canonicalize()
            .is_ok_and(|root| repository.path().starts_with(root));
        if !inside {
            findings.warning(
                &format!("the repository is not below `root`, `{}`", root.display()),
                "its project is named by its folder alone; set `project.fullname`",
            );
        }
    }
    if settings.endpoints.is_empty() {
        findings.warning(
            "no endpoint is configured: nothing is sent",
            "name URLs in `urls`; an empty `urls` stops all notifications",
        );
    }
    let pre_receive = Hook::new(&repository.hooks_dir(), "pre-receive").place();
    if settings.require && matches!(pre_receive, Ok(Place::Empty | Place::Foreign)) {
        findings.warning(
            "`require` has no effect: pre-receive is not linked",
            &format!("refpost enable --guaranteed {}", repo.display()),
        );
    }
    for endpoint in &settings.endpoints {
        if is_sent_by_us(settings, &repository.path(), around) {
            check_endpoint::check(endpoint, settings, findings, around);
        } else {
            let (name, url) = (&endpoint.name, &endpoint.url);
            ok(&format!(
                "endpoint `{name}` at {url}, with a key that is not for us"
            ));
        }
    }
    check_spool(settings, &repository.path(), findings, around);
}

/// Whether we are meant to read the keys: what is in a mail drop its owner sends.
fn is_sent_by_us(settings: &Settings, git_dir: &Path, around: &Surroundings) -> bool {
    let spool = place::spool_of(git_dir, Some(settings));
    let owner = fs::metadata(spool.root()).map_or(0, |meta| meta.uid());
    !spool.is_drop() || [0, owner].contains(&around.own_uid())
}

/// How many pushes of this repository could only be recorded.
fn recorded(spool: &Spool, git_dir: &Path) -> Result<usize, IoError> {
    let ids = spool.ids_in_new()?;
    let is_owed = |id: &Id| {
        spool.open_new(id).is_ok_and(|entry| {
            let header = entry.header();
            header.repository == git_dir && matches!(header.content, Content::Owed(_))
        })
    };
    Ok(ids.iter().filter(|id| is_owed(id)).count())
}

/// `1 recorded push is`, `2 recorded pushes are`.
pub(super) fn recorded_pushes(count: usize) -> String {
    if count == 1 {
        "1 recorded push is".to_owned()
    } else {
        format!("{count} recorded pushes are")
    }
}

/// A spool that is not there yet is made by the first push.
fn check_spool(
    settings: &Settings,
    git_dir: &Path,
    findings: &mut Findings,
    around: &Surroundings,
) {
    let spool = place::spool_of(git_dir, Some(settings));
    let root = spool.root();
    if spool.is_drop() && !check_drop(&spool, git_dir, findings, around) {
        return;
    }
    let nearest = root.ancestors().find(|above| above.exists());
    let nearest = nearest.unwrap_or(root);
    let may = AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK;
    if !nearest.is_dir() || nix::unistd::access(nearest, may).is_err() {
        let text = format!("cannot write to spool `{}`", root.display());
        let hint = "hooks run as whoever pushes: that account must own it or be in its group";
        return findings.error(&text, Some(hint.to_owned()));
    }
    let survey = match spool.survey() {
        Ok(survey) => survey,
        Err(error) => return findings.error(&report::chain(&error), error.hint()),
    };
    for error in &survey.refused {
        findings.error(&report::chain(error), error.hint());
    }
    if !spool.is_drop() {
        ok(&format!("spool `{}`", root.display()));
    }
    match recorded(&spool, git_dir) {
        Ok(0) => {}
        Ok(count) => findings.error(
            &format!("{} not announced yet", recorded_pushes(count)),
            Some("`refpost flush` says why; `refpost queue drop` gives one up".to_owned()),
        ),
        Err(error) => findings.error(&report::chain(&error), error.hint()),
    }
    let is_old = |oldest| {
        around
            .now()
            .duration_since(oldest)
            .is_ok_and(|age| age > LONG)
    };
    if survey.oldest_new.is_some_and(is_old) {
        findings.warning(
            "pushes have been waiting for a flush for a while",
            "with `mode = \"spool\"`, cron must run `refpost flush`; `refpost flush` says what is wrong",
        );
    }
    for queue in survey.queues {
        let failures = queue.head.as_ref().map_or(0, |head| head.attempts);
        if failures > 0 || queue.failed > 0 {
            let text = format!(
                "queue `{}`: {} waiting, {} given up",
                queue.queue,
                queue.waiting + queue.aside,
                queue.failed
            );
            findings.warning(&text, "`refpost status` and `refpost log` tell more");
        }
    }
}

/// Looks at a mail drop from outside; whether there is more to see from inside.
fn check_drop(
    spool: &Spool,
    git_dir: &Path,
    findings: &mut Findings,
    around: &Surroundings,
) -> bool {
    let faults = spool.drop_faults();
    for fault in &faults {
        findings.error(&fault.text, Some(fault.mend.clone()));
    }
    if is_guaranteed(git_dir) {
        let error = super::outbox::no_intents(spool);
        findings.error(&report::chain(&error), error.hint());
    }
    if let Some(former) = place::former_spool(git_dir, spool)
        && !former.is_empty().unwrap_or(true)
    {
        findings.warning(
            &format!("messages wait in `{}`", former.root().display()),
            "the next push puts those that are not yet distributed into the mail drop; for the \
             others run, as the owner of the repository, `refpost flush` with that path",
        );
    }
    let owner = fs::metadata(spool.root()).map_or(0, |meta| meta.uid());
    let (name, _) = around.account(owner);
    if faults.is_empty() {
        ok(&format!(
            "spool `{}`, a mail drop of `{name}`, which must flush it",
            spool.root().display()
        ));
    }
    [0, owner].contains(&around.own_uid())
}

fn is_guaranteed(git_dir: &Path) -> bool {
    let hooks_dir = Repository::open(git_dir).map(|repository| repository.hooks_dir());
    hooks_dir.is_ok_and(|hooks_dir| {
        GUARANTEED.iter().any(|name| {
            let place = Hook::new(&hooks_dir, name).place();
            !ORDINARY.contains(name) && !matches!(place, Ok(Place::Empty | Place::Foreign))
        })
    })
}
