//! Who is believed what: the rules, on one page, and those of repositories and configurations.
//!
//! Refpost runs as one account and reads what others wrote. Five rules are behind all others:
//!
//! - **Accounts.** Nothing is done with more rights than the account has whose it is. Root finds
//!   out whose a thing is, from folders alone, and leaves the rest to a process that is that
//!   account for good. A service sends for accounts that it does not trust, and reads nothing of
//!   theirs.
//! - **Files.** A file that others may have made is opened from a folder that is open, through no
//!   link and without waiting; what is open is looked at, and then read. A path that a person
//!   named is that person's.
//! - **Descriptors.** What was decided of an open folder or file holds for that one. No path is
//!   looked up twice.
//! - **Environment.** In a hook it is a stranger's, and decides nothing that a library reads.
//! - **Peers.** Who is at the other end of a socket, the kernel says; of what is said there, only
//!   the messages are believed. What a receiver answers changes what is sent to it, nothing else.
//!
//! The same table is in docs/explanation/security.md, with what is not believed of anybody; a test compares
//! them.
//!
//! | what | whom refpost believes | decided in |
//! |---|---|---|
//! | the server's file | root, or the account that runs refpost; links on the way are theirs | `config/file` |
//! | a repository's `refpost.toml` | root, the account that runs, the owner of the repository | `config/file`, `trust` (here), `announce/delivery_host` |
//! | a key's file | root, the account that reads it, the owner of the configuration that names it | `config/secrets/keys` |
//! | a template's file | the same | `config/secrets/templates` |
//! | whose a repository is | `fstat` of a folder that is open | `spool/search`, `plain_file` |
//! | what root found | nobody: it is a hint, which the account's own process checks | `context/found` |
//! | an account | the system's entry of its number: its groups, its group, its home | `as_account/become_account`, `context/accounts` |
//! | what an account's process says | that this account says so: its name stands before each line | `as_account/forwarded` |
//! | another account's repository | git (`safe.directory` in its system or global configuration) | `Context::ensure_trusted`, `git/ownership`; as root `ensure_not_anothers` |
//! | `description`, `cgitrc`, hooks, git's own files | whoever may write the repository, with the rights of the account that runs | `plain_file` |
//! | what a push means | git's objects, as git reads them | `git/objects` |
//! | who pushed | the host's variables (`GL_USER` and others), else the account | `host/pusher` |
//! | an entry in a spool | whoever may write the spool | `spool/entry`, `spool/folder` |
//! | an account that submits over `socket` | the kernel (`SO_PEERCRED`, `SO_PEERGROUPS`); what it may announce for, `fstat` of the repository's folder, opened from `root` down through no link | `service/asker`, `service/reach`, `service/desk` |
//! | an entry from the broker | the broker, which verifies the user who sent it; what that user may send for, `[worker] publishers` | `service/intake` |
//! | a process that a push hangs on | the kernel: number, start time, boot and namespace | `announce/git_process` |
//! | the environment | the administrator's, in `flush`, `ping` and `check`; see "The environment" | `context/environment` |
//! | whom to trust in TLS | the system's authorities, `ca_file` | `delivery/http/tls` |
//! | the clock | itself, once flushes have seen it go on evenly for an hour | `spool/stats` |

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use super::found::others_way;
use super::{Context, ReadOnce};
use crate::config::{self, Loaded, Server};
use crate::error::Error;
use crate::git;

impl Context {
    /// Refuses another account's repository, unless git itself trusts it. In a hook, git has
    /// checked that already.
    pub(crate) fn ensure_trusted(&self, git_dir: &Path) -> Result<(), git::Error> {
        let Ok(meta) = std::fs::metadata(git_dir) else {
            return Ok(());
        };
        let running = Uid::effective().as_raw();
        let known = (git_dir.to_owned(), meta.uid());
        let trusts_all = |read_once: &ReadOnce| read_once.everywhere.trusts_all;
        if self.read_once.get().is_some_and(trusts_all) {
            return Ok(());
        }
        if meta.uid() == running || self.trusted.borrow().contains(&known) {
            return Ok(());
        }
        git::ensure_trusted(git_dir, running)?;
        self.trusted.borrow_mut().insert(known);
        Ok(())
    }

