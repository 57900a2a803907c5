//! GitHub's web-hook format: `push`, `create`, `delete`, `ping`. Addresses of an API are those
//! that GitHub Enterprise has, on the instance's own host, where nothing need answer.

mod repository;

use std::borrow::Cow;

use serde::Serialize;

use repository::{Repository, User, api, description, email, repository, user};

use super::commits::{Extent, total};
use super::context::{Context, Lists, Seen, date};
use super::pagure::Stamp;
use super::wording::{self, Utc, path, short};
use crate::event::{Commit, RefName, Signature};
use crate::json;

/// Text that a receiver may echo after a ping.
const ZEN: &str = "A ref moves, a POST goes out.";

#[derive(Serialize)]
struct Push<'a> {
    #[serde(rename = "ref")]
    reference: String,
    before: String,
    after: String,
    repository: Repository<'a>,
    pusher: Pusher,
    sender: User,
    created: bool,
    deleted: bool,
    forced: bool,
    base_ref: Option<String>,
    compare: String,
    commits: Vec<ListedCommit<'a>>,
    head_commit: Option<ListedCommit<'a>>,
}

#[derive(Serialize)]
struct Create<'a> {
    #[serde(rename = "ref")]
    reference: String,
    ref_type: &'a str,
    master_branch: &'a str,
    description: Option<&'a str>,
    pusher_type: &'a str,
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
    zen: &'a str,
    hook_id: u64,
    hook: Hook<'a>,
    repository: Repository<'a>,
    sender: User,
}

#[derive(Serialize)]
struct Hook<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    id: u64,
    name: &'a str,
    active: bool,
    events: &'a [&'a str],
    config: HookConfig<'a>,
    updated_at: String,
    created_at: String,
    url: String,
    ping_url: String,
    deliveries_url: String,
}

#[derive(Serialize)]
struct HookConfig<'a> {
    content_type: &'a str,
    insecure_ssl: &'a str,
    url: &'a str,
}

#[derive(Serialize)]
struct Pusher {
    name: String,
    email: String,
}

#[derive(Serialize)]
struct ListedCommit<'a> {
    id: String,
    tree_id: String,
    distinct: bool,
    message: String,
    timestamp: String,
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
    date: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
}

/// Returns the headers of a request, without its signatures.
pub(super) fn headers(
    topic: &str,
    context: Context<'_>,
    delivery: &str,
) -> Vec<(&'static str, String)> {
    vec![
        ("X-GitHub-Delivery", delivery.to_owned()),
        ("X-GitHub-Event", topic.to_owned()),
        ("X-GitHub-Hook-ID", context.hook().to_string()),
        (
            "X-GitHub-Hook-Installation-Target-ID",
            context.project.id.to_string(),
        ),
        (
            "X-GitHub-Hook-Installation-Target-Type",
            "repository".to_owned(),
        ),
    ]
}

/// Returns a body, and the headers that tell which parts it leaves out.
pub(super) fn body(
    topic: &str,
    seen: Seen<'_>,
    stamp: &Stamp,
    longest: usize,
) -> (Vec<u8>, Vec<(String, String)>) {
    let context = seen.context;
    let reference = seen.change.update.name.short();
    let repository = repository(context, stamp, false);
    let sender = user(context, context.pusher(), false);
    let bytes = match topic {
        "create" => json::to_bytes(&Create {
            reference,
            ref_type: seen.ref_type(),
            master_branch: context.branch(),
            description: description(context),
            pusher_type: "user",
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
        _ => return push(seen, stamp, longest),
    };
    (bytes, Vec::new())
}

pub(super) fn ping<'a>(
    context: Context<'a>,
    stamp: &Stamp,
    receiver: &'a str,
    wanted: &'a [&'a str],
) -> Ping<'a> {
    let id = context.hook();
    let now = date(stamp.timestamp);
    let url = format!("{}/hooks/{id}", api(context));
    Ping {
        zen: ZEN,
        hook_id: id,
        hook: Hook {
            kind: "Repository",
            id,
            name: "web",
            active: true,
            events: wanted,
            config: HookConfig {
                content_type: "json",
                insecure_ssl: "0",
                url: receiver,
            },
            updated_at: now.clone(),
            created_at: now,
            ping_url: format!("{url}/pings"),
            deliveries_url: format!("{url}/deliveries"),
            url,
        },
        repository: repository(context, stamp, false),
        sender: user(context, context.pusher(), false),
    }
}

