//! One attempt: publishes a message, returns an answer or its absence.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::link::Outgoing;
use super::publication::Publication;
use super::said;
use super::worker::{Route, Told, Worker};
use crate::config::{Bus, Endpoint, EndpointUrl, Network};
use crate::delivery::http::address::in_network;
use crate::delivery::http::answer::{Answer, Broken, Unanswered};
use crate::delivery::http::fault::Fault;
use crate::delivery::http::proxy;
use crate::delivery::http::tls::Trust;
use crate::payload::Message;

/// Time after which an unused connection is closed.
const IDLE: Duration = Duration::from_mins(10);
/// Longest time for taking leave of all brokers.
const LEAVE: Duration = Duration::from_secs(1);

/// Publishes messages, and keeps connections open between them.
///
/// Each connection carries one message at a time.
pub(in crate::delivery) struct Client {
    /// Connections that are not in use, and since when.
    kept: RefCell<HashMap<Key, Vec<(Worker, Instant)>>>,
    /// Name of this machine.
    host: String,
}

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
        permit(endpoint, bus, network)?;
        let Some(publication) = Publication::new(message, bus) else {
            return Ok(said::not_pagures(started.elapsed()));
        };
        let outgoing = Outgoing::new(publication, bus.require_route);
        let urls = bus.fallbacks.clone();
        let key = (
            Arc::clone(network),
            endpoint.url.clone(),
            urls,
            Trust::of(endpoint),
        );
        let worker = self.worker(&key, endpoint, network)?;
        let told = timeout_at(started + limit, worker.publish(outgoing)).await;
        let took = started.elapsed();
        let Told { said, is_retried } = match told {
            Ok(Some(Ok(told))) => told,
            Ok(Some(Err(Unanswered::Fault(fault)))) => return Err(fault),
            Ok(Some(Err(Unanswered::Broken(broken)))) => return Ok(Answer::broken(broken, took)),
            Ok(None) => return Ok(Answer::broken(said::garbled(), took)),
            Err(_) => return Ok(Answer::broken(Broken::timeout(), took)),
        };
        if said.keeps() {
            self.keep(key, worker);
        }
        Ok(Answer {
            retried: is_retried.then(said::lost),
            ..said.answer(&endpoint.url, took)
        })
    }

    /// Returns a connection that was kept, or a new one that is not open yet.
    fn worker(
        &self,
        key: &Key,
        endpoint: &Endpoint,
        network: &Arc<Network>,
    ) -> Result<Worker, Fault> {
        let kept = self.kept.borrow_mut().get_mut(key).and_then(Vec::pop);
        if let Some((worker, _)) = kept {
            return Ok(worker);
        }
        let route = Route {
            endpoint: endpoint.clone(),
            network: Arc::clone(network),
            host: self.host.clone(),
        };
        Worker::start(route).map_err(Fault::Files)
    }

    fn keep(&self, key: Key, worker: Worker) {
        let mut kept = self.kept.borrow_mut();
        kept.retain(|_, workers| {
            workers.retain(|(_, since)| since.elapsed() < IDLE);
            !workers.is_empty()
        });
        kept.entry(key).or_default().push((worker, Instant::now()));
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let kept = self.kept.take().into_values().flatten();
        let mut workers: Vec<Worker> = kept.map(|(worker, _)| worker).collect();
        workers.iter_mut().for_each(Worker::dismiss);
        let end = Instant::now() + LEAVE;
        for worker in workers {
            worker.wait(end.saturating_duration_since(Instant::now()));
        }
    }
}

/// Fails if the configuration forbids to dial a bus, as far as that shows before.
fn permit(endpoint: &Endpoint, bus: &Bus, network: &Network) -> Result<(), Fault> {
    for url in [&endpoint.url].into_iter().chain(&bus.fallbacks) {
        if network.https_only && !url.is_encrypted() {
            return Err(Fault::NotEncrypted {
                scheme: url.expose().scheme().to_owned(),
                allowed: in_network(network, "https_only = false"),
            });
        }
    }
    Ok(proxy::permit_bus(endpoint, network)?)
}
