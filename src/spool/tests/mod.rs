//! The spool on real directories, killed between any two of its system calls.

mod adopt;
mod claims;
mod crashes;
mod distribute;
mod emptied;
mod enqueue;
mod entries;
mod failed;
mod handover;
mod intents;
mod lane;
mod log;
mod manage;
mod model;
mod moved_out;
mod names;
mod order;
mod planted;
mod power;
mod spare;
mod windows;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use super::*;
use crate::event::{Oid, RefName, RefUpdate};
use crate::payload::{Format, Message};

/// The messages in the spool, queue by queue, by `msg_id`.
type Kept = BTreeMap<String, BTreeSet<String>>;

/// A spool in a folder of its own, with a clock that moves only when told to.
struct Fixture {
    dir: TempDir,
    spool: Spool,
    now: Cell<SystemTime>,
    pushes: Cell<u64>,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            spool: Spool::new(dir.path().join("spool"), Access::Owner),
            dir,
            now: Cell::new(noon()),
            pushes: Cell::new(0),
        }
    }

    /// Enqueues messages with these ids for these queues, a second later.
    fn push(&self, repository: &str, ids: &[&str], queues: &[&str]) -> Id {
        self.enqueue(&draft(repository, ids, queues)).unwrap()
    }

    fn enqueue(&self, draft: &Draft) -> Result<Id, SpoolError> {
        self.tick();
        self.spool.enqueue(draft, &self.id_parts())
    }

    /// Moves the clock by a second.
    fn tick(&self) {
        self.now.set(self.now.get() + Duration::from_secs(1));
        self.pushes.set(self.pushes.get() + 1);
    }

    fn id_parts(&self) -> IdParts<'static> {
        IdParts {
            now: self.now.get(),
            host: "git1",
            random: self.pushes.get(),
        }
    }

    fn distribute(&self) -> Distributed {
        let built = self
            .spool
            .distribute(Lock::Try, |_, header| match &header.content {
                Content::Deferred(updates) => Ok(built(&[&updates[0].name.short()], &["ci"])),
                Content::Built(_) => Err(Unbuilt::All("built already".to_owned())),
            });
        let report = built.unwrap().expect("nobody else distributes");
        assert!(report.stopped.is_none(), "{:?}", report.stopped);
        report
    }

    fn rename(&self, old: &Path, new: &Path) -> Result<HandedOver, SpoolError> {
        self.spool.rename_repository(&Renaming {
            old,
            new,
            below_root: new,
            queue: &|name| Some(queue(name)),
        })
    }

    /// Gives what waits for the broker to its endpoints.
    fn deliver_here(&self, goes_on: &dyn Fn() -> bool) -> Result<bool, SpoolError> {
        let broker = queue("@broker");
        self.spool.deliver_here(&broker, &|_| true, goes_on)
    }

    fn lane(&self, name: &str) -> Lane {
        let lane = self.spool.lane(&queue(name)).unwrap();
        lane.expect("nobody else delivers")
    }

    fn path(&self, path: &str) -> PathBuf {
        self.spool.root().join(path)
    }

    /// Runs `act` and returns its system calls, with paths below the spool.
    fn traced<T>(&self, act: impl FnOnce() -> T) -> (T, Vec<String>) {
        let (result, steps) = disk::fault::traced(act);
        let root = self.spool.root().to_str().unwrap();
        let below = |step: String| step.replace(&format!("{root}/"), "").replace(root, ".");
        (result, steps.into_iter().map(below).collect())
    }

    /// Returns the names in one of the spool's folders.
    fn ls(&self, path: &str) -> Vec<String> {
        ls(&self.path(path))
    }

    /// Distributes, and returns all waiting and failed messages.
    ///
    /// Every body is read, and checked against its `msg_id`.
    fn kept(&self) -> Kept {
        self.distribute();
        let mut kept = Kept::new();
        for queue in self.spool.queues().unwrap() {
            let Waiting {
                in_order, refused, ..
            } = self.spool.peek(&queue).unwrap();
            for item in in_order.iter().chain(&refused) {
                let entry = self.spool.open_item(&queue, item).unwrap();
                keep(&mut kept, &queue, &entry, item.part);
            }
        }
        for queue in self.spool.failed_queues().unwrap() {
            for failed in self.spool.failed(&queue).unwrap() {
                let entry = self.spool.open_failed(&failed).unwrap();
                keep(&mut kept, &queue, &entry, failed.part);
            }
        }
        kept
    }

    /// Delivers all messages that wait for one endpoint and are not arriving. Returns them in their
    /// order.
    fn deliver_all(&self, name: &str) -> Vec<String> {
        let Some(lane) = self.spool.lane(&queue(name)).unwrap() else {
            return vec![];
        };
        let Waiting {
            in_order, refused, ..
        } = lane.waiting().unwrap();
        let mut delivered = vec![];
        let is_there = |item: &Item| !lane.is_arriving(item);
        for item in in_order.into_iter().take_while(is_there).chain(refused) {
            let mut left = Some(item);
            while let Some(item) = left {
                let (message, total) = next_message(&lane, &item);
                delivered.push(message.msg_id);
                left = lane.advance(&item, total).unwrap();
            }
        }
        delivered
    }
}

