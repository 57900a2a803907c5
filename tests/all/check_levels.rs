//! What `check` calls an error, a warning and a note, and a configuration checked alone.

use std::fs;

use crate::spool_manage::mixed;
use crate::support::{Environment, Spooled};

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
    let ran = check(
        "new.toml",
        "unsigned = true\nurls = [\"http://127.0.0.1/x\"]\nnetwork.https_only = true\n",
    );
    assert_eq!(ran.status, 1, "{}", ran.stdout);
}
