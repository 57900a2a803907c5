//! Which addresses messages may be sent to, and what a refusal says.

use crate::support::{Ran, Site};

/// Pings a URL under these lines of `[network]`.
fn ping(site: &Site, url: &str, network: &str) -> Ran {
    site.write("system.toml", format!("[network]\n{network}\n"));
    site.config_alone(&format!(
        "unsigned = true\n[[endpoint]]\nname = \"one\"\nurl = \"{url}\"\ntimeout = \"5s\"\n"
    ));
    site.refpost(["ping", "test.git"]).run()
}

#[track_caller]
fn refused(site: &Site, ran: Ran, why: &str, hint: &str) {
    let file = site.path("system.toml");
    let hint = hint.replace('@', file.to_str().unwrap());
    ran.fails(
        1,
        &format!("refpost: cannot ping `one`: {why}\nhint: {hint}\n"),
    );
    assert_eq!(site.receiver.connections(), 0);
}

/// The receiver's URL, with another spelling of its address.
fn at(site: &Site, host: &str) -> String {
    format!("http://{host}:{}/hook", site.receiver.address().port())
}

#[test]
fn external_refuses_loopback_however_it_is_spelled() {
    let site = Site::new();
    for (host, shown) in [
        ("127.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("[::ffff:127.0.0.1]", "127.0.0.1"),
        ("[::ffff:7f00:1]", "127.0.0.1"),
    ] {
        let ran = ping(&site, &at(&site, host), "allow = \"external\"");
        assert!(
            ran.stderr.contains(&format!("address {shown} of `")),
            "{host}: {}",
            ran.stderr
        );
        assert_eq!(ran.status, 1);
    }
    assert_eq!(site.receiver.connections(), 0);
}

#[test]
fn a_name_is_judged_by_the_address_that_it_leads_to() {
    let site = Site::new();
    let ran = ping(&site, &at(&site, "localhost"), "allow = \"external\"");
    let text = ran
        .stderr
        .replace("::1/128", "127.0.0.1/32")
        .replace("::1", "127.0.0.1");
    let ran = Ran {
        stderr: text,
        ..ran
    };
    refused(
        &site,
        ran,
        "address 127.0.0.1 of `localhost` is not allowed",
        "`allow_cidrs = [\"127.0.0.1/32\"]` below `[network]` in `@` allows it",
    );
    let ran = ping(
        &site,
        &at(&site, "localhost"),
        "allow = \"external\"\nallow_hosts = [\"LOCALHOST\"]",
    );
    assert_eq!(ran.status, 0, "{}", ran.stderr);
}

#[test]
fn the_line_that_a_refusal_prints_allows_it() {
    let site = Site::new();
    let network = "allow = \"external\"\nallow_cidrs = [\"10.0.0.0/8\"]";
    let ran = ping(&site, &at(&site, "127.0.0.1"), network);
    let (_, hint) = ran.stderr.split_once("hint: `").unwrap();
    let (line, _) = hint.split_once('`').unwrap();
    assert_eq!(line, "allow_cidrs = [\"10.0.0.0/8\", \"127.0.0.1/32\"]");
    let ran = ping(
        &site,
        &at(&site, "127.0.0.1"),
        &format!("allow = \"external\"\n{line}"),
    );
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let ran = ping(&site, &at(&site, "127.0.0.1"), "https_only = true");
    let (_, hint) = ran.stderr.split_once("hint: use https; `").unwrap();
    let (line, _) = hint.split_once('`').unwrap();
    assert_eq!(line, "https_only = false");
}

#[test]
fn some_addresses_are_dialled_under_no_configuration() {
    let site = Site::new();
    let all = "allow = \"any\"\nallow_hosts = [\"169.254.169.254\"]\n\
               allow_cidrs = [\"0.0.0.0/0\", \"::/0\"]";
    for (host, shown) in [
        ("169.254.169.254", "169.254.169.254"),
        ("[::ffff:169.254.169.254]", "169.254.169.254"),
        ("[64:ff9b::a9fe:a9fe]", "64:ff9b::a9fe:a9fe"),
        ("[fe80::1]", "fe80::1"),
        ("[fd00:ec2::254]", "fd00:ec2::254"),
        ("0.0.0.0", "0.0.0.0"),
        ("0", "0.0.0.0"),
        ("[::]", "::"),
        ("224.0.0.1", "224.0.0.1"),
        ("255.255.255.255", "255.255.255.255"),
    ] {
        let ran = ping(&site, &at(&site, host), all);
        let expected = format!("address {shown} of `");
        assert!(ran.stderr.contains(&expected), "{host}: {}", ran.stderr);
        assert!(ran.stderr.contains("hint: no setting allows "));
    }
    assert_eq!(site.receiver.connections(), 0);
}

#[test]
fn a_repository_cannot_widen_what_the_server_allows() {
    let site = Site::new();
    site.write("system.toml", "[network]\nallow = \"external\"\n");
    for own in [
        "[network]\nallow = \"any\"\n",
        "[network]\nallow_cidrs = [\"127.0.0.0/8\"]\n",
        "[network]\nproxy = \"http://127.0.0.1:1\"\n",
        "network.no_proxy = [\"x\"]\n",
    ] {
        let url = site.receiver.url("/hook");
        site.config_alone(&format!("unsigned = true\nurls = [\"{url}\"]\n{own}"));
        let ran = site.refpost(["ping", "test.git"]).run();
        let expected = "`network` can only be set in the server's file, not by a repository";
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
        assert_eq!(ran.status, 78);
    }
    assert_eq!(site.receiver.connections(), 0);
}

#[test]
fn a_refused_address_holds_messages_and_the_pusher_sees_no_address() {
    let site = Site::new();
    site.write("system.toml", "[network]\nallow = \"external\"\n");
    site.commit("a");
    let push = site.try_push(&["origin", "main"]);
    assert_eq!(push.status, 0);
    let said = push.remote().join("\n");
    assert!(said.contains(": its address is not allowed\n"), "{said}");
    assert!(!said.contains("127.0.0.1"), "{said}");
    assert!(!said.contains("system.toml"), "{said}");
    // Whoever looks after the server sees which, and what to do.
    let ran = site.refpost(["flush", "test.git"]).run();
    let told = "address 127.0.0.1 of `127.0.0.1` is not allowed\nhint: `allow_cidrs";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    let ran = site.refpost(["check", "test.git"]).run();
    assert!(ran.stdout.contains(told), "{}", ran.stdout);
    assert_eq!(ran.status, 1);
    // With it, what waits goes out.
    site.write("system.toml", "");
    site.refpost(["flush", "test.git"]).run().well();
    assert_eq!(site.receiver.take().len(), 2);

    site.write("system.toml", "[network]\nallow = \"external\"\n");
    site.config("verbose_to_pusher = true\n");
    site.commit("b");
    let said = site.try_push(&["origin", "main"]).remote().join("\n");
    assert!(
        said.contains("address 127.0.0.1 of `127.0.0.1` is not allowed\n"),
        "{said}"
    );
    assert!(said.contains("queued for `127.0.0.1-"), "{said}");
}
