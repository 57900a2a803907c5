//! Who may announce what, in a mail drop: everybody can put a file there, and write
//! anything into it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::compose;
use super::surroundings::Surroundings;
use super::world::World;
use crate::config::Settings;
use crate::delivery::{Outside, Unavailable};
use crate::spool::{Admission, Content, Header};

impl World<'_> {
    /// Whether `account`, whose file it is, may announce what an entry says: if it may
    /// write the repository that the entry is about, and if the queues are those of
    /// that repository's endpoints. In another's queue its own dead receiver would hold
    /// what is not its own.
    pub(super) fn admission(&self, account: u32, header: &Header) -> Admission {
        if account == self.around.own_uid() {
            return Admission::Ours;
        }
        let repository = &header.repository;
        if !repository.is_absolute() || !may_write(account, repository, self.around) {
            return Admission::Refused(format!(
                "account {account}, whose file it is, cannot write `{}`",
                repository.display()
            ));
        }
        match self.settings(repository) {
            Ok(settings) if has_own_queues(header, &settings) => Admission::Granted,
            Ok(_) => Admission::Refused(format!(
                "it names a queue that is none of `{}`",
                repository.display()
            )),
            Err(Unavailable::Gone(_)) => {
                Admission::Refused(format!("`{}` is gone", repository.display()))
            }
            Err(Unavailable::Broken(why)) => Admission::Later(why),
        }
    }
}

/// Whether an account may write a repository's own folder, by its owner, its group and
/// its mode. Access control lists (acl(5)) are not looked at.
fn may_write(account: u32, repository: &Path, around: &Surroundings) -> bool {
    let Ok(meta) = fs::metadata(repository) else {
        return false;
    };
    let may = |bit| meta.mode() & bit != 0;
    account == 0
        || (account == meta.uid() && may(0o200))
        || may(0o002)
        || (may(0o020) && around.groups(account).contains(&meta.gid()))
}

fn has_own_queues(header: &Header, settings: &Settings) -> bool {
    let Content::Built(built) = &header.content else {
        return true;
    };
    built.recipients.iter().all(|recipient| {
        let mut endpoints = settings.endpoints.iter();
        endpoints
            .find(|endpoint| endpoint.name == recipient.endpoint)
            .is_some_and(|endpoint| {
                recipient.queue == compose::queue(endpoint, settings, &header.repository)
            })
    })
}
