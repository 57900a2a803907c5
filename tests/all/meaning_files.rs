//! Which files a message says have changed, and how.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::json;

use crate::support::{Message, Received, Site};

/// Pushes what the clone has now, and holds the message to git.
fn push_changes(site: &Site) -> Message {
    let old = site.git(&["rev-parse", "HEAD"]);
    let new = site.commit_by("Ada");
    let push = site.push(&["main"]);
    let received = Received {
        branch: "main",
        new: &new,
        without: Some(&old),
        old_commit: &old,
        from: Some(&old),
        forced: false,
    };
    site.assert_received(push.only(), &received);
    push.only().clone()
}

fn started(files: &[&str]) -> Site {
    let site = Site::told_twice();
    for file in files {
        site.file(file, format!("{file}\n").repeat(20));
    }
    site.commit_by("Ada");
    site.push(&["main"]);
    site
}

#[test]
fn added_modified_and_deleted_files_have_gits_letters() {
    let site = started(&["gone", "kept", "changed", "dir/changed", "dir/gone/deep"]);
    site.file("changed", "other");
    site.file("dir/changed", "other");
    site.file("dir/new/deep", "new");
    fs::remove_file(site.work.join("gone")).unwrap();
    fs::remove_file(site.work.join("dir/gone/deep")).unwrap();
    assert_eq!(
        push_changes(&site)["changed_files"],
        json!({"changed": "M", "dir/changed": "M", "dir/gone/deep": "D", "dir/new/deep": "A", "gone": "D"})
    );
}

#[test]
fn a_rename_is_a_deletion_and_an_addition() {
    let site = started(&["old", "other", "dir/x"]);
    site.git(&["mv", "old", "new name"]);
    site.git(&["mv", "dir", "elsewhere"]);
    assert_eq!(
        push_changes(&site)["changed_files"],
        json!({"dir/x": "D", "elsewhere/x": "A", "new name": "A", "old": "D"})
    );
    site.file("copy", fs::read(site.work.join("other")).unwrap());
    assert_eq!(push_changes(&site)["changed_files"], json!({"copy": "A"}));
}

#[test]
fn a_change_of_type_is_t_and_a_change_of_mode_is_m() {
    let site = started(&["script", "link", "module"]);
    fs::set_permissions(site.work.join("script"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(site.work.join("link")).unwrap();
    symlink("script", site.work.join("link")).unwrap();
    let changed = push_changes(&site);
    assert_eq!(
        changed["changed_files"],
        json!({"link": "T", "script": "M"})
    );

    // A file becomes a submodule, and the submodule moves on.
    let submodule = |id: &str| {
        let old = site.git(&["rev-parse", "HEAD"]);
        site.git(&[
            "update-index",
            "--cacheinfo",
            &format!("160000,{id},module"),
        ]);
        site.git(&["commit", "-q", "-m", "submodule"]);
        let new = site.git(&["rev-parse", "HEAD"]);
        let push = site.push(&["main"]);
        let received = Received {
            branch: "main",
            new: &new,
            without: Some(&old),
            old_commit: &old,
            from: Some(&old),
            forced: false,
        };
        site.assert_received(push.only(), &received);
        push.only()["changed_files"].clone()
    };
    assert_eq!(submodule(&"1".repeat(40)), json!({"module": "T"}));
    assert_eq!(submodule(&"2".repeat(40)), json!({"module": "M"}));
    site.git(&["update-index", "--force-remove", "module"]);
    fs::remove_file(site.work.join("module")).ok();
    assert_eq!(push_changes(&site)["changed_files"], json!({"module": "D"}));
}

#[test]
fn a_file_that_becomes_a_folder_is_gone_and_its_files_are_new() {
    let site = started(&["thing", "thing-else", "thing.txt", "folder/a", "folder/b"]);
    fs::remove_file(site.work.join("thing")).unwrap();
    site.file("thing/a", "a");
    site.file("thing/b/c", "c");
    fs::remove_dir_all(site.work.join("folder")).unwrap();
    site.file("folder", "a file now");
    assert_eq!(
        push_changes(&site)["changed_files"],
        json!({"folder": "A", "folder/a": "D", "folder/b": "D", "thing": "D", "thing/a": "A", "thing/b/c": "A"})
    );
}

#[test]
fn a_merge_changes_what_differs_from_the_old_tip() {
    let site = started(&["a", "b"]);
    let old = site.git(&["rev-parse", "HEAD"]);
    site.git(&["checkout", "-q", "-b", "side"]);
    site.commit("s");
    site.git(&["checkout", "-q", "main"]);
    site.commit("m");
    site.git(&["merge", "-q", "--no-ff", "-m", "x", "-s", "ours", "side"]);
    let new = site.git(&["rev-parse", "HEAD"]);
    let push = site.push(&["main"]);
    let received = Received {
        branch: "main",
        new: &new,
        without: Some(&old),
        old_commit: &old,
        from: Some(&old),
        forced: false,
    };
    site.assert_received(push.only(), &received);
    assert_eq!(
        push.only()["changed_files"],
        json!({"m": "A"}),
        "`ours` left `s` out"
    );
}

#[test]
fn more_files_than_the_limit_are_cut_and_counted() {
    let site = started(&["a"]);
    site.config("max_changed_files = 5\n");
    for number in 0..5 {
        site.file(format!("exactly/{number}"), "");
    }
    let message = push_changes(&site);
    assert_eq!(message.changed().len(), 5);
    assert!(message["changed_files_truncated"].is_null());
    assert!(message["total_changed_files"].is_null());

    for number in 0..6 {
        site.file(format!("one-more/{number}"), "");
    }
    site.commit_by("Ada");
    let push = site.push(&["main"]);
    let message = push.only();
    assert_eq!(message["changed_files_truncated"], true);
    assert_eq!(message["total_changed_files"], 6);
    let paths: Vec<_> = message
        .changed()
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    assert_eq!(
        paths,
        [
            "one-more/0",
            "one-more/1",
            "one-more/2",
            "one-more/3",
            "one-more/4"
        ]
    );
}

#[test]
fn three_thousand_files_are_listed_by_default() {
    let site = started(&["a"]);
    for number in 0..3001 {
        site.file(format!("d{}/{number:04}", number % 10), "");
    }
    site.commit_by("Ada");
    let push = site.push(&["main"]);
    let message = push.only();
    assert_eq!(message.changed().len(), 3000);
    assert_eq!(message["changed_files_truncated"], true);
    assert_eq!(message["total_changed_files"], 3001);
}

#[test]
fn a_limit_of_zero_lists_no_file() {
    let site = started(&["a"]);
    site.config("max_changed_files = 0\n");
    site.file("b", "");
    site.commit_by("Ada");
    let push = site.push(&["main"]);
    let message = push.only();
    assert_eq!(message["changed_files"], json!({}));
    assert_eq!(message["changed_files_truncated"], true);
    assert_eq!(message["total_changed_files"], 1);
}
