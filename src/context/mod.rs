//! Gives commands their inputs from outside: clock, environment, accounts, randomness.
//!
//! In the modules that this one uses they arrive as values.

pub(crate) mod accounts;
pub(crate) mod binary;
pub(crate) mod configured;
pub(crate) mod environment;
pub(crate) mod found;
pub(crate) mod homes;
pub(crate) mod locate;
pub(crate) mod max_spool;
pub(crate) mod named;
pub(crate) mod repositories;
pub(crate) mod signals;
pub(crate) mod state;
pub(crate) mod supervisor;
pub(crate) mod targets;
pub(crate) mod told;
mod trust;
pub(crate) mod written;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashSet;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Uid, User};

use crate::config::{self, Loaded, Server, Settings};
use crate::context::accounts::Accounts;
use crate::context::told::Told;
use crate::error::{Error, Exit, IoContext};
use crate::git::{Everywhere, Repository, WHERE_CONFIG_IS};
use crate::report;
use crate::signature::Secret;
use crate::spool::IdParts;

/// Inputs from outside for one run of a command.
pub(crate) struct Context {
    config: Option<PathBuf>,
    /// True if standard input names the repositories and spools to work on.
    pub(crate) is_given: bool,
    told: RefCell<Told>,
    /// True if something could not be examined, or a part of the work not done.
    is_incomplete: Cell<bool>,
    /// Repositories of other accounts that git trusts, with their owners; git is asked once.
    pub(crate) trusted: RefCell<HashSet<(PathBuf, u32)>>,
    accounts: Accounts,
    /// True if this account is the service behind `socket`; `None` until looked up.
    pub(crate) is_service: Cell<Option<bool>>,
    host: OnceCell<String>,
    /// Random bytes that were drawn and are not yet used.
    random: RefCell<Vec<u8>>,
    /// Values that are the same for all repositories, where a command is about many.
    pub(crate) read_once: OnceCell<ReadOnce>,
}

/// Largest number of open files to ask for, more than a flush needs.
const MOST_DESCRIPTORS: u64 = 8192;

/// Number of open files that every process has (POSIX, `OPEN_MAX`).
const LEAST_DESCRIPTORS: usize = 64;

/// Number of random bytes that are drawn at once.
const DRAWN: usize = 256;

fn draw<T: AsMut<[u8]>>(mut bytes: T) -> Result<T, Error> {
    getrandom::fill(bytes.as_mut())
        .map_err(|error| Error::failed(format!("cannot get random bytes: {error}")))?;
    Ok(bytes)
}

/// Values that are read once for many repositories.
pub(crate) struct ReadOnce {
    server: Server,
    pub(crate) everywhere: Everywhere,
}

#[allow(
    clippy::unused_self,
    reason = "a command takes its inputs from outside only from the value it is handed"
)]
impl Context {
    /// Returns the inputs of a run. `config` is the server's file as the command line names it.
    /// With `is_given`, root's refpost names on standard input the repositories and spools to work
    /// on.
    pub(crate) fn new(config: Option<PathBuf>, is_given: bool) -> Self {
        Self {
            config,
            is_given,
            told: RefCell::default(),
            is_incomplete: Cell::default(),
            trusted: RefCell::default(),
            accounts: Accounts::default(),
            is_service: Cell::default(),
            host: OnceCell::new(),
            random: RefCell::default(),
            read_once: OnceCell::new(),
        }
    }

    /// Returns the same inputs with nothing looked up yet, as for another thread.
    pub(crate) fn again(&self) -> Self {
        Self::new(self.config.clone(), self.is_given)
    }

    /// Returns the server's file, if the command line names it.
    pub(crate) fn named_config(&self) -> Option<PathBuf> {
        self.config.clone()
    }

    /// Fails if the command line names the server's file and that cannot be read. What is wrong in
    /// the file is for the command to tell.
    pub(crate) fn ensure_named_config(&self) -> Result<(), config::Error> {
        // Root's refpost, which reads the file, hands it on to accounts that may not.
        let is_named = self.config.is_some() && !self.is_given;
        match is_named.then(|| self.server()) {
            Some(Err(error @ config::Error::Read { .. })) => Err(error),
            _ => Ok(()),
        }
    }

    /// Returns whether no account has this number.
    pub(crate) fn has_no_name(&self, uid: u32) -> bool {
        matches!(User::from_uid(Uid::from_raw(uid)), Ok(None))
    }

