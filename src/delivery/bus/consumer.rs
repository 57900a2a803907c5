//! Takes messages from a queue of the broker, as long as it may.
//!
//! A message is acknowledged once it is durable here. Crash before: the broker sends it again, to
//! whoever takes from the queue then. Nothing is sent back to the queue but by the end of a
//! connection, which keeps the order. Of what is sent back the broker counts how often, and a
//! message goes to the dead letters at the 20th time: so what there is no room for is held.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use amqprs::channel::ConsumerMessage;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};

use super::THREAD;
use super::link::{Heard, Link};
use super::route::{Route, connect};
use super::said::{Said, unopened};
use super::thread::{runtime, silence_panics};
use crate::config::{Broker, Network};
use crate::delivery::http::answer::Unanswered;
use crate::delivery::result::Drained;
use crate::report::{self, chain};

/// Time between two signs of life, in seconds: a worker that is cut off is replaced soon.
const HEARTBEAT: u16 = 5;
/// Number of messages that are on their way here at once.
///
/// Always as many: the broker puts messages that come back behind those that came back before. So a
/// process that had fewer on their way than came back would leave the others in another order.
const PREFETCH: u16 = 32;
/// Longest time for an answer of the broker.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
/// Time without a message after which a queue is taken for empty.
const IDLE: Duration = Duration::from_secs(1);
/// Time until it is looked for room again.
const FULL: Duration = Duration::from_secs(10);
/// Longest time for which messages are held that there is no room for. The broker takes them back
/// after 30 minutes (`consumer_timeout`), and counts that as a failure of each.
const HELD: Duration = Duration::from_mins(20);
/// Times until the broker is tried again; the last one repeats.
const AGAIN: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_mins(1),
];
/// Time in which the broker's words follow a refusal.
const SOON: Duration = Duration::from_millis(200);
pub(super) const LATE: &str = "it did not answer in time";
const BROKE: &str = "the connection to the broker broke";
const GARBLED: &str = "what the broker sent is not AMQP 0-9-1";

/// A message of a queue.
#[derive(Debug)]
pub struct Consumed {
    /// Property `message_id`.
    pub id: Option<String>,
    /// Property `user_id`, which the broker has verified.
    pub user: Option<String>,
    /// True if it was sent before, to this worker or another.
    pub is_repeated: bool,
    /// The body.
    pub body: Vec<u8>,
}

/// The place where messages go.
pub trait Intake {
    /// Returns whether there is room for more, as far as can be told without any.
    fn has_room(&mut self) -> bool;
    /// Makes messages durable, in order. Returns how many of them, from the first on; the others
    /// are offered again.
    fn take(&mut self, messages: &[Consumed]) -> usize;
    /// Tells that messages come from the queue, or would if there were any.
    fn is_well(&mut self);
    /// Tells why nothing comes from the queue.
    fn fails(&mut self, why: &str);
}

/// A queue to take from.
#[derive(Clone)]
pub struct Source {
    /// The broker.
    pub broker: Broker,
    /// Addresses that may be dialled.
    pub network: Arc<Network>,
    /// Name of this machine.
    pub host: String,
    /// The queue.
    pub queue: String,
    /// True if it ends once the queue is empty.
    pub once: bool,
    /// Becomes true once this process is told to end.
    pub stop: watch::Receiver<bool>,
}

/// Takes messages on a thread of its own, into an intake that is made there, until it is told to
/// end.
pub fn consume<I: Intake>(
    source: Source,
    intake: impl FnOnce() -> I + Send + 'static,
) -> io::Result<JoinHandle<Drained>> {
    silence_panics();
    thread::Builder::new()
        .name(THREAD.to_owned())
        .spawn(move || take(source, &mut intake()))
}

/// The end of a connection.
enum Ended {
    /// All is to end, or the queue is empty.
    Done,
    /// There is no room for more.
    Full,
    Failed(String),
}