fn push(seen: Seen<'_>, stamp: &Stamp, longest: usize) -> (Vec<u8>, Vec<(String, String)>) {
    let context = seen.context;
    let commits = seen.newest(context.most_commits(super::Format::Github));
    let head = seen.head();
    let gained = seen.change.gained.as_ref();
    let lists = Lists {
        commits,
        head: head.as_ref(),
        total: total(seen.change),
    };
    lists.within(longest, |extent| {
        let listed = |commit| listed(commit, context, extent);
        let pusher = context.pusher();
        Push {
            reference: seen.change.update.name.full(),
            before: seen.before(),
            after: seen.after(),
            repository: repository(context, stamp, true),
            pusher: Pusher {
                email: email(&pusher, context),
                name: pusher.login.clone(),
            },
            sender: user(context, pusher, false),
            created: seen.is_created(),
            deleted: seen.is_deleted(),
            forced: gained.is_some_and(|gained| gained.forced) && !seen.is_created(),
            base_ref: base_ref(seen),
            compare: compare(seen),
            commits: commits[..extent.commits].iter().rev().map(listed).collect(),
            head_commit: head.as_ref().map(listed),
        }
    })
}

fn base_ref(seen: Seen<'_>) -> Option<String> {
    let details = seen.change.details.as_ref()?;
    details.same_as.as_ref().map(RefName::full)
}

/// Returns the page of the changes of a push.
fn compare(seen: Seen<'_>) -> String {
    let addresses = seen.context.addresses;
    let (old, new) = (seen.change.update.old, seen.change.update.new);
    let name = &seen.change.update.name;
    let gained = seen
        .change
        .gained
        .as_ref()
        .filter(|gained| gained.total > 0);
    let base = gained.and(seen.change.details.as_ref());
    let base = base.and_then(|details| details.before_oldest);
    let head = seen.change.new.as_ref().and_then(|tip| tip.commit);
    if let Some(page) = old
        .or(base)
        .zip(new)
        .and_then(|(old, new)| addresses.compare(old, new, &name.full()))
    {
        return page;
    }
    let html = &addresses.html;
    match (old, new, gained) {
        (Some(old), Some(new), _) => format!("{html}/compare/{}...{}", short(old), short(new)),
        (Some(_), None, _) if addresses.has_compare() => {
            let was = seen.change.old.as_ref().and_then(|tip| tip.commit);
            was.map_or_else(|| html.clone(), |was| addresses.commit(was, "/commit/"))
        }
        (Some(old), None, _) => format!("{html}/compare/{}...{}", short(old), "0".repeat(12)),
        (None, _, Some(gained)) if gained.total == 1 => addresses.commit(gained.newest, "/commit/"),
        (None, Some(new), Some(gained)) => {
            format!("{html}/compare/{}^...{}", short(gained.oldest), short(new))
        }
        (None, _, None) => match head.filter(|_| addresses.has_compare()) {
            Some(head) => addresses.commit(head, "/commit/"),
            None => format!("{html}/compare/{}", path(&name.short())),
        },
        (None, None, _) => html.clone(),
    }
}

fn listed<'a>(commit: &'a Commit, context: Context<'a>, extent: Extent) -> ListedCommit<'a> {
    let paths = extent.paths(commit);
    ListedCommit {
        id: commit.id.to_string(),
        tree_id: commit.tree.to_string(),
        distinct: true,
        message: extent.message(commit).trim_end_matches('\n').to_owned(),
        timestamp: wording::date(&commit.committer, Utc::Zulu),
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
        date: wording::date(signature, Utc::Zulu),
        username: context.login(signature),
    }
}
