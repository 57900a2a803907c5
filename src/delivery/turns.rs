//! Whose turn it is to deliver from a spool's `new/`: ours, for a while at a time.
//!
//! A hook that wants to look into `new/`, another flush, a person: each of them waits for
//! the end of a turn at most.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::flush::Surveyor;
use crate::spool::{Active, Distributed, Header, Id, IoError, Lock, Shared, Spool, Turn};

/// How long a turn lasts.
const TURN: Duration = Duration::from_millis(250);
/// How long nobody has it between two turns of ours.
const GIVE_WAY: Duration = Duration::from_millis(1);
/// How soon it is asked again for what somebody else has.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// The spools whose `new/` we have, or wait for.
#[derive(Default)]
pub(super) struct Turns<'a>(HashMap<PathBuf, Place<'a>>);

struct Place<'a> {
    spool: Spool,
    /// When what is the case now ends.
    ends: Instant,
    state: State<'a>,
    /// Something came that may not be seen before the end.
    again: bool,
}

enum State<'a> {
    /// We deliver from there.
    Ours(Active<'a>),
    /// We did, and will again.
    GivenWay(Active<'a>),
    /// Somebody else has it, and we have seen nothing of it.
    Theirs,
}

/// What was to be done for a spool is done, for now.
pub(super) struct Ended {
    pub(super) spool: Spool,
    pub(super) result: Result<Distributed, IoError>,
    /// It is to be looked at once more.
    pub(super) again: bool,
}

impl<'a> Turns<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes hold of what is in `new/`, or waits for it. Ended, if nothing is there.
    pub(super) fn begin(
        &mut self,
        spool: &Spool,
        world: &'a dyn Surveyor,
        shared: &Rc<Shared>,
        now: Instant,
    ) -> Option<Ended> {
        if let Some(place) = self.0.get_mut(spool.root()) {
            place.again = true;
            return None;
        }
        let build = move |_: &Id, header: &Header| world.build(header);
        let admit = move |account, header: &Header| world.admit(account, header);
        let held_open = spool.clone().held_open();
        let (ends, state) = match held_open.activate(Lock::Try, shared, build, admit) {
            Ok(Some(active)) => {
                if spool.queues().is_ok_and(|queues| queues.is_empty()) {
                    active.distribute_first();
                }
                (now + TURN, State::Ours(active))
            }
            Ok(None) => (now + ASK_AGAIN, State::Theirs),
            Err(error) => {
                return Some(Ended {
                    spool: spool.clone(),
                    result: Err(error),
                    again: false,
                });
            }
        };
        let place = Place {
            spool: spool.clone(),
            ends,
            state,
            again: false,
        };
        self.0.insert(spool.root().to_owned(), place);
        None
    }

    /// What a queue of this spool may deliver from.
    pub(super) fn active(&self, spool: &Spool) -> Option<&Active<'a>> {
        match &self.0.get(spool.root())?.state {
            State::Ours(active) | State::GivenWay(active) => Some(active),
            State::Theirs => None,
        }
    }

    /// When the next turn ends or begins.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.0.values().map(|place| place.ends).min()
    }

    /// Ends what nobody delivers from: all that is left there is brought to its queues.
    pub(super) fn end_deserted(&mut self) -> Option<Ended> {
        self.end_one(|place| match &place.state {
            State::Ours(active) => active.is_deserted().then(|| Ok(active.distribute())),
            State::GivenWay(_) | State::Theirs => None,
        })
    }

    /// Ends what we do not have, as nothing begins any more.
    pub(super) fn end_waiting(&mut self) -> Option<Ended> {
        self.end_one(|place| {
            let done = match &place.state {
                State::Ours(_) => return None,
                State::GivenWay(active) => active.distribute(),
                State::Theirs => Distributed::default(),
            };
            place.again = false;
            Some(Ok(done))
        })
    }

    /// Ends and begins what is to end and to begin now.
    pub(super) fn pass(&mut self, now: Instant) -> Option<Ended> {
        self.end_one(|place| place.pass(now))
    }

    fn end_one(
        &mut self,
        mut end: impl FnMut(&mut Place<'a>) -> Option<Result<Distributed, IoError>>,
    ) -> Option<Ended> {
        let mut places = self.0.iter_mut();
        let found = places.find_map(|(root, place)| Some((root.clone(), end(place)?)));
        let (root, result) = found?;
        self.0.remove(&root).map(|place| Ended {
            spool: place.spool,
            result,
            again: place.again,
        })
    }
}

impl Place<'_> {
    /// What came of it, if it is over.
    fn pass(&mut self, now: Instant) -> Option<Result<Distributed, IoError>> {
        if now < self.ends {
            return None;
        }
        match &self.state {
            State::Ours(active) => match active.end_turn() {
                Turn::Over(done) => return Some(Ok(done)),
                Turn::More => {
                    self.ends = now + GIVE_WAY;
                    self.state = State::GivenWay(active.clone());
                }
            },
            State::GivenWay(active) => match active.begin_turn() {
                Ok(true) => {
                    self.ends = now + TURN;
                    self.state = State::Ours(active.clone());
                }
                Ok(false) => self.ends = now + ASK_AGAIN,
                Err(error) => {
                    drop(active.distribute());
                    return Some(Err(error));
                }
            },
            State::Theirs => {
                self.again = true;
                return Some(Ok(Distributed::default()));
            }
        }
        None
    }
}
