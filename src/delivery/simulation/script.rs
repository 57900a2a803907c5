//! A run: its processes, pushes and other events.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::super::agent::{Limits, Outside};
use super::super::scheduler::Scheduler;
use super::BUDGET;
use super::LONG;
use super::messages::config;
use super::simulated::{ENDPOINTS, Manner, REPOSITORIES, Simulated};
use crate::spool::{Claim, Draft, Id};

/// Pushes of a run, at most.
const PUSHES: usize = 30;
/// Processes of a run, at most.
const PROCESSES: u64 = 20;
/// Steps that the engine may take at one instant, for each event and message so far.
const STEPS: usize = 2_000;
/// Times that the engine may be woken between two events, and some more for each attempt.
const LOOKS: usize = 1_000;
/// Longest time between two events while a hook composes. An entry waits a minute for it.
const COMPOSING: Duration = Duration::from_secs(10);
/// Interval at which the watch looks at everything.
const LOOK_AROUND: Duration = Duration::from_hours(1);
/// Receivers that choke do so at messages whose number this divides.
pub(super) const CHOKES: u64 = 3;
/// Time after which the messages that they choke at have stepped aside.
///
/// An endpoint that said that it was gone is tried again after a day.
const PASSED: Duration = Duration::from_hours(3 * 24);
/// Longest time of an attempt, by default.
const ATTEMPT: Duration = Duration::from_mins(1);
/// Interval at which a queue may have a turn that attempts nothing, beside those after attempts.
const IDLE_TURN: Duration = Duration::from_secs(20);
/// Time after which, with healthy receivers, nothing waits.
///
/// A jump of the clock can leave a few messages one after another that each wait for the longest
/// delay.
const PATIENCE: Duration = Duration::from_hours(10 * 24);

/// A push and its recipients.
pub(super) struct Push {
    pub(super) repository: usize,
    /// The recipients. `None` if only its ref updates were recorded: it goes to the endpoints that
    /// are configured when its messages are built.
    pub(super) endpoints: Option<Vec<String>>,
    pub(super) at: Instant,
    /// Endpoints that nothing else waits for, and that answer at once.
    pub(super) quick: Vec<String>,
}

/// A hook that composes.
pub(super) struct Composing {
    pub(super) claim: Claim,
    pub(super) draft: Draft,
    /// Number of events since it began.
    pub(super) events: u32,
}

pub(super) struct Script {
    pub(super) simulated: Rc<Simulated>,
    pub(super) pushes: Vec<Push>,
    /// The last push that moved each repository's branch.
    pub(super) branches: BTreeMap<usize, u64>,
    /// Attempts that kills may have kept from being logged.
    pub(super) unlogged: usize,
    /// Endpoints that were not configured for a while: what waited is in `failed/`, or was
    /// retried from there.
    pub(super) disturbed: BTreeSet<String>,
    /// Repositories that were gone for a while.
    pub(super) gone: BTreeSet<usize>,
    /// Times at which accepted messages may not be crossed off: kills, and full disks.
    pub(super) lapses: Vec<(Instant, Option<Instant>)>,
    /// Jumps of the clock: when, and how far. After one, messages can wait for long.
    pub(super) jumps: Vec<(Instant, Duration)>,
    /// Beginnings of processes.
    pub(super) begun: Vec<Instant>,
    /// Hooks that compose: each has its place in the order.
    pub(super) composing: Vec<Composing>,
    /// A push whose pusher waits: its entry, repository and endpoints.
    pub(super) in_sync: Option<(Id, PathBuf, Vec<String>)>,
    /// Messages that an operator dropped, by endpoint and number.
    pub(super) dropped: BTreeSet<(String, u64)>,
    /// Messages that an operator handed over, by endpoint and number, and to which endpoint.
    pub(super) moved: BTreeMap<(String, u64), String>,
    /// Times of events after a push, and of ends of processes.
    pub(super) events: Vec<Instant>,
}

/// The steps of the engine at one instant.
#[derive(Default)]
struct Steps {
    count: usize,
    at: Option<Instant>,
}

impl Steps {
    /// Counts a step. Asserts that there are not too many, for so many pushes.
    fn count(&mut self, pushes: usize) {
        let now = Some(Instant::now());
        self.count = if self.at == now { self.count + 1 } else { 0 };
        self.at = now;
        assert!(self.count < STEPS + 50 * pushes, "it spins");
    }
}

