//! What a worker does with entries that its configuration does not fit.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::fleet::{INSTANCE, configure, emit, flush, handing, url};
use crate::support::spooled::{eventually, names};
use crate::support::{Accounts, Broker, Fleet, Ran};

/// An account without a name.
const WORKER: u32 = 61_237;

/// A git server and a worker at one broker.
struct Both {
    accounts: Accounts,
    broker: Broker,
    fleet: Fleet,
}

impl Both {
    fn new(repositories: &[&str]) -> Option<Self> {
        let accounts = Accounts::new()?;
        accounts.folder("worker", WORKER);
        let broker = Broker::start();
        let fleet = handing(repositories, &url(&broker), "mode = \"spool\"", "");
        Some(Self {
            accounts,
            broker,
            fleet,
        })
    }

    /// Configures the worker: tables of endpoints, where `URL` is the receiver's, and keys of
    /// `[worker]`.
    fn configure(&self, text: &str, worker: &str) {
        let receiver = self.fleet.receiver.url("/");
        let text = format!(
            "root = \"/srv/git\"\ninstance = \"{INSTANCE}\"\n{text}\n\
             [broker]\nurl = \"{}\"\n[worker]\nspool = \"{}\"\n{worker}\n",
            self.broker.url("amqp", "/v"),
            self.spool().display(),
        );
        let text = text.replace("URL", receiver.trim_end_matches('/'));
        self.accounts.public("system.toml", &text);
    }

    fn spool(&self) -> PathBuf {
        self.accounts.path("worker/w")
    }

    /// Hands an entry over to the broker.
    fn hand(&self, name: &str, topic: &str) {
        emit(&self.fleet, name, topic);
        flush(&self.fleet, name).well();
    }

    fn refpost(&self, args: &[&str]) -> Ran {
        self.accounts.refpost(WORKER, args)
    }

    /// Path, project and topic of what has arrived.
    fn arrived(&self) -> Vec<String> {
        let requests = self.fleet.receiver.take();
        let told = requests.iter().map(|request| {
            let path = request.line.split(' ').nth(1).unwrap();
            let project = request.header("X-Pagure-Project").unwrap();
            format!("{path} {project} {}", request.message().topic())
        });
        told.collect()
    }

    /// What arrives once all that is kept is tried again.
    fn arrives_on_retry(&self) -> Vec<String> {
        self.refpost(&[
            "queue",
            "retry",
            "--all",
            "--repo",
            self.spool().to_str().unwrap(),
        ]);
        self.refpost(&["flush", "--server"]);
        // `queue retry` starts a flush too.
        let mut arrived = Vec::new();
        eventually("nothing waits", || {
            arrived.extend(self.arrived());
            names(&self.spool().join("new")).is_empty()
                && names(&self.spool().join("retry")).is_empty()
        });
        arrived.extend(self.arrived());
        arrived.sort();
        arrived
    }

    fn kept(&self) -> usize {
        names(&self.spool().join("failed/unreadable")).len()
    }
}

const CI: &str = "[[endpoint]]\nname = \"ci\"\nurl = \"URL/ci\"\nunsigned = true\n";

/// They were acknowledged and gone.
#[test]
fn messages_that_the_workers_endpoint_does_not_choose_any_more_arrive() {
    let Some(both) = Both::new(&["a"]) else {
        return;
    };
    both.configure(&format!("{CI}topics = [\"other.*\"]\n"), "");
    both.hand("a", "x.y");
    both.refpost(&["work", "--once"]).well();
    assert_eq!(both.arrived(), ["/ci a x.y"]);
}

/// The first 16 were kept; the others were acknowledged and gone.
#[test]
fn an_entry_for_many_endpoints_that_the_worker_does_not_know_is_kept_whole() {
    let Some(both) = Both::new(&["a"]) else {
        return;
    };
    let mut all = String::new();
    for n in 0..20 {
        write!(all, "[[endpoint]]\nname = \"e{n}\"\nurl = \"URL/e{n}\"\n").unwrap();
    }
    let more = all.replace("URL", both.fleet.receiver.url("/").trim_end_matches('/'));
    let top = "mode = \"spool\"";
    configure(&both.fleet, &url(&both.broker), top, &more);
    both.hand("a", "x.y");
    both.configure(CI, "");
    both.refpost(&["work", "--once"]);
    assert_eq!((both.arrived().len(), both.kept()), (0, 1));
    let all = all.replace("\"\nurl", "\"\nunsigned = true\nurl");
    both.configure(&format!("{CI}{all}"), "");
    assert_eq!(both.arrives_on_retry().len(), 21);
    assert_eq!(both.kept(), 0);
}

/// The retry took the sender's word for who gets it.
#[test]
fn a_retry_of_what_a_publisher_may_not_send_is_judged_again() {
    let Some(both) = Both::new(&["a"]) else {
        return;
    };
    both.configure(CI, "publishers = { other = [\"**\"] }");
    both.hand("a", "x.y");
    both.refpost(&["work", "--once"]);
    assert_eq!(both.kept(), 1);
    assert_eq!(both.arrives_on_retry(), [""; 0]);
    assert_eq!(both.kept(), 1);
    let ran = both.refpost(&["queue", "retry", "--all", "--server"]);
    let why = "`git1` may not send for `a.git` (`worker.publishers`)";
    assert!(ran.stderr.contains(why), "{}{}", ran.stdout, ran.stderr);
    assert_ne!(ran.status, 0);
    both.configure(CI, "publishers = { git1 = [\"a\"] }");
    assert_eq!(both.arrives_on_retry(), ["/ci a x.y"]);
    assert_eq!(both.kept(), 0);
}

/// The worker took nothing more.
#[test]
fn an_endpoint_without_a_key_holds_back_its_repository_alone() {
    let Some(both) = Both::new(&["a", "b"]) else {
        return;
    };
    let own = "[[repository]]\nmatch = [\"a\"]\n\
               [[repository.endpoint]]\nname = \"own\"\nurl = \"URL/own\"\n";
    both.configure(&format!("{CI}{own}"), "");
    both.hand("a", "x.one");
    both.hand("b", "x.two");
    both.refpost(&["work", "--once"]);
    assert_eq!(both.arrived(), ["/ci b x.two"]);
    both.configure(&format!("{CI}{own}unsigned = true\n"), "");
    both.refpost(&["flush", "--server"]);
    assert_eq!(both.arrived(), ["/ci a x.one"]);
}
