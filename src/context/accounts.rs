//! Names and full names of accounts, by their numbers.

use std::cell::RefCell;
use std::collections::HashMap;

use nix::unistd::{Uid, User};

/// Caches the names and full names of accounts.
///
/// Each account is looked up once, since a directory service may be far away.
#[derive(Default)]
pub(crate) struct Accounts(RefCell<HashMap<u32, (String, String)>>);

impl Accounts {
    /// Returns the name and the full name of an account, or its number as both if it has no name.
    pub(crate) fn get(&self, uid: u32) -> (String, String) {
        let mut known = self.0.borrow_mut();
        known.entry(uid).or_insert_with(|| look_up(uid)).clone()
    }

    /// Forgets all names, so that they are looked up anew.
    pub(crate) fn forget(&self) {
        self.0.borrow_mut().clear();
    }
}

fn look_up(uid: u32) -> (String, String) {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => named(&user.name, &user.gecos.to_string_lossy()),
        Ok(None) | Err(_) => (uid.to_string(), uid.to_string()),
    }
}

/// Returns the name and the full name.
///
/// The full name is the first field of the comment, or the name if that field is empty.
fn named(name: &str, gecos: &str) -> (String, String) {
    let fullname = gecos.split(',').next().unwrap_or_default().trim();
    let fullname = if fullname.is_empty() { name } else { fullname };
    (name.to_owned(), fullname.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_full_name_is_the_first_field_of_the_comment() {
        let pair = |name: &str, fullname: &str| (name.to_owned(), fullname.to_owned());
        assert_eq!(
            named("ada", "Ada Lovelace,room 1,,"),
            pair("ada", "Ada Lovelace")
        );
        assert_eq!(named("git", ""), pair("git", "git"));
    }
}
