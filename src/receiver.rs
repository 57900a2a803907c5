//! A small HTTP receiver for trials: `listen` and `demo` run it.
//!
//! It keeps header names and bodies exactly as they arrive, which helps when a signature does not
//! match.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::signature::{self, Secret};

/// Sizes that no message exceeds, in bytes. The connection of a sender of more is closed.
const LARGEST_HEAD: usize = 64 * 1024;
const LARGEST_BODY: usize = 64 * 1024 * 1024;

/// Time without data after which a connection is closed.
const IDLE: Duration = Duration::from_mins(1);

/// Headers in which formats sign with the key.
const CURRENT: [&str; 7] = [
    "X-Pagure-Signature",
    "X-Pagure-Signature-256",
    "X-Hub-Signature",
    "X-Hub-Signature-256",
    "X-Gitea-Signature",
    "X-Gogs-Signature",
    "X-Forgejo-Signature",
];

/// Headers in which formats sign with the previous key.
const PREVIOUS: [&str; 2] = [
    "X-Pagure-Signature-Previous",
    "X-Pagure-Signature-256-Previous",
];

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// The sender's address.
    pub peer: SocketAddr,
    /// The request line, such as `POST /path HTTP/1.1`.
    pub request_line: String,
    /// The headers, in the order and the spelling of the wire.
    pub headers: Vec<(String, String)>,
    /// The body: exactly the bytes that were signed.
    pub body: Vec<u8>,
}

/// The result of checking a request's signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// One of the keys made its signatures: those by the sender's key, or those by the key before
    /// it.
    Verified,
    /// None of the keys made its signatures.
    Mismatch,
    /// The request has no signature, but a token that is one of the keys.
    Token,
    /// The request has no signature and no token.
    Unsigned,
}

impl Received {
    /// Returns the value of a header. The case of its name does not matter.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self
            .headers
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// Checks the signatures against the body's bytes.
    ///
    /// Pagure's format and Standard Webhooks sign with two keys while a key is replaced, so a
    /// receiver with either key has a signature that matches.
    #[must_use]
    pub fn verify(&self, keys: &[Secret]) -> Verdict {
        let present = |names: &[&str]| -> Vec<&str> {
            let values = names.iter().filter_map(|name| self.header(name));
            values.map(signature::without_prefix).collect()
        };
        let signed = [present(&CURRENT), present(&PREVIOUS)];
        let is_by = |signatures: &Vec<&str>, key: &Secret| {
            let mut signatures = signatures.iter();
            signatures.all(|signature| signature::verify(key, &self.body, signature))
        };
        let mut signed = signed.iter().filter(|by_one| !by_one.is_empty()).peekable();
        let is_signed = signed.peek().is_some();
        let standard = self.standard(keys);
        if signed.any(|by_one| keys.iter().any(|key| is_by(by_one, key))) || standard == Some(true)
        {
            Verdict::Verified
        } else if is_signed || standard.is_some() {
            Verdict::Mismatch
        } else {
            match self.header("X-Gitlab-Token") {
                Some(token) if keys.iter().any(|key| key.is(token)) => Verdict::Token,
                Some(_) => Verdict::Mismatch,
                None => Verdict::Unsigned,
            }
        }
    }

    /// Returns whether a signature of Standard Webhooks matches, if the request has one.
    fn standard(&self, keys: &[Secret]) -> Option<bool> {
        let signatures = self.header("webhook-signature")?;
        let id = self.header("webhook-id").unwrap_or_default();
        let time = self.header("webhook-timestamp").unwrap_or_default();
        let time = time.parse().unwrap_or(0);
        let is_right = |key: &Secret| {
            signature::verify_standard_webhooks(key, id, time, &self.body, signatures)
        };
        Some(keys.iter().any(is_right))
    }
}

/// Answers every request with 200 and passes it to `take`. Uses a thread for each connection.
///
/// Runs until the listener fails.
pub fn serve(listener: &TcpListener, take: &(dyn Fn(Received) + Sync)) -> io::Result<()> {
    thread::scope(|scope| {
        for stream in listener.incoming() {
            let stream = stream?;
            // A sender's error ends its own connection only.
            scope.spawn(move || converse(stream, take).ok());
        }
        Ok(())
    })
}

fn converse(mut stream: TcpStream, take: &(dyn Fn(Received) + Sync)) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    let peer = stream.peer_addr()?;
    let mut buffer = Vec::new();
    while let Some(received) = read_request(&mut stream, &mut buffer, peer)? {
        take(received);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    }
    Ok(())
}

/// Reads one request. Returns `None` at the end of the connection.
///
/// `buffer` keeps the bytes that arrived of the next request.
fn read_request(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    peer: SocketAddr,
) -> io::Result<Option<Received>> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let (mut received, body_at, length) = loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        match request
            .parse(buffer)
            .map_err(|error| invalid(error.to_string()))?
        {
            httparse::Status::Complete(body_at) => {
                let received = head(&request, peer);
                let length = received
                    .header("Content-Length")
                    .map_or(Ok(0), str::parse)
                    .map_err(|_| invalid("Content-Length is no number".into()))?;
                break (received, body_at, length);
            }
            httparse::Status::Partial if buffer.len() > LARGEST_HEAD => {
                return Err(invalid("the headers are too long".into()));
            }
            httparse::Status::Partial => {
                if read_more(stream, buffer)? == 0 {
                    return Ok(None);
                }
            }
        }
    };
    if length > LARGEST_BODY {
        return Err(invalid("the body is too long".into()));
    }
    while buffer.len() < body_at + length {
        if read_more(stream, buffer)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let rest = buffer.split_off(body_at + length);
    received.body = buffer.split_off(body_at);
    *buffer = rest;
    Ok(Some(received))
}

fn head(request: &httparse::Request<'_, '_>, peer: SocketAddr) -> Received {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Received {
        peer,
        request_line: format!(
            "{} {} HTTP/1.{}",
            request.method.unwrap_or_default(),
            request.path.unwrap_or_default(),
            request.version.unwrap_or_default(),
        ),
        headers: request
            .headers
            .iter()
            .map(|header| (header.name.to_owned(), text(header.value)))
            .collect(),
        body: Vec::new(),
    }
}

fn read_more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut chunk = [0; 16 * 1024];
    let length = stream.read(&mut chunk)?;
    buffer.extend_from_slice(&chunk[..length]);
    Ok(length)
}
