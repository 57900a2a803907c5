//! Finds the spools that a command is about: those of the repositories that it names, or the whole
//! server's.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::vec;

use super::found::{self, ByOwner};
use super::homes::{Configured, Home, endpoint_names, endpoints, home, settings_of_server};
use super::named::{Named, here};
use super::{Context, locate, repositories};
use crate::config::{self, Loaded, REPOSITORY_FILE, Server};
use crate::error::{Error, Exit};
use crate::observe::{Route, State};
use crate::spool::{self, Found, Queue, Spool};

/// Folder of refpost inside a repository.
const OWN_FOLDER: &str = "refpost";

/// A spool, which need not exist yet.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Target {
    pub(crate) spool: Spool,
    /// Repositories that were found with this spool.
    pub(crate) repositories: BTreeSet<PathBuf>,
    /// True if the spool was found by itself too.
    pub(crate) is_whole: bool,
    /// True if no other repository with this spool was found.
    pub(crate) is_alone: bool,
    /// True if the repository's configuration says where messages go, or that they go nowhere.
    is_decided: bool,
    /// True if a configuration cannot be loaded, which was told.
    is_broken: bool,
    /// Endpoints that are configured to go through the spool, by their queues.
    pub(crate) endpoints: BTreeMap<Queue, Configured>,
    /// Receivers of the endpoints of each repository that uses the spool.
    pub(crate) homes: Vec<Home>,
    /// Names of all endpoints of the repositories that use the spool.
    pub(crate) names: BTreeSet<String>,
    /// Repositories that use the spool, and the most bytes that may wait for each.
    pub(crate) bounds: Vec<(PathBuf, u64)>,
    /// Spools inside repositories whose entries belong into this one. It was named after they were
    /// made, or could not be known when they were.
    pub(crate) former: Vec<Spool>,
}

impl Target {
    /// Returns whether a configuration cannot be loaded, which was told.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Returns the endpoint of each queue, as far as it is configured.
    pub(crate) fn routes(&self) -> BTreeMap<Queue, Route> {
        let homes = self.homes.iter().flat_map(|home| &home.routes);
        homes
            .map(|(queue, route)| (queue.clone(), route.clone()))
            .collect()
    }

    /// Returns the queues whose endpoints are paused, with that state.
    pub(crate) fn paused(&self) -> BTreeMap<Queue, State> {
        let paused = self.endpoints.iter().filter(|(_, one)| one.is_paused);
        let paused = paused.map(|(queue, _)| (queue.clone(), State::Paused));
        paused.collect()
    }

    /// Makes entries due that wait for endpoints which are no longer configured: their turn gives
    /// them up.
    ///
    /// Does nothing in a spool that repositories share, where they are given up when they fall due,
    /// nor while the configuration does not say where messages go.
    pub(crate) fn unconfigured_are_due(&self, now: SystemTime) -> Result<(), spool::IoError> {
        if !self.is_decided || !self.is_alone {
            return Ok(());
        }
        for queue in self.spool.queues()? {
            // Where others deliver to an endpoint, what waits here is delivered from here.
            let name = queue.as_str().split('@').next().unwrap_or_default();
            let is_known = self.endpoints.contains_key(&queue) || self.names.contains(name);
            if !queue.is_service() && !queue.is_broker() && !is_known {
                let waiting = self.spool.peek(&queue)?;
                let items: Vec<_> = waiting
                    .in_order
                    .into_iter()
                    .chain(waiting.refused)
                    .collect();
                self.spool.retry_waiting(&queue, &items, now)?;
            }
        }
        Ok(())
    }

    /// Returns whether messages may be here for an endpoint of this name, as far as is known.
    pub(crate) fn may_have(&self, endpoint: &str) -> bool {
        // Who uses a spool that was found by itself, and is not the server's, is not known.
        let is_known = !self.repositories.is_empty() || !self.names.is_empty();
        !is_known || self.is_broken || self.names.contains(endpoint)
    }

    /// Takes over the entries of former spools.
    pub(crate) fn adopt(&self) -> Result<(), spool::IoError> {
        self.former
            .iter()
            .try_for_each(|former| self.spool.adopt(former).map(drop))
    }
}

/// Result of a search, by owners.
pub(crate) struct Searched {
    pub(crate) by_owner: ByOwner,
    /// True if the whole server was searched.
    pub(crate) is_server: bool,
}

impl Searched {
    /// Returns whether another account owns a part of it, which root leaves to that one.
    pub(crate) fn is_of_others(&self, ctx: &Context) -> bool {
        ctx.own_uid() == 0 && self.by_owner.0.keys().any(|&owner| owner != 0)
    }

