//! How command lines name repositories, entries and the server.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::spooled::objects;
use crate::support::{Answer, Fleet, KEY, Ran, Receiver, Site, Spooled};

#[test]
fn an_option_that_is_gone_was_ignored_or_taken_for_another() {
    let site = Site::new();
    for (line, way) in [
        (
            "check --all",
            "--server, or name the folder: `check FOLDER`",
        ),
        ("check --all /srv/git", "--server, or name the folder"),
        (
            "queue list --in test.git",
            "`queue list REPO`, or --repo REPO",
        ),
        ("queue retry --all --in test.git", "--repo REPO behind ids"),
        ("queue drop --repository test.git", "--repo REPO"),
        (
            "queue move --repository /a /b",
            "`queue move --renamed OLD NEW`",
        ),
        ("preview --repo test.git", "unexpected argument '--repo'"),
    ] {
        let ran = site.refpost(line.split(' ')).run();
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{line}");
        assert!(ran.stderr.contains(way), "{line}: {}", ran.stderr);
    }
}

/// A fleet of two repositories whose messages wait, in one spool if it is shared.
fn two(is_shared: bool) -> Fleet {
    let fleet = Fleet::new(&["a", "b"]);
    let spool = format!("spool = \"{}\"\n", fleet.path("shared").display());
    let spool = if is_shared { &spool } else { "" };
    fleet.system(&format!(
        "key = \"{KEY}\"\nmode = \"spool\"\n{spool}[[endpoint]]\nname = \"ci\"\nurl = \"URL/x\"\n\
         topics = [\"git.receive\"]\n"
    ));
    for name in ["a", "b"] {
        fleet.own(name, "");
        fleet.hook(name);
        assert_eq!(fleet.push(name).status, 0);
    }
    fleet
}

fn ids(fleet: &Fleet, args: &[&str]) -> Vec<String> {
    let ran = fleet.refpost(["queue", "list", "--json"]).args(args).run();
    let listed = objects(&ran.stdout);
    let id = |one: &serde_json::Value| one["id"].as_str().unwrap().to_owned();
    listed.iter().map(id).collect()
}

#[test]
fn a_flush_in_a_repository_is_of_that_one_and_of_the_server_if_it_says_so() {
    let fleet = two(false);
    let a = fleet.bare_path("a");
    assert_eq!(ids(&fleet, &[]).len(), 2);
    assert_eq!(ids(&fleet, &["--server"]).len(), 2);
    fleet.refpost(["flush"]).dir(&a).run().well();
    assert_eq!(ids(&fleet, &[]).len(), 1);
    let log = |args: &[&str]| {
        fleet
            .refpost(["log"])
            .args(args)
            .dir(&a)
            .run()
            .well()
            .stdout
    };
    assert_eq!(log(&[]).lines().count(), 2);
    fleet.refpost(["flush", "--server"]).dir(&a).run().well();
    assert_eq!(ids(&fleet, &[]).len(), 0);
    assert_eq!(log(&[]).lines().count(), 2);
    assert_eq!(log(&["--server"]).lines().count(), 3);
    let both = [fleet.bare_path("a"), fleet.bare_path("b")];
    let both = fleet.refpost(["log"]).args(both).run().well().stdout;
    assert_eq!(both.lines().count(), 3);
    for args in [
        &["flush", "--server", "x"][..],
        &["status", "--server", "x"],
    ] {
        assert_eq!(fleet.refpost(args).run().status, 2);
    }
}

#[test]
fn a_repository_in_a_shared_spool_is_named_like_any_other_and_after_it_is_gone() {
    let fleet = two(true);
    let a = fleet.bare_path("a");
    let [of_a, of_both] = [&[a.to_str().unwrap()][..], &["--server"]].map(|it| ids(&fleet, it));
    assert_eq!((of_a.len(), of_both.len()), (1, 2));
    assert_eq!(ids(&fleet, &["shared"]).len(), 2);
    fs::rename(&a, fleet.path("elsewhere")).unwrap();
    assert_eq!(ids(&fleet, &[a.to_str().unwrap()]), of_a);
    let queue = |args: &[&str]| fleet.refpost(["queue"]).args(args).arg(&a).run();
    let dropped = queue(&["drop", "--all", "--repo"]).well().stdout;
    assert_eq!(dropped, "1 entry dropped\n");
    let again = format!(
        "refpost: cannot find `{}`: it does not exist, and nothing waits for it\n",
        a.display()
    );
    queue(&["retry", "--older-than", "0s", "--repo"]).fails(1, &again);
}

#[test]
fn a_misspelt_repository_beside_a_shared_spool_had_0_entries() {
    let fleet = two(true);
    let typo = fleet.bare_path("typo");
    let told = format!(
        "refpost: cannot find `{}`: it does not exist, and nothing waits for it\n",
        typo.display()
    );
    for args in [
        &["list"][..],
        &["drop", "--all", "--repo"],
        &["drop", "-n", "--all", "--repo"],
        &["retry", "--endpoint", "one", "--repo"],
    ] {
        let ran = fleet.refpost(["queue"]).args(args).arg(&typo).run();
        assert_eq!(ran.stdout, "", "{args:?}");
        ran.fails(1, &told);
    }
}

