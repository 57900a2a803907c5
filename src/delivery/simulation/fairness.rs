//! Receivers that begin to hang, beside one that answers.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::agent::Limits;
use super::super::scheduler::Scheduler;
use super::script::Script;
use super::simulated::{ENDPOINTS, Manner};

/// Time in which all deliver.
const MINUTE: Duration = Duration::from_mins(1);
/// Longest wait for the only place: each of the others has a turn, which is slow after a second.
const IN_TURN: Duration = Duration::from_secs(8);
/// Time after which nothing waits, once all answer.
const PATIENCE: Duration = Duration::from_hours(24);

impl Script {
    /// Asserts that receivers that hang do not keep the places of those that answer, of which there
    /// is one.
    ///
    /// Nothing waits before, or after.
    pub(super) async fn stay_fair(&mut self, stop: &Cell<bool>) {
        let simulated = Rc::clone(&self.simulated);
        let mut engine = Scheduler::new(&*simulated, &*simulated, Limits::default(), stop, 1, 8192);
        let quick = ENDPOINTS[simulated.chance.borrow_mut().index(ENDPOINTS.len())];
        let takes = Manner::Takes(Duration::from_millis(10));
        self.push_to_all();
        engine.add(&simulated.spool);
        self.drive(&mut engine, Instant::now() + MINUTE).await;
        self.all_are(Manner::Hangs);
        self.is(quick, takes);
        let (began, pushed) = (simulated.sent.borrow().len(), self.pushes.len());
        self.push_to_all();
        for push in &mut self.pushes[pushed..] {
            // The others have a second each.
            push.quick.clear();
        }
        engine.add(&simulated.spool);
        self.drive(&mut engine, Instant::now() + IN_TURN).await;
        let first = self.first_taken(quick, began);
        assert!(first.is_some(), "{quick} waits for others that hang");
        self.all_are(takes);
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end && simulated.spool.count_waiting().unwrap() > 0 {
            let hour = Instant::now() + Duration::from_hours(1);
            self.drive(&mut engine, hour).await;
        }
        self.run_out(&mut engine).await;
    }
}
