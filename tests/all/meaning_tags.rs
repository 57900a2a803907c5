//! What a push of tags, notes and other refs means.

use crate::support::{Push, Received, Site, ZEROS};

fn started() -> (Site, String) {
    let site = Site::told_twice();
    site.commit("a");
    site.commit_by("Bob");
    let tip = site.commit("b");
    site.push(&["main"]);
    (site, tip)
}

/// An annotated tag by hand: of whatever, with or without a tagger.
fn tag_object(site: &Site, object: &str, tagger: Option<&str>) -> String {
    let kind = site.git(&["cat-file", "-t", object]);
    let tagger = tagger.map(|name| format!("tagger {name} <t@example.org> 1700000000 +0000\n"));
    let tagger = tagger.unwrap_or_default();
    let text = format!("object {object}\ntype {kind}\ntag t\n{tagger}\nmessage\n");
    let hash = site.git_run(&["hash-object", "-t", "tag", "-w", "--stdin", "--literally"]);
    hash.stdin(text).run().well().stdout.trim().to_owned()
}

#[track_caller]
fn assert_tag(push: &Push, topic: &str, tag: &str, rev: &str, authors: &[&str]) {
    let message = push.only();
    assert_eq!(message.about(), (topic, tag));
    assert_eq!(message["rev"], rev);
    assert_eq!(message.authors(), authors);
}

const CREATED: &str = "git.tag.creation";
const DELETED: &str = "git.tag.deletion";

#[test]
fn tags_created_and_deleted_name_what_the_ref_pointed_at() {
    let (site, tip) = started();
    site.git(&["tag", "light"]);
    site.git(&["tag", "-a", "-m", "x", "v1.0"]);
    let annotated = site.git(&["rev-parse", "v1.0"]);
    assert_ne!(annotated, tip);
    assert_tag(&site.push(&["light"]), CREATED, "light", &tip, &["Ada"]);
    assert_tag(&site.push(&["v1.0"]), CREATED, "v1.0", &annotated, &["Ada"]);
    assert_tag(&site.push(&[":light"]), DELETED, "light", &tip, &["Ada"]);
    assert_tag(
        &site.push(&[":v1.0"]),
        DELETED,
        "v1.0",
        &annotated,
        &["Ada"],
    );
    let push = site.push(&["main:refs/tags/in/a/folder"]);
    assert_tag(&push, CREATED, "in/a/folder", &tip, &["Ada"]);
}

#[test]
fn a_tag_of_a_tag_has_the_author_of_the_commit_at_its_end() {
    let (site, tip) = started();
    let mut id = tip;
    for _ in 0..5 {
        id = tag_object(&site, &id, Some("Tagger"));
    }
    let push = site.push(&[&format!("{id}:refs/tags/deep")]);
    assert_tag(&push, CREATED, "deep", &id, &["Ada"]);
    assert_tag(&site.push(&[":deep"]), DELETED, "deep", &id, &["Ada"]);
}

#[test]
fn a_tag_that_brings_commits_is_only_a_tag() {
    let (site, _) = started();
    site.git(&["checkout", "-q", "-b", "off"]);
    site.commit("c");
    let tip = site.commit_by("Zoe");
    let push = site.push(&["off:refs/tags/v2"]);
    assert_tag(&push, CREATED, "v2", &tip, &["Zoe"]);
}

#[test]
fn tags_of_blobs_and_trees_are_told_with_the_tagger_or_the_pusher() {
    let (site, tip) = started();
    let blob = site.git(&["rev-parse", "HEAD:a"]);
    let tree = site.git(&["rev-parse", "HEAD^{tree}"]);
    for object in [&blob, &tree] {
        let push = site.push(&[&format!("{object}:refs/tags/bare")]);
        assert_tag(&push, CREATED, "bare", object, &["alice"]);
        assert_tag(&site.push(&[":bare"]), DELETED, "bare", object, &["alice"]);

        let signed = tag_object(&site, object, Some("The Tagger"));
        let push = site.push(&[&format!("{signed}:refs/tags/by")]);
        assert_tag(&push, CREATED, "by", &signed, &["The Tagger"]);
        assert_tag(
            &site.push(&[":by"]),
            DELETED,
            "by",
            &signed,
            &["The Tagger"],
        );

        let nobody = tag_object(&site, object, None);
        let push = site.push(&[&format!("{nobody}:refs/tags/by-nobody")]);
        assert_tag(&push, CREATED, "by-nobody", &nobody, &["alice"]);

        let nested = tag_object(&site, &signed, Some("The Outer One"));
        let push = site.push(&[&format!("{nested}:refs/tags/nested")]);
        assert_tag(&push, CREATED, "nested", &nested, &["The Outer One"]);
        site.push(&[":by-nobody", ":nested"]);
    }
    let nobody = tag_object(&site, &tip, None);
    let push = site.push(&[&format!("{nobody}:refs/tags/old-style")]);
    assert_tag(&push, CREATED, "old-style", &nobody, &["Ada"]);
}

#[test]
fn the_pusher_is_an_account_where_people_know_it() {
    let (site, _) = started();
    site.config("[people]\n\"x@example.org\" = { name = \"alice\", fullname = \"Alice A\" }\n");
    let blob = site.git(&["rev-parse", "HEAD:a"]);
    let push = site.push(&[&format!("{blob}:refs/tags/bare")]);
    let author = &push.only()["authors"][0];
    assert_eq!(author["fullname"], "Alice A");
    assert_eq!(author["name"], "alice");
}

