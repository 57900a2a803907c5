//! Handing a queue over to another endpoint, and retrying a message with another body.
//!
//! An entry names its recipients, and its bytes never change. So each entry of the old queue is
//! written anew, for the new endpoint alone, with the same messages in it. The new entry has an id
//! of its own, which sorts at the place of the old one.
//!
//! Messages that the new endpoint has by itself are not sent there twice. What is left of them in
//! the new queue is written anew too, for the new endpoint alone, under an id of its own: no entry
//! names a queue that it was moved out of, so that it can be moved back.
//!
//! Crash at any point: an entry is in its old place, in its new one, or in both. The next run makes
//! the same names and finds those that exist; the worst result is a repeat.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::entry::{self, Entry};
use super::error::{EntryError, IoError, SpoolError};
use super::lane::Lane;
use super::names::id::Id;
use super::names::item::{Failed, Item, Part};
use super::names::queue::Queue;
use super::names::times;
use super::recipient::{Recipient, Selection};
use super::record::{Built, Content, Header};
use super::{Lock, Spool, disk};
use crate::payload::Message;

/// Entries that share the flush of the queue that they go to.
const BATCH: usize = 64;

/// The result of a handover.
#[derive(Debug, Default)]
pub struct HandedOver {
    /// Number of entries, or parts of entries, that were handed over.
    pub entries: usize,
    /// Entries that stayed because they could not be read.
    pub unread: Vec<EntryError>,
}

/// An item of one of the queues.
enum Source {
    Waiting(Item),
    Failed(Failed),
}

impl Source {
    fn place(&self) -> (&Id, Part) {
        match self {
            Self::Waiting(item) => (&item.id, item.part),
            Self::Failed(failed) => (&failed.id, failed.part),
        }
    }

    /// Returns the item at the same place, of an entry with another id.
    fn with_id(&self, id: &Id) -> Self {
        let id = id.clone();
        match self {
            Self::Waiting(item) => Self::Waiting(Item { id, ..item.clone() }),
            Self::Failed(failed) => Self::Failed(Failed {
                id,
                ..failed.clone()
            }),
        }
    }

    /// Removes the item from its queue.
    fn let_go(&self, spool: &Spool, lane: Option<&Lane>) -> Result<(), IoError> {
        match (self, lane) {
            (Self::Waiting(item), Some(lane)) => lane.remove(item),
            (Self::Waiting(_), None) => Ok(()),
            (Self::Failed(failed), _) => spool.drop_failed(failed).map(drop),
        }
    }
}

/// The items of the new queue, by their entries.
type Known = BTreeMap<Id, Vec<Source>>;

impl Spool {
    /// Hands the waiting and failed items of `from`, of the entries that are wanted, over to the
    /// queue `to` of `endpoint`, in push order.
    ///
    /// Both queues are locked meanwhile, so that no process delivers half of them. Messages of a
    /// push that `to` gets by itself are not sent there twice.
    pub fn hand_over(
        &self,
        from: &Queue,
        (to, endpoint): (&Queue, &str),
        is_wanted: &dyn Fn(&Id, &Header) -> bool,
    ) -> Result<HandedOver, SpoolError> {
        let lane = self.lane_within(from, Lock::Wait)?;
        let dir = self.retry_dir(to);
        let new_lane = self.lane_made(to)?;
        let mut known = Known::new();
        for source in self.sources(to, Some(&new_lane))? {
            let of_entry = known.entry(source.place().0.clone()).or_default();
            of_entry.push(source);
        }
        let recipient = Recipient {
            queue: to.clone(),
            endpoint: endpoint.to_owned(),
            messages: Selection::All,
            forward: None,
        };
        let mut done = HandedOver::default();
        for sources in self.sources(from, lane.as_ref())?.chunks(BATCH) {
            let (mut handed, mut replaced) = (vec![], vec![]);
            let mut stopped = None;
            for source in sources {
                match self.hand(from, source, (&recipient, &known), is_wanted) {
                    Ok(Some(own)) => {
                        handed.push(source);
                        replaced.extend(own);
                    }
                    Ok(None) => {}
                    // A person has dropped it meanwhile.
                    Err(error @ SpoolError::Entry(_)) if error.is_gone() => {}
                    Err(SpoolError::Entry(error)) => done.unread.push(error),
                    // The disk may be full. Items that have their new name leave their old place
                    // all the same: they would be delivered from both.
                    Err(error) => {
                        stopped = Some(error);
                        break;
                    }
                }
            }
            Self::flush_queue_dir(&dir)?;
            // Crash here: these are in both queues, or twice in the new one.
            for source in replaced {
                source.let_go(self, Some(&new_lane))?;
            }
            for source in handed {
                source.let_go(self, lane.as_ref())?;
                done.entries += 1;
            }
            if let Some(error) = stopped {
                return Err(error);
            }
        }
        Ok(done)
    }

