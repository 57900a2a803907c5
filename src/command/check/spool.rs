//! `check` of a repository's spool.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use super::disk;
use super::findings::{Finding, Findings};
use crate::announce::deferred::recorded_pushes;
use crate::announce::git_process;
use crate::config::Settings;
use crate::context::configured::Configured;
use crate::context::{Context, locate, max_spool};
use crate::report;
use crate::spool::{Content, Life, Spool};

/// Age from which an entry in `new/` was forgotten.
const LONG: Duration = Duration::from_mins(15);

/// Greatest number of other programs' files that are named.
const FOREIGN_SHOWN: usize = 3;

/// Greatest difference between two clocks of one server.
const CLOCK_ERROR: Duration = Duration::from_mins(5);

/// Results for spools that repositories share. Each such spool is looked at once.
#[derive(Default)]
pub(crate) struct Spools(RefCell<HashMap<PathBuf, Rc<Look>>>);

/// The state of a spool, the same for each of its repositories.
struct Look {
    /// True if the spool could be looked into.
    is_there: bool,
    findings: Vec<Finding>,
    /// Number of pushes of each repository that could only be recorded.
    recorded: HashMap<PathBuf, usize>,
}

/// Checks a repository's spool. The first push makes one that does not exist yet.
pub(crate) fn check(
    settings: &Settings,
    git_dir: &Path,
    spools: &Spools,
    findings: &mut Findings,
    ctx: &Context,
) {
    let spool = locate::spool_of(git_dir, Some(settings));
    let look = spools.look(&spool, settings.spool_is_shared, ctx);
    if look.is_there {
        findings.ok(&format!("spool `{}`", spool.root().display()));
    }
    if let Some(&count) = look.recorded.get(git_dir) {
        findings.error(
            &format!("{} not announced yet", recorded_pushes(count)),
            Some("`refpost flush` says why; `refpost queue drop` gives one up".to_owned()),
        );
    }
    if let Some(most) = settings.max_spool {
        let waiting = spool.waiting_bytes(git_dir, most, None);
        if waiting >= most {
            findings.warning(&max_spool::shown(waiting, most), max_spool::MEANWHILE);
        }
    }
    for finding in &look.findings {
        findings.add(finding.clone());
    }
}

impl Spools {
    fn look(&self, spool: &Spool, is_shared: bool, ctx: &Context) -> Rc<Look> {
        if !is_shared {
            return Rc::new(look(spool, ctx));
        }
        let mut known = self.0.borrow_mut();
        let known = known.entry(spool.root().to_owned());
        Rc::clone(known.or_insert_with(|| Rc::new(look(spool, ctx))))
    }
}

fn look(spool: &Spool, ctx: &Context) -> Look {
    let mut findings = Findings::kept();
    let recorded = look_into(spool, &mut findings, ctx);
    Look {
        is_there: recorded.is_some(),
        findings: findings.into_kept(),
        recorded: recorded.unwrap_or_default(),
    }
}

fn look_into(
    spool: &Spool,
    findings: &mut Findings,
    ctx: &Context,
) -> Option<HashMap<PathBuf, usize>> {
    let root = spool.root();
    let nearest = root.ancestors().find(|above| above.exists());
    let nearest = nearest.unwrap_or(root);
    disk::check_disk(nearest, findings);
    check_owners(spool, findings);
    if !try_out(spool, nearest, findings, ctx) {
        return None;
    }
    let survey = match spool.survey() {
        Ok(survey) => survey,
        Err(error) => {
            findings.error(&report::chain(&error), error.hint());
            return None;
        }
    };
    for error in &survey.unseen {
        findings.error(&report::chain(error), error.hint());
    }
    check_clock(spool, findings, ctx);
    check_intents(spool, findings);
    check_foreign(spool, findings);
    if let Some(spare) = survey.spare {
        disk::check_spare(spool, spare, findings);
    }
    let recorded = recorded(spool, findings);
    let is_old = |oldest| ctx.now().duration_since(oldest).is_ok_and(|age| age > LONG);
    if survey.oldest_new.is_some_and(is_old) {
        findings.warning(
            "pushes have been waiting for a flush for a while",
            "with `mode = \"spool\"`, cron must run `refpost flush`; `refpost flush` says what is wrong",
        );
    }
    if survey.unreadable > 0 {
        let unreadable = report::count(survey.unreadable, "entry");
        findings.warning(
            &format!(
                "{unreadable} in `failed/unreadable/` of spool `{}`",
                root.display()
            ),
            "`refpost queue list` shows them; once mended, `refpost queue retry`",
        );
    }
    let configured = Configured::new(ctx);
    let outages = spool.stats().failures;
    for queue in survey.queues {
        if let Some(orphan) = configured.orphan_in(spool, &queue.queue) {
            let text = format!(
                "queue `{}`: {} waiting, {} given up: not configured for `{}`",
                queue.queue,
                queue.waiting + queue.refused,
                queue.failed,
                orphan.repository.display()
            );
            findings.warning(&text, &configured.ways_out(&orphan));
            continue;
        }
        let name = &queue.queue;
        if queue.refused > 0 {
            let refused = report::count(queue.refused, "message");
            findings.warning(
                &format!("queue `{name}`: the receiver refuses {refused}"),
                "`refpost log --failed` has its answers; once mended, `refpost queue retry`",
            );
        }
        let failures = queue.head.as_ref().map_or(0, |head| head.attempts);
        let outage = outages.get(name.as_str()).filter(|it| it.by_transport);
        if let Some(outage) = outage.filter(|_| queue.head.is_some()) {
            let since = humantime::format_rfc3339_seconds(outage.since);
            findings.warning(
                &format!(
                    "queue `{name}`: receiver `{}` is down since {since}",
                    outage.receiver
                ),
                "`refpost ping` tries it; what waits is delivered once it is back",
            );
        }
        if failures > 0 || queue.failed > 0 {
            let text = format!(
                "queue `{}`: {} waiting, {} given up",
                queue.queue,
                queue.waiting + queue.refused,
                queue.failed
            );
            findings.warning(&text, "`refpost status` and `refpost log` tell more");
        }
    }
    Some(recorded)
}

