//! Many queues side by side: which of them is worked on, and when again.

use std::cell::Cell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;

use super::client::Client;
use super::courier::{Courier, LaneReport, Left, Limits, Outside};
use super::turns::{Ended, Turns};
use crate::payload::Message;
use crate::spool::{
    Admission, Built, Distributed, Header, IoError, Queue, Shared, Spool, SpoolError,
};

/// How many queues are worked on side by side.
const SIDE_BY_SIDE: usize = 8;

/// A queue that another process works on is looked at again after this.
const BUSY: Duration = Duration::from_millis(500);

/// What a flush takes from outside, and whom it tells what happened.
pub trait Surveyor: Outside {
    /// Builds the messages of a push that could only be recorded.
    fn build(&self, header: &Header) -> Result<Built<Message>, String>;
    /// Whether this account may announce what an entry in a mail drop says.
    fn admit(&self, account: u32, header: &Header) -> Admission;
    /// A spool's entries were delivered or brought to their queues, or were not.
    fn distributed(&self, spool: &Spool, result: Result<Distributed, IoError>);
    /// A queue was worked on.
    fn worked(&self, spool: &Spool, queue: &Queue, result: &Result<LaneReport, SpoolError>);
}

/// One queue of one spool.
type Key = (PathBuf, Queue);

/// A queue that was worked on, and what came of it.
struct Finished {
    spool: Spool,
    queue: Queue,
    /// `None`: another process has the queue.
    result: Option<Result<LaneReport, SpoolError>>,
}

/// A flush under way.
pub struct Flush<'a> {
    client: &'a Client,
    world: &'a dyn Surveyor,
    limits: Limits,
    stop: &'a Cell<bool>,
    running: FuturesUnordered<LocalBoxFuture<'a, Finished>>,
    turns: Turns<'a>,
    busy: HashSet<Key>,
    /// Something came for a queue while it was being worked on.
    again: HashSet<Key>,
    /// Queues whose last run changed nothing although something was due.
    stalled: HashSet<Key>,
    waiting: VecDeque<(Spool, Queue)>,
    due: HashMap<Key, (Spool, SystemTime)>,
    shared: Rc<Shared>,
}

impl<'a> Flush<'a> {
    /// A flush with nothing to do yet. Once `stop` is set, no attempt begins.
    pub fn new(
        client: &'a Client,
        world: &'a dyn Surveyor,
        limits: Limits,
        stop: &'a Cell<bool>,
    ) -> Self {
        Self {
            client,
            world,
            limits,
            stop,
            running: FuturesUnordered::new(),
            turns: Turns::default(),
            busy: HashSet::new(),
            again: HashSet::new(),
            stalled: HashSet::new(),
            waiting: VecDeque::new(),
            due: HashMap::new(),
            shared: Rc::new(Shared::closed_aside()),
        }
    }

    /// Takes hold of a spool's entries, and lines its queues up.
    pub fn add(&mut self, spool: &Spool) {
        let ended = self
            .turns
            .begin(spool, self.world, &self.shared, Instant::now());
        self.line_up_all(spool);
        self.end(ended);
    }

    fn line_up_all(&mut self, spool: &Spool) {
        match spool.queues() {
            Ok(queues) => {
                for queue in queues {
                    self.line_up(spool.clone(), queue);
                }
            }
            Err(error) => self.world.distributed(spool, Err(error)),
        }
    }

    /// Tells what became of a spool's entries, and lines up the queues that they went to.
    /// Whether there was anything to tell.
    fn end(&mut self, ended: Option<Ended>) -> bool {
        let Some(Ended {
            spool,
            result,
            again,
        }) = ended
        else {
            return false;
        };
        let queues = result.as_ref().map(|done| done.queues.clone());
        let queues = queues.unwrap_or_default();
        self.world.distributed(&spool, result);
        if again {
            self.add(&spool);
            return true;
        }
        for queue in queues {
            self.line_up_if_idle(&spool, queue);
        }
        true
    }

    /// Lines a queue up that got something, unless it is worked on, or known to be held.
    fn line_up_if_idle(&mut self, spool: &Spool, queue: Queue) {
        let key = (spool.root().to_owned(), queue.clone());
        let is_known = self.busy.contains(&key) || self.due.contains_key(&key);
        let waits = |spool: &Spool| {
            spool
                .standing(&queue)
                .is_ok_and(|it| it.next_due().is_some())
        };
        if !is_known && waits(spool) {
            self.line_up(spool.clone(), queue);
        }
    }

    /// Works until nothing is left that could be delivered now. Takes the spools
    /// one by one, as there is room, and calls `worked` after each queue.
    pub async fn drain(
        &mut self,
        spools: impl IntoIterator<Item = Spool>,
        worked: &mut dyn FnMut(),
    ) {
        let mut spools = spools.into_iter();
        loop {
            self.start();
            let has_room = self.running.len() < SIDE_BY_SIDE && !self.stop.get();
            if let Some(spool) = has_room.then(|| spools.next()).flatten() {
                self.add(&spool);
                continue;
            }
            if !self.step().await {
                return;
            }
            worked();
        }
    }

