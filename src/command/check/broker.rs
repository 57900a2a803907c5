//! `check` of the broker, and of who delivers to each endpoint where there is one.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::findings::Findings;
use crate::config::{Broker, Settings, Via};
use crate::context::Context;
use crate::delivery;
use crate::report;

/// Brokers that were reached or not, for many repositories.
#[derive(Default)]
pub(crate) struct Brokers(RefCell<BTreeMap<String, Result<(), String>>>);

/// Shows who delivers to each endpoint, and whether the broker has all that it needs.
pub(crate) fn check(settings: &Settings, known: &Brokers, findings: &mut Findings, ctx: &Context) {
    let Some(broker) = &settings.broker else {
        return;
    };
    for endpoint in settings.via(Via::Broker) {
        let (name, url) = (&endpoint.name, &endpoint.url);
        findings.ok(&format!(
            "endpoint `{name}` at {url}, by workers, which have its key"
        ));
    }
    for endpoint in settings.here() {
        let why = if endpoint.is_for_alerts {
            "alerts may be about the broker"
        } else {
            "workers do not know it"
        };
        let name = &endpoint.name;
        findings.note(
            &format!("endpoint `{name}` gets its messages from here: {why}"),
            "its key is needed on this machine; `check` of a worker does not see it",
        );
    }
    fits(settings, findings);
    reach(broker, settings, known, findings, ctx);
}

/// Warns if the messages about one ref, which stay in one entry, can be more than the broker takes.
pub(super) fn fits(settings: &Settings, findings: &mut Findings) {
    let most = settings.broker.as_ref().map(|broker| broker.max_message);
    let (bodies, each) = (settings.bodies(), settings.max_body);
    let all = bodies.saturating_mul(each);
    if let Some(most) = most.filter(|&most| all >= most) {
        findings.warning(
            &format!(
                "the messages about one ref can be {bodies} of {each} bytes (`max_body`), and \
                 `broker.max_message` is {most}"
            ),
            "lower `max_body`, or raise `broker.max_message`, below what the broker takes \
             (`max_message_size`)",
        );
    }
}

/// Shows whether the broker has all that it needs.
pub(super) fn reach(
    broker: &Broker,
    settings: &Settings,
    known: &Brokers,
    findings: &mut Findings,
    ctx: &Context,
) {
    let url = broker.endpoint.url.to_string();
    let mut known = known.0.borrow_mut();
    let found = known
        .entry(url.clone())
        .or_insert_with(|| find(broker, settings, ctx));
    match found {
        Ok(()) => findings.ok(&format!("the broker at {url} takes entries")),
        Err(why) => findings.error(
            &format!("the broker at {url} takes no entries: {why}"),
            Some("docs/guides/fleet.md, \"Setting up\"".to_owned()),
        ),
    }
}

/// Logs in, and finds the exchange, its queues and the dead letters.
fn find(broker: &Broker, settings: &Settings, ctx: &Context) -> Result<(), String> {
    let shards = (0..broker.shards).map(Broker::queue);
    let queues: Vec<String> = shards.chain([Broker::DEAD_LETTERS.to_owned()]).collect();
    let found = delivery::find(broker, &settings.network, ctx.host(), &queues);
    delivery::run(found).unwrap_or_else(|error| Err(report::chain(&error)))
}
