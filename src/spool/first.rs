//! The smallest of many items, in bounded memory.

use std::collections::BinaryHeap;

/// Keeps the `most` smallest items seen.
#[derive(Debug)]
pub(super) struct First<T> {
    most: usize,
    /// The largest of them is on top.
    heap: BinaryHeap<T>,
    more: bool,
}

impl<T: Ord> First<T> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            heap: BinaryHeap::new(),
            more: false,
        }
    }

    /// Returns the largest item kept, once `most` are kept: larger ones are left out.
    pub(super) fn last(&self) -> Option<&T> {
        self.heap.peek().filter(|_| self.heap.len() == self.most)
    }

    pub(super) fn put(&mut self, item: T) {
        self.heap.push(item);
        if self.heap.len() > self.most {
            self.heap.pop();
            self.more = true;
        }
    }

    /// Records that an item larger than [`First::last`] was left out.
    pub(super) fn leave_out(&mut self) {
        self.more = true;
    }

    /// Returns the items in order, and whether others were left out.
    pub(super) fn into_sorted(self) -> (Vec<T>, bool) {
        (self.heap.into_sorted_vec(), self.more)
    }
}