/// Returns the message that an item is about to deliver, and the number of messages that its queue
/// gets.
fn next_message(lane: &Lane, item: &Item) -> (Message, u32) {
    let entry = lane.open(item).unwrap();
    let numbers = entry.header().messages_for(lane.queue());
    let message = entry.message(numbers[item.part.first() as usize]).unwrap();
    assert_eq!(message, self::message(&message.msg_id), "the same bytes");
    (message, u32::try_from(numbers.len()).unwrap())
}

fn keep(kept: &mut Kept, queue: &Queue, entry: &Entry, part: Part) {
    let numbers = entry.header().messages_for(queue);
    let numbers = match part {
        Part::From(n) => &numbers[n as usize..],
        Part::Only(n) => &numbers[n as usize..=n as usize],
    };
    for &number in numbers {
        let message = entry.message(number).unwrap();
        assert_eq!(message, self::message(&message.msg_id), "the same bytes");
        kept.entry(queue.to_string())
            .or_default()
            .insert(message.msg_id);
    }
}

/// Makes an expected value: `kept(&[("ci", &["1"])])`.
fn kept(queues: &[(&str, &[&str])]) -> Kept {
    let set = |ids: &[&str]| ids.iter().map(ToString::to_string).collect();
    queues
        .iter()
        .map(|(queue, ids)| ((*queue).to_owned(), set(ids)))
        .collect()
}

/// Builds no message.
fn cannot_build(_: &Id, _: &Header) -> Result<Built<Message>, Unbuilt> {
    Err(Unbuilt::All("no key".to_owned()))
}

/// Returns a time later than any clock on which the tests run.
fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(4_000_000_000)
}

fn queue(name: &str) -> Queue {
    Queue::new(name).unwrap()
}

fn message(id: &str) -> Message {
    Message {
        format: Format::Pagure,
        topic: "git.receive".to_owned(),
        msg_id: id.to_owned(),
        project: "tools/a".to_owned(),
        reference: "refs/heads/main".to_owned(),
        headers: Vec::new(),
        ends: None,
        template: None,
        body: format!("{{\"body of\": {id:?}}}").repeat(3).into_bytes(),
    }
}

fn built(ids: &[&str], queues: &[&str]) -> Built<Message> {
    let recipient = |name: &&str| Recipient {
        queue: queue(name),
        endpoint: (*name).to_owned(),
        messages: Selection::All,
        forward: None,
    };
    Built {
        messages: ids.iter().map(|id| message(id)).collect(),
        recipients: queues.iter().map(recipient).collect(),
    }
}

fn draft(repository: &str, ids: &[&str], queues: &[&str]) -> Draft {
    Draft {
        namespace: std::path::PathBuf::new(),
        repository: PathBuf::from(repository),
        time: noon() + Duration::from_nanos(7),
        pusher: Some("alice".to_owned()),
        push_options: vec![],
        process: None,
        confirms: vec![],
        missing_since: None,
        folder: None,
        received: false,
        moved: vec![],
        content: Content::Built(built(ids, queues)),
    }
}

/// A push whose messages cannot be built yet: of a branch with this name.
fn deferred(repository: &str, branch: &str) -> Draft {
    let update = RefUpdate {
        old: None,
        new: Oid::from_bytes(&[7; 20]),
        name: RefName::new(format!("refs/heads/{branch}")),
    };
    Draft {
        content: Content::Deferred(vec![update]),
        ..draft(repository, &[], &[])
    }
}

/// Returns the names in a folder, sorted; none if it does not exist.
fn ls(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).into_iter().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().unwrap().permissions().mode() & 0o7777
}
