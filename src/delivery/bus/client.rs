//! One attempt: publishes a message, returns an answer or its absence.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::link::Outgoing;
use super::publication::Publication;
use super::route::Route;
use super::said;
use super::thread::{Thread, Told};
use crate::config::{Bus, Endpoint, EndpointUrl, Network};
use crate::delivery::http::answer::{Answer, Broken, Unanswered};
use crate::delivery::http::fault::Fault;
use crate::delivery::http::tls::Trust;
use crate::payload::Message;

/// Time after which an unused connection is closed.
const IDLE: Duration = Duration::from_mins(10);
/// Longest time for taking leave of all brokers.
const LEAVE: Duration = Duration::from_secs(1);

/// Publishes messages, and keeps connections open between them.
///
/// Each connection carries one message at a time, but that to the broker which gets whole entries.
pub(in crate::delivery) struct Client {
    /// Connections that are not in use, and since when.
    kept: RefCell<HashMap<Key, Vec<Kept>>>,
    /// Name of this machine.
    host: String,
}

/// A connection, and since when it is kept.
type Kept = (Rc<Thread>, Instant);

/// The settings that a connection depends on.
type Key = (Arc<Network>, EndpointUrl, Vec<EndpointUrl>, Trust);

impl Client {
    pub(in crate::delivery) fn new(host: &str) -> Self {
        Self {
            kept: RefCell::default(),
            host: host.to_owned(),
        }
    }

    /// Makes one attempt, which takes no longer than `limit`.
    pub(in crate::delivery) async fn publish(
        &self,
        endpoint: &Endpoint,
        bus: &Bus,
        network: &Arc<Network>,
        message: &Message,
        limit: Duration,
    ) -> Result<Answer, Fault> {
        let started = Instant::now();
        let outgoing = if bus.takes_entries {
            let user = endpoint.url.has_userinfo().then(|| endpoint.url.login().0);
            Outgoing::of_entry(message, bus, user)
        } else if let Some(publication) = Publication::new(message, bus) {
            Outgoing::new(publication, bus.require_route)
        } else {
            return Ok(said::not_pagures(started.elapsed()));
        };
        let urls = bus.fallbacks.clone();
        let key = (
            Arc::clone(network),
            endpoint.url.clone(),
            urls,
            Trust::of(endpoint),
        );
        let thread = self.thread(&key, endpoint, network)?;
        if bus.takes_entries {
            // Others publish on it meanwhile.
            self.keep(key.clone(), Rc::clone(&thread));
        }
        let end = started + limit;
        let told = timeout_at(end, thread.publish(outgoing, end)).await;
        let took = started.elapsed();
        let keeps = matches!(&told, Ok(Some(Ok(told))) if told.said.keeps());
        match (keeps, bus.takes_entries) {
            (true, false) => self.keep(key, thread),
            // Its thread ends, and with it what is left of the connection.
            (false, true) => self.forget(&key, &thread),
            _ => {}
        }
        let Told { said, is_retried } = match told {
            Ok(Some(Ok(told))) => told,
            Ok(Some(Err(Unanswered::Fault(fault)))) => return Err(fault),
            Ok(Some(Err(Unanswered::Broken(broken)))) => return Ok(Answer::broken(broken, took)),
            // The thread may be the first to see that it is late.
            Ok(None) if Instant::now() >= end => {
                return Ok(Answer::broken(Broken::timeout(), took));
            }
            Ok(None) => return Ok(Answer::broken(said::garbled(), took)),
            Err(_) => return Ok(Answer::broken(Broken::timeout(), took)),
        };
        let answer = said.answer(&endpoint.url, took);
        let answer = if bus.takes_entries {
            said::about_the_broker(answer, message.body.len())
        } else {
            answer
        };
        Ok(Answer {
            retried: is_retried.then(said::lost),
            ..answer
        })
    }

    /// Returns a connection that was kept, or a new one that is not open yet.
    fn thread(
        &self,
        key: &Key,
        endpoint: &Endpoint,
        network: &Arc<Network>,
    ) -> Result<Rc<Thread>, Fault> {
        let kept = self.kept.borrow_mut().get_mut(key).and_then(Vec::pop);
        if let Some((thread, _)) = kept {
            return Ok(thread);
        }
        let route = Route::new(endpoint, network, &self.host);
        let thread = Thread::start(route).map_err(Fault::Files)?;
        Ok(Rc::new(thread))
    }

    /// Forgets a connection. Its thread ends once no attempt uses it.
    fn forget(&self, key: &Key, thread: &Rc<Thread>) {
        if let Some(kept) = self.kept.borrow_mut().get_mut(key) {
            kept.retain(|(own, _)| !Rc::ptr_eq(own, thread));
        }
    }

    fn keep(&self, key: Key, thread: Rc<Thread>) {
        let mut kept = self.kept.borrow_mut();
        kept.retain(|_, threads| {
            threads.retain(|(_, since)| since.elapsed() < IDLE);
            !threads.is_empty()
        });
        kept.entry(key).or_default().push((thread, Instant::now()));
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let kept = self.kept.take().into_values().flatten();
        // Those that an attempt still uses end with it.
        let threads = kept.filter_map(|(thread, _)| Rc::into_inner(thread));
        let mut threads: Vec<Thread> = threads.collect();
        threads.iter_mut().for_each(Thread::dismiss);
        let end = Instant::now() + LEAVE;
        for thread in threads {
            thread.wait(end.saturating_duration_since(Instant::now()));
        }
    }
}
