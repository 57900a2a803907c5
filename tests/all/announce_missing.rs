//! `announce --missing`: refs that moved without being announced are shown, and announced.

use std::fs;

use crate::support::{KEY, Site};

/// A site that was enabled, so that what it announces is kept.
fn enabled() -> Site {
    let site = Site::new();
    site.refpost(["enable", "test.git"]).run().well();
    site
}

/// What `announce --missing` prints on standard output.
#[track_caller]
fn missing(site: &Site) -> String {
    let ran = site.refpost(["announce", "--missing", "test.git"]).run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    ran.stdout
}

#[track_caller]
fn assert_nothing_missing(site: &Site) {
    assert_eq!(missing(site), "nothing is missing\n");
}

/// Announces what is missing, and returns the topics and branches of what arrived.
#[track_caller]
fn send(site: &Site) -> Vec<(String, String)> {
    let args = ["announce", "--missing", "test.git", "--send"];
    let ran = site.refpost(args).run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let requests = site.receiver.take();
    let messages = requests.iter().map(|it| it.message());
    let about = messages.map(|it| {
        let branch = it["branch"].as_str().unwrap_or_default();
        (it.topic().to_owned(), branch.to_owned())
    });
    about.collect()
}

/// Pushes while the hook is disabled.
fn push_unseen(site: &Site, refspecs: &[&str]) {
    let hook = site.bare.join("hooks/post-receive");
    let aside = site.bare.join("hooks/aside");
    fs::rename(&hook, &aside).unwrap();
    let push = site.try_push(&[&["origin"], refspecs].concat());
    assert_eq!((push.status, push.messages.len()), (0, 0), "{}", push.said);
    fs::rename(&aside, &hook).unwrap();
}

#[test]
fn what_was_pushed_while_the_hook_was_disabled_left_no_trace() {
    let site = enabled();
    let one = site.commit("one");
    site.push(&["main", "main:gone"]);
    assert_nothing_missing(&site);

    let two = site.commit("two");
    push_unseen(&site, &["main", "main:new", ":gone"]);
    let zeros = "0".repeat(40);
    let shown = format!(
        "{one} {zeros} refs/heads/gone\n{one} {two} refs/heads/main\n{zeros} {two} refs/heads/new\n"
    );
    let ran = site.refpost(["announce", "--missing", "test.git"]).run();
    assert_eq!(ran.stdout, shown);
    assert_eq!(
        ran.stderr,
        "refpost: 3 moves were not announced\n\
         hint: refpost announce --missing test.git --send\n"
    );
    // Looking changes nothing, and neither does enabling it again.
    site.refpost(["enable", "test.git"]).run().well();
    assert_eq!(missing(&site), shown);
    // A message of an older move that is sent again is no move.
    let args = [&zeros[..], &one, "refs/heads/main", "--repo", "test.git"];
    site.refpost(["announce"]).args(args).run().well();
    site.receiver.take();
    assert_eq!(missing(&site), shown);

    let sent = send(&site);
    let sent: Vec<_> = sent
        .iter()
        .map(|(topic, name)| (&**topic, &**name))
        .collect();
    let expected = [
        ("git.branch.deletion", "gone"),
        ("git.receive", "main"),
        ("git.branch.creation", "new"),
    ];
    assert_eq!(sent, expected);
    assert_nothing_missing(&site);
    assert!(send(&site).is_empty());
    site.commit("three");
    site.push(&["main"]);
    assert_nothing_missing(&site);
}

