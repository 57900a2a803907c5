//! A receiver on loopback: raw sockets, every byte kept, answers by script.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Message;

/// What does not happen in this time never will.
const PATIENCE: Duration = Duration::from_mins(1);

/// A request, exactly as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The first line, as it was spelled.
    pub(crate) line: String,
    /// In the order and the spelling of the wire.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Which connection it came over, counted from 1.
    pub(crate) connection: usize,
}

impl Request {
    /// The value of a header in exactly this spelling.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(own, _)| own == name)?;
        Some(value)
    }

    #[track_caller]
    pub(crate) fn message(&self) -> Message {
        Message::read(&self.body)
    }
}

/// What the receiver does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// This status, these headers, this body.
    Reply(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Nothing, until the receiver stops or the sender gives up.
    Nothing,
    /// Half of an answer's status line, then the end of the connection.
    CutHead,
    /// A good status, half of the promised body, then the end of the connection.
    CutBody,
    /// A good status and a body that never ends.
    Endless,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self::Reply(status, Vec::new(), Vec::new())
    }
}

type Script = Box<dyn Fn(&Request) -> Answer + Send + Sync>;

struct Shared {
    requests: Mutex<Vec<Request>>,
    arrived: Condvar,
    script: Mutex<Arc<Script>>,
    connections: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
    stopped: AtomicBool,
}

/// A running receiver; it stops when it is dropped.
pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Starts one that answers 200 to everything.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Shared {
            requests: Mutex::default(),
            arrived: Condvar::new(),
            script: Mutex::new(Arc::new(Box::new(|_| Answer::status(200)))),
            connections: AtomicUsize::new(0),
            open: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let mut receiver = Self {
            address: listener.local_addr().unwrap(),
            shared,
            thread: None,
        };
        receiver.listen(listener);
        receiver
    }

    fn listen(&mut self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        shared.stopped.store(false, Ordering::SeqCst);
        self.thread = Some(thread::spawn(move || accept(&listener, &shared)));
    }

    /// `http://127.0.0.1:PORT` and this path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Decides on each answer from now on.
    pub(crate) fn script(&self, script: impl Fn(&Request) -> Answer + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Arc::new(Box::new(script));
    }

    /// Everything that arrived so far, and is forgotten by this.
    pub(crate) fn take(&self) -> Vec<Request> {
        std::mem::take(&mut *self.shared.requests.lock().unwrap())
    }

    /// How many connections there ever were.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Waits until `count` requests are there, and takes them all.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Request> {
        let deadline = Instant::now() + PATIENCE;
        let mut requests = self.shared.requests.lock().unwrap();
        while requests.len() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{} of {count} requests came",
                requests.len()
            );
            (requests, _) = self.shared.arrived.wait_timeout(requests, left).unwrap();
        }
        std::mem::take(&mut *requests)
    }

    /// Closes the port and every connection.
    pub(crate) fn stop(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes up `accept`.
        drop(TcpStream::connect(self.address));
        thread.join().unwrap();
        for stream in self.shared.open.lock().unwrap().drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    /// Listens on the same port again.
    pub(crate) fn restart(&mut self) {
        self.stop();
        // Somebody may have the port meanwhile, as the near end of a connection.
        let deadline = Instant::now() + PATIENCE;
        let listener = loop {
            match TcpListener::bind(self.address) {
                Ok(listener) => break listener,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            thread::sleep(Duration::from_millis(10));
        };
        self.listen(listener);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop();
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let number = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
        shared
            .open
            .lock()
            .unwrap()
            .push(stream.try_clone().unwrap());
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            // What ends a connection is the sender's doing or the script's.
            converse(stream, number, &shared).ok();
        });
    }
}

fn converse(mut stream: TcpStream, number: usize, shared: &Shared) -> io::Result<()> {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer, number)? {
        let script = Arc::clone(&shared.script.lock().unwrap());
        let answer = script(&request);
        // Kept before the answer, so that whoever has the answer finds it here.
        shared.requests.lock().unwrap().push(request);
        shared.arrived.notify_all();
        if !give(&mut stream, &answer)? {
            break;
        }
    }
    stream.shutdown(Shutdown::Both)
}

/// Answers; says whether the connection goes on.
fn give(stream: &mut TcpStream, answer: &Answer) -> io::Result<bool> {
    match answer {
        Answer::Reply(status, headers, body) => reply(stream, *status, headers, body)?,
        Answer::Nothing => {
            // Ends when the other side or `stop` closes the connection.
            while stream.read(&mut [0; 1024])? > 0 {}
            return Ok(false);
        }
        Answer::CutHead => {
            stream.write_all(b"HTTP/1.1 2")?;
            return Ok(false);
        }
        Answer::CutBody => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")?;
            return Ok(false);
        }
        Answer::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")?;
            loop {
                stream.write_all(&[b'x'; 4096])?;
            }
        }
    }
    Ok(true)
}

fn reply(
    stream: &mut TcpStream,
    status: u16,
    headers: &[(&'static str, String)],
    body: &[u8],
) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} Whatever\r\n");
    if status != 204 {
        write!(head, "Content-Length: {}\r\n", body.len()).unwrap();
    }
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head.push_str("\r\n");
    stream.write_all(&[head.as_bytes(), body].concat())
}

/// Reads one request; `buffer` keeps what came of the next. `None` at the end.
fn read_request(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    connection: usize,
) -> io::Result<Option<Request>> {
    let (mut request, body_at) = loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Request::new(&mut headers);
        match parsed.parse(buffer).map_err(io::Error::other)? {
            httparse::Status::Complete(at) => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let headers = parsed.headers.iter();
                let end = buffer.iter().position(|&byte| byte == b'\r').unwrap_or(0);
                let request = Request {
                    line: text(&buffer[..end]),
                    headers: headers
                        .map(|header| (header.name.to_owned(), text(header.value)))
                        .collect(),
                    body: Vec::new(),
                    connection,
                };
                break (request, at);
            }
            httparse::Status::Partial => {
                if !read_more(stream, buffer)? {
                    return Ok(None);
                }
            }
        }
    };
    let length: usize = request
        .header("Content-Length")
        .map_or(0, |value| value.parse().unwrap());
    while buffer.len() < body_at + length {
        if !read_more(stream, buffer)? {
            return Ok(None);
        }
    }
    let rest = buffer.split_off(body_at + length);
    request.body = buffer.split_off(body_at);
    *buffer = rest;
    Ok(Some(request))
}

fn read_more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<bool> {
    let mut chunk = [0; 16 * 1024];
    let length = stream.read(&mut chunk)?;
    buffer.extend_from_slice(&chunk[..length]);
    Ok(length > 0)
}
