//! Decides which queue is worked on, and when again.
//!
//! - Work that touches the disk is done in steps of some milliseconds. Between two steps
//!   answers are taken in, timers run and signals are heard.
//! - A queue is worked on for one turn, then the next one that is due, of another spool if there
//!   is one. Queues that delivered last go first, and those whose head has failed go last.
//! - A turn that lasts longer than a second, or that begins with a head that has failed, is
//!   *slow*. Slow turns have places of their own, so that receivers that hang delay no other queue.
//! - Each queue that is looked at again has a time at which it is due. A queue whose turn changed
//!   nothing is looked into again once, then after 20 seconds.
//! - Once the budget is used up or the run is to end, no attempt begins; others end by timeout.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::agenda::{Agenda, Verdict};
use super::agent::{DeliveryAgent, Limits, Surveyor};
use super::crowd::{Admitted, Crowd};
use super::distributor::Distributor;
use super::known::{Key, key};
use super::line::Lines;
use super::places::Places;
use super::receivers::{Receivers, Visit};
use super::result::{LaneReport, Left};
use super::shortage::Shortage;
use super::transport::Transport;
use super::turn::{Finished, read, take_turn};
use crate::spool::{Queue, Spool, Standing};

/// Time for the disk before answers are taken in.
pub const STEP: Duration = Duration::from_millis(5);
/// Delay before a queue is read again that another process delivers from.
const BUSY: Duration = Duration::from_millis(500);
/// Delay before a queue is read again that two turns did not change.
const STALLED: Duration = Duration::from_secs(20);
/// Interval at which the state of receivers is saved for other flushes.
const HANDED_ON: Duration = Duration::from_secs(1);

/// A flush under way.
pub struct Scheduler<'a> {
    client: &'a dyn Transport,
    host: &'a dyn Surveyor,
    limits: Limits,
    stop: &'a Cell<bool>,
    distributor: Distributor<'a>,
    /// Queues that were not read yet.
    unseen: VecDeque<(Spool, Queue)>,
    /// Queues that are due.
    lines: Lines,
    /// Queues in one of these lists or in `crowd`, or in their turn.
    busy: BTreeSet<Key>,
    crowd: Crowd,
    receivers: Receivers,
    /// The spools that were added; the flag is true if their clock is believed.
    spools: BTreeMap<PathBuf, (Spool, bool)>,
    running: FuturesUnordered<LocalBoxFuture<'a, Finished>>,
    /// Queues that are tried in their next turn although nothing in them is due.
    probes: BTreeSet<Key>,
    /// Queues whose last turn changed nothing although a message was due.
    stalled: BTreeSet<Key>,
    agenda: Agenda,
    shortage: Shortage,
    last_step: Instant,
    handed_on: Instant,
}

impl<'a> Scheduler<'a> {
    /// Makes a flush with nothing to do yet.
    ///
    /// At most `in_flight` requests that are not slow are under way, and about `descriptors` files
    /// are open. Once `stop` is set, no attempt begins.
    pub fn new(
        client: &'a dyn Transport,
        host: &'a dyn Surveyor,
        limits: Limits,
        stop: &'a Cell<bool>,
        in_flight: usize,
        descriptors: usize,
    ) -> Self {
        Self {
            client,
            host,
            limits,
            stop,
            distributor: Distributor::new(host, descriptors),
            unseen: VecDeque::new(),
            lines: Lines::new(Places::new(in_flight, descriptors)),
            crowd: Crowd::default(),
            receivers: Receivers::default(),
            spools: BTreeMap::new(),
            probes: BTreeSet::new(),
            busy: BTreeSet::new(),
            running: FuturesUnordered::new(),
            stalled: BTreeSet::new(),
            agenda: Agenda::default(),
            shortage: Shortage::default(),
            last_step: Instant::now(),
            handed_on: Instant::now(),
        }
    }

    /// Schedules a spool: the entries in `new/`, and each of its queues.
    pub fn add(&mut self, spool: &Spool) {
        let stats = spool.stats();
        let is_settled = stats.is_clock_settled(self.host.now());
        let known = (spool.clone(), is_settled);
        self.spools.insert(spool.root().to_owned(), known);
        self.receivers.learn(spool, stats.failures);
        self.wake();
        self.distributor.add(spool);
        match spool.queues() {
            Ok(queues) => queues
                .into_iter()
                .for_each(|one| self.look_into(spool, one)),
            Err(error) => self.host.distributed(spool, Err(error)),
        }
    }

    /// Returns whether another spool can be added, so that few are open at once.
    pub fn has_room(&self) -> bool {
        !self.stop.get() && self.distributor.has_room() && self.unseen.is_empty()
    }

