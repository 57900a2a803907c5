//! Decides which queue is worked on, and when again.
//!
//! - Work that touches the disk is done in steps of some milliseconds. Between two steps
//!   answers are taken in, timers run and signals are heard.
//! - A queue is worked on for one turn, then the next one that is due. Queues whose head has
//!   never failed go first.
//! - A turn that lasts longer than a second, or that begins with a head that has failed, is
//!   *slow*. Slow turns have places of their own, so that receivers that hang hold up nobody.
//! - Whatever is looked at again has a time at which it is due. A queue whose turn changed
//!   nothing is looked into again once, then after 20 seconds.
//! - Once the budget is over, or the run is told to end, no attempt begins. What was begun is
//!   ended by its own timeout.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::client::Transport;
use super::courier::{Courier, LaneReport, Left, Limits, Outside};
use super::distributor::Distributor;
use super::hosts::{Hosts, Origin};
use crate::config::Retry;
use crate::payload::Message;
use crate::spool::{
    Admission, Built, Distributed, Header, IoError, Queue, Spool, SpoolError, Standing,
};

/// Turns at once that are not slow, and that are.
const QUICK_PLACES: usize = 64;
const SLOW_PLACES: usize = 256;
/// File descriptors that a turn takes: folders, the lock, the log, entries, a connection.
const DESCRIPTORS: usize = 12;
/// From this age on a turn is slow.
const SLOW_AFTER: Duration = Duration::from_secs(1);
/// How long a turn lasts: no attempt begins later in it.
const TURN: Duration = Duration::from_millis(250);
/// How long the disk is used before answers are taken in.
pub(super) const STEP: Duration = Duration::from_millis(5);
/// When a queue is looked into again that another process has.
const BUSY: Duration = Duration::from_millis(500);
/// When a queue is looked into again that two turns did not change.
const STALLED: Duration = Duration::from_secs(20);

/// What a flush takes from outside, and whom it tells what happened.
pub trait Surveyor: Outside {
    /// Builds the messages of a push that could only be recorded.
    fn build(&self, header: &Header) -> Result<Built<Message>, String>;
    /// Whether this account may announce what an entry in a mail drop says.
    fn admit(&self, account: u32, header: &Header) -> Admission;
    /// A spool's entries were brought to their queues, or were not.
    fn distributed(&self, spool: &Spool, result: Result<Distributed, IoError>);
    /// A queue was worked on.
    fn worked(&self, spool: &Spool, queue: &Queue, result: &Result<LaneReport, SpoolError>);
}

/// One queue of one spool.
type Key = (PathBuf, Queue);

fn key(spool: &Spool, queue: &Queue) -> Key {
    (spool.root().to_owned(), queue.clone())
}

/// When a queue is looked into again.
struct Due {
    spool: Spool,
    time: SystemTime,
    /// Whether everything that comes for the queue waits until then too.
    is_held: bool,
}

/// A turn under way.
struct Turn {
    started: Instant,
    /// Whether the queue's head had failed when it began.
    is_failing: bool,
}

impl Turn {
    fn is_slow(&self, now: Instant) -> bool {
        self.is_failing || now.duration_since(self.started) >= SLOW_AFTER
    }
}

/// A turn that is over, and what came of it.
struct Finished {
    spool: Spool,
    queue: Queue,
    /// `None`: another process has the queue.
    result: Option<Result<LaneReport, SpoolError>>,
}

/// A flush under way.
pub struct Scheduler<'a> {
    client: &'a dyn Transport,
    world: &'a dyn Surveyor,
    limits: Limits,
    stop: &'a Cell<bool>,
    distributor: Distributor<'a>,
    /// Queues of which nothing is known yet.
    unseen: VecDeque<(Spool, Queue)>,
    /// Queues that are due: those whose head never failed, and the others.
    ready: VecDeque<(Spool, Queue)>,
    failing: VecDeque<(Spool, Queue)>,
    /// Queues in one of these lists or in `crowded`, or having their turn.
    busy: BTreeSet<Key>,
    /// Queues whose receiver has as many requests as may be.
    crowded: BTreeMap<Origin, VecDeque<(Spool, Queue)>>,
    hosts: Hosts,
    quick_places: usize,
    slow_places: usize,
    running: FuturesUnordered<LocalBoxFuture<'a, Finished>>,
    turns: BTreeMap<Key, Turn>,
    /// Queues that something came for while they were busy.
    again: BTreeSet<Key>,
    /// Queues whose last turn changed nothing although something was due.
    stalled: BTreeSet<Key>,
    due: BTreeMap<Key, Due>,
    last_step: Instant,
}

