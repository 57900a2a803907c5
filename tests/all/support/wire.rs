//! A wire between a client and a server on loopback, which is listened to and cut.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

#[derive(Default)]
struct Shared {
    /// What went over it, both ways, if that is kept.
    bytes: Mutex<Vec<u8>>,
    keeps: bool,
    /// Whether nothing that the server says arrives.
    is_mute: AtomicBool,
    /// Connections before this one are dead: nothing passes, and neither end learns of it.
    dead_before: AtomicUsize,
    /// Number of connections up to now.
    count: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
}

/// A wire to a port. It ends with the test's process.
pub(crate) struct Wire {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

impl Wire {
    /// One that keeps every byte.
    pub(crate) fn tapped(to: u16) -> Self {
        Self::with(to, true)
    }

    pub(crate) fn to(port: u16) -> Self {
        Self::with(port, false)
    }

    fn with(to: u16, keeps: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            keeps,
            ..Shared::default()
        });
        let all = Arc::clone(&shared);
        thread::spawn(move || {
            for near in listener.incoming() {
                // While the server is down, the connection ends at once.
                let (Ok(near), Ok(far)) = (near, TcpStream::connect(("127.0.0.1", to))) else {
                    continue;
                };
                for stream in [&near, &far] {
                    stream.set_nodelay(true).ok();
                    let clone = stream.try_clone().unwrap();
                    all.open.lock().unwrap().push(clone);
                }
                let number = all.count.fetch_add(1, Ordering::SeqCst);
                let ways = [
                    (near.try_clone().unwrap(), far.try_clone().unwrap(), false),
                    (far, near, true),
                ];
                for (from, to, is_answer) in ways {
                    let shared = Arc::clone(&all);
                    thread::spawn(move || carry(from, to, (number, is_answer), &shared));
                }
            }
        });
        Self { port, shared }
    }

    /// Lets nothing arrive that the server says, until the wire is cut.
    pub(crate) fn mute(&self) {
        self.shared.is_mute.store(true, Ordering::SeqCst);
    }

    /// Lets nothing pass either way, on new connections either, and closes none.
    pub(crate) fn hang(&self) {
        self.shared.dead_before.store(usize::MAX, Ordering::SeqCst);
    }

    /// Lets new connections be well. Those before stay as they are.
    pub(crate) fn heal(&self) {
        let count = self.shared.count.load(Ordering::SeqCst);
        self.shared.dead_before.store(count, Ordering::SeqCst);
    }

    /// Ends all connections. New ones are well.
    pub(crate) fn cut(&self) {
        self.shared.is_mute.store(false, Ordering::SeqCst);
        for stream in self.shared.open.lock().unwrap().drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    /// What went over it up to now.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.shared.bytes.lock().unwrap().clone()
    }
}

fn carry(
    mut from: TcpStream,
    mut to: TcpStream,
    (number, is_answer): (usize, bool),
    shared: &Shared,
) {
    let is_dead = || number < shared.dead_before.load(Ordering::SeqCst);
    let mut part = [0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut part) {
        if shared.keeps {
            shared.bytes.lock().unwrap().extend(&part[..length]);
        }
        if is_dead() || is_answer && shared.is_mute.load(Ordering::SeqCst) {
            continue;
        }
        if to.write_all(&part[..length]).is_err() {
            break;
        }
    }
    if !is_dead() {
        to.shutdown(Shutdown::Both).ok();
    }
}
