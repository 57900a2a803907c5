//! git itself as the judge of what a `git.receive` says.

use super::{Message, Ran, Site};

/// What a message must say, in git's own terms.
pub(crate) struct Received<'a> {
    pub(crate) branch: &'a str,
    /// Where the ref is.
    pub(crate) new: &'a str,
    /// What the listed commits are not reachable from.
    pub(crate) without: Option<&'a str>,
    pub(crate) old_commit: &'a str,
    /// What `changed_files` is measured from; `None` is the empty tree.
    pub(crate) from: Option<&'a str>,
    pub(crate) forced: bool,
}

impl Site {
    /// Holds a message to `git rev-list`, `git log` and `git diff` in the bare
    /// repository.
    #[track_caller]
    pub(crate) fn assert_received(&self, message: &Message, expected: &Received<'_>) {
        let hidden = expected.without.map(|old| format!("^{old}"));
        let mut range = vec![expected.new];
        range.extend(hidden.as_deref());
        let listed = self.lines(&[&["rev-list"], &range[..]].concat());
        assert_eq!(message.about(), ("git.receive", expected.branch));
        assert_eq!(message["total_commits"], listed.len());
        let (oldest, newest) = match (listed.last(), listed.first()) {
            (Some(oldest), Some(newest)) => (oldest.clone(), newest.clone()),
            _ => (self.commit_of(expected.new), self.commit_of(expected.new)),
        };
        assert_eq!(message["start_commit"], oldest);
        assert_eq!(message["end_commit"], newest);
        assert_eq!(message["old_commit"], expected.old_commit);
        assert_eq!(message["forced"], expected.forced);
        assert_eq!(message["pull_request_id"], serde_json::Value::Null);
        let mut authors = self.lines(&[&["log", "--format=%an"], &range[..]].concat());
        if authors.is_empty() {
            authors = self.lines(&["log", "-1", "--format=%an", expected.new]);
        }
        authors.reverse();
        let mut named = Vec::new();
        for author in authors {
            if !named.contains(&author) {
                named.push(author);
            }
        }
        assert_eq!(message.authors(), named);
        assert_eq!(message.changed(), self.diff(expected.from, expected.new));
    }

    /// `git diff --name-status --no-renames -z`, sorted by path.
    pub(crate) fn diff(&self, from: Option<&str>, to: &str) -> Vec<(String, String)> {
        let empty =
            self.run("git")
                .dir(&self.bare)
                .args(["hash-object", "-t", "tree", "/dev/null"]);
        let empty = empty.run().well().stdout.trim().to_owned();
        let to = format!("{to}^{{tree}}");
        let from = from.map_or(empty, |from| format!("{from}^{{tree}}"));
        let diff = ["diff", "--name-status", "--no-renames", "-z", &from, &to];
        let ran = self.judge(&diff);
        let mut fields = ran.bytes.split(|&byte| byte == 0);
        let mut files = Vec::new();
        while let (Some(letter), Some(path)) = (fields.next(), fields.next()) {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            files.push((text(path), text(letter)));
        }
        files.sort();
        files
    }

    /// `git merge-base`; it must be there.
    #[track_caller]
    pub(crate) fn merge_base(&self, one: &str, other: &str) -> String {
        self.lines(&["merge-base", one, other]).remove(0)
    }

    fn commit_of(&self, id: &str) -> String {
        self.bare_git(&["rev-parse", &format!("{id}^{{commit}}")])
    }

    fn lines(&self, args: &[&str]) -> Vec<String> {
        let ran = self.judge(args);
        ran.stdout.lines().map(str::to_owned).collect()
    }

    /// git as in a clone, which has no replace refs and no grafts, and fetches nothing.
    fn judge(&self, args: &[&str]) -> Ran {
        // git has something to say of that file, even if it is empty.
        let quiet = ["-c", "advice.graftFileDeprecated=false"];
        let run = self.run("git").dir(&self.bare).args(quiet).args(args);
        run.env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_GRAFT_FILE", "/dev/null")
            .env("GIT_NO_LAZY_FETCH", "1")
            .run()
            .well()
    }
}
