//! What a flush does not print before it is known that alerts say it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::context::Context;
use crate::spool::Spool;

/// Texts with their hints, and the reasons for which pushes wait.
#[derive(Default)]
pub(crate) struct Held {
    /// True if there are alerts.
    pub(crate) is_holding: Cell<bool>,
    texts: RefCell<Vec<(String, Option<String>)>>,
    /// By the spool's folder.
    reasons: RefCell<BTreeMap<PathBuf, BTreeSet<String>>>,
}

impl Held {
    /// Tells a text once, or holds it back.
    pub(super) fn tell(&self, text: &str, hint: Option<&str>, ctx: &Context) {
        if self.is_holding.get() {
            let held = (text.to_owned(), hint.map(str::to_owned));
            self.texts.borrow_mut().push(held);
        } else {
            ctx.tell_once(text, hint);
        }
    }

    /// Notes why pushes of a spool wait.
    pub(super) fn blocks(&self, spool: &Spool, why: &str) {
        if self.is_holding.get() {
            let mut reasons = self.reasons.borrow_mut();
            let own = reasons.entry(spool.root().to_owned()).or_default();
            own.insert(why.to_owned());
        }
    }

    /// Returns the reasons for which pushes of a spool wait, as far as they are known.
    pub(crate) fn reasons(&self, spool: &Spool) -> BTreeSet<String> {
        let reasons = self.reasons.borrow();
        reasons.get(spool.root()).cloned().unwrap_or_default()
    }

    /// Tells all that was held back.
    pub(crate) fn tell_all(&self, ctx: &Context) {
        for (text, hint) in self.texts.take() {
            ctx.tell_once(&text, hint.as_deref());
        }
    }
}
