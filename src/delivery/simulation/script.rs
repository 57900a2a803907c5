//! What happens.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::super::courier::{Limits, Outside};
use super::super::scheduler::Scheduler;
use super::LONG;
use super::world::{ENDPOINTS, Manner, REPOSITORIES, World};
use crate::config::Settings;
use crate::event::{Oid, RefName, RefUpdate};
use crate::spool::{Built, Content, Draft, Queue, Recipient, Selection, Stamp};

/// Pushes of a run, at most.
const PUSHES: usize = 30;
/// Processes of a run, at most.
const PROCESSES: u64 = 20;
/// Steps that the engine may take at one instant, for each event and message so far.
const STEPS: usize = 2_000;
/// The watch looks at everything this often.
const LOOK_AROUND: Duration = Duration::from_hours(1);
/// After this long with healthy receivers, nothing waits. A jump of the clock can leave a few
/// messages one after another that each wait for the longest delay.
const PATIENCE: Duration = Duration::from_hours(10 * 24);

/// A push, and who is to get it.
pub(super) struct Push {
    pub(super) repository: usize,
    /// `None`: it was recorded as ref updates, and goes to who is configured when it is built.
    pub(super) endpoints: Option<Vec<String>>,
    pub(super) at: Instant,
    /// Endpoints that nothing else waits for, and that answer at once.
    pub(super) quick: Vec<String>,
}

pub(super) struct Script {
    pub(super) world: Rc<World>,
    pub(super) pushes: Vec<Push>,
    /// Attempts that kills may have kept from being logged.
    pub(super) unlogged: usize,
    /// Endpoints that were not configured for a while: what waited is in `failed/`, or was
    /// retried from there.
    pub(super) disturbed: BTreeSet<String>,
    /// When something happened after a push, or a process ended.
    pub(super) events: Vec<Instant>,
}

/// A message for whoever is configured.
pub(super) fn built(settings: &Settings, number: u64) -> Built<crate::payload::Message> {
    let names = settings.endpoints.iter();
    let recipients = names.map(|endpoint| recipient(&endpoint.name)).collect();
    Built {
        messages: vec![World::message(number)],
        recipients,
    }
}

fn recipient(name: &str) -> Recipient {
    Recipient {
        queue: Queue::new(name).unwrap(),
        endpoint: name.to_owned(),
        messages: Selection::All,
    }
}

/// The host of an endpoint's receiver: one for two of them.
fn host(name: &str) -> &str {
    match name {
        "b" => "a",
        "d" => "c",
        other => other,
    }
}

fn config(names: &[&str]) -> String {
    let endpoint = |name: &&str| {
        let host = host(name);
        format!("[[endpoint]]\nname = \"{name}\"\nurl = \"http://{host}.example.org/{name}\"\n")
    };
    let endpoints: String = names.iter().map(endpoint).collect();
    format!("unsigned = true\n{endpoints}")
}

impl Script {
    pub(super) fn new(seed: u64) -> Self {
        let world = World::new(seed);
        for n in 0..REPOSITORIES {
            world.configure(n, &config(&ENDPOINTS));
        }
        Self {
            world: Rc::new(world),
            pushes: vec![],
            unlogged: 0,
            disturbed: BTreeSet::new(),
            events: vec![],
        }
    }

    pub(super) async fn run(mut self) {
        let stop = Cell::new(false);
        for _ in 0..PROCESSES {
            // A process begins, and some things happen before it is killed or told to end.
            let world = Rc::clone(&self.world);
            let mut engine = Scheduler::new(&*world, &*world, Limits::default(), &stop, 8192);
            world.spool.see_clock(world.now()).unwrap();
            engine.add(&world.spool);
            loop {
                let gap = self.world.chance.borrow_mut().span(LONG);
                self.drive(&mut engine, Instant::now() + gap).await;
                self.events.push(Instant::now());
                if self.world.chance.borrow_mut().one_in(8) {
                    break;
                }
                let watched = self.happen();
                if watched {
                    engine.add(&self.world.spool);
                }
                if self.pushes.len() >= PUSHES {
                    break;
                }
            }
            if self.world.chance.borrow_mut().one_in(2) {
                self.end(&mut engine, &stop).await;
            } else {
                self.unlogged += 2 * ENDPOINTS.len();
                self.world.under_way.set(0);
            }
            drop(engine);
            if self.pushes.len() >= PUSHES {
                break;
            }
        }
        self.heal(&stop).await;
        self.judge();
    }