/// Makes a process with as many turns at once as by default.
fn engine<'a>(simulated: &'a Simulated, limits: Limits, stop: &'a Cell<bool>) -> Scheduler<'a> {
    Scheduler::new(simulated, simulated, limits, stop, 64, 8192)
}

impl Script {
    pub(super) fn new(seed: u64) -> Self {
        let simulated = Simulated::new(seed);
        for n in 0..REPOSITORIES {
            simulated.configure(n, &config(&ENDPOINTS));
        }
        Self {
            simulated: Rc::new(simulated),
            pushes: vec![],
            branches: BTreeMap::new(),
            unlogged: 0,
            disturbed: BTreeSet::new(),
            gone: BTreeSet::new(),
            lapses: vec![],
            jumps: vec![],
            begun: vec![],
            composing: vec![],
            in_sync: None,
            dropped: BTreeSet::new(),
            moved: BTreeMap::new(),
            events: vec![],
        }
    }

    pub(super) async fn run(mut self) {
        let stop = Cell::new(false);
        for _ in 0..PROCESSES {
            // A process begins, and some things happen before it is killed or told to end.
            let simulated = Rc::clone(&self.simulated);
            let mut engine = engine(&simulated, Limits::default(), &stop);
            let (sent, logged) = (simulated.sent.borrow().len(), self.logged());
            let unlogged = self.unlogged;
            let _ = simulated.spool.see_clock(simulated.now());
            self.begun.push(Instant::now());
            engine.add(&simulated.spool);
            loop {
                let long = if self.composing.is_empty() {
                    LONG
                } else {
                    COMPOSING
                };
                let gap = self.simulated.chance.borrow_mut().span(long);
                self.drive(&mut engine, Instant::now() + gap).await;
                self.events.push(Instant::now());
                if self.simulated.chance.borrow_mut().one_in(8) {
                    break;
                }
                let watched = self.compose() || self.happen();
                if watched {
                    engine.add(&self.simulated.spool);
                }
                if let Some((id, repository, endpoints)) = self.in_sync.take() {
                    let end = Instant::now() + BUDGET;
                    let push = self.deliver_now(&id, &repository, &endpoints);
                    tokio::join!(push, self.drive(&mut engine, end));
                }
                if self.pushes.len() >= PUSHES {
                    break;
                }
            }
            if self.simulated.chance.borrow_mut().one_in(2) {
                self.end(&mut engine, &stop).await;
                // What was begun is ended, and each attempt has its line.
                let sent = simulated.sent.borrow().len() - sent;
                let (logged, unlogged) = (self.logged() - logged, self.unlogged - unlogged);
                let is_right = (sent - unlogged.min(sent)..=sent).contains(&logged);
                assert!(is_right, "{logged} lines of {sent} attempts");
            } else {
                self.unlogged += 2 * ENDPOINTS.len();
                self.lapses.push((Instant::now(), Some(Instant::now())));
                self.simulated.under_way.set(0);
                drop(engine);
                self.leave_empty_folders();
            }
            if self.simulated.chance.borrow_mut().one_in(4) {
                self.flush(&stop).await;
            }
            if self.pushes.len() >= PUSHES {
                break;
            }
        }
        self.heal(&stop).await;
        self.judge();
    }

    /// Runs a flush with a budget: it ends by itself, and begins no attempt later.
    async fn flush(&self, stop: &Cell<bool>) {
        let simulated = &*self.simulated;
        let budget = simulated.chance.borrow_mut().span(ATTEMPT);
        let (began, end) = (Instant::now(), Instant::now() + budget);
        let (sent, logged) = (simulated.sent.borrow().len(), self.logged());
        let limits = Limits {
            begin_before: Some(end),
            end_by: None,
        };
        let mut engine = engine(simulated, limits, stop);
        let mut steps = Steps::default();
        let mut worked = || steps.count(self.pushes.len());
        engine.drain([simulated.spool.clone()], &mut worked).await;
        assert!(began.elapsed() <= budget + ATTEMPT, "a flush does not end");
        assert_eq!(simulated.under_way.get(), 0);
        let is_late = simulated.sent.borrow()[sent..]
            .iter()
            .any(|one| one.began > end);
        assert!(!is_late, "an attempt began beyond the budget");
        let (sent, logged) = (simulated.sent.borrow().len() - sent, self.logged() - logged);
        assert!(
            sent == logged || simulated.is_full.get(),
            "{logged} lines of {sent} attempts"
        );
    }