fn take(mut source: Source, intake: &mut dyn Intake) -> Drained {
    let route = Route {
        heartbeat: HEARTBEAT,
        ..Route::new(&source.broker.endpoint, &source.network, &source.host)
    };
    let (mut pause, mut failures) = (Duration::ZERO, 0);
    loop {
        let mut has_come = false;
        let ended = ran(&route, &mut source, intake, pause, &mut has_come);
        if has_come {
            failures = 0;
        }
        pause = match ended {
            Ended::Done => return Drained::All,
            Ended::Full if source.once => return Drained::Full,
            Ended::Full => FULL,
            Ended::Failed(why) => {
                intake.fails(&why);
                if source.once {
                    return Drained::Failed;
                }
                failures += 1;
                AGAIN[failures.min(AGAIN.len()) - 1]
            }
        };
    }
}

/// Takes messages over one connection, after a pause, in a runtime that ends with it.
fn ran(
    route: &Route,
    source: &mut Source,
    intake: &mut dyn Intake,
    pause: Duration,
    has_come: &mut bool,
) -> Ended {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            // Nothing can be waited for without one.
            thread::sleep(AGAIN[0]);
            if *source.stop.borrow() {
                return Ended::Done;
            }
            return Ended::Failed(format!("cannot wait for the broker: {error}"));
        }
    };
    let taken = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            if timeout(pause, told(&mut source.stop)).await.is_ok() {
                Ended::Done
            } else if intake.has_room() {
                session(route, source, intake, has_come).await
            } else {
                Ended::Full
            }
        })
    }));
    runtime.shutdown_background();
    // A panic in the library.
    taken.unwrap_or_else(|_| Ended::Failed(GARBLED.to_owned()))
}

/// Waits until this process is told to end.
async fn told(stop: &mut watch::Receiver<bool>) {
    // An error: whoever would tell it has ended.
    stop.wait_for(|told| *told).await.ok();
}

/// Takes messages over one connection.
async fn session(
    route: &Route,
    source: &mut Source,
    intake: &mut dyn Intake,
    has_come: &mut bool,
) -> Ended {
    let opened = tokio::select! {
        biased;
        () = told(&mut source.stop) => return Ended::Done,
        opened = open(route, &source.queue) => opened,
    };
    let (mut link, consumer, messages) = match opened {
        Ok(opened) => opened,
        Err(why) => return Ended::Failed(why),
    };
    intake.is_well();
    let mut flow = Flow {
        route,
        messages,
        held: Held::default(),
        has_come,
    };
    let ended = flow.run(&mut link, source, intake).await;
    if !matches!(ended, Ended::Failed(_)) {
        link.cancel(&consumer).await;
    }
    if matches!(ended, Ended::Done) {
        // What has come is taken; the rest is the next one's.
        flow.gather();
        flow.held.take(&link, intake).await;
    }
    link.close().await;
    ended
}

/// Connects, and has the messages of a queue sent here.
async fn open(
    route: &Route,
    queue: &str,
) -> Result<(Link, String, UnboundedReceiver<ConsumerMessage>), String> {
    let connected = connect(route, Instant::now() + PATIENCE).await;
    let mut link = connected.map_err(words)?;
    match timeout(PATIENCE, link.consume(queue, PREFETCH)).await {
        Ok(Ok((consumer, messages))) => Ok((link, consumer, messages)),
        Ok(Err(text)) => Err(refusal(&mut link, route, &text).await),
        Err(_) => Err(LATE.to_owned()),
    }
}

/// Messages that have come and are not durable yet, in order.
#[derive(Default)]
struct Held {
    tags: VecDeque<u64>,
    messages: Vec<Consumed>,
    /// Time since which there is no room for them.
    since: Option<Instant>,
}

impl Held {
    fn put(&mut self, message: ConsumerMessage) {
        let Some(deliver) = message.deliver else {
            return;
        };
        let properties = message.basic_properties.unwrap_or_default();
        self.tags.push_back(deliver.delivery_tag());
        self.messages.push(Consumed {
            id: properties.message_id().cloned(),
            user: properties.user_id().cloned(),
            is_repeated: deliver.redelivered(),
            body: message.content.unwrap_or_default(),
        });
    }