    /// Delivers from spools, taken one by one, until nothing is left that could be delivered now.
    /// Calls `worked` after each step.
    pub async fn drain(
        &mut self,
        spools: impl IntoIterator<Item = Spool>,
        worked: &mut dyn FnMut(),
    ) {
        let mut spools = spools.into_iter();
        loop {
            if self.has_room()
                && let Some(spool) = spools.next()
            {
                self.add(&spool);
            } else if !self.step().await {
                return self.end();
            }
            worked();
        }
    }

    /// Works until some progress is made. Returns false if nothing is left to be done.
    pub async fn step(&mut self) -> bool {
        if self.stop.get() {
            self.distributor.end();
        }
        if self.limits.is_over() {
            self.distributor.wait_no_longer();
        }
        if self.handed_on.elapsed() >= HANDED_ON {
            self.hand_on(Instant::now() + STEP, false);
        }
        if !self.is_over() {
            self.start();
        }
        let now = Instant::now();
        let has_work = self.has_work(now);
        if has_work && now.duration_since(self.last_step) >= STEP {
            self.work_on_disk();
            return true;
        }
        let is_idle = self.running.is_empty() && self.distributor.is_idle();
        if is_idle && !has_work && self.shortage.until().is_none() {
            self.hand_on(Instant::now() + HANDED_ON, false);
            return false;
        }
        let wake = self.next_wake().unwrap_or(now + STALLED);
        tokio::select! {
            biased;
            Some(finished) = self.running.next() => self.finish(finished),
            () = tokio::task::yield_now(), if has_work => self.work_on_disk(),
            () = tokio::time::sleep_until(wake), if !has_work => {}
        }
        true
    }

    /// Schedules the queues whose time has come. Returns the time of the next.
    pub fn line_up_due(&mut self) -> Option<SystemTime> {
        for (spool, key) in self.agenda.take_come(self.host.now()) {
            self.look_into(&spool, key.1);
        }
        self.agenda.next()
    }

    /// Returns the number of queues whose last attempt failed, and of those read again later.
    pub fn counts(&self) -> (usize, usize) {
        (self.receivers.failing(), self.agenda.len())
    }

    fn has_work(&mut self, now: Instant) -> bool {
        let looks = !self.unseen.is_empty() && !self.is_over();
        looks && self.shortage.until().is_none() || self.distributor.is_ready(now)
    }

    /// Saves the state of receivers for other flushes, for one step.
    fn hand_on(&mut self, end: Instant, ends: bool) {
        self.handed_on = Instant::now();
        let spool_at = |root: &Path| self.spools.get(root).map(|(spool, _)| spool);
        self.receivers
            .save(spool_at, || Instant::now() <= end, ends);
    }

    /// Saves everything for other flushes.
    pub fn end(&mut self) {
        self.hand_on(Instant::now() + HANDED_ON, true);
    }

    /// Looks into queues whose receiver is back.
    fn wake(&mut self) {
        for key in self.receivers.take_woken() {
            if let Some((spool, _)) = self.spools.get(&key.0) {
                let spool = spool.clone();
                self.look_into(&spool, key.1);
            }
        }
    }

    fn is_over(&self) -> bool {
        self.stop.get() || self.limits.is_over()
    }

    /// Returns the time at which `new/` is tried again, or a turn becomes slow and leaves its place.
    fn next_wake(&mut self) -> Option<Instant> {
        let room = self.lines.next_room();
        let wakes = room.into_iter().chain(self.distributor.next_ready());
        wakes.chain(self.shortage.until()).min()
    }

    fn look_into(&mut self, spool: &Spool, queue: Queue) {
        if queue.is_service() {
            self.host.waits_for_service(spool);
        // A busy queue is looked into when its turn is over.
        } else if self.busy.insert(key(spool, &queue)) {
            self.unseen.push_back((spool.clone(), queue));
        }
    }

    /// Uses the disk for one step.
    fn work_on_disk(&mut self) {
        let end = Instant::now() + STEP;
        while !self.is_over()
            && self.shortage.until().is_none()
            && Instant::now() < end
            && let Some((spool, queue)) = self.unseen.pop_front()
        {
            let (key, now) = (key(&spool, &queue), self.host.now());
            if self.agenda.waits(&spool, &key, &self.receivers, now) {
                self.busy.remove(&key);
                continue;
            }
            match read(&spool, &queue) {
                Ok(standing) => self.place(spool, queue, &standing),
                Err(error) if self.shortage.begins(error.is_want_of_files()) => {
                    self.unseen.push_front((spool, queue));
                }
                Err(error) => {
                    self.busy.remove(&key);
                    self.host.worked(&spool, &queue, &Err(error.into()));
                }
            }
        }
        if let Some((spool, queues)) = self.distributor.step(end) {
            for queue in queues {
                let key = key(&spool, &queue);
                if self.agenda.came(&key, self.host.now()) {
                    self.look_into(&spool, queue);
                }
            }
        }
        self.last_step = Instant::now();
    }

