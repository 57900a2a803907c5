//! What forges' formats say of pushes drawn from a seed, against what git's own commands say.

use std::env;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::support::random_pushes::{Move, RandomPushes};
use crate::support::{Request, Site};

/// A commit as git tells of it.
fn told(site: &Site, id: &str) -> Value {
    let format = "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B";
    let text = site
        .run("git")
        .dir(&site.bare)
        .args(["log", "-1", "-z", format, id]);
    let text = text.run().well().stdout;
    let parts: Vec<&str> = text.split('\0').collect();
    let parent = parts[2].split(' ').next().unwrap();
    let mut diff = vec![
        "diff-tree",
        "-r",
        "-z",
        "--no-commit-id",
        "--no-renames",
        "--name-status",
    ];
    let from = if parent.is_empty() {
        diff.extend(["--root", id]);
        None
    } else {
        diff.extend([parent, id]);
        Some(parent)
    };
    let files = site
        .run("git")
        .dir(&site.bare)
        .args(diff)
        .run()
        .well()
        .stdout;
    let words: Vec<&str> = files.split_terminator('\0').collect();
    let of = |letters: &str| -> Vec<&str> {
        let pairs = words.chunks(2).filter(|pair| letters.contains(pair[0]));
        pairs.map(|pair| pair[1]).collect()
    };
    json!({
        "id": parts[0], "tree": parts[1], "parent": from,
        "author": [parts[3], parts[4], parts[5]],
        "committer": [parts[6], parts[7], parts[8]],
        "message": parts[9],
        "added": of("A"), "removed": of("D"), "modified": of("MT"),
    })
}

/// The same in a format's words.
fn in_words_of(format: &str, told: &Value) -> Value {
    let zulu = |date: &Value| Value::from(date.as_str().unwrap().replace("+00:00", "Z"));
    let zeros = |date: &Value| {
        let date = date.as_str().unwrap();
        Value::from(date.replace('Z', "+00:00"))
    };
    let message = told["message"].as_str().unwrap();
    let (author, committer) = (&told["author"], &told["committer"]);
    let id = told["id"].as_str().unwrap();
    let url = "https://git.example.org/test";
    match format {
        "github" => json!({
            "id": id, "tree_id": told["tree"], "distinct": true,
            "message": message.trim_end_matches('\n'),
            "timestamp": zulu(&committer[2]), "url": format!("{url}/commit/{id}"),
            "author": {"name": author[0], "email": author[1], "date": zulu(&author[2])},
            "committer": {"name": committer[0], "email": committer[1], "date": zulu(&committer[2])},
            "added": told["added"], "removed": told["removed"], "modified": told["modified"],
        }),
        "gitlab" => json!({
            "id": id, "message": message, "title": null,
            "timestamp": zeros(&committer[2]), "url": format!("{url}/-/commit/{id}"),
            "author": {"name": author[0], "email": author[1]},
            "added": told["added"], "removed": told["removed"], "modified": told["modified"],
        }),
        _ => json!({
            "id": id, "message": message, "url": format!("{url}/commit/{id}"),
            "author": {"name": author[0], "email": author[1], "username": ""},
            "committer": {"name": committer[0], "email": committer[1], "username": ""},
            "verification": null, "timestamp": zulu(&author[2]),
            "added": told["added"], "removed": told["removed"], "modified": told["modified"],
        }),
    }
}

fn git_ok(site: &Site, args: &[&str]) -> bool {
    site.run("git").dir(&site.bare).args(args).run().status == 0
}

