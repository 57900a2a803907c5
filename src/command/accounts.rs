//! Accounts by their numbers: what they are called, and whose they are.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;

use nix::unistd::{Uid, User};

/// Where accounts are kept, unless a directory service has them (passwd(5)).
const PASSWD: &str = "/etc/passwd";

/// It is mostly shorter than this, and room is made at once; what is beyond so much of it
/// is not read.
const ORDINARY: usize = 8 << 10;
const LONGEST: u64 = 16 << 20;

/// Names and full names that were looked up: each is asked for once, since a directory
/// service may be far away.
#[derive(Default)]
pub(super) struct Accounts(RefCell<HashMap<u32, (String, String)>>);

impl Accounts {
    /// The name and the full name of an account; its number where it has no name.
    pub(super) fn get(&self, uid: u32) -> (String, String) {
        let mut known = self.0.borrow_mut();
        known.entry(uid).or_insert_with(|| look_up(uid)).clone()
    }

    /// Looks them up anew from now on.
    pub(super) fn forget(&self) {
        self.0.borrow_mut().clear();
    }
}

/// The file first: finding out where to ask (nsswitch.conf(5)), and asking, is a tenth
/// of a hook's system calls.
fn look_up(uid: u32) -> (String, String) {
    let mut text = Vec::with_capacity(ORDINARY);
    if let Ok(mut file) = File::open(PASSWD) {
        file.by_ref().take(LONGEST).read_to_end(&mut text).ok();
    }
    in_passwd(&String::from_utf8_lossy(&text), uid)
        .or_else(|| {
            let user = User::from_uid(Uid::from_raw(uid)).ok()??;
            let gecos = user.gecos.to_string_lossy().into_owned();
            Some(named(&user.name, &gecos))
        })
        .unwrap_or_else(|| (uid.to_string(), uid.to_string()))
}

/// The first account of this number. A line that leads elsewhere (`+…`) has none.
fn in_passwd(text: &str, uid: u32) -> Option<(String, String)> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number = fields.nth(1)?;
        let gecos = fields.nth(1)?;
        let is_it = !name.is_empty() && !name.starts_with(['+', '-', '#']);
        (is_it && number.parse() == Ok(uid)).then(|| named(name, gecos))
    })
}

/// The full name is the first field of the comment; without one it is the name.
fn named(name: &str, gecos: &str) -> (String, String) {
    let fullname = gecos.split(',').next().unwrap_or_default().trim();
    let fullname = if fullname.is_empty() { name } else { fullname };
    (name.to_owned(), fullname.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_the_number_tells() {
        let text = "root:x:0:0:root:/root:/bin/sh\n+ada:x:7:7::/:\n\nbroken\n\
                    ada:x:7:7:Ada Lovelace,room 1,,:/home/ada:/bin/sh\nlady:x:7:7:L:/:\n\
                    git:x:8:8::/srv/git:/bin/sh\n";
        let found = |uid| in_passwd(text, uid);
        let pair = |name: &str, fullname: &str| Some((name.to_owned(), fullname.to_owned()));
        assert_eq!(found(7), pair("ada", "Ada Lovelace"));
        assert_eq!(found(8), pair("git", "git"));
        assert_eq!(found(9), None);
    }
}