    /// Returns the spools that this account works on: as root, root's.
    pub(crate) fn targets(self, ctx: &Context) -> Vec<Target> {
        let mut gathering = self.gathering(ctx);
        while gathering.load_next(ctx) {}
        gathering.finish()
    }

    /// Returns them as [`Self::targets`] does, but their configurations are loaded one by one.
    pub(crate) fn gathering(mut self, ctx: &Context) -> Gathering {
        let found = match ctx.own_uid() {
            0 => self.by_owner.take_roots(ctx),
            _ => self.by_owner.0.into_values().flatten().collect(),
        };
        let is_repository = |one: &Found| matches!(one, Found::Repository(_));
        let needs_server = found.iter().any(is_repository);
        Gathering {
            server: needs_server.then(|| told_once(ctx.server(), ctx)).flatten(),
            found: found.into_iter(),
            targets: BTreeMap::new(),
        }
    }
}

/// Finds the spools of what a command line names.
pub(crate) fn search(named: Named<'_>, ctx: &Context) -> Result<Searched, Error> {
    let mut by_owner = ByOwner::default();
    if ctx.is_given {
        let given = found::given(ctx)?;
        by_owner.0.insert(ctx.own_uid(), given);
        return Ok(Searched {
            by_owner,
            is_server: matches!(named, Named::Server),
        });
    }
    let here = match named {
        Named::Nothing => here(ctx)?,
        Named::Paths(_) | Named::Server => None,
    };
    let paths = match named {
        Named::Paths(paths) => paths,
        Named::Server | Named::Nothing => here.as_slice(),
    };
    let is_server = paths.is_empty();
    let look_into = |path: &Path, by_owner: &mut ByOwner| {
        let take = &mut |one, owner| by_owner.0.entry(owner).or_default().push(one);
        let tell = &mut |error| ctx.tell_failure(spool::SpoolError::from(error));
        // The path is made absolute: another refpost works in another folder.
        let path = &absolute(path);
        let found = spool::search(path, REPOSITORY_FILE, OWN_FOLDER, take, tell);
        found.unwrap_or_else(|error| {
            tell(error);
            true
        })
    };
    if is_server {
        let server = ctx.server()?;
        let is_service = ctx.is_service()?;
        let spools = if is_service {
            server.spools_of_service()
        } else {
            let workers = server.worker().map(|worker| worker.spool);
            // On a machine that is no worker, it is not there, or none of this account's.
            let is_ours = |owner: u32| ctx.own_uid() == 0 || owner == ctx.own_uid();
            let owner = |root: &PathBuf| std::fs::metadata(root).ok().map(|meta| meta.uid());
            let workers = workers.filter(|root| owner(root).is_some_and(is_ours));
            let others = server.spools().map(Path::to_owned);
            others.chain(workers).collect()
        };
        if spools.is_empty() && server.root().is_none() {
            return Err(Error::Failed {
                what: "cannot tell which spools are meant".to_owned(),
                hint: Some(
                    "name repositories, spools or folders of them, or set `root` in the \
                     server's config"
                        .to_owned(),
                ),
            });
        }
        for root in spools {
            let found = spool::what_is(&root);
            // The service alone looks into a spool of submitted entries.
            if server.socket().is_some() && !is_service && ctx.own_uid() != 0 {
                continue;
            }
            let owner = found.map_or(ctx.own_uid(), |(_, owner)| owner);
            let all = by_owner.0.entry(owner).or_default();
            all.push(Found::Spool(root));
        }
        if let Some(root) = server.root().filter(|_| !is_service) {
            look_into(root, &mut by_owner);
        }
    }
    for path in paths {
        let git_dir = path.join(".git");
        let path = if git_dir.is_dir() { &git_dir } else { path };
        if !look_into(path, &mut by_owner) {
            ctx.tell_failure(repositories::none_below(path));
        }
    }
    Ok(Searched {
        by_owner,
        is_server,
    })
}

/// The spools that were found, while their configurations are loaded.
pub(crate) struct Gathering {
    /// The server's file, if it can be loaded and is needed.
    server: Option<Server>,
    found: vec::IntoIter<Found>,
    targets: BTreeMap<PathBuf, Target>,
}

impl Gathering {
    /// Loads the next configuration. Returns false if none is left.
    pub(crate) fn load_next(&mut self, ctx: &Context) -> bool {
        let Some(found) = self.found.next() else {
            return false;
        };
        if let Some(one) = target(found, self.server.as_ref(), ctx) {
            self.add(one);
        }
        true
    }

