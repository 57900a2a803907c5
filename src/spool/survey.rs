//! How things stand, from names alone.

use std::collections::BTreeSet;
use std::time::SystemTime;

use super::Spool;
use super::error::IoError;
use super::item::Item;
use super::queue::Queue;

/// How a spool stands.
#[derive(Debug)]
pub struct Survey {
    /// How many entries are in `new/`.
    pub new: usize,
    /// When the oldest of them was enqueued.
    pub oldest_new: Option<SystemTime>,
    /// How many entries could not be read.
    pub unreadable: usize,
    /// Every queue that has something, by name.
    pub queues: Vec<QueueSurvey>,
    /// Queues that are not looked into, as what is in their place may lead elsewhere.
    pub refused: Vec<IoError>,
}

/// How a queue stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSurvey {
    /// Its name.
    pub queue: Queue,
    /// How many entries wait in order.
    pub waiting: usize,
    /// How many refused messages wait for themselves.
    pub aside: usize,
    /// How many entries or parts of entries have failed.
    pub failed: usize,
    /// The one that holds all others: its due time and its attempts are the queue's.
    pub head: Option<Item>,
    /// The time of the oldest entry of all that wait, in order or aside.
    pub oldest: Option<SystemTime>,
}

impl Spool {
    /// How the spool stands. Takes no lock and opens no entry.
    pub fn survey(&self) -> Result<Survey, IoError> {
        let (new, _) = self.ids_in_new()?;
        let mut names: BTreeSet<Queue> = self.queues()?.into_iter().collect();
        names.extend(self.failed_queues()?);
        names.remove(&Queue::unreadable());
        let (mut queues, mut refused) = (vec![], vec![]);
        for queue in names {
            match self.survey_queue(queue) {
                Err(error) if error.refused().is_some() => refused.push(error),
                survey => queues.push(survey?),
            }
        }
        queues.retain(|one| one.waiting + one.aside + one.failed > 0);
        Ok(Survey {
            new: new.len(),
            oldest_new: new.first().map(super::Id::time),
            unreadable: self.failed(&Queue::unreadable())?.len(),
            queues,
            refused,
        })
    }

    fn survey_queue(&self, queue: Queue) -> Result<QueueSurvey, IoError> {
        let waiting = self.peek(&queue)?;
        let items = waiting.mains.iter().chain(&waiting.asides);
        Ok(QueueSurvey {
            waiting: waiting.mains.len(),
            aside: waiting.asides.len(),
            failed: self.failed(&queue)?.len(),
            oldest: items.map(|item| item.id.time()).min(),
            head: waiting.mains.first().cloned(),
            queue,
        })
    }
}
