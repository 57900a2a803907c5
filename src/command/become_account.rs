//! A process that becomes an account, and cannot go back: then refpost runs as it.

use std::ffi::{CString, OsString};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, User};

use super::anew::run_anew;
use super::{Done, Error};
use crate::cli::AsAccountArgs;

/// Where root and those whom it starts find programs.
pub(super) const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The group of what belongs to no group.
const NO_GROUP: u32 = 65534;

/// Runs refpost as an account, in place of this process. Root's refpost has seen to it that
/// the environment is empty, and is told of an account that there is not: to look one up can
/// take a directory service as long as it likes, and keeps nobody else waiting here.
pub(super) fn run(args: &AsAccountArgs) -> Result<Done, Error> {
    detach();
    umask(Mode::from_bits_truncate(0o022));
    let Some(account) = Account::find(args.account)? else {
        return Ok(Done::NoAccount);
    };
    account.take_on()?;
    Err(run_as(&account, &args.args))
}

/// Runs refpost with these arguments, and returns only if that fails.
fn run_as(account: &Account, args: &[OsString]) -> Error {
    let error = run_anew(|command| {
        command
            .arg0("refpost")
            .args(args)
            .env("HOME", &account.home);
    });
    Error::Io {
        operation: "run",
        path: "refpost".into(),
        source: error,
    }
}

/// Runs a hook anew as the account that owns the repository, in place of this process.
/// Returns only if that fails.
pub(super) fn run_hook(owner: u32, args: &[OsString]) -> Result<(), Error> {
    // A push is not lost because nobody has a name for the account, as in a container.
    let account = Account::find(owner)?.unwrap_or_else(|| Account::nameless(owner));
    account.take_on()?;
    // Its terminal is root's, into which that account must not type.
    detach();
    Err(run_as(&account, args))
}

/// Cuts every tie to whoever started us: session, terminal, open files.
pub(super) fn detach() {
    // It fails only for who leads a process group, and is detached already.
    nix::unistd::setsid().ok();
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    let open: Vec<i32> = open
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&fd| fd > 2)
        .collect();
    for fd in open {
        // One of them was the listing itself, and is closed already.
        nix::unistd::close(fd).ok();
    }
}

/// An account of the system.
struct Account {
    uid: Uid,
    gid: Gid,
    /// What its groups are found by.
    name: Option<CString>,
    home: PathBuf,
}

impl Account {
    /// `None`: there is no such account.
    fn find(uid: u32) -> Result<Option<Self>, Error> {
        let uid = Uid::from_raw(uid);
        let user = User::from_uid(uid).map_err(|error| cannot_become(uid, error.desc()))?;
        Ok(user.map(|user| Self {
            uid,
            gid: user.gid,
            name: CString::new(user.name).ok(),
            home: user.dir,
        }))
    }

    /// A number that no account has: it is in no group of anybody's.
    fn nameless(uid: u32) -> Self {
        Self {
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(NO_GROUP),
            name: None,
            home: PathBuf::from("/"),
        }
    }

    /// Takes on all of its groups, its group and its number, and nothing else, for good.
    fn take_on(&self) -> Result<(), Error> {
        let failed = |error: nix::Error| cannot_become(self.uid, error.desc());
        match &self.name {
            Some(name) => nix::unistd::initgroups(name, self.gid).map_err(failed)?,
            None => nix::unistd::setgroups(&[]).map_err(failed)?,
        }
        nix::unistd::setresgid(self.gid, self.gid, self.gid).map_err(failed)?;
        nix::unistd::setresuid(self.uid, self.uid, self.uid).map_err(failed)?;
        let root = Uid::from_raw(0);
        if self.uid != root && nix::unistd::setuid(root).is_ok() {
            return Err(cannot_become(self.uid, "root's rights do not go"));
        }
        Ok(())
    }
}

fn cannot_become(uid: Uid, why: &str) -> Error {
    Error::failed(format!("cannot become account `{uid}`: {why}"))
}
