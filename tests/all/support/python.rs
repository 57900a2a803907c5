//! The independent oracle: Python's own json and hmac.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

/// Reads `NAME LENGTH\n` and that many bytes, answers with `LENGTH\n` and bytes.
const PROGRAM: &str = r#"
import hashlib, hmac, json, sys

def canonical(data):
    return json.dumps(json.loads(data), sort_keys=True).encode()

def sign(data):
    key, body = data.split(b"\0", 1)
    digests = [hmac.new(key, body, kind).hexdigest() for kind in (hashlib.sha1, hashlib.sha256)]
    return " ".join(digests).encode()

source, sink = sys.stdin.buffer, sys.stdout.buffer
for line in iter(source.readline, b""):
    name, length = line.split()
    data = source.read(int(length))
    try:
        answer = {b"canonical": canonical, b"sign": sign}[name](data)
    except Exception as error:
        answer = b"error: " + repr(error).encode()
    sink.write(b"%d\n" % len(answer) + answer)
    sink.flush()
"#;

/// One python3 for all tests.
pub(crate) struct Python {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Python {
    fn start() -> Option<Self> {
        let mut child = Command::new("python3")
            .args(["-I", "-c", PROGRAM])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        Some(Self {
            to: child.stdin.take()?,
            from: BufReader::new(child.stdout.take()?),
            child,
        })
    }

    /// Asks the one python3; `None` where there is none, which is said once.
    fn ask(name: &str, data: &[u8]) -> Option<Vec<u8>> {
        static PYTHON: OnceLock<Option<Mutex<Python>>> = OnceLock::new();
        let python = PYTHON.get_or_init(|| {
            let python = Self::start();
            if python.is_none() {
                super::leave_out("python3 is not here: bodies are only held to known answers");
            }
            python.map(Mutex::new)
        });
        let mut python = python.as_ref()?.lock().unwrap();
        Some(python.talk(name, data))
    }

    fn talk(&mut self, name: &str, data: &[u8]) -> Vec<u8> {
        writeln!(self.to, "{name} {}", data.len()).unwrap();
        self.to.write_all(data).unwrap();
        self.to.flush().unwrap();
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        let mut answer = vec![0; line.trim().parse().unwrap()];
        self.from.read_exact(&mut answer).unwrap();
        answer
    }

    /// The two signatures of a body, SHA-1 first.
    pub(crate) fn sign(key: &str, body: &[u8]) -> Option<(String, String)> {
        let data = [key.as_bytes(), b"\0", body].concat();
        let answer = String::from_utf8(Self::ask("sign", &data)?).unwrap();
        let (sha1, sha256) = answer.split_once(' ').unwrap();
        Some((sha1.to_owned(), sha256.to_owned()))
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        self.child.kill().ok();
    }
}

/// What `json.dumps(json.loads(body), sort_keys=True)` makes of a body; `None`
/// without a python3.
pub(crate) fn canonical(body: &[u8]) -> Option<Vec<u8>> {
    Python::ask("canonical", body)
}
