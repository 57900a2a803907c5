//! How much work one push may be: a few objects, named many times over, are no reason for a
//! pusher to wait. Objects are counted, never seconds, so that the same push always gives the
//! same messages.

/// Number of repeated visits for which objects may be read.
const AGAIN: usize = 200_000;

/// A commit may be visited so often for nothing: to be listed, to hide others, and for merge
/// bases, whose walks come to two for all refs together. So a first push of any size is told
/// whole.
const FREE_OF_COMMITS: usize = 4;

/// Number of repeated visits that each ref adds: objects near the tips of many refs are visited for
/// each.
const FREE_OF_REFS: usize = 64;

/// Number of bits of an id that distinguish trees. Two trees that share them cost one visit.
const TREE_BITS: u32 = 25;

/// Objects that were visited, and the number of visits left.
pub(in crate::git) struct Effort {
    /// A bit for each object.
    visited: Vec<u64>,
    /// Visits that the first visit of an object adds.
    first: usize,
    left: usize,
    is_spent: bool,
}

impl Effort {
    fn new(first: usize) -> Self {
        Self {
            visited: Vec::new(),
            first,
            left: AGAIN,
            is_spent: false,
        }
    }

    /// Returns the budget of walks.
    pub(in crate::git) fn of_commits() -> Self {
        Self::new(FREE_OF_COMMITS - 1)
    }

    /// Returns the budget of comparisons.
    pub(in crate::git) fn of_trees() -> Self {
        Self::new(0)
    }

    /// Adds the visits of another ref.
    pub(in crate::git) fn begin_ref(&mut self) {
        self.left += FREE_OF_REFS;
    }

    /// Counts a visit of an object, by its number.
    pub(in crate::git) fn visit(&mut self, number: u32) {
        let (word, bit) = (number as usize / 64, 1 << (number % 64));
        if word >= self.visited.len() {
            self.visited.resize(word + word / 2 + 1, 0);
        }
        if self.visited[word] & bit == 0 {
            self.visited[word] |= bit;
            self.left += self.first;
        } else if self.left == 0 {
            self.is_spent = true;
        } else {
            self.left -= 1;
        }
    }

    /// Counts a visit of a tree, by the bytes of its id.
    pub(in crate::git) fn visit_tree(&mut self, id: &[u8]) {
        if self.visited.is_empty() {
            // Room that nobody writes to takes no memory.
            self.visited = vec![0; (1 << TREE_BITS) / 64];
        }
        let start = id.first_chunk().expect("an id has 20 bytes or more");
        self.visit(u32::from_be_bytes(*start) >> (32 - TREE_BITS));
    }

    /// Whether nothing was left at some time: then what comes is told without looking.
    pub(in crate::git) fn is_spent(&self) -> bool {
        self.is_spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_visited_again_is_counted() {
        let mut effort = Effort::of_commits();
        for number in 0..1000 {
            effort.visit(number);
        }
        for visit in 0..AGAIN + 3 * 1000 {
            effort.visit(u32::try_from(visit % 1000).expect("it is small"));
        }
        assert!(!effort.is_spent());
        effort.visit(7);
        assert!(effort.is_spent());
        effort.begin_ref();
        effort.visit(1_000_000);
        assert!(effort.is_spent());
    }

    #[test]
    fn a_tree_is_visited_once_for_nothing() {
        let mut effort = Effort::of_trees();
        let id = |number: u32| [&(number << 7).to_be_bytes()[..], &[0; 16]].concat();
        for number in 0..300_000 {
            effort.visit_tree(&id(number));
        }
        for _ in 0..AGAIN {
            effort.visit_tree(&id(5));
        }
        assert!(!effort.is_spent());
        effort.visit_tree(&id(5));
        assert!(effort.is_spent());
    }
}
