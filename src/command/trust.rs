//! Whose repositories and configurations a command acts on.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::Uid;

use super::found::others_way;
use super::surroundings::{Shared, Surroundings};
use super::{Error, place};
use crate::config::{self, Borrowed, Loaded};
use crate::git;
use crate::spool::Spool;

impl Surroundings {
    /// Refuses another account's repository, unless git itself trusts it. In a hook
    /// git has looked at that already.
    pub(super) fn ensure_trusted(&self, git_dir: &Path) -> Result<(), git::Error> {
        let Ok(meta) = std::fs::metadata(git_dir) else {
            return Ok(());
        };
        let running = Uid::effective().as_raw();
        let known = (git_dir.to_owned(), meta.uid());
        let trusts_all = |shared: &Shared| shared.everywhere.trusts_all;
        if self.shared.get().is_some_and(trusts_all) {
            return Ok(());
        }
        if meta.uid() == running || self.trusted.borrow().contains(&known) {
            return Ok(());
        }
        git::ensure_trusted(git_dir, running)?;
        self.trusted.borrow_mut().insert(known);
        Ok(())
    }

    /// Refuses, as root, a repository that is not root's, or that others can put another in
    /// the place of. Nothing in it is opened, and git is not asked: root works for nobody.
    pub(super) fn ensure_roots(&self, git_dir: &Path) -> Result<(), Error> {
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

    /// Refuses to act, as root, on what another account configured: it could name
    /// files that only root may read, and a URL of its own to send them to.
    pub(super) fn trust(&self, git_dir: &Path) -> Result<(), Error> {
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

    /// The configuration of a repository, to send what it asks for.
    pub(super) fn load_to_send(&self, git_dir: &Path) -> Result<Loaded, Error> {
        self.trust(git_dir)?;
        let loaded = self.load(Some(git_dir))?;
        match loaded.borrowed {
            Some(borrowed) if self.own_drop().is_some() => Err(self.no_loan(&borrowed)),
            _ => Ok(loaded),
        }
    }

    /// A spool of the server's, if it is a mail drop and we are the account that owns it.
    /// Then we send for many accounts, none of which is trusted with what we may read.
    pub(super) fn own_drop(&self) -> Option<Spool> {
        let server = self.server().ok()?;
        let mut spools = server.spools().map(place::spool_at);
        spools.find(|spool| {
            let owner = std::fs::metadata(spool.root()).map(|meta| meta.uid());
            spool.is_drop() && owner.is_ok_and(|owner| owner == self.own_uid())
        })
    }

    fn no_loan(&self, borrowed: &Borrowed) -> Error {
        let (path, key) = (borrowed.path.display(), &borrowed.key);
        let (owner, us) = (self.account(borrowed.owner).0, self.own_account());
        Error::Failed {
            what: format!(
                "cannot send what `{path}` asks for: it belongs to `{owner}`, and what `{key}` \
                 names would be read with the rights of `{us}`"
            ),
            hint: Some(format!(
                "put that into the server's file, or see what it names, then: chown root {path}"
            )),
        }
    }
}
