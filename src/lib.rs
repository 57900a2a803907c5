//! refpost: a ref moves, a POST goes out.
//!
//! One binary, linked as a git hook in bare repositories. The way of the data:
//!
//! ```text
//!  hook stdin, environment                          configuration (server + repository)
//!        │                                                         │
//!        ▼                                                         ▼
//!  RefUpdate ──► RefChange ──► Message ──► entry in the spool ──► attempt ──► outcome
//!    git/          git/        payload/          spool/           delivery/   report
//! ```
//!
//! One direction, no back and forth. A push becomes *one* file in the spool,
//! durable before the hook ends; everything after that can be killed at any instant
//! and is taken up by the next flush. Mode `sync` is no second path: it enqueues,
//! then attempts that entry while the pusher waits.
//!
//! | room | is for |
//! |---|---|
//! | [`cli`] | the command line, as clap's types |
//! | [`command`] | one file per subcommand: wiring, and errors → exit codes |
//! | [`config`] | TOML in layers → settings; secrets are read at each use |
//! | [`git`] | what a push means: ref updates → changes; the only user of git2 |
//! | [`host`] | the software that a repository lives under, and what it says |
//! | [`event`] | the plain facts that all rooms share |
//! | [`payload`] | changes → events → bodies, byte for byte; pure |
//! | [`plain_file`] | files that others wrote, opened so that none of them makes us wait |
//! | [`json`] | JSON in pure ASCII, as Python writes it |
//! | [`signature`] | secrets, and the signatures that they make |
//! | [`spool`] | what is owed, on disk: state is in names, bodies never change |
//! | [`delivery`] | sign, POST, decide, in order; the only user of hyper |
//! | [`receiver`] | the other end, for `listen` and `demo` |
//! | [`report`] | the only writer to the terminal |
//!
//! Below `command`, nothing reads the clock, the environment, chance or the
//! configuration's place: they arrive as values. docs/design.md has the promises
//! and the reasons.

pub mod cli;
pub mod command;
pub mod config;
pub mod delivery;
pub mod event;
pub mod git;
pub mod host;
pub mod json;
pub mod payload;
pub mod plain_file;
pub mod receiver;
pub mod report;
pub mod signature;
pub mod spool;
