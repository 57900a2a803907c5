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
const MOST_CANDIDATES: usize = 5;

impl Asked<'_> {
    /// Finds the ids that are meant. Fails if a beginning fits several. Returns false if ids are
    /// named and none is here.
    pub(super) fn resolve(
        &self,
        choice: &mut Choice,
        targets: &[Target],
        ctx: &Context,
    ) -> Result<bool, Error> {
        let mut fits = vec![BTreeSet::new(); self.ids.len()];
        for target in targets.iter().filter(|_| !self.ids.is_empty()) {
            for id in ids(target, ctx)? {
                for (prefix, fits) in self.ids.iter().zip(&mut fits) {
                    if id.as_str().starts_with(&prefix.0) {
                        fits.insert(id.clone());
                    }
                }
            }
        }
        for (prefix, fits) in self.ids.iter().zip(fits) {
            match fits.len() {
                // Another account may have it.
                0 if ctx.is_given || self.ids.len() == 1 => {}
                0 => ctx.tell_failure(Error::failed(format!("cannot find entry `{}`", prefix.0))),
                1 => choice.ids.extend(fits),
                _ => return Err(ambiguous(&prefix.0, &fits)),
            }
        }
        Ok(self.ids.is_empty() || !choice.ids.is_empty())
    }
}

fn ambiguous(prefix: &str, fits: &BTreeSet<Id>) -> Error {
    let mut candidates: Vec<&str> = fits.iter().map(Id::as_str).take(MOST_CANDIDATES).collect();
    if fits.len() > MOST_CANDIDATES {
        candidates.push("…");
    }
    Error::Failed {
        what: format!(
            "cannot tell which entry `{prefix}` is: {} begin with it",
            report::count(fits.len(), "id")
        ),
        hint: Some(format!("one of: {}", candidates.join(", "))),
    }
}

/// Returns the ids of all entries of a spool, in every place.
fn ids(target: &Target, ctx: &Context) -> Result<Vec<Id>, Error> {
    let locations = locations(&target.spool, ctx)?;
    Ok(locations.iter().map(|one| one.id().clone()).collect())
}