    /// Reads once the values that are the same for the many repositories of a command. Returns the
    /// server's configuration.
    pub(crate) fn for_many(&self) -> Result<&Server, config::Error> {
        if self.read_once.get().is_none() {
            let (server, everywhere) = (self.server()?, Everywhere::ask());
            self.read_once.set(ReadOnce { server, everywhere }).ok();
        }
        let read_once = self.read_once.get();
        Ok(&read_once.expect("it was set just now").server)
    }

    /// Returns the folder from which git runs a repository's hooks.
    pub(crate) fn hooks_dir(&self, repository: &Repository) -> PathBuf {
        match self.read_once.get() {
            Some(read_once) => repository.hooks_dir_given(read_once.everywhere),
            None => repository.hooks_dir(),
        }
    }

    /// Loads the configuration of a repository, or the server's alone.
    pub(crate) fn load(&self, git_dir: Option<&Path>) -> Result<Loaded, config::Error> {
        match self.read_once.get() {
            Some(read_once) => read_once.server.load(git_dir, self.host()),
            None => self.server()?.load(git_dir, self.host()),
        }
    }

    /// Reads the server's configuration, which serves for any number of repositories.
    pub(crate) fn server(&self) -> Result<Server, config::Error> {
        let (system, required) = self.server_file();
        Server::read(&system, required)
    }

    /// Returns the settings of a repository as far as the server's file gives them, when its own
    /// file cannot be loaded.
    pub(crate) fn load_without_own(&self, git_dir: &Path) -> Option<Settings> {
        let loaded = self.server().ok()?.load_without_own(git_dir, self.host());
        Some(loaded.ok()?.settings)
    }

    /// Returns the server's file, and whether it was asked for by name.
    pub(crate) fn server_file(&self) -> (PathBuf, bool) {
        let named = self.config.clone().or_else(|| {
            // An empty variable counts as not set.
            let variable = std::env::var_os("REFPOST_CONFIG");
            variable.filter(|file| !file.is_empty()).map(PathBuf::from)
        });
        let required = named.is_some();
        let file = named.unwrap_or_else(|| PathBuf::from(config::SYSTEM_FILE));
        (file, required)
    }

    /// Tells a person a text, unless it was told before and has held since. The text is told again
    /// each day, and when it comes back after a while.
    pub(crate) fn tell_once(&self, text: &str, hint: Option<&str>) {
        if self.told.borrow_mut().is_news(text, Instant::now()) {
            report::say(text);
            if let Some(hint) = hint {
                report::hint(hint);
            }
        }
    }

    /// Tells a person of an error and its hint, once.
    pub(crate) fn tell_error(&self, error: impl Into<Error>) {
        let error = error.into();
        self.tell_once(&report::chain(&error), error.hint().as_deref());
    }

    /// Tells an error that leaves something undone, and notes it for [`Context::outcome`].
    pub(crate) fn tell_failure(&self, error: impl Into<Error>) {
        self.note_failure();
        self.tell_error(error);
    }

    /// Notes for [`Context::outcome`] that something is unexamined or undone, which was told.
    pub(crate) fn note_failure(&self) {
        self.is_incomplete.set(true);
    }

    /// Returns [`Exit::No`] if something could not be examined or done, which was told.
    pub(crate) fn outcome(&self) -> Exit {
        if self.is_incomplete.get() {
            Exit::No
        } else {
            Exit::Well
        }
    }

    /// Returns a command that runs another refpost in `/`, with the same server's file.
    pub(crate) fn refpost(&self) -> Result<Command, Error> {
        Ok(self.refpost_at(crate::context::binary::own_binary()?))
    }

    /// Returns the same command for this program.
    pub(crate) fn refpost_at(&self, program: PathBuf) -> Command {
        let mut command = Command::new(program);
        command.args(self.config_args()).current_dir("/");
        // These variables are about the repository in whose hook this runs.
        for (name, _) in std::env::vars_os() {
            let is_kept = WHERE_CONFIG_IS.iter().any(|kept| name == **kept);
            if name.as_bytes().starts_with(b"GIT_") && !is_kept {
                command.env_remove(name);
            }
        }
        command
    }

    /// Returns the arguments that name the server's file of this run, if one is named.
    pub(crate) fn config_args(&self) -> Vec<OsString> {
        let (file, is_named) = self.server_file();
        if !is_named {
            return Vec::new();
        }
        let file = std::path::absolute(&file).unwrap_or(file);
        vec!["--config".into(), file.into()]
    }

    pub(crate) fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    /// Returns an environment variable as text.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }

