//! Servers that somebody else wrote.

use std::net::TcpStream;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

/// What does not happen in this time never will.
const PATIENCE: Duration = Duration::from_mins(2);

/// A process that ends with the test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Says that a receiver is not there.
pub(crate) fn is_missing(what: &str) -> bool {
    let must = std::env::var_os("REFPOST_TEST_RECEIVERS").is_some();
    assert!(!must, "{what} is not there");
    eprintln!("left out: {what} is not there");
    true
}

pub(crate) fn wait_for_port(port: u16, running: &mut Running) {
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(running.0.try_wait().unwrap().is_none(), "it has ended");
        assert!(Instant::now() < deadline, "it does not listen");
        thread::sleep(Duration::from_millis(100));
    }
}
