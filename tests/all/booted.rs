//! refpost's units as systemd runs them, set up by the commands and drop-ins of the docs.
//!
//! Root runs these with `REFPOST_TEST_BOOTED`, as `.ci/run --long` does.

use std::collections::BTreeSet;

use crate::support::booted::{Booted, Pushed, documented};
use crate::support::spooled::eventually;
use crate::support::{Answer, Request};

const ALICES: &str = "/srv/git/alice/a.git";
const BOBS: &str = "/srv/git/bob/b.git";
const SENT: &str = "refpost: 2 messages sent to the service";

/// A service account as in docs/guides/accounts.md, its files and what starts it.
fn with_service() -> Option<Booted> {
    let debian = Booted::new()?;
    let page = |behind| documented("accounts.md", behind);
    debian.install(&page("## A service account\n"));
    let config = page("`/etc/refpost/config.toml`, readable by all");
    let url = debian.receiver.url("/ci");
    let config = config.replace("https://ci.example.org/pagure", &url);
    debian.write("/etc/refpost/config.toml", config);
    debian.root(&page("urls = [\"https://ci.example.org/pagure\"]\n```\n"));
    for unit in ["refpost.socket", "refpost-work", "refpost-flush.timer"] {
        assert_eq!(debian.property(unit, "ActiveState"), "active", "{unit}");
    }
    Some(debian)
}

/// Whether all messages of these pushes, each a new branch, are among the requests.
fn have_arrived(pushed: &[Pushed], requests: &[Request]) -> bool {
    pushed.iter().all(|push| {
        let about = requests
            .iter()
            .filter(|it| String::from_utf8_lossy(&it.body).contains(&push.commit));
        let ids: BTreeSet<String> = about.map(|it| it.message().msg_id().to_owned()).collect();
        ids.len() == 2
    })
}

#[track_caller]
fn are_signed(debian: &Booted, key: &str, requests: &[Request]) {
    for request in requests {
        let signature = request.header("X-Pagure-Signature-256").unwrap();
        debian.write("/root/body", &request.body);
        debian.root(&format!(
            "refpost verify --key-file {key} --signature {signature} </root/body"
        ));
    }
}

#[test]
fn a_service_that_is_stopped_restarted_killed_and_hangs_loses_nothing() {
    let Some(debian) = with_service() else { return };
    debian.repository("alice", ALICES);
    debian.repository("bob", BOBS);
    let mut pushed = vec![debian.push("alice", ALICES), debian.push("bob", BOBS)];
    for push in &pushed {
        assert!(push.said.contains(SENT), "{}", push.said);
    }
    let mut arrived = debian.receiver.wait_for(4);
    are_signed(&debian, "/etc/refpost/keys/server", &arrived);
    let status = || debian.property("refpost-work", "StatusText");
    eventually("it tells its status", || {
        status() == "0 failing, 0 queues waiting"
    });
    assert_eq!(debian.property("refpost-work", "WatchdogUSec"), "2min");

    // Killed while messages are under way; a push meanwhile waits in its repository.
    debian.receiver.script(|_| Answer::Nothing);
    pushed.push(debian.push("alice", ALICES));
    eventually("it is at work", || {
        arrived.extend(debian.receiver.take());
        arrived.len() > 4
    });
    debian.root("systemctl kill --signal KILL refpost-work");
    pushed.push(debian.push("bob", BOBS));
    debian.receiver.script(|_| Answer::status(200));
    let restarts = || debian.property("refpost-work", "NRestarts");
    let is_active = || debian.property("refpost-work", "ActiveState") == "active";
    eventually("it is started again", || restarts() == "1" && is_active());
    debian.root("systemctl start refpost-flush");

    debian.root("systemctl restart refpost-work");
    pushed.push(debian.push("bob", BOBS));
    // The socket starts it.
    debian.root("systemctl stop refpost-work");
    assert!(!is_active());
    pushed.push(debian.push("alice", ALICES));
    assert!(pushed[5].said.contains(SENT), "{}", pushed[5].said);
    assert!(is_active());

    // It shows signs of life, and one that shows none is started again.
    let often = "[Service]\nWatchdogSec=2s\nRestartSec=0\n";
    debian.edit("refpost-work.service", often);
    debian.root("systemctl restart refpost-work; sleep 6");
    assert_eq!((restarts().as_str(), is_active()), ("0", true));
    debian.root("kill -STOP $(systemctl show --property MainPID --value refpost-work)");
    eventually("the watchdog bites", || restarts() == "1" && is_active());
    pushed.push(debian.push("alice", ALICES));
    eventually("everything arrives", || {
        arrived.extend(debian.receiver.take());
        have_arrived(&pushed, &arrived)
    });
    debian.root("systemctl start refpost-flush");
    let waiting = debian.root("refpost queue list --server");
    assert_eq!(waiting, "", "{}", debian.journal("refpost-work"));
    debian.root("/src/install.sh --uninstall");
    let left = "find /etc/systemd /etc/sysusers.d /usr/local -name 'refpost*' ! -type d";
    assert_eq!(debian.root(left), "");
}

