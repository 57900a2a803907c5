//! Who wrote commits.

use std::collections::HashMap;

use crate::event::Author;
use crate::git::objects::header::Signature;

/// No more authors than this are kept by number,
const MOST_AUTHORS: usize = 100_000;

/// and no more bytes of their names and addresses than this.
const MOST_AUTHOR_BYTES: usize = 4 << 20;

/// Authors, each once, so that no commit need be read again for its own.
#[derive(Default)]
pub(in crate::git) struct Authors {
    /// By how commits write them.
    numbers: HashMap<Box<[u8]>, u32>,
    all: Vec<Author>,
    bytes: usize,
    key: Vec<u8>,
}

impl Authors {
    /// The author's number, or `None` if there is no more room.
    pub(in crate::git) fn keep(&mut self, signature: &Signature<'_>) -> Option<u32> {
        signature.write_key(&mut self.key);
        if let Some(&number) = self.numbers.get(self.key.as_slice()) {
            return Some(number);
        }
        if self.all.len() == MOST_AUTHORS || self.bytes > MOST_AUTHOR_BYTES {
            return None;
        }
        let number = u32::try_from(self.all.len()).expect("they are few");
        self.bytes += self.key.len();
        self.numbers.insert(self.key.as_slice().into(), number);
        self.all.push(signature.person());
        Some(number)
    }

    /// One of those who are kept.
    pub(in crate::git) fn of(&self, kept: u32) -> &Author {
        &self.all[kept as usize]
    }
}
