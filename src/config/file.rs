//! A layer's file: opened once, and what is read is what was looked at.

use std::io;
use std::path::Path;

use nix::unistd::Uid;
use zeroize::Zeroizing;

use crate::plain_file::{Folder, Plain, Unfit};
use crate::report;

/// Largest configuration; a larger file costs no more memory than this.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Reason for which a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A folder, a fifo, a device, …
    #[error("it is no regular file")]
    NotRegular,
    /// It may lead anywhere.
    #[error("it is a symbolic link")]
    Link,
    /// Every account can write it.
    #[error("mode {0:04o} lets others write it")]
    Writable(u32),
    /// Its owner is none of the accounts that may configure.
    #[error("it belongs to account {owner}: neither root, nor {running}, who runs this{}", nor(*.repository))]
    Foreign {
        /// Its owner.
        owner: u32,
        /// The account that runs this process.
        running: u32,
        /// Owner of the repository; `None` for the server's file.
        repository: Option<u32>,
    },
    /// It exceeds the largest configuration.
    #[error("it is larger than 16 MiB")]
    TooLarge,
    /// A link to a file that does not exist. Without that file, pushes would not be announced.
    #[error("it is a link that leads nowhere")]
    Dangling,
}

fn nor(repository: Option<u32>) -> String {
    repository.map_or_else(String::new, |owner| {
        format!(", nor {owner}, whose repository it is")
    })
}

impl Refusal {
    /// Returns advice, if there is any.
    pub(super) fn hint(&self, path: &Path) -> Option<String> {
        let path = report::shell(path);
        match self {
            Self::NotRegular | Self::TooLarge | Self::Dangling => None,
            Self::Link => Some(
                "put the file itself there, or what many repositories share into a \
                 `[[repository]]` of the server's file"
                    .to_owned(),
            ),
            Self::Writable(_) => Some(format!("see what it says, then: chmod o-w {path}")),
            Self::Foreign { repository, .. } => {
                let owner = repository.unwrap_or(0);
                Some(format!("see what it says, then: chown {owner} {path}"))
            }
        }
    }
}

/// Reason for which there is no text.
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
    /// Its owner.
    pub(super) owner: u32,
}

impl Text {
    pub(super) fn as_str(&self) -> io::Result<&str> {
        std::str::from_utf8(&self.bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// Returns whether a file belongs neither to root nor to this account.
pub(super) fn is_strange(file: &Plain) -> bool {
    file.owner() != 0 && file.owner() != Uid::effective().as_raw()
}

/// Reads a file that only root, this account and, for a repository's file, the owner of that
/// `repository` can write.
pub(super) fn read(path: &Path, repository: Option<&Path>) -> Result<Text, Unread> {
    let (file, repository) = if let (Some(repository), Some(name)) = (repository, path.file_name())
    {
        let folder = Folder::open(repository)?;
        (folder.file(name).map_err(unfit)?, Some(folder.owner()?))
    } else {
        let file = Plain::named(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if path.is_symlink() => Unread::Refused(Refusal::Dangling),
            _ => unfit(error),
        });
        (file?, None)
    };
    let (mode, owner) = (file.mode(), file.owner());
    if mode & 0o002 != 0 {
        return Err(Unread::Refused(Refusal::Writable(mode)));
    }
    let is_strange = is_strange(&file);
    if is_strange && repository != Some(owner) {
        return Err(Unread::Refused(Refusal::Foreign {
            owner,
            running: Uid::effective().as_raw(),
            repository,
        }));
    }
    let bytes = file.read(LARGEST)?;
    Ok(Text {
        bytes: bytes.ok_or(Unread::Refused(Refusal::TooLarge))?,
        mode,
        owner,
    })
}

fn unfit(error: io::Error) -> Unread {
    match Unfit::of(&error) {
        Some(Unfit::NotRegular) => Unread::Refused(Refusal::NotRegular),
        Some(Unfit::Link) => Unread::Refused(Refusal::Link),
        None => Unread::Io(error),
    }
}
