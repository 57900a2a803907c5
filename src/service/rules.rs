//! What the server's file says of entries from the broker.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::config::{self, Server, Settings, Worker};
use crate::context::Context;
use crate::context::told;
use crate::delivery;
use crate::error::Error;
use crate::report::chain;
use crate::spool::{Forward, Queue, Recipient};

/// Greatest number of endpoints of an entry that are not configured here.
const MOST_UNKNOWN: usize = 16;

/// The server's file, read once for some entries.
pub(super) struct Rules {
    server: Server,
    pub(super) worker: Worker,
    pub(super) root: PathBuf,
    /// Settings by repository. `None`: an endpoint of it has no key.
    settings: HashMap<PathBuf, Option<Settings>>,
}

impl Rules {
    pub(super) fn read(ctx: &Context) -> Result<Self, Error> {
        let server = ctx.server()?;
        match (server.worker(), server.root().map(Path::to_owned)) {
            (Some(worker), Some(root)) => Ok(Self {
                server,
                worker,
                root,
                settings: HashMap::new(),
            }),
            _ => Err(Error::failed("`[worker]` is not set any more".to_owned())),
        }
    }

    pub(super) fn settings(&mut self, repository: &Path, host: &str) -> Option<&Settings> {
        if !self.settings.contains_key(repository) {
            let loaded = self.server.load_served(repository, host).ok();
            let settings = loaded.map(|loaded| loaded.settings);
            self.settings.insert(repository.to_owned(), settings);
        }
        self.settings[repository].as_ref()
    }
}

/// Returns who gets an entry: the endpoints that the git server meant. The error is the reason for
/// which nobody does.
///
/// Of an endpoint that is not configured here the messages are kept in `failed/`, under its own
/// name. Without settings they wait in queues until they can be loaded.
pub(super) fn recipients(
    forward: &Forward,
    settings: Option<&Settings>,
    repository: &Path,
) -> Result<Vec<Recipient>, String> {
    let meant = |settings| delivery::recipients_meant(&forward.to, settings, repository);
    let mut all = settings.map_or_else(Vec::new, meant);
    let endpoint = |name: &str| settings?.endpoints.iter().find(|own| own.name == name);
    let by_name = forward.to.iter().map(|one| (one.endpoint.as_str(), one));
    let is_left = |name| endpoint(name).is_none_or(|own| own.is_for_alerts);
    let left: BTreeMap<_, _> = by_name.filter(|(name, _)| is_left(name)).collect();
    for (at, (name, one)) in left.into_iter().enumerate() {
        let is_for_alerts = endpoint(name).is_some();
        if is_for_alerts || at >= MOST_UNKNOWN || !config::is_endpoint_name(name) {
            let name = told::cut(name);
            return Err(format!(
                "it is for `{name}`, which is no endpoint for it here"
            ));
        }
        all.push(Recipient {
            queue: Queue::new(name).map_err(|error| chain(&error))?,
            forward: None,
            ..one.clone()
        });
    }
    if all.is_empty() {
        return Err("it is for no endpoint".to_owned());
    }
    Ok(all)
}
