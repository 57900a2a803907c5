//! One file for a fleet: `[[repository]]` sections of the server's file.

use std::fmt::Write;
use std::fs;

use crate::support::spooled::names;
use crate::support::{Answer, Fleet, Request, golden};

const SECTIONS: &str = r#"
mode = "sync"
push_budget = "60s"
key = "the server's own key"
instance = "https://git.example.org/"
[retry]
schedule = ["1h"]

[[repository]]
match = ["infra/**", "!infra/secret"]
urls = ["URL/infra"]
project = { description = "machines" }

[[repository]]
match = ["apps/*"]
[[repository.endpoint]]
name = "apps"
url = "URL/apps"

[[repository]]
match = ["infra/b", "apps/b"]
urls = ["URL/both"]
quiet = true
[repository.retry]
give_up_after = "1d"
[repository.project]
tags = ["b"]
"#;

#[test]
fn a_push_goes_where_the_sections_about_its_repository_say() {
    let repositories = [
        "infra/a",
        "infra/b",
        "infra/secret",
        "apps/b",
        "apps/x/y",
        "other",
    ];
    let fleet = Fleet::new(&repositories);
    fleet.system(SECTIONS);
    for (name, expected) in [
        ("infra/a", vec!["/infra infra/a"]),
        // A later section overrides one before it, key by key.
        ("infra/b", vec!["/both infra/b"]),
        ("apps/b", vec!["/apps apps/b", "/both apps/b"]),
        ("infra/secret", vec![]),
        ("apps/x/y", vec![]),
        ("other", vec![]),
    ] {
        fleet.hook(name);
        let push = fleet.push(name);
        assert_eq!(push.status, 0, "{}", push.stderr);
        assert_eq!(fleet.arrived(), expected, "{}", push.stderr);
        let is_quiet = expected.is_empty() || name.ends_with('b');
        assert_eq!(push.stderr.is_empty(), is_quiet, "{name}: {}", push.stderr);
    }
    // The repository's own file has the last word.
    fleet.own("infra/b", "urls = [\"URL/own\"]");
    fleet.push("infra/b");
    assert_eq!(fleet.arrived(), ["/own infra/b"]);
    fleet.own("infra/b", "urls = []");
    fleet.push("infra/b");
    assert!(fleet.arrived().is_empty());
}

#[test]
fn check_show_tells_which_section_says_what() {
    let fleet = Fleet::new(&["infra/b", "apps/b"]);
    fleet.system(SECTIONS);
    fleet.own(
        "infra/b",
        "mode = \"spool\"\n[project]\ndescription = \"the b of infra\"",
    );
    let mut text = String::new();
    for name in ["infra/b", "apps/b"] {
        writeln!(text, "{name}:\n{}", fleet.shown(name)).unwrap();
    }
    golden("check-show-sections.txt", &text);
    fleet.hook("apps/b");
    let check = fleet
        .refpost(["check"])
        .arg(fleet.bare_path("apps/b"))
        .run()
        .well();
    for line in [
        "ok: section `/…/system.toml:15 (match \"apps/*\")`",
        "ok: section `/…/system.toml:21 (match \"infra/b\", \"apps/b\")`",
    ] {
        assert!(
            fleet.plain(&check.stdout).contains(line),
            "{}",
            check.stdout
        );
    }
    assert!(!check.stdout.contains("infra/**"), "{}", check.stdout);
}

/// A section can switch repositories off, and be about whole paths.
#[test]
fn a_section_of_an_empty_urls_switches_repositories_off() {
    let fleet = Fleet::new(&["archive/a", "a"]);
    let archive = fleet.path("srv/archive");
    fleet.system(&format!(
        "unsigned = true\nurls = [\"https://a.example.org/\"]\n\
         [[repository]]\nmatch = [\"{}/**\"]\nurls = []\n",
        archive.display()
    ));
    let urls = |name: &str| {
        let shown = fleet.shown(name);
        let urls = shown.lines().find(|line| line.starts_with("urls = "));
        urls.unwrap().to_owned()
    };
    assert!(
        urls("archive/a")
            .starts_with("urls = []  # /…/system.toml:4 (match \"/…/srv/archive/**\")")
    );
    assert_eq!(
        urls("a"),
        "urls = [\"https://a.example.org/…\"]  # /…/system.toml"
    );
}

/// The root can be a link, as gitolite's is; names are the same by both ways.
#[test]
fn a_root_behind_a_link_names_repositories_all_the_same() {
    let fleet = Fleet::new(&["infra/a"]);
    let link = fleet.path("link");
    std::os::unix::fs::symlink(fleet.path("srv"), &link).unwrap();
    for pattern in ["infra/*", "LINK/infra/*", "SRV/infra/*"] {
        let pattern = pattern.replace("LINK", link.to_str().unwrap());
        let pattern = pattern.replace("SRV", fleet.path("srv").to_str().unwrap());
        fleet.write(
            "system.toml",
            format!("root = {link:?}\n[[repository]]\nmatch = [{pattern:?}]\nquiet = true\n"),
        );
        assert!(fleet.shown("infra/a").contains("quiet = true"), "{pattern}");
    }
}

