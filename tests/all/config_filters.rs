//! Patterns that choose nothing.

use crate::support::{Ran, Spooled};

fn checked(filters: &str) -> Ran {
    let site = Spooled::new();
    site.configure("mode = \"spool\"", filters);
    site.refpost(["check", "test.git"]).run()
}

#[test]
fn refs_that_no_ref_can_match_are_an_error_of_check_with_what_was_meant() {
    for (refs, meant) in [
        ("main", "refs/heads/main"),
        ("heads/main", "refs/heads/main"),
        ("!main", "!refs/heads/main"),
        ("tags/v*", "refs/tags/v*"),
        ("refs/heads/main/", "refs/heads/main"),
    ] {
        let ran = checked(&format!("refs = [\"{refs}\"]"));
        let said = format!(
            "error: endpoint `one`: `refs`: no ref matches `{refs}`\n\
             hint: full names are meant, such as `{meant}`\n"
        );
        assert!(ran.stdout.contains(&said), "{}", ran.stdout);
        assert_eq!(ran.status, 1);
    }
    for refs in ["refs/heads/*", "*", "!refs/notes/*", "refs/heads/[ab]"] {
        let ran = checked(&format!("refs = [\"{refs}\"]"));
        assert_eq!(ran.status, 0, "{}", ran.stdout);
        assert!(
            !ran.stdout.contains("no ref matches") && !ran.stdout.contains("is no topic"),
            "{}",
            ran.stdout
        );
    }
}

#[test]
fn refs_of_which_a_format_tells_nothing_are_an_error_of_check() {
    for (format, refs, is_idle) in [
        ("github", "refs/notes/*", true),
        ("slack", "refs/remotes/x", true),
        ("github", "refs/*", false),
        ("gitlab", "!refs/notes/*", false),
        ("pagure", "refs/notes/*", false),
    ] {
        let ran = checked(&format!("format = \"{format}\"\nrefs = [\"{refs}\"]"));
        let said = format!(
            "error: endpoint `one`: `refs`: no branch or tag matches `{refs}`\n\
             hint: only format `pagure` tells of other refs\n"
        );
        assert_eq!(ran.stdout.contains(&said), is_idle, "{}", ran.stdout);
        assert_eq!(ran.status, i32::from(is_idle), "{}", ran.stdout);
    }
}

#[test]
fn topics_that_no_push_has_are_warned_of_with_what_was_meant() {
    for topic in ["push", "git.recieve"] {
        let ran = checked(&format!("topics = [\"{topic}\"]"));
        let said = format!(
            "warning: endpoint `one`: `topics`: `{topic}` is no topic of a push\n\
             hint: did you mean `git.receive`? There are `git.receive`, `git.branch.creation`, "
        );
        assert!(ran.stdout.contains(&said), "{}", ran.stdout);
    }
    for topic in ["git.*", "git.tag.*", "!git.branch.deletion"] {
        let ran = checked(&format!("topics = [\"{topic}\"]"));
        assert!(
            !ran.stdout.contains("no ref matches") && !ran.stdout.contains("is no topic"),
            "{}",
            ran.stdout
        );
    }
}
