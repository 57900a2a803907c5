//! A git server that hands its pushes to a broker: what it publishes, and in which order.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::spooled::{eventually, files_below, names};
use crate::support::{Background, Broker, Fleet, Opening, Ran, Word};

pub(crate) const INSTANCE: &str = "https://git.example.org/";

/// These repositories, whose endpoint `ci` is for workers, and the broker's URL. No file of a key is
/// here. `top` are keys before the tables, `broker` those of `[broker]`.
pub(crate) fn handing(repositories: &[&str], url: &str, top: &str, broker: &str) -> Fleet {
    let fleet = Fleet::new(repositories);
    configure(&fleet, url, top, broker);
    fleet
}

pub(crate) fn configure(fleet: &Fleet, url: &str, top: &str, broker: &str) {
    fleet.system(&format!(
        "instance = \"{INSTANCE}\"\nkey_file = \"keys/absent\"\n{top}\n\
         [[endpoint]]\nname = \"ci\"\nurl = \"URL/ci\"\n\
         [broker]\nurl = \"{url}\"\n{broker}\n"
    ));
}

/// A broker's URL with a user in it.
pub(crate) fn url(broker: &Broker) -> String {
    let url = broker.url("amqp", "/refpost");
    url.replace("//", "//git1:hidden-password@")
}

pub(crate) fn emit(fleet: &Fleet, name: &str, topic: &str) {
    let run = fleet.refpost(["emit", "--topic", topic]);
    let ran = run.arg(fleet.bare_path(name)).stdin("{}").run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
}

pub(crate) fn flush(fleet: &Fleet, name: &str) -> Ran {
    fleet.refpost(["flush"]).arg(fleet.bare_path(name)).run()
}

fn flush_all(fleet: &Fleet) -> Ran {
    fleet.refpost(["flush", "--server"]).run()
}

/// The spool inside a repository.
pub(crate) fn waits(fleet: &Fleet, name: &str, folder: &str) -> Vec<String> {
    names(&fleet.bare_path(name).join("refpost/spool").join(folder))
}

/// The header of an entry, whose checksum is right.
pub(crate) fn header(entry: &[u8]) -> Value {
    let end = entry.iter().position(|&byte| byte == b'\n').unwrap();
    let line = std::str::from_utf8(&entry[..end]).unwrap();
    let fields: Vec<&str> = line.split(' ').collect();
    let ["refpost-entry", "1" | "2", length, sum] = fields[..] else {
        panic!("{line}");
    };
    let header = &entry[end + 1..][..length.parse().unwrap()];
    assert_eq!(hex::encode(Sha256::digest(header)), sum);
    serde_json::from_slice(header).unwrap()
}

/// The topics of an entry's messages.
fn topics(entry: &[u8]) -> Vec<String> {
    let header = header(entry);
    let messages = header["content"]["built"]["messages"].as_array();
    let messages = messages.unwrap().iter();
    messages
        .map(|message| message["topic"].as_str().unwrap().to_owned())
        .collect()
}

fn recipients(header: &Value) -> &[Value] {
    header["content"]["built"]["recipients"].as_array().unwrap()
}

fn path(entry: &[u8]) -> String {
    let header = header(entry);
    let mut all = recipients(&header).iter();
    let to = all.find(|one| one["endpoint"] == "@broker").unwrap();
    to["forward"]["path"].as_str().unwrap().to_owned()
}

/// The number of the queue for a repository, by the definition of it.
pub(crate) fn shard(path: &str, shards: u64) -> String {
    let digest = Sha256::digest(format!("{INSTANCE}{path}"));
    let first: [u8; 8] = digest[..8].try_into().unwrap();
    (u64::from_be_bytes(first) % shards).to_string()
}

