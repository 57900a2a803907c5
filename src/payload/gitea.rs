//! Gitea's web-hook format, and Forgejo's, which is the same with more headers: `push`,
//! `create`, `delete`, `ping`.

use serde::Serialize;

use super::Format;
use super::commits::{Extent, total};
use super::context::{Context, Lists, Person, Seen, date};
use super::wording::{self, Same, Utc, path};
use crate::event::{Commit, Signature};
use crate::json;

/// Go's zero time: no date.
const NO_DATE: &str = "0001-01-01T00:00:00Z";

#[derive(Serialize)]
struct Push<'a> {
    #[serde(rename = "ref")]
    reference: String,
    before: String,
    after: String,
    compare_url: String,
    commits: Vec<ListedCommit<'a>>,
    total_commits: usize,
    head_commit: Option<ListedCommit<'a>>,
    repository: Repository<'a>,
    pusher: User,
    sender: User,
}

#[derive(Serialize)]
struct Create<'a> {
    sha: String,
    #[serde(rename = "ref")]
    reference: String,
    ref_type: &'a str,
    repository: Repository<'a>,
    sender: User,
}

#[derive(Serialize)]
struct Delete<'a> {
    #[serde(rename = "ref")]
    reference: String,
    ref_type: &'a str,
    pusher_type: &'a str,
    repository: Repository<'a>,
    sender: User,
}

#[derive(Serialize)]
pub(super) struct Ping<'a> {
    repository: Repository<'a>,
    sender: User,
}

#[derive(Serialize)]
struct ListedCommit<'a> {
    id: String,
    message: String,
    url: String,
    author: Author<'a>,
    committer: Author<'a>,
    verification: Option<&'a str>,
    timestamp: String,
    added: Vec<String>,
    removed: Vec<String>,
    modified: Vec<String>,
}

#[derive(Serialize)]
struct Author<'a> {
    name: &'a str,
    email: &'a str,
    username: &'a str,
}

#[derive(Serialize)]
struct User {
    id: u64,
    login: String,
    login_name: &'static str,
    source_id: u64,
    full_name: String,
    email: String,
    avatar_url: String,
    html_url: String,
    language: &'static str,
    is_admin: bool,
    last_login: &'static str,
    created: &'static str,
    restricted: bool,
    active: bool,
    prohibit_login: bool,
    #[serde(flatten)]
    texts: Same<&'static str>,
    visibility: &'static str,
    #[serde(flatten)]
    counts: Same<u64>,
    username: String,
}

#[derive(Serialize)]
struct Repository<'a> {
    id: u64,
    owner: User,
    name: &'a str,
    full_name: String,
    description: &'a str,
    #[serde(flatten)]
    kinds: Same<bool>,
    size: u64,
    language: &'static str,
    languages_url: String,
    html_url: &'a str,
    url: String,
    link: &'static str,
    ssh_url: &'a str,
    clone_url: &'a str,
    original_url: &'static str,
    website: &'static str,
    #[serde(flatten)]
    counts: Same<u64>,
    default_branch: &'a str,
    archived: bool,
    created_at: String,
    updated_at: String,
    archived_at: &'static str,
    permissions: Permissions,
    #[serde(flatten)]
    units: Same<bool>,
    projects_mode: &'static str,
    #[serde(flatten)]
    switches: Same<bool>,
    default_merge_style: &'static str,
    default_allow_maintainer_edit: bool,
    avatar_url: &'static str,
    internal: bool,
    mirror_interval: &'static str,
    object_format_name: &'static str,
    mirror_updated: &'static str,
    topics: &'a [String],
    licenses: [u8; 0],
}

#[derive(Serialize)]
struct Permissions {
    admin: bool,
    push: bool,
    pull: bool,
}

/// The headers of a request to those who know one of these names, without its signatures.
pub(super) fn headers(topic: &str, names: &[&str], delivery: &str) -> Vec<(String, String)> {
    let of = |name: &str| {
        [
            ("Delivery", delivery),
            ("Event", topic),
            ("Event-Type", topic),
        ]
        .map(|(end, value)| (format!("X-{name}-{end}"), value.to_owned()))
    };
    names
        .iter()
        .copied()
        .chain(["GitHub"])
        .flat_map(of)
        .collect()
}

/// A body, and the headers that say what it leaves out.
pub(super) fn body(
    topic: &str,
    seen: Seen<'_>,
    longest: usize,
) -> (Vec<u8>, Vec<(String, String)>) {
    let context = seen.context;
    let reference = seen.change.update.name.short();
    let repository = repository(context);
    let sender = user(context, context.pusher());
    let bytes = match topic {
        "create" => json::to_bytes(&Create {
            sha: seen.after(),
            reference,
            ref_type: seen.ref_type(),
            repository,
            sender,
        }),
        "delete" => json::to_bytes(&Delete {
            reference,
            ref_type: seen.ref_type(),
            pusher_type: "user",
            repository,
            sender,
        }),
        _ => return push(seen, longest),
    };
    (bytes, Vec::new())
}

