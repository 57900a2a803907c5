//! Slack's incoming web-hooks: one text for each ref that changed, which Mattermost, Rocket.Chat,
//! Discord (`/slack`), Zulip and Matrix hookshot take, too.

use std::fmt::Write;

use serde::Serialize;

use super::Format;
use super::commits::total;
use super::context::{Context, Seen};
use super::escape::mrkdwn;
use crate::event::Commit;
use crate::json;

/// Largest number of characters of a text: Discord takes 2,000.
const LONGEST_TEXT: usize = 1900;

/// Largest number of characters of a subject or a name in it, which other people wrote.
const LONGEST_PART: usize = 100;

/// Number of bytes of a body around its text: the key, and the number of commits that are left out.
const AROUND: usize = 64;

#[derive(Serialize)]
struct Post {
    text: String,
}

pub(super) fn ping(context: Context<'_>) -> Vec<u8> {
    let project = link(&context.addresses.html, &context.project.fullname);
    let text = format!("A test: {project} can post here.");
    json::to_bytes(&Post { text })
}

/// Returns the body of a text of refpost's own.
#[must_use]
pub fn text(text: &str) -> Vec<u8> {
    let cut: String = text.chars().take(LONGEST_TEXT).collect();
    // Mark-up is for one line at a time.
    let lines: Vec<_> = cut.lines().map(mrkdwn).collect();
    json::to_bytes(&Post {
        text: lines.join("\n"),
    })
}

/// Returns the body with the most in it that is no longer than `longest`.
pub(super) fn body(seen: Seen<'_>, longest: usize) -> Vec<u8> {
    let context = seen.context;
    let project = link(&context.addresses.html, &context.project.fullname);
    let pusher = context.pusher();
    let who = plain(pusher.fullname.as_deref().unwrap_or(&pusher.login));
    let name = plain(&seen.change.update.name.short());
    let (what, count) = (summary(seen, &name), total(seen.change));
    let mut text = format!("{who} {what} of {project}");
    let listed = if seen.is_tag() {
        &[]
    } else {
        seen.newest(context.most_commits(Format::Slack))
    };
    let (mut told, mut length) = (0, json::to_bytes(&text).len() + AROUND);
    for commit in listed.iter().rev() {
        let line = line(commit, context);
        length += json::to_bytes(&line).len();
        if text.chars().count() + line.chars().count() > LONGEST_TEXT || length > longest {
            break;
        }
        text.push_str(&line);
        told += 1;
    }
    if !seen.is_tag() && told < count {
        // Writing to a string does not fail.
        write!(text, "\n… and {} more", count - told).ok();
    }
    json::to_bytes(&Post { text })
}

/// Returns a push in words, without who and where: `pushed 2 commits to branch main`.
pub(super) fn summary(seen: Seen<'_>, name: &str) -> String {
    let kind = seen.ref_type();
    let gained = seen.change.gained.as_ref();
    let (count, is_forced) = (total(seen.change), gained.is_some_and(|one| one.forced));
    let commits = match count {
        1 => "1 commit".to_owned(),
        count => format!("{count} commits"),
    };
    match (seen.is_created(), seen.is_deleted(), seen.is_tag()) {
        (true, _, false) if count > 0 => format!("created {kind} {name} with {commits}"),
        (true, ..) => format!("created {kind} {name}"),
        (_, true, _) => format!("deleted {kind} {name}"),
        (.., true) => format!("moved {kind} {name}"),
        _ if count == 0 => format!("rewound {kind} {name}"),
        _ if is_forced => format!("force-pushed {commits} to {kind} {name}"),
        _ => format!("pushed {commits} to {kind} {name}"),
    }
}

fn line(commit: &Commit, context: Context<'_>) -> String {
    let mut id = commit.id.to_string();
    id.truncate(8);
    let id = link(&context.addresses.commit(commit.id, "/commit/"), &id);
    let message = commit.message.trim_start();
    let subject = plain(message.lines().next().unwrap_or_default());
    format!("\n{id} {subject} ({})", plain(&commit.author.name))
}

fn link(url: &str, text: &str) -> String {
    let url = url.replace(['<', '>', '|'], "").replace('&', "&amp;");
    format!("<{url}|{}>", plain(text).replace('|', "/"))
}

/// Returns a text of other people without effects, cut if it is long.
fn plain(text: &str) -> String {
    match text.char_indices().nth(LONGEST_PART) {
        Some((end, _)) => format!("{}…", mrkdwn(&text[..end])),
        None => mrkdwn(text),
    }
}

#[cfg(test)]
mod tests {
    use super::{link, plain};

    #[test]
    fn nobodys_name_notifies_a_channel() {
        assert_eq!(
            plain("<!channel> & @here"),
            "&lt;!channel&gt; &amp; @\u{2060}here"
        );
        assert_eq!(plain("a\r\n\u{202e}b"), "a   b");
        assert_eq!(plain(&"é".repeat(101)), format!("{}…", "é".repeat(100)));
        assert_eq!(link("https://x/<y>|z", "a|b>"), "<https://x/yz|a/b&gt;>");
        let gitweb = link("https://x/?p=a.git;a=commit&h=1", "1");
        assert_eq!(gitweb, "<https://x/?p=a.git;a=commit&amp;h=1|1>");
    }
}