#[test]
fn an_entry_is_published_as_it_lies_in_the_spool() {
    let broker = Broker::start();
    let fleet = handing(&["infra/dns"], &url(&broker), "mode = \"spool\"", "");
    fleet.hook("infra/dns");
    assert_eq!(fleet.push("infra/dns").status, 0);
    let entries = waits(&fleet, "infra/dns", "new");
    let [id] = &entries[..] else {
        panic!("{entries:?}");
    };
    let spool = fleet.bare_path("infra/dns").join("refpost/spool");
    let bytes = fs::read(spool.join("new").join(id)).unwrap();
    flush(&fleet, "infra/dns").well();

    let published = broker.take();
    assert_eq!(published.len(), 1);
    let one = &published[0];
    assert_eq!(one.body, bytes);
    assert!(topics(&one.body).len() > 1);
    assert_eq!((&*one.exchange, &*one.routing_key), ("refpost", "0"));
    assert!(one.is_mandatory && one.headers.is_empty());
    let properties: BTreeMap<&str, &str> = one
        .properties
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let expected = [
        ("content-type", "application/vnd.refpost.entry"),
        ("type", "1"),
        ("delivery-mode", "2"),
        ("user-id", "git1"),
        ("message-id", id.as_str()),
    ];
    assert_eq!(properties, BTreeMap::from(expected));
    assert_eq!(broker.opened()[0].virtual_host, "refpost");
    assert!(broker.opened()[0].is_closed_well);
    // Nothing of it is left but the log.
    for folder in ["new", "retry/@broker", "failed"] {
        assert_eq!(waits(&fleet, "infra/dns", folder), [""; 0], "{folder}");
    }
    assert!(fleet.receiver.take().is_empty());
    // The user is no secret, but a password is.
    let text = String::from_utf8_lossy(&bytes).into_owned();
    for secret in ["hidden-password", "/ci", "keys/absent"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[test]
fn a_repositorys_queue_is_that_of_its_path() {
    let broker = Broker::start();
    let all = ["a", "b", "infra/a", "infra/deep/c", "ä"];
    let fleet = handing(&all, &url(&broker), "mode = \"spool\"", "shards = 16");
    for name in all {
        emit(&fleet, name, "x.y");
        emit(&fleet, name, "x.z");
    }
    flush_all(&fleet).well();
    let published = broker.take();
    assert_eq!(published.len(), 2 * all.len());
    let mut paths: Vec<String> = all.iter().map(|name| format!("{name}.git")).collect();
    for one in &published {
        let path = path(&one.body);
        assert_eq!(one.routing_key, shard(&path, 16), "{path}");
        paths.retain(|own| *own != path);
    }
    assert!(paths.is_empty(), "{paths:?}");
}

/// One repository's entries leave one by one; a later one that arrives alone would be delivered
/// first.
#[test]
fn repositories_are_side_by_side_and_each_in_order() {
    // In a spool that all share, each repository has a queue of its own too.
    for (top, repositories, window) in [("", 70, 64), ("spool = \"SPOOL\"", 8, 8)] {
        // The broker confirms nothing before so many are on their way.
        let broker = Broker::saying(Opening::Well, move |n| {
            if n + 1 == window || n + 1 >= repositories {
                Word::AckAll
            } else {
                Word::Nothing
            }
        });
        let names: Vec<String> = (0..repositories).map(|n| format!("r{n}")).collect();
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        let fleet = Fleet::new(&all);
        let top = top.replace("SPOOL", fleet.path("shared").to_str().unwrap());
        let top = format!("mode = \"spool\"\n{top}");
        configure(&fleet, &url(&broker), &top, "timeout = \"20s\"");
        for topic in ["x.one", "x.two"] {
            for name in &all {
                emit(&fleet, name, topic);
            }
        }
        flush_all(&fleet).well();
        let published = broker.take();
        assert_eq!(published.len(), 2 * repositories, "{top}");
        assert!(published.iter().all(|one| one.connection == 0));
        let first = &published[..window];
        let mut first: Vec<String> = first.iter().map(|one| path(&one.body)).collect();
        first.sort();
        first.dedup();
        assert_eq!(first.len(), window, "two of one repository at once: {top}");
        let mut each: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for one in &published {
            let own = each.entry(path(&one.body)).or_default();
            own.extend(topics(&one.body));
        }
        assert_eq!(each.len(), repositories);
        let in_order = |topics: &Vec<String>| *topics == ["x.one", "x.two"];
        assert!(each.values().all(in_order), "{each:?}");
    }
}

#[test]
fn an_endpoint_of_the_repositorys_own_goes_direct() {
    let broker = Broker::start();
    let fleet = handing(&["a"], &url(&broker), "mode = \"sync\"", "");
    fleet.hook("a");
    fleet.own(
        "a",
        "[[endpoint]]\nname = \"own\"\nurl = \"URL/own\"\nunsigned = true\n",
    );
    let ran = fleet.push("a");
    assert!(
        ran.stderr
            .contains("refpost: 2 messages sent to `own`, handed over for `ci`"),
        "{}",
        ran.stderr
    );
    let published = broker.take();
    assert_eq!(published.len(), 1);
    let header = header(&published[0].body);
    let names = |all: &[Value]| -> Vec<String> {
        let all = all.iter();
        all.map(|one| one["endpoint"].as_str().unwrap().to_owned())
            .collect()
    };
    let recipients = recipients(&header);
    assert_eq!(names(recipients), ["own", "@broker"]);
    let to = recipients[1]["forward"]["to"].as_array().unwrap();
    assert_eq!(names(to), ["ci"]);
    assert_eq!(fleet.arrived(), ["/own a"]);
    let ran = fleet.refpost(["check"]).arg(fleet.bare_path("a")).run();
    for line in [
        "endpoint `own` gets its messages from here: workers do not know it",
        ", by workers, which have its key",
    ] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
}

#[test]
fn a_push_with_more_than_a_message_to_the_broker_holds_is_several() {
    const REFS: usize = 120;
    let broker = Broker::start();
    let top = "mode = \"spool\"\nmax_body = \"16KiB\"";
    let fleet = handing(&["a"], &url(&broker), top, "max_message = \"32KiB\"");
    fleet.hook("a");
    let work = fleet.path("work");
    fleet.git(&work, &["commit", "-q", "--allow-empty", "-m", "x"]);
    for n in 0..REFS {
        fleet.git(&work, &["branch", &format!("b{n:03}")]);
    }
    let push = fleet.run("git").dir(&work).args(["push", "-q"]);
    let ran = push.arg(fleet.bare_path("a")).arg("refs/heads/b*").run();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    flush(&fleet, "a").well();
    let published = broker.take();
    assert!(published.len() > 2, "{}", published.len());
    assert!(published.iter().all(|one| one.body.len() <= 32 << 10));
    let mut names = Vec::new();
    for one in &published {
        let header = header(&one.body);
        for message in header["content"]["built"]["messages"].as_array().unwrap() {
            names.push(message["reference"].as_str().unwrap().to_owned());
        }
    }
    names.dedup();
    assert_eq!(names.len(), REFS);
    assert!(names.is_sorted(), "{names:?}");
}

/// A FIFO that is opened for reading blocks until somebody writes.
#[test]
fn a_git_server_opens_no_key_of_what_workers_deliver() {
    let broker = Broker::start();
    for mode in ["sync", "background", "spool"] {
        let fleet = handing(&["a"], &url(&broker), &format!("mode = \"{mode}\""), "");
        fs::create_dir(fleet.path("keys")).unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(fleet.path("keys/absent"))
            .status();
        assert!(made.unwrap().success());
        fleet.hook("a");
        let ran = fleet.push("a");
        let said = match mode {
            "sync" => "refpost: 2 messages handed over for `ci`",
            _ => "refpost: 2 messages queued for `ci`",
        };
        assert!(ran.stderr.contains(said), "{mode}: {}", ran.stderr);
        if mode == "spool" {
            flush(&fleet, "a").well();
        }
        eventually("it is handed over", || !broker.take().is_empty());
        let shown = fleet.refpost(["check"]).arg(fleet.bare_path("a")).run();
        assert!(!shown.stderr.contains("keys/absent"), "{}", shown.stderr);
        let said = shown.stdout + &shown.stderr;
        assert!(!said.contains("hidden"), "{said}");
    }
}

#[test]
fn a_watch_keeps_its_connection() {
    let broker = Broker::start();
    let fleet = handing(&["a", "b"], &url(&broker), "mode = \"spool\"", "");
    let watch = fleet.refpost(["flush", "--watch", "--server"]);
    let watch = Background::start(watch);
    for n in 0..5 {
        for name in ["a", "b"] {
            emit(&fleet, name, &format!("x.{n}"));
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let mut all = Vec::new();
    eventually("all are published", || {
        all.extend(broker.take());
        all.len() == 10
    });
    assert!(all.iter().all(|one| one.connection == 0));
    drop(watch);
    for name in ["a", "b"] {
        let own = all
            .iter()
            .filter(|one| path(&one.body) == format!("{name}.git"));
        let topics: Vec<String> = own.flat_map(|one| topics(&one.body)).collect();
        assert_eq!(topics, ["x.0", "x.1", "x.2", "x.3", "x.4"]);
    }
}

/// Where nothing waits, there is a log and what flushes tell each other.
pub(crate) fn is_empty(spool: &Path) -> bool {
    let files = files_below(spool);
    let is_of_an_entry = |file: &String| {
        ["new/", "retry/", "failed/", "tmp/"]
            .iter()
            .any(|folder| file.starts_with(folder))
    };
    !files.iter().any(is_of_an_entry)
}
