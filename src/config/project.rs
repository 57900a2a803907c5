//! What [project] says, and what the repository tells where it says nothing.

use std::path::Path;

use super::settings::Settings;
use super::values::matching::below;
use crate::host::Facts;
use crate::payload::{AccessUsers, Addresses, People, Project, User, derived_id};

/// Returns the project of a repository. `owner`: name and full name of the account that owns its
/// files.
#[must_use]
pub fn project(settings: &Settings, facts: &Facts, owner: (&str, &str)) -> Project {
    let set = settings.project.clone();
    let instance = &settings.instance;
    let (set_namespace, set_name) = match set.fullname.as_ref().or(facts.host.project.as_ref()) {
        Some(fullname) => split(fullname),
        None => split(&path_below(settings.root.as_deref(), &facts.path)),
    };
    let name = set.name.unwrap_or(set_name);
    let namespace = set
        .namespace
        .or(set_namespace)
        .filter(|namespace| !namespace.is_empty());
    let fullname = set.fullname.unwrap_or_else(|| match &namespace {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.clone(),
    });
    let url_path = set.url_path.unwrap_or_else(|| fullname.clone());
    let shown = facts.shown.clone();
    let owner = match &shown.owner {
        Some(text) => named_owner(text, &settings.people, owner),
        None => (owner.0.to_owned(), owner.1.to_owned()),
    };
    let user_name = set.user.name.unwrap_or(owner.0);
    let user_path = set
        .user
        .url_path
        .unwrap_or_else(|| format!("user/{user_name}"));
    Project {
        access_groups: set.access_groups.unwrap_or_default(),
        access_users: set.access_users.unwrap_or_else(|| AccessUsers {
            owner: vec![user_name.clone()],
            ..AccessUsers::default()
        }),
        close_status: set.close_status.unwrap_or_default(),
        custom_keys: set.custom_keys.unwrap_or_default(),
        date_created: set.date_created.unwrap_or(facts.created).to_string(),
        date_modified: set.date_modified.unwrap_or(facts.modified).to_string(),
        description: set
            .description
            .or(shown.description)
            .unwrap_or_else(|| facts.description.clone()),
        full_url: set
            .full_url
            .or(shown.url)
            .unwrap_or_else(|| format!("{instance}{url_path}")),
        id: set.id.unwrap_or_else(|| derived_id(&fullname)),
        milestones: set.milestones.unwrap_or_default(),
        name,
        namespace,
        parent: set.parent,
        priorities: set.priorities.unwrap_or_default(),
        tags: set.tags.unwrap_or_else(|| Vec::from_iter(shown.category)),
        url_path,
        user: User {
            full_url: set
                .user
                .full_url
                .unwrap_or_else(|| format!("{instance}{user_path}")),
            fullname: set.user.fullname.unwrap_or(owner.1),
            name: user_name,
            url_path: user_path,
        },
        fullname,
    }
}

/// Returns where a project is found: as the configuration says it, or cgit's and gitweb's.
#[must_use]
pub fn addresses(settings: &Settings, facts: &Facts, project: &Project) -> Addresses {
    let found = &facts.shown.clone_urls;
    Addresses::new(project, &settings.instance, &settings.addresses, found)
}

/// Returns the owner that cgit and gitweb name: a person of `[people]`, by address or name. One
/// word is an account; any other text is a person's name, with the account of the files.
fn named_owner(text: &str, people: &People, account: (&str, &str)) -> (String, String) {
    let (name, email) = match text.split_once('<') {
        Some((name, rest)) => (name.trim(), rest.trim_end_matches('>').trim()),
        None => (text, text),
    };
    let known = people.get(email).or_else(|| {
        let mut known = people.values();
        known.find(|known| {
            [&known.name, &known.fullname]
                .iter()
                .any(|one| *one == name)
        })
    });
    match known {
        Some(known) => (known.name.clone(), known.fullname.clone()),
        None if name.is_empty() => (account.0.to_owned(), account.1.to_owned()),
        None if name.contains([' ', '@']) => (account.0.to_owned(), name.to_owned()),
        None => (name.to_owned(), name.to_owned()),
    }
}

/// The repository's path below `root`, without `.git`; outside of it, or
/// without a root, its own name.
fn path_below(root: Option<&Path>, path: &Path) -> String {
    let below = root.and_then(|root| below(root, path));
    let name = below
        .as_deref()
        .or_else(|| path.file_name().map(Path::new))
        .unwrap_or(path)
        .to_string_lossy();
    name.strip_suffix(".git").unwrap_or(&name).to_owned()
}

/// A namespace, if there is one, and a name.
fn split(fullname: &str) -> (Option<String>, String) {
    match fullname.rsplit_once('/') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name.to_owned()),
        None => (None, fullname.to_owned()),
    }
}
