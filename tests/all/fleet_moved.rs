//! What waits for a broker or for endpoints, once the configuration or a repository's name changes.

use std::fs;

use crate::fleet::{configure, emit, flush, handing, is_empty, url, waits};
use crate::support::spooled::eventually;
use crate::support::{Broker, Fleet};

const DOWN: &str = "amqp://git1:pw@127.0.0.1:1/v";
const KEY: &str = "a key of more than sixteen bytes";

/// What had no flush before stayed for one more flush.
#[test]
fn without_a_broker_all_is_delivered_from_here() {
    for shared in [false, true] {
        let fleet = Fleet::new(&["a", "b"]);
        let spool = fleet.path("shared");
        let top = if shared {
            format!("mode = \"spool\"\nspool = \"{}\"", spool.display())
        } else {
            "mode = \"spool\"".to_owned()
        };
        let more = "[[endpoint]]\nname = \"web\"\nurl = \"URL/web\"\ntopics = [\"x.one\"]";
        configure(&fleet, DOWN, &top, "");
        let text = fs::read_to_string(fleet.path("system.toml")).unwrap();
        let more = more.replace("URL", fleet.receiver.url("/").trim_end_matches('/'));
        fleet.write("system.toml", format!("{text}{more}\n"));
        for name in ["a", "b"] {
            emit(&fleet, name, "x.one");
            emit(&fleet, name, "x.two");
        }
        fleet.refpost(["flush", "--server"]).run();
        // Never tried, and still in `new/`.
        for name in ["a", "b"] {
            emit(&fleet, name, "x.three");
        }
        fs::create_dir(fleet.path("keys")).unwrap();
        fleet.write("keys/absent", "a key of more than sixteen bytes\n");
        fleet.system(&format!(
            "instance = \"https://git.example.org/\"\nkey_file = \"keys/absent\"\n{top}\n\
             [[endpoint]]\nname = \"ci\"\nurl = \"URL/ci\"\n{more}\n"
        ));
        fleet.refpost(["flush", "--server"]).run().well();
        let requests = fleet.receiver.take();
        let mut told: Vec<String> = requests
            .iter()
            .map(|request| {
                let path = request.line.split(' ').nth(1).unwrap();
                let project = request.header("X-Pagure-Project").unwrap();
                assert!(request.header("X-Pagure-Signature-256").is_some());
                format!("{path} {project} {}", request.message().topic())
            })
            .collect();
        told.sort();
        let mut expected = Vec::new();
        for name in ["a", "b"] {
            for topic in ["x.one", "x.two", "x.three"] {
                expected.push(format!("/ci {name} {topic}"));
            }
            expected.push(format!("/web {name} x.one"));
        }
        expected.sort();
        assert_eq!(told, expected, "shared: {shared}");
        let spools = if shared {
            vec![spool]
        } else {
            ["a", "b"]
                .map(|name| fleet.bare_path(name).join("refpost/spool"))
                .to_vec()
        };
        assert!(spools.iter().all(|spool| is_empty(spool)));
    }
}

#[test]
fn with_a_broker_what_waits_for_an_endpoint_is_delivered_from_here() {
    let broker = Broker::start();
    let fleet = Fleet::new(&["a"]);
    let without = "mode = \"spool\"\nkey = \"a key of more than sixteen bytes\"\n\
                   [[endpoint]]\nname = \"ci\"\nurl = \"URL/ci\"\n";
    fleet.system(without);
    emit(&fleet, "a", "x.one");
    fleet.system(&format!("{without}[broker]\nurl = \"{}\"\n", url(&broker)));
    emit(&fleet, "a", "x.two");
    flush(&fleet, "a").well();
    let sent = fleet.receiver.take();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].message().topic(), "x.one");
    assert_eq!(broker.take().len(), 1);
}