    /// Returns an environment variable that names a path.
    pub(crate) fn path_variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    /// Returns the machine's name, as it was when this was first asked.
    pub(crate) fn host(&self) -> &str {
        self.host.get_or_init(|| {
            let name = nix::unistd::gethostname().ok();
            name.and_then(|name| name.into_string().ok())
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| "localhost".to_owned())
        })
    }

    /// Returns the name of the account that this process runs as.
    pub(crate) fn own_account(&self) -> String {
        self.account(Uid::effective().as_raw()).0
    }

    /// Returns the number of the account that this process runs as.
    pub(crate) fn own_uid(&self) -> u32 {
        Uid::effective().as_raw()
    }

    /// Returns the groups of an account (getgrouplist(3)); none if it has no name.
    pub(crate) fn groups(&self, uid: u32) -> Vec<u32> {
        let Ok(Some(user)) = User::from_uid(Uid::from_raw(uid)) else {
            return Vec::new();
        };
        let groups = CString::new(user.name)
            .ok()
            .and_then(|name| nix::unistd::getgrouplist(&name, user.gid).ok());
        groups
            .iter()
            .flatten()
            .map(|group| group.as_raw())
            .collect()
    }

    /// Returns the name and the full name of an account (passwd(5)); its number if it has no name.
    pub(crate) fn account(&self, uid: u32) -> (String, String) {
        self.accounts.get(uid)
    }

    /// Forgets the accounts, and which of them is the service, so that they are looked up anew.
    pub(crate) fn forget_accounts(&self) {
        self.is_service.set(None);
        self.accounts.forget();
    }

    /// Returns the time, the host and the random number of which an id is made.
    pub(crate) fn id_parts(&self) -> IdParts<'_> {
        IdParts {
            now: self.now(),
            host: self.host(),
            // The random number only tells apart events at one time on one host.
            random: self.random().map_or(0, u64::from_le_bytes),
        }
    }

    /// Returns whether a push that cannot be recorded is to be refused. Answers even if the
    /// configuration is the reason.
    pub(crate) fn requires(&self, git_dir: &Path) -> bool {
        match self.load(Some(git_dir)) {
            Ok(loaded) => loaded.settings.require,
            Err(_) => config::asks_to_require(&self.server_file().0, git_dir),
        }
    }

    /// Returns the pusher's options that begin with `prefix` (githooks(5), pre-receive).
    pub(crate) fn push_options(&self, prefix: &str) -> Vec<String> {
        let count = self.variable("GIT_PUSH_OPTION_COUNT");
        let count: usize = count.and_then(|count| count.parse().ok()).unwrap_or(0);
        (0..count)
            .map_while(|at| self.variable(&format!("GIT_PUSH_OPTION_{at}")))
            .filter(|option| option.starts_with(prefix))
            .collect()
    }

    /// Starts a flush of this spool that outlives this process: neither git nor the pusher waits
    /// for it.
    pub(crate) fn flush_detached(&self, spool: &Path) -> Result<(), Error> {
        let mut command = self.refpost()?;
        command
            .args(["flush", "--detached"])
            .arg(spool)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .doing("run", Path::new("refpost"))?;
        Ok(())
    }

    /// Raises the limit of open files as far as an ordinary process can, and returns it
    /// (getrlimit(2)).
    pub(crate) fn descriptors(&self) -> usize {
        let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
            return LEAST_DESCRIPTORS;
        };
        let wanted = hard.min(MOST_DESCRIPTORS).max(soft);
        let limit = match setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) {
            Ok(()) => wanted,
            Err(_) => soft,
        };
        usize::try_from(limit).unwrap_or(LEAST_DESCRIPTORS)
    }

    /// Returns bytes that cannot be guessed, each handed out once. They are drawn in advance.
    pub(crate) fn random<const N: usize>(&self) -> Result<[u8; N], Error> {
        let mut drawn = self.random.borrow_mut();
        if drawn.len() < N {
            *drawn = draw(vec![0; N.max(DRAWN)])?;
        }
        let rest = drawn.len() - N;
        let bytes = drawn.split_off(rest);
        Ok(bytes.try_into().expect("so many were split off"))
    }

    /// Returns a fresh key: 32 random bytes as hex, which every program takes for text. They are
    /// drawn for it alone, and used nowhere else.
    pub(crate) fn fresh_key(&self) -> Result<Secret, Error> {
        Ok(Secret::new(hex::encode(draw([0; 32])?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_random_bytes_are_handed_out_twice() {
        let ctx = Context::new(None, false);
        let drawn: HashSet<[u8; 16]> = (0..100)
            .map(|_| ctx.random().expect("there are always some"))
            .collect();
        assert_eq!(drawn.len(), 100);
        assert_ne!(ctx.random::<1000>().expect("more at once"), [0; 1000]);
    }
}
