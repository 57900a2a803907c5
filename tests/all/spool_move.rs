//! What waits for an endpoint that was configured otherwise: corrected, told, handed over.

use std::fs;

use crate::support::spooled::{commits, eventually, objects, sibling, to};
use crate::support::{Answer, KEY, Receiver, Spooled};

/// Configures these paths of the receiver as `urls`.
fn urls(site: &Spooled, paths: &[&str]) {
    let urls: Vec<_> = paths.iter().map(|path| site.receiver.url(path)).collect();
    site.settings(&format!(
        "mode = \"spool\"\nkey = \"{KEY}\"\nurls = {urls:?}\n"
    ));
}

/// The endpoints of the repository, in the order of its configuration.
fn endpoints(site: &Spooled) -> Vec<String> {
    let shown = site.objects(&["status", "--json"]);
    let names = shown.iter().filter(|one| one["state"] != "unconfigured");
    names
        .filter_map(|one| one["endpoint"].as_str().map(str::to_owned))
        .collect()
}

/// What arrives until the spool is empty.
fn all_that_arrives(site: &Spooled) -> Vec<crate::support::Request> {
    let mut arrived = Vec::new();
    eventually("the spool is empty", || {
        site.flush();
        arrived.extend(site.receiver.take());
        site.files().is_empty()
    });
    arrived
}

/// Three pushes to a mistyped `/old`, given up since `urls` names `/new` alone by now; then
/// one more push. Gives all commits, and the endpoints' names.
fn mistyped() -> (Spooled, Vec<String>, String, String) {
    let site = Spooled::new();
    urls(&site, &["/old"]);
    let old = endpoints(&site).remove(0);
    site.receiver.script(|_| Answer::status(503));
    let mut pushed = site.announce_many(3);
    site.flush();
    site.receiver.take();
    urls(&site, &["/new"]);
    let new = endpoints(&site).remove(0);
    let ran = site.flush();
    let hint = format!("`refpost queue move {old} NEW` hands it to another endpoint");
    assert!(ran.stderr.contains(&hint), "{}", ran.stderr);
    pushed.push(site.announce().0);
    site.receiver.script(|_| Answer::status(200));
    (site, pushed, old, new)
}

#[test]
fn a_mistyped_url_that_enable_wrote_is_corrected_in_place_and_what_waited_is_delivered() {
    let site = Spooled::new();
    let config = site.bare.join("refpost.toml");
    fs::remove_file(&config).unwrap();
    let (wrong, right) = (site.receiver.url("/mistyped"), site.receiver.url("/hook"));
    let enable = ["enable", "test.git", "--url", &wrong];
    site.refpost(enable).run().well();
    let text = fs::read_to_string(&config).unwrap();
    site.settings(&format!("mode = \"spool\"\n{text}"));
    site.receiver.script(|request| {
        let is_right = request.line.starts_with("POST /hook ");
        Answer::status(if is_right { 200 } else { 503 })
    });
    let pushed = site.announce_many(3);
    site.flush();
    assert_eq!(site.names("retry/receiver").len(), 3);
    assert_eq!(site.receiver.take().len(), 1);
    let text = fs::read_to_string(&config).unwrap();
    site.settings(&text.replace(&wrong, &right));
    site.retry_all();
    let arrived = all_that_arrives(&site);
    assert_eq!(commits(&to("/hook", &arrived)), pushed);
    assert_eq!(arrived.len(), 3);
}

#[test]
fn a_retry_of_what_is_not_configured_is_refused_and_names_the_move() {
    let (site, _, old, new) = mistyped();
    let before = site.files();
    for choice in [&["--endpoint", &*old][..], &["--all"]] {
        let ran = site.queue(&[&["retry"], choice].concat());
        assert_eq!(ran.status, 1);
        let bare = site.bare.display();
        assert_eq!(
            ran.stderr,
            format!(
                "refpost: cannot retry 3 entries of `{old}`: it is not configured for `{bare}`\n\
                 hint: `{new}` is at the same host, and gets it by: refpost queue move {old} \
                 {new} --repo {bare}\n"
            )
        );
        let lists_nothing = choice.len() > 1;
        assert_eq!(ran.stdout.is_empty(), lists_nothing, "{}", ran.stdout);
        if lists_nothing {
            assert_eq!(site.files(), before);
        }
    }
    // `--all` has taken what is configured, and that alone.
    eventually("the last push arrived", || site.names("new").is_empty());
    assert_eq!(site.names(&format!("failed/{old}")).len(), 3);
}

