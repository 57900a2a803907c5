//! Many queues side by side: which of them is worked on, and when again.

use std::cell::Cell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;

use super::client::Client;
use super::courier::{Courier, LaneReport, Left, Limits, Outside};
use crate::payload::Message;
use crate::spool::{
    Admission, Built, Distributed, Header, Id, IoError, Lock, Queue, Shared, Spool, SpoolError,
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
    /// A spool's entries were brought to their queues, or were not.
    fn distributed(&self, spool: &Spool, result: Result<Distributed<String>, IoError>);
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
    busy: HashSet<Key>,
    /// Something came for a queue while it was being worked on.
    again: HashSet<Key>,
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
            busy: HashSet::new(),
            again: HashSet::new(),
            waiting: VecDeque::new(),
            due: HashMap::new(),
            shared: Rc::new(Shared::closed_aside()),
        }
    }

    /// Brings a spool's entries to their queues, and lines the queues up.
    pub fn add(&mut self, spool: &Spool) {
        let world = self.world;
        let build = |_: &Id, header: &_| world.build(header);
        let admit = |account, header: &_| world.admit(account, header);
        match spool
            .clone()
            .held_open()
            .distribute(Lock::Wait, build, admit)
        {
            Ok(Some(done)) => world.distributed(spool, Ok(done)),
            Ok(None) => {}
            Err(error) => world.distributed(spool, Err(error)),
        }
        match spool.queues() {
            Ok(queues) => {
                for queue in queues {
                    self.line_up(spool.clone(), queue);
                }
            }
            Err(error) => world.distributed(spool, Err(error)),
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
            while self.waiting.len() < SIDE_BY_SIDE && !self.stop.get() {
                match spools.next() {
                    Some(spool) => self.add(&spool),
                    None => break,
                }
            }
            if !self.step().await {
                return;
            }
            worked();
        }
    }

    /// Works until some queue is done with; false if none is being worked on.
    pub async fn step(&mut self) -> bool {
        self.start();
        match self.running.next().await {
            Some(finished) => {
                self.finish(finished);
                true
            }
            None => false,
        }
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

    fn start(&mut self) {
        while self.running.len() < SIDE_BY_SIDE
            && let Some((spool, queue)) = self.waiting.pop_front()
        {
            let (client, world, limits, stop) = (self.client, self.world, self.limits, self.stop);
            let shared = Rc::clone(&self.shared);
            let held = spool.clone().held_open();
            self.running.push(Box::pin(async move {
                let outside: &dyn Outside = world;
                let result = match held.lane(&queue) {
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
                let left = result.as_ref().ok().map(|report| &report.left);
                let standing = spool.standing(&queue).unwrap_or_default();
                match standing.next_due() {
                    Some(next) if next > self.world.now() => {
                        self.due.insert(key, (spool.clone(), next));
                    }
                    // It is due and there: somebody who found the queue taken left it.
                    // What a fault of ours stops is tried when things change.
                    Some(_) => again |= matches!(left, Some(None | Some(Left::NotDue))),
                    None => {}
                }
            }
        }
        if again && !self.stop.get() && !self.limits.is_over() {
            self.line_up(spool, queue);
        }
    }
}