/// Two teams call their receivers `ci`: in the server's one spool the dead one of the
/// one team holds nothing of the other's.
#[test]
fn endpoints_of_one_name_in_two_sections_are_two_queues_of_a_shared_spool() {
    let fleet = Fleet::new(&["infra/a", "infra/b", "apps/a"]);
    let spool = fleet.path("spool");
    fleet.system(&format!(
        "mode = \"spool\"\nquiet = true\nkey = \"the server's own key\"\nspool = {spool:?}\n\
         [[repository]]\nmatch = [\"infra/**\"]\n\
         endpoint = [{{ name = \"ci\", url = \"URL/infra\" }}]\n\
         [[repository]]\nmatch = [\"apps/**\"]\n\
         endpoint = [{{ name = \"ci\", url = \"URL/apps\" }}]\n",
    ));
    fleet.receiver.script(|request| {
        Answer::status(if request.line.contains("/infra") {
            503
        } else {
            200
        })
    });
    for name in ["infra/a", "infra/b", "apps/a"] {
        fleet.hook(name);
        fleet.push(name).well();
    }
    fleet.refpost(["flush"]).run().well();
    // One attempt at what is down, whichever repository it is about, and all the rest.
    assert_eq!(fleet.arrived(), ["/apps apps/a", "/infra infra/a"]);
    let queues = names(&spool.join("retry"));
    let waiting = |queue: &String| names(&spool.join("retry").join(queue)).len();
    let mut counts: Vec<usize> = queues.iter().map(waiting).collect();
    counts.sort_unstable();
    assert_eq!(counts, [2], "{queues:?}");
    for queue in &queues {
        let (name, hash) = queue.split_once('@').unwrap();
        assert_eq!((name, hash.len()), ("ci", 6));
    }
    // The receiver moves: what waits goes to the new place.
    let moved = fs::read_to_string(fleet.path("system.toml")).unwrap();
    fleet.write("system.toml", moved.replace("/infra\"", "/moved\""));
    fleet.receiver.script(|_| Answer::status(200));
    fleet.refpost(["queue", "retry", "--all"]).run();
    let arrived = fleet.receiver.wait_for(4);
    let is_moved = |request: &Request| request.line == "POST /moved HTTP/1.1";
    assert!(arrived.iter().all(is_moved), "{arrived:?}");
}

/// What a section says of spools is the server's: a flush without a PATH knows them all.
#[test]
fn a_spool_that_only_a_section_names_is_flushed_with_the_server() {
    let fleet = Fleet::new(&["infra/a"]);
    let spool = fleet.path("spool");
    fleet.system(&format!(
        "mode = \"spool\"\nquiet = true\nkey = \"the server's own key\"\n\
         [[repository]]\nmatch = [\"infra/**\"]\nspool = {spool:?}\nurls = [\"URL/infra\"]\n"
    ));
    fleet.hook("infra/a");
    fleet.push("infra/a").well();
    assert!(!fleet.bare_path("infra/a").join("refpost").exists());
    fleet.refpost(["flush"]).run().well();
    assert_eq!(fleet.arrived(), ["/infra infra/a"]);
}

/// A repository's own file that cannot be loaded takes nothing away from what its
/// section says.
#[test]
fn under_a_broken_file_of_a_repository_its_section_still_counts() {
    let fleet = Fleet::new(&["infra/a", "apps/a"]);
    let spool = fleet.path("spool");
    fleet.system(&format!(
        "mode = \"spool\"\nquiet = true\nkey = \"the server's own key\"\n\
         [[repository]]\nmatch = [\"infra/**\"]\nrequire = true\nurls = [\"URL/infra\"]\n\
         [[repository]]\nmatch = [\"apps/**\"]\nspool = {spool:?}\nurls = [\"URL/apps\"]\n"
    ));
    for name in ["infra/a", "apps/a"] {
        fleet
            .refpost(["enable", "--guaranteed"])
            .arg(fleet.bare_path(name))
            .run()
            .well();
        fleet.own(name, "ulrs = []");
    }
    let refused = fleet.push("infra/a");
    assert_eq!(refused.status, 1, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("is refused, as `require` has it"),
        "{}",
        refused.stderr
    );
    let recorded = fleet.push("apps/a");
    assert_eq!(recorded.status, 0, "{}", recorded.stderr);
    assert_eq!(names(&spool.join("new")).len(), 1);
    fleet.own("infra/a", "");
    fleet.own("apps/a", "");
    fleet.refpost(["flush"]).run().well();
    assert_eq!(fleet.arrived(), ["/apps apps/a"]);
}
