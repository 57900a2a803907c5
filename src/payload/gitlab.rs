//! GitLab's web-hook format: `push`, `tag_push`, and a test that builds nothing.

use std::borrow::Cow;

use serde::Serialize;

use super::Format;
use super::commits::{Extent, total};
use super::context::{Context, Lists, Seen};
use super::wording::{self, Utc};
use crate::event::Commit;

/// Number of characters from which on a title is cut.
const LONG_TITLE: usize = 100;

/// Number of characters of a cut title, before the ellipsis.
const CUT_TITLE: usize = 80;

#[derive(Serialize)]
struct Push<'a> {
    object_kind: &'static str,
    event_name: &'static str,
    before: String,
    after: String,
    #[serde(rename = "ref")]
    reference: String,
    ref_protected: bool,
    checkout_sha: Option<String>,
    message: Option<Cow<'a, str>>,
    user_id: u64,
    user_name: String,
    user_username: String,
    user_email: String,
    user_avatar: Option<&'a str>,
    project_id: u64,
    project: Project<'a>,
    commits: Vec<ListedCommit<'a>>,
    total_commits_count: usize,
    #[serde(rename = "push_options")]
    options: Nothing,
    repository: Repository<'a>,
}

#[derive(Serialize)]
pub(super) struct Ping<'a> {
    object_kind: &'static str,
    event_name: &'static str,
    user_name: String,
    user_username: String,
    project_id: u64,
    project: Project<'a>,
    repository: Repository<'a>,
}

#[derive(Serialize)]
struct Project<'a> {
    id: u64,
    name: &'a str,
    description: &'a str,
    web_url: &'a str,
    avatar_url: Option<&'a str>,
    git_ssh_url: &'a str,
    git_http_url: &'a str,
    namespace: String,
    visibility_level: u8,
    path_with_namespace: String,
    default_branch: &'a str,
    ci_config_path: Option<&'a str>,
    homepage: &'a str,
    url: &'a str,
    ssh_url: &'a str,
    http_url: &'a str,
}

#[derive(Serialize)]
struct Repository<'a> {
    name: &'a str,
    url: &'a str,
    description: &'a str,
    homepage: &'a str,
    git_http_url: &'a str,
    git_ssh_url: &'a str,
    visibility_level: u8,
}

/// An empty object: `{}`.
#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct ListedCommit<'a> {
    id: String,
    message: String,
    title: String,
    timestamp: String,
    url: String,
    author: Author<'a>,
    added: Vec<String>,
    modified: Vec<String>,
    removed: Vec<String>,
}

#[derive(Serialize)]
struct Author<'a> {
    name: Cow<'a, str>,
    email: Cow<'a, str>,
}

/// Visibility of a project that all people may see.
const PUBLIC: u8 = 20;

/// Returns the headers of a request, without token and signature.
pub(super) fn headers(
    topic: &str,
    context: Context<'_>,
    delivery: &str,
) -> Vec<(&'static str, String)> {
    let event = match topic {
        "push" => "Push Hook",
        "tag_push" => "Tag Push Hook",
        _ => "Test Hook",
    };
    let instance = context.instance.trim_end_matches('/');
    vec![
        ("X-Gitlab-Event", event.to_owned()),
        ("X-Gitlab-Webhook-UUID", delivery.to_owned()),
        ("X-Gitlab-Event-UUID", delivery.to_owned()),
        ("X-Gitlab-Instance", instance.to_owned()),
        ("Idempotency-Key", delivery.to_owned()),
    ]
}