/// What refpost-work.service says of credentials, and of repositories below /home.
#[test]
fn a_key_that_root_alone_can_read_signs_for_repositories_in_homes() {
    let Some(debian) = with_service() else { return };
    let url = debian.receiver.url("/ci");
    let text = format!(
        "root = \"/home\"\nsocket = \"/run/refpost/submit\"\nspool = \"/var/lib/refpost/spool\"\n\
         key = {{ credential = \"server\" }}\nurls = [\"{url}\"]\n"
    );
    debian.write("/etc/refpost/config.toml", text);
    let key = "/etc/refpost/keys/server";
    debian.root(&format!("chown root:root {key}; chmod 0400 {key}"));
    let drop_in = format!("[Service]\nLoadCredential=server:{key}\nProtectHome=read-only\n");
    debian.edit("refpost-work.service", &drop_in);
    debian.root("systemctl restart refpost-work");
    debian.repository("alice", "/home/alice/git/a.git");
    debian.root("chmod 0755 /home/alice");
    let push = debian.push("alice", "/home/alice/git/a.git");
    assert!(push.said.contains(SENT), "{}", push.said);
    are_signed(&debian, key, &debian.receiver.wait_for(2));
}

/// Three accounts' repositories, one of them in a home, and root's own.
#[test]
fn roots_flush_can_do_under_its_unit_what_the_docs_promise() {
    let Some(debian) = Booted::new() else { return };
    let alices = "/home/alice/git/a.git";
    let (bobs, carols) = ("/home/bob/git/b.git", "/home/carol/git/c.git");
    let urls = debian.receiver.url("/flush");
    let alerts = documented("monitoring.md", "## Alerts\n")
        .replace("smtp://localhost", "smtp://localhost:2525");
    let config = format!(
        "root = \"/home\"\nmode = \"spool\"\nunsigned = true\nurls = [\"{urls}\"]\n\
         {alerts}alert_after = \"0s\"\n"
    );
    debian.write("/etc/refpost/config.toml", config);
    // The machine, whose network this is, may have a mail server of its own.
    debian.root(
        "postconf -e inet_interfaces=loopback-only mydestination=localhost
         postconf -MX smtp/inet; postconf -M 2525/inet='2525 inet n - y - - smtpd'
         systemctl start postfix",
    );
    debian.install("./install.sh --systemd; systemctl stop refpost-flush.timer");
    let repositories = [("alice", alices), ("bob", bobs), ("carol", carols)];
    for (account, path) in repositories {
        debian.repository(account, path);
    }
    let roots = "/home/root/r.git";
    debian.root(&format!(
        "git init -q --bare {roots}; refpost enable {roots}"
    ));
    let push = || -> Vec<Pushed> {
        let all = [("alice", alices), ("bob", bobs), ("root", roots)];
        all.map(|(account, path)| debian.push(account, path)).into()
    };
    let pushed = push();
    debian.push("carol", carols);
    debian.write(&format!("{carols}/refpost.toml"), "urls = [");
    debian.root(&format!("chown carol {carols}/refpost.toml"));
    debian.root("systemctl start refpost-flush.timer");
    let ended = || debian.property("refpost-flush", "ExecMainExitTimestampMonotonic");
    let before = ended();
    debian.root("sleep 50");
    eventually("the timer starts it", || ended() != before);
    assert!(have_arrived(&pushed, &debian.receiver.take()));
    let failed = format!("<3>refpost: carol: cannot load config `{carols}/refpost.toml`: ");
    let said = debian.journal("refpost-flush");
    assert!(said.contains(&failed), "{said}");
    let owner = debian.root(&format!("stat --format %U {bobs}/refpost/spool/log"));
    assert_eq!(owner, "bob\n");
    debian.root("rm -r /home/carol/git; systemctl stop refpost-flush.timer");

    // Root has the alerts of each account in its mailbox.
    debian.receiver.script(|_| Answer::status(503));
    let pushed = push();
    debian.root("systemctl start refpost-flush");
    let letters =
        || debian.try_root("grep -c '^Subject: refpost: endpoint.failing' /var/mail/root");
    eventually("Postfix delivers them", || letters().stdout == "3\n");

    // Metrics that a node_exporter can read, of a flush that fails too.
    let metrics = "/var/lib/prometheus/node-exporter";
    debian.root(&format!("install -d {metrics}"));
    let stopped = documented(
        "monitoring.md",
        "or, after each flush, with `systemctl edit",
    );
    debian.edit("refpost-flush.service", &stopped);
    debian.root("systemctl stop postfix");
    let pushed_more = push();
    debian.root("rm -r /home/*/.local/state/refpost /root/.local/state/refpost");
    assert_eq!(debian.try_root("systemctl start refpost-flush").status, 1);
    let said = debian.journal("refpost-flush");
    let why = "<3>refpost: alice: cannot tell an alert by `s-nail` of `alerts.command`: ";
    assert!(said.contains(why), "{said}");
    let said = debian.root(&format!("runuser -u www-data cat {metrics}/refpost.prom"));
    for account in ["alice", "bob", "root"] {
        let read = format!("refpost_spool_scrape_success{{account=\"{account}\"}} 1\n");
        assert!(said.contains(&read), "{said}");
    }

    // A page that the web server can read, and what waited.
    debian.receiver.script(|_| Answer::status(200));
    debian.receiver.take();
    let page = documented(
        "monitoring.md",
        "or with `systemctl edit refpost-flush.service`:\n",
    );
    debian.root("install -d -g www-data -m 2755 /var/www; refpost queue retry --server --all");
    debian.edit("refpost-flush.service", &(stopped + &page));
    debian.root("systemctl start postfix; systemctl start refpost-flush");
    let arrived = debian.receiver.take();
    assert!(have_arrived(&pushed, &arrived) && have_arrived(&pushed_more, &arrived));
    let page = debian.root("stat --format '%U %G %a' /var/www/refpost.html");
    assert_eq!(page, "root www-data 640\n");
}

