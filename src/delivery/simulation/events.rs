//! The events of a run: pushes, and acts of receivers, operators and clocks.

use std::time::Duration;

use tokio::time::Instant;

use super::super::agent::Outside;
use super::messages::{config, host, message, recipient};
use super::script::{Composing, Push, Script};
use super::simulated::{ENDPOINTS, Manner, REPOSITORIES};
use crate::event::{Oid, RefName, RefUpdate};
use crate::spool::{Built, Content, Draft, IdParts, Queue};

impl Script {
    /// Makes an event happen. Returns whether the kernel tells the engine.
    pub(super) fn happen(&mut self) -> bool {
        if self.simulated.chance.borrow_mut().one_in(4) {
            self.look_in();
        }
        if self.simulated.is_full.get() {
            self.live_with_a_full_disk();
            return false;
        }
        let kind = self.simulated.chance.borrow_mut().below(24);
        match kind {
            0..=9 => return self.push(),
            10..=14 => self.change_a_receiver(),
            15 | 16 => self.change_a_config(),
            17 => self.jump(),
            18 => self.retry(),
            19 => self.defer(),
            20 => self.drop_one(),
            21 => self.hand_over(),
            _ => self.fill_the_disk(),
        }
        false
    }

    /// Makes another process lock each free queue, and remove the empty ones.
    fn look_in(&self) {
        for name in ENDPOINTS {
            self.simulated
                .spool
                .remove_if_empty(&Queue::new(name).unwrap());
        }
    }

    /// Leaves folders as a process does that was killed before it removed the ones it had emptied.
    pub(super) fn leave_empty_folders(&self) {
        let retry = self.simulated.spool.root().join("retry");
        for name in ENDPOINTS {
            if retry.exists() && self.simulated.chance.borrow_mut().one_in(2) {
                let _ = std::fs::create_dir(retry.join(name));
            }
        }
    }

