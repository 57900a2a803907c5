//! The layers' files, laid on each other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::alerts::Alerts;
use super::defaults;
use super::document::Document;
use super::error::Error;
use super::fleet::{Broker, Worker};
use super::read::{Read, read};
use super::schema::Layer;
use super::sections::Section;
use super::settings::{self, Settings};
use super::shown::{Shown, show};
use super::values::matching::Names;

/// Settings, and where they come from.
pub struct Loaded {
    /// Effective settings.
    pub settings: Settings,
    /// The files that were read, the weakest first. None: nothing is wanted.
    pub files: Vec<PathBuf>,
    /// The sections of the server's file that are about the repository, by file, line
    /// and patterns, the weakest first.
    pub sections: Vec<String>,
    /// The weakest first, and what each is called.
    layers: Vec<(String, Layer)>,
}

impl Loaded {
    /// Every effective setting by its key.
    #[must_use]
    pub fn shown(&self) -> BTreeMap<String, Shown> {
        show(&merged(&self.layers), &self.layers)
    }

    /// Place of an empty `urls` that switches all off, if there is one.
    #[must_use]
    pub fn switched_off_by(&self) -> Option<String> {
        if !self.settings.endpoints.is_empty() {
            return None;
        }
        let urls = self.shown().remove("urls")?;
        (urls.value == "[]").then_some(urls.source)
    }

    /// Returns whether no file names the instance.
    #[must_use]
    pub fn is_instance_guessed(&self) -> bool {
        self.layers
            .iter()
            .skip(1)
            .all(|(_, layer)| layer.instance.is_none())
    }

    /// Returns whether the configuration says where messages go, or by an empty `urls` that they go
    /// nowhere. Otherwise messages that wait stay.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        !self.settings.endpoints.is_empty() || self.switched_off_by().is_some()
    }
}

/// The server's file, read once for any number of repositories.
pub struct Server {
    /// Its path, whether it exists or not.
    path: PathBuf,
    document: Option<Document>,
    /// True if the file exists and has no character in it.
    is_blank: bool,
}

