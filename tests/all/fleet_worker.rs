//! `refpost work` as it takes from a broker.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Stdio;

use crate::fleet::{INSTANCE, configure, emit, flush, handing, url, waits};
use crate::support::spooled::{eventually, objects, signal};
use crate::support::{
    Accounts, Authority, Background, Broker, Request, Served, server_config, set_mode,
};

/// An account without a name.
pub(crate) const WORKER: u32 = 61_236;

#[test]
fn a_worker_that_is_handed_a_socket_serves_both() {
    let Some(served) = Served::new() else { return };
    let broker = Broker::start();
    let tables = format!(
        "[broker]\nurl = \"{}\"\n[worker]\nspool = \"{}\"\n",
        broker.url("amqp", "/v"),
        served.accounts.path("state/worker").display()
    );
    served.configure("mode = \"sync\"", &tables);
    let fleet = handing(&["infra/dns"], &url(&broker), "mode = \"spool\"", "");
    emit(&fleet, "infra/dns", "x.y");
    flush(&fleet, "infra/dns").well();
    let mut service = served.start();
    let (commit, said) = served.push(&served.alice, "alice/a");
    assert_eq!(said, ["refpost: 1 message sent to the service"]);
    let mut arrived: Vec<String> = served.arrived(2).iter().map(about).collect();
    arrived.sort();
    assert_eq!(
        arrived,
        [format!("alice/a {commit}"), "infra/dns x.y".to_owned()]
    );
    signal("TERM", service.0.id());
    assert!(service.0.wait().unwrap().success(), "{}", served.said());
    assert!(!served.said().contains("refpost: "), "{}", served.said());
    assert!(broker.opened().iter().all(|one| one.is_closed_well));
}

/// Project, and the commit or else the topic.
fn about(request: &Request) -> String {
    let message = request.message();
    let project = request.header("X-Pagure-Project").unwrap();
    let commit = message["end_commit"].as_str();
    format!("{project} {}", commit.unwrap_or(message.topic()))
}

/// Writes what a machine shows and trusts, for an account, and gives the keys of `[broker]`.
fn certified(folder: &Path, account: u32, trusted: &Authority, own: &Authority) -> String {
    let client = own.sign("git1", |_| {});
    let files = [
        ("ca_file", trusted.pem()),
        ("client_cert_file", client.certificate.pem()),
        ("client_key_file", client.key.serialize_pem()),
    ];
    let mut keys = String::new();
    for (key, text) in files {
        let path = folder.join(format!("{key}.pem"));
        fs::write(&path, text).unwrap();
        set_mode(&path, 0o600);
        chown(&path, Some(account), Some(account)).unwrap();
        writeln!(keys, "{key} = \"{}\"", path.display()).unwrap();
    }
    keys
}

#[test]
fn both_ends_log_in_to_a_broker_by_certificate() {
    let Some(accounts) = Accounts::new() else {
        return;
    };
    let (private, other) = (Authority::new("private"), Authority::new("other"));
    let server = private.sign("localhost", |_| {});
    let broker = Broker::with_tls(server_config(&server, Some(&private)));
    let url = broker.url("amqps", "/v").replace("//", "//git1@");
    let fleet = handing(&["a"], &url, "mode = \"spool\"", "");
    let folder = accounts.folder("worker", WORKER);
    let work = |keys: &str| {
        let root = "root = \"/srv/git\"\n";
        let text = format!(
            "{root}instance = \"{INSTANCE}\"\n[[endpoint]]\nname = \"ci\"\nurl = \"{}\"\n\
             unsigned = true\n[broker]\nurl = \"{url}\"\n{keys}[worker]\nspool = \"{}\"\n",
            fleet.receiver.url("/ci"),
            folder.join("w").display()
        );
        accounts.public("system.toml", &text);
        accounts.refpost(WORKER, &["work", "--once"])
    };
    for (trusted, own, cause) in [
        (&other, &private, "is signed by"),
        (&private, &other, "certificate"),
    ] {
        let keys = certified(&fleet.path(""), 0, trusted, own);
        configure(&fleet, &url, "mode = \"spool\"", &keys);
        emit(&fleet, "a", "x.y");
        flush(&fleet, "a");
        let log = fleet.bare_path("a").join("refpost/spool/log");
        let log = fs::read_to_string(log).unwrap();
        assert!(log.contains("\"tls\""), "{log}");
        let ran = work(&certified(&folder, WORKER, trusted, own));
        assert_eq!(ran.status, 1, "{}", ran.stderr);
        assert!(ran.stderr.contains(cause), "{}", ran.stderr);
    }
    assert!(broker.opened().is_empty());

    let keys = certified(&fleet.path(""), 0, &private, &private);
    configure(&fleet, &url, "mode = \"spool\"", &keys);
    let retry = fleet.refpost(["queue", "retry", "--all", "--repo"]);
    retry.arg(fleet.bare_path("a")).run();
    eventually("they are handed over", || {
        flush(&fleet, "a");
        waits(&fleet, "a", "retry/@broker").is_empty()
    });
    let ran = work(&certified(&folder, WORKER, &private, &private));
    assert_eq!((ran.status, &*ran.stderr), (0, ""));
    assert_eq!(fleet.receiver.take().len(), 2);
    for opened in broker.opened() {
        let login = (&*opened.mechanism, &*opened.response);
        assert_eq!(login, ("EXTERNAL", ""));
    }
}

