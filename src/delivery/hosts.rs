//! How many requests are under way to each receiver: a scheme, a host and a port.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::config::EndpointUrl;

/// Requests at once to one receiver, whatever the number of its endpoints and queues.
const MOST: usize = 4;

/// A receiver, as `https://ci.example.org:443`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin(String);

impl Origin {
    pub(super) fn of(url: &EndpointUrl) -> Self {
        let url = url.expose();
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        Self(format!("{}://{host}:{port}", url.scheme()))
    }
}

/// The requests under way. A clone is the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts(Rc<RefCell<BTreeMap<Origin, usize>>>);

/// A request under way to a receiver, until it is dropped.
#[derive(Debug)]
pub(super) struct Visit {
    hosts: Hosts,
    pub(super) origin: Origin,
}

impl Hosts {
    /// How many more requests can be made to a receiver.
    pub(super) fn room(&self, origin: &Origin) -> usize {
        let under_way = self.0.borrow().get(origin).copied();
        MOST.saturating_sub(under_way.unwrap_or_default())
    }

    /// Counts a request. Returns `None` if there is no room for it.
    pub(super) fn visit(&self, origin: Origin) -> Option<Visit> {
        if self.room(&origin) == 0 {
            return None;
        }
        *self.0.borrow_mut().entry(origin.clone()).or_default() += 1;
        let hosts = self.clone();
        Some(Visit { hosts, origin })
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut under_way = self.hosts.0.borrow_mut();
        if let Some(count) = under_way.get_mut(&self.origin) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&self.origin);
            }
        }
    }
}
