//! What commands take from outside: clock, environment, accounts, chance. Below
//! `command/` these arrive as values.

use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, HashSet};
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Uid, User};

use super::accounts::Accounts;
use super::{Error, IoContext, place};
use crate::config::{self, Borrowed, Loaded, Server, Settings};
use crate::git::{self, Everywhere, Repository, WHERE_CONFIG_IS};
use crate::report;
use crate::signature::Secret;
use crate::spool::{Claim, Draft, Id, Spool, SpoolError, Stamp};

/// The world around one run of a command.
pub(super) struct Surroundings {
    config: Option<PathBuf>,
    told: RefCell<Told>,
    /// Repositories of others that git trusts, and who those are: it is asked once.
    trusted: RefCell<HashSet<(PathBuf, u32)>>,
    accounts: Accounts,
    host: OnceCell<String>,
    /// Drawn, and not yet used.
    random: RefCell<Vec<u8>>,
    /// What is the same for all, where a command is about many repositories.
    shared: OnceCell<Shared>,
}

/// What was told, when, and when it was last the case.
#[derive(Default)]
struct Told(HashMap<String, (Instant, Instant)>);

impl Told {
    /// Whether this is to be told now.
    fn is_news(&mut self, text: &str, now: Instant) -> bool {
        let known = self.0.get(text).copied();
        let is_known = known.is_some_and(|(told, last)| {
            now.duration_since(last) < TOLD_LASTS && now.duration_since(told) < TOLD_AGAIN
        });
        let told = known.filter(|_| is_known).map_or(now, |(told, _)| told);
        self.0.insert(text.to_owned(), (told, now));
        !is_known
    }
}

/// What was not the case for so long is news.
const TOLD_LASTS: Duration = Duration::from_mins(10);
/// What is the case for so long is told again.
const TOLD_AGAIN: Duration = Duration::from_hours(24);

/// More open files than a flush needs, and as many as any process has (POSIX, `OPEN_MAX`).
const MOST_DESCRIPTORS: u64 = 8192;
const LEAST_DESCRIPTORS: usize = 64;

/// So many random bytes are drawn at once.
const DRAWN: usize = 256;

fn draw<T: AsMut<[u8]>>(mut bytes: T) -> Result<T, Error> {
    getrandom::fill(bytes.as_mut())
        .map_err(|error| Error::failed(format!("cannot get random bytes: {error}")))?;
    Ok(bytes)
}

/// What is read once for many repositories.
struct Shared {
    server: Server,
    everywhere: Everywhere,
}

#[allow(
    clippy::unused_self,
    reason = "a command takes the world only from the value it is handed"
)]
impl Surroundings {
    /// `config` is the server's file as the command line names it.
    pub(super) fn new(config: Option<PathBuf>) -> Self {
        Self {
            config,
            told: RefCell::default(),
            trusted: RefCell::default(),
            accounts: Accounts::default(),
            host: OnceCell::new(),
            random: RefCell::default(),
            shared: OnceCell::new(),
        }
    }

    /// Reads once, for the many repositories that a command is about, what is the same
    /// for all of them.
    pub(super) fn for_many(&self) -> Result<&Server, config::Error> {
        if self.shared.get().is_none() {
            let (server, everywhere) = (self.server()?, Everywhere::ask());
            self.shared.set(Shared { server, everywhere }).ok();
        }
        let shared = self.shared.get();
        Ok(&shared.expect("it was set just now").server)
    }

    /// The folder that git runs a repository's hooks from.
    pub(super) fn hooks_dir(&self, repository: &Repository) -> PathBuf {
        match self.shared.get() {
            Some(shared) => repository.hooks_dir_given(shared.everywhere),
            None => repository.hooks_dir(),
        }
    }

    /// Loads the configuration of a repository, or the server's alone.
    pub(super) fn load(&self, git_dir: Option<&Path>) -> Result<Loaded, config::Error> {
        match self.shared.get() {
            Some(shared) => shared.server.load(git_dir, self.host()),
            None => self.server()?.load(git_dir, self.host()),
        }
    }

