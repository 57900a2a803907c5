//! A connection that is read before it is given up, and that records its traffic.
//!
//! A receiver that answers before it has read the whole body, and closes, makes the next write
//! fail. Its answer is in the receive buffer all the same (tcp(7): a reset discards data to be
//! sent, not data that came). So a write that fails here counts as done, and reading finds the
//! answer, or the end.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of an answer that are kept to find its status, interim answers before it included.
const KEPT: usize = 4096;

/// A stream to a receiver or a proxy, with or without TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    /// True if requests on it name the whole URL, as a proxy requires.
    is_proxied: bool,
    seen: Seen,
    _counted: Counted,
}

/// The number of open connections. Clones share the counter.
#[derive(Clone, Default)]
pub(super) struct Open(Arc<AtomicUsize>);

/// An open connection, counted until dropped.
struct Counted(Open);

impl Open {
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The record of a connection. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    /// True if a request was answered on it.
    is_used: bool,
    /// True if the next bytes read begin an answer.
    is_answered: bool,
    /// True if a write has failed.
    is_broken: bool,
    /// The first bytes of the answer to the request under way.
    beginning: Vec<u8>,
}

impl Seen {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that the request under way was answered.
    pub(super) fn answered(&self) {
        let mut known = self.known();
        known.is_used = true;
        known.is_answered = true;
    }

    /// Returns whether a request was answered on it before, and no bytes came since.
    pub(super) fn is_stale(&self) -> bool {
        let known = self.known();
        known.is_used && known.beginning.is_empty()
    }

    /// Returns the status of an answer whose status line was read.
    pub(super) fn status(&self) -> Option<u16> {
        final_status(&self.known().beginning)
    }

    /// Returns whether what was read does not begin as an answer of HTTP does.
    pub(super) fn is_no_http(&self) -> bool {
        const START: &[u8] = b"HTTP/";
        let known = self.known();
        let mut start = known.beginning.iter().zip(START);
        start.any(|(byte, expected)| byte != expected)
    }

    /// Returns whether a write has failed, after which nothing more can be sent.
    pub(super) fn is_broken(&self) -> bool {
        self.known().is_broken
    }

    fn has_written(&self) {
        let mut known = self.known();
        if std::mem::take(&mut known.is_answered) {
            known.beginning.clear();
        }
    }

    fn has_read(&self, bytes: &[u8]) {
        let mut known = self.known();
        if !known.is_answered {
            let room = KEPT - known.beginning.len();
            known.beginning.extend(bytes.iter().take(room));
        }
    }
}

/// Returns the status of the first answer other than an interim one (1xx).
fn final_status(mut bytes: &[u8]) -> Option<u16> {
    loop {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let line = std::str::from_utf8(&bytes[..end]).ok()?;
        let (version, rest) = line.split_once(' ')?;
        let status = rest.trim_end().split(' ').next()?;
        if !matches!(version, "HTTP/1.0" | "HTTP/1.1") || status.len() != 3 {
            return None;
        }
        match status.parse().ok()? {
            100..200 => {}
            status => return Some(status),
        }
        let over = memchr::memmem::find(bytes, b"\r\n\r\n")?;
        bytes = &bytes[over + 4..];
    }
}

impl Wire {
    pub(super) fn new(stream: impl Stream + 'static, is_proxied: bool, open: &Open) -> Self {
        open.0.fetch_add(1, Ordering::Relaxed);
        Self {
            _counted: Counted(open.clone()),
            stream: Box::new(stream),
            is_proxied,
            seen: Seen::default(),
        }
    }

    /// Converts a failed write of `length` bytes into a successful one.
    fn done(&mut self, length: usize, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let Poll::Ready(result) = written else {
            return Poll::Pending;
        };
        Poll::Ready(Ok(result.unwrap_or_else(|_| {
            self.seen.known().is_broken = true;
            length
        })))
    }
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        let connected = Connected::new().proxy(self.is_proxied);
        connected.extra(self.seen.clone())
    }
}

impl Read for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut buffer = [0; 8192];
        let room = buffer.len().min(into.remaining());
        let mut buffer = ReadBuf::new(&mut buffer[..room]);
        let this = self.get_mut();
        std::task::ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buffer))?;
        this.seen.has_read(buffer.filled());
        into.put_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.seen.has_written();
        if this.seen.is_broken() {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.done(bytes.len(), written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.seen.has_written();
        let length = slices.iter().map(|slice| slice.len()).sum();
        if this.seen.is_broken() {
            return Poll::Ready(Ok(length));
        }
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.done(length, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.seen.is_broken() {
            return Poll::Ready(Ok(()));
        }
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.done(0, flushed.map_ok(|()| 0)).map_ok(drop)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
