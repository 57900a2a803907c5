//! A push that delivers its own entry while the pusher waits.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::super::agent::{DeliveryAgent, Limits, Surveyor};
use super::super::receivers::Receivers;
use super::BUDGET;
use super::script::Script;
use crate::spool::{Header, Id, Lock, Queue};

/// The precision of the runtime's clock.
const TICK: Duration = Duration::from_millis(2);

impl Script {
    /// Distributes the entries of this repository, and attempts one entry at each endpoint.
    pub(super) async fn deliver_now(&self, id: &Id, repository: &Path, endpoints: &[String]) {
        let (simulated, spool) = (&*self.simulated, &self.simulated.spool);
        let end = Instant::now() + BUDGET;
        let limits = Limits {
            begin_before: None,
            end_by: Some(end),
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
                let (sent, lines) = (simulated.sent.borrow().len(), self.lines(|it| it == name));
                agent.run(&lane, None).await.unwrap();
                let lines = self.lines(|it| it == name) - lines;
                self.judge_attempts_of_push(name, sent, lines, end);
            }
        }
        assert!(Instant::now() <= end + TICK, "a pusher waits for too long");
        receivers.save(|_| Some(spool), || true, true);
    }

    /// Asserts that the last push attempted itself alone, in time, and that each attempt is logged.
    ///
    /// No other process attempts anything of this queue meanwhile.
    fn judge_attempts_of_push(&self, name: &str, since: usize, lines: usize, end: Instant) {
        let sent = self.simulated.sent.borrow();
        let ours = sent[since..].iter().filter(|one| one.endpoint == name);
        let ours: Vec<_> = ours.collect();
        assert_eq!(lines, ours.len(), "lines for attempts of a push at {name}");
        for one in ours {
            let number = self.pushes.len() as u64;
            assert_eq!(one.number, number, "a pusher waits for another push");
            assert!(one.began < end, "an attempt of a push began too late");
        }
    }
}
