//! Finding the data that an item's messages need: its entry, its repository's settings, its
//! endpoint.

use std::ops::ControlFlow;
use std::path::PathBuf;

use super::agent::Unavailable;
use super::recipients::is_left;
use super::result::Notice;
use super::work::Job;
use super::work::{ItemOutcome, Work};
use crate::config::Retry;
use crate::report::chain;
use crate::spool::{EntryError, Header, Item, SpoolError};

impl Work<'_> {
    /// Looks up the data that the item's messages need. Breaks if they are not to be sent.
    pub(super) fn prepare(
        &mut self,
        item: &Item,
    ) -> Result<ControlFlow<ItemOutcome, Job>, SpoolError> {
        let ready = self.ready.take().filter(|(ready, _)| ready == item);
        let entry = match ready {
            Some((_, entry)) => Ok(entry),
            None => self.lane.open(item),
        };
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if error.is_corrupt() => {
                self.set_aside(item, &error)?;
                return Ok(ControlFlow::Break(ItemOutcome::Settled));
            }
            Err(error) => return Err(error.into()),
        };
        let header = entry.header();
        let repository = &header.repository;
        if self.blocked.contains(repository) {
            return Ok(ControlFlow::Break(ItemOutcome::Blocked));
        }
        let outside = self.agent.outside;
        if outside.will_move(self.lane.spool(), header, self.lane.queue()) {
            self.blocked.insert(repository.clone());
            return Ok(ControlFlow::Break(ItemOutcome::Blocked));
        }
        let settings = match outside.settings(repository) {
            Ok(settings) => settings,
            Err(why) => return self.unavailable(item, header, &why).map(ControlFlow::Break),
        };
        let name = header.endpoint(self.lane.queue());
        if self.lane.queue().is_broker() && is_left(header, &settings) {
            // Each endpoint gets its own, once the queue is distributed to them.
            self.blocked.insert(repository.clone());
            return Ok(ControlFlow::Break(ItemOutcome::Blocked));
        }
        let Some(endpoint) = name.and_then(|name| settings.receiver(name)).cloned() else {
            // Clearing a URL stops its notifications, those that wait too. They are kept:
            // the URL may have been mistyped, and corrected since.
            let (line, notice) = self.not_configured(item, header);
            self.log(&line);
            self.report.notices.push(notice);
            self.lane.fail_rest(item)?;
            self.report.failed += 1;
            return Ok(ControlFlow::Break(ItemOutcome::Settled));
        };
        if endpoint.paused {
            self.blocked.insert(repository.clone());
            return Ok(ControlFlow::Break(ItemOutcome::Blocked));
        }
        let numbers = header.messages_for(self.lane.queue());
        Ok(ControlFlow::Continue(Job {
            entry,
            settings,
            endpoint,
            numbers,
        }))
    }

    fn unavailable(
        &mut self,
        item: &Item,
        header: &Header,
        unavailable: &Unavailable,
    ) -> Result<ItemOutcome, SpoolError> {
        let repository = header.repository.clone();
        let age = self.agent.outside.now().duration_since(item.id.time());
        let is_old = age.is_ok_and(|age| age > Retry::default().give_up_after);
        let is_old = is_old && self.agent.may_expire;
        if is_old && matches!(unavailable, Unavailable::Gone(_)) {
            self.lane.fail_rest(item)?;
            self.report.failed += 1;
            return Ok(ItemOutcome::Settled);
        }
        self.fault(repository, unavailable.notice());
        Ok(ItemOutcome::Blocked)
    }

    pub(super) fn set_aside(&mut self, item: &Item, error: &EntryError) -> Result<(), SpoolError> {
        self.lane.set_aside(item)?;
        self.report.failed += 1;
        let text = format!("{}: it lies in `failed/unreadable/` now", chain(error));
        self.report.notices.push(Notice::open(text, None));
        Ok(())
    }

    /// Records that nothing can be sent for a repository, with a notice.
    pub(super) fn fault(&mut self, repository: PathBuf, notice: Notice) {
        self.blocked.insert(repository);
        self.report.notices.push(notice);
    }
}
