//! The other end: answers 200 to everything, and counts.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// A receiver on loopback, with a thread for each connection.
pub(crate) struct Receiver {
    pub(crate) address: String,
    requests: Arc<AtomicUsize>,
    arrivals: mpsc::Receiver<Instant>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        let (arrived, arrivals) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (counter, arrived) = (Arc::clone(&counter), arrived.clone());
                thread::spawn(move || answer(&stream.unwrap(), &counter, &arrived));
            }
        });
        Self {
            address,
            requests,
            arrivals,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// The urls of so many endpoints.
    pub(crate) fn urls(&self, count: usize) -> Vec<String> {
        (0..count)
            .map(|n| format!("http://{}/hook/{n}", self.address))
            .collect()
    }

    /// When the next request came.
    pub(crate) fn arrival(&self, patience: Duration) -> Instant {
        self.arrivals.recv_timeout(patience).unwrap()
    }

    /// How many requests came since this was last asked.
    pub(crate) fn count(&self) -> usize {
        self.requests.swap(0, Ordering::SeqCst)
    }
}

fn answer(stream: &TcpStream, counter: &AtomicUsize, arrived: &mpsc::Sender<Instant>) {
    stream.set_nodelay(true).unwrap();
    let mut from = BufReader::new(stream);
    let mut body = Vec::new();
    while let Some(length) = read_head(&mut from) {
        body.resize(length, 0);
        from.read_exact(&mut body).unwrap();
        counter.fetch_add(1, Ordering::SeqCst);
        arrived.send(Instant::now()).ok();
        let mut to = stream;
        let sent = to.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        // wrk closes when its time is up.
        if sent.is_err() {
            return;
        }
    }
}

/// Reads a head; gives the length of its body. `None` at the end.
pub(crate) fn read_head(from: &mut impl BufRead) -> Option<usize> {
    let mut length = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        if from.read_until(b'\n', &mut line).unwrap_or(0) == 0 {
            return None;
        }
        if line == b"\r\n" {
            return Some(length);
        }
        let name = "content-length: ";
        if line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name.as_bytes()) {
            let value = std::str::from_utf8(&line[name.len()..]).unwrap();
            length = value.trim().parse().unwrap();
        }
    }
}
