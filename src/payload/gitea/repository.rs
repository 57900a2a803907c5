//! Data on the repository and on accounts in Gitea's messages.

use serde::Serialize;

use super::super::context::{Context, Person, date};
use super::super::wording::{Same, path};

/// Go's zero time: no date.
const NO_DATE: &str = "0001-01-01T00:00:00Z";

#[derive(Serialize)]
#[allow(clippy::struct_excessive_bools, reason = "each is a key")]
pub(super) struct User {
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
pub(super) struct Repository<'a> {
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

pub(super) fn user(context: Context<'_>, person: Person) -> User {
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

pub(super) fn repository(context: Context<'_>) -> Repository<'_> {
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