#[test]
fn what_is_not_configured_is_shown_and_why() {
    let (site, _, old, new) = mistyped();
    let shown = site.refpost(["status"]).arg(&site.bare).run().well().stdout;
    assert!(
        shown.contains(&format!("\nunconfigured  {old}  "))
            && shown.ends_with(", 3 entries given up\n"),
        "{shown}"
    );
    let shown = site.objects(&["status", "--json"]);
    let orphan = shown.iter().find(|one| one["endpoint"] == *old).unwrap();
    assert_eq!(orphan["state"], "unconfigured");
    let listed = site.queue(&["list", "--endpoint", &old]).well().stdout;
    assert_eq!(listed.matches("  not configured  ").count(), 3, "{listed}");
    let listed = objects(&site.queue(&["list", "--json"]).well().stdout);
    let reasons: Vec<_> = listed.iter().map(|one| one["reason"].as_str()).collect();
    let why = Some("not configured");
    assert_eq!(reasons, [why, why, why, None]);
    let check = site.refpost(["check"]).arg(&site.bare).run().stdout;
    let bare = site.bare.display();
    let warning = format!(
        "warning: queue `{old}`: 0 waiting, 3 given up: not configured for `{bare}`\n\
         hint: `{new}` is at the same host, and gets it by: refpost queue move {old} {new} --repo \
         {bare}\n"
    );
    assert!(check.contains(&warning), "{check}");
    // With nothing at that host, and then with nothing at all, it says what else there is.
    let endpoint = "[[endpoint]]\nname = \"ci\"\nurl = \"https://ci.example.org/\"\n";
    for (config, ways) in [
        (
            format!("key = \"{KEY}\"\n{endpoint}"),
            format!("another endpoint gets it by: refpost queue move {old} NEW --repo {bare}; or"),
        ),
        (
            "urls = []".to_owned(),
            format!("configure it again, or give it up: refpost queue drop --endpoint {old}"),
        ),
    ] {
        site.settings(&config);
        let check = site.refpost(["check"]).arg(&site.bare).run().stdout;
        assert!(check.contains(&format!("hint: {ways}")), "{check}");
    }
}

#[test]
fn a_queue_that_is_moved_is_delivered_to_the_other_endpoint_in_push_order() {
    let (site, pushed, old, new) = mistyped();
    let ran = site.queue(&["move", &old, &new]).well();
    assert_eq!(ran.stdout, format!("3 entries moved to `{new}`\n"));
    let arrived = all_that_arrives(&site);
    assert_eq!(commits(&to("/new", &arrived)), pushed);
    assert_eq!(arrived.len(), 4);
    let attempts = site.attempts();
    let delivered = attempts.iter().filter(|one| one["status"] == 200);
    assert!(delivered.clone().all(|one| one["endpoint"] == *new));
    assert_eq!(delivered.count(), 4);
    site.queue(&["move", &old, &new]).fails(
        1,
        &format!(
            "refpost: nothing waits for `{old}`, and nothing of it has failed\n\
             hint: `refpost queue list` shows what does\n"
        ),
    );
}

#[test]
fn what_was_pushed_and_not_yet_distributed_is_moved_too() {
    let site = Spooled::new();
    urls(&site, &["/old"]);
    let old = endpoints(&site).remove(0);
    let pushed = site.announce_many(3);
    assert_eq!(site.names("new").len(), 3);
    urls(&site, &["/new"]);
    let new = endpoints(&site).remove(0);
    let ran = site.queue(&["move", &old, &new]).well();
    assert_eq!(ran.stdout, format!("3 entries moved to `{new}`\n"));
    assert_eq!(commits(&to("/new", &all_that_arrives(&site))), pushed);
}

#[test]
fn a_live_endpoint_can_give_its_queue_away_too() {
    let site = Spooled::new();
    site.configure("mode = \"spool\"", &site.endpoint("two"));
    site.receiver.script(|_| Answer::status(503));
    let first = site.announce_many(2);
    site.flush();
    site.receiver.take();
    let other = Receiver::start();
    let three = format!(
        "\n[[endpoint]]\nname = \"three\"\nurl = \"{}\"\n",
        other.url("/three")
    );
    let all = [site.endpoint("two"), three].concat();
    site.configure("mode = \"spool\"", &all);
    site.queue(&["move", "one", "three"]).well();
    assert_eq!(commits(&other.wait_for(2)), first);
    assert_eq!(site.names("retry/one").len(), 0);
    assert_eq!(site.names("retry/two").len(), 2);
}