impl<'a> Scheduler<'a> {
    /// A flush with nothing to do yet, which opens about so many file `descriptors` at most.
    /// Once `stop` is set, no attempt begins.
    pub fn new(
        client: &'a dyn Transport,
        world: &'a dyn Surveyor,
        limits: Limits,
        stop: &'a Cell<bool>,
        descriptors: usize,
    ) -> Self {
        let places = (descriptors / DESCRIPTORS).max(2);
        Self {
            client,
            world,
            limits,
            stop,
            distributor: Distributor::new(world),
            unseen: VecDeque::new(),
            ready: VecDeque::new(),
            failing: VecDeque::new(),
            crowded: BTreeMap::new(),
            hosts: Hosts::default(),
            quick_places: QUICK_PLACES.min(places / 2),
            slow_places: SLOW_PLACES.min(places / 2),
            busy: BTreeSet::new(),
            running: FuturesUnordered::new(),
            turns: BTreeMap::new(),
            again: BTreeSet::new(),
            stalled: BTreeSet::new(),
            due: BTreeMap::new(),
            last_step: Instant::now(),
        }
    }

    /// Schedules a spool: what is in `new/`, and each of its queues.
    pub fn add(&mut self, spool: &Spool) {
        self.distributor.add(spool);
        match spool.queues() {
            Ok(queues) => {
                for queue in queues {
                    self.look_into(spool, queue);
                }
            }
            Err(error) => self.world.distributed(spool, Err(error)),
        }
    }

    /// Releases a spool's `new/`, so that the caller can lock it before it adds the spool.
    pub fn pause(&mut self, spool: &Spool) {
        self.distributor.pause(spool);
    }

    /// Works until nothing is left that could be delivered now. Takes the spools one by one,
    /// as there is room, and calls `worked` after each step.
    pub async fn drain(
        &mut self,
        spools: impl IntoIterator<Item = Spool>,
        worked: &mut dyn FnMut(),
    ) {
        let mut spools = spools.into_iter();
        loop {
            let has_room =
                !self.stop.get() && self.distributor.has_room() && self.unseen.is_empty();
            if has_room && let Some(spool) = spools.next() {
                self.add(&spool);
            } else if !self.step().await {
                return;
            }
            worked();
        }
    }