    /// Makes them durable and acknowledges them, as far as there is room. Returns false if the
    /// connection broke.
    ///
    /// Those that have come before are taken one by one: one that ends this process is counted
    /// against none of those before it.
    async fn take(&mut self, link: &Link, intake: &mut dyn Intake) -> bool {
        while let Some(first) = self.messages.first() {
            let most = if first.is_repeated {
                1
            } else {
                self.messages.len()
            };
            let taken = intake.take(&self.messages[..most]);
            self.messages.drain(..taken);
            let last = self.tags.drain(..taken).next_back();
            if let Some(tag) = last
                && !link.acknowledge(tag).await
            {
                return false;
            }
            if taken > 0 {
                self.since = None;
            }
            if taken < most {
                self.since.get_or_insert_with(Instant::now);
                return true;
            }
            // The acknowledgement goes out before the next one may end this process.
            yield_now().await;
        }
        true
    }
}

/// Messages as they come from a queue.
struct Flow<'a> {
    route: &'a Route,
    messages: UnboundedReceiver<ConsumerMessage>,
    held: Held,
    has_come: &'a mut bool,
}

impl Flow<'_> {
    /// Takes messages, until there is a reason to end.
    async fn run(
        &mut self,
        link: &mut Link,
        source: &mut Source,
        intake: &mut dyn Intake,
    ) -> Ended {
        loop {
            let is_held = self.held.since.is_some();
            tokio::select! {
                biased;
                () = told(&mut source.stop) => return Ended::Done,
                heard = link.hear() => match failure(heard, self.route) {
                    Some(why) => return Ended::Failed(why),
                    None => continue,
                },
                message = self.messages.recv(), if !is_held => match message {
                    Some(message) => self.held.put(message),
                    None => return Ended::Failed(BROKE.to_owned()),
                },
                () = sleep(FULL), if is_held => {}
                () = sleep(IDLE), if source.once && !is_held => return self.idle(link, source).await,
            }
            *self.has_come = true;
            self.gather();
            if !self.held.take(link, intake).await {
                return Ended::Failed(BROKE.to_owned());
            }
            let since = self.held.since;
            if since.is_some_and(|since| source.once || since.elapsed() >= HELD) {
                return Ended::Full;
            }
        }
    }

    /// Ends where nothing comes: the queue is empty, or all goes to another worker.
    async fn idle(&self, link: &mut Link, source: &Source) -> Ended {
        if *self.has_come {
            return Ended::Done;
        }
        match timeout(PATIENCE, link.waiting(&source.queue)).await {
            Ok(Ok(0)) => Ended::Done,
            Ok(Ok(count)) => Ended::Failed(format!(
                "another worker takes from it, with {} waiting",
                report::count(count, "message")
            )),
            Ok(Err(text)) => Ended::Failed(refusal(link, self.route, &text).await),
            Err(_) => Ended::Failed(LATE.to_owned()),
        }
    }

    /// Takes over the messages that have come. No more do than are on their way at once.
    fn gather(&mut self) {
        while let Ok(message) = self.messages.try_recv() {
            self.held.put(message);
        }
    }
}

/// Returns the failure that an event is, if it is one.
fn failure(heard: Heard, route: &Route) -> Option<String> {
    let said = match heard {
        Heard::ClosedChannel(code, text) => Said::ClosedChannel(code, text),
        Heard::ClosedConnection(code, text) => Said::ClosedConnection(code, text),
        Heard::Gone => Said::Lost,
        Heard::Ack { .. } | Heard::Nack { .. } | Heard::Return(_) => return None,
    };
    let answer = said.answer(&route.endpoint.url, Duration::ZERO);
    answer.broken.map(|broken| broken.cause)
}

/// Returns why the broker refused something: its own words on the channel, or else the library's.
pub(super) async fn refusal(link: &mut Link, route: &Route, text: &str) -> String {
    let heard = timeout(SOON, link.hear()).await;
    let said = heard.ok().and_then(|heard| failure(heard, route));
    said.unwrap_or_else(|| words(unopened(text, None, &route.endpoint.url)))
}

pub(super) fn words(why: Unanswered) -> String {
    match why {
        Unanswered::Fault(fault) => chain(&fault),
        Unanswered::Broken(broken) => broken.cause,
    }
}
