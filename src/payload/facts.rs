//! The facts of a change in no forge's words, for templates: one JSON document
//! (docs/reference/templates.md lists its keys).

use std::borrow::Cow;

use serde::Serialize;

use super::Format;
use super::commits::{Extent, total};
use super::context::{Context, Lists, Person, Seen, commit_of};
use super::pagure::Stamp;
use super::slack;
use super::wording::{self, Utc};
use crate::event::{Commit, RefKind, Signature};
use crate::json;

/// Number of digits of an id that is shown to people.
const SHORT: usize = 8;

#[derive(Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of the document"
)]
struct Facts<'a> {
    event: &'a str,
    change: &'static str,
    summary: String,
    id: &'a str,
    time: String,
    timestamp: u64,
    #[serde(rename = "ref")]
    reference: Option<Reference>,
    old: Option<String>,
    new: Option<String>,
    created: bool,
    deleted: bool,
    forced: bool,
    incomplete: bool,
    compare_url: Option<String>,
    pusher: Pusher,
    repository: Repository<'a>,
    instance: &'a str,
    head: Option<FactCommit<'a>>,
    tag_message: Option<Cow<'a, str>>,
    commits: Vec<FactCommit<'a>>,
    counts: Counts,
}

#[derive(Serialize)]
struct Reference {
    full: String,
    name: String,
    kind: &'static str,
}

#[derive(Serialize)]
struct Pusher {
    name: String,
    fullname: Option<String>,
    email: Option<String>,
}

#[derive(Serialize)]
struct Repository<'a> {
    id: u64,
    name: &'a str,
    namespace: Option<&'a str>,
    fullname: &'a str,
    description: &'a str,
    owner: String,
    default_branch: Option<&'a str>,
    url: &'a str,
    page: &'a str,
    clone_http: &'a str,
    clone_ssh: &'a str,
    clone_git: &'a str,
    tags: &'a [String],
}

#[derive(Serialize)]
struct FactCommit<'a> {
    id: String,
    short: String,
    subject: String,
    message: String,
    url: String,
    author: Author<'a>,
    committer: Author<'a>,
    added: Vec<String>,
    removed: Vec<String>,
    modified: Vec<String>,
}

#[derive(Serialize)]
struct Author<'a> {
    name: Cow<'a, str>,
    email: Cow<'a, str>,
    account: Option<&'a str>,
    time: String,
}

#[derive(Serialize)]
struct Counts {
    commits: usize,
    listed: usize,
    left_out: usize,
    files_left_out: bool,
}

/// Returns the facts of a change, no longer than `longest` if leaving parts out makes them so.
pub(super) fn body(topic: &str, seen: Seen<'_>, stamp: &Stamp, longest: usize) -> Vec<u8> {
    let (context, change) = (seen.context, seen.change);
    let commits = seen.newest(context.most_commits(Format::Template));
    let head = seen.head();
    let (total, gained) = (total(change), change.gained.as_ref());
    let is_forced = gained.is_some_and(|gained| gained.forced) && !seen.is_created();
    let name = &change.update.name;
    let kind = match (seen.is_created(), seen.is_deleted(), seen.is_tag()) {
        (true, ..) => "created",
        (_, true, _) => "deleted",
        (.., true) => "moved",
        _ if total == 0 => "rewound",
        _ if is_forced => "forced",
        _ => "moved",
    };
    let tips = [&change.old, &change.new];
    let is_unread = tips.into_iter().flatten().any(|tip| tip.incomplete);
    let ends = change.old.as_ref().and_then(commit_of);
    let ends = ends.zip(change.new.as_ref().and_then(commit_of));
    let details = change.details.as_ref();
    let tag_text = details.and_then(|details| details.tag_text.as_deref());
    let lists = Lists {
        commits,
        head: head.as_ref(),
        total,
    };
    let (bytes, _) = lists.within(longest, |extent| {
        let fact = |commit| commit_facts(commit, context, extent);
        Facts {
            event: topic,
            change: kind,
            summary: slack::summary(seen, &name.short()),
            reference: Some(Reference {
                full: name.full(),
                name: name.short(),
                kind: match name.kind() {
                    RefKind::Tag => "tag",
                    _ => "branch",
                },
            }),
            old: change.update.old.map(|id| id.to_string()),
            new: change.update.new.map(|id| id.to_string()),
            created: seen.is_created(),
            deleted: seen.is_deleted(),
            forced: is_forced,
            incomplete: is_unread || gained.is_some_and(|gained| gained.incomplete),
            compare_url: ends
                .and_then(|(old, new)| context.addresses.compare(old, new, &name.full())),
            head: head.as_ref().map(fact),
            tag_message: tag_text.map(|text| extent.text(text)),
            commits: commits[..extent.commits].iter().rev().map(fact).collect(),
            counts: Counts {
                commits: total,
                listed: extent.commits,
                left_out: total.saturating_sub(extent.commits),
                files_left_out: !extent.files,
            },
            ..nothing(topic, context, stamp)
        }
    });
    bytes
}

