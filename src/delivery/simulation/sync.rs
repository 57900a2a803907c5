//! A push that delivers its own entry while the pusher waits.

use std::cell::Cell;
use std::path::Path;

use tokio::time::Instant;

use super::super::agent::{DeliveryAgent, Limits, Surveyor};
use super::super::receivers::Receivers;
use super::BUDGET;
use super::script::Script;
use crate::spool::{Header, Id, Lock, Queue};

impl Script {
    /// Distributes the entries of this repository, and attempts one entry at each endpoint.
    pub(super) async fn deliver_now(&self, id: &Id, repository: &Path, endpoints: &[String]) {
        let (simulated, spool) = (&*self.simulated, &self.simulated.spool);
        let limits = Limits {
            begin_before: None,
            end_by: Some(Instant::now() + BUDGET),
        };
        let receivers = Receivers::default();
        receivers.learn(spool, spool.stats().failures);
        let stop = Cell::new(false);
        let agent =
            DeliveryAgent::of_push(spool, id, simulated, simulated, &receivers, limits, &stop);
        let build = |id: &Id, header: &Header| simulated.build(spool, id, header);
        if let Some(distribution) = spool.distribution(Lock::Try, build).unwrap() {
            let mut distribution = distribution.of_repository(repository);
            while distribution.step(|| true).unwrap() == Some(true) {}
            assert!(distribution.finish().stopped.is_none());
        }
        for name in endpoints {
            let queue = Queue::new(name.as_str()).unwrap();
            if let Some(lane) = spool.lane(&queue).unwrap() {
                agent.run(&lane, None).await.unwrap();
            }
        }
        receivers.save(|_| Some(spool), || true, true);
    }
}