    pub(super) fn id_parts(&self) -> IdParts<'static> {
        IdParts {
            now: self.simulated.now(),
            host: "host",
            random: self.simulated.chance.borrow_mut().below(1 << 31),
        }
    }

    fn draft(&self, repository: usize, content: Content<crate::payload::Message>) -> Draft {
        Draft {
            namespace: std::path::PathBuf::new(),
            repository: self.simulated.repository(repository),
            time: self.simulated.now(),
            pusher: None,
            push_options: vec![],
            process: None,
            confirms: vec![],
            missing_since: None,
            folder: None,
            received: false,
            moved: vec![],
            content,
        }
    }

    /// Ends a hook that composes, or kills it.
    pub(super) fn compose(&mut self) -> bool {
        if self.simulated.is_full.get() {
            return false;
        }
        let Some(mut one) = self.composing.pop() else {
            return false;
        };
        one.events += 1;
        if one.events < 4 && self.simulated.chance.borrow_mut().one_in(2) {
            self.composing.push(one);
            return false;
        }
        let Composing { claim, draft, .. } = one;
        if self.simulated.chance.borrow_mut().one_in(4) {
            // The claim's messages go to the endpoints that are configured when they are built.
            let updates = match &draft.content {
                Content::Built(built) => &built.messages[0].body,
                Content::Deferred(_) => panic!("a hook composes messages"),
            };
            let number: usize = std::str::from_utf8(updates).unwrap().parse().unwrap();
            self.pushes[number - 1].endpoints = None;
        } else {
            self.simulated
                .spool
                .enqueue_claimed(&draft, &claim)
                .unwrap();
        }
        true
    }

    pub(super) fn push(&mut self) -> bool {
        let repository = self.simulated.chance.borrow_mut().index(REPOSITORIES);
        let endpoints = self.simulated.endpoints(repository);
        if endpoints.is_empty() {
            self.defer();
            return false;
        }
        if self.simulated.chance.borrow_mut().one_in(8) {
            self.push_in_other_order(repository, &endpoints);
            return false;
        }
        let number = self.pushes.len() as u64 + 1;
        let quick = self.quick(&endpoints);
        let draft = self.composed(repository, number, &endpoints);
        let is_slow = self.composing.is_empty() && self.simulated.chance.borrow_mut().one_in(5);
        if is_slow {
            let deferred = Draft {
                content: Self::deferred(number),
                ..self.draft(repository, Content::Deferred(vec![]))
            };
            let claim = self
                .simulated
                .spool
                .claim(&deferred, &self.id_parts(), None)
                .unwrap();
            self.composing.push(Composing {
                claim,
                draft,
                events: 0,
            });
        } else {
            let id = self
                .simulated
                .spool
                .enqueue(&draft, &self.id_parts())
                .unwrap();
            if self.simulated.chance.borrow_mut().one_in(5) {
                self.in_sync = Some((id, draft.repository.clone(), endpoints.clone()));
            }
        }
        let is_watched = !is_slow && !self.simulated.chance.borrow_mut().one_in(4);
        let quick = if is_watched { quick } else { vec![] };
        self.pushes.push(Push {
            repository,
            endpoints: Some(endpoints),
            at: Instant::now(),
            quick,
        });
        is_watched
    }

    /// Makes a push of this number, which moves the repository's branch from the one before it.
    pub(super) fn composed(
        &mut self,
        repository: usize,
        number: u64,
        endpoints: &[String],
    ) -> Draft {
        let recipients = endpoints.iter().map(|name| recipient(name)).collect();
        let content = Content::Built(Built {
            messages: vec![message(number)],
            recipients,
        });
        let before = self.branches.insert(repository, number);
        let oid = |number: u64| Oid::from_bytes(&[&[1; 12][..], &number.to_be_bytes()].concat());
        let moved = RefUpdate {
            old: before.and_then(oid),
            new: oid(number),
            name: RefName::new("refs/heads/main"),
        };
        self.draft(repository, content).of_moves(&[moved])
    }

    /// Makes two pushes, of which git starts the hook of the second first.
    fn push_in_other_order(&mut self, repository: usize, endpoints: &[String]) {
        let number = self.pushes.len() as u64 + 1;
        let first = self.composed(repository, number, endpoints);
        let second = self.composed(repository, number + 1, endpoints);
        for draft in [second, first] {
            self.simulated
                .spool
                .enqueue(&draft, &self.id_parts())
                .unwrap();
            self.pushes.push(Push {
                repository,
                endpoints: Some(endpoints.to_owned()),
                at: Instant::now(),
                quick: vec![],
            });
        }
    }

    /// Returns the endpoints that answer at once, have before, and have no waiting message.
    fn quick(&self, endpoints: &[String]) -> Vec<String> {
        let spool = &self.simulated.spool;
        if !self.composing.is_empty() || !spool.ids_in_new().unwrap().is_empty() {
            return vec![];
        }
        let is_quick = |name: &&String| {
            let standing = spool.standing(&Queue::new(name.as_str()).unwrap()).unwrap();
            let sent = self.simulated.sent.borrow();
            let last = sent.iter().rfind(|one| one.endpoint == **name);
            let manner = self.simulated.manners.borrow()[*name];
            matches!(manner, Manner::Takes(after) if after < Duration::from_millis(50))
                && standing.next_due().is_none()
                && last.is_some_and(|last| last.taken)
        };
        endpoints.iter().filter(is_quick).cloned().collect()
    }

    /// Makes the content of a push whose branch is its number.
    fn deferred(number: u64) -> Content<crate::payload::Message> {
        Content::Deferred(vec![RefUpdate {
            old: None,
            new: Oid::from_bytes(&[7; 20]),
            name: RefName::new(format!("refs/heads/{number}")),
        }])
    }

    /// Makes a push that could only be recorded.
    fn defer(&mut self) {
        let repository = self.simulated.chance.borrow_mut().index(REPOSITORIES);
        let number = self.pushes.len() as u64 + 1;
        let draft = self.draft(repository, Self::deferred(number));
        self.simulated
            .spool
            .enqueue(&draft, &self.id_parts())
            .unwrap();
        self.pushes.push(Push {
            repository,
            endpoints: None,
            at: Instant::now(),
            quick: vec![],
        });
    }

    pub(super) fn change_a_receiver(&mut self) {
        let mut chance = self.simulated.chance.borrow_mut();
        let name = ENDPOINTS[chance.index(ENDPOINTS.len())];
        let others = ENDPOINTS
            .into_iter()
            .filter(|other| host(other) == host(name));
        let delay = chance.span(Duration::from_secs(20));
        let manner = match chance.below(11) {
            0..=2 => Manner::Takes(Duration::from_millis(chance.below(50))),
            3 => Manner::Takes(delay),
            4 => Manner::Answers([503, 429, 404, 410, 413, 500][chance.index(6)], delay),
            5 => Manner::Refuses(chance.below(3) + 1),
            6 => Manner::Hangs,
            7 => Manner::Chokes(chance.below(4) + 2),
            8 => Manner::Halves(delay),
            9 => Manner::Absent,
            _ => Manner::Breaks(delay),
        };
        drop(chance);
        let mut manners = self.simulated.manners.borrow_mut();
        manners.insert(name.to_owned(), manner);
        // A host that is down is down for all of its endpoints.
        for other in others {
            if manner.is_down() || manners[other].is_down() {
                manners.insert(other.to_owned(), manner);
            }
        }
    }

    fn change_a_config(&mut self) {
        let mut chance = self.simulated.chance.borrow_mut();
        let repository = chance.index(REPOSITORIES);
        let text = match chance.below(6) {
            5 => {
                self.gone.insert(repository);
                drop(chance);
                return self.simulated.remove(repository);
            }
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
        self.simulated.configure(repository, &text);
    }

    /// Sets the clock, for good or until the next jump.
    fn jump(&mut self) {
        let days = self.simulated.chance.borrow_mut().below(80);
        let days = i64::try_from(days).unwrap() - 40;
        let before = self.simulated.ahead.replace(days * 24 * 3600);
        let by = before.abs_diff(self.simulated.ahead.get());
        self.jumps.push((Instant::now(), Duration::from_secs(by)));
    }
}
