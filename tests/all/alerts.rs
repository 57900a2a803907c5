//! `[alerts]`: who is told that receivers fail, when, and how often.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::support::spooled::{eventually, to};
use crate::support::{Answer, Background, Ran, Receiver, Several, Spooled, set_mode};

/// Lets a script be told alerts, which notes its arguments, its environment and its input.
fn alerted(site: &Spooled, more: &str) {
    let told = site.path("told");
    let script = format!(
        "#!/bin/sh\n{{ echo \"subject: $1\"; env; cat; }} >>'{}'\n",
        told.display()
    );
    let script = site.script("tell", &script);
    let text = format!(
        "root = \"{}\"\n[alerts]\ncommand = [\"{}\", \"{{subject}}\"]\n{more}",
        site.path("").display(),
        script.display(),
    );
    site.write("system.toml", text);
}

/// What was told since the last call.
fn told(site: &Spooled) -> String {
    let text = fs::read_to_string(site.path("told")).unwrap_or_default();
    fs::remove_file(site.path("told")).ok();
    text
}

fn subjects(text: &str) -> Vec<String> {
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("subject: "));
    lines.map(str::to_owned).collect()
}

/// A flush as of cron: of the whole server.
fn cron(site: &Spooled) -> Ran {
    site.refpost(["flush", "--server"]).run()
}

/// Flushes as cron does, until something is told: what another flush has under way is no news yet.
#[track_caller]
fn next_told(site: &Spooled) -> String {
    let mut text = String::new();
    eventually("it is told", || {
        quiet(&cron(site));
        text = told(site);
        !text.is_empty()
    });
    text
}

#[track_caller]
fn quiet(ran: &Ran) {
    let said = (ran.status, ran.stdout.as_str(), ran.stderr.as_str());
    assert_eq!(said, (0, "", ""));
}

#[test]
fn a_wrong_key_was_seen_by_nobody() {
    let site = Spooled::with("mode = \"background\"");
    alerted(&site, "");
    let refuse = || {
        site.receiver
            .script(|_| Answer::Reply(403, Vec::new(), b"bad signature".to_vec()));
    };
    refuse();
    site.announce();
    // The flush that the hook started tells nobody, whatever is due. It counts last.
    let counts = site.spool().join("counts");
    eventually("it is refused", || counts.exists());
    assert_eq!(told(&site), "");
    quiet(&cron(&site));
    let text = told(&site);
    let receiver = site.receiver.url("");
    assert_eq!(subjects(&text), [format!("endpoint.failing {receiver}")]);
    assert!(
        text.contains("\nendpoints: one\n") && text.contains("\nrefused messages: 1\n"),
        "{text}"
    );
    assert!(text.contains("\nlast answer: 403 at "), "{text}");
    let foreign = ["HOME=", "REFPOST_", "LC_ALL", "TMPDIR"];
    assert!(!foreign.iter().any(|name| text.contains(name)), "{text}");
    // More of it is the same outage.
    site.announce();
    eventually("it is refused", || site.attempts().len() == 2);
    quiet(&cron(&site));
    assert_eq!(told(&site), "");
    site.receiver.script(|_| Answer::status(200));
    site.retry_all();
    let recovered = [format!("endpoint.recovered {receiver}")];
    assert_eq!(subjects(&next_told(&site)), recovered);
    quiet(&cron(&site));
    assert_eq!(told(&site), "");
    // A flush of one repository, and a hook that delivers, hand over nothing.
    site.configure("mode = \"sync\"", "");
    refuse();
    site.announce();
    site.flush();
    assert_eq!(told(&site), "");
    quiet(&cron(&site));
    assert_eq!(subjects(&told(&site)).len(), 1);
}

