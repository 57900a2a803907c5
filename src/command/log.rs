//! `log`: prints the last attempts, and those that come.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use super::queue::act::nowhere;
use super::queue::rows::project;
use super::{ReposArgs, parse_duration};
use crate::as_account::apart::{self, Job};
use crate::command::completions::candidates;
use crate::context::Context;
use crate::context::targets::{self, Target};
use crate::error::{Error, Exit};
use crate::report;
use crate::report::table::{Table, Tone};
use crate::spool::{Attempt, SpoolError, Status};

/// Arguments of `log`.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// The repositories.
    #[command(flatten)]
    pub(crate) repos: ReposArgs,
    /// Number of attempts to show
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20)]
    pub(crate) lines: usize,
    /// Only attempts to deliver to this endpoint
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(candidates::endpoints))]
    pub(crate) endpoint: Option<String>,
    /// Only attempts that failed
    #[arg(long)]
    pub(crate) failed: bool,
    /// Only attempts of the last DURATION, such as `2h`
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) since: Option<humantime::Duration>,
    /// Go on and print attempts as they are made, until it is interrupted
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Print the log's JSON lines
    #[arg(long)]
    pub(crate) json: bool,
}

/// Time between two looks at the logs.
const LOOK: Duration = Duration::from_millis(500);

/// Greatest number of attempts that are printed of one look.
const MOST_AT_ONCE: usize = 1000;

/// Headings of the table.
const HEADS: [&str; 9] = [
    "RESULT", "TIME", "ENDPOINT", "PROJECT", "TOPIC", "ATTEMPT", "TOOK", "NOTE", "MESSAGE",
];

pub(crate) fn run(args: &LogArgs, ctx: &Context) -> Result<Exit, Error> {
    let searched = targets::search(args.repos.named(), ctx)?;
    let is_server = searched.is_server;
    if searched.is_of_others(ctx) {
        if args.follow {
            return Err(Error::Failed {
                what: "cannot follow the logs of other accounts as root".to_owned(),
                hint: Some("run it as that account: runuser -u NAME -- refpost log -f".to_owned()),
            });
        }
        let job = Job::looking(line(args, is_server), args.json);
        return match apart::run(searched.by_owner, &job, ctx)? {
            Exit::NotHere => Err(no_such_endpoint(args)),
            done => Ok(done),
        };
    }
    let targets = searched.targets(ctx);
    let mut printer = Printer::new(args, ctx);
    let mut seen = Seen::default();
    let since = args.since.map(|since| ctx.now() - *since);
    let (attempts, done) = last(&targets, args, is_server, since, ctx);
    if attempts.is_empty() && done == Exit::Well && is_typo(&targets, args) {
        return nowhere(ctx, || no_such_endpoint(args));
    }
    let first = attempts.len().saturating_sub(args.lines);
    printer.print(&attempts[first..]);
    for attempt in &attempts {
        seen.add(attempt);
    }
    while args.follow && !report::is_cut() {
        sleep(LOOK);
        let (attempts, _) = last(&targets, args, is_server, seen.newest.or(since), ctx);
        let new: Vec<Attempt> = attempts
            .into_iter()
            .filter(|one| seen.is_new(one))
            .collect();
        for attempt in &new {
            seen.add(attempt);
        }
        printer.print(&new);
    }
    Ok(done)
}

/// Returns whether an endpoint is named that nothing configures, and no log has it.
fn is_typo(targets: &[Target], args: &LogArgs) -> bool {
    let Some(name) = &args.endpoint else {
        return false;
    };
    let has_attempts = |target: &Target| {
        let last = target.spool.log().last(1, |one| one.endpoint == *name);
        last.is_ok_and(|last| !last.is_empty())
    };
    let is_unknown = |target: &Target| !target.may_have(name) && !has_attempts(target);
    targets.iter().all(is_unknown)
}

fn no_such_endpoint(args: &LogArgs) -> Error {
    let name = args.endpoint.as_deref().unwrap_or_default();
    Error::Failed {
        what: format!("cannot find endpoint `{name}`: it is not configured, and no log has it"),
        hint: Some("`refpost status` lists the endpoints".to_owned()),
    }
}