    /// Works until something is done. Returns false if nothing is left to be done.
    pub async fn step(&mut self) -> bool {
        if self.stop.get() {
            self.distributor.end();
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
        if self.running.is_empty() && !has_work && self.distributor.is_idle() {
            return false;
        }
        let wake = self.next_wake(now);
        tokio::select! {
            biased;
            Some(finished) = self.running.next() => self.finish(finished),
            () = tokio::task::yield_now(), if has_work => self.work_on_disk(),
            () = until(wake), if !has_work => {}
        }
        true
    }

    /// Works on. While there is nothing to do, waits for ever.
    pub async fn work(&mut self) {
        if !self.step().await {
            std::future::pending::<()>().await;
        }
    }

    /// Schedules the queues whose time has come. Returns the time of the next.
    pub fn line_up_due(&mut self) -> Option<SystemTime> {
        let now = self.world.now();
        let come: Vec<Key> = self
            .due
            .iter()
            .filter(|(_, due)| due.time <= now)
            .map(|(key, _)| key.clone())
            .collect();
        for key in come {
            if let Some(due) = self.due.remove(&key) {
                self.look_into(&due.spool, key.1);
            }
        }
        self.due.values().map(|due| due.time).min()
    }

    fn has_work(&self, now: Instant) -> bool {
        let looks = !self.unseen.is_empty() && !self.is_over();
        looks || self.distributor.is_ready(now)
    }

    /// Whether a queue has something to be tried now. What the schedule of one repository
    /// says of a due time far ahead, its turn finds out.
    fn is_due(&self, standing: &Standing) -> bool {
        standing.is_due(self.world.now(), Retry::default().longest_delay())
    }

    fn wait(&mut self, spool: &Spool, queue: &Queue, time: SystemTime, is_held: bool) {
        let due = Due {
            spool: spool.clone(),
            time,
            is_held,
        };
        self.due.insert(key(spool, queue), due);
    }

    fn is_over(&self) -> bool {
        self.stop.get() || self.limits.is_over()
    }

    /// When something changes by time alone: another process may be done with `new/`, or a
    /// turn becomes slow and leaves its place.
    fn next_wake(&self, now: Instant) -> Option<Instant> {
        let waits = !self.ready.is_empty() || !self.failing.is_empty();
        let turns = self.turns.values().filter(|turn| !turn.is_slow(now));
        let slow = turns.map(|turn| turn.started + SLOW_AFTER).min();
        let slow = slow.filter(|_| waits);
        slow.into_iter().chain(self.distributor.next_ready()).min()
    }

    fn look_into(&mut self, spool: &Spool, queue: Queue) {
        let key = key(spool, &queue);
        if self.busy.insert(key.clone()) {
            self.unseen.push_back((spool.clone(), queue));
        } else {
            self.again.insert(key);
        }
    }

    /// Uses the disk for one step.
    fn work_on_disk(&mut self) {
        let end = Instant::now() + STEP;
        while !self.is_over()
            && Instant::now() < end
            && let Some((spool, queue)) = self.unseen.pop_front()
        {
            match spool.standing(&queue) {
                Ok(standing) => self.place(spool, queue, &standing),
                Err(error) => {
                    self.busy.remove(&key(&spool, &queue));
                    self.world.worked(&spool, &queue, &Err(error.into()));
                }
            }
        }
        if let Some((spool, queues)) = self.distributor.step(end) {
            for queue in queues {
                let due = self.due.get(&key(&spool, &queue));
                if due.is_none_or(|due| !due.is_held) {
                    self.look_into(&spool, queue);
                }
            }
        }
        self.last_step = Instant::now();
    }

    /// Puts a queue where it belongs, by what is in it.
    fn place(&mut self, spool: Spool, queue: Queue, standing: &Standing) {
        let key = key(&spool, &queue);
        match standing.next_due() {
            Some(_) if self.is_due(standing) => {
                let is_failing = standing.has_failed();
                let list = if is_failing {
                    &mut self.failing
                } else {
                    &mut self.ready
                };
                list.push_back((spool, queue));
                return;
            }
            Some(time) => {
                let is_held = standing.head.is_some();
                self.wait(&spool, &queue, time, is_held);
            }
            None => {}
        }
        self.busy.remove(&key);
        if self.again.remove(&key) {
            self.look_into(&spool, queue);
        }
    }

    /// Starts all the turns that there is room for.
    fn start(&mut self) {
        let now = Instant::now();
        let slow = self.turns.values().filter(|turn| turn.is_slow(now)).count();
        let (mut slow, mut quick) = (slow, self.turns.len() - slow);
        while quick < self.quick_places
            && quick + slow < self.quick_places + self.slow_places
            && let Some((spool, queue)) = self.ready.pop_front()
        {
            quick += 1;
            self.start_one(spool, queue, false);
        }
        while slow < self.slow_places
            && let Some((spool, queue)) = self.failing.pop_front()
        {
            slow += 1;
            self.start_one(spool, queue, true);
        }
    }

    /// Makes queues ready whose receiver has room again.
    fn make_room(&mut self) {
        for (origin, crowded) in &mut self.crowded {
            let count = self.hosts.room(origin).min(crowded.len());
            // First of all: the receiver answers, and their turn came before.
            for queue in crowded.drain(..count).rev() {
                self.ready.push_front(queue);
            }
        }
        self.crowded.retain(|_, crowded| !crowded.is_empty());
    }

    fn start_one(&mut self, spool: Spool, queue: Queue, is_failing: bool) {
        let (client, world, stop) = (self.client, self.world, self.stop);
        let started = Instant::now();
        let turn = Turn {
            started,
            is_failing,
        };
        self.turns.insert(key(&spool, &queue), turn);
        let (limits, hosts) = (self.limits, self.hosts.clone());
        self.running.push(Box::pin(async move {
            let outside: &dyn Outside = world;
            let result = match spool.lane(&queue) {
                Ok(None) => None,
                Err(error) => Some(Err(error.into())),
                Ok(Some(lane)) => {
                    let courier = Courier {
                        spool: &spool,
                        client,
                        outside,
                        limits,
                        turn: Some(TURN),
                        hosts: Some(&hosts),
                        stop,
                        only: None,
                    };
                    Some(courier.run(&lane).await)
                }
            };
            Finished {
                spool,
                queue,
                result,
            }
        }));
    }

    fn finish(&mut self, finished: Finished) {
        let Finished {
            spool,
            queue,
            result,
        } = finished;
        let key = key(&spool, &queue);
        self.turns.remove(&key);
        let standing = spool.standing(&queue).unwrap_or_default();
        let Some(result) = result else {
            self.busy.remove(&key);
            // Whoever has it looks once more after letting go, as is done below. A queue that
            // is gone is forgotten.
            if standing.next_due().is_some() {
                self.wait(&spool, &queue, self.world.now() + BUSY, false);
            }
            return;
        };
        self.world.worked(&spool, &queue, &result);
        self.make_room();
        let report = result.unwrap_or_else(|_| LaneReport {
            left: Some(Left::Fault),
            ..LaneReport::default()
        });
        if let Some(Left::Crowded(origin)) = &report.left {
            let crowded = self.crowded.entry(origin.clone()).or_default();
            crowded.push_back((spool, queue));
            return self.make_room();
        }
        // What a fault of ours stops is tried when things change.
        let is_stopped = report.left == Some(Left::Fault) && !self.again.contains(&key);
        let is_due = self.is_due(&standing);
        if report.has_progressed() || !is_due {
            self.stalled.remove(&key);
        }
        if is_due && is_stopped {
            self.busy.remove(&key);
        } else if is_due && !report.has_progressed() && !self.stalled.insert(key.clone()) {
            self.busy.remove(&key);
            self.again.remove(&key);
            self.wait(&spool, &queue, self.world.now() + STALLED, false);
        } else {
            // Another process may have found the queue taken, and left it.
            self.again.remove(&key);
            self.place(spool, queue, &standing);
        }
    }
}

/// Ends at this time. Without one, never.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
