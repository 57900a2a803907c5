//! `check` of a folder or the server: prints the faults of many repositories, and a summary.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use super::CheckArgs;
use super::findings::{Finding, Findings};
use super::repository::{Known, check};
use crate::as_account::apart;
use crate::context::Context;
use crate::context::found::ByOwner;
use crate::context::repositories::{self, Repositories, Whose};
use crate::error::{Error, Exit};
use crate::report;

pub(crate) fn run(
    folders: &[PathBuf],
    args: &CheckArgs,
    is_all: bool,
    ctx: &Context,
) -> Result<Exit, Error> {
    let server = ctx.for_many()?;
    let is_all = is_all && args.matches.is_empty() && !ctx.is_given;
    let repositories = match Repositories::find(folders, &args.matches, ctx)? {
        Whose::Ours(repositories) => repositories,
        Whose::Several(found) => return apart(found, args, is_all, ctx),
    };
    let known = Known::default();
    let mut seen = Seen::default();
    let mut idle: BTreeSet<String> = server.sections(None).into_iter().collect();
    let (mut wrong, mut doubtful) = (0, 0);
    repositories.each(|git_dir, progress| {
        let mut findings = if args.json {
            Findings::told(true)
        } else {
            Findings::kept()
        };
        check(git_dir, &mut findings, &known, ctx);
        match (findings.errors, findings.warnings) {
            (0, 0) => {}
            (0, _) => doubtful += 1,
            _ => wrong += 1,
        }
        for section in server.sections(Some(git_dir)) {
            idle.remove(&section);
        }
        let new = seen.new_among(findings.into_kept());
        if !new.is_empty() {
            progress.aside(|| {
                report::line(&format!("in `{}`:", git_dir.display()));
                new.iter().for_each(Finding::tell);
            });
        }
        Ok(false)
    });
    seen.tell_more();
    if is_all {
        tell_idle(&idle, args.json);
    }
    let exit = if wrong == 0 { Exit::Well } else { Exit::No };
    if args.json {
        return Ok(exit);
    }
    let mut parts = vec![format!(
        "checked {}",
        repositories::counted(repositories.len())
    )];
    for (count, what) in [(wrong, "with errors"), (doubtful, "with warnings alone")] {
        if count > 0 {
            parts.push(format!("{} {what}", report::number(count)));
        }
    }
    if parts.len() == 1 {
        parts.push("all is well".to_owned());
    }
    report::line(&parts.join(", "));
    Ok(exit)
}

/// Has each account check its own repositories.
///
/// Sections without a repository are found here, since they depend on paths alone.
fn apart(found: ByOwner, args: &CheckArgs, is_all: bool, ctx: &Context) -> Result<Exit, Error> {
    let server = ctx.for_many()?;
    let mut idle: BTreeSet<String> = server.sections(None).into_iter().collect();
    for one in found.0.values().flatten() {
        for section in server.sections(Some(one.path())) {
            idle.remove(&section);
        }
    }
    let ended = apart::run(found, &args.job(), ctx)?;
    if is_all {
        tell_idle(&idle, args.json);
    }
    Ok(ended)
}

fn tell_idle(sections: &BTreeSet<String>, as_json: bool) {
    let mut findings = Findings::told(as_json);
    for section in sections {
        findings.warning(
            &format!("no repository is in section `{section}`"),
            "a pattern is the whole path below `root`, without `.git`",
        );
    }
}

/// Findings so far, in their order, each with the number of further repositories that have it.
///
/// A mistake in one line of the server's file is thus not repeated for ten thousand repositories.
#[derive(Default)]
struct Seen {
    order: Vec<Finding>,
    more: HashMap<Finding, usize>,
}

impl Seen {
    /// Adds findings. Returns those that no repository had before.
    fn new_among(&mut self, findings: Vec<Finding>) -> Vec<Finding> {
        let mut new = Vec::new();
        for finding in findings {
            if let Some(more) = self.more.get_mut(&finding) {
                *more += 1;
            } else {
                self.more.insert(finding.clone(), 0);
                self.order.push(finding.clone());
                new.push(finding);
            }
        }
        new
    }

    fn tell_more(&self) {
        for finding in &self.order {
            let more = self.more.get(finding).copied().unwrap_or_default();
            if more > 0 {
                let more = report::number(more);
                report::line(&format!("in {more} more: {}", finding.line()));
            }
        }
    }
}
