//! A body as it arrived, held against what every body must be.

use std::ops::Index;

use serde_json::Value;

use super::canonical;

/// A message, read from its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) whole: Value,
}

impl Message {
    /// Reads a body, and checks what is promised of all of them: Python's bytes,
    /// the envelope, the project, the pusher.
    #[track_caller]
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let shown = String::from_utf8_lossy(bytes);
        assert!(bytes.is_ascii(), "{shown}");
        if let Some(python) = canonical(bytes) {
            assert_eq!(shown, String::from_utf8_lossy(&python));
        }
        let whole: Value = serde_json::from_slice(bytes).unwrap();
        assert_eq!(keys(&whole), ["i", "msg", "msg_id", "timestamp", "topic"]);
        assert!(whole["i"].as_u64().unwrap() > 0);
        assert!(whole["timestamp"].as_u64().unwrap() > 1_600_000_000);
        assert_msg_id(whole["msg_id"].as_str().unwrap());
        let message = Self { whole };
        if message.topic().starts_with("git.") {
            message.assert_git_message();
        }
        message
    }

    #[track_caller]
    fn assert_git_message(&self) {
        let expected: &[&str] = match self.topic() {
            "git.receive" => &[
                "agent",
                "authors",
                "branch",
                "changed_files",
                "end_commit",
                "forced",
                "old_commit",
                "pagure_instance",
                "project_fullname",
                "pull_request_id",
                "repo",
                "start_commit",
                "total_commits",
            ],
            "git.branch.creation" | "git.branch.deletion" => &[
                "agent",
                "authors",
                "branch",
                "pagure_instance",
                "project_fullname",
                "repo",
                "rev",
            ],
            "git.tag.creation" | "git.tag.deletion" => &[
                "agent",
                "authors",
                "pagure_instance",
                "project_fullname",
                "repo",
                "rev",
                "tag",
            ],
            other => panic!("no push has topic {other}"),
        };
        let mut expected = expected.to_vec();
        if self.whole["msg"].get("changed_files_truncated").is_some() {
            expected.extend(["changed_files_truncated", "total_changed_files"]);
            expected.sort_unstable();
        }
        if self.whole["msg"].get("authors_truncated").is_some() {
            expected.extend(["authors_truncated", "total_authors"]);
            expected.sort_unstable();
        }
        for key in ["incomplete", "note"] {
            if self.whole["msg"].get(key).is_some() {
                expected.push(key);
                expected.sort_unstable();
            }
        }
        assert_eq!(keys(&self.whole["msg"]), expected);
        assert!(!self["agent"].as_str().unwrap().is_empty());
        let authors = self["authors"].as_array().unwrap();
        assert!(!authors.is_empty());
        for author in authors {
            if let Some(name) = author["name"].as_str() {
                assert_eq!(keys(author), ["full_url", "fullname", "name", "url_path"]);
                assert_eq!(author["url_path"], format!("user/{name}"));
            } else {
                assert_eq!(keys(author), ["fullname", "name", "url_path"]);
                assert_eq!(author["url_path"], Value::Null);
            }
        }
        assert_repo(&self["repo"]);
        assert_eq!(self["repo"]["fullname"], self["project_fullname"]);
    }

    pub(crate) fn topic(&self) -> &str {
        self.whole["topic"].as_str().unwrap()
    }

    pub(crate) fn msg_id(&self) -> &str {
        self.whole["msg_id"].as_str().unwrap()
    }

    /// The topic and the branch or the tag.
    pub(crate) fn about(&self) -> (&str, &str) {
        let name = self["branch"].as_str().or(self["tag"].as_str());
        (self.topic(), name.unwrap_or_default())
    }

    /// The authors' full names, in order.
    pub(crate) fn authors(&self) -> Vec<&str> {
        let authors = self["authors"].as_array().unwrap();
        let names = authors.iter().map(|author| author["fullname"].as_str());
        names.collect::<Option<_>>().unwrap()
    }

    /// `path letter` of each changed file, sorted.
    pub(crate) fn changed(&self) -> Vec<(String, String)> {
        let files = self["changed_files"].as_object().unwrap();
        files
            .iter()
            .map(|(path, letter)| (path.clone(), letter.as_str().unwrap().to_owned()))
            .collect()
    }
}

/// A field of `msg`.
impl Index<&str> for Message {
    type Output = Value;

    fn index(&self, name: &str) -> &Value {
        &self.whole["msg"][name]
    }
}

/// The messages of `preview`'s output, a body a line.
#[track_caller]
pub(crate) fn parse_bodies(output: &[u8]) -> Vec<Message> {
    let messages: Vec<_> = output
        .split_inclusive(|&byte| byte == b'\n')
        .map(|line| Message::read(line.strip_suffix(b"\n").expect("a body a line")))
        .collect();
    assert_counted(&messages);
    messages
}

/// `i` counts the messages of a push from 1, and every `msg_id` is another.
#[track_caller]
pub(crate) fn assert_counted(messages: &[Message]) {
    let mut ids: Vec<_> = messages.iter().map(Message::msg_id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), messages.len());
    for (at, message) in messages.iter().enumerate() {
        assert_eq!(message.whole["i"], at + 1);
        assert_eq!(message.whole["timestamp"], messages[0].whole["timestamp"]);
    }
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

/// `<UTC year>-<uuid4>` (RFC 9562, 5.4).
#[track_caller]
fn assert_msg_id(id: &str) {
    let (year, uuid) = id.split_once('-').unwrap();
    assert!(year.len() == 4 && year.parse::<u16>().is_ok(), "{id}");
    let groups: Vec<_> = uuid.split('-').collect();
    let lengths: Vec<_> = groups.iter().map(|group| group.len()).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
    assert!(
        uuid.chars()
            .all(|c| c == '-' || matches!(c, '0'..='9' | 'a'..='f')),
        "{id}"
    );
    assert!(groups[2].starts_with('4'), "{id}");
    assert!(groups[3].starts_with(['8', '9', 'a', 'b']), "{id}");
}

#[track_caller]
fn assert_repo(repo: &Value) {
    assert_eq!(
        keys(repo),
        [
            "access_groups",
            "access_users",
            "close_status",
            "custom_keys",
            "date_created",
            "date_modified",
            "description",
            "full_url",
            "fullname",
            "id",
            "milestones",
            "name",
            "namespace",
            "parent",
            "priorities",
            "tags",
            "url_path",
            "user",
        ]
    );
    assert!(repo["id"].is_u64());
    for name in ["description", "full_url", "fullname", "name", "url_path"] {
        assert!(repo[name].is_string(), "{name}");
    }
    assert!(repo["namespace"].is_string() || repo["namespace"].is_null());
    for name in ["date_created", "date_modified"] {
        let date = repo[name].as_str().unwrap();
        assert!(date.parse::<u64>().is_ok(), "{name}: {date}");
    }
    assert_eq!(
        keys(&repo["user"]),
        ["full_url", "fullname", "name", "url_path"]
    );
    assert_eq!(
        keys(&repo["access_users"]),
        ["admin", "collaborator", "commit", "owner", "ticket"]
    );
    assert_eq!(
        keys(&repo["access_groups"]),
        ["admin", "collaborator", "commit", "ticket"]
    );
}
