//! Listens on the socket, and answers the accounts that connect.
//!
//! The number of requests at once is bounded, and so is the time of each.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use listenfd::ListenFd;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::asker::Asker;
use super::desk::{Desk, Offered, Shared, lock};
use super::protocol::{Answer, Request};
use super::stream::Stream;
use crate::context::Context;
use crate::error::{Error, IoContext};

/// Greatest number of requests at once, of all accounts.
const MOST: usize = 256;
/// Greatest number of requests at once, of one account.
const MOST_OF_ACCOUNT: usize = 8;

/// Greatest time that one request takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Time without accepting after a failure, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Mode of the socket. Every account may connect, since the kernel identifies it.
const MODE: u32 = 0o666;

/// Takes over the socket that systemd listens on (`sd_listen_fds(3)`), if it has handed one over.
pub(crate) fn handed() -> Result<Option<UnixListener>, Error> {
    let mut handed = ListenFd::from_env();
    if handed.len() == 0 {
        return Ok(None);
    }
    let what = Path::new("the socket");
    let listener = handed.take_unix_listener(0).doing("take over", what)?;
    let listener = listener.ok_or_else(|| Error::failed("the socket is taken over already"))?;
    // Processes that this one starts have no use for it.
    let flags = FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC);
    fcntl(&listener, flags)
        .map_err(io::Error::from)
        .doing("take over", what)?;
    Ok(Some(listener))
}

/// Makes a socket and listens on it.
pub(crate) fn listener(path: &Path) -> Result<UnixListener, Error> {
    let is_left = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if UnixStream::connect(path).is_err_and(|error| is_left(&error)) {
        // A service that was killed has left it.
        fs::remove_file(path).doing("remove", path)?;
    }
    let listener = UnixListener::bind(path).doing("make socket", path)?;
    fs::set_permissions(path, Permissions::from_mode(MODE)).doing("open to all", path)?;
    Ok(listener)
}

/// Numbers of requests under way, by account.
#[derive(Default)]
struct Inside(Mutex<HashMap<u32, usize>>);

/// The place of one request among those of its account; dropping it frees the place.
struct Slot {
    inside: Arc<Inside>,
    uid: u32,
}

impl Inside {
    fn enter(self: &Arc<Self>, uid: u32) -> Option<Slot> {
        let mut all = lock(&self.0);
        let own = all.get(&uid).copied().unwrap_or(0);
        if own >= MOST_OF_ACCOUNT || all.values().sum::<usize>() >= MOST {
            return None;
        }
        all.insert(uid, own + 1);
        Some(Slot {
            inside: Arc::clone(self),
            uid,
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut all = lock(&self.inside.0);
        if let Some(own) = all.get_mut(&self.uid) {
            *own -= 1;
            if *own == 0 {
                all.remove(&self.uid);
            }
        }
    }
}

/// Answers accounts that connect, each on a thread, as long as this process lives.
///
/// `config` is the server's file, if the command line names it.
pub(crate) fn serve(
    listener: UnixListener,
    shared: Arc<Shared>,
    config: Option<PathBuf>,
) -> Result<(), Error> {
    let inside = Arc::new(Inside::default());
    let accept = move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else {
                thread::sleep(PAUSE);
                continue;
            };
            let Ok(asker) = Asker::of(&stream) else {
                continue;
            };
            let Some(place) = inside.enter(asker.uid) else {
                turn_away(stream);
                continue;
            };
            let (shared, config) = (Arc::clone(&shared), config.clone());
            let answer = move || {
                let _place = place;
                let desk = Desk::new(Context::new(config, false), &shared);
                // An account that hangs up is told nothing more.
                let _ = converse(&desk, &asker, stream);
            };
            if thread::Builder::new().spawn(answer).is_err() {
                thread::sleep(PAUSE);
            }
        }
    };
    let started = thread::Builder::new().spawn(accept);
    started.doing("start", Path::new("a thread")).map(drop)
}

/// Refuses a connection.
///
/// This never waits: an account with too many requests under way must not hold up others.
fn turn_away(stream: UnixStream) {
    let answer = Answer::Later("too many requests are under way".to_owned());
    let stream = socket2::Socket::from(OwnedFd::from(stream));
    if stream.set_nonblocking(true).is_ok() {
        let _ = (&stream).write(answer.line().as_bytes());
    }
}

/// Reads a request and answers it.
fn converse(desk: &Desk<'_>, asker: &Asker, stream: UnixStream) -> io::Result<()> {
    let mut stream = Stream::until(stream, Instant::now() + PATIENCE);
    let answer = match desk.turn_away(asker) {
        Some(answer) => answer,
        None => match Request::read(&mut stream)? {
            Ok(request) => desk.take(asker, &request, &mut Sender(&mut stream)),
            Err(why) => Answer::Never(why.to_owned()),
        },
    };
    stream.write_all(answer.line().as_bytes())
}

/// An account at the other end that offers an entry.
struct Sender<'a>(&'a mut Stream);

impl Offered for Sender<'_> {
    fn entry(&mut self) -> io::Result<&mut dyn Read> {
        self.0.write_all(Answer::Send.line().as_bytes())?;
        Ok(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_its_places_and_no_more_and_all_together_have_theirs() {
        let inside = Arc::new(Inside::default());
        let mut own: Vec<Slot> = (0..MOST_OF_ACCOUNT)
            .filter_map(|_| inside.enter(7))
            .collect();
        assert_eq!(own.len(), MOST_OF_ACCOUNT);
        assert!(inside.enter(7).is_none() && inside.enter(8).is_some());
        own.pop();
        assert!(inside.enter(7).is_some());
        let many: Vec<Slot> = (10..2000).filter_map(|uid| inside.enter(uid)).collect();
        assert_eq!(many.len() + own.len(), MOST);
        drop((many, own));
        assert!(lock(&inside.0).is_empty());
    }
}
