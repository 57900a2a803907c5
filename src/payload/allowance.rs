//! Limits the length of the bodies of one entry: each, and all together.

/// Length of all bodies of one entry, in bytes, after which the rest are short.
const MOST: usize = 64 << 20;

/// Length of such a short body, in bytes.
const AFTER: usize = 4 << 10;

/// Length that is left for the bodies of one entry.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    longest: usize,
    used: usize,
}

impl Allowance {
    /// Returns the allowance of an entry whose bodies should each have no more than `longest`
    /// bytes.
    #[must_use]
    pub fn new(longest: usize) -> Self {
        Self { longest, used: 0 }
    }

    /// Returns the length that the next body should have at most, in bytes.
    #[must_use]
    pub fn longest(&self) -> usize {
        if self.used > MOST {
            self.longest.min(AFTER)
        } else {
            self.longest
        }
    }

    /// Counts a body of this length. Returns the length of all bodies.
    pub fn spend(&mut self, length: usize) -> usize {
        self.used = self.used.saturating_add(length);
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_enough_of_them_bodies_are_short() {
        let mut allowance = Allowance::new(1 << 20);
        for _ in 0..64 {
            assert_eq!(allowance.longest(), 1 << 20);
            allowance.spend(1 << 20);
        }
        assert_eq!(allowance.longest(), 1 << 20);
        assert_eq!(allowance.spend(1), MOST + 1);
        assert_eq!(allowance.longest(), AFTER);
        allowance.spend(usize::MAX);
        assert_eq!(allowance.longest(), AFTER);
    }
}
