//! refpost: a ref moves, a POST goes out.
//!
//! One binary, linked as a git hook in bare repositories. The path of the data:
//!
//! ```text
//!  hook stdin, environment                          configuration (server + repository)
//!        │                                                         │
//!        ▼                                                         ▼
//!  RefUpdate ──► RefChange ──► Message ──► entry in the spool ──► attempt ──► outcome
//!    git/          git/        payload/          spool/           delivery/   report
//! ```
//!
//! Data move in one direction only. A push becomes *one* file in the spool, durable before the hook
//! ends. Everything after that can be killed at any instant, and the next flush goes on with it.
//! Mode `sync` is no second path: it enqueues, then attempts that entry while the pusher waits.
//!
//! | module | contents |
//! |---|---|
//! | [`start`] | as a hook or as a subcommand; errors become exit codes |
//! | [`cli`] | the command line: the list of subcommands |
//! | [`command`] | one file per subcommand |
//! | [`context`] | clock, environment, accounts, repositories, spools: inputs of commands; who is trusted |
//! | [`error`] | errors that end a command, their hints, exit codes |
//! | [`announce`] | a push becomes entries in the spool, and is delivered |
//! | [`service`] | a service that delivers for all accounts, and submitting to it |
//! | [`as_account`] | refpost of root, at work as other accounts |
//! | [`config`] | TOML in layers → settings; secrets are read at each use |
//! | [`git`] | the meaning of a push: ref updates → changes; the only user of git2 |
//! | [`hooks`] | files of hooks in repositories: found, linked, chained, recognised |
//! | [`host`] | the software that keeps a repository (gitolite, GitLab, …), and its data |
//! | [`event`] | the plain facts of a push, which all modules share |
//! | [`payload`] | changes → events → bodies, byte for byte; pure |
//! | [`plain_file`] | opening files of other accounts without waiting or following links |
//! | [`json`] | JSON in pure ASCII, as Python writes it |
//! | [`signature`] | secrets and signatures |
//! | [`spool`] | undelivered messages on disk: state is in names, bodies never change |
//! | [`observe`] | the state of all spools, for metrics and the page |
//! | [`delivery`] | sign, POST or publish, decide, in order; the only user of hyper and amqprs |
//! | [`receiver`] | an HTTP receiver for `listen` and `demo` |
//! | [`report`] | the only writer to the terminal |
//!
//! | question | file |
//! |---|---|
//! | who is trusted with what | `context/trust` |
//! | in which order pushes leave | `spool/claim`, `spool/distribute/{order, ahead}` |
//! | which endpoints and queues get a message | `delivery/recipients` |
//! | what an answer means, and what follows | `delivery/{outcome, retry}` |
//! | which queue has its turn | `delivery/{scheduler, places, line, crowd}` |
//! | which texts are URLs, and which are refused | `config/values/text` |
//! | which addresses may be dialled | `delivery/http/address` |
//! | which links, FIFOs and devices are refused | `plain_file`; in place of objects `git/objects/irregular` |
//! | texts and hints of errors | `error` of each module, `delivery/http/fault` |
//! | texts for a pusher, findings of `check` | `announce/leave`, `command/check` |
//! | names and contents of entries | `spool/{names, entry, record, encoding}` |
//! | which commits and files a change has | `git/{changes, history, tree_diff}` |
//! | how objects are read | `git/objects/store` |
//! | what the service takes in | `service/{asker, reach, desk}` |
//! | how layers of the configuration merge | `config/{schema, load}` |
//!
//! Below `context`, nothing reads the clock, the environment, randomness or the place of the
//! configuration: they are passed as values. docs/explanation/design.md has the
//! reasons, docs/explanation/promises.md the promises.

pub mod announce;
pub mod as_account;
pub mod cli;
pub mod command;
pub mod config;
pub mod context;
pub mod delivery;
pub mod error;
pub mod event;
pub mod git;
pub mod hooks;
pub mod host;
pub mod json;
pub mod observe;
pub mod payload;
pub mod plain_file;
pub mod receiver;
pub mod report;
pub mod service;
pub mod signature;
pub mod spool;
pub mod start;