#[test]
fn the_beginning_of_an_id_was_no_id() {
    let site = Spooled::new();
    // A drop has a flush deliver what waits behind.
    site.receiver.script(|_| Answer::status(503));
    site.announce_many(2);
    let listed = objects(&site.queue(&["list", "--json"]).well().stdout);
    let ids: Vec<&str> = listed
        .iter()
        .map(|one| one["id"].as_str().unwrap())
        .collect();
    let [first, second] = ids[..] else {
        panic!("{listed:?}");
    };
    let common = first
        .bytes()
        .zip(second.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    for verb in [&["show"][..], &["retry"], &["drop"]] {
        let ran = site.queue(&[verb, &[&first[..common]]].concat());
        let told = format!(
            "refpost: cannot tell which entry `{}` is: 2 ids begin with it\n\
             hint: one of: {first}, {second}\n",
            &first[..common]
        );
        ran.fails(1, &told);
    }
    let unique = &first[..=common];
    assert!(
        site.queue(&["show", unique])
            .well()
            .stdout
            .starts_with(first)
    );
    let both = site.queue(&["show", first, second]).well().stdout;
    assert!(both.contains(&format!("\n{second} ")), "{both}");
    // One of several that is not there is told, and the rest is done.
    let ran = site.queue(&["drop", unique, "20010203T"]);
    ran.fails(1, "refpost: cannot find entry `20010203T`\n");
    let left = objects(&site.queue(&["list", "--json"]).well().stdout);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["id"], second);
}

#[test]
fn ids_of_which_none_was_found_stood_for_every_entry() {
    let site = Spooled::new();
    site.receiver.script(|_| Answer::status(503));
    site.announce_many(2);
    let told = "refpost: cannot find entry `20010203T`\nrefpost: cannot find entry `20010204T`\n";
    for verb in [&["drop"][..], &["drop", "-n"], &["retry"], &["show"]] {
        let ran = site.queue(&[verb, &["20010203T", "20010204T"]].concat());
        assert_eq!(ran.stdout, "", "{verb:?}");
        ran.fails(1, told);
    }
    assert_eq!(objects(&site.queue(&["list", "--json"]).stdout).len(), 2);
}

#[test]
fn what_was_dropped_was_said_nowhere() {
    let site = Spooled::new();
    site.announce_many(2);
    let here = |args: &[&str]| {
        site.refpost(["queue", "drop"])
            .args(args)
            .dir(&site.bare)
            .run()
    };
    for choice in [
        &["--all"][..],
        &["--endpoint", "one"],
        &["--older-than", "0s"],
    ] {
        let ran = here(choice);
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""));
        assert!(
            ran.stderr.contains("<--repo <REPO>|--server>"),
            "{}",
            ran.stderr
        );
    }
    let shown = here(&["--all", "--repo", ".", "-n"]).well().stdout;
    assert_eq!(shown.lines().count(), 4, "{shown}");
    assert!(shown.ends_with("\n2 entries would be dropped\n"), "{shown}");
    let dropped = here(&["--all", "--repo", "."]).well().stdout;
    assert_eq!(dropped, "2 entries dropped\n");
}

#[test]
fn single_entries_move_to_another_endpoint() {
    let site = Spooled::new();
    let [old, new] = ["/old", "/new"].map(|path| site.receiver.url(path));
    let endpoints = format!(
        "mode = \"spool\"\nkey = \"{KEY}\"\n[[endpoint]]\nname = \"old\"\nurl = \"{old}\"\n\
         [[endpoint]]\nname = \"new\"\nurl = \"{new}\"\ntopics = [\"nothing\"]\n"
    );
    site.settings(&endpoints);
    site.receiver.script(|_| Answer::status(503));
    site.announce_many(3);
    site.flush();
    let listed = objects(&site.queue(&["list", "--json"]).well().stdout);
    let second = listed[1]["id"].as_str().unwrap();
    let moved = site.queue(&["move", "old", "new", second]).well().stdout;
    assert_eq!(moved, "1 entry moved to `new`\n");
    let left = |name: &str| {
        let ran = site.queue(&["list", "--json", "--endpoint", name]);
        objects(&ran.well().stdout).len()
    };
    assert_eq!((left("old"), left("new")), (2, 1));
}