#[test]
fn an_outage_printed_line_after_line_and_its_end_was_silent() {
    let site = Spooled::new();
    alerted(&site, "");
    site.receiver.script(|_| Answer::status(503));
    site.announce();
    quiet(&cron(&site));
    assert_eq!(told(&site), "");
    let ago = |minutes| {
        let time = SystemTime::now() - Duration::from_mins(minutes);
        humantime::format_rfc3339_nanos(time).to_string()
    };
    site.change_stats(|stats| stats["failures"]["one"]["since"] = ago(16).into());
    quiet(&cron(&site));
    let text = told(&site);
    let receiver = site.receiver.url("");
    assert_eq!(subjects(&text), [format!("endpoint.failing {receiver}")]);
    assert!(text.contains("\ndown since: "), "{text}");
    // A flush would print this one: it is an hour old.
    site.change_stats(|stats| stats["failures"]["one"]["since"] = ago(120).into());
    site.retry_all();
    quiet(&cron(&site));
    assert_eq!(told(&site), "");
    site.receiver.script(|_| Answer::status(200));
    site.retry_all();
    let recovered = [format!("endpoint.recovered {receiver}")];
    assert_eq!(subjects(&next_told(&site)), recovered);
    // Given up at once: too large.
    site.receiver.script(|_| Answer::status(413));
    site.announce();
    quiet(&cron(&site));
    let text = told(&site);
    assert_eq!(subjects(&text), [format!("message.given_up {receiver}")]);
    assert!(text.contains("\nmessages given up: 1\n"), "{text}");
}

#[test]
fn an_alert_whose_command_fails_is_not_lost() {
    let site = Spooled::new();
    alerted(&site, "");
    let script = fs::read(site.path("tell")).unwrap();
    site.script("tell", "#!/bin/sh\nexit 7\n");
    site.receiver.script(|_| Answer::status(403));
    site.announce();
    let ran = cron(&site);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    let why = format!(
        "cannot tell an alert by `{}` of `alerts.command`: it ended with exit status: 7\n",
        site.path("tell").display()
    );
    assert_eq!(ran.stderr.matches(&why).count(), 1, "{}", ran.stderr);
    // What it was to say is printed.
    let printed = "refpost: endpoint.failing http://";
    assert!(ran.stderr.contains(printed), "{}", ran.stderr);
    // While that lasts, it says so once, and of its command each time.
    let ran = cron(&site);
    assert!(!ran.stderr.contains(printed), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches(&why).count(), 1, "{}", ran.stderr);
    fs::write(site.path("tell"), script).unwrap();
    quiet(&cron(&site));
    assert_eq!(subjects(&told(&site)).len(), 1);
}

#[test]
fn pushes_that_waited_for_a_broken_repository_were_not_told() {
    let site = Spooled::new();
    alerted(&site, "alert_after = \"1ms\"\n");
    site.announce();
    let config = site.bare.join("config");
    let well = fs::read_to_string(&config).unwrap();
    site.settings("mode = \"spool\"\nurls = \"");
    site.announce();
    let ran = cron(&site);
    let text = told(&site);
    let spool = site.spool();
    let blocked = [format!("spool.blocked {}", spool.display())];
    assert_eq!(subjects(&text), blocked, "{}", ran.stderr);
    fs::write(config, well).unwrap();
}

#[test]
fn alerts_that_could_not_be_remembered_were_known_to_flushes_alone() {
    let site = Spooled::new();
    let checked = |state: &str| {
        let check = site.refpost(["check", "--server"]);
        let ran = check.env("XDG_STATE_HOME", state).run();
        let told = "warning: flushes cannot hand over alerts, and print them: cannot ";
        let lines = ran.stdout.lines();
        lines.filter(|line| line.starts_with(told)).count()
    };
    site.write(
        "system.toml",
        format!("root = \"{}\"\n", site.path("").display()),
    );
    assert_eq!(checked("/sys"), 0, "nobody is told alerts");
    alerted(&site, "");
    assert_eq!(checked("/sys"), 1);
    let state = site.path("state");
    assert_eq!(checked(state.to_str().unwrap()), 0);
    let left = fs::read_dir(state.join("refpost/alerts")).unwrap();
    assert_eq!(left.count(), 0);
}

#[test]
fn a_watch_tells_alerts_too() {
    let site = Spooled::new();
    alerted(&site, "");
    site.receiver.script(|_| Answer::status(403));
    site.announce();
    site.flush();
    let _watch = Background::start(site.refpost(["flush", "--server", "--watch"]));
    let is_told = || fs::read_to_string(site.path("told")).is_ok_and(|it| it.contains("account: "));
    eventually("it is told", is_told);
    assert_eq!(subjects(&told(&site)).len(), 1);
}

