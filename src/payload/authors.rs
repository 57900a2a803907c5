//! `msg.authors`: the authors of a message (docs/reference/payloads.md, "Authors").

use std::collections::HashSet;

use serde::Serialize;

use super::project::{Account, People};
use super::sent::Event;
use crate::event::Author;

/// Number of authors that are listed in a message which would be too long.
const FEW: usize = 10;

/// Number of characters of their names in such a message.
const SHORT: usize = 64;

#[derive(Serialize)]
pub(super) struct AuthorEntry {
    #[serde(skip_serializing_if = "Option::is_none")]
    full_url: Option<String>,
    fullname: String,
    name: Option<String>,
    url_path: Option<String>,
}

/// The authors of a message.
pub(super) struct Authors {
    pub(super) listed: Vec<AuthorEntry>,
    /// Number of all authors, if they are not all listed with their whole names.
    pub(super) total: Option<usize>,
}

impl Authors {
    /// Lists the authors of an event, each account and each unknown full name once.
    ///
    /// `people` are accounts by their e-mails, `pusher` is an account's name and `instance` a URL
    /// that ends in `/`.
    pub(super) fn of(event: &Event, people: &People, pusher: &str, instance: &str) -> Self {
        let mut named = HashSet::new();
        let authors = event.authors.iter();
        let listed: Vec<AuthorEntry> = authors
            .map(|author| entry(author, people, pusher, instance))
            .filter(|entry| named.insert((entry.name.clone(), unknown_name(entry))))
            .collect();
        Self {
            total: event.more_authors.then_some(listed.len()),
            listed,
        }
    }

    /// Returns the same authors; with `is_wanted`, only a few of them, with short names.
    pub(super) fn cut(mut self, is_wanted: bool) -> Self {
        if !is_wanted {
            return self;
        }
        let all = self.listed.len();
        let mut is_cut = all > FEW;
        self.listed.truncate(FEW);
        for author in &mut self.listed {
            if let Some((end, _)) = author.fullname.char_indices().nth(SHORT) {
                author.fullname.truncate(end);
                author.fullname.push('…');
                is_cut = true;
            }
        }
        self.total = self.total.or(is_cut.then_some(all));
        self
    }
}

/// Returns the full name of an author without an account. An account is one person under any
/// spelling; without one the full name is all there is to go by.
fn unknown_name(entry: &AuthorEntry) -> Option<String> {
    entry.name.is_none().then(|| entry.fullname.clone())
}

fn entry(author: &Author, people: &People, pusher: &str, instance: &str) -> AuthorEntry {
    match author {
        Author::Person { name, email } => match people.get(email) {
            Some(account) => known(account, instance),
            None => unknown(name),
        },
        Author::Pusher => {
            let account = people.values().find(|account| account.name == pusher);
            match account {
                Some(account) => known(account, instance),
                None => unknown(pusher),
            }
        }
    }
}

fn known(account: &Account, instance: &str) -> AuthorEntry {
    let url_path = format!("user/{}", account.name);
    AuthorEntry {
        full_url: Some(format!("{instance}{url_path}")),
        fullname: account.fullname.clone(),
        name: Some(account.name.clone()),
        url_path: Some(url_path),
    }
}

fn unknown(fullname: &str) -> AuthorEntry {
    AuthorEntry {
        full_url: None,
        fullname: fullname.to_owned(),
        name: None,
        url_path: None,
    }
}