/// Returns the facts of a test message: those of the project and the pusher, and no change.
pub(super) fn ping(context: Context<'_>, stamp: &Stamp) -> Vec<u8> {
    json::to_bytes(&nothing("ping", context, stamp))
}

/// Returns the facts that do not depend on a change.
fn nothing<'a>(event: &'a str, context: Context<'a>, stamp: &'a Stamp) -> Facts<'a> {
    let (project, addresses) = (context.project, context.addresses);
    let Person {
        login,
        fullname,
        email,
        ..
    } = context.pusher();
    Facts {
        event,
        change: "none",
        summary: "tested the web-hook".to_owned(),
        id: stamp.delivery(),
        time: wording::rfc3339(stamp.timestamp, 0, Utc::Zulu),
        timestamp: stamp.timestamp,
        reference: None,
        old: None,
        new: None,
        created: false,
        deleted: false,
        forced: false,
        incomplete: false,
        compare_url: None,
        pusher: Pusher {
            name: login,
            fullname,
            email,
        },
        repository: Repository {
            id: project.id,
            name: &project.name,
            namespace: project.namespace.as_deref(),
            fullname: &project.fullname,
            description: &project.description,
            owner: context.owner().login,
            default_branch: context.default_branch,
            url: &addresses.html,
            page: addresses.page.as_deref().unwrap_or(&addresses.html),
            clone_http: &addresses.http,
            clone_ssh: &addresses.ssh,
            clone_git: &addresses.git,
            tags: &project.tags,
        },
        instance: context.instance,
        head: None,
        tag_message: None,
        commits: Vec::new(),
        counts: Counts {
            commits: 0,
            listed: 0,
            left_out: 0,
            files_left_out: false,
        },
    }
}

fn commit_facts<'a>(commit: &'a Commit, context: Context<'a>, extent: Extent) -> FactCommit<'a> {
    let paths = extent.paths(commit);
    let message = extent.message(commit);
    let subject = message.trim_start().lines().next().unwrap_or_default();
    let id = commit.id.to_string();
    FactCommit {
        short: id[..SHORT].to_owned(),
        id,
        subject: subject.trim_end().to_owned(),
        message: message.trim_end_matches('\n').to_owned(),
        url: context.addresses.commit(commit.id, "/commit/"),
        author: author(&commit.author, context, extent),
        committer: author(&commit.committer, context, extent),
        added: paths.added,
        removed: paths.removed,
        modified: paths.modified,
    }
}

fn author<'a>(signature: &'a Signature, context: Context<'a>, extent: Extent) -> Author<'a> {
    Author {
        name: extent.name(&signature.name),
        email: extent.name(&signature.email),
        account: context.login(signature),
        time: wording::date(signature, Utc::Zulu),
    }
}