#[test]
fn one_of_several_that_failed_kept_the_rest_from_being_enabled() {
    let site = Site::new();
    site.bare("b b.git");
    site.bare("c.git");
    let ran = site
        .refpost(["enable", "nowhere", "b b.git", "c.git"])
        .run();
    assert_eq!(ran.status, 1);
    let summary = "enabled 2 repositories, 1 failed\n";
    assert!(ran.stdout.ends_with(summary), "{}", ran.stdout);
    assert!(
        ran.stderr.contains("refpost: in `nowhere`: "),
        "{}",
        ran.stderr
    );
    for name in ["b b.git", "c.git"] {
        assert!(site.path(name).join("hooks/post-receive").is_symlink());
    }
    let ran = site
        .refpost(["disable", "nowhere", "b b.git", "c.git"])
        .run();
    let summary = "disabled 2 repositories, 1 failed\n";
    assert!(
        ran.status == 1 && ran.stdout.ends_with(summary),
        "{}",
        ran.stdout
    );
    // Without a name, the folder.
    let here = |verb: &str| {
        site.refpost([verb])
            .dir(site.path("c.git"))
            .run()
            .well()
            .stdout
    };
    assert!(here("enable").starts_with("linked `"));
    assert!(here("disable").starts_with("unlinked `"));
    let nowhere = site.refpost(["enable"]).run();
    assert!(
        nowhere.status == 1 && nowhere.stdout.is_empty(),
        "{}",
        nowhere.stderr
    );
}

#[test]
fn a_repository_with_a_configuration_was_not_enabled_with_a_url() {
    let site = Site::new();
    let bare = site.bare("c.git");
    let config = bare.join("refpost.toml");
    let text = "unsigned = true\nurls = [\"https://ci.example.org/x\"]\n";
    fs::write(&config, text).unwrap();
    let enable = |url: &str| site.refpost(["enable", "c.git", "--url", url]).run();
    let ran = enable("https://other.example.org/y");
    let told = format!(
        "refpost: cannot write the URL to `{}`: the configuration is there already, and is kept\n\
         hint: add an `[[endpoint]]` to it\n",
        config.display()
    );
    let ran = ran.fails(1, &told);
    assert!(ran.stdout.starts_with("linked `"), "{}", ran.stdout);
    let ran = enable("https://ci.example.org/x").well();
    let kept = format!("kept `{}`, which has the URL\n", config.display());
    assert!(ran.stdout.ends_with(&kept), "{}", ran.stdout);
    assert_eq!(fs::read_to_string(&config).unwrap(), text);
}

#[test]
fn ping_of_the_server_sends_one_message_for_each_endpoint() {
    let fleet = two(false);
    let other = Receiver::start();
    fleet.own("b", &format!("urls = [\"{}\"]\n", other.url("/b")));
    let ping = |args: &[&str]| -> Ran { fleet.refpost(["ping"]).args(args).run() };
    // It is never assumed.
    assert_eq!(ping(&[]).status, 1);
    fleet.add("c");
    let ran = ping(&["--server"]).well();
    assert_eq!(ran.stdout.lines().count(), 2, "{}", ran.stdout);
    assert!(
        ran.stdout.contains("` of 3 repositories "),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("` of 1 repository "), "{}", ran.stdout);
    assert_eq!(other.take().len(), 1);
    assert_eq!(fleet.arrived().len(), 1);
    assert_eq!(ping(&["--server", "--endpoint", "typo"]).status, 1);
    let told = objects(
        &ping(&["--server", "--json", "--endpoint", "ci"])
            .well()
            .stdout,
    );
    assert_eq!(told.len(), 1);
    assert_eq!(
        (&told[0]["ok"], &told[0]["repositories"]),
        (&true.into(), &3.into())
    );
    assert_eq!(told[0]["answer"], "answered 200");
}

#[test]
fn a_signature_has_its_prefix_and_an_address_its_name() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use crate::support::REFPOST;

    let site = Site::new();
    site.write("key", KEY);
    let hex = "0".repeat(64);
    let wrong = site.refpost(["verify", "--key-file", "key", "--signature"]);
    let wrong = wrong.arg(format!("sha256={hex}")).stdin("x").run();
    wrong.fails(1, "refpost: the signature does not match\n");
    for addr in ["localhost:0", ":0"] {
        let mut child = Command::new(REFPOST)
            .args(["listen", "--addr", addr])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(line.starts_with("listening on http://"), "{addr}: {line}");
    }
    // The link of a repository is that repository.
    symlink(&site.bare, site.path("link.git")).unwrap();
    let shown = site.refpost(["check", "--show", "link.git"]).run();
    assert_eq!(shown.status, 0);
}

#[test]
fn a_ping_outside_of_a_repository_told_no_way_out() {
    let site = Site::new();
    let told = "refpost: cannot ping: this folder is no repository\n\
                hint: name repositories, or all of the server with --server\n";
    let empty = site.path("empty");
    fs::create_dir(&empty).unwrap();
    site.refpost(["ping"]).dir(&empty).run().fails(1, told);
    let url = site.receiver.url("/hook");
    site.config_alone(&format!("urls = [\"{url}\"]\nkey = \"{KEY}\"\n"));
    site.refpost(["ping"]).dir(&site.bare).run().well();
    site.config_alone("urls = []\n");
    let told = "refpost: cannot print a key of any endpoint: none is configured\n\
                hint: `refpost check` lists the endpoints\n";
    site.refpost(["key"]).dir(&site.bare).run().fails(1, told);
}