impl Server {
    /// Reads the file, if there is one. `required`: it was named, so that its absence is an error.
    pub fn read(path: &Path, required: bool) -> Result<Self, Error> {
        let read = match read(path, None) {
            Ok(read) => Some(read),
            Err(error) if error.is_absence() && !required => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            path: path.to_owned(),
            is_blank: read.as_ref().is_some_and(|read| read.is_blank),
            document: read.map(|read| read.document),
        })
    }

    /// Its keys for all repositories.
    fn layer(&self) -> Option<&Layer> {
        self.document.as_ref().map(|document| &document.layer)
    }

    /// The folder that repositories are in.
    #[must_use]
    pub fn root(&self) -> Option<&Path> {
        self.layer()?.root.as_deref()
    }

    /// Returns how many requests a flush may have under way at once.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        let own = self.layer().and_then(|layer| layer.delivery.in_flight);
        own.unwrap_or(defaults::IN_FLIGHT)
    }

    /// Returns who is told that receivers fail (`[alerts]`), if anyone is.
    #[must_use]
    pub fn alerts(&self) -> Option<Alerts> {
        self.layer()?.alerts.settled()
    }

    /// Returns whether a repository is left out of the page (`[page] exclude`).
    #[must_use]
    pub fn leaves_out(&self, repository: &Path) -> bool {
        let exclude = self.layer().and_then(|layer| layer.page.exclude.as_ref());
        exclude.is_some_and(|all| all.choose(&Names::new(repository, self.root())))
    }

    /// The spools that it names, for all repositories or for some.
    pub fn spools(&self) -> impl Iterator<Item = &Path> {
        let sections = self.document.iter().flat_map(|one| &one.sections);
        let sections = sections.map(|section| &section.layer);
        let layers = self.layer().into_iter().chain(sections);
        layers.filter_map(|layer| layer.spool.as_deref())
    }

    /// Returns the spools that a service delivers from: a worker's, or else those for repositories.
    #[must_use]
    pub fn spools_of_service(&self) -> Vec<PathBuf> {
        match self.worker() {
            Some(worker) => vec![worker.spool],
            None => self.spools().map(Path::to_owned).collect(),
        }
    }

    /// Returns the broker that entries are handed to, or taken from.
    #[must_use]
    pub fn broker(&self) -> Option<Broker> {
        Broker::of(&self.layer()?.broker)
    }

    /// Returns how this machine takes entries from the broker, if it may.
    #[must_use]
    pub fn worker(&self) -> Option<Worker> {
        let layer = self.layer()?;
        Worker::of(&layer.worker, &layer.broker)
    }

    /// Returns the socket where hooks submit entries to a service.
    #[must_use]
    pub fn socket(&self) -> Option<&Path> {
        self.layer()?.socket.as_deref()
    }

    /// Returns the names of its sections: of all, or of those about a repository.
    #[must_use]
    pub fn sections(&self, repository: Option<&Path>) -> Vec<String> {
        let sections = match repository {
            Some(_) => self.sections_about(repository),
            None => self.document.iter().flat_map(|one| &one.sections).collect(),
        };
        let names = sections.iter().map(|section| section.name(&self.path));
        names.collect()
    }

    /// Loads the settings of a repository, or of none in particular. `host` is the machine's name,
    /// for defaults.
    pub fn load(&self, repository: Option<&Path>, host: &str) -> Result<Loaded, Error> {
        let own = repository.map(|folder| (folder, folder.join(super::REPOSITORY_FILE)));
        let own = own.map(|(folder, path)| (read(&path, Some(folder)), path));
        match own {
            Some((Ok(own), path)) => self.settle(repository, Some((path, own)), host),
            Some((Err(error), _)) if !error.is_absence() => Err(error),
            _ => self.settle(repository, None, host),
        }
    }

    /// Loads the configuration without the repository's own file, which may be broken.
    pub fn load_without_own(&self, repository: &Path, host: &str) -> Result<Loaded, Error> {
        self.settle(Some(repository), None, host)
    }

    /// Loads the settings by which a service delivers for a repository: from this file alone, and
    /// of the repository from its path alone.
    pub fn load_served(&self, repository: &Path, host: &str) -> Result<Loaded, Error> {
        let layers = self.layers(Some(repository), host);
        let mut settings = self.settings_of(&layers)?;
        settings.socket = None;
        if let Some(worker) = self.worker() {
            settings.broker = None;
            settings.spool = Some(worker.spool);
            settings.spool_is_shared = true;
        } else {
            let served = settings.endpoints.clone();
            settings.leave(&served, Some(repository));
        }
        Ok(Loaded {
            settings,
            files: vec![self.path.clone()],
            sections: sections_in(&layers),
            layers,
        })
    }

    /// Returns the settings of the file by itself, and those with each of its sections, by name.
    #[must_use]
    pub fn alone(&self, host: &str) -> Vec<Alone> {
        let base = self.layers(None, host);
        let mut all = vec![(self.path.display().to_string(), self.settings_of(&base))];
        for section in self.document.iter().flat_map(|one| &one.sections) {
            let name = section.name(&self.path);
            let mut layers = base.clone();
            layers.push((name.clone(), section.layer.clone()));
            all.push((name, self.settings_of(&layers)));
        }
        all
    }

    /// The layers that this file has for a repository, and the defaults below them.
    fn layers(&self, repository: Option<&Path>, host: &str) -> Vec<(String, Layer)> {
        let mut layers = vec![("default".to_owned(), defaults::defaults(host))];
        if let Some(document) = &self.document {
            layers.push((self.path.display().to_string(), document.layer.clone()));
            for section in self.sections_about(repository) {
                layers.push((section.name(&self.path), section.layer.clone()));
            }
        }
        layers
    }

    fn settings_of(&self, layers: &[(String, Layer)]) -> Result<Settings, Error> {
        settings::settle(merged(layers), &self.path).map_err(|endpoint| Error::NoKey {
            path: self.path.clone(),
            endpoint,
        })
    }

    /// Lays the layers on each other, and makes settings of them.
    fn settle(
        &self,
        repository: Option<&Path>,
        own: Option<(PathBuf, Read)>,
        host: &str,
    ) -> Result<Loaded, Error> {
        let mut layers = self.layers(repository, host);
        let is_there = self.document.is_some();
        let mut files: Vec<PathBuf> = is_there.then(|| self.path.clone()).into_iter().collect();
        let sections = sections_in(&layers);
        // Where the server's file alone is incomplete, none of its endpoints is left to others.
        let leaves = self.socket().is_some() || self.broker().is_some();
        let served = leaves.then(|| self.settings_of(&layers));
        let mut empty = self.is_blank.then(|| self.path.clone());
        if let Some((path, own)) = own {
            empty = own.says_nothing.then(|| path.clone()).or(empty);
            layers.push((path.display().to_string(), own.document.layer));
            files.push(path);
        }
        let mut settings =
            settings::settle(merged(&layers), &self.path).map_err(|endpoint| Error::NoKey {
                path: files.last().cloned().unwrap_or_default(),
                endpoint,
            })?;
        if let Some(served) = served {
            let endpoints = served.map_or_else(|_| Vec::new(), |served| served.endpoints);
            settings.leave(&endpoints, repository);
        }
        if let (Some(_), Some(empty), []) = (repository, empty, &settings.endpoints[..]) {
            return Err(Error::Empty(empty));
        }
        Ok(Loaded {
            settings,
            files,
            sections,
            layers,
        })
    }

    /// The sections that are about a repository, in their order. Without any there is
    /// nothing to find out about it.
    pub(super) fn sections_about(&self, repository: Option<&Path>) -> Vec<&Section> {
        let sections = self.document.iter().flat_map(|one| &one.sections);
        let mut names = None;
        let is_about = |section: &&Section| {
            repository.is_some_and(|git_dir| {
                section.is_about(names.get_or_insert_with(|| Names::new(git_dir, self.root())))
            })
        };
        sections.filter(is_about).collect()
    }
}

/// Loads the server's file and the repository's, as far as they are there; see
/// [`Server`].
pub fn load(
    system: &Path,
    required: bool,
    repository: Option<&Path>,
    host: &str,
) -> Result<Loaded, Error> {
    Server::read(system, required)?.load(repository, host)
}

/// Loads a configuration by itself, without the files above or below it: the settings of the file, and
/// those with each of its sections, by name.
///
/// A file called `refpost.toml` is a repository's; any other is the server's.
pub fn load_alone(path: &Path, host: &str) -> Result<Vec<Alone>, Error> {
    let is_own = path
        .file_name()
        .is_some_and(|name| name == super::REPOSITORY_FILE);
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = is_own.then_some(folder.unwrap_or(Path::new(".")));
    let read = read(path, folder)?;
    let server = Server {
        path: path.to_owned(),
        is_blank: read.is_blank,
        document: Some(read.document),
    };
    Ok(server.alone(host))
}

/// A file or a section by its name, and its settings.
pub type Alone = (String, Result<Settings, Error>);

/// Returns the names of the sections among a server's layers: the defaults and the file come first.
fn sections_in(layers: &[(String, Layer)]) -> Vec<String> {
    let sections = layers.iter().skip(2);
    sections.map(|(name, _)| name.clone()).collect()
}

fn merged(layers: &[(String, Layer)]) -> Layer {
    let mut merged = Layer::default();
    for (_, layer) in layers {
        merged.update(layer.clone());
    }
    merged
}
