//! Files that are closed aside.
//!
//! The last name of an entry goes while its file is open, so what the file has on the disk
//! is freed when it is closed. That can take longer than all else of a delivery: where
//! blocks are discarded at once (mount(8), `discard`), it waits for the disk.

use std::cell::OnceCell;
use std::fs::File;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

/// So many files wait at most; each is one of those that a process may have open.
const WAITING: usize = 64;

/// Closes files on a thread, which is started for the first of them. A process that ends
/// or is killed has closed all of them.
#[derive(Debug, Default)]
pub(super) struct Closer {
    files: OnceCell<Option<SyncSender<File>>>,
}

impl Closer {
    fn close(&self, file: File) {
        let start = || {
            let (files, given) = sync_channel(WAITING);
            let closing = move || given.into_iter().for_each(drop);
            thread::Builder::new().spawn(closing).ok().map(|_| files)
        };
        // Without a thread it is closed here.
        if let Some(files) = self.files.get_or_init(start) {
            files.send(file).ok();
        }
    }
}

/// An open file.
#[derive(Debug)]
pub(super) struct Opened {
    /// `None` only while it is dropped.
    file: Option<File>,
    closer: Option<Rc<Closer>>,
}

impl Opened {
    /// Leaves closing it to somebody else.
    pub(super) fn close_with(&mut self, closer: &Rc<Closer>) {
        self.closer = Some(Rc::clone(closer));
    }
}

impl From<File> for Opened {
    fn from(file: File) -> Self {
        Self {
            file: Some(file),
            closer: None,
        }
    }
}

impl Deref for Opened {
    type Target = File;

    fn deref(&self) -> &File {
        self.file.as_ref().expect("it is open until it is dropped")
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let (Some(closer), Some(file)) = (&self.closer, self.file.take()) {
            closer.close(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn whoever_closes_it_it_is_closed() {
        let folder = tempfile::tempdir().expect("a folder");
        let open =
            |name: &str| Opened::from(File::create(folder.path().join(name)).expect("a file"));
        let closer = Rc::new(Closer::default());
        let mut given = open("given");
        given.close_with(&closer);
        drop(given);
        drop(open("own"));
        let are_open = || {
            let fds = std::fs::read_dir("/proc/self/fd").expect("proc(5)");
            let mut files = fds
                .flatten()
                .filter_map(|fd| std::fs::read_link(fd.path()).ok());
            files.any(|file| file.starts_with(folder.path()))
        };
        let end = Instant::now() + Duration::from_secs(20);
        while are_open() {
            assert!(Instant::now() < end, "one stays open");
            thread::yield_now();
        }
    }
}
