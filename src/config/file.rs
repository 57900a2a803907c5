//! A layer's file: opened once, and what is read is what was looked at.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::unistd::Uid;
use zeroize::Zeroizing;

/// No configuration is larger; a file that is costs no more memory than this.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Why a file that is there is not read.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A folder, a fifo, a device, …
    #[error("it is no regular file")]
    NotRegular,
    /// Whoever has an account can write it.
    #[error("mode {0:04o} lets others write it")]
    Writable(u32),
    /// Whoever owns it is none of those who may configure.
    #[error("it belongs to account {owner}: neither root, nor {running}, who runs this{}", nor(*.repository))]
    Foreign {
        /// Whose it is.
        owner: u32,
        /// Who we are.
        running: u32,
        /// Whose the repository is; `None` for the server's file.
        repository: Option<u32>,
    },
    /// It is longer than any configuration.
    #[error("it is larger than 16 MiB")]
    TooLarge,
}

fn nor(repository: Option<u32>) -> String {
    repository.map_or_else(String::new, |owner| {
        format!(", nor {owner}, whose repository it is")
    })
}

impl Refusal {
    /// What to do about it.
    pub(super) fn hint(&self, path: &Path) -> Option<String> {
        let path = path.display();
        match self {
            Self::NotRegular | Self::TooLarge => None,
            Self::Writable(_) => Some(format!("see what it says, then: chmod o-w {path}")),
            Self::Foreign { repository, .. } => {
                let owner = repository.unwrap_or(0);
                Some(format!("see what it says, then: chown {owner} {path}"))
            }
        }
    }
}

/// Why there is no text.
pub(super) enum Unread {
    /// The kernel says so.
    Io(io::Error),
    /// We do.
    Refused(Refusal),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A file's text, which may hold a key.
pub(super) struct Text {
    bytes: Zeroizing<Vec<u8>>,
    /// Its permission bits.
    pub(super) mode: u32,
    /// Whose it is.
    pub(super) owner: u32,
    /// Whose the file is, if it is neither root's nor ours.
    pub(super) stranger: Option<u32>,
}

impl Text {
    pub(super) fn as_str(&self) -> io::Result<&str> {
        std::str::from_utf8(&self.bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// Reads a file that nobody wrote but those who may: root, whoever we run as, and
/// for a repository's file the owner of that `repository`.
pub(super) fn read(path: &Path, repository: Option<&Path>) -> Result<Text, Unread> {
    // A fifo in its place must not hang a push.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    let meta = file.metadata()?;
    let mode = meta.mode() & 0o7777;
    if !meta.is_file() {
        return Err(Unread::Refused(Refusal::NotRegular));
    }
    if mode & 0o002 != 0 {
        return Err(Unread::Refused(Refusal::Writable(mode)));
    }
    let (owner, running) = (meta.uid(), Uid::effective().as_raw());
    let is_strange = owner != 0 && owner != running;
    if is_strange {
        let repository = repository.map(fs::metadata).transpose()?;
        let repository = repository.map(|meta| meta.uid());
        if repository != Some(owner) {
            return Err(Unread::Refused(Refusal::Foreign {
                owner,
                running,
                repository,
            }));
        }
    }
    let bytes = bounded(&file, meta.len())?;
    Ok(Text {
        bytes,
        mode,
        owner,
        stranger: is_strange.then_some(owner),
    })
}

/// Room is made once, so that no shorter copy of a key stays behind.
fn bounded(file: &File, length: u64) -> Result<Zeroizing<Vec<u8>>, Unread> {
    let room = usize::try_from(length.min(LARGEST) + 1).unwrap_or(usize::MAX);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Unread::Refused(Refusal::TooLarge));
    }
    Ok(bytes)
}