#[test]
fn a_skipped_or_filtered_push_is_not_missing() {
    let site = enabled();
    let url = site.receiver.url("/hook");
    let filtered = |mode: &str, refs: &str| {
        let text = format!(
            "push_options = true\n[[endpoint]]\nname = \"ci\"\nurl = \"{url}\"\nkey = \"{KEY}\"\nrefs = [\"{refs}\"]\n"
        );
        site.write(
            "test.git/refpost.toml",
            format!("mode = \"{mode}\"\n{text}"),
        );
    };
    site.bare_git(&["config", "receive.advertisePushOptions", "true"]);
    filtered("sync", "refs/heads/*");
    site.commit("one");
    let skip = |refspec: &str| {
        let push = site.try_push(&["-o", "refpost.skip", "origin", refspec]);
        assert!(
            push.status == 0 && push.messages.is_empty(),
            "{}",
            push.said
        );
    };
    skip("main");
    assert_nothing_missing(&site);
    assert_eq!(
        site.try_push(&["origin", "main:refs/tags/v1"])
            .messages
            .len(),
        0
    );
    assert_nothing_missing(&site);
    // Patterns that choose more do not bring back what they left out.
    filtered("sync", "refs/**");
    assert_nothing_missing(&site);

    // Behind pushes that wait, in the order in which they came.
    filtered("spool", "refs/heads/*");
    site.commit("two");
    site.try_push(&["origin", "main"]);
    assert_nothing_missing(&site);
    site.commit("three");
    skip("main");
    site.try_push(&["origin", "main:refs/tags/v2"]);
    assert_nothing_missing(&site);
    site.refpost(["queue", "list", "test.git"]).run().well();
    site.refpost(["status", "test.git"]).run().well();
    assert_eq!(site.flush().len(), 1);
    assert_nothing_missing(&site);
    filtered("spool", "refs/**");
    assert_nothing_missing(&site);
    site.assert_quiet();
}

#[test]
fn what_was_not_kept_or_is_damaged_is_told_and_begun_by_enable() {
    let site = Site::new();
    site.commit("one");
    site.push(&["main", "main:b"]);
    let ran = site.refpost(["announce", "--missing", "test.git"]).run();
    let bare = site.bare.display();
    ran.fails(
        1,
        &format!(
            "refpost: cannot tell what is missing: what is announced of `{bare}` was not kept\n\
             hint: `refpost enable {bare}` keeps it from now on\n"
        ),
    );
    site.refpost(["enable", "test.git"]).run().well();
    assert_nothing_missing(&site);
    let kept = site.spool().join("announced/own");
    fs::write(&kept, "refpost-announced 1 7\n").unwrap();
    let ran = site.refpost(["announce", "--missing", "test.git"]).run();
    ran.fails(
        1,
        &format!(
            "refpost: cannot read `{}`: it is damaged\nhint: refpost enable {bare}\n",
            kept.display()
        ),
    );
    // Pushes go on.
    site.commit("two");
    site.push(&["main"]);
    let ran = site.refpost(["enable", "test.git"]).run();
    let begun = "it is damaged: it is begun anew, with all refs as they are";
    assert!(ran.stderr.contains(begun), "{}", ran.stderr);
    assert_nothing_missing(&site);
    push_unseen(&site, &["main:c"]);
    assert_eq!(missing(&site).lines().count(), 1);
}

#[test]
fn refs_of_a_namespace_and_pushes_of_many_refs_are_told_apart() {
    let site = enabled();
    // Another repository's spool would have a file for each.
    let shared = site.path("shared");
    site.config(&format!("spool = \"{}\"\n", shared.display()));
    site.refpost(["enable", "test.git"]).run().well();
    let commit = site.commit("one");
    site.push(&["main"]);
    let many: Vec<_> = (0..150).map(|n| format!("main:many/{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    site.push(&many);
    assert_nothing_missing(&site);
    let namespaced = site.git_run(&["push", "origin", "main"]);
    let push = site.push_by(namespaced.env("GIT_NAMESPACE", "team"));
    assert_eq!(push.messages.len(), 2, "{}", push.said);
    assert_nothing_missing(&site);

    let hook = site.bare.join("hooks/post-receive");
    fs::remove_file(&hook).unwrap();
    let namespaced = site.git_run(&["push", "origin", "main:more"]);
    site.push_by(namespaced.env("GIT_NAMESPACE", "team"));
    let moved: Vec<_> = (0..150).map(|n| format!("main:other/{n}")).collect();
    let moved: Vec<&str> = moved.iter().map(String::as_str).collect();
    site.try_push(&[&["origin"], &moved[..]].concat());
    let shown = missing(&site);
    assert_eq!(shown.lines().count(), 151, "{shown}");
    let zeros = "0".repeat(40);
    let line = format!("{zeros} {commit} refs/namespaces/team/refs/heads/more");
    assert!(shown.lines().any(|shown| shown == line), "{shown}");
    let sent = send(&site);
    // The default branch of the namespace is not there yet: its new one gains all commits.
    assert_eq!(sent.len(), 152, "{sent:?}");
    assert_nothing_missing(&site);
    assert_eq!(fs::read_dir(shared.join("announced")).unwrap().count(), 1);
}
