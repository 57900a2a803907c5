//! Histories, walked as git walks them.
//!
//! ```text
//! commit_graph  the commit-graph file, and chains of them
//! shallow       where the history of a shallow repository ends
//! authors       who wrote commits, each kept once
//! commits       commits by number, from that file or their own bytes
//! flags         what a walk notes of commits
//! graph         rev-list
//! merge_base    merge-base
//! gained        which commits a ref gained
//! effort        how much work one push may be
//! ```

mod authors;
mod commit_graph;
mod commits;
mod flags;
mod merge_base;

pub(super) mod effort;
pub(super) mod gained;
pub(super) mod graph;
pub(super) mod shallow;
