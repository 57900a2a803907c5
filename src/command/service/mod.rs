//! A service of an account of its own, which delivers for all who push. They submit
//! entries to it, and it reads nothing of theirs.
//!
//! ```text
//!  hook, flush                      refpost work
//!  ───────────                      ────────────
//!  entry ──► retry/@service/ ──► submit ═══ socket ═══► desk ──► new/ ──► queues ──► receivers
//!            the repository's                            │        the service's own spool
//!            own spool                                   asker, reach: who, and which repository
//! ```
//!
//! | file | is for |
//! |---|---|
//! | `protocol` | the words over the socket |
//! | `stream` | a connection that ends on time |
//! | `socket` | listening; how many requests at once |
//! | `asker` | who is at the other end |
//! | `reach` | from a path to a repository that this account may write |
//! | `desk` | taking an entry in, wherever it comes from ([`desk::Offered`]) |
//! | `submit` | the other side: what waits in a repository's spool goes to the service |
//! | `drain` | what lies in a mail drop of an earlier refpost |

mod asker;
mod desk;
mod drain;
mod protocol;
mod reach;
mod socket;
mod stream;
mod submit;

pub(super) use drain::drain;
pub(super) use protocol::Answer;
pub(super) use submit::{PUSH_PATIENCE, probe, submit, submit_all};

use std::path::Path;

use super::Error;
use super::surroundings::Surroundings;
use crate::config::Server;

/// Answers requests on the socket, on threads of their own, as long as this process lives.
pub(super) fn serve(path: &Path, server: &Server, around: &Surroundings) -> Result<(), Error> {
    for root in server.spools() {
        drain::ensure_own(root, around)?;
    }
    let listener = socket::listener(path)?;
    socket::serve(listener, around.named_config())
}
