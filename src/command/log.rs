//! `log`: prints the last attempts.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;

use super::ReposArgs;
use crate::as_account::apart::{self, Job};
use crate::context::{Context, targets};
use crate::error::{Error, Exit};
use crate::report;
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
    /// Print the log's JSON lines
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &LogArgs, ctx: &Context) -> Result<Exit, Error> {
    let searched = targets::search(args.repos.named(), ctx)?;
    let is_server = searched.is_server;
    if searched.is_of_others(ctx) {
        let mut line: Vec<OsString> = vec!["log".into(), "-n".into()];
        line.push(args.lines.to_string().into());
        line.extend(args.json.then(|| "--json".into()));
        line.extend(is_server.then(|| "--server".into()));
        return apart::run(searched.by_owner, &Job::looking(line, args.json), ctx);
    }
    let mut attempts = Vec::new();
    let done = targets::each(&searched.targets(ctx), ctx, |target| {
        let is_all = is_server || target.is_whole;
        let is_wanted =
            |attempt: &Attempt| is_all || target.repositories.contains(&attempt.repository);
        let last = target.spool.log().last(args.lines, is_wanted);
        attempts.extend(last.map_err(SpoolError::from)?);
        Ok(())
    });
    attempts.sort_by_key(|attempt| attempt.time);
    attempts.drain(..attempts.len().saturating_sub(args.lines));
    for attempt in &attempts {
        if args.json {
            report::json(attempt);
        } else {
            report::line(&describe(attempt));
        }
    }
    Ok(done)
}

fn describe(attempt: &Attempt) -> String {
    let time = humantime::format_rfc3339_seconds(attempt.time);
    let came_to = match &attempt.status {
        Status::Http(status) => status.to_string(),
        Status::Error(word) => word.clone(),
    };
    let note = attempt.note.as_ref();
    let note = note.map_or_else(String::new, |note| format!(" ({note})"));
    // What was never sent is no message, perhaps not even an endpoint's.
    let what = [&attempt.endpoint, &attempt.topic, &attempt.msg_id];
    let told = what.into_iter().filter(|it| !it.is_empty());
    let told = told.fold(String::new(), |told, it| told + it + " ");
    format!(
        "{time} {told}attempt {}: {came_to}{note} in {}",
        attempt.attempt,
        humantime::format_duration(Duration::from_millis(attempt.ms)),
    )
}
