//! Work in a repository that is not bare: every command that moves a branch or a tag.

use std::fs;

use crate::support::everywhere;

const CREATED: &str = "git.branch.creation refs/heads/";

#[test]
fn branches_and_tags() {
    everywhere(|outside| {
        let place = outside.work();
        let [one, two] = &place.ids;
        place.tells(&["branch", "x", one], &[&format!("{CREATED}x")]);
        place.tells(&["branch", "-f", "x", two], &["git.receive refs/heads/x"]);
        place.is_silent(&["branch", "-f", "x", two]);
        place.tells(
            &["branch", "-D", "x"],
            &["git.branch.deletion refs/heads/x"],
        );
        place.tells(&["tag", "v1"], &["git.tag.creation refs/tags/v1"]);
        place.tells(
            &["tag", "-a", "-m", "x", "v2"],
            &["git.tag.creation refs/tags/v2"],
        );
        // A tag from a commit to another: Pagure's rules call that a receive.
        place.tells(&["tag", "-f", "v1", one], &["git.receive refs/tags/v1"]);
        place.tells(&["tag", "-d", "v2"], &["git.tag.deletion refs/tags/v2"]);
    });
}

/// git copies and renames a branch without a transaction: no hook sees the new name
/// (refs/files-backend.c, `files_copy_or_rename_ref`). In files the old name goes by
/// a transaction of its own, so that is told; in a reftable nothing is.
#[test]
fn of_a_renamed_branch_only_what_git_tells_is_announced() {
    everywhere(|outside| {
        let place = outside.work();
        place.tells(&["branch", "x"], &[&format!("{CREATED}x")]);
        place.is_silent(&["branch", "-c", "x", "copy"]);
        let gone: &[&str] = match outside.refs {
            "reftable" => &[],
            _ => &["git.branch.deletion refs/heads/x"],
        };
        place.tells(&["branch", "-m", "x", "y"], gone);
        // What comes next is told as ever.
        let one = &place.ids[0];
        place.tells(&["branch", "-f", "y", one], &["git.receive refs/heads/y"]);
    });
}

#[test]
fn work_in_a_repository_that_is_not_bare() {
    everywhere(|outside| {
        let place = outside.work();
        let path = &place.path;
        let main = ["git.receive refs/heads/main"];
        let file = |name: &str, text: &str| fs::write(path.join(name), text).unwrap();
        let made = format!("{CREATED}topic");

        file("a", "1\n");
        outside.run(path, &["add", "a"]);
        place.tells(&["commit", "-q", "-m", "three"], &main);
        place.tells(&["commit", "-q", "--amend", "-m", "third"], &main);
        place.tells(&["checkout", "-q", "-b", "topic"], &[&made]);
        file("b", "1\n");
        outside.run(path, &["add", "b"]);
        place.tells(
            &["commit", "-q", "-m", "four"],
            &["git.receive refs/heads/topic"],
        );
        place.is_silent(&["checkout", "-q", "main"]);
        place.is_silent(&["checkout", "-q", "--detach"]);
        place.is_silent(&["commit", "-q", "--allow-empty", "-m", "nobody's"]);
        place.is_silent(&["checkout", "-q", "main"]);
        file("c", "1\n");
        outside.run(path, &["add", "c"]);
        place.tells(&["commit", "-q", "-m", "five"], &main);
        place.tells(&["merge", "-q", "-m", "merged", "topic"], &main);
        place.tells(&["reset", "-q", "--hard", "HEAD~1"], &main);
        outside.run(path, &["checkout", "-q", "topic"]);
        // However many commits it makes on the way, the branch moves once.
        place.tells(&["rebase", "-q", "main"], &["git.receive refs/heads/topic"]);
        place.is_silent(&["rebase", "-q", "main"]);
        outside.run(path, &["checkout", "-q", "main"]);
        place.tells(&["merge", "-q", "--ff-only", "topic"], &main);
        place.tells(
            &["cherry-pick", "--keep-redundant-commits", "topic~1"],
            &main,
        );
        place.tells(&["revert", "--no-edit", "HEAD~1"], &main);

        // A stash is a ref like another, of which no message tells more than what
        // it received: the commits of the index and of the tree.
        file("a", "2\n");
        place.tells(&["stash", "-q"], &["git.receive refs/stash"]);
        place.is_silent(&["stash", "pop", "-q"]);
    });
}

#[test]
fn a_worktree_speaks_for_its_repository() {
    everywhere(|outside| {
        let place = outside.work();
        let tree = outside.environment.path("tree");
        let text = tree.to_str().unwrap();
        place.tells(
            &["worktree", "add", "-q", text],
            &[&format!("{CREATED}tree")],
        );
        let commit = ["commit", "-q", "--allow-empty", "-m", "there"];
        outside.run(&tree, &commit);
        place.told_of(&commit, &["git.receive refs/heads/tree"]);
        // The refs of a worktree's own.
        let one = &place.ids[0];
        for name in ["refs/bisect/bad", "refs/worktree/x", "refs/rewritten/x"] {
            outside.run(&tree, &["update-ref", name, one]);
            place.told_of(&[name], &[]);
        }
        // From a folder below, too.
        let below = tree.join("below");
        fs::create_dir(&below).unwrap();
        outside.run(&below, &commit);
        place.told_of(&commit, &["git.receive refs/heads/tree"]);
        place.is_silent(&["worktree", "remove", "--force", text]);
    });
}