pub(super) fn ping(context: Context<'_>) -> Ping<'_> {
    let pusher = context.pusher();
    Ping {
        object_kind: "test",
        event_name: "test",
        user_name: pusher.fullname.unwrap_or_else(|| pusher.login.clone()),
        user_username: pusher.login,
        project_id: context.project.id,
        project: project(context),
        repository: repository(context),
    }
}

/// Returns a body, and the headers that tell which parts it leaves out.
pub(super) fn body(seen: Seen<'_>, longest: usize) -> (Vec<u8>, Vec<(String, String)>) {
    let context = seen.context;
    let head = seen.head();
    // A tag has the one commit that it leads to.
    let (commits, total) = if seen.is_tag() {
        let one = head.as_slice();
        (one, one.len())
    } else {
        let commits = seen.newest(context.most_commits(Format::Gitlab));
        (commits, total(seen.change))
    };
    let lists = Lists {
        commits,
        head: None,
        total,
    };
    let kind = if seen.is_tag() { "tag_push" } else { "push" };
    let details = seen.change.details.as_ref();
    let text = details.and_then(|details| details.tag_text.as_deref());
    lists.within(longest, |extent| {
        let pusher = context.pusher();
        let listed = |commit| listed(commit, context, extent);
        Push {
            object_kind: kind,
            event_name: kind,
            before: seen.before(),
            after: seen.after(),
            reference: seen.change.update.name.full(),
            ref_protected: false,
            checkout_sha: head.as_ref().map(|head| head.id.to_string()),
            message: text.map(|text| extent.text(text.trim_end_matches('\n'))),
            user_id: pusher.id,
            user_name: pusher.fullname.unwrap_or_else(|| pusher.login.clone()),
            user_email: pusher
                .email
                .unwrap_or_else(|| format!("{}@noreply.{}", pusher.login, context.host())),
            user_username: pusher.login,
            user_avatar: None,
            project_id: context.project.id,
            project: project(context),
            commits: commits[..extent.commits].iter().rev().map(listed).collect(),
            total_commits_count: total,
            options: Nothing {},
            repository: repository(context),
        }
    })
}

fn listed<'a>(commit: &'a Commit, context: Context<'a>, extent: Extent) -> ListedCommit<'a> {
    let paths = extent.paths(commit);
    ListedCommit {
        id: commit.id.to_string(),
        message: extent.message(commit),
        title: title(&commit.message),
        timestamp: wording::date(&commit.committer, Utc::Zeros),
        url: context.addresses.commit(commit.id, "/-/commit/"),
        author: Author {
            name: extent.name(&commit.author.name),
            email: extent.name(&commit.author.email),
        },
        added: paths.added,
        modified: paths.modified,
        removed: paths.removed,
    }
}

/// Returns the first line of a message; a long one ends at a space.
fn title(message: &str) -> String {
    let line = message.split(['\r', '\n']).next().unwrap_or_default();
    if line.chars().count() < LONG_TITLE {
        return line.to_owned();
    }
    let end = line
        .char_indices()
        .nth(CUT_TITLE)
        .map_or(line.len(), |(at, _)| at);
    let ends_word = line[end..].starts_with(' ');
    let space = line[..end].rfind(' ').filter(|_| !ends_word);
    format!("{}…", &line[..space.unwrap_or(end)])
}

fn project(context: Context<'_>) -> Project<'_> {
    let (project, addresses) = (context.project, context.addresses);
    Project {
        id: project.id,
        name: &project.name,
        description: &project.description,
        web_url: &addresses.html,
        avatar_url: None,
        git_ssh_url: &addresses.ssh,
        git_http_url: &addresses.http,
        namespace: context.owner().login,
        visibility_level: PUBLIC,
        path_with_namespace: context.full_name(),
        default_branch: context.branch(),
        ci_config_path: None,
        homepage: &addresses.html,
        url: &addresses.ssh,
        ssh_url: &addresses.ssh,
        http_url: &addresses.http,
    }
}

fn repository(context: Context<'_>) -> Repository<'_> {
    let (project, addresses) = (context.project, context.addresses);
    Repository {
        name: &project.name,
        url: &addresses.ssh,
        description: &project.description,
        homepage: &addresses.html,
        git_http_url: &addresses.http,
        git_ssh_url: &addresses.ssh,
        visibility_level: PUBLIC,
    }
}

#[cfg(test)]
mod tests {
    use super::title;

    #[test]
    fn a_long_title_ends_at_a_space() {
        let words = "word ".repeat(30);
        assert_eq!(title(&words), format!("{}…", "word ".repeat(16).trim_end()));
        assert_eq!(title(&"é".repeat(100)), format!("{}…", "é".repeat(80)));
        assert_eq!(title(&"é".repeat(99)), "é".repeat(99));
        assert_eq!(title("One\r\nTwo"), "One");
        let at_80 = format!("{} {}", "a".repeat(80), "b".repeat(40));
        assert_eq!(title(&at_80), format!("{}…", "a".repeat(80)));
        assert_eq!(title(""), "");
    }
}
