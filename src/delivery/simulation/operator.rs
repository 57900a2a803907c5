//! Acts of an operator, and of the disk.

use tokio::time::Instant;

use super::super::agent::Outside;
use super::script::Script;
use super::simulated::ENDPOINTS;
use crate::spool::{Entry, Queue, fill_disk};

/// Returns the number of an entry's message.
fn number(entry: &Entry) -> u64 {
    let message = entry.message(0).unwrap();
    message.msg_id["2026-".len()..].parse().unwrap()
}

impl Script {
    fn draw_queue(&self) -> (&'static str, Queue) {
        let name = ENDPOINTS[self.simulated.chance.borrow_mut().index(ENDPOINTS.len())];
        (name, Queue::new(name).unwrap())
    }

    /// Drops the first or the last entry of a queue.
    pub(super) fn drop_one(&mut self) {
        let (name, queue) = self.draw_queue();
        let spool = &self.simulated.spool;
        let mut items = spool.peek(&queue).unwrap().in_order;
        let at = [0, items.len().saturating_sub(1)][self.simulated.chance.borrow_mut().index(2)];
        if at < items.len() {
            let item = items.swap_remove(at);
            let entry = spool.open_item(&queue, &item).unwrap();
            spool.drop_waiting(&queue, &[item]).unwrap();
            let dropped = (name.to_owned(), number(&entry));
            self.dropped.insert(dropped);
        }
    }

    /// Hands a queue over to another endpoint, if no process delivers from either.
    pub(super) fn hand_over(&mut self) {
        let ((from, queue), (to, other)) = (self.draw_queue(), self.draw_queue());
        let spool = &self.simulated.spool;
        let is_free = |queue: &Queue| spool.lane(queue).unwrap().is_some();
        if from == to || !is_free(&queue) || !is_free(&other) {
            return;
        }
        let waiting = spool.peek(&queue).unwrap();
        let items = waiting.in_order.iter().chain(&waiting.refused);
        let waiting = items.map(|item| spool.open_item(&queue, item).unwrap());
        let failed = spool.failed(&queue).unwrap().into_iter();
        let failed = failed.map(|failed| spool.open_failed(&failed).unwrap());
        for entry in waiting.chain(failed) {
            let message = (from.to_owned(), number(&entry));
            self.moved.insert(message, to.to_owned());
        }
        let done = spool.hand_over(&queue, (&other, to), &|_, _| true).unwrap();
        assert!(done.unread.is_empty());
        // The other endpoint has what it got by itself; all else comes there late.
        self.disturbed.insert(to.to_owned());
    }

    pub(super) fn fill_the_disk(&mut self) {
        self.simulated.is_full.set(true);
        self.lapses.push((Instant::now(), None));
        fill_disk(true);
        // Those under way, and those that are not crossed off.
        self.unlogged += 2 * ENDPOINTS.len();
    }

    pub(super) fn make_room(&mut self) {
        self.simulated.is_full.set(false);
        for (_, end) in &mut self.lapses {
            end.get_or_insert_with(Instant::now);
        }
        fill_disk(false);
    }

    /// Makes an event happen while the disk is full: pushers are told that it is.
    pub(super) fn live_with_a_full_disk(&mut self) {
        if self.simulated.chance.borrow_mut().one_in(2) {
            self.make_room();
        } else {
            self.change_a_receiver();
        }
    }

    /// Retries everything, as an operator does.
    pub(super) fn retry(&mut self) {
        let spool = &self.simulated.spool;
        let now = self.simulated.now();
        for queue in spool.queues().unwrap() {
            let waiting = spool.peek(&queue).unwrap();
            let items: Vec<_> = waiting
                .in_order
                .into_iter()
                .chain(waiting.refused)
                .collect();
            spool.retry_waiting(&queue, &items, now).unwrap();
        }
        for queue in spool.failed_queues().unwrap() {
            for failed in spool.failed(&queue).unwrap() {
                self.disturbed.insert(queue.to_string());
                spool.retry_failed(&failed, now).unwrap();
            }
        }
    }
}