pub(super) fn ping(context: Context<'_>) -> Ping<'_> {
    Ping {
        repository: repository(context),
        sender: user(context, context.pusher()),
    }
}

fn push(seen: Seen<'_>, longest: usize) -> (Vec<u8>, Vec<(String, String)>) {
    let context = seen.context;
    let (commits, total) = if seen.is_tag() {
        (&[][..], 0)
    } else {
        let commits = seen.newest(context.most_commits(Format::Gitea));
        (commits, total(seen.change))
    };
    let head = seen.head();
    let lists = Lists {
        commits,
        head: head.as_ref(),
        total,
    };
    seen.within(&lists, longest, |extent| {
        let listed = |commit| listed(commit, context, extent);
        Push {
            reference: seen.change.update.name.full(),
            before: seen.before(),
            after: seen.after(),
            compare_url: compare(seen),
            commits: commits[..extent.commits].iter().map(listed).collect(),
            total_commits: total,
            head_commit: head.as_ref().map(listed),
            repository: repository(context),
            pusher: user(context, context.pusher()),
            sender: user(context, context.pusher()),
        }
    })
}

/// The page of what a push changed.
fn compare(seen: Seen<'_>) -> String {
    let context = seen.context;
    let name = &seen.change.update.name;
    let details = seen.change.details.as_ref();
    let base = details.and_then(|details| details.before_oldest);
    let (old, new) = (seen.change.update.old, seen.change.update.new);
    let configured = old
        .or(base)
        .zip(new)
        .and_then(|(old, new)| context.addresses.compare(old, new, &name.full()));
    if let Some(page) = configured {
        return page;
    }
    let from = match (old, base) {
        _ if new.is_none() => None,
        (Some(_), _) => Some(seen.before()),
        (None, _) if seen.is_tag() => Some(seen.before()),
        (None, Some(base)) => Some(base.to_string()),
        (None, None) => {
            let branch = context
                .default_branch
                .filter(|branch| *branch != name.short());
            branch.map(path)
        }
    };
    match from {
        Some(from) => format!(
            "{}/compare/{from}...{}",
            context.addresses.html,
            seen.after()
        ),
        None => context.instance.to_owned(),
    }
}

fn listed<'a>(commit: &'a Commit, context: Context<'a>, extent: Extent) -> ListedCommit<'a> {
    let paths = extent.paths(commit);
    ListedCommit {
        id: commit.id.to_string(),
        message: extent.message(commit),
        url: context.addresses.commit(commit.id, "/commit/"),
        author: author(&commit.author, context),
        committer: author(&commit.committer, context),
        verification: None,
        timestamp: wording::date(&commit.author, Utc::Zulu),
        added: paths.added,
        removed: paths.removed,
        modified: paths.modified,
    }
}

fn author<'a>(signature: &'a Signature, context: Context<'a>) -> Author<'a> {
    Author {
        name: &signature.name,
        email: &signature.email,
        username: context.login(signature).unwrap_or_default(),
    }
}

fn user(context: Context<'_>, person: Person) -> User {
    let instance = context.instance;
    User {
        id: person.id,
        login_name: "",
        source_id: 0,
        full_name: person.fullname.unwrap_or_default(),
        email: person
            .email
            .unwrap_or_else(|| format!("{}@noreply.{}", person.login, context.host())),
        avatar_url: format!("{instance}favicon.ico"),
        html_url: format!("{instance}{}", path(&person.login)),
        language: "",
        is_admin: false,
        last_login: NO_DATE,
        created: NO_DATE,
        restricted: false,
        active: true,
        prohibit_login: false,
        texts: Same {
            keys: &["location", "website", "description"],
            value: "",
        },
        visibility: "public",
        counts: Same {
            keys: &["followers_count", "following_count", "starred_repos_count"],
            value: 0,
        },
        username: person.login.clone(),
        login: person.login,
    }
}

fn repository(context: Context<'_>) -> Repository<'_> {
    let (project, addresses) = (context.project, context.addresses);
    let url = format!(
        "{}api/v1/repos/{}",
        context.instance,
        path(&context.full_name())
    );
    let [created, modified] = context.dates();
    Repository {
        id: project.id,
        owner: user(context, context.owner()),
        name: &project.name,
        full_name: context.full_name(),
        description: &project.description,
        kinds: Same {
            keys: &["empty", "private", "fork", "template", "mirror"],
            value: false,
        },
        size: 0,
        language: "",
        languages_url: format!("{url}/languages"),
        html_url: &addresses.html,
        url,
        link: "",
        ssh_url: &addresses.ssh,
        clone_url: &addresses.http,
        original_url: "",
        website: "",
        counts: Same {
            keys: &[
                "stars_count",
                "forks_count",
                "watchers_count",
                "open_issues_count",
                "open_pr_counter",
                "release_counter",
            ],
            value: 0,
        },
        default_branch: context.branch(),
        archived: false,
        created_at: date(created),
        updated_at: date(modified),
        archived_at: "1970-01-01T00:00:00Z",
        permissions: Permissions {
            admin: false,
            push: false,
            pull: true,
        },
        units: Same {
            keys: &[
                "has_pull_requests",
                "has_projects",
                "has_releases",
                "has_packages",
                "has_actions",
                "has_issues",
                "has_wiki",
            ],
            value: false,
        },
        projects_mode: "",
        switches: Same {
            keys: &[
                "ignore_whitespace_conflicts",
                "allow_merge_commits",
                "allow_rebase",
                "allow_rebase_explicit",
                "allow_squash_merge",
                "allow_fast_forward_only_merge",
                "allow_rebase_update",
                "allow_manual_merge",
                "autodetect_manual_merge",
                "default_delete_branch_after_merge",
            ],
            value: false,
        },
        default_merge_style: "merge",
        default_allow_maintainer_edit: false,
        avatar_url: "",
        internal: false,
        mirror_interval: "",
        object_format_name: if context.is_sha256 { "sha256" } else { "sha1" },
        mirror_updated: NO_DATE,
        topics: &project.tags,
        licenses: [],
    }
}
