//! `log`: prints the last attempts.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::context::{Context, locate};
use crate::error::{Error, Exit};
use crate::report;
use crate::spool::{Attempt, SpoolError, Status};

/// Arguments of `log`.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// The repository [default: the current directory]
    pub(crate) repo: Option<PathBuf>,
    /// Number of attempts to show
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20)]
    pub(crate) lines: usize,
    /// Print the log's JSON lines
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &LogArgs, ctx: &Context) -> Result<Exit, Error> {
    let git_dir = locate::repository(args.repo.as_deref(), ctx)?.path();
    let settings = ctx.load(Some(&git_dir)).ok().map(|loaded| loaded.settings);
    let spool = locate::spool_of(&git_dir, settings.as_ref());
    let attempts = spool
        .log()
        .last(args.lines, |attempt| attempt.repository == git_dir)
        .map_err(SpoolError::from)?;
    for attempt in &attempts {
        if args.json {
            report::json(attempt);
        } else {
            report::line(&describe(attempt));
        }
    }
    Ok(Exit::Well)
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
