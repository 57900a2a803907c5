//! Gitea's web-hook format, and Forgejo's, which is the same with more headers: `push`,
//! `create`, `delete`, `ping`.

mod repository;

use std::borrow::Cow;

use serde::Serialize;

use repository::{Repository, User, repository, user};

use super::Format;
use super::commits::{Extent, total};
use super::context::{Context, Lists, Seen};
use super::wording::{self, Utc, path};
use crate::event::{Commit, Signature};
use crate::json;

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
    name: Cow<'a, str>,
    email: Cow<'a, str>,
    username: &'a str,
}

/// Returns the headers of a request for receivers that know one of these names, without its
/// signatures.
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

/// Returns a body, and the headers that tell which parts it leaves out.
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
    lists.within(longest, |extent| {
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

/// Returns the page of the changes of a push.
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
        author: author(&commit.author, context, extent),
        committer: author(&commit.committer, context, extent),
        verification: None,
        timestamp: wording::date(&commit.author, Utc::Zulu),
        added: paths.added,
        removed: paths.removed,
        modified: paths.modified,
    }
}

fn author<'a>(signature: &'a Signature, context: Context<'a>, extent: Extent) -> Author<'a> {
    Author {
        name: extent.name(&signature.name),
        email: extent.name(&signature.email),
        username: context.login(signature).unwrap_or_default(),
    }
}