#[track_caller]
#[allow(clippy::too_many_lines, reason = "one key after the other")]
fn assert_told(site: &Site, moved: &Move, request: &Request, seed: &str) {
    let path = request.line.split(' ').nth(1).unwrap();
    let format = path.trim_start_matches('/');
    let mut body: Value = serde_json::from_slice(&request.body).unwrap();
    let what = format!(
        "{seed} {format} {} {:?} {:?}\n{body:#}",
        moved.name, moved.old, moved.new
    );
    let is_tag = moved.name.starts_with("refs/tags/");
    let zeros = "0".repeat(40);
    assert_eq!(body["ref"], *moved.name, "{what}");
    assert_eq!(
        body["before"],
        *moved.old.as_ref().unwrap_or(&zeros),
        "{what}"
    );
    assert_eq!(
        body["after"],
        *moved.new.as_ref().unwrap_or(&zeros),
        "{what}"
    );
    let peeled = |id: &str| site.bare_git(&["rev-parse", &format!("{id}^{{commit}}")]);
    let head = moved.new.as_deref().map(peeled);
    let mut listed: Vec<String> = Vec::new();
    if let Some(new) = &moved.new {
        let hidden = match &moved.old {
            Some(old) => Some(peeled(old)),
            None if moved.name == "refs/heads/main" => None,
            None => git_ok(site, &["rev-parse", "-q", "--verify", "refs/heads/main"])
                .then(|| "refs/heads/main".to_owned()),
        };
        let hidden = hidden.map(|hidden| format!("^{hidden}"));
        let mut args = vec!["rev-list", new];
        args.extend(hidden.as_deref());
        listed = site.bare_git(&args).lines().map(str::to_owned).collect();
        if is_tag && moved.old.is_none() {
            listed.clear();
        }
    }
    let total = listed.len();
    let mut expected = listed.clone();
    match format {
        "github" => expected.reverse(),
        "gitlab" if is_tag => expected = head.clone().into_iter().collect(),
        "gitlab" => {
            expected.truncate(20);
            expected.reverse();
        }
        _ if is_tag => expected.clear(),
        _ => {}
    }
    let commits: Vec<Value> = expected
        .iter()
        .map(|id| in_words_of(format, &told(site, id)))
        .collect();
    if format == "gitlab" {
        for commit in body["commits"].as_array_mut().unwrap() {
            let title = commit["title"].take();
            let message = commit["message"].as_str().unwrap();
            let line = message.split('\n').next().unwrap();
            let start = title.as_str().unwrap().trim_end_matches('…');
            assert!(
                line.starts_with(start) && start.chars().count() < 100,
                "{what}"
            );
        }
        let total = if is_tag { commits.len() } else { total };
        assert_eq!(body["total_commits_count"], total, "{what}");
        assert_eq!(body["checkout_sha"], json!(head), "{what}");
        let text = moved
            .new
            .as_ref()
            .filter(|new| is_tag && **new != *head.as_ref().unwrap());
        let text = text
            .map(|new| site.bare_git(&["tag", "-l", "--format=%(contents)", "--points-at", new]));
        if let Some(text) = text {
            assert_eq!(body["message"], text.lines().next().unwrap(), "{what}");
        } else {
            assert_eq!(body["message"], Value::Null, "{what}");
        }
    } else {
        let expected = head
            .as_ref()
            .map(|head| in_words_of(format, &told(site, head)));
        assert_eq!(body["head_commit"], json!(expected), "{what}");
    }
    assert_eq!(body["commits"], json!(commits), "{what}");
    if format == "github" {
        let forced = match (&moved.old, &moved.new) {
            (Some(old), Some(new)) => !git_ok(
                site,
                &["merge-base", "--is-ancestor", &peeled(old), &peeled(new)],
            ),
            _ => false,
        };
        assert_eq!(body["forced"], forced, "{what}");
        assert_eq!(body["created"], moved.old.is_none(), "{what}");
        assert_eq!(body["deleted"], moved.new.is_none(), "{what}");
        let mut base = Value::Null;
        if let Some(head) = head.filter(|_| moved.old.is_none() && total == 0) {
            let at = [
                "for-each-ref",
                "--format=%(refname)",
                "--points-at",
                &head,
                "refs/heads",
            ];
            let at = site.bare_git(&at);
            let mut at: Vec<&str> = at.lines().filter(|name| *name != moved.name).collect();
            at.sort_by_key(|name| (*name != "refs/heads/main", *name));
            base = json!(at.first());
        }
        assert_eq!(body["base_ref"], base, "{what}");
    }
}

#[test]
fn pushes_of_any_kind_are_what_git_says() {
    let seed = env::var("REFPOST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(7);
    let pushes: u32 = env::var("REFPOST_PUSHES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(24);
    let site = Site::new();
    let mut config = "key = \"a key of sixteen bytes or more\"\n\
                      instance = \"https://git.example.org/\"\nmax_body = \"8MiB\"\n"
        .to_owned();
    for format in ["github", "gitea", "forgejo", "gitlab"] {
        let url = site.receiver.url(&format!("/{format}"));
        write!(
            config,
            "[[endpoint]]\nname = \"{format}\"\nurl = \"{url}\"\nformat = \"{format}\"\n"
        )
        .unwrap();
    }
    site.config_alone(&config);
    let mut all = RandomPushes::new(&site, seed);
    for number in 0..pushes {
        let Some(moved) = all.next(&site) else {
            continue;
        };
        let ran = moved.push(&site);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let requests = site.receiver.take();
        let is_branch_gone = moved.new.is_none() && moved.name.starts_with("refs/heads/");
        // Gitea has no push for it, and `delete` is not asked for.
        let count = if is_branch_gone { 2 } else { 4 };
        assert_eq!(
            requests.len(),
            count,
            "seed {seed} push {number}: {}",
            ran.stderr
        );
        for request in &requests {
            assert_told(
                &site,
                &moved,
                request,
                &format!("seed {seed} push {number}"),
            );
        }
    }
}
