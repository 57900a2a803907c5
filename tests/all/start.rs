//! What refpost may be started with: no standard streams, a reader that is gone.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Background, REFPOST, Site};

/// Runs what follows with all three closed.
const CLOSED: &str = r#"exec "$0" "$@" <&- >&- 2>&-"#;

#[test]
fn closed_streams_are_opened_before_anything_else_gets_their_numbers() {
    let site = Site::new();
    let watch = ["-c", CLOSED, REFPOST, "flush", "--watch"];
    let mut watch = Background::start(site.run("sh").args(watch).arg(&site.bare));
    let streams = || [0, 1, 2].map(|fd| fs::read_link(format!("/proc/{}/fd/{fd}", watch.0.id())));
    let is_null = |found: io::Result<PathBuf>| found.is_ok_and(|it| it == *"/dev/null");
    let patience = Instant::now() + Duration::from_secs(20);
    while !streams().into_iter().all(is_null) {
        assert!(Instant::now() < patience, "{:?}", streams());
        thread::sleep(Duration::from_millis(5));
    }
    assert!(watch.0.try_wait().unwrap().is_none(), "it has ended");
}

#[test]
fn a_reader_that_is_gone_ends_nothing() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let status = Command::new(REFPOST).arg("man").stdout(writer).status();
    // A signal has no code.
    assert_eq!(status.unwrap().code(), Some(0));
}
