//! What `check` calls an error, a warning and a note, and a configuration checked alone.

use std::fs;

use serde_json::{Value, json};

use crate::spool_manage::mixed;
use crate::support::spooled::objects;
use crate::support::{Environment, Fleet, Spooled};

#[test]
fn refused_messages_and_a_receiver_that_is_down_were_well() {
    let site = mixed();
    site.announce_many(2);
    site.flush();
    let check = |site: &Spooled| site.refpost(["check"]).arg(&site.bare).run().stdout;
    let said = check(&site);
    let refused = "warning: queue `three`: the receiver refuses 2 messages\n";
    assert!(said.contains(refused), "{said}");
    assert!(
        said.contains("warning: queue `two`: 2 waiting, 0 given up\n"),
        "{said}"
    );
    assert!(said.contains("note: a machine that dies between"), "{said}");
    assert!(
        said.contains("\n0 errors, ") && said.ends_with(", 2 notes\n"),
        "{said}"
    );

    let site = Spooled::new();
    let address = "http://127.0.0.1:9/";
    site.settings(&format!(
        "mode = \"spool\"\nunsigned = true\nurls = [\"{address}\"]\n"
    ));
    site.announce();
    fs::create_dir_all(site.spool().join("failed/unreadable")).unwrap();
    let id = "20260101T000000.000000000Z-x-0123456789abcdef";
    fs::write(site.spool().join("failed/unreadable").join(id), "no entry").unwrap();
    site.flush();
    let said = check(&site);
    assert!(
        said.contains("`: receiver `http://127.0.0.1:9` is down since 20"),
        "{said}"
    );
    assert!(
        said.contains("warning: 1 entry in `failed/unreadable/` of spool `"),
        "{said}"
    );
    assert!(
        said.contains("note: `instance` is not set: messages name it `"),
        "{said}"
    );
}

#[test]
fn a_configuration_was_checked_only_where_it_was_in_force() {
    let environment = Environment::new();
    let check = |name: &str, text: &str| {
        environment.write(name, text);
        environment.refpost(["check", "--config", name]).run()
    };
    let urls = "urls = [\"https://ci.example.org/x\"]\n";
    let ran = check("new.toml", &format!("unsigned = true\n{urls}")).well();
    assert_eq!(
        ran.stdout,
        "ok: `new.toml`: 1 endpoint\n0 errors, 0 warnings, 0 notes\n"
    );
    let unknown = check("new.toml", "ulrs = []\n");
    let told = "refpost: cannot load config `new.toml`: line 1: unknown key `ulrs`, did you mean `urls`?\n";
    unknown.fails(78, told);
    // A section has settings of its own.
    let section =
        "[[repository]]\nmatch = [\"/srv/**\"]\nallow = []\nurls = [\"http://ci.example.org/y\"]\n";
    let section = section.replace("allow = []\n", "");
    let ran = check("new.toml", &format!("unsigned = true\n{urls}{section}")).well();
    assert!(
        ran.stdout
            .contains("ok: `new.toml:3 (match \"/srv/**\")`: "),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("is plain http"), "{}", ran.stdout);
    // A repository's file has no `root`, and its key may be the server's.
    assert_eq!(check("refpost.toml", "root = \"/srv/git\"\n").status, 78);
    let ran = check("refpost.toml", urls).well();
    assert!(
        ran.stdout.ends_with("0 errors, 1 warning, 0 notes\n"),
        "{}",
        ran.stdout
    );
    // A `root` that does not exist was approved.
    let ran = check(
        "new.toml",
        &format!("root = \"/no/such\"\nunsigned = true\n{urls}"),
    )
    .well();
    assert!(
        ran.stdout
            .contains("warning: `root`, `/no/such`, is no folder\nhint: "),
        "{}",
        ran.stdout
    );
    let ran = check(
        "new.toml",
        "unsigned = true\nurls = [\"http://127.0.0.1/x\"]\nnetwork.https_only = true\n",
    );
    assert_eq!(ran.status, 1, "{}", ran.stdout);
}

#[test]
fn a_program_had_to_read_lines_for_people() {
    let site = Spooled::new();
    site.configure("refs = [\"main\"]", "paused = true");
    let root = format!("root = \"{}\"\n", site.path("").display());
    site.write("system.toml", root);
    let bare = site.bare.canonicalize().unwrap();
    let found = |args: &[&str]| {
        let ran = site.refpost(["check", "--json"]).args(args).run();
        assert_eq!((ran.status, &*ran.stderr), (1, ""), "{}", ran.stdout);
        objects(&ran.stdout)
    };
    let alone = found(&[bare.to_str().unwrap()]);
    let levels: Vec<_> = alone.iter().map(|it| it["level"].as_str()).collect();
    assert!(levels.contains(&Some("error")) && levels.contains(&Some("note")));
    assert!(alone.contains(&json!({
        "repository": bare.to_str(),
        "level": "error",
        "text": "`refs`: no ref matches `main`",
        "hint": "full names are meant, such as `refs/heads/main`",
    })));
    assert!(
        alone
            .iter()
            .all(|it| it["repository"] == bare.to_str().unwrap())
    );
    assert_eq!(found(&["--server", "--match", "test"]), alone);
    let config = site.write("refpost.toml", "refs = [\"main\"]\n");
    let ran = site
        .refpost(["--config", config.to_str().unwrap(), "check", "--json"])
        .run();
    let only = &objects(&ran.stdout)[0];
    assert_eq!(
        (&only["repository"], &only["level"]),
        (&Value::Null, &json!("error"))
    );
}

#[test]
fn repositories_that_send_nowhere_were_counted_and_not_named() {
    let fleet = Fleet::new(&["sends", "none", "off", "unlinked"]);
    fleet.system("key = \"0123456789abcdef\"\n");
    let endpoint = "[[endpoint]]\nname = \"ci\"\nurl = \"URL/x\"\n";
    for (name, text) in [
        ("sends", endpoint),
        ("none", "mode = \"spool\"\n"),
        ("off", "urls = []\n"),
        ("unlinked", endpoint),
    ] {
        fleet.own(name, text);
        if name != "unlinked" {
            fleet.hook(name);
        }
    }
    let line = ["check", "--server", "--routes", "--json"];
    let ran = fleet.refpost(line).run().well();
    let routes: Vec<_> = objects(&ran.stdout)
        .into_iter()
        .map(|one| {
            let path = one["repository"].as_str().unwrap().to_owned();
            let endpoints = one["endpoints"].as_array().unwrap().len();
            let nowhere = one["nowhere"].as_str().unwrap_or("-").to_owned();
            let name = path.rsplit('/').next().unwrap().to_owned();
            (name, endpoints, nowhere)
        })
        .collect();
    assert_eq!(routes.len(), 4, "{routes:?}");
    assert_eq!(routes[3], ("sends.git".to_owned(), 1, "-".to_owned()));
    for (name, endpoints, why) in [
        ("none.git", 0, "no endpoint"),
        ("off.git", 0, "switched off in `"),
        ("unlinked.git", 1, "no hook"),
    ] {
        let is_it = |one: &&(String, usize, String)| one.0 == name;
        let found = routes.iter().find(is_it).unwrap();
        assert!(
            found.1 == endpoints && found.2.starts_with(why),
            "{found:?}"
        );
    }
    let table = fleet.refpost(&line[..3]).run().well().stdout;
    let host = fleet.receiver.url("/");
    let host = host.trim_end_matches('/');
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("REPOSITORY"), "{table}");
    assert!(
        lines[4].contains("sends.git") && lines[4].ends_with(host),
        "{table}"
    );
}