    /// Runs the engine as a watch does.
    async fn drive(&self, engine: &mut Scheduler<'_>, end: Instant) {
        let (mut steps, mut instant) = (0, Instant::now());
        let mut look_around = Instant::now() + LOOK_AROUND;
        while Instant::now() < end {
            if instant == Instant::now() {
                steps += 1;
                assert!(steps < STEPS + 50 * self.pushes.len(), "it spins");
            } else {
                (steps, instant) = (0, Instant::now());
            }
            let due = engine.line_up_due();
            let due = due.map(|due| due.duration_since(self.world.now()).unwrap_or_default());
            let wake = due.map_or(look_around, |due| look_around.min(Instant::now() + due));
            tokio::select! {
                biased;
                worked = engine.step() => if !worked {
                    sleep_until(wake.min(end)).await;
                },
                () = sleep_until(wake.min(end)) => {}
            }
            if Instant::now() >= look_around {
                self.world.spool.see_clock(self.world.now()).unwrap();
                engine.add(&self.world.spool);
                look_around = Instant::now() + LOOK_AROUND;
            }
        }
    }

    /// SIGTERM: nothing begins, and all ends within the longest attempt.
    async fn end(&self, engine: &mut Scheduler<'_>, stop: &Cell<bool>) {
        let (began, sent) = (Instant::now(), self.world.sent.borrow().len());
        stop.set(true);
        while engine.step().await {}
        stop.set(false);
        assert!(began.elapsed() <= Duration::from_mins(1), "it does not end");
        assert_eq!(self.world.sent.borrow().len(), sent, "an attempt began");
        assert_eq!(self.world.under_way.get(), 0);
    }

    /// Something happens. Returns whether the kernel tells the engine.
    fn happen(&mut self) -> bool {
        let kind = self.world.chance.borrow_mut().below(20);
        match kind {
            0..=9 => return self.push(),
            10..=14 => self.change_a_receiver(),
            15 | 16 => self.change_a_config(),
            17 => self.jump(),
            18 => self.retry(),
            _ => self.owe(),
        }
        false
    }

