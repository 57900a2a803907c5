//! Which spools a command is about: its PATHs, or else the whole server's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::found::{self, ByOwner};
use super::surroundings::Surroundings;
use super::{Done, Error, compose, place};
use crate::config::{self, Loaded, REPOSITORY_FILE, Server, Settings};
use crate::git;
use crate::spool::{self, Found, Queue, Spool};

/// The folder inside a repository that is ours.
const OWN_FOLDER: &str = "refpost";

/// A spool, which need not be there yet.
pub(super) struct Target {
    pub(super) spool: Spool,
    /// The repository whose it is; `None` if it was found by itself.
    pub(super) repository: Option<PathBuf>,
    /// Whether no other repository with this spool was found.
    pub(super) is_alone: bool,
    /// Whether the repository's configuration says where messages go.
    is_decided: bool,
    /// The queues of the endpoints that are configured to go through it, and the
    /// endpoints' names.
    pub(super) endpoints: BTreeMap<Queue, String>,
    /// Repositories whose it is, and how much may wait for each.
    pub(super) bounds: Vec<(PathBuf, u64)>,
    /// Spools inside repositories whose entries belong into this one: it was
    /// named after they were made, or could not be known when they were.
    pub(super) former: Vec<Spool>,
}

impl Target {
    /// Makes due what waits for endpoints that are configured no more: its turn gives it up.
    /// In a spool that repositories share, it is given up when it falls due.
    pub(super) fn unconfigured_are_due(&self, now: SystemTime) -> Result<(), spool::IoError> {
        if !self.is_decided || !self.is_alone {
            return Ok(());
        }
        for queue in self.spool.queues()? {
            if !queue.is_service() && !self.endpoints.contains_key(&queue) {
                let waiting = self.spool.peek(&queue)?;
                let items: Vec<_> = waiting.mains.into_iter().chain(waiting.asides).collect();
                self.spool.retry_waiting(&queue, &items, now)?;
            }
        }
        Ok(())
    }

    /// Takes over what lies in former spools.
    pub(super) fn adopt(&self) -> Result<(), spool::IoError> {
        self.former
            .iter()
            .try_for_each(|former| self.spool.adopt(former).map(drop))
    }
}

/// The spools that were found.
pub(super) struct Targets {
    pub(super) all: Vec<Target>,
    /// No: something could not be looked into. That was told, and hides nothing else.
    pub(super) found: Done,
}

/// What a search found, by whose it is.
pub(super) struct Searched {
    pub(super) by_owner: ByOwner,
    /// As in [`Targets`].
    done: Done,
}

impl Searched {
    /// Whether another account has a part in it, which root leaves to that one.
    pub(super) fn is_of_others(&self, around: &Surroundings) -> bool {
        around.own_uid() == 0 && self.by_owner.0.keys().any(|&owner| owner != 0)
    }

    /// The spools that this account works on: as root, root's.
    pub(super) fn targets(mut self, around: &Surroundings) -> Targets {
        let found = match around.own_uid() {
            0 => self.by_owner.take_roots(around),
            _ => self.by_owner.0.into_values().flatten().collect(),
        };
        targets(found, self.done, around)
    }
}

/// As [`search`], but without a PATH the repository that this folder is, if it is one.
pub(super) fn search_here(paths: &[PathBuf], around: &Surroundings) -> Result<Searched, Error> {
    if !paths.is_empty() || around.is_given {
        return search(paths, around);
    }
    if around.own_uid() == 0 {
        // Nothing is opened before it is known whose it is.
        let here = Path::new(".");
        let is_one = |at: &Path| matches!(spool::what_is(at), Ok((Found::Repository(_), _)));
        let is_here = is_one(here) || is_one(&here.join(".git"));
        let here = [here.to_owned()];
        return search(if is_here { &here } else { &[] }, around);
    }
    match place::repository(None, around) {
        Ok(here) => search(&[here.path()], around),
        Err(error @ Error::Git(git::Error::Dubious { .. })) => Err(error),
        _ => search(paths, around),
    }
}

/// Finds the spools. A PATH is a repository, a spool, or a folder that is searched
/// for them; without one it is the server's spools and all below its `root`.
pub(super) fn search(paths: &[PathBuf], around: &Surroundings) -> Result<Searched, Error> {
    let (mut by_owner, mut done) = (ByOwner::default(), Done::Well);
    if around.is_given {
        let given = found::given(around)?;
        by_owner.0.insert(around.own_uid(), given);
        return Ok(Searched { by_owner, done });
    }
    let mut look_into = |path: &Path, by_owner: &mut ByOwner| {
        let take = &mut |one, owner| by_owner.0.entry(owner).or_default().push(one);
        let tell = &mut |error| around.tell_error(spool::SpoolError::from(error));
        // Another refpost works in another folder.
        let path = &absolute(path);
        if let Err(error) = spool::search(path, REPOSITORY_FILE, OWN_FOLDER, take, tell) {
            tell(error);
            done = Done::No;
        }
    };
    if paths.is_empty() {
        let server = around.server()?;
        let mut spools = server.spools().peekable();
        if spools.peek().is_none() && server.root().is_none() {
            return Err(Error::Failed {
                what: "cannot tell which spools are meant".to_owned(),
                hint: Some(
                    "name repositories, spools or folders of them, or set `root` in the \
                     server's config"
                        .to_owned(),
                ),
            });
        }
        let is_service = around.is_service()?;
        for root in spools {
            let found = spool::what_is(root);
            // What was submitted to a service, it alone looks into.
            if server.socket().is_some() && !is_service && around.own_uid() != 0 {
                continue;
            }
            let owner = found.map_or(around.own_uid(), |(_, owner)| owner);
            let all = by_owner.0.entry(owner).or_default();
            all.push(Found::Spool(root.to_owned()));
        }
        if let Some(root) = server.root().filter(|_| !is_service) {
            look_into(root, &mut by_owner);
        }
    }
    for path in paths {
        let git_dir = path.join(".git");
        let path = if git_dir.is_dir() { &git_dir } else { path };
        look_into(path, &mut by_owner);
    }
    Ok(Searched { by_owner, done })
}