    /// Adds a target. Many repositories can share one spool.
    fn add(&mut self, one: Target) {
        match self.targets.get_mut(one.spool.root()) {
            Some(known) => {
                known.endpoints.extend(one.endpoints);
                known.names.extend(one.names);
                known.homes.extend(one.homes);
                known.former.extend(one.former);
                known.bounds.extend(one.bounds);
                known.is_alone = false;
                known.is_whole |= one.is_whole;
                known.repositories.extend(one.repositories);
                known.is_broken |= one.is_broken;
            }
            None => drop(self.targets.insert(one.spool.root().to_owned(), one)),
        }
    }

    /// Returns the targets, sorted by the folders of their spools.
    pub(crate) fn finish(self) -> Vec<Target> {
        self.targets.into_values().collect()
    }
}

/// Calls `act` with each target. An error is told, and the next targets follow. Returns the
/// outcome, which is also [`Exit::No`] if a configuration that says what there is cannot be loaded.
pub(crate) fn each(
    targets: &[Target],
    ctx: &Context,
    mut act: impl FnMut(&Target) -> Result<(), Error>,
) -> Exit {
    for target in targets {
        if target.is_broken {
            ctx.note_failure();
        }
        if let Err(error) = act(target) {
            ctx.tell_failure(error);
        }
    }
    ctx.outcome()
}

/// Returns the loaded value. An error is told; pushes wait until the configuration is mended.
fn told_once<T>(loaded: Result<T, config::Error>, ctx: &Context) -> Option<T> {
    loaded.map_err(|error| ctx.tell_error(error)).ok()
}

/// Returns the spool of a finding. `None` if this account must not work on it, which was told.
fn target(found: Found, server: Option<&Server>, ctx: &Context) -> Option<Target> {
    let git_dir = match found {
        Found::Spool(root) => {
            let spool = locate::spool_named(&root);
            if !is_for_us(&spool, ctx) {
                return None;
            }
            let known = settings_of_server(|own| is_same(own, &root), ctx);
            let here = |settings| endpoints(settings, &root);
            return Some(Target {
                spool,
                repositories: BTreeSet::new(),
                is_whole: true,
                is_alone: false,
                is_decided: false,
                is_broken: false,
                endpoints: known.iter().flat_map(here).collect(),
                names: known.iter().flat_map(endpoint_names).collect(),
                homes: Vec::new(),
                bounds: Vec::new(),
                former: Vec::new(),
            });
        }
        Found::Repository(git_dir) => absolute(&git_dir),
    };
    if let Err(error) = ctx.ensure_trusted(&git_dir) {
        ctx.tell_failure(error);
        return None;
    }
    let loaded = server.and_then(|server| {
        let loaded = server.load(Some(&git_dir), ctx.host());
        told_once(loaded, ctx)
    });
    let is_broken = loaded.is_none();
    let is_decided = loaded.as_ref().is_some_and(Loaded::is_decided);
    let settings = loaded.map(|loaded| loaded.settings);
    let spool = locate::spool_of(&git_dir, settings.as_ref());
    if !is_for_us(&spool, ctx) {
        return None;
    }
    let former = locate::former_spool(&git_dir, &spool);
    let most = settings.as_ref().and_then(|settings| settings.max_spool);
    Some(Target {
        bounds: most
            .map(|most| (git_dir.clone(), most))
            .into_iter()
            .collect(),
        names: settings.iter().flat_map(endpoint_names).collect(),
        homes: settings
            .iter()
            .map(|it| home(it, server, &git_dir))
            .collect(),
        endpoints: settings.map_or_else(BTreeMap::new, |settings| endpoints(&settings, &git_dir)),
        former: former.into_iter().collect(),
        repositories: [git_dir].into(),
        is_whole: false,
        is_alone: true,
        is_decided,
        is_broken,
        spool,
    })
}

/// Returns whether this account may deliver from a spool; if not, tells why.
///
/// The service behind `socket` delivers entries that were submitted to it. It looks into no spool
/// of another account, nor into one inside a repository, since it reads no configuration there.
fn is_for_us(spool: &Spool, ctx: &Context) -> bool {
    if !ctx.is_service().unwrap_or(false) {
        return true;
    }
    let is_served = |server: &Server| {
        let all = server.spools_of_service();
        all.iter().any(|root| is_same(root, spool.root()))
    };
    if ctx.server().as_ref().is_ok_and(is_served) {
        return true;
    }
    ctx.note_failure();
    ctx.tell_once(
        &format!(
            "cannot flush `{}` as the service: it delivers from the server's `spool` alone",
            spool.root().display()
        ),
        Some("run it as an account that is not the service"),
    );
    false
}

pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    one == other || absolute(one) == absolute(other)
}

fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
