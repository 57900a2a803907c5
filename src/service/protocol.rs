//! The protocol over the socket: a request, and one answer or two.
//!
//! ```text
//! {"refpost":1,"id":"…","repository":"…","endpoints":["…"],"length":N}    the account
//! send                                                                     the service
//! N bytes: an entry                                                        the account
//! durable | later CAUSE | never CAUSE                                      the service
//! ```
//!
//! The last answer can come in place of `send`. A length of 0 asks only whether an entry would be
//! taken: `send` means that it would.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};
use serde::{Deserialize, Serialize};

use crate::report;
use crate::spool::Id;

const VERSION: u32 = 1;

/// Greatest length of a request in bytes: it names endpoints, and a path.
const LONGEST_REQUEST: usize = 1 << 20;

/// Greatest length of an answer in bytes.
const LONGEST_ANSWER: usize = 1 << 10;

/// Characters of a path that are encoded, so that a path of any bytes travels as text.
const NOT_TEXT: &AsciiSet = &CONTROLS.add(b'%');

/// A request to take an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// The entry's id in the spool of the account that submits.
    pub(crate) id: Id,
    pub(crate) repository: PathBuf,
    /// The endpoints that are to get it, by the server's file.
    pub(crate) endpoints: Vec<String>,
    /// Number of bytes of the entry. With 0, none is sent.
    pub(crate) length: u64,
}

#[derive(Deserialize, Serialize)]
struct Line {
    refpost: u32,
    id: String,
    repository: String,
    endpoints: Vec<String>,
    length: u64,
}

impl Request {
    pub(crate) fn line(&self) -> Vec<u8> {
        let path = self.repository.as_os_str().as_bytes();
        let line = Line {
            refpost: VERSION,
            id: self.id.to_string(),
            repository: percent_encode(path, NOT_TEXT).to_string(),
            endpoints: self.endpoints.clone(),
            length: self.length,
        };
        let mut line = serde_json::to_vec(&line).expect("text and numbers have a JSON form");
        line.push(b'\n');
        line
    }

    /// Reads a request. The inner error is a text for the asker.
    pub(crate) fn read(from: &mut dyn Read) -> io::Result<Result<Self, &'static str>> {
        let line = read_line(from, LONGEST_REQUEST)?;
        let Ok(line) = serde_json::from_slice::<Line>(&line) else {
            return Ok(Err("the request is no request"));
        };
        if line.refpost != VERSION {
            return Ok(Err("the request is of another version of refpost"));
        }
        let Some(id) = Id::parse(&line.id) else {
            return Ok(Err("the request has no id"));
        };
        let path: Vec<u8> = percent_decode_str(&line.repository).collect();
        Ok(Ok(Self {
            id,
            repository: Path::new(OsStr::from_bytes(&path)).to_owned(),
            endpoints: line.endpoints,
            length: line.length,
        }))
    }
}

/// An answer of the service to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The entry is to be sent.
    Send,
    /// The service has taken the entry for good, now or when it was submitted before.
    Durable,
    /// The entry stays with the account that submits, for this reason.
    Later(String),
    /// The entry can never be taken, for this reason.
    Never(String),
}

impl Answer {
    pub(crate) fn line(&self) -> String {
        let line = match self {
            Self::Send => "send".to_owned(),
            Self::Durable => "durable".to_owned(),
            Self::Later(why) => format!("later {why}"),
            Self::Never(why) => format!("never {why}"),
        };
        let mut line = line.replace('\n', " ");
        let end = line.floor_char_boundary(LONGEST_ANSWER - 1);
        line.truncate(end);
        line + "\n"
    }

    pub(crate) fn read(from: &mut dyn Read) -> io::Result<Self> {
        let line = read_line(from, LONGEST_ANSWER)?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let printable = |why: &str| report::printable(why).into_owned();
        match line.split_once(' ') {
            None if line == "send" => Ok(Self::Send),
            None if line == "durable" => Ok(Self::Durable),
            Some(("later", why)) => Ok(Self::Later(printable(why))),
            Some(("never", why)) => Ok(Self::Never(printable(why))),
            _ => Err(io::Error::other("it is no answer of refpost's")),
        }
    }
}

/// Reads a line, without its end. Nothing follows before the line is answered.
fn read_line(from: &mut dyn Read, longest: usize) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut part = [0; 4096];
    loop {
        let read = match from.read(&mut part) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        line.extend_from_slice(&part[..read]);
        if line.last() == Some(&b'\n') {
            line.pop();
            return Ok(line);
        }
        if line.len() > longest {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_written_whatever_its_path() {
        let request = Request {
            id: Id::new(std::time::UNIX_EPOCH, "git1", 7),
            repository: PathBuf::from(OsStr::from_bytes(b"/srv/a%41\n\xff.git")),
            endpoints: vec!["ci".to_owned()],
            length: 12,
        };
        let read = Request::read(&mut &request.line()[..]);
        assert_eq!(read.expect("a line"), Ok(request));
        for bad in ["{}\n", "[1]\n", "{\"refpost\":2}\n"] {
            assert!(Request::read(&mut bad.as_bytes()).expect("a line").is_err());
        }
        assert!(Request::read(&mut &b"{"[..]).is_err());
        assert!(Request::read(&mut io::repeat(b'x')).is_err());
    }

    #[test]
    fn an_answer_is_one_line_of_bounded_length() {
        let long = Answer::Later("é\n".repeat(1000));
        let line = long.line();
        assert!(line.len() <= LONGEST_ANSWER && line.matches('\n').count() == 1);
        assert!(matches!(
            Answer::read(&mut line.as_bytes()),
            Ok(Answer::Later(_))
        ));
        for answer in [
            Answer::Send,
            Answer::Durable,
            Answer::Never("no".to_owned()),
        ] {
            let line = answer.line();
            assert_eq!(Answer::read(&mut line.as_bytes()).expect("one"), answer);
        }
        assert!(Answer::read(&mut &b"HTTP/1.1 200 OK\n"[..]).is_err());
    }
}
