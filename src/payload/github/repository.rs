//! Data on the repository and on accounts in GitHub's messages.

use serde::Serialize;

use super::super::context::{Context, Person, date};
use super::super::pagure::Stamp;
use super::super::wording::{Links, Same, path};

/// Keys of an account's links, with the ends behind its address.
const USER_LINKS: &[(&str, &str)] = &[
    ("followers_url", "/followers"),
    ("following_url", "/following{/other_user}"),
    ("gists_url", "/gists{/gist_id}"),
    ("starred_url", "/starred{/owner}{/repo}"),
    ("subscriptions_url", "/subscriptions"),
    ("organizations_url", "/orgs"),
    ("repos_url", "/repos"),
    ("events_url", "/events{/privacy}"),
    ("received_events_url", "/received_events"),
];

/// Keys of a repository's links, with the ends behind its address.
const REPOSITORY_LINKS: &[(&str, &str)] = &[
    ("forks_url", "/forks"),
    ("keys_url", "/keys{/key_id}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("teams_url", "/teams"),
    ("hooks_url", "/hooks"),
    ("issue_events_url", "/issues/events{/number}"),
    ("events_url", "/events"),
    ("assignees_url", "/assignees{/user}"),
    ("branches_url", "/branches{/branch}"),
    ("tags_url", "/tags"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("trees_url", "/git/trees{/sha}"),
    ("statuses_url", "/statuses/{sha}"),
    ("languages_url", "/languages"),
    ("stargazers_url", "/stargazers"),
    ("contributors_url", "/contributors"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("commits_url", "/commits{/sha}"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("comments_url", "/comments{/number}"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("contents_url", "/contents/{+path}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("merges_url", "/merges"),
    ("archive_url", "/{archive_format}{/ref}"),
    ("downloads_url", "/downloads"),
    ("issues_url", "/issues{/number}"),
    ("pulls_url", "/pulls{/number}"),
    ("milestones_url", "/milestones{/number}"),
    (
        "notifications_url",
        "/notifications{?since,all,participating}",
    ),
    ("labels_url", "/labels{/name}"),
    ("releases_url", "/releases{/id}"),
    ("deployments_url", "/deployments"),
];

#[derive(Serialize)]
pub(super) struct User {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    login: String,
    id: u64,
    node_id: &'static str,
    avatar_url: String,
    gravatar_id: &'static str,
    url: String,
    html_url: String,
    #[serde(flatten)]
    links: OwnLinks,
    #[serde(rename = "type")]
    kind: &'static str,
    site_admin: bool,
}

/// Links that own the address at which they begin.
struct OwnLinks(String, &'static [(&'static str, &'static str)]);

impl Serialize for OwnLinks {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self(base, ends) = self;
        Links { base, ends }.serialize(to)
    }
}

/// A time: a number in a push, a text elsewhere.
#[derive(Serialize)]
#[serde(untagged)]
enum Moment {
    Number(u64),
    Text(String),
}

#[derive(Serialize)]
pub(super) struct Repository<'a> {
    id: u64,
    node_id: &'static str,
    name: &'a str,
    full_name: String,
    private: bool,
    owner: User,
    html_url: &'a str,
    description: Option<&'a str>,
    fork: bool,
    url: String,
    #[serde(flatten)]
    links: OwnLinks,
    created_at: Moment,
    updated_at: String,
    pushed_at: Moment,
    git_url: &'a str,
    ssh_url: &'a str,
    clone_url: &'a str,
    svn_url: &'a str,
    homepage: Option<&'a str>,
    #[serde(flatten)]
    counts: Same<u64>,
    language: Option<&'a str>,
    #[serde(flatten)]
    switches: Same<bool>,
    forks_count: u64,
    mirror_url: Option<&'a str>,
    #[serde(flatten)]
    more_switches: Same<bool>,
    open_issues_count: u64,
    license: Option<&'a str>,
    #[serde(flatten)]
    last_switches: Same<bool>,
    topics: &'a [String],
    visibility: &'static str,
    #[serde(flatten)]
    more_counts: Same<u64>,
    default_branch: &'a str,
    custom_properties: Nothing,
    #[serde(skip_serializing_if = "Option::is_none")]
    stargazers: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    master_branch: Option<&'a str>,
}

/// An empty object: `{}`.
#[derive(Serialize)]
struct Nothing {}

pub(super) fn api(context: Context<'_>) -> String {
    let name = path(&context.full_name());
    format!("{}api/v3/repos/{name}", context.instance)
}

pub(super) fn email(person: &Person, context: Context<'_>) -> String {
    let email = person.email.clone();
    email.unwrap_or_else(|| format!("{}@users.noreply.{}", person.login, context.host()))
}

pub(super) fn user(context: Context<'_>, person: Person, is_owner_in_push: bool) -> User {
    let instance = context.instance;
    let login = path(&person.login);
    let url = format!("{instance}api/v3/users/{login}");
    User {
        name: is_owner_in_push.then(|| person.login.clone()),
        email: is_owner_in_push.then(|| email(&person, context)),
        id: person.id,
        node_id: "",
        avatar_url: format!("{instance}favicon.ico"),
        gravatar_id: "",
        html_url: format!("{instance}{login}"),
        links: OwnLinks(url.clone(), USER_LINKS),
        url,
        kind: if person.is_group {
            "Organization"
        } else {
            "User"
        },
        site_admin: false,
        login: person.login,
    }
}

pub(super) fn description(context: Context<'_>) -> Option<&str> {
    let description = context.project.description.as_str();
    Some(description).filter(|text| !text.is_empty())
}

pub(super) fn repository<'a>(context: Context<'a>, stamp: &Stamp, is_push: bool) -> Repository<'a> {
    let (project, addresses) = (context.project, context.addresses);
    let [created, modified] = context.dates();
    let moment = |seconds| {
        if is_push {
            Moment::Number(seconds)
        } else {
            Moment::Text(date(seconds))
        }
    };
    let api = api(context);
    Repository {
        id: project.id,
        node_id: "",
        name: &project.name,
        full_name: context.full_name(),
        private: false,
        owner: user(context, context.owner(), is_push),
        html_url: &addresses.html,
        description: description(context),
        fork: false,
        url: if is_push {
            addresses.html.clone()
        } else {
            api.clone()
        },
        links: OwnLinks(api, REPOSITORY_LINKS),
        created_at: moment(created),
        updated_at: date(modified),
        pushed_at: moment(stamp.timestamp),
        git_url: &addresses.git,
        ssh_url: &addresses.ssh,
        clone_url: &addresses.http,
        svn_url: &addresses.html,
        homepage: addresses.page.as_deref(),
        counts: Same {
            keys: &["size", "stargazers_count", "watchers_count"],
            value: 0,
        },
        language: None,
        switches: Same {
            keys: &[
                "has_issues",
                "has_projects",
                "has_downloads",
                "has_wiki",
                "has_pages",
                "has_discussions",
            ],
            value: false,
        },
        forks_count: 0,
        mirror_url: None,
        more_switches: Same {
            keys: &["archived", "disabled"],
            value: false,
        },
        open_issues_count: 0,
        license: None,
        last_switches: Same {
            keys: &[
                "allow_forking",
                "is_template",
                "web_commit_signoff_required",
            ],
            value: false,
        },
        topics: &project.tags,
        visibility: "public",
        more_counts: Same {
            keys: &["forks", "open_issues", "watchers"],
            value: 0,
        },
        default_branch: context.branch(),
        custom_properties: Nothing {},
        stargazers: is_push.then_some(0),
        master_branch: is_push.then(|| context.branch()),
    }
}
