//! A connection whose end is set beforehand: the other side cannot hold this process up for longer.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

pub(crate) struct Stream {
    stream: UnixStream,
    end: Instant,
}

impl Stream {
    /// Bounds an open connection by its end.
    pub(crate) fn until(stream: UnixStream, end: Instant) -> Self {
        Self { stream, end }
    }

    /// Connects to a socket. Waiting in its queue is bounded by `end` too.
    pub(crate) fn connect(path: &Path, end: Instant) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_write_timeout(Some(left(end)?))?;
        socket.connect(&SockAddr::unix(path)?)?;
        let stream = UnixStream::from(std::os::fd::OwnedFd::from(socket));
        Ok(Self::until(stream, end))
    }
}

fn left(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}

/// Returns `TimedOut` in place of the kernel's error for a timeout, `WouldBlock` (socket(7)).
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.end)?))?;
        self.stream.read(bytes).map_err(timed_out)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.end)?))?;
        self.stream.write(bytes).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