    /// Works until something is done; false if nothing is left to be done.
    pub async fn step(&mut self) -> bool {
        self.start();
        if self.running.is_empty() && self.turns.is_empty() {
            return false;
        }
        let next_end = self.turns.next_end();
        tokio::select! {
            Some(finished) = self.running.next() => self.finish(finished),
            () = until(next_end) => while {
                let ended = self.turns.pass(Instant::now());
                self.end(ended)
            } {},
        }
        true
    }

    /// Works on; while there is nothing to do, waits for ever.
    pub async fn work(&mut self) {
        if !self.step().await {
            std::future::pending::<()>().await;
        }
    }

    /// Lines up the queues whose time has come. Gives the time of the next.
    pub fn line_up_due(&mut self) -> Option<SystemTime> {
        let now = self.world.now();
        let come: Vec<Key> = self
            .due
            .iter()
            .filter(|(_, (_, due))| *due <= now)
            .map(|(key, _)| key.clone())
            .collect();
        for key in come {
            if let Some((spool, _)) = self.due.remove(&key) {
                self.line_up(spool, key.1);
            }
        }
        self.due.values().map(|(_, due)| *due).min()
    }

    fn line_up(&mut self, spool: Spool, queue: Queue) {
        let key = (spool.root().to_owned(), queue.clone());
        if self.busy.insert(key.clone()) {
            self.waiting.push_back((spool, queue));
        } else {
            self.again.insert(key);
        }
    }

    /// Starts all that there is room for.
    fn start(&mut self) {
        loop {
            while self.running.len() < SIDE_BY_SIDE
                && let Some((spool, queue)) = self.waiting.pop_front()
            {
                self.start_one(spool, queue);
            }
            let mut ended = self.turns.end_deserted();
            if ended.is_none() && (self.stop.get() || self.limits.is_over()) {
                ended = self.turns.end_waiting();
            }
            if !self.end(ended) {
                return;
            }
        }
    }

    fn start_one(&mut self, spool: Spool, queue: Queue) {
        let (client, world, limits, stop) = (self.client, self.world, self.limits, self.stop);
        let shared = Rc::clone(&self.shared);
        let held = spool.clone().held_open();
        let active = self.turns.active(&spool);
        // Before any of them goes on: what is taken from `new/` is for all that are here.
        let lane = held
            .lane(&queue)
            .map(|lane| lane.map(|lane| lane.joining(active)));
        self.running.push(Box::pin(async move {
            let outside: &dyn Outside = world;
            let result = match lane {
                Ok(None) => None,
                Err(error) => Some(Err(error.into())),
                Ok(Some(lane)) => {
                    let courier = Courier {
                        spool: &held,
                        client,
                        shared: &shared,
                        outside,
                        limits,
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

    /// Whether a queue with something due is to be looked at again.
    fn may_go_on(result: &Result<LaneReport, SpoolError>) -> bool {
        let left = result.as_ref().map(|report| &report.left);
        matches!(left, Ok(None | Some(Left::NotDue)))
    }

    fn finish(&mut self, finished: Finished) {
        let Finished {
            spool,
            queue,
            result,
        } = finished;
        let key = (spool.root().to_owned(), queue.clone());
        self.busy.remove(&key);
        let mut again = self.again.remove(&key);
        match &result {
            // Whoever has it looks once more after letting go, as we do below.
            None => drop(
                self.due
                    .insert(key, (spool.clone(), self.world.now() + BUSY)),
            ),
            Some(result) => {
                self.world.worked(&spool, &queue, result);
                let standing = spool.standing(&queue).unwrap_or_default();
                let now = self.world.now();
                match standing.next_due() {
                    Some(next) if next > now => {
                        self.due.insert(key, (spool.clone(), next));
                    }
                    // It is due and there: another process found the queue taken and left
                    // it. What a fault of ours stops is tried when things change.
                    Some(_) if Self::may_go_on(result) => {
                        let has_progressed = result.as_ref().is_ok_and(LaneReport::has_progressed);
                        if has_progressed {
                            self.stalled.remove(&key);
                        }
                        // A second run without progress would not be the last one.
                        if has_progressed || self.stalled.insert(key.clone()) {
                            again = true;
                        } else {
                            self.due.insert(key, (spool.clone(), now + BUSY));
                        }
                    }
                    Some(_) => {}
                    None => {}
                }
            }
        }
        if again && !self.stop.get() && !self.limits.is_over() {
            self.line_up(spool, queue);
        }
    }
}

/// Ends at this time; never, if there is none.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}