/// Returns the command line for another account.
fn line(args: &LogArgs, is_server: bool) -> Vec<OsString> {
    let mut line: Vec<OsString> = vec!["log".into(), "-n".into()];
    line.push(args.lines.to_string().into());
    if let Some(endpoint) = &args.endpoint {
        line.extend(["--endpoint".into(), endpoint.into()]);
    }
    if let Some(since) = &args.since {
        line.extend(["--since".into(), since.to_string().into()]);
    }
    line.extend(args.failed.then(|| "--failed".into()));
    line.extend(args.json.then(|| "--json".into()));
    line.extend(is_server.then(|| "--server".into()));
    line
}

/// Returns the last attempts of all spools, oldest first, and whether all could be read.
fn last(
    targets: &[Target],
    args: &LogArgs,
    is_server: bool,
    since: Option<SystemTime>,
    ctx: &Context,
) -> (Vec<Attempt>, Exit) {
    let most = if args.follow {
        MOST_AT_ONCE.max(args.lines)
    } else {
        args.lines
    };
    let mut attempts = Vec::new();
    let done = targets::each(targets, ctx, |target| {
        let is_all = is_server || target.is_whole;
        let is_wanted = |attempt: &Attempt| {
            let is_its = is_all || target.repositories.contains(&attempt.repository);
            let endpoint = args.endpoint.as_ref();
            is_its
                && endpoint.is_none_or(|name| *name == attempt.endpoint)
                && !(args.failed && attempt.status.is_success())
                && since.is_none_or(|since| attempt.time >= since)
        };
        let last = target.spool.log().last(most, is_wanted);
        attempts.extend(last.map_err(SpoolError::from)?);
        Ok(())
    });
    attempts.sort_by_key(|attempt| attempt.time);
    (attempts, done)
}

/// Attempts that were printed and could be read again.
#[derive(Default)]
struct Seen {
    /// Time from which attempts are read again.
    newest: Option<SystemTime>,
    known: HashMap<(PathBuf, String, String, u32), SystemTime>,
}

impl Seen {
    fn key(attempt: &Attempt) -> (PathBuf, String, String, u32) {
        let (endpoint, msg_id) = (attempt.endpoint.clone(), attempt.msg_id.clone());
        (
            attempt.repository.clone(),
            endpoint,
            msg_id,
            attempt.attempt,
        )
    }

    fn is_new(&self, attempt: &Attempt) -> bool {
        self.known.get(&Self::key(attempt)) != Some(&attempt.time)
    }

    fn add(&mut self, attempt: &Attempt) {
        // Processes end their attempts in another order than they write of them.
        let kept = attempt.time - Duration::from_secs(5);
        if self.newest.is_none_or(|newest| newest < kept) {
            self.newest = Some(kept);
            self.known.retain(|_, time| *time >= kept);
        }
        self.known.insert(Self::key(attempt), attempt.time);
    }
}

/// Prints attempts, as a table or as JSON.
struct Printer {
    table: Table<9>,
    root: Option<PathBuf>,
    as_json: bool,
}

impl Printer {
    fn new(args: &LogArgs, ctx: &Context) -> Self {
        let server = ctx.server().ok();
        Self {
            table: Table::new(HEADS),
            root: server.and_then(|server| Some(server.root()?.to_owned())),
            as_json: args.json,
        }
    }

    fn print(&mut self, attempts: &[Attempt]) {
        for attempt in attempts {
            if self.as_json {
                report::json(attempt);
            } else {
                let tone = match &attempt.status {
                    status if status.is_success() => Tone::Good,
                    Status::Http(_) | Status::Error(_) => Tone::Bad,
                };
                self.table.row(tone, self.cells(attempt));
            }
        }
        self.table.print();
    }

    fn cells(&self, attempt: &Attempt) -> [String; 9] {
        let took = humantime::format_duration(Duration::from_millis(attempt.ms));
        // What was never sent is no message, perhaps not even an endpoint's.
        [
            attempt.status.to_string(),
            humantime::format_rfc3339_seconds(attempt.time).to_string(),
            attempt.endpoint.clone(),
            project(&attempt.repository, self.root.as_deref()),
            attempt.topic.clone(),
            attempt.attempt.to_string(),
            took.to_string(),
            attempt.note.clone().unwrap_or_default(),
            attempt.msg_id.clone(),
        ]
    }
}
