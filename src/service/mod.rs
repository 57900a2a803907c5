//! A service under an account of its own, which delivers for all accounts that push. They
//! submit entries to it, and it reads no files of theirs.
//!
//! ```text
//!  hook, flush                      refpost work
//!  ───────────                      ────────────
//!  entry ──► retry/@service/ ──► submit ═══ socket ═══► desk ──► new/ ──► queues ──► receivers
//!            the repository's                            │        the service's own spool
//!            own spool                                   asker, reach: account and repository
//! ```
//!
//! | file | is for |
//! |---|---|
//! | `protocol` | requests and answers over the socket |
//! | `stream` | a connection that ends on time |
//! | `socket` | listening; how many requests at once |
//! | `asker` | the account at the other end |
//! | `reach` | finding a repository that this account may write, by its path |
//! | `desk` | taking an entry in, from any source (`desk::Offered`) |
//! | `submit` | the other side: sending the entries of a repository's spool to the service |
//! | `drain` | taking in the mail drop of an earlier refpost |

mod asker;
mod desk;
mod drain;
mod protocol;
mod reach;
mod socket;
mod stream;
mod submit;

pub(crate) use drain::drain;
pub(crate) use protocol::Answer;
pub(crate) use submit::{PUSH_PATIENCE, Submitter, probe, submit, submit_all};

use std::path::Path;

use crate::config::Server;
use crate::context::Context;
use crate::error::Error;

/// Answers requests on the socket, on threads of their own, as long as this process lives.
pub(crate) fn serve(path: &Path, server: &Server, ctx: &Context) -> Result<(), Error> {
    for root in server.spools() {
        drain::ensure_own(root, ctx)?;
    }
    let listener = socket::listener(path)?;
    socket::serve(listener, ctx.named_config())
}
