//! `check` of the patterns `refs` and `topics`: finds those that choose nothing.

use super::findings::Findings;
use crate::config::{Endpoint, Patterns, Settings};
use crate::payload::Format;
use crate::payload::pagure::PUSH_TOPICS;

/// Beginning of every full name of a ref.
const REFS: &str = "refs/";

/// Beginnings of the full names of refs that messages of forges' formats tell of.
const TOLD_BY_FORGES: [&str; 2] = ["refs/heads/", "refs/tags/"];

pub(crate) fn check(settings: &Settings, findings: &mut Findings) {
    let formats = settings.formats();
    check_refs(&settings.refs, "", formats.iter().copied(), findings);
}

pub(crate) fn check_endpoint(endpoint: &Endpoint, findings: &mut Findings) {
    let of = format!("endpoint `{}`: ", endpoint.name);
    check_refs(&endpoint.refs, &of, [endpoint.format], findings);
    // The topics of other formats are checked when the configuration is loaded.
    if endpoint.format != Format::Pagure {
        return;
    }
    for pattern in endpoint.topics.texts() {
        let glob = pattern.trim_start_matches('!');
        if glob::Pattern::new(glob).is_ok_and(|it| !PUSH_TOPICS.iter().any(|of| it.matches(of))) {
            let text = format!("{of}`topics`: `{pattern}` is no topic of a push");
            let topics = PUSH_TOPICS.join("`, `");
            let hint = match meant_topic(glob) {
                Some(meant) => format!("did you mean `{meant}`? There are `{topics}`"),
                None => format!("only `emit` can send it. Topics of pushes are `{topics}`"),
            };
            findings.warning(&text, &hint);
        }
    }
}

fn check_refs(
    refs: &Patterns,
    of: &str,
    formats: impl IntoIterator<Item = Format>,
    findings: &mut Findings,
) {
    let is_for_forges = formats.into_iter().all(|format| format != Format::Pagure);
    for pattern in refs.texts() {
        let (not, glob) = match pattern.strip_prefix('!') {
            Some(glob) => ("!", glob),
            None => ("", &*pattern),
        };
        let is_folder = glob.ends_with('/') || ["refs/heads", "refs/tags"].contains(&glob);
        if is_folder || !can_begin_with(glob, REFS) {
            let text = format!("{of}`refs`: no ref matches `{pattern}`");
            let hint = format!("full names are meant, such as `{not}{}`", meant_ref(glob));
            findings.error(&text, Some(hint));
        } else if is_for_forges && not.is_empty() && !told_by_forges(glob) {
            let text = format!("{of}`refs`: no branch or tag matches `{pattern}`");
            let hint = "only format `pagure` tells of other refs";
            findings.error(&text, Some(hint.to_owned()));
        }
    }
}

fn told_by_forges(glob: &str) -> bool {
    TOLD_BY_FORGES
        .iter()
        .any(|beginning| can_begin_with(glob, beginning))
}

/// Returns whether a glob can match a text that begins with `beginning` and goes on.
fn can_begin_with(glob: &str, beginning: &str) -> bool {
    let mut glob = glob.chars();
    for wanted in beginning.chars() {
        match glob.next() {
            Some('*') => return true,
            Some('?') => {}
            // A set, whose members are not looked at.
            Some('[') => drop(glob.by_ref().skip(1).find(|&end| end == ']')),
            Some(found) if found == wanted => {}
            _ => return false,
        }
    }
    // The text goes on.
    glob.next().is_some()
}

fn meant_ref(glob: &str) -> String {
    let glob = glob.trim_matches('/');
    let glob = glob.strip_prefix(REFS).unwrap_or(glob);
    let kinds = ["heads", "tags", "notes", "remotes"];
    let kind = glob.split('/').next().unwrap_or_default();
    match glob {
        "" | "ref" | "refs" => "refs/heads/*".to_owned(),
        _ if glob.contains('/') && kinds.contains(&kind) => format!("{REFS}{glob}"),
        _ if kinds.contains(&glob) => format!("{REFS}{glob}/*"),
        _ => format!("{REFS}heads/{glob}"),
    }
}

fn meant_topic(glob: &str) -> Option<&'static str> {
    let lower = glob.to_ascii_lowercase();
    let bare = lower.strip_prefix("git.").unwrap_or(&lower);
    if ["push", "commit", "commits", "receive", "*.push"].contains(&bare) {
        return Some("git.receive");
    }
    let distance = |topic: &str| {
        let short = topic.strip_prefix("git.").unwrap_or(topic);
        strsim::damerau_levenshtein(bare, short)
    };
    let near = PUSH_TOPICS.iter().filter(|topic| distance(topic) <= 3);
    near.min_by_key(|topic| distance(topic)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_match_no_ref_are_told_from_those_that_do() {
        for glob in ["*", "refs/*", "refs/heads/main", "?efs/x", "[r]efs/*", "r*"] {
            assert!(can_begin_with(glob, REFS), "{glob}");
        }
        for glob in [
            "main",
            "heads/main",
            "refs/",
            "refs",
            "",
            "/refs/heads/x",
            "re",
            "Refs/*",
        ] {
            assert!(!can_begin_with(glob, REFS), "{glob}");
        }
    }

    #[test]
    fn what_was_meant_is_named() {
        let refs = [
            "main",
            "heads/main",
            "tags/v*",
            "refs/heads/main/",
            "heads",
            "refs",
            "/refs",
            "refs/heads",
        ];
        let meant = refs.map(meant_ref);
        let expected = [
            "heads/main",
            "heads/main",
            "tags/v*",
            "heads/main",
            "heads/*",
            "heads/*",
            "heads/*",
            "heads/*",
        ];
        assert_eq!(meant, expected.map(|it| format!("refs/{it}")));
        let topics = [
            "push",
            "git.recieve",
            "branch.create",
            "git.tag.create",
            "issue.new",
        ];
        let expected = [
            Some("git.receive"),
            Some("git.receive"),
            Some("git.branch.creation"),
            Some("git.tag.creation"),
            None,
        ];
        assert_eq!(topics.map(meant_topic), expected);
    }
}
