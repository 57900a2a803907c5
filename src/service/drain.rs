//! Drains a mail drop of an earlier refpost: a spool into which every account could put files.
//!
//! The files are taken in once, each as from the account that owns it.

use std::fs::{self, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::asker::Asker;
use super::desk::{Desk, Offered, Shared};
use super::protocol::{Answer, Request};
use crate::config::Server;
use crate::context::{Context, locate};
use crate::error::{Error, Exit, IoContext};
use crate::report;
use crate::spool::{Access, Header, Id, Spool, SpoolError};

/// Folders of a mail drop in which every account could make names.
const OPEN_TO_ALL: [&str; 2] = ["tmp", "new"];

/// Makes a spool, if there is none, for this account alone.
///
/// Fails if the spool is another account's, or others can read or write it.
pub(crate) fn ensure_own(root: &Path, ctx: &Context) -> Result<(), Error> {
    let spool = Spool::new(root, Access::Owner);
    spool.ensure().map_err(SpoolError::from)?;
    let meta = fs::metadata(root).doing("open", root)?;
    let (owner, mode) = (meta.uid(), meta.mode() & 0o7777);
    let root = root.display();
    if owner != ctx.own_uid() {
        let (owner, own) = (ctx.account(owner).0, ctx.own_account());
        return Err(Error::Failed {
            what: format!("spool `{root}` belongs to `{owner}`, and the service is `{own}`"),
            hint: Some("run the service as the account that owns its spool".to_owned()),
        });
    }
    if mode & 0o077 != 0 {
        return Err(Error::Failed {
            what: format!("mode {mode:04o} of spool `{root}` lets others in"),
            hint: Some(format!(
                "of an earlier mail drop, name another `spool` and run: refpost work --drain \
                 {root}; else: chmod 0700 {root}"
            )),
        });
    }
    Ok(())
}

pub(crate) fn drain(old: &Path, server: &Server, ctx: &Context) -> Result<Exit, Error> {
    let Some(own) = server.spools().next() else {
        return Ok(Exit::Well);
    };
    let is_same = old
        .canonicalize()
        .is_ok_and(|old| own.canonicalize().is_ok_and(|own| own == old));
    if is_same {
        return Err(Error::Failed {
            what: format!("cannot drain `{}` into itself", old.display()),
            hint: Some("name another folder in `spool`".to_owned()),
        });
    }
    ensure_own(own, ctx)?;
    // From now on no other account changes the names in it.
    for name in OPEN_TO_ALL {
        let folder = old.join(name);
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).doing("close", &folder)?;
    }
    let (spool, shared) = (Spool::new(old, Access::Owner), Shared::default());
    let desk = Desk::new(ctx.again(), &shared);
    let (mut taken, mut left) = (0, 0);
    for id in spool.ids_in_new().map_err(SpoolError::from)? {
        match take(&desk, &spool, &id, server, ctx) {
            Ok(()) => taken += 1,
            Err(why) => {
                left += 1;
                report::say(&format!("cannot take entry `{id}`: {why}"));
            }
        }
    }
    // No other account could write into its queues.
    let adopted = locate::spool_at(own).adopt_queues(&spool);
    let adopted = adopted.map_err(SpoolError::from)?;
    report::line(&format!(
        "{} taken, {} of queues moved, {left} left in `{}`",
        report::count(taken, "entry"),
        report::count(adopted.files, "file"),
        old.display()
    ));
    Ok(if left == 0 { Exit::Well } else { Exit::No })
}

/// Takes an entry in as from the account that owns its file.
fn take(
    desk: &Desk<'_>,
    spool: &Spool,
    id: &Id,
    server: &Server,
    ctx: &Context,
) -> Result<(), String> {
    let entry = spool.open_new(id);
    let entry = entry.map_err(|error| report::chain(&error))?;
    let uid = entry.owner();
    let asker = Asker {
        uid,
        groups: ctx.groups(uid),
    };
    let request = Request {
        id: id.clone(),
        repository: entry.header().repository.clone(),
        endpoints: meant(entry.header(), server, ctx),
        length: entry.size(),
    };
    match desk.take(
        &asker,
        &request,
        &mut Dropped(entry.bytes().map_err(|e| e.to_string())?),
    ) {
        Answer::Durable => spool
            .drop_new(std::slice::from_ref(id))
            .map(drop)
            .map_err(|error| report::chain(&error)),
        Answer::Send => Err("it is empty".to_owned()),
        Answer::Later(why) | Answer::Never(why) => Err(why),
    }
}

/// Returns the endpoints that an entry names and that are configured.
fn meant(header: &Header, server: &Server, ctx: &Context) -> Vec<String> {
    let loaded = server.load_served(&header.repository, ctx.host());
    let endpoints = loaded.map_or_else(|_| Vec::new(), |loaded| loaded.settings.endpoints);
    let names = endpoints.into_iter().map(|endpoint| endpoint.name);
    names.filter(|name| header.names(name)).collect()
}

/// An entry in a file of the mail drop.
struct Dropped<R>(R);

impl<R: Read> Offered for Dropped<R> {
    fn entry(&mut self) -> io::Result<&mut dyn Read> {
        Ok(&mut self.0)
    }
}
