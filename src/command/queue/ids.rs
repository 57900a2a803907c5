//! `queue ids`: how root's refpost asks those of the accounts which entries are meant.

use std::collections::BTreeSet;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::act::nothing_chosen;
use super::resolve::MOST_CANDIDATES;
use super::scope::{Asked, FilterArgs, IdPrefix};
use crate::as_account::gathered;
use crate::context::Context;
use crate::context::found::ByOwner;
use crate::context::named::Named;
use crate::error::{Error, Exit};
use crate::report;
use crate::spool::Id;

/// Arguments of `queue ids`.
#[derive(Debug, Args)]
pub(crate) struct QueueIdsArgs {
    /// The beginnings of ids
    #[arg(value_name = "ID", required = true)]
    ids: Vec<IdPrefix>,
}

/// Ids that begin as was asked.
#[derive(Deserialize, Serialize)]
struct Fitting {
    ids: BTreeSet<String>,
}

/// Prints the ids of this account's entries that fit, of each beginning no more than are listed.
pub(super) fn run(args: &QueueIdsArgs, ctx: &Context) -> Result<Exit, Error> {
    let asked = Asked {
        ids: &args.ids,
        filter: FilterArgs::default(),
        named: Named::Nothing,
    };
    let (searched, _) = asked.search(ctx)?;
    let fits = asked.fits(&searched.targets(ctx), ctx)?.into_iter();
    let most = fits.flat_map(|fits| fits.into_iter().take(MOST_CANDIDATES + 1));
    report::json(&Fitting {
        ids: most.map(|id| id.to_string()).collect(),
    });
    Ok(ctx.outcome())
}

impl Asked<'_> {
    /// Asks each account which of its entries are meant. Returns whole ids, at least one.
    ///
    /// While an account does not answer, the beginning of an id may be that of one of its entries.
    pub(super) fn ids_of_accounts(
        &self,
        found: &ByOwner,
        ctx: &Context,
    ) -> Result<BTreeSet<Id>, Error> {
        let line = ["queue", "ids"].into_iter();
        let line = line.chain(self.ids.iter().map(|prefix| prefix.0.as_str()));
        let is_asked = |id: &String| {
            let mut prefixes = self.ids.iter();
            Id::parse(id).is_some() && prefixes.any(|prefix| id.starts_with(&prefix.0))
        };
        let is_valid = |fitting: &Fitting| fitting.ids.iter().all(is_asked);
        let all = gathered::gather(found.clone(), line.map(Into::into).collect(), is_valid, ctx)?;
        if let Some(silent) = all.iter().find(|one| one.found.is_none()) {
            let whole = |prefix: &IdPrefix| {
                Id::parse(&prefix.0).ok_or_else(|| Error::Failed {
                    what: format!(
                        "cannot tell which entry `{}` is: `{}` does not say what it has",
                        prefix.0, silent.account
                    ),
                    hint: Some("name the whole id, or a repository with --repo".to_owned()),
                })
            };
            return self.ids.iter().map(whole).collect();
        }
        let ids = all.iter().filter_map(|one| one.found.as_ref());
        let ids: Vec<Id> = ids
            .flat_map(|own| own.ids.iter().filter_map(|id| Id::parse(id)))
            .collect();
        let fits = self.ids.iter().map(|prefix| {
            let fits = ids.iter().filter(|id| id.as_str().starts_with(&prefix.0));
            fits.cloned().collect()
        });
        let found = self.chosen(fits.collect(), ctx)?;
        // A command line without ids could be about all entries.
        if found.is_empty() {
            return Err(nothing_chosen());
        }
        Ok(found)
    }
}
