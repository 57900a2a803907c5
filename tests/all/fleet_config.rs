//! `[broker]` and `[worker]`: what is wrong in them, and what `check` and `work` say.

use std::fs;

use crate::support::{Accounts, Broker, Fleet};

fn said(fleet: &Fleet, args: &[&str]) -> String {
    let ran = fleet.refpost(args).run();
    assert_ne!(ran.status, 0, "{}", ran.stdout);
    format!("{}{}", ran.stdout, ran.stderr)
}

#[test]
fn what_is_wrong_in_broker_and_worker_is_said() {
    let fleet = Fleet::new(&["a"]);
    let root = format!("root = \"{}\"\n", fleet.path("srv").display());
    let ok = "[broker]\nurl = \"amqps://h/v\"\n";
    let worker = "[worker]\nspool = \"w\"\n";
    let nodes = |n| format!("{root}[broker]\nurl = {:?}\n", vec!["amqps://h/v"; n]);
    fleet.write("system.toml", nodes(8));
    let check = fleet.refpost(["check"]).arg(fleet.bare_path("a")).run();
    assert!(!check.stderr.contains("system.toml"), "{}", check.stderr);
    let table = [
        (nodes(9), "there can be 8 nodes at most"),
        (format!("{root}[broker]\nshards = 2\n"), "needs a `url`"),
        (
            format!("{root}[broker]\nurl = \"https://h/\"\n"),
            "is `amqps://…`",
        ),
        (format!("{root}[broker]\nurl = []\n"), "`broker.url`"),
        (format!("{root}{ok}shards = 0\n"), "must be 1 to 1024"),
        (format!("{root}{ok}shards = 1025\n"), "must be 1 to 1024"),
        (
            format!("{root}{ok}timeout = \"0s\"\n"),
            "longer than nothing",
        ),
        (format!("{root}{ok}timeout = \"61s\"\n"), "60s at most"),
        (
            format!("{root}{ok}client_cert_file = \"c\"\n"),
            "only together",
        ),
        (
            format!("{root}max_body = \"8MiB\"\n{ok}"),
            "must be more than `max_body`",
        ),
        (
            format!("{root}max_body = \"2MiB\"\n{ok}max_message = \"2MiB\"\n"),
            "must be more than `max_body`",
        ),
        (format!("{root}{ok}key = \"x\"\n"), "key"),
        (format!("{root}{worker}"), "there is none"),
        (format!("{ok}{worker}"), "needs `root`"),
        (
            format!("{root}{ok}[worker]\nstop_at = \"1GiB\"\n"),
            "needs a `spool`",
        ),
        (
            format!("{root}spool = \"w\"\n{ok}{worker}"),
            "is `spool` too",
        ),
        (
            format!("{root}{ok}shards = 2\n{worker}shards = [0, 2]\n"),
            "has 2, and `broker.shards` is 2",
        ),
        (format!("{root}{ok}{worker}shards = []\n"), "\"all\""),
        (format!("{root}{ok}{worker}shards = \"some\"\n"), "\"all\""),
        (
            format!("{root}[[endpoint]]\nname = \"@broker\"\nurl = \"https://h/\"\n{ok}"),
            "an endpoint's name is at most 64 letters",
        ),
    ];
    for (text, why) in table {
        fleet.write("system.toml", &text);
        let said = said(&fleet, &["check", fleet.bare_path("a").to_str().unwrap()]);
        assert!(said.contains(why), "{why}: {said}\n{text}");
        assert!(said.contains("system.toml"), "{said}");
    }
}

#[test]
fn a_repositorys_own_file_has_no_broker() {
    let fleet = Fleet::new(&["a"]);
    fleet.system("[[endpoint]]\nname = \"ci\"\nurl = \"URL/ci\"\nunsigned = true\n");
    for text in [
        "[broker]\nurl = \"amqps://h/v\"\n",
        "[worker]\nspool = \"w\"\n",
    ] {
        fleet.own("a", text);
        let said = said(&fleet, &["check", fleet.bare_path("a").to_str().unwrap()]);
        assert!(said.contains("server's file"), "{said}");
    }
}

