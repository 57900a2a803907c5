//! The seam of an attempt: over HTTP, to a bus, or in a simulation. The URL's scheme chooses.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::LocalBoxFuture;

#[cfg(feature = "amqp")]
use super::bus;
use super::http;
use super::http::answer::Answer;
use super::http::fault::Fault;
use super::http::request::Request;
use crate::config::{Endpoint, Network};

/// Makes attempts: over the network, or in a simulation without it.
pub trait Transport {
    /// Makes one attempt, which takes no longer than `limit`.
    ///
    /// `now` is the time from which a date in `Retry-After` counts.
    fn post<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        network: &'a Arc<Network>,
        request: &'a Request<'a>,
        limit: Duration,
        now: SystemTime,
    ) -> LocalBoxFuture<'a, Result<Answer, Fault>>;
}

/// Makes attempts over the network, and keeps connections open between them.
pub struct Client {
    http: http::client::Client,
    #[cfg(feature = "amqp")]
    bus: bus::client::Client,
}

impl Client {
    /// Makes a client. An eighth of `descriptors` files is for connections that are kept. `host`
    /// is this machine's name, which brokers show.
    #[must_use]
    #[cfg_attr(
        not(feature = "amqp"),
        expect(unused_variables, reason = "brokers show it")
    )]
    pub fn new(descriptors: usize, host: &str) -> Self {
        Self {
            http: http::client::Client::new(descriptors),
            #[cfg(feature = "amqp")]
            bus: bus::client::Client::new(host),
        }
    }

    /// Makes a client for a few endpoints.
    #[must_use]
    pub fn of_few(host: &str) -> Self {
        Self::new(0, host)
    }
}

impl Transport for Client {
    fn post<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        network: &'a Arc<Network>,
        request: &'a Request<'a>,
        limit: Duration,
        now: SystemTime,
    ) -> LocalBoxFuture<'a, Result<Answer, Fault>> {
        match &endpoint.bus {
            #[cfg(feature = "amqp")]
            Some(bus) => {
                let message = request.message();
                Box::pin(self.bus.publish(endpoint, bus, network, message, limit))
            }
            _ => Box::pin(self.http.post(endpoint, network, request, limit, now)),
        }
    }
}
