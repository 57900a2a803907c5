//! Guaranteed pushes where processes cannot be looked at, and refs that proc-receive makes.

use crate::support::{Message, Push, Site};

/// Runs what follows where `/proc` is empty.
const WITHOUT_PROC: &str = "mount -t tmpfs none /proc && exec \"$@\"";

/// Whether this account can have a `/proc` of its own; that it cannot is said.
fn can_hide_proc(site: &Site) -> bool {
    let args = ["-m", "sh", "-c", WITHOUT_PROC, "sh", "true"];
    let can = site.run("unshare").args(args).run().status == 0;
    if !can {
        crate::support::leave_out_mount("an empty `/proc` cannot be mounted: that is not tested");
    }
    can
}

fn push(site: &Site, refspec: &str) -> Push {
    let args = [
        "-m",
        "sh",
        "-c",
        WITHOUT_PROC,
        "sh",
        "git",
        "push",
        "-f",
        "origin",
        refspec,
    ];
    let push = site.push_by(site.run("unshare").dir(&site.work).args(args));
    assert_eq!(push.status, 0, "{}", push.said);
    push
}

/// A push whose machine dies before it is announced.
fn push_and_die(site: &Site, refspec: &str) {
    let hook = site.bare.join("hooks/post-receive");
    let aside = site.path("post-receive");
    std::fs::rename(&hook, &aside).unwrap();
    push(site, refspec);
    std::fs::rename(&aside, &hook).unwrap();
}

fn ends(messages: &[Message]) -> Vec<String> {
    let end = |message: &Message| message["end_commit"].as_str().map(str::to_owned);
    messages.iter().filter_map(end).collect()
}

#[test]
fn without_proc_a_guaranteed_push_is_announced_once() {
    let site = Site::guaranteed();
    if !can_hide_proc(&site) {
        return;
    }
    site.spooled();
    site.commit("file");
    push(&site, "main");
    assert_eq!(site.intents(), [""; 0]);
    let topics: Vec<_> = site
        .flush()
        .iter()
        .map(|it| it.about().0.to_owned())
        .collect();
    assert_eq!(topics, ["git.branch.creation", "git.receive"]);
    // And several refs, one of which is refused.
    site.hook("update", "test \"$1\" != refs/heads/no");
    site.commit("file");
    let args = [
        "-m",
        "sh",
        "-c",
        WITHOUT_PROC,
        "sh",
        "git",
        "push",
        "origin",
    ];
    let refused = site
        .run("unshare")
        .dir(&site.work)
        .args(args)
        .args(["main", "main:no"]);
    site.push_by(refused);
    assert_eq!(site.intents(), [""; 0]);
    let about = site.flush();
    let about: Vec<_> = about.iter().map(Message::about).collect();
    assert_eq!(about, [("git.receive", "main")]);
    site.assert_quiet();
}

#[test]
fn a_ref_that_goes_back_and_forth_is_three_moves_though_two_hooks_died() {
    for deaths in [1, 2] {
        let site = Site::guaranteed();
        if !can_hide_proc(&site) {
            return;
        }
        site.spooled();
        let x = site.commit("file");
        push(&site, "main");
        site.flush();
        let y = site.commit("file");
        let moves = [&y, &x, &y].map(|to| format!("{to}:refs/heads/main"));
        for (n, refspec) in moves.iter().enumerate() {
            if n < deaths {
                push_and_die(&site, refspec);
            } else {
                push(&site, refspec);
            }
        }
        assert_eq!(site.intents(), [""; 0], "{deaths} died");
        let told = site.flush();
        assert_eq!(told.len(), 3, "{deaths} died");
        assert_eq!(ends(&told).first(), Some(&y));
        assert_eq!(ends(&told).last(), Some(&y));
        site.assert_quiet();
    }
}

#[test]
fn check_shows_a_push_that_is_not_settled() {
    let site = Site::guaranteed();
    if !can_hide_proc(&site) {
        return;
    }
    site.spooled();
    site.commit("file");
    push_and_die(&site, "main");
    let checked = site.refpost(["check", "test.git"]).run();
    let said = "warning: pushes not settled: 1, the oldest of ";
    assert!(checked.stdout.contains(said), "{}", checked.stdout);
}

/// Makes `refs/heads/made` of what is pushed to `refs/for/…` (githooks(5)).
const PROC_RECEIVE: &str = r#"
pkt() {
    length=$(dd bs=1 count=4 2>/dev/null)
    test "$length" != 0000 || return 1
    line=$(dd bs=1 count=$((0x$length - 4)) 2>/dev/null | tr '\0' '\n')
}
say() { printf '%04x%s' $((${#1} + 4)) "$1"; }
while pkt; do :; done
say version=1
printf 0000
while pkt; do command=$line; done
set -- $command
git update-ref refs/heads/made "$2"
say "ok $3"
say 'option refname refs/heads/made'
say "option old-oid $1"
say "option new-oid $2"
printf 0000
"#;

#[test]
fn a_ref_that_proc_receive_makes_is_announced_once() {
    let site = Site::guaranteed();
    site.spooled();
    site.bare_git(&["config", "receive.procReceiveRefs", "refs/for"]);
    site.hook("proc-receive", PROC_RECEIVE);
    site.commit("file");
    let push = site.try_push(&["origin", "main:refs/for/main"]);
    assert_eq!(push.status, 0, "{}", push.said);
    let told = site.flush();
    let about: Vec<_> = told.iter().map(Message::about).collect();
    assert_eq!(
        about,
        [("git.branch.creation", "made"), ("git.receive", "made")]
    );
    site.assert_quiet();
}
