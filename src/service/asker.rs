//! The account that submits, as the kernel knows it.
//!
//! Words sent over the socket identify no account.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use nix::sys::socket::{getsockopt, sockopt};
use nix::sys::stat::FileStat;

/// The account at the other end of a socket, or the owner of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) uid: u32,
    /// All of its groups.
    pub(crate) groups: Vec<u32>,
}

impl Asker {
    /// Asks the kernel which account connected, with its groups at that time.
    pub(crate) fn of(stream: &UnixStream) -> io::Result<Self> {
        let peer = getsockopt(stream, sockopt::PeerCredentials)?;
        let mut groups = peer_groups(stream)?;
        groups.push(peer.gid());
        Ok(Self {
            uid: peer.uid(),
            groups,
        })
    }

    /// Returns whether the account has all of `rights` to a file with this owner, group and mode.
    ///
    /// Rights are bits as in one digit of a mode: 4 to read, 2 to write, 1 to search. As in the
    /// kernel, an owner has the owner's rights, even where others have more, and root has all.
    /// Access control lists (acl(5)) are not looked at.
    pub(crate) fn may(&self, rights: u32, of: &FileStat) -> bool {
        if self.uid == 0 {
            return true;
        }
        let shift = if self.uid == of.st_uid {
            6
        } else if self.groups.contains(&of.st_gid) {
            3
        } else {
            0
        };
        of.st_mode >> shift & rights == rights
    }
}

/// Returns the groups of the account that connected.
///
/// No crate has a name for `SO_PEERGROUPS` (unix(7)).
#[allow(
    unsafe_code,
    reason = "getsockopt(2) fills a buffer that lives here, and says how much of it"
)]
fn peer_groups(stream: &UnixStream) -> io::Result<Vec<u32>> {
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let room = size_of::<libc::gid_t>() * groups.len();
        let mut length = libc::socklen_t::try_from(room).map_err(io::Error::other)?;
        // SAFETY: the kernel writes `length` bytes at most, which is what the buffer has.
        let done = unsafe {
            libc::getsockopt(
                stream.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let count = length as usize / size_of::<libc::gid_t>();
        if done == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ERANGE) || count <= groups.len() {
            return Err(error);
        }
        groups.resize(count, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_those_of_the_first_class_that_fits() {
        let asker = Asker {
            uid: 10,
            groups: vec![20, 21],
        };
        let stat = |uid, gid, mode: u32| {
            let mut stat = nix::sys::stat::stat("/").expect("there is a root");
            (stat.st_uid, stat.st_gid, stat.st_mode) = (uid, gid, 0o40_000 | mode);
            stat
        };
        for (uid, gid, mode, may) in [
            (10, 1, 0o700, true),
            (10, 1, 0o500, false),
            (10, 20, 0o577, false),
            (1, 21, 0o770, true),
            (1, 21, 0o757, false),
            (1, 22, 0o757, true),
            (1, 22, 0o775, false),
            (1, 22, 0o756, false),
        ] {
            assert_eq!(
                asker.may(3, &stat(uid, gid, mode)),
                may,
                "{uid} {gid} {mode:o}"
            );
        }
        let root = Asker {
            uid: 0,
            groups: vec![],
        };
        assert!(root.may(3, &stat(1, 1, 0)));
    }

    #[test]
    fn the_kernel_tells_who_is_at_the_other_end() {
        let (one, _other) = UnixStream::pair().expect("two ends");
        let asker = Asker::of(&one).expect("the kernel knows");
        assert_eq!(asker.uid, nix::unistd::geteuid().as_raw());
        let own = nix::unistd::getgroups().expect("some groups");
        assert!(
            own.iter()
                .all(|group| asker.groups.contains(&group.as_raw()))
        );
    }
}