/// Does with a spool what pushes and flushes do. Returns whether to check the rest.
fn try_out(spool: &Spool, above: &Path, findings: &mut Findings, ctx: &Context) -> bool {
    let root = spool.root().display();
    let error = match spool.try_out(above, ctx.id_parts().random) {
        Ok(tried) => {
            if !tried.flushes_folders {
                findings.warning(
                    &format!("the file system of spool `{root}` cannot flush a folder"),
                    "for each push all of it is flushed, which may take long: docs/reference/spool.md, \
                     \"File systems\"",
                );
            }
            return true;
        }
        Err(error) => error,
    };
    if error.refused().is_some() {
        findings.error(&report::chain(&error), error.hint());
        return false;
    }
    // The name of the file is left out, since it differs each time.
    let (operation, cause) = (error.operation, report::chain(&error.source));
    let text = format!("cannot use spool `{root}`: cannot {operation} a file there: {cause}");
    let hint = if error.source.kind() == io::ErrorKind::PermissionDenied {
        Some("hooks run as whoever pushes: that account must own it or be in its group".to_owned())
    } else if error.is_no_room() {
        Some("make room on that disk: `refpost status` says what waits".to_owned())
    } else {
        Some("docs/reference/spool.md, \"File systems\", lists what a spool needs".to_owned())
    };
    findings.error(&text, error.hint().or(hint));
    error.is_no_room()
}

/// Warns of pushes that were recorded before their refs moved, and whose git is not known to live.
fn check_intents(spool: &Spool, findings: &mut Findings) {
    let mut intents = spool.intents().unwrap_or_default();
    intents.retain(|it| git_process::life(it.header.process.as_ref()) != Life::Alive);
    if let Some(oldest) = intents.iter().map(|it| it.header.time).min() {
        let (count, oldest) = (intents.len(), humantime::format_rfc3339_seconds(oldest));
        findings.warning(
            &format!("pushes not settled: {count}, the oldest of {oldest}"),
            "the next push to the same refs settles them, or `refpost flush`; of a git in another \
             container or on another host, after an hour",
        );
    }
}

/// Reports files of other accounts, as root leaves them when it works in a spool as root.
fn check_owners(spool: &Spool, findings: &mut Findings) {
    let others = spool.of_others().unwrap_or_default();
    let Some(first) = others.first() else {
        return;
    };
    let more = match others.len() {
        1 => String::new(),
        all => format!(" and {} more", all - 1),
    };
    let (first, root) = (first.display(), spool.root().display());
    let quoted = report::shell(spool.root());
    findings.error(
        &format!("not of the account that owns spool `{root}`: `{first}`{more}"),
        Some(format!("as root: chown -hR --reference={quoted} {quoted}")),
    );
}

/// Warns of files that other programs left in a spool. A flush passes over them silently.
fn check_foreign(spool: &Spool, findings: &mut Findings) {
    // Folders that cannot be listed are reported by the checks that read more of them.
    let foreign = spool.foreign().unwrap_or_default();
    let shown = |path: &PathBuf| format!("`{}`", path.display());
    let first: Vec<String> = foreign.iter().take(FOREIGN_SHOWN).map(shown).collect();
    if first.is_empty() {
        return;
    }
    let more = match foreign.len() - first.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (root, first) = (spool.root().display(), first.join(", "));
    let text = format!("not refpost's, in spool `{root}`: {first}{more}");
    findings.warning(&text, "it is left alone: remove what nobody needs");
}

/// Warns if the newest push is ahead of the clock.
///
/// The clock was wrong when that push was made, or is wrong now.
fn check_clock(spool: &Spool, findings: &mut Findings, ctx: &Context) {
    let ahead = spool
        .newest_push()
        .and_then(|newest| newest.duration_since(ctx.now()).ok());
    if let Some(ahead) = ahead.filter(|ahead| *ahead > CLOCK_ERROR) {
        let ahead = humantime::format_duration(Duration::from_secs(ahead.as_secs()));
        let text = format!(
            "the newest push in spool `{}` is {ahead} ahead of the clock",
            spool.root().display(),
        );
        let hint = "is the clock right? Messages are delivered in order all the same";
        findings.warning(&text, hint);
    }
}

fn recorded(spool: &Spool, findings: &mut Findings) -> HashMap<PathBuf, usize> {
    let mut counts = HashMap::new();
    match spool.ids_in_new() {
        Ok(ids) => {
            for entry in ids.iter().filter_map(|id| spool.open_new(id).ok()) {
                if matches!(entry.header().content, Content::Deferred(_)) {
                    let repository = entry.header().repository.clone();
                    *counts.entry(repository).or_default() += 1;
                }
            }
        }
        Err(error) => findings.error(&report::chain(&error), error.hint()),
    }
    counts
}