    /// Runs the engine as a watch does.
    pub(super) async fn drive(&self, engine: &mut Scheduler<'_>, end: Instant) {
        let (began, turns) = (Instant::now(), self.simulated.turns.get());
        let sent = self.simulated.sent.borrow().len();
        let looks = self.watch(engine, end).await;
        let turns = self.simulated.turns.get() - turns;
        let sent = self.simulated.sent.borrow().len() - sent;
        let elapsed = began.elapsed();
        let idle = elapsed.as_secs() / IDLE_TURN.as_secs() * ENDPOINTS.len() as u64;
        let idle = usize::try_from(idle).unwrap();
        let is_calm = turns <= 20 + 4 * sent + idle;
        assert!(is_calm, "{turns} turns for {sent} attempts in {elapsed:?}");
        let is_calm = looks <= LOOKS + 20 * sent + idle;
        assert!(is_calm, "{looks} looks for {sent} attempts in {elapsed:?}");
    }

    /// Returns the number of times that the engine was woken.
    async fn watch(&self, engine: &mut Scheduler<'_>, end: Instant) -> usize {
        let (mut looks, mut steps) = (0, Steps::default());
        let mut look_around = Instant::now() + LOOK_AROUND;
        while Instant::now() < end {
            looks += 1;
            steps.count(self.pushes.len());
            let due = engine.line_up_due();
            let due = due.map(|due| due.duration_since(self.simulated.now()).unwrap_or_default());
            let wake = due.map_or(look_around, |due| look_around.min(Instant::now() + due));
            tokio::select! {
                biased;
                worked = engine.step() => if !worked {
                    sleep_until(wake.min(end)).await;
                },
                () = sleep_until(wake.min(end)) => {}
            }
            if Instant::now() >= look_around {
                let _ = self.simulated.spool.see_clock(self.simulated.now());
                engine.add(&self.simulated.spool);
                look_around = Instant::now() + LOOK_AROUND;
            }
        }
        looks
    }

    /// Runs the engine until it has nothing to do.
    pub(super) async fn run_out(&self, engine: &mut Scheduler<'_>) {
        let mut steps = Steps::default();
        while engine.step().await {
            steps.count(self.pushes.len());
        }
    }

    /// Ends the engine as SIGTERM does: no attempt begins, and all end within the longest attempt.
    async fn end(&self, engine: &mut Scheduler<'_>, stop: &Cell<bool>) {
        let (began, sent) = (Instant::now(), self.simulated.sent.borrow().len());
        stop.set(true);
        self.run_out(engine).await;
        engine.end();
        stop.set(false);
        assert!(began.elapsed() <= Duration::from_mins(1), "it does not end");
        assert_eq!(self.simulated.sent.borrow().len(), sent, "an attempt began");
        assert_eq!(self.simulated.under_way.get(), 0);
    }

    pub(super) fn is(&self, name: &str, manner: Manner) {
        let mut manners = self.simulated.manners.borrow_mut();
        manners.insert(name.to_owned(), manner);
    }

    pub(super) fn all_are(&self, manner: Manner) {
        for name in ENDPOINTS {
            self.is(name, manner);
        }
    }

    /// Makes all receivers accept everything, and the configuration whole.
    async fn heal(&mut self, stop: &Cell<bool>) {
        self.make_room();
        while !self.composing.is_empty() {
            self.compose();
        }
        for n in 0..REPOSITORIES {
            self.simulated.configure(n, &config(&ENDPOINTS));
        }
        let simulated = Rc::clone(&self.simulated);
        let mut engine = engine(&simulated, Limits::default(), stop);
        engine.add(&simulated.spool);
        let chokes = self.simulated.chance.borrow_mut().one_in(3);
        if !chokes && self.simulated.chance.borrow_mut().one_in(2) {
            self.go_down(&mut engine).await;
        }
        let healed = Instant::now();
        if chokes {
            self.all_are(Manner::Chokes(CHOKES));
            self.drive(&mut engine, Instant::now() + PASSED).await;
            self.judge_choking();
        }
        self.all_are(Manner::Takes(Duration::from_millis(10)));
        if !chokes {
            self.come_back(&mut engine).await;
        }
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end && self.simulated.spool.count_waiting().unwrap() > 0 {
            let hour = Instant::now() + Duration::from_hours(1);
            self.drive(&mut engine, hour).await;
        }
        self.leave_empty_folders();
        engine.add(&simulated.spool);
        self.run_out(&mut engine).await;
        sleep(Duration::from_millis(1)).await;
        drop(engine);
        self.judge_folders();
        self.stay_fair(stop).await;
        self.judge_outages(healed);
    }
}
