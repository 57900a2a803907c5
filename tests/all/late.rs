//! What waits although it is due: nobody flushes, or a problem on this machine stops it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::spooled::{commits, names};
use crate::support::{Spooled, set_mode};

/// Makes the items of a queue due twenty minutes before they were.
fn let_time_pass(queue: &Path) {
    for name in names(queue) {
        let (due, rest) = name.split_once('.').unwrap();
        let due = format!(
            "{}-{}-{}T{}:{}:{}Z",
            &due[..4],
            &due[4..6],
            &due[6..8],
            &due[9..11],
            &due[11..13],
            &due[13..15]
        );
        let due = humantime::parse_rfc3339(&due).unwrap() - std::time::Duration::from_mins(20);
        let due = humantime::format_rfc3339_seconds(due)
            .to_string()
            .replace(['-', ':'], "");
        fs::rename(queue.join(&name), queue.join(format!("{due}.{rest}"))).unwrap();
    }
}

fn state(site: &Spooled) -> (i32, Value) {
    let ran = site
        .refpost(["status", "--json", "--exit-code"])
        .arg(&site.bare)
        .run();
    let line = ran.stdout.lines().last().unwrap_or_default();
    let line: Value = serde_json::from_str(line).unwrap();
    (ran.status, line["state"].clone())
}

#[test]
fn messages_that_a_key_stopped_were_healthy() {
    let site = Spooled::new();
    let key = site.write("key", "0123456789abcdef0123456789abcdef\n");
    set_mode(&key, 0o600);
    let url = site.receiver.url("/one");
    let config = format!(
        "mode = \"spool\"\nkey_file = \"{}\"\n[[endpoint]]\nname = \"one\"\nurl = \"{url}\"\n",
        key.display()
    );
    site.settings(&config);
    let told = site.path("told");
    let script = format!(
        "#!/bin/sh\n{{ echo \"$1\"; cat; }} >>'{}'\n",
        told.display()
    );
    let script = site.script("tell", &script);
    let alerts = format!(
        "root = \"{}\"\n[alerts]\nalert_after = \"15m\"\ncommand = [\"{}\", \"{{subject}}\"]\n",
        site.path("").display(),
        script.display()
    );
    site.write("system.toml", alerts);
    let (commit, _) = site.announce();
    set_mode(&key, 0o644);
    let flush = || site.refpost(["flush", "--server"]).run().well();
    flush();
    assert_eq!(
        state(&site),
        (0, Value::from("waiting")),
        "it is not late yet"
    );
    assert!(!told.exists());
    let_time_pass(&site.spool().join("retry/one"));
    assert_eq!(state(&site), (3, Value::from("late")));
    let table = site.refpost(["status"]).arg(&site.bare).run().stdout;
    assert!(
        table.contains("\nlate ") && table.contains("1 of 1 endpoint fails"),
        "{table}"
    );
    // An alert has the reason, and is told once.
    flush();
    flush();
    let text = fs::read_to_string(&told).unwrap();
    let subject = format!("spool.blocked {}", site.spool().display());
    assert_eq!(
        text.matches("oldest push that waits: ").count(),
        1,
        "{text}"
    );
    assert!(
        text.starts_with(&subject)
            && text.contains("cannot send to `one`: ")
            && text.contains("key"),
        "{text}"
    );
    set_mode(&key, 0o600);
    flush();
    assert_eq!(commits(&site.receiver.take()), [commit]);
    assert_eq!(state(&site), (0, Value::from("healthy")));
}

#[test]
fn nobody_flushes_and_status_was_healthy() {
    let site = Spooled::new();
    site.announce();
    // What is in `new/` has the time of its push in its name.
    let new = site.spool().join("new");
    let [name] = &names(&new)[..] else { panic!() };
    fs::rename(new.join(name), new.join(format!("2025{}", &name[4..]))).unwrap();
    let ran = site
        .refpost(["status", "--exit-code"])
        .arg(&site.bare)
        .run();
    assert_eq!(ran.status, 3, "{}", ran.stdout);
}
