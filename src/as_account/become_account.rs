//! Makes this process an account's for good, and runs refpost as that account.

use std::ffi::{CString, OsString};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, User};

use crate::context::binary::run_anew;
use crate::error::{Error, Exit};

/// Search path for programs, of root and of the processes that root starts.
pub(crate) const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Group id that stands for no group.
const NO_GROUP: u32 = 65534;

/// Runs refpost as an account, in place of this process.
///
/// Returns [`Exit::NoAccount`] if the account does not exist: root's refpost learns that by the
/// exit code. It has cleared the environment. The account is looked up here, since a directory
/// service may take any time: no other account waits for that in this process.
pub(crate) fn run(account: u32, args: &[OsString]) -> Result<Exit, Error> {
    detach();
    umask(Mode::from_bits_truncate(0o022));
    let Some(account) = Account::find(account)? else {
        return Ok(Exit::NoAccount);
    };
    account.take_on()?;
    Err(run_as(&account, args))
}

/// Runs refpost with these arguments. Returns only if that fails.
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

/// Runs a hook as the account that owns the repository, in place of this process, which
/// [`super::owners_hook`] has started.
///
/// Returns only if that fails.
pub(crate) fn run_hook(owner: u32, args: &[OsString]) -> Result<Exit, Error> {
    detach();
    // A push must not be lost because the account has no name, as in a container.
    let account = Account::find(owner)?.unwrap_or_else(|| Account::nameless(owner));
    account.take_on()?;
    Err(run_as(&account, args))
}

/// Detaches this process from the one that started it: session, terminal, open files.
pub(crate) fn detach() {
    // It fails only for the leader of a process group, which is detached already.
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
    /// The name, by which its groups are found. `None`: it has no name.
    name: Option<CString>,
    home: PathBuf,
}

impl Account {
    /// Finds an account. Returns `None` if it does not exist.
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

    /// Makes an account of a number that has no name. It gets no groups but `NO_GROUP`.
    fn nameless(uid: u32) -> Self {
        Self {
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(NO_GROUP),
            name: None,
            home: PathBuf::from("/"),
        }
    }

    /// Takes on the account's groups, group and number, and nothing else, for good.
    ///
    /// Fails if the process could become root again.
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