/// The configuration of a worker whose spool is below `folder`, and what follows `root`.
pub(crate) fn worker(broker: &Broker, folder: &Path, text: &str) -> String {
    format!(
        "root = \"/srv/git\"\ninstance = \"{INSTANCE}\"\n{text}\n\
         [broker]\nurl = \"{}\"\n[worker]\nspool = \"{}\"\n",
        broker.url("amqp", "/v"),
        folder.join("w").display()
    )
}

#[test]
fn the_status_of_a_worker_named_no_receivers() {
    let Some(accounts) = Accounts::new() else {
        return;
    };
    let broker = Broker::start();
    let fleet = handing(&["infra/dns"], &url(&broker), "mode = \"spool\"", "");
    emit(&fleet, "infra/dns", "x.y");
    flush(&fleet, "infra/dns").well();
    let folder = accounts.folder("worker", WORKER);
    let text = "[[endpoint]]\nname = \"ci\"\nurl = \"http://127.0.0.1:1/ci\"\nunsigned = true\n\
                [[repository]]\nmatch = [\"infra/**\"]\n\
                [[repository.endpoint]]\nname = \"own\"\nurl = \"http://127.0.0.2:1/own\"\n\
                unsigned = true\n";
    accounts.public("system.toml", &worker(&broker, &folder, text));
    accounts.refpost(WORKER, &["work", "--once"]).well();
    let status = accounts.refpost(WORKER, &["status", "--server", "--json"]);
    let mut all: Vec<String> = objects(&status.stdout)
        .iter()
        .map(|row| format!("{} {} {}", row["endpoint"], row["receiver"], row["waiting"]))
        .collect();
    all.sort();
    let expected = [
        "\"ci\" \"http://127.0.0.1:1\" 1",
        "\"own\" \"http://127.0.0.2:1\" 0",
    ];
    assert_eq!(all, expected, "{}", status.stderr);
    let table = accounts.refpost(WORKER, &["status", "--server"]).stdout;
    assert!(table.contains("http://127.0.0.1:1"), "{table}");
}

/// And so did every `flush --watch --server`.
#[test]
fn a_worker_whose_configuration_was_broken_for_a_while_ended() {
    let Some(accounts) = Accounts::new() else {
        return;
    };
    let broker = Broker::start();
    let fleet = handing(&["a"], &url(&broker), "mode = \"spool\"", "");
    let folder = accounts.folder("worker", WORKER);
    let text = format!(
        "[[endpoint]]\nname = \"ci\"\nurl = \"{}\"\nunsigned = true\n",
        fleet.receiver.url("/ci")
    );
    let good = worker(&broker, &folder, &text);
    accounts.public("system.toml", &good);
    let said = fs::File::create(accounts.path("said")).unwrap();
    let mut command = accounts.command(WORKER, &accounts.binary);
    command.arg("work").stdout(Stdio::null()).stderr(said);
    let mut running = Background(command.spawn().unwrap());
    let send = |topic: &str| {
        emit(&fleet, "a", topic);
        flush(&fleet, "a").well();
        let requests = fleet.receiver.wait_for(1);
        assert_eq!(requests[0].message().topic(), topic);
    };
    send("x.one");
    accounts.public("system.toml", "[[endpoint]]\nnonsense = 1\n");
    eventually("it says so", || {
        let text = fs::read_to_string(accounts.path("said")).unwrap();
        text.contains("system.toml")
    });
    accounts.public("system.toml", &good);
    send("x.two");
    signal("TERM", running.0.id());
    assert!(running.0.wait().unwrap().success());
}
