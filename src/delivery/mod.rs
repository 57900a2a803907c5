//! From a waiting message to an answer: what came back, and what follows from it.

pub mod outcome;
pub mod retry;
