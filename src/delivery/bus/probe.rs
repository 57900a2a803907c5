//! Finds out whether a broker has all that entries need.

use std::sync::Arc;

use tokio::time::{Instant, timeout};

use super::consumer::{LATE, PATIENCE, refusal, words};
use super::route::{Route, connect};
use crate::config::{Broker, Network};

/// Logs in at the broker, and finds its exchange and these queues. The error is for a person.
pub async fn find(
    broker: &Broker,
    network: &Arc<Network>,
    host: &str,
    queues: &[String],
) -> Result<(), String> {
    let endpoint = &broker.endpoint;
    let route = Route::new(endpoint, network, host);
    let found = timeout(PATIENCE, async {
        let mut link = connect(&route, Instant::now() + PATIENCE)
            .await
            .map_err(words)?;
        let exchange = endpoint.bus.as_ref().map_or("", |bus| &bus.exchange);
        let found = link.find(exchange, queues).await;
        let found = match found {
            Ok(()) => Ok(()),
            Err(text) => Err(refusal(&mut link, &route, &text).await),
        };
        link.close().await;
        found
    });
    found.await.unwrap_or_else(|_| Err(LATE.to_owned()))
}