/// They went to their endpoints' queues, for which a git server has no keys.
#[test]
fn what_waits_for_the_broker_stays_while_the_servers_file_is_empty_or_gone() {
    let own = "[[endpoint]]\nname = \"own\"\nurl = \"URL/own\"\ntopics = [\"other.*\"]\nunsigned = true\n";
    for has_own in [false, true] {
        let fleet = handing(&["a"], DOWN, "mode = \"spool\"", "");
        if has_own {
            fleet.own("a", own);
        }
        emit(&fleet, "a", "x.y");
        flush(&fleet, "a");
        let file = fleet.path("system.toml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, "").unwrap();
        flush(&fleet, "a");
        fs::write(&file, &text).unwrap();
        let waiting = waits(&fleet, "a", "retry");
        assert!(!waiting.contains(&"ci".to_owned()), "{waiting:?}");
        let broker = Broker::start();
        fs::write(&file, text.replace(DOWN, &url(&broker))).unwrap();
        eventually("it is handed over", || {
            let retry = fleet.refpost(["queue", "retry", "--all", "--repo"]);
            retry.arg(fleet.bare_path("a")).run();
            flush(&fleet, "a");
            is_empty(&fleet.bare_path("a").join("refpost/spool"))
        });
        assert_eq!(broker.take().len(), 1);
        assert!(fleet.receiver.take().is_empty());
    }
}

/// A git server has no key for it.
#[test]
fn queue_move_to_an_endpoint_that_workers_serve_is_refused() {
    let fleet = handing(&["a"], DOWN, "mode = \"spool\"", "");
    let own = "[[endpoint]]\nname = \"own\"\nurl = \"http://127.0.0.1:1/own\"\nunsigned = true\n";
    fleet.own("a", own);
    emit(&fleet, "a", "x.y");
    flush(&fleet, "a");
    let run = fleet.refpost(["queue", "move", "own", "ci", "--repo"]);
    let ran = run.arg(fleet.bare_path("a")).run();
    assert_eq!(ran.status, 1, "{}", ran.stdout);
    let why = "cannot move `own` to `ci`, which is delivered to from elsewhere";
    assert!(ran.stderr.contains(why), "{}", ran.stderr);
    assert_eq!(waits(&fleet, "a", "retry/own").len(), 1);
}

/// The one entry was said to be moved, and was nowhere.
#[test]
fn queue_move_of_what_waits_for_the_broker_lost_it() {
    let fleet = handing(&["a"], DOWN, "mode = \"spool\"", "");
    emit(&fleet, "a", "x.y");
    flush(&fleet, "a");
    for (from, to) in [("@broker", "ci"), ("ci", "@broker")] {
        let run = fleet.refpost(["queue", "move", from, to, "--repo"]);
        let ran = run.arg(fleet.bare_path("a")).run();
        assert_eq!(ran.status, 1, "{}{}", ran.stdout, ran.stderr);
    }
    assert_eq!(waits(&fleet, "a", "retry/@broker").len(), 1);
}

/// Lets `a`, whose spool others share, be renamed to `c` while entries wait for the broker: the
/// broker gets the second message of each alone.
fn renamed() -> Option<Fleet> {
    let fleet = Fleet::new(&["a"]);
    if fs::metadata(fleet.bare_path("a"))
        .unwrap()
        .created()
        .is_err()
    {
        crate::support::leave_out_anyway(
            "no file system with times of birth: a rename is not recognised",
        );
        return None;
    }
    fleet.hook("a");
    let top = format!(
        "mode = \"spool\"\nspool = \"{}\"\nkey = \"{KEY}\"",
        fleet.path("shared").display()
    );
    fleet.own(
        "a",
        "[[endpoint]]\nname = \"own\"\nurl = \"URL/own\"\ntopics = [\"git.branch.*\"]\n",
    );
    fleet.system(&format!(
        "{top}\n[[endpoint]]\nname = \"ci\"\nurl = \"URL/ci\"\ntopics = [\"git.receive\"]\n\
         [broker]\nurl = \"{DOWN}\"\n"
    ));
    assert_eq!(fleet.push("a").status, 0);
    fleet.refpost(["flush", "--server"]).run();
    fleet.receiver.take();
    fs::rename(fleet.bare_path("a"), fleet.bare_path("c")).unwrap();
    Some(fleet)
}

/// It named a message that it had no more, and was set aside as one that cannot be read.
#[test]
fn what_waited_for_the_broker_in_a_renamed_repository_arrives() {
    let Some(fleet) = renamed() else { return };
    let broker = Broker::start();
    let text = fs::read_to_string(fleet.path("system.toml")).unwrap();
    fleet.write("system.toml", text.replace(DOWN, &url(&broker)));
    eventually("it arrives", || {
        fleet.refpost(["queue", "retry", "--all"]).run();
        fleet.refpost(["flush", "--server"]).run();
        is_empty(&fleet.path("shared"))
    });
    let published = broker.take();
    assert_eq!(published.len(), 1);
    let header = crate::fleet::header(&published[0].body);
    let built = &header["content"]["built"];
    let topics: Vec<&str> = built["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["topic"].as_str().unwrap())
        .collect();
    assert_eq!(topics, ["git.receive"]);
    // Workers find its settings by this.
    assert_eq!(built["recipients"][0]["forward"]["path"], "c.git");
    let to = &built["recipients"][0]["forward"]["to"][0];
    assert_eq!(to["endpoint"], "ci");
    assert!(
        to["messages"] == "all" || to["messages"]["only"][0] == 0,
        "{to}"
    );
}

/// A flush panicked over it.
#[test]
fn without_a_broker_a_renamed_repositorys_entries_arrive() {
    let Some(fleet) = renamed() else { return };
    fs::rename(fleet.bare_path("c"), fleet.bare_path("a")).unwrap();
    let text = fs::read_to_string(fleet.path("system.toml")).unwrap();
    let (text, _) = text.split_once("[broker]").unwrap();
    let dead = text.replace(&fleet.receiver.url("/ci"), "http://127.0.0.1:1/ci");
    fleet.write("system.toml", &dead);
    // It waits for `ci` now.
    fleet.refpost(["flush", "--server"]).run();
    fs::rename(fleet.bare_path("a"), fleet.bare_path("c")).unwrap();
    fleet.write("system.toml", text);
    let mut topics = Vec::new();
    eventually("it arrives", || {
        fleet.refpost(["queue", "retry", "--all"]).run();
        let ran = fleet.refpost(["flush", "--server"]).run();
        assert!(!ran.stderr.contains("panic"), "{}", ran.stderr);
        let requests = fleet.receiver.take();
        topics.extend(requests.iter().map(|it| it.message().topic().to_owned()));
        is_empty(&fleet.path("shared"))
    });
    assert_eq!(topics, ["git.receive"]);
}