#[test]
fn a_move_of_a_queue_that_is_being_delivered_says_what_to_do_and_moves_nothing() {
    let site = Spooled::new();
    let text = site.endpoint("two");
    site.configure("mode = \"spool\"", &text);
    site.receiver.script(|_| Answer::status(503));
    site.announce();
    site.flush().well();
    let before = site.files();
    let held = fs::File::open(site.spool().join("retry/one")).unwrap();
    held.lock().unwrap();
    let ran = site.queue(&["move", "one", "two"]);
    assert_eq!(
        (ran.status, ran.stderr.as_str()),
        (
            1,
            "refpost: cannot move `one` to `two` now: one of them is being delivered\n\
             hint: nothing of that queue was moved: run it again once the attempt is over, which \
             is within a minute\n"
        )
    );
    assert_eq!(site.files(), before);
    drop(held);
    let ran = site.queue(&["move", "one", "two"]).well();
    assert_eq!(ran.stdout, "1 entry moved to `two`\n");
}

#[test]
fn a_move_to_what_is_not_configured_is_an_error_and_changes_nothing() {
    let (site, _, old, _) = mistyped();
    site.flush();
    let before = site.files();
    let bare = site.bare.display();
    site.queue(&["move", &old, "nowhere"]).fails(
        1,
        &format!(
            "refpost: cannot move `{old}` to `nowhere`, which is not configured for `{bare}`\n\
             hint: `refpost check {bare}` lists the endpoints\n"
        ),
    );
    site.queue(&["move", &old, &old])
        .fails(1, &format!("refpost: cannot move `{old}` to itself\n"));
    assert_eq!(site.files(), before);
}

/// A receiver of GitHub's format got Pagure's bodies.
#[test]
fn a_queue_was_moved_to_an_endpoint_of_another_format() {
    let (site, _, old, _) = mistyped();
    site.flush();
    let github = site.endpoint("github");
    site.configure(
        "mode = \"spool\"",
        &format!("{github}format = \"github\"\n"),
    );
    let before = site.files();
    site.queue(&["move", &old, "github"]).fails(
        1,
        "refpost: cannot move messages in format `pagure` to `github`, which has `github`\n\
         hint: move them to an endpoint with `format = \"pagure\"`\n",
    );
    assert_eq!(site.files(), before);
}

#[test]
fn in_a_shared_spool_each_repository_moves_to_an_endpoint_of_its_own() {
    let site = Spooled::new();
    let spool = site.path("shared");
    let server = format!("spool = \"{}\"\n", spool.display());
    let server = site.write("server.toml", &server);
    let environment = |name: &str| {
        let url = site.receiver.url(&format!("/{name}"));
        format!(
            "mode = \"spool\"\nkey = \"{KEY}\"\n[[endpoint]]\nname = \"{name}\"\nurl = \"{url}\"\n"
        )
    };
    site.settings(&environment("old"));
    let other = sibling(&site, "other.git");
    let with_server = |args: &[&str]| {
        let run = site.refpost(args.iter().copied());
        run.env("REFPOST_CONFIG", &server)
    };
    let push = |bare: &std::path::Path| {
        let commit = site.commit("file");
        let push = site.git_run(&["push", "-q"]).arg(bare).arg("main");
        assert_eq!(push.env("REFPOST_CONFIG", &server).run().status, 0);
        commit
    };
    let pushed = [push(&site.bare), push(&other)];
    for bare in [&site.bare, &other] {
        fs::write(bare.join("refpost.toml"), environment("new")).unwrap();
    }
    let shared = spool.to_str().unwrap();
    let ran = with_server(&["queue", "move", "old", "new", "--repo", shared]).run();
    assert_eq!(ran.stdout, "2 entries moved to `new`\n", "{}", ran.stderr);
    let arrived = site.receiver.wait_for(2);
    let mut arrived = commits(&to("/new", &arrived));
    arrived.sort();
    let mut pushed = pushed.to_vec();
    pushed.sort();
    assert_eq!(arrived, pushed);
}