#[test]
fn one_accounts_flush_is_started_by_a_push_and_is_no_more_than_that_account() {
    let Some(debian) = Booted::new() else { return };
    debian.root("useradd --system --create-home --home-dir /var/lib/git --shell /bin/sh git");
    debian.install("./install.sh --systemd");
    let url = debian.receiver.url("/one");
    let config = documented("accounts.md", "in `/etc/refpost/config.toml`:\n");
    let more = format!("mode = \"spool\"\nunsigned = true\nurls = [\"{url}\"]\n");
    debian.write("/etc/refpost/config.toml", config + &more);
    debian.root(&documented(
        "accounts.md",
        "spool = \"/var/spool/refpost\"\n```\n",
    ));
    debian.root(&documented("running.md", "a timer in place of root's:"));
    debian.root("systemctl disable --now refpost-flush@git.timer");
    debian.root("systemctl enable --now refpost-flush@git.path");
    debian.repository("git", "/srv/git/a.git");
    let pushed = [debian.push("git", "/srv/git/a.git")];
    assert!(have_arrived(&pushed, &debian.receiver.wait_for(2)));
    let rated = debian.root("systemd-analyze security --no-pager refpost-flush@git.service");
    let said = "refpost-flush@git.service: 1.5 OK";
    assert!(rated.contains(said), "{rated}");
    debian.root("/src/install.sh --uninstall");
    let left = "find /etc/systemd -name 'refpost*'; systemctl list-units --plain -q 'refpost*'";
    assert_eq!(debian.root(left), "");
}

/// Of two accounts that have a timer each, one's repositories are in its home.
#[test]
fn an_accounts_own_timer_reaches_its_home_and_takes_nothing_of_its_other_processes() {
    let Some(debian) = Booted::new() else { return };
    let url = debian.receiver.url("/each");
    let config =
        format!("root = \"/home\"\nmode = \"spool\"\nunsigned = true\nurls = [\"{url}\"]\n");
    debian.write("/etc/refpost/config.toml", config);
    debian.install("./install.sh --systemd; systemctl disable --now refpost-flush.timer");
    let repositories = [
        ("alice", "/home/alice/git/a.git"),
        ("bob", "/home/bob/git/b.git"),
    ];
    let push = |(account, path)| {
        debian.repository(account, path);
        debian.push(account, path)
    };
    let [alices, bobs] = repositories.map(|it| [push(it)]);
    debian.root("chmod 0700 /home/alice /home/bob; runuser -u alice touch /dev/shm/alices");
    debian.root("systemctl start refpost-flush@alice");
    let arrived = debian.receiver.take();
    assert!(have_arrived(&alices, &arrived));
    assert_eq!(arrived.len(), 2);
    debian.root("ls /dev/shm/alices; systemctl enable --now refpost-flush@bob.timer; sleep 60");
    let mut arrived = Vec::new();
    eventually("the timer starts it", || {
        arrived.extend(debian.receiver.take());
        have_arrived(&bobs, &arrived)
    });
    let said = debian.journal("'refpost-flush@*'");
    assert!(!said.contains("refpost: "), "{said}");
}