    /// Returns all items of a queue and of its `failed/`, in push order.
    fn sources(&self, from: &Queue, lane: Option<&Lane>) -> Result<Vec<Source>, IoError> {
        let waiting = lane.map(Lane::all).transpose()?.unwrap_or_default();
        let items = waiting.in_order.into_iter().chain(waiting.refused);
        let failed = self.failed(from)?.into_iter().map(Source::Failed);
        let mut sources: Vec<_> = items.map(Source::Waiting).chain(failed).collect();
        sources.sort_by(|a, b| a.place().cmp(&b.place()));
        Ok(sources)
    }

    /// Gives an item of the old queue its name in the new one. Returns the items of the new queue
    /// that were written anew, or `None` if the item stays.
    fn hand<'a>(
        &self,
        from: &Queue,
        source: &Source,
        (to, known): (&Recipient, &'a Known),
        is_wanted: &dyn Fn(&Id, &Header) -> bool,
    ) -> Result<Option<&'a [Source]>, SpoolError> {
        let entry = match source {
            Source::Waiting(item) => self.open_item(from, item)?,
            Source::Failed(failed) => self.open_failed(failed)?,
        };
        let header = entry.header();
        let numbers = header.messages_for(from);
        let (id, part) = source.place();
        if numbers.is_empty() || !is_wanted(id, header) {
            return Ok(None);
        }
        let theirs = header.messages_for(&to.queue);
        let own = known.get(id).map_or(&[][..], Vec::as_slice);
        // An id for each list of messages: parts are numbers in it.
        let own_id = id.handed_over(to.queue.as_str());
        for one in own {
            let messages = messages_of(&entry, &theirs)?;
            self.write_anew(&entry, messages, to, &one.with_id(&own_id))?;
        }
        // The others it has by itself: delivered, waiting or failed.
        let fresh = |numbers: &[usize]| -> Vec<usize> {
            let all = numbers.iter().copied();
            all.filter(|number| !theirs.contains(number)).collect()
        };
        let first = (part.first() as usize).min(numbers.len());
        let (before, left) = numbers.split_at(first);
        let before = u32::try_from(fresh(before).len()).unwrap_or(u32::MAX);
        let (left, part) = match part {
            Part::From(_) => (left, Part::From(before)),
            Part::Only(_) => (&left[..left.len().min(1)], Part::Only(before)),
        };
        if !fresh(left).is_empty() {
            let messages = messages_of(&entry, &fresh(&numbers))?;
            let first = Item::first(&id.handed_over(from.as_str()));
            let item = Source::Waiting(Item { part, ..first });
            self.write_anew(&entry, messages, to, &item)?;
        }
        Ok(Some(own))
    }

    /// Puts a failed item back into its queue, due at once, with these messages in place of those
    /// that its endpoint gets of the entry.
    ///
    /// Crash between the two steps: it is in the queue and in `failed/`, as after
    /// [`Spool::retry_failed`].
    pub fn retry_anew(
        &self,
        failed: &Failed,
        messages: Vec<Message>,
        now: SystemTime,
    ) -> Result<(), SpoolError> {
        let entry = self.open_failed(failed)?;
        let queue = &failed.queue;
        let recipient = Recipient {
            queue: queue.clone(),
            endpoint: entry
                .header()
                .endpoint(queue)
                .unwrap_or_default()
                .to_owned(),
            messages: Selection::All,
            forward: None,
        };
        let id = failed.id.handed_over(queue.as_str());
        let item = Source::Waiting(Item::due_at(&id, failed.part, times::round_down(now)));
        self.write_anew(&entry, messages, &recipient, &item)?;
        Self::flush_queue_dir(&self.retry_dir(queue))?;
        self.drop_failed(failed)?;
        Ok(())
    }

    /// Writes an entry for one endpoint alone, with these messages, and gives it an item's name.
    fn write_anew(
        &self,
        entry: &Entry,
        messages: Vec<Message>,
        to: &Recipient,
        item: &Source,
    ) -> Result<(), SpoolError> {
        let draft = entry.header().with(Content::Built(Built {
            messages,
            recipients: vec![to.clone()],
        }));
        let tmp = self.work_dir()?.entry(format!("{}.moved", item.place().0));
        // A crash may have left this name in an earlier try.
        disk::unlink(&tmp)?;
        let file = disk::create(&tmp, self.access)?;
        // Crash before the link: it is in its old place alone.
        entry::write(&draft, &file, &tmp)?;
        disk::flush(&file, &tmp)?;
        match item {
            Source::Waiting(item) => {
                let name = item.to_string();
                self.link_into(&self.retry_dir(&to.queue), |dir| {
                    disk::link(&tmp, &dir.entry(&name))
                })?;
            }
            Source::Failed(failed) => self.link_to_failed(&tmp, failed)?,
        }
        Ok(disk::unlink(&tmp)?)
    }
}

fn messages_of(entry: &Entry, numbers: &[usize]) -> Result<Vec<Message>, EntryError> {
    numbers
        .iter()
        .map(|&number| entry.message(number))
        .collect()
}