    /// The server's configuration, for any number of repositories.
    pub(super) fn server(&self) -> Result<Server, config::Error> {
        let (system, required) = self.server_file();
        Server::read(&system, required)
    }

    /// The settings of a repository as far as the server says them, when its own file
    /// cannot be loaded.
    pub(super) fn load_without_own(&self, git_dir: &Path) -> Option<Settings> {
        let loaded = self.server().ok()?.load_without_own(git_dir, self.host());
        Some(loaded.ok()?.settings)
    }

    /// The server's file, and whether it was asked for by name.
    fn server_file(&self) -> (PathBuf, bool) {
        let named = self.config.clone().or_else(|| {
            // Set to nothing, a variable says nothing.
            let variable = std::env::var_os("REFPOST_CONFIG");
            variable.filter(|file| !file.is_empty()).map(PathBuf::from)
        });
        let required = named.is_some();
        let file = named.unwrap_or_else(|| PathBuf::from(config::SYSTEM_FILE));
        (file, required)
    }

    /// Tells a person something, unless it was told before and has been the case since: one
    /// broken config can stand in the way of many things. It is told again each day, and when
    /// it comes back after a while.
    pub(super) fn tell_once(&self, text: &str, hint: Option<&str>) {
        if self.told.borrow_mut().is_news(text, Instant::now()) {
            report::say(text);
            if let Some(hint) = hint {
                report::hint(hint);
            }
        }
    }

    /// Tells a person of an error, and what to do about it, once.
    pub(super) fn tell_error(&self, error: impl Into<Error>) {
        let error = error.into();
        self.tell_once(&report::chain(&error), error.hint().as_deref());
    }

    /// Another refpost, in `/`, with the server's file that we have.
    pub(super) fn refpost(&self) -> Result<Command, Error> {
        let mut command = Command::new(super::enable::own_binary()?);
        let (file, is_named) = self.server_file();
        if is_named {
            command
                .arg("--config")
                .arg(std::path::absolute(&file).unwrap_or(file));
        }
        command.current_dir("/");
        Ok(command)
    }

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

    pub(super) fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    /// An environment variable as text.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }

