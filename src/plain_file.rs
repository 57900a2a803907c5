//! Opening files that others wrote: what is no regular file keeps nobody waiting.
//!
//! A FIFO waits for its writer when it is opened, a device does what it likes; neither
//! says anything about a repository.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

/// No file that holds a path has more bytes.
pub const LONGEST_PATH: u64 = 8 << 10;

/// Opens whatever is there, for whoever looks at what it is.
pub fn open_any(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags.bits()).open(path)
}

/// Opens a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    let refused = || io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
    // To open a device is to do something to it.
    if !fs::metadata(path)?.is_file() {
        return Err(refused());
    }
    let file = open_any(path)?;
    // It may have become another one.
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(refused())
    }
}

/// Reads a regular file, no more of it than so many bytes.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The same of a text.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let bytes = read(path, most)?;
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
