//! The first of many things, in the memory of few.

use std::collections::BinaryHeap;

/// The first `most` of what is put in, by their order.
#[derive(Debug)]
pub(super) struct First<T> {
    most: usize,
    /// The last of them on top.
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

    /// The one after which nothing is taken any more, if it has come to that.
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

    /// One that comes after [`First::last`] was not even put in.
    pub(super) fn leave_out(&mut self) {
        self.more = true;
    }

    /// In their order, and whether others were left out.
    pub(super) fn into_sorted(self) -> (Vec<T>, bool) {
        (self.heap.into_sorted_vec(), self.more)
    }
}
