//! Names of headers, spelled as receivers look for them.
//!
//! Names have no case (RFC 9110, section 5.1), but some receivers compare them as GitHub and
//! GitLab spell them. hyper writes each word with a capital, unless a request carries the
//! spellings of one that it has read itself, as a proxy passes them on
//! (`hyper::client::conn::http1::Builder::preserve_header_case`). So it reads an answer with these
//! names first, from memory.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::http::Extensions;
use hyper::rt::{Read, ReadBufCursor, Write};

/// Spellings that hyper has parsed.
#[derive(Default)]
pub(super) struct Spellings(RefCell<HashMap<Vec<String>, Extensions>>);

impl Spellings {
    /// Returns the extension with which hyper spells a request's headers like these.
    ///
    /// Returns `None` if hyper does so anyway.
    pub(super) async fn of(&self, names: impl Iterator<Item = &str>) -> Option<Extensions> {
        let names: Vec<String> = names
            .filter(|name| !is_title_case(name))
            .map(str::to_owned)
            .collect();
        if names.is_empty() {
            return None;
        }
        if let Some(known) = self.0.borrow().get(&names) {
            return Some(known.clone());
        }
        let read = read(&names).await.ok()?;
        self.0.borrow_mut().insert(names, read.clone());
        Some(read)
    }
}

/// Returns whether each word begins with a capital, and has no other.
fn is_title_case(name: &str) -> bool {
    let mut words = name.split('-');
    words.all(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        !first.contains(|c: char| c.is_ascii_lowercase())
            && !rest.contains(|c: char| c.is_ascii_uppercase())
    })
}

async fn read(names: &[String]) -> hyper::Result<Extensions> {
    let mut answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n".to_owned();
    for name in names {
        answer.push_str(name);
        answer.push_str(": x\r\n");
    }
    answer.push_str("\r\n");
    let memory = Memory {
        answer: answer.into_bytes(),
        is_asked: false,
    };
    let mut builder = http1::Builder::new();
    let builder = builder.preserve_header_case(true);
    let (mut sender, connection) = builder.handshake::<_, Empty<Bytes>>(memory).await?;
    let answered = sender.send_request(Request::new(Empty::new()));
    let (answered, _) = futures_util::future::join(answered, connection).await;
    Ok(answered?.into_parts().0.extensions)
}

/// A connection in memory, with one answer.
struct Memory {
    answer: Vec<u8>,
    is_asked: bool,
}

impl Read for Memory {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // An answer before the request would be an error.
        if !this.is_asked {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let length = this.answer.len().min(into.remaining());
        let some: Vec<u8> = this.answer.drain(..length).collect();
        into.put_slice(&some);
        Poll::Ready(Ok(()))
    }
}

impl Write for Memory {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().is_asked = true;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::is_title_case;

    #[test]
    fn only_other_spellings_need_to_be_read() {
        for name in ["X-Pagure-Signature-256", "Host", "X-Gitlab-Event-Uuid"] {
            assert!(is_title_case(name), "{name}");
        }
        for name in ["X-GitHub-Event", "webhook-id", "X-Gitlab-Event-UUID"] {
            assert!(!is_title_case(name), "{name}");
        }
    }
}