    fn stamp(&self) -> Stamp<'static> {
        Stamp {
            now: self.world.now(),
            host: "host",
            random: self.world.chance.borrow_mut().below(1 << 31),
        }
    }

    fn draft(&self, repository: usize, content: Content<crate::payload::Message>) -> Draft {
        Draft {
            repository: self.world.repository(repository),
            time: self.world.now(),
            pusher: None,
            push_options: vec![],
            process: None,
            confirms: vec![],
            content,
        }
    }

    fn push(&mut self) -> bool {
        let repository = self.world.chance.borrow_mut().index(REPOSITORIES);
        let endpoints = self.world.endpoints(repository);
        if endpoints.is_empty() {
            self.owe();
            return false;
        }
        let number = self.pushes.len() as u64 + 1;
        let recipients = endpoints.iter().map(|name| recipient(name)).collect();
        let content = Content::Built(Built {
            messages: vec![World::message(number)],
            recipients,
        });
        let quick = self.quick(&endpoints);
        let draft = self.draft(repository, content);
        self.world.spool.enqueue(&draft, &self.stamp()).unwrap();
        let is_watched = !self.world.chance.borrow_mut().one_in(4);
        let quick = if is_watched { quick } else { vec![] };
        self.pushes.push(Push {
            repository,
            endpoints: Some(endpoints),
            at: Instant::now(),
            quick,
        });
        is_watched
    }

    /// Those of the endpoints that answer at once, have before, and are owed nothing.
    fn quick(&self, endpoints: &[String]) -> Vec<String> {
        let spool = &self.world.spool;
        if !spool.ids_in_new().unwrap().is_empty() {
            return vec![];
        }
        let is_quick = |name: &&String| {
            let standing = spool.standing(&Queue::new(name.as_str()).unwrap()).unwrap();
            let sent = self.world.sent.borrow();
            let last = sent.iter().rfind(|one| one.endpoint == **name);
            let manner = self.world.manners.borrow()[*name];
            matches!(manner, Manner::Takes(after) if after < Duration::from_millis(50))
                && standing.next_due().is_none()
                && last.is_some_and(|last| last.taken)
        };
        endpoints.iter().filter(is_quick).cloned().collect()
    }

    /// A push that could only be recorded.
    fn owe(&mut self) {
        let repository = self.world.chance.borrow_mut().index(REPOSITORIES);
        let number = self.pushes.len() + 1;
        let update = RefUpdate {
            old: None,
            new: Oid::from_bytes(&[7; 20]),
            name: RefName::new(format!("refs/heads/{number}")),
        };
        let draft = self.draft(repository, Content::Owed(vec![update]));
        self.world.spool.enqueue(&draft, &self.stamp()).unwrap();
        self.pushes.push(Push {
            repository,
            endpoints: None,
            at: Instant::now(),
            quick: vec![],
        });
    }

    fn change_a_receiver(&mut self) {
        let mut chance = self.world.chance.borrow_mut();
        let name = ENDPOINTS[chance.index(ENDPOINTS.len())];
        let others = ENDPOINTS
            .into_iter()
            .filter(|other| host(other) == host(name));
        let delay = chance.span(Duration::from_secs(20));
        let manner = match chance.below(8) {
            0..=2 => Manner::Takes(Duration::from_millis(chance.below(50))),
            3 => Manner::Takes(delay),
            4 => Manner::Answers([503, 429, 404, 410, 413, 500][chance.index(6)], delay),
            5 => Manner::Refuses(chance.below(3) + 1),
            6 => Manner::Hangs,
            _ => Manner::Breaks(delay),
        };
        drop(chance);
        let mut manners = self.world.manners.borrow_mut();
        manners.insert(name.to_owned(), manner);
        // Nobody reaches a host that is down.
        let breaks = |manner| matches!(manner, Manner::Hangs | Manner::Breaks(_));
        for other in others {
            if breaks(manner) || breaks(manners[other]) {
                manners.insert(other.to_owned(), manner);
            }
        }
    }

    fn change_a_config(&mut self) {
        let mut chance = self.world.chance.borrow_mut();
        let repository = chance.index(REPOSITORIES);
        let text = match chance.below(5) {
            0 => String::new(),
            1 => "[broken".to_owned(),
            2 => {
                let gone = chance.index(ENDPOINTS.len());
                self.disturbed.insert(ENDPOINTS[gone].to_owned());
                let left: Vec<&str> = ENDPOINTS
                    .into_iter()
                    .enumerate()
                    .filter_map(|(n, name)| (n != gone).then_some(name))
                    .collect();
                config(&left)
            }
            _ => config(&ENDPOINTS),
        };
        drop(chance);
        self.world.configure(repository, &text);
    }

    /// The clock is set, for good or until it is set again.
    fn jump(&mut self) {
        let days = self.world.chance.borrow_mut().below(7);
        let days = i64::try_from(days).unwrap() - 3;
        self.world.ahead.set(days * 24 * 3600);
    }

    /// An operator tries everything again.
    fn retry(&mut self) {
        let spool = &self.world.spool;
        let now = self.world.now();
        for queue in spool.queues().unwrap() {
            let waiting = spool.peek(&queue).unwrap();
            let items: Vec<_> = waiting.mains.into_iter().chain(waiting.asides).collect();
            spool.retry_waiting(&queue, &items, now).unwrap();
        }
        for queue in spool.failed_queues().unwrap() {
            for failed in spool.failed(&queue).unwrap() {
                self.disturbed.insert(queue.to_string());
                spool.retry_failed(&failed, now).unwrap();
            }
        }
    }

    /// All receivers take everything, and the configuration is whole.
    async fn heal(&mut self, stop: &Cell<bool>) {
        for n in 0..REPOSITORIES {
            self.world.configure(n, &config(&ENDPOINTS));
        }
        for name in ENDPOINTS {
            let manner = Manner::Takes(Duration::from_millis(10));
            let manners = &self.world.manners;
            manners.borrow_mut().insert(name.to_owned(), manner);
        }
        let world = Rc::clone(&self.world);
        let mut engine = Scheduler::new(&*world, &*world, Limits::default(), stop, 8192);
        engine.add(&world.spool);
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end && self.world.spool.count_waiting().unwrap() > 0 {
            let hour = Instant::now() + Duration::from_hours(1);
            self.drive(&mut engine, hour).await;
        }
        while engine.step().await {}
        sleep(Duration::from_millis(1)).await;
    }
}
