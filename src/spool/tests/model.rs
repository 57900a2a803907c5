//! The spool against a model of its promises: after any operations, killed anywhere, each message
//! arrives, in order, and unchanged.

use std::collections::HashMap;

use proptest::prelude::*;

use super::disk::fault::killed_after;
use super::*;

const QUEUES: [&str; 2] = ["ci", "deploy"];
/// Number of system calls that no operation here makes: the process is not killed.
const ALIVE: usize = 1000;

#[derive(Clone, Copy, Debug)]
enum Answer {
    Ok,
    Down,
    Refused,
    GiveUpOne,
    GiveUpRest,
}

#[derive(Clone, Debug)]
enum Act {
    Push {
        repo: u8,
        messages: u8,
        deferred: bool,
    },
    Distribute {
        can_build: bool,
    },
    /// Distributes in steps with pauses, and stops after some of them.
    Steps {
        steps: usize,
        can_build: bool,
    },
    /// Delivers the head, which a person may retry meanwhile.
    Head {
        queue: usize,
        answer: Answer,
        retried: bool,
    },
    Refused {
        queue: usize,
        answer: Answer,
        retried: bool,
    },
    RetryFailed {
        queue: usize,
    },
    SetClock {
        hours: i8,
    },
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        6 => Just(Answer::Ok),
        1 => Just(Answer::Down),
        2 => Just(Answer::Refused),
        1 => Just(Answer::GiveUpOne),
        1 => Just(Answer::GiveUpRest),
    ]
}

fn act() -> impl Strategy<Value = (Act, usize)> {
    let act = prop_oneof![
        4 => (0..2u8, 1..4u8, prop::bool::weighted(0.2))
            .prop_map(|(repo, messages, deferred)| Act::Push { repo, messages, deferred }),
        3 => any::<bool>().prop_map(|can_build| Act::Distribute { can_build }),
        3 => (0..12usize, any::<bool>())
            .prop_map(|(steps, can_build)| Act::Steps { steps, can_build }),
        8 => (0..2usize, answer(), prop::bool::weighted(0.2))
            .prop_map(|(queue, answer, retried)| Act::Head { queue, answer, retried }),
        2 => (0..2usize, answer(), prop::bool::weighted(0.2))
            .prop_map(|(queue, answer, retried)| Act::Refused { queue, answer, retried }),
        1 => (0..2usize).prop_map(|queue| Act::RetryFailed { queue }),
        1 => (-50..50i8).prop_map(|hours| Act::SetClock { hours }),
    ];
    (act, prop_oneof![3 => Just(ALIVE), 1 => 0..8usize])
}

/// A message, by the number of its push and its number within the push.
type Key = (usize, usize);

#[derive(Default)]
struct Model {
    /// The repository and number of messages of each push, and whether it was confirmed.
    pushes: Vec<(u8, usize, bool)>,
    /// The messages that each queue got, in order, without repeats.
    arrived: HashMap<usize, Vec<Key>>,
    /// The messages that each queue refused or gave up: they may come later than others.
    out_of_order: BTreeSet<(usize, Key)>,
    /// The `msg_id` with which each message has arrived.
    frozen: HashMap<Key, String>,
    /// Number of times that messages were built from ref updates.
    builds: usize,
}

impl Model {
    /// Parses `<push>.<number>`, and the number of the build.
    fn key(msg_id: &str) -> Key {
        let mut parts = msg_id.split('.').map(|part| part.parse().unwrap());
        (parts.next().unwrap(), parts.next().unwrap())
    }

    fn built(push: usize, count: usize, build: usize) -> Built<Message> {
        let ids: Vec<_> = (0..count).map(|n| format!("{push}.{n}.{build}")).collect();
        let ids: Vec<_> = ids.iter().map(String::as_str).collect();
        let mut all = built(&ids, &QUEUES);
        // The second queue gets every other message, and nothing of some pushes.
        let odd: Vec<_> = (0..count).filter(|n| n % 2 == 1).collect();
        all.recipients[1].messages = Selection::Only(odd.clone());
        all.recipients.truncate(if odd.is_empty() { 1 } else { 2 });
        all
    }

    fn deliver(&mut self, queue: usize, msg_id: &str) {
        let key = Self::key(msg_id);
        let frozen = self.frozen.entry(key).or_insert_with(|| msg_id.to_owned());
        assert_eq!(frozen, msg_id, "a repeat carries the same msg_id");
        let arrived = self.arrived.entry(queue).or_default();
        if !arrived.contains(&key) {
            arrived.push(key);
        }
    }

    fn check(&self) {
        for (queue, _) in QUEUES.iter().enumerate() {
            let arrived = self.arrived.get(&queue).cloned().unwrap_or_default();
            for (push, &(_, count, confirmed)) in self.pushes.iter().enumerate() {
                for key in (0..count)
                    .filter(|n| queue == 0 || n % 2 == 1)
                    .map(|n| (push, n))
                {
                    assert!(!confirmed || arrived.contains(&key), "{key:?} was lost");
                }
            }
            for repo in 0..2 {
                let in_order: Vec<_> = arrived
                    .iter()
                    .filter(|key| self.pushes[key.0].0 == repo)
                    .filter(|key| !self.out_of_order.contains(&(queue, **key)))
                    .collect();
                assert!(in_order.is_sorted(), "queue {queue}: {in_order:?}");
            }
        }
    }
}

