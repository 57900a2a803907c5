//! Bodies of forges' formats that strangers make as long as they can.

use super::formats_rules::{KEY, body, endpoint, pushed};
use crate::support::Site;

/// Names, e-mails and a message of characters for which JSON needs twelve bytes made a body three
/// times as long as `max_body`.
#[test]
fn names_of_strangers_made_a_body_longer_than_its_bound() {
    let site = Site::new();
    let formats = ["github", "gitlab", "gitea", "forgejo", "slack"];
    let more = "topics = [\"*\"]\n";
    let endpoints = formats.map(|format| endpoint(&site, format, more));
    site.config_alone(&format!(
        "instance = \"https://git.example.org\"\nkey = \"{KEY}\"\nmax_body = \"16KiB\"\n{}",
        endpoints.concat()
    ));
    let long = "😀".repeat(3000);
    let commit = |message: &str| {
        let mut git = site.git_run(&["commit", "-q", "--allow-empty", "-m", message]);
        for name in [
            "GIT_AUTHOR_NAME",
            "GIT_AUTHOR_EMAIL",
            "GIT_COMMITTER_NAME",
            "GIT_COMMITTER_EMAIL",
        ] {
            git = git.env(name, &long);
        }
        git.run().well();
    };
    commit(&long);
    let mut came = pushed(&site, "HEAD:refs/heads/main");
    for _ in 0..12 {
        commit(&long);
    }
    came.extend(pushed(&site, "HEAD:refs/heads/main"));
    site.git(&["tag", "-a", "-m", &long, "v1"]);
    came.extend(pushed(&site, "v1"));
    for format in formats {
        let start = format!("POST /{format} ");
        let own = came.iter().filter(|one| one.line.starts_with(&start));
        let lengths: Vec<usize> = own.clone().map(|one| one.body.len()).collect();
        assert!(lengths.len() >= 3, "{format}: {lengths:?}");
        assert!(
            lengths.iter().all(|&length| length <= 16 << 10),
            "{format}: {lengths:?}"
        );
        // The commit of the first push is listed all the same.
        let told = own.map(body).find(|told| told["commits"].is_array());
        let listed = told.map(|told| told["commits"].as_array().unwrap().len());
        assert_eq!(listed, (format != "slack").then_some(1), "{format}");
    }
}