#[test]
fn as_root_each_account_tells_of_its_own_receivers() {
    let Some(server) = Several::new() else { return };
    server.receiver.script(|_| Answer::status(403));
    let (alice, bob) = (server.alice.uid, server.bob.uid);
    server.repository(alice, "alice/a.git", "");
    server.repository(bob, "bob/b.git", "");
    let told = server.accounts.path("told");
    fs::create_dir(&told).unwrap();
    set_mode(&told, 0o777);
    let text = format!(
        "root = \"{}\"\n[alerts]\ncommand = [\"sh\", \"-c\", \"cat >{}/$(id -u)\"]\n",
        server.path("").display(),
        told.display()
    );
    server.accounts.public("system.toml", &text);
    let ran = server.root(&["flush", "--server"]).well();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    for account in [&server.alice, &server.bob] {
        let told = fs::read_to_string(told.join(account.uid.to_string())).unwrap();
        let own = format!("\naccount: {}\n", account.name);
        assert!(
            told.contains("refused messages: 2\n") && told.contains(&own),
            "{told}"
        );
    }
}

#[test]
fn alerts_through_an_endpoint_are_all_that_it_gets() {
    let (site, ops) = (Spooled::new(), Receiver::start());
    let config = |format: &str| {
        let text = format!(
            "root = \"{}\"\n[alerts]\nendpoint = \"ops\"\n\
             alert_after = \"1ms\"\n[[endpoint]]\nname = \"ops\"\n\
             url = \"{}\"\nformat = \"{format}\"\nunsigned = true\n",
            site.path("").display(),
            ops.url("/ops"),
        );
        site.write("system.toml", text);
    };
    config("github");
    let ran = cron(&site);
    let why = "alerts have formats `pagure` and `slack`, and that of `ops` is `github`\n";
    assert!(ran.stderr.contains(why), "{}", ran.stderr);
    config("pagure");
    site.receiver.script(|_| Answer::status(403));
    ops.script(|_| Answer::status(503));
    site.announce();
    // Its own failures raise nothing, and a flush prints them.
    quiet(&cron(&site));
    let is_tried = || {
        let attempts = site.attempts();
        attempts
            .iter()
            .filter(|one| one["endpoint"] == "ops")
            .count()
            == 1
    };
    eventually("it is tried", is_tried);
    assert_eq!(to("/one", &site.receiver.take()).len(), 1);
    let alert = ops.take()[0].message();
    assert_eq!(alert.whole["topic"], "endpoint.failing");
    let receiver = site.receiver.url("");
    let msg = &alert.whole["msg"];
    assert_eq!(msg["subject"], format!("endpoint.failing {receiver}"));
    assert_eq!(msg["events"][0]["about"], receiver);
    let text = msg["text"].as_str().unwrap();
    assert!(text.contains("\nendpoints: one\n"), "{text}");
    quiet(&cron(&site));
    assert_eq!(site.names("retry/ops").len(), 1, "and no other");
    assert!(site.names("new").is_empty());
    ops.take();
    config("slack");
    site.receiver.script(|_| Answer::status(200));
    ops.script(|_| Answer::status(200));
    site.retry_all();
    let posted = || {
        // What is under way is no recovery yet.
        quiet(&cron(&site));
        let attempts = site.attempts();
        attempts
            .iter()
            .any(|one| one["topic"] == "endpoint.recovered")
    };
    eventually("it is posted", posted);
    let requests = ops.take();
    let body = String::from_utf8_lossy(&requests.last().unwrap().body).into_owned();
    assert!(
        body.starts_with(&format!("{{\"text\": \"endpoint.recovered {receiver}\\n")),
        "{body}"
    );
}

#[test]
fn a_repository_cannot_ask_for_a_command() {
    let site = Spooled::new();
    site.settings("[alerts]\ncommand = [\"true\"]\n");
    let checked = site.refpost(["check", "test.git"]).run();
    let error = "`alerts` can only be set in the server's file, not by a repository";
    assert!(checked.stdout.contains(error), "{}", checked.stdout);
}
