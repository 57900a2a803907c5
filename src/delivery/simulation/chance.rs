//! Random numbers from a seed.

use std::time::Duration;

/// A generator of numbers (xorshift64*).
#[derive(Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        // Seeds that are close give sequences that are not.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    pub(super) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }

    /// Returns true once in `times` calls, on average.
    pub(super) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Returns a time, mostly short, now and then as long as `longest`.
    pub(super) fn span(&mut self, longest: Duration) -> Duration {
        let shift = self.below(24);
        let longest = u64::try_from(longest.as_millis()).unwrap().max(1);
        Duration::from_millis(self.below((longest >> shift).max(2)))
    }
}