fn run(fixture: &Fixture, model: &mut Model, act: &Act, life: usize) {
    match *act {
        Act::Push {
            repo,
            messages,
            deferred,
        } => push(fixture, model, repo, messages, deferred, life),
        Act::Distribute { can_build } => distribute(fixture, model, can_build, life),
        Act::Steps { steps, can_build } => {
            let _ = killed_after(life, || in_steps(fixture, model, steps, can_build));
        }
        Act::Head {
            queue,
            answer,
            retried,
        }
        | Act::Refused {
            queue,
            answer,
            retried,
        } => {
            let refused = matches!(act, Act::Refused { .. });
            attempt(fixture, model, queue, refused, (answer, retried), life);
        }
        Act::RetryFailed { queue: number } => {
            let failed = fixture.spool.failed(&queue(QUEUES[number])).unwrap();
            for failed in failed.into_iter().take(1) {
                let _ = killed_after(life, || fixture.spool.retry_failed(&failed, noon()));
            }
        }
        Act::SetClock { hours } => {
            let hour = Duration::from_hours(1) * u32::from(hours.unsigned_abs());
            fixture.now.set(if hours < 0 {
                noon() - hour
            } else {
                noon() + hour
            });
        }
    }
}

fn push(fixture: &Fixture, model: &mut Model, repo: u8, messages: u8, deferred: bool, life: usize) {
    let number = model.pushes.len();
    let count = usize::from(messages);
    let mut draft = super::deferred(&format!("/srv/{repo}.git"), &format!("{number}.{count}"));
    if !deferred {
        draft.content = Content::Built(Model::built(number, count, 0));
    }
    let (result, _) = killed_after(life, || fixture.enqueue(&draft));
    model.pushes.push((repo, count, result.is_ok()));
}

/// Builds the messages of ref updates.
fn builder(model: &mut Model, can_build: bool) -> impl FnMut(&Id, &Header) -> BuildResult + '_ {
    move |_, header| {
        let Content::Deferred(updates) = &header.content else {
            unreachable!("only what is owed is built");
        };
        let (push, count) = Model::key(&updates[0].name.short());
        model.builds += 1;
        let built = Model::built(push, count, model.builds);
        can_build
            .then_some(built)
            .ok_or_else(|| Unbuilt::All(String::new()))
    }
}

type BuildResult = Result<Built<Message>, Unbuilt>;

fn distribute(fixture: &Fixture, model: &mut Model, can_build: bool, life: usize) {
    let build = builder(model, can_build);
    let _ = killed_after(life, || fixture.spool.distribute(Lock::Try, build));
}

fn in_steps(
    fixture: &Fixture,
    model: &mut Model,
    steps: usize,
    can_build: bool,
) -> Result<(), IoError> {
    let build = builder(model, can_build);
    let Some(mut distribution) = fixture.spool.distribution(Lock::Try, build)? else {
        return Ok(());
    };
    for _ in 0..steps {
        let mut first = true;
        if distribution.step(|| std::mem::take(&mut first))? != Some(true) {
            break;
        }
    }
    Ok(())
}

fn attempt(
    fixture: &Fixture,
    model: &mut Model,
    number: usize,
    refused: bool,
    (answer, retried): (Answer, bool),
    life: usize,
) {
    let Some(lane) = fixture.spool.lane(&queue(QUEUES[number])).unwrap() else {
        return;
    };
    let waiting = lane.waiting().unwrap();
    let items = if refused {
        waiting.refused
    } else {
        waiting.in_order
    };
    let Some(item) = items.first() else {
        return;
    };
    let (message, total) = next_message(&lane, item);
    let entry = lane.open(item).unwrap();
    let numbers = entry.header().messages_for(lane.queue());
    let (push, _) = Model::key(&message.msg_id);
    let due = noon();
    if retried {
        let retried = fixture.spool.retry_waiting(lane.queue(), &items, noon());
        assert_eq!(retried.unwrap(), items.len());
    }
    match answer {
        Answer::Ok => {
            model.deliver(number, &message.msg_id);
            let _ = killed_after(life, || lane.advance(item, total));
        }
        Answer::Down => {
            let _ = killed_after(life, || lane.defer(item, due, item.attempts + 1));
        }
        Answer::Refused | Answer::GiveUpOne => {
            model
                .out_of_order
                .insert((number, Model::key(&message.msg_id)));
            let _ = killed_after(life, || match answer {
                Answer::Refused => lane.step_aside(item, total, due, item.attempts + 1).is_ok(),
                _ => lane.fail_one(item, total).is_ok(),
            });
        }
        Answer::GiveUpRest => {
            let rest = &numbers[item.part.first() as usize..];
            model
                .out_of_order
                .extend(rest.iter().map(|&n| (number, (push, n))));
            let _ = killed_after(life, || lane.fail_rest(item));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_and_the_order_is_kept(acts in prop::collection::vec(act(), 1..60)) {
        let fixture = Fixture::new();
        let mut model = Model::default();
        for (act, life) in &acts {
            run(&fixture, &mut model, act, *life);
        }
        // In the end every endpoint is healthy, and everything is tried again.
        distribute(&fixture, &mut model, true, ALIVE);
        for _ in 0..2 {
            for (number, name) in QUEUES.iter().enumerate() {
                for msg_id in fixture.deliver_all(name) {
                    model.deliver(number, &msg_id);
                }
                for failed in fixture.spool.failed(&queue(name)).unwrap() {
                    fixture.spool.retry_failed(&failed, noon()).unwrap();
                }
            }
        }
        model.check();
        prop_assert!(fixture.spool.is_empty().unwrap());
    }
}
