//! The entries that beginnings of ids stand for.

use std::collections::BTreeSet;

use super::scope::{Asked, Choice};
use super::selection::locations;
use crate::context::Context;
use crate::context::targets::Target;
use crate::error::Error;
use crate::report;
use crate::spool::Id;

/// Greatest number of ids that are listed because a beginning fits them.
pub(super) const MOST_CANDIDATES: usize = 5;

impl Asked<'_> {
    /// Finds the ids that are meant. Fails if a beginning fits several. Returns false if ids are
    /// named and none is here.
    pub(super) fn resolve(
        &self,
        choice: &mut Choice,
        targets: &[Target],
        ctx: &Context,
    ) -> Result<bool, Error> {
        if self.ids.is_empty() {
            return Ok(true);
        }
        let found = self.chosen(self.fits(targets, ctx)?, ctx)?;
        let is_any = !found.is_empty();
        choice.ids = Some(found);
        Ok(is_any)
    }

    /// Returns the ids in these spools that each beginning fits.
    pub(super) fn fits(
        &self,
        targets: &[Target],
        ctx: &Context,
    ) -> Result<Vec<BTreeSet<Id>>, Error> {
        let mut fits = vec![BTreeSet::new(); self.ids.len()];
        for target in targets {
            for id in ids(target, ctx)? {
                for (prefix, fits) in self.ids.iter().zip(&mut fits) {
                    if id.as_str().starts_with(&prefix.0) {
                        fits.insert(id.clone());
                    }
                }
            }
        }
        Ok(fits)
    }

    /// Returns the ids that are meant, given those that each beginning fits.
    pub(super) fn chosen(
        &self,
        fits: Vec<BTreeSet<Id>>,
        ctx: &Context,
    ) -> Result<BTreeSet<Id>, Error> {
        let mut found = BTreeSet::new();
        for (prefix, fits) in self.ids.iter().zip(fits) {
            match fits.len() {
                // Another account may have it.
                0 if ctx.is_given || self.ids.len() == 1 => {}
                0 => ctx.tell_failure(Error::failed(format!("cannot find entry `{}`", prefix.0))),
                1 => found.extend(fits),
                _ => return Err(ambiguous(&prefix.0, &fits)),
            }
        }
        Ok(found)
    }
}

fn ambiguous(prefix: &str, fits: &BTreeSet<Id>) -> Error {
    let mut candidates: Vec<&str> = fits.iter().map(Id::as_str).take(MOST_CANDIDATES).collect();
    let count = if fits.len() > MOST_CANDIDATES {
        candidates.push("…");
        format!("more than {MOST_CANDIDATES} ids")
    } else {
        report::count(fits.len(), "id")
    };
    Error::Failed {
        what: format!("cannot tell which entry `{prefix}` is: {count} begin with it"),
        hint: Some(format!("one of: {}", candidates.join(", "))),
    }
}

/// Returns the ids of all entries of a spool, in every place.
fn ids(target: &Target, ctx: &Context) -> Result<Vec<Id>, Error> {
    let locations = locations(&target.spool, ctx)?;
    Ok(locations.iter().map(|one| one.id().clone()).collect())
}