/// What the configuration says of what was found.
fn targets(found: Vec<Found>, done: Done, around: &Surroundings) -> Targets {
    let is_repository = |one: &Found| matches!(one, Found::Repository(_));
    let server = if found.iter().any(is_repository) {
        told_once(around.server(), around)
    } else {
        None
    };
    let mut targets: BTreeMap<PathBuf, Target> = BTreeMap::new();
    for one in found
        .into_iter()
        .filter_map(|found| target(found, server.as_ref(), around))
    {
        // One spool can stand behind many repositories.
        match targets.get_mut(one.spool.root()) {
            Some(known) => {
                known.endpoints.extend(one.endpoints);
                known.former.extend(one.former);
                known.bounds.extend(one.bounds);
                known.is_alone = false;
            }
            None => drop(targets.insert(one.spool.root().to_owned(), one)),
        }
    }
    Targets {
        all: targets.into_values().collect(),
        found: done,
    }
}

/// Does something with each of them. What fails is told, and hides no other.
pub(super) fn each(
    targets: &Targets,
    around: &Surroundings,
    mut act: impl FnMut(&Target) -> Result<(), Error>,
) -> Done {
    let mut done = targets.found;
    for target in &targets.all {
        if let Err(error) = act(target) {
            around.tell_error(error);
            done = Done::No;
        }
    }
    done
}

/// What can be loaded; if it cannot, pushes wait for it to be mended.
fn told_once<T>(loaded: Result<T, config::Error>, around: &Surroundings) -> Option<T> {
    loaded.map_err(|error| around.tell_error(error)).ok()
}

/// `None`: it belongs to another account.
fn target(found: Found, server: Option<&Server>, around: &Surroundings) -> Option<Target> {
    let git_dir = match found {
        Found::Spool(root) => {
            let spool = place::spool_named(&root);
            if !is_for_us(&spool, around) {
                return None;
            }
            return Some(Target {
                spool,
                repository: None,
                is_alone: false,
                is_decided: false,
                endpoints: BTreeMap::new(),
                bounds: Vec::new(),
                former: Vec::new(),
            });
        }
        Found::Repository(git_dir) => absolute(&git_dir),
    };
    if let Err(error) = around.ensure_trusted(&git_dir) {
        around.tell_error(error);
        return None;
    }
    let loaded = server.and_then(|server| {
        let loaded = server.load(Some(&git_dir), around.host());
        told_once(loaded, around)
    });
    let is_decided = loaded.as_ref().is_some_and(Loaded::is_decided);
    let settings = loaded.map(|loaded| loaded.settings);
    let spool = place::spool_of(&git_dir, settings.as_ref());
    if !is_for_us(&spool, around) {
        return None;
    }
    let former = place::former_spool(&git_dir, &spool);
    let most = settings.as_ref().and_then(|settings| settings.max_spool);
    Some(Target {
        bounds: most
            .map(|most| (git_dir.clone(), most))
            .into_iter()
            .collect(),
        endpoints: settings.map_or_else(BTreeMap::new, |settings| endpoints(&settings, &git_dir)),
        former: former.into_iter().collect(),
        repository: Some(git_dir),
        is_alone: true,
        is_decided,
        spool,
    })
}

/// The service behind `socket` delivers what was submitted to it, and looks into no spool of
/// another account's, nor into one inside a repository: it reads no configuration there.
fn is_for_us(spool: &Spool, around: &Surroundings) -> bool {
    if !around.is_service().unwrap_or(false) {
        return true;
    }
    let is_served = |server: &Server| server.spools().any(|root| is_same(root, spool.root()));
    if around.server().as_ref().is_ok_and(is_served) {
        return true;
    }
    around.tell_once(
        &format!(
            "cannot flush `{}` as the service: it delivers from the server's `spool` alone",
            spool.root().display()
        ),
        Some("run it as an account that is not the service"),
    );
    false
}

pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    one == other || absolute(one) == absolute(other)
}

fn endpoints(settings: &Settings, git_dir: &Path) -> BTreeMap<Queue, String> {
    let own = settings.endpoints.iter().filter(|one| !one.is_served);
    let own = own.map(|endpoint| {
        let queue = compose::queue(endpoint, settings, git_dir);
        (queue, endpoint.name.clone())
    });
    let service = Queue::service();
    let is_served = !settings.served().is_empty();
    own.chain(is_served.then(|| (service.clone(), service.to_string())))
        .collect()
}

fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