#[test]
fn work_says_what_it_needs() {
    let fleet = Fleet::new(&["a"]);
    let root = "mode = \"spool\"\n";
    fleet.system(root);
    assert!(said(&fleet, &["work"]).contains("neither `socket` nor `[worker]` is set"));
    let broker = Broker::start();
    let spool = fleet.path("w");
    let text = format!(
        "{root}[broker]\nurl = \"{}\"\n[worker]\nspool = \"{}\"\n",
        broker.url("amqp", "/v"),
        spool.display()
    );
    fleet.system(&text);
    assert!(said(&fleet, &["work", "--shards", "1"]).contains("`broker.shards` is 1"));
    assert!(said(&fleet, &["work", "--dead", "--shards", "0"]).contains("cannot be used with"));
    if nix::unistd::geteuid().is_root() {
        assert!(said(&fleet, &["work", "--once"]).contains("cannot work as the service as root"));
    }
    assert!(fs::read_dir(spool).is_err());
}

#[test]
fn check_tells_what_the_broker_lacks_once() {
    let fleet = Fleet::new(&["a", "b"]);
    fleet.hook("a");
    fleet.hook("b");
    fleet.system(
        "mode = \"spool\"\nkey_file = \"absent\"\n[[endpoint]]\nname = \"ci\"\nurl = \"URL/ci\"\n\
         [broker]\nurl = \"amqp://git1:hidden@127.0.0.1:1/v\"\n",
    );
    let ran = fleet.refpost(["check"]).arg(fleet.bare_path("a")).run();
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.status, 1, "{said}");
    for part in ["takes no entries: ", "refused", "docs/guides/fleet.md"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(
        !said.contains("hidden") && !said.contains("absent"),
        "{said}"
    );
    let show = fleet.refpost(["check", "--show"]).arg(fleet.bare_path("a"));
    let shown = show.run().stdout;
    assert!(
        shown.contains("broker.url = ") && !shown.contains("hidden"),
        "{shown}"
    );
}

#[test]
fn work_once_that_reached_no_broker_was_a_success() {
    const ACCOUNT: u32 = 61_235;
    let Some(accounts) = Accounts::new() else {
        return;
    };
    accounts.folder("worker", ACCOUNT);
    let path = |name: &str| accounts.path(name).display().to_string();
    // Neither nobody nor somebody who speaks no AMQP is a broker.
    let odd = crate::support::spooled::odd_receiver(|mut stream| {
        crate::support::spooled::say(&mut stream, "220 mail.example.org ESMTP\r\n");
    });
    let odd = odd.replace("http://", "amqp://").replace("/odd", "/v");
    for url in ["amqp://127.0.0.1:1/v", &odd] {
        let text = format!(
            "root = \"{}\"\n[broker]\nurl = \"{url}\"\n[worker]\nspool = \"{}\"\n",
            path("srv"),
            path("worker/w")
        );
        accounts.public("system.toml", &text);
        let ran = accounts.refpost(ACCOUNT, &["work", "--once"]);
        assert_eq!(ran.status, 1, "{}", ran.stderr);
        let start = "refpost: cannot take from `refpost.0`: ";
        assert!(ran.stderr.starts_with(start), "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    }
}

/// `check` was silent, and the broker refused such an entry.
#[test]
fn bodies_of_all_formats_can_be_more_than_the_broker_takes() {
    let fleet = Fleet::new(&["a"]);
    let said = |formats: &[&str], broker: &str| {
        let each = formats.iter().enumerate();
        let each = each.map(|(n, format)| {
            format!("[[endpoint]]\nname = \"e{n}\"\nurl = \"https://h/\"\nformat = \"{format}\"\n")
        });
        let endpoints: String = each.collect();
        fleet.system(&format!(
            "key_file = \"absent\"\nmax_body = \"2MiB\"\n{endpoints}\
             [broker]\nurl = \"amqp://127.0.0.1:1/v\"\n{broker}"
        ));
        let ran = fleet.refpost(["check"]).arg(fleet.bare_path("a")).run();
        let warned = ran.stdout + &ran.stderr;
        warned
            .lines()
            .find(|line| line.contains("max_message"))
            .map(str::to_owned)
    };
    let many = ["pagure", "github", "gitlab", "gitea"];
    let warning = said(&many, "").expect("a warning");
    assert!(
        warning.contains("4 of 2097152 bytes (`max_body`)")
            && warning.contains("`broker.max_message` is 8388608"),
        "{warning}"
    );
    assert_eq!(said(&many, "max_message = \"9MiB\"\n"), None);
    assert_eq!(said(&many[..3], ""), None);
    assert_eq!(said(&["pagure"; 8], ""), None);
}