    /// Refuses, as root, a folder that belongs to another account or holds another's repository,
    /// before anything there is opened. A command about one repository must be run by its owner.
    pub(crate) fn ensure_not_anothers(&self, named: &Path) -> Result<(), Error> {
        if self.own_uid() != 0 {
            return Ok(());
        }
        let owner = |at: &Path| std::fs::metadata(at).map_or(0, |meta| meta.uid());
        let owners = [owner(named), owner(&named.join(".git"))];
        let Some(owner) = owners.into_iter().find(|&owner| owner != 0) else {
            return Ok(());
        };
        let (name, _) = self.account(owner);
        Err(Error::Failed {
            what: format!(
                "cannot work on `{}` as root: it belongs to `{name}`",
                named.display()
            ),
            hint: Some(format!(
                "run it as that account: runuser -u {name} -- refpost …"
            )),
        })
    }

    /// Refuses, as root, a repository of another account, or one that others can put another in the
    /// place of. Opens nothing in it and does not ask git: root works for no other account.
    pub(crate) fn ensure_roots(&self, git_dir: &Path) -> Result<(), Error> {
        if self.own_uid() != 0 || !git_dir.exists() {
            return Ok(());
        }
        let Some(others) = others_way(git_dir) else {
            return Ok(());
        };
        Err(Error::Failed {
            what: format!(
                "cannot work on `{}` as root: others can move `{}`",
                git_dir.display(),
                others.display()
            ),
            hint: Some("let root alone write the folders above it, or chown it".to_owned()),
        })
    }

    /// Refuses to act, as root, on another account's configuration. It could name files that only
    /// root may read, and a URL of its own to send them to.
    pub(crate) fn trust(&self, git_dir: &Path) -> Result<(), Error> {
        let config = git_dir.join(config::REPOSITORY_FILE);
        let owner = std::fs::metadata(&config).map_or(0, |data| data.uid());
        if owner == 0 || !Uid::effective().is_root() {
            return Ok(());
        }
        let (name, _) = self.account(owner);
        Err(Error::Failed {
            what: format!(
                "cannot act on `{}` as root: it belongs to `{name}`",
                config.display()
            ),
            hint: Some(format!(
                "run it as that account: runuser -u {name} -- refpost …"
            )),
        })
    }

    /// Loads the configuration of a repository in order to send its messages. Fails as
    /// [`Self::trust`] does.
    pub(crate) fn load_to_send(&self, git_dir: &Path) -> Result<Loaded, Error> {
        self.trust(git_dir)?;
        Ok(self.load(Some(git_dir))?)
    }

    /// Returns whether this account is the service behind `socket`, or a worker: it owns the spool
    /// of that.
    ///
    /// The service sends for accounts of which it trusts none with the files that it may read, so
    /// that nothing of theirs counts but the entries that they submit.
    pub(crate) fn is_service(&self) -> Result<bool, config::Error> {
        if let Some(known) = self.is_service.get() {
            return Ok(known);
        }
        let found = self.own_uid() != 0 && self.owns_spool_of_service(&self.server()?);
        self.is_service.set(Some(found));
        Ok(found)
    }

    fn owns_spool_of_service(&self, server: &Server) -> bool {
        let owns = |root: &PathBuf| {
            let owner = std::fs::metadata(root).map(|meta| meta.uid());
            owner.is_ok_and(|owner| owner == self.own_uid())
        };
        let is_service = server.socket().is_some() || server.worker().is_some();
        is_service && server.spools_of_service().iter().any(owns)
    }
}
