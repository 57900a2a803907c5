//! `metrics`: writes the state of all spools for Prometheus.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use crate::as_account::gathered;
use crate::context::named::Named;
use crate::context::state::State;
use crate::context::targets::{self, Searched, Target};
use crate::context::{Context, written};
use crate::error::{Error, Exit};
use crate::observe::carried::{Carried, Counted};
use crate::observe::look::{self, Look};
use crate::observe::scrape::{Receiver, Scrape, SpoolRow};
use crate::observe::{Detail, Labels, prometheus};
use crate::spool::{SpoolError, Totals};
use crate::{json, report};

/// The counts of this account's spools, as they were last seen.
const OF_SPOOLS: &str = "counts.json";
/// The counts of accounts, for root.
const OF_ACCOUNTS: &str = "counts-of-accounts.json";
/// Mode of the file: its reader runs as another account.
const MODE: u32 = 0o644;

/// Arguments of `metrics`.
#[derive(Debug, Args)]
pub(crate) struct MetricsArgs {
    /// Replace FILE [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Tell endpoints of a receiver apart, by their names
    #[arg(long)]
    pub(crate) per_endpoint: bool,
    /// Tell spools apart, by their folders
    #[arg(long)]
    pub(crate) per_spool: bool,
}

pub(crate) fn run(args: &MetricsArgs, ctx: &Context) -> Result<Exit, Error> {
    let detail = Detail {
        per_endpoint: args.per_endpoint,
        per_spool: args.per_spool,
    };
    let searched = targets::search(Named::Server, ctx)?;
    let scrape = if searched.is_of_others(ctx) {
        of_accounts(searched, detail, ctx)?
    } else {
        of_spools(&searched.targets(ctx), ctx)
    };
    if ctx.is_given {
        // Root's refpost remembers counts by endpoint.
        let detail = Detail {
            per_endpoint: true,
            ..detail
        };
        report::json(&scrape.reduced(detail));
        return Ok(ctx.outcome());
    }
    let text = prometheus::text(&scrape.reduced(detail), env!("CARGO_PKG_VERSION"));
    match &args.output {
        Some(file) => written::write_whole(file, text.as_bytes(), MODE)?,
        None => report::raw(text.as_bytes()),
    }
    Ok(ctx.outcome())
}

/// Looks at the spools of this account.
fn of_spools(targets: &[Target], ctx: &Context) -> Scrape {
    let mut scrape = Scrape::default();
    let mut there = BTreeMap::new();
    for target in targets {
        if target.is_broken() {
            ctx.note_failure();
        }
        let look = match Look::at(&target.spool) {
            Ok(look) => look,
            Err(error) => {
                ctx.tell_failure(SpoolError::from(error));
                scrape.spools.push(SpoolRow {
                    spool: target.spool.root().display().to_string(),
                    ..SpoolRow::default()
                });
                continue;
            }
        };
        let is_read = !target.is_broken() && look.survey.unseen.is_empty();
        let routes = target.routes();
        scrape.spools.push(look.row(is_read));
        scrape
            .receivers
            .extend(look.receivers(ctx.now(), &routes, &target.paused()));
        there.insert(target.spool.root().display().to_string(), look.counted());
        for error in look.survey.unseen {
            ctx.tell_failure(SpoolError::from(error));
        }
    }
    if ctx.outcome() != Exit::Well {
        // A spool that could not even be found has no row.
        scrape.spools.push(SpoolRow::default());
    }
    if scrape.spools.is_empty() {
        scrape.spools.push(SpoolRow {
            is_read: true,
            ..SpoolRow::default()
        });
    }
    scrape.receivers.extend(carried(OF_SPOOLS, there, ctx));
    scrape
}

/// Has each account look at its own spools.
fn of_accounts(searched: Searched, detail: Detail, ctx: &Context) -> Result<Scrape, Error> {
    let mut args: Vec<OsString> = vec!["metrics".into()];
    args.extend(detail.per_spool.then(|| "--per-spool".into()));
    let now = look::seconds(ctx.now());
    let is_valid = |scrape: &Scrape| scrape.is_valid(now);
    let mut all = Scrape::default();
    let mut there = BTreeMap::new();
    for one in gathered::gather(searched.by_owner, args, is_valid, ctx)? {
        let account = one.account;
        let Some(scrape) = one.found else {
            all.spools.push(SpoolRow {
                account,
                ..SpoolRow::default()
            });
            continue;
        };
        let by_endpoint = Detail {
            per_endpoint: true,
            per_spool: false,
        };
        let counted = scrape.clone().reduced(by_endpoint).receivers.into_iter();
        let counted = counted.map(|row| Counted {
            receiver: row.labels.receiver,
            endpoint: row.labels.endpoint,
            totals: row.totals,
        });
        there.insert(account.clone(), counted.collect());
        all.receivers.extend(scrape.receivers);
        all.spools
            .extend(scrape.spools.into_iter().map(|row| SpoolRow {
                account: account.clone(),
                ..row
            }));
    }
    all.receivers.extend(carried(OF_ACCOUNTS, there, ctx));
    // An account is no spool.
    for row in &mut all.receivers {
        if !row.labels.spool.starts_with('/') {
            row.labels.spool.clear();
        }
    }
    Ok(all)
}

/// Returns the counts of spools that are gone, and remembers those of the others.
fn carried(name: &str, there: BTreeMap<String, Vec<Counted>>, ctx: &Context) -> Vec<Receiver> {
    let now = look::seconds(ctx.now());
    match settle(name, there, now, ctx) {
        Ok(rows) => rows
            .into_iter()
            .map(|(labels, totals)| Receiver {
                labels,
                totals,
                ..Receiver::default()
            })
            .collect(),
        Err(error) => {
            ctx.tell_failure(error);
            report::hint("until then counts fall when a spool is removed");
            Vec::new()
        }
    }
}

fn settle(
    name: &str,
    there: BTreeMap<String, Vec<Counted>>,
    now: u64,
    ctx: &Context,
) -> Result<Vec<(Labels, Totals)>, Error> {
    let state = State::lock(ctx)?;
    let before = state.read(name)?;
    // One that cannot be read is begun anew.
    let before = before.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let mut carried: Carried = before.unwrap_or_default();
    let rows = carried.settle(there, now);
    state.write(name, &json::to_bytes(&carried))?;
    Ok(rows)
}
