//! `work`: a service of an account of its own, which delivers for all who push. They submit
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

pub(super) use protocol::Answer;
pub(super) use submit::{PUSH_PATIENCE, probe, submit, submit_all};

use super::surroundings::Surroundings;
use super::{Done, Error, flush};
use crate::cli::{FlushArgs, WorkArgs};

pub(super) fn run(args: &WorkArgs, around: &Surroundings) -> Result<Done, Error> {
    let server = around.server()?;
    let missing = |what: &str| Error::Failed {
        what: format!("cannot work as the service: `{what}` is not set in the server's file"),
        hint: Some("docs/operations.md, \"A service account\"".to_owned()),
    };
    let socket = server.socket().ok_or_else(|| missing("socket"))?;
    if server.root().is_none() {
        return Err(missing("root"));
    }
    if server.spools().next().is_none() {
        return Err(missing("spool"));
    }
    if around.own_uid() == 0 {
        return Err(Error::Failed {
            what: "cannot work as the service as root: it needs none of root's rights".to_owned(),
            hint: Some("run it as an account of its own, which owns `spool`".to_owned()),
        });
    }
    if let Some(old) = &args.drain {
        return drain::run(old, &server, around);
    }
    for root in server.spools() {
        drain::ensure_own(root, around)?;
    }
    let listener = socket::listener(socket)?;
    socket::serve(listener, around.named_config())?;
    let watch = FlushArgs {
        paths: Vec::new(),
        watch: true,
        budget: None,
        strict: false,
        json: args.json,
        detached: false,
    };
    flush::run(&watch, around)
}