    /// Schedules a queue by its contents.
    fn place(&mut self, spool: Spool, queue: Queue, standing: &Standing) {
        let (key, now) = (key(&spool, &queue), self.host.now());
        let verdict = self
            .agenda
            .judge(&spool, &key, standing, &self.receivers, now);
        match verdict {
            Verdict::Due => self.lines.push(spool, queue, standing.has_failed()),
            Verdict::Probe => {
                self.probes.insert(key);
                self.lines.push(spool, queue, true);
            }
            Verdict::Waits => drop(self.busy.remove(&key)),
        }
    }

    /// Starts all the turns that there is room for.
    fn start(&mut self) {
        while let Some((spool, queue)) = self.lines.next() {
            match self.crowd.admit(&spool, &queue, &self.receivers) {
                Admitted::Turn(counted) => self.start_one(spool, queue, counted),
                Admitted::Waits => self.lines.give_back(&key(&spool, &queue)),
            }
        }
    }

    /// Makes queues ready whose receiver has room again.
    fn make_room(&mut self) {
        for (spool, queue) in self.crowd.take_free(&self.receivers) {
            self.lines.push(spool, queue, false);
        }
    }

    fn start_one(&mut self, spool: Spool, queue: Queue, counted: Option<Visit>) {
        let key = key(&spool, &queue);
        let known = self.spools.get(&key.0);
        let agent = DeliveryAgent {
            spool,
            client: self.client,
            outside: self.host,
            limits: self.limits,
            receivers: self.receivers.clone(),
            is_probe: self.probes.remove(&key),
            may_expire: known.is_some_and(|(_, is_settled)| *is_settled),
            stop: self.stop,
            only: None,
        };
        let turn = take_turn(agent, queue, counted);
        self.running.push(Box::pin(turn));
    }

    fn finish(&mut self, finished: Finished) {
        let key = key(&finished.spool, &finished.queue);
        self.lines.leave(&key, finished.has_only_delivered());
        self.make_room();
        let (spool, queue) = (finished.spool, finished.queue);
        let Some(result) = finished.result else {
            return self.taken(&spool, &queue);
        };
        let is_short = matches!(&result, Err(error) if error.is_want_of_files());
        if self.shortage.begins(is_short) {
            return self.unseen.push_back((spool, queue));
        }
        if result.is_ok() {
            self.shortage.ends();
        }
        self.host.worked(&spool, &queue, &result);
        self.wake();
        let report = result.unwrap_or_else(|_| LaneReport::of(Left::Fault));
        if let Some(Left::Down { until }) = report.left {
            self.busy.remove(&key);
            let held = self.receivers.held(&key, self.host.now());
            let from = held.map(|(_, from)| from);
            return self.agenda.wait(&spool, &key, until, from);
        }
        if report.is_more_due() {
            if finished.is_probe && !report.has_progressed() {
                self.probes.insert(key.clone());
            }
            if let Some(origin) = report.receiver {
                self.crowd.note(&key, origin);
            }
            self.stalled.remove(&key);
            return self.lines.push(spool, queue, false);
        }
        let standing = spool.standing(&queue).unwrap_or_default();
        let is_stopped = report.left == Some(Left::Fault) && !self.agenda.is_fresh(&key);
        let is_due = Agenda::is_due(&standing, self.host.now());
        if report.has_progressed() || !is_due {
            self.stalled.remove(&key);
        }
        if is_due && is_stopped {
            self.busy.remove(&key);
        } else if is_due
            && !report.has_progressed()
            && !self.agenda.is_fresh(&key)
            && !self.stalled.insert(key.clone())
        {
            self.busy.remove(&key);
            let time = self.host.now() + STALLED;
            self.agenda.wait(&spool, &key, time, None);
        } else {
            // Another process may have found the queue taken, and left it.
            self.place(spool, queue, &standing);
        }
    }

    /// Has a queue read again soon that another process delivers from.
    fn taken(&mut self, spool: &Spool, queue: &Queue) {
        let key = key(spool, queue);
        self.busy.remove(&key);
        // That process looks once more after letting go. A queue that is gone is forgotten.
        let standing = spool.standing(queue).unwrap_or_default();
        if standing.next_due().is_some() {
            let time = self.host.now() + BUSY;
            self.agenda.wait(spool, &key, time, None);
        }
    }
}
