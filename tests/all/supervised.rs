//! A service under systemd: what the manager and the journal are told.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::support::spooled::signal;
use crate::support::{Answer, Background, Spooled};

#[test]
fn a_watch_that_hung_was_restarted_by_nobody() {
    let site = Spooled::new();
    site.receiver.script(|_| Answer::status(503));
    site.announce();
    let manager = UnixDatagram::bind(site.path("notify")).unwrap();
    let patience = Duration::from_secs(20);
    manager.set_read_timeout(Some(patience)).unwrap();
    let mut watch = Background::start(
        site.refpost(["flush", "--watch"])
            .arg(&site.bare)
            .env("NOTIFY_SOCKET", site.path("notify"))
            .env("WATCHDOG_USEC", "200000"),
    );
    let next = || {
        let mut bytes = [0; 256];
        let length = manager.recv(&mut bytes).expect("a message in time");
        let text = String::from_utf8_lossy(&bytes[..length]);
        text.trim_end().to_owned()
    };
    assert_eq!(next(), "READY=1");
    let mut told = Vec::new();
    let failing = "STATUS=1 failing, 1 queue waiting";
    while !told.iter().any(|it| it == failing) {
        told.push(next());
        assert!(told.len() < 200, "{told:?}");
    }
    assert!(told.iter().any(|it| it == "WATCHDOG=1"), "{told:?}");
    signal("TERM", watch.0.id());
    while next() != "STOPPING=1" {}
    assert_eq!(watch.0.wait().unwrap().code(), Some(0));
}

#[test]
fn lines_in_the_journal_had_no_priority() {
    let site = Spooled::new();
    let stderr = site.write("stderr", "");
    let file = fs::metadata(&stderr).unwrap();
    let stream = format!("{}:{}", file.dev(), file.ino());
    let said = |arguments: &str, stream: &str| {
        let script = &format!("exec \"$0\" {arguments} 2>stderr");
        let run = site
            .run("sh")
            .args(["-c", script])
            .arg(crate::support::REFPOST);
        run.dir(site.path("")).env("JOURNAL_STREAM", stream).run();
        fs::read_to_string(&stderr).unwrap()
    };
    // The service also ends before it delivers anything.
    for arguments in ["flush /nowhere", "--config /nowhere work"] {
        let plain = said(arguments, "1:2");
        assert!(plain.starts_with("refpost: "), "{plain}");
        assert_eq!(said(arguments, &stream), format!("<3>{plain}"));
    }
}
