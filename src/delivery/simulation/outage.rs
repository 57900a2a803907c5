//! The end of an outage: each receiver answers again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::super::agent::Outside;
use super::super::scheduler::Scheduler;
use super::LONG;
use super::messages::host;
use super::script::{Push, Script};
use super::simulated::{ENDPOINTS, Manner};
use crate::spool::Queue;

/// Delay after which a queue is tried again: more than a minute after its last attempt.
const MINUTE: Duration = Duration::from_secs(61);
/// Time within which a receiver is probed: an hour, and the minute in which another queue does it.
const PROBED: Duration = Duration::from_mins(62);
/// Time within which a queue is tried then.
const SOON: Duration = Duration::from_mins(2);

impl Script {
    /// Asserts that the end of an outage is noticed.
    ///
    /// A receiver that accepts a message gets those of its other queues, and a push gets through to
    /// one that was down.
    pub(super) async fn come_back(&mut self, engine: &mut Scheduler<'_>) {
        let down = self.down();
        let began = self.simulated.sent.borrow().len();
        if self.simulated.chance.borrow_mut().one_in(2) {
            self.drive(engine, Instant::now() + MINUTE).await;
            let pushed = Instant::now();
            if self.simulated.chance.borrow_mut().one_in(2) {
                self.push_to_all();
            } else {
                self.push_to_one_of_each_host();
            }
            engine.add(&self.simulated.spool);
            self.drive(engine, pushed + SOON).await;
            let went_to = self.pushes.last().and_then(|push| push.endpoints.clone());
            for name in &down {
                let is_taken = self.first_taken(name, began).is_some();
                if went_to.iter().flatten().any(|it| it == name) {
                    assert!(is_taken, "a push did not probe {name}");
                } else if went_to.iter().flatten().any(|it| host(it) == host(name)) {
                    assert!(is_taken, "{name} is back, and a push wakes no other queue");
                }
            }
        } else {
            let (healed, are_probed) = (Instant::now(), self.probed(&down));
            self.drive(engine, healed + LONG).await;
            let mut by_host: BTreeMap<&str, Vec<Option<Instant>>> = BTreeMap::new();
            for name in &down {
                let firsts = by_host.entry(host(name)).or_default();
                firsts.push(self.first_taken(name, began));
            }
            for (host, firsts) in by_host {
                let Some(first) = firsts.iter().flatten().min() else {
                    assert!(!are_probed.contains(host), "{host} is not probed");
                    continue;
                };
                let is_in_time = *first < healed + PROBED || !are_probed.contains(host);
                assert!(is_in_time, "{host} is probed late");
                let are_soon = firsts
                    .iter()
                    .all(|it| it.is_some_and(|it| it < *first + SOON));
                let is_late = *first + SOON > Instant::now();
                assert!(
                    are_soon || is_late,
                    "{host} is back, and wakes no other queue"
                );
            }
        }
    }

    /// Returns the endpoints that could not be reached when last tried, and have messages in order.
    fn down(&self) -> Vec<&'static str> {
        let spool = &self.simulated.spool;
        let failures = spool.stats().failures;
        let is_down = |name: &&str| {
            let standing = spool.standing(&Queue::new(*name).unwrap()).unwrap();
            standing.head.is_some() && failures.get(*name).is_some_and(|it| it.by_transport)
        };
        ENDPOINTS.into_iter().filter(is_down).collect()
    }

    /// Has no receiver reachable for some hours, with a message for each endpoint.
    pub(super) async fn go_down(&mut self, engine: &mut Scheduler<'_>) {
        self.all_are([Manner::Absent, Manner::Hangs][self.simulated.chance.borrow_mut().index(2)]);
        self.push_to_all();
        engine.add(&self.simulated.spool);
        let hours = self.simulated.chance.borrow_mut().below(30);
        self.drive(engine, Instant::now() + Duration::from_hours(hours))
            .await;
    }

    fn push_to_one_of_each_host(&mut self) {
        let names = ENDPOINTS.into_iter().filter(|name| host(name) == *name);
        let names: Vec<String> = names.map(str::to_owned).collect();
        let number = self.pushes.len() as u64 + 1;
        let draft = self.composed(0, number, &names);
        let id = self.id_parts();
        self.simulated.spool.enqueue(&draft, &id).unwrap();
        self.pushes.push(Push {
            repository: 0,
            endpoints: Some(names),
            at: Instant::now(),
            quick: vec![],
        });
    }

    pub(super) fn push_to_all(&mut self) {
        let pushed = self.pushes.len();
        while self.pushes.len() == pushed {
            self.push();
        }
        while !self.composing.is_empty() {
            self.compose();
        }
    }

    /// Returns the hosts of endpoints whose schedule has an attempt within the hour.
    ///
    /// A jump of the clock, or an endpoint that said it was gone, leaves longer ones.
    fn probed(&self, down: &[&'static str]) -> BTreeSet<&'static str> {
        let failures = self.simulated.spool.stats().failures;
        let soon = self.simulated.now() + PROBED;
        let refused = self.simulated.refused.borrow();
        let is_odd = |name: &str| {
            !self.jumps.is_empty() || refused.iter().any(|(endpoint, _)| endpoint == name)
        };
        let are_soon = |name: &&&str| {
            let queue = Queue::new(**name).unwrap();
            let head = self.simulated.spool.standing(&queue).unwrap().head;
            let is_soon = failures.get(**name).is_some_and(|it| it.next < soon)
                && head.is_some_and(|it| it.due < soon);
            is_soon || !is_odd(name)
        };
        down.iter()
            .filter(are_soon)
            .map(|name| host(name))
            .collect()
    }

    /// Returns the time at which an endpoint first accepted a message, of those sent since.
    pub(super) fn first_taken(&self, name: &str, since: usize) -> Option<Instant> {
        let sent = self.simulated.sent.borrow();
        let mut later = sent[since..].iter();
        let first = later.find(|one| one.endpoint == name && one.taken);
        first.map(|one| one.began)
    }
}
