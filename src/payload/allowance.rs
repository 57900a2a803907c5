//! How long the bodies of one entry may be: each, and all together.

/// The bodies of one entry come to about so much.
const MOST: usize = 64 << 20;

/// What a body may have once they have.
const AFTER: usize = 4 << 10;

/// What is left for the bodies of one entry.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    longest: usize,
    used: usize,
}

impl Allowance {
    /// Of an entry whose bodies shall each have no more than `longest` bytes.
    #[must_use]
    pub fn new(longest: usize) -> Self {
        Self { longest, used: 0 }
    }

    /// How long the next body shall be at most.
    #[must_use]
    pub fn longest(&self) -> usize {
        if self.used > MOST {
            self.longest.min(AFTER)
        } else {
            self.longest
        }
    }

    /// A body of this length was made. How long they are in all.
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