#[test]
fn a_tag_that_moves_is_a_receive_on_its_full_name() {
    let (site, old) = started();
    let new = site.commit("c");
    site.push(&["main", "main~1:refs/tags/light"]);
    let first = tag_object(&site, &old, Some("T"));
    site.push(&[&format!("{first}:refs/tags/v1")]);
    let expected = |branch, old_commit| Received {
        branch,
        new: &new,
        without: Some(&old),
        old_commit,
        from: Some(&old),
        forced: false,
    };
    let push = site.push(&["+main:refs/tags/light"]);
    site.assert_received(push.only(), &expected("refs/tags/light", &old));
    let second = tag_object(&site, &new, Some("T"));
    let push = site.push(&[&format!("+{second}:refs/tags/v1")]);
    site.assert_received(push.only(), &expected("refs/tags/v1", &first));

    let push = site.push(&[&format!("+{first}:refs/tags/v1")]);
    let back = Received {
        branch: "refs/tags/v1",
        new: &old,
        without: Some(&new),
        old_commit: &second,
        from: Some(&new),
        forced: true,
    };
    site.assert_received(push.only(), &back);
    assert_eq!(push.only()["total_commits"], 0);
    assert_eq!(push.only()["start_commit"], old);
}

#[test]
fn a_tag_of_the_same_commit_made_anew_brings_nothing() {
    let (site, tip) = started();
    let first = tag_object(&site, &tip, Some("T"));
    let second = tag_object(&site, &tip, Some("Another"));
    site.push(&[&format!("{first}:refs/tags/v1")]);
    let push = site.push(&[&format!("+{second}:refs/tags/v1")]);
    let message = push.only();
    assert_eq!(message.about(), ("git.receive", "refs/tags/v1"));
    assert_eq!(message["total_commits"], 0);
    assert_eq!(message["forced"], false, "no commit is lost");
    assert_eq!(message["old_commit"], first);
    assert_eq!(message["start_commit"], tip);
    assert_eq!(message["end_commit"], tip);
    assert_eq!(message["changed_files"], serde_json::json!({}));
}

#[test]
fn a_tag_that_moves_to_or_from_what_is_no_commit_is_told_as_a_tag() {
    let (site, tip) = started();
    let blob = site.git(&["rev-parse", "HEAD:a"]);
    let tree = site.git(&["rev-parse", "HEAD^{tree}"]);
    site.push(&["main:refs/tags/t"]);
    let push = site.push(&[&format!("+{blob}:refs/tags/t")]);
    assert_tag(&push, CREATED, "t", &blob, &["alice"]);
    let push = site.push(&[&format!("+{tree}:refs/tags/t")]);
    assert_tag(&push, CREATED, "t", &tree, &["alice"]);
    let push = site.push(&["+main:refs/tags/t"]);
    assert_tag(&push, CREATED, "t", &tip, &["Ada"]);
}

#[test]
fn notes_are_received_on_their_full_name_and_not_told_when_they_go() {
    let (site, tip) = started();
    site.git(&["notes", "add", "-m", "one", "HEAD"]);
    let first = site.git(&["rev-parse", "refs/notes/commits"]);
    let push = site.push(&["refs/notes/commits"]);
    let created = Received {
        branch: "refs/notes/commits",
        new: &first,
        without: Some(&tip),
        old_commit: ZEROS,
        from: None,
        forced: false,
    };
    site.assert_received(push.only(), &created);
    site.git(&["notes", "add", "-m", "two", "HEAD~1"]);
    let second = site.git(&["rev-parse", "refs/notes/commits"]);
    let push = site.push(&["refs/notes/commits"]);
    let updated = Received {
        branch: "refs/notes/commits",
        new: &second,
        without: Some(&first),
        old_commit: &first,
        from: Some(&first),
        forced: false,
    };
    site.assert_received(push.only(), &updated);
    let push = site.push(&[":refs/notes/commits"]);
    assert!(push.messages.is_empty(), "{:?}", push.about());
    assert!(push.remote().is_empty(), "{}", push.said);
}

#[test]
fn other_refs_are_like_branches_without_creation_and_deletion() {
    let (site, base) = started();
    let one = site.commit("c");
    let push = site.push(&["main:refs/pull/1/head"]);
    let created = Received {
        branch: "refs/pull/1/head",
        new: &one,
        without: Some(&base),
        old_commit: ZEROS,
        from: Some(&base),
        forced: false,
    };
    site.assert_received(push.only(), &created);
    let push = site.push(&[&format!("{base}:refs/changes/none")]);
    assert!(push.messages.is_empty(), "nothing new and no topic");
    site.git(&["reset", "-q", "--hard", "HEAD~1"]);
    let two = site.commit("d");
    let push = site.push(&["+main:refs/pull/1/head"]);
    let moved = Received {
        branch: "refs/pull/1/head",
        new: &two,
        without: Some(&one),
        old_commit: &base,
        from: Some(&base),
        forced: true,
    };
    site.assert_received(push.only(), &moved);
    let push = site.push(&[&format!("+{base}:refs/pull/1/head")]);
    assert_eq!(push.only()["total_commits"], 0);
    let blob = site.git(&["rev-parse", "HEAD:a"]);
    let push = site.push(&[&format!("{blob}:refs/misc/blob")]);
    assert!(push.messages.is_empty(), "no topic exists");
    let push = site.push(&[&format!("+{blob}:refs/pull/1/head"), ":refs/misc/blob"]);
    assert!(push.messages.is_empty(), "{:?}", push.about());
}