    /// An environment variable that names a path.
    pub(super) fn path_variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    /// The machine's name, as it was when this was first asked.
    pub(super) fn host(&self) -> &str {
        self.host.get_or_init(|| {
            let name = nix::unistd::gethostname().ok();
            name.and_then(|name| name.into_string().ok())
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| "localhost".to_owned())
        })
    }

    /// The account that this process runs as.
    pub(super) fn own_account(&self) -> String {
        self.account(Uid::effective().as_raw()).0
    }

    /// The account that this process runs as.
    pub(super) fn own_uid(&self) -> u32 {
        Uid::effective().as_raw()
    }

    /// The groups of an account (getgrouplist(3)); none, if it has no name.
    pub(super) fn groups(&self, uid: u32) -> Vec<u32> {
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

    /// The name and the full name of an account (passwd(5)); its number where it
    /// has no name.
    pub(super) fn account(&self, uid: u32) -> (String, String) {
        self.accounts.get(uid)
    }

    /// Looks accounts up anew from now on.
    pub(super) fn forget_accounts(&self) {
        self.accounts.forget();
    }

    /// Enqueues an entry under an id made of here and now.
    pub(super) fn enqueue(&self, spool: &Spool, draft: &Draft) -> Result<Id, SpoolError> {
        spool.enqueue(draft, &self.stamp(self.host()))
    }

    /// Records ref updates for which there is no room otherwise, as they came.
    pub(super) fn enqueue_spare(
        &self,
        spool: &Spool,
        owed: &Draft,
        claim: Option<&Claim>,
    ) -> Result<Id, SpoolError> {
        spool.enqueue_spare(owed, &self.stamp(self.host()), claim)
    }

    /// Claims a place in the order, here and now or right behind another claim.
    pub(super) fn claim(
        &self,
        spool: &Spool,
        draft: &Draft,
        after: Option<&Claim>,
    ) -> Result<Claim, SpoolError> {
        spool.claim(draft, &self.stamp(self.host()), after)
    }

    /// Records an intent under an id made of here and now.
    pub(super) fn intend(&self, spool: &Spool, draft: &Draft) -> Result<Id, SpoolError> {
        spool.intend(draft, &self.stamp(self.host()))
    }

    fn stamp<'a>(&self, host: &'a str) -> Stamp<'a> {
        Stamp {
            now: self.now(),
            host,
            // Chance only tells apart what happens at one time on one host.
            random: self.random().map_or(0, u64::from_le_bytes),
        }
    }

    /// Whether a push that cannot be recorded is to be refused; asked when even
    /// the configuration may be the reason.
    pub(super) fn requires(&self, git_dir: &Path) -> bool {
        match self.load(Some(git_dir)) {
            Ok(loaded) => loaded.settings.require,
            Err(_) => config::asks_to_require(&self.server_file().0, git_dir),
        }
    }

    /// What the pusher gave along and begins with `prefix` (githooks(5), pre-receive).
    pub(super) fn push_options(&self, prefix: &str) -> Vec<String> {
        let count = self.variable("GIT_PUSH_OPTION_COUNT");
        let count: usize = count.and_then(|count| count.parse().ok()).unwrap_or(0);
        (0..count)
            .map_while(|at| self.variable(&format!("GIT_PUSH_OPTION_{at}")))
            .filter(|option| option.starts_with(prefix))
            .collect()
    }

    /// Starts a flush of this spool that outlives us: neither git nor the pusher
    /// waits for it.
    pub(super) fn flush_detached(&self, spool: &Path) -> Result<(), Error> {
        let mut command = self.refpost()?;
        for (name, _) in std::env::vars_os() {
            let is_kept = WHERE_CONFIG_IS.iter().any(|kept| name == **kept);
            if name.as_bytes().starts_with(b"GIT_") && !is_kept {
                command.env_remove(name);
            }
        }
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
    pub(super) fn descriptors(&self) -> usize {
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

    /// Cuts every tie to whoever started us: session, open files.
    pub(super) fn detach(&self) {
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

    /// Bytes that nobody can guess, each handed out once. They are drawn in advance: a
    /// push needs some for each of its messages.
    pub(super) fn random<const N: usize>(&self) -> Result<[u8; N], Error> {
        let mut drawn = self.random.borrow_mut();
        if drawn.len() < N {
            *drawn = draw(vec![0; N.max(DRAWN)])?;
        }
        let rest = drawn.len() - N;
        let bytes = drawn.split_off(rest);
        Ok(bytes.try_into().expect("so many were split off"))
    }

    /// A fresh key: 32 random bytes as hex, which every program takes for text. They are
    /// drawn for it alone, and nobody else has them.
    pub(super) fn fresh_key(&self) -> Result<Secret, Error> {
        Ok(Secret::new(hex::encode(draw([0; 32])?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_outage_is_told_and_the_first_each_day() {
        let (mut told, start) = (Told::default(), Instant::now());
        let mut is_news = |minutes| told.is_news("x", start + Duration::from_mins(minutes));
        assert!(is_news(0));
        assert!((1..24 * 60).all(|minutes| !is_news(minutes)));
        assert!(is_news(24 * 60), "once a day");
        assert!(!is_news(24 * 60 + 1));
        assert!(is_news(24 * 60 + 20), "it was over in between");
    }

    #[test]
    fn no_random_bytes_are_handed_out_twice() {
        let around = Surroundings::new(None);
        let drawn: HashSet<[u8; 16]> = (0..100)
            .map(|_| around.random().expect("there are always some"))
            .collect();
        assert_eq!(drawn.len(), 100);
        assert_ne!(around.random::<1000>().expect("more at once"), [0; 1000]);
    }
}
