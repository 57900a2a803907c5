//! A thread of its own for each connection to a broker.

use std::collections::VecDeque;
use std::io;
use std::panic;
use std::sync::Once;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::THREAD;
use super::link::{Heard, Link, Outgoing};
use super::route::{Route, connect};
use super::said::Said;
use crate::delivery::http::answer::Unanswered;

/// Result of an attempt.
pub(super) struct Told {
    pub(super) said: Said,
    /// True if a connection that was kept broke first.
    pub(super) is_retried: bool,
}

struct Job {
    message: Outgoing,
    /// Time after which nobody waits for the answer.
    end: Instant,
    reply: oneshot::Sender<Result<Told, Unanswered>>,
}

type Jobs = mpsc::UnboundedReceiver<Job>;

/// A thread with a connection. Once this is dropped, the connection ends.
pub(super) struct Thread {
    jobs: Option<mpsc::UnboundedSender<Job>>,
    ended: Receiver<()>,
}

impl Thread {
    /// Starts a thread. It connects for the first message.
    pub(super) fn start(route: Route) -> io::Result<Self> {
        silence_panics();
        let runtime = runtime()?;
        let (jobs, taken) = mpsc::unbounded_channel();
        let (ending, ended) = channel();
        thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || {
                // Dropped at the end, by a panic too.
                let _ending = ending;
                runtime.block_on(work(&route, taken));
                // A name that is still looked up is not waited for.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            jobs: Some(jobs),
            ended,
        })
    }

    /// Publishes a message before `end`. Returns `None` if the thread panicked.
    pub(super) async fn publish(
        &self,
        message: Outgoing,
        end: Instant,
    ) -> Option<Result<Told, Unanswered>> {
        let (reply, told) = oneshot::channel();
        let job = Job {
            message,
            end,
            reply,
        };
        self.jobs.as_ref()?.send(job).ok()?;
        told.await.ok()
    }

    /// Has the connection end.
    pub(super) fn dismiss(&mut self) {
        self.jobs = None;
    }

    /// Waits until the connection has ended, if it was dismissed.
    pub(super) fn wait(&self, longest: Duration) {
        // It sends nothing.
        let ended = self.ended.recv_timeout(longest);
        debug_assert!(matches!(
            ended,
            Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout)
        ));
    }
}

/// Makes the runtime of a thread with a connection.
pub(super) fn runtime() -> io::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_io().enable_time().build()
}

/// Keeps panics of these threads from the terminal.
pub(super) fn silence_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if thread::current().name() != Some(THREAD) {
                others(info);
            }
        }));
    });
}

async fn work(route: &Route, mut jobs: Jobs) {
    let mut kept: Option<Link> = None;
    while let Some(job) = jobs.recv().await {
        let mut todo = vec![job];
        let mut is_retried = false;
        while !todo.is_empty() {
            let known = kept
                .take()
                .and_then(|mut link| link.is_alive().then_some(link));
            let was_kept = known.is_some();
            let opened = match known {
                Some(link) => Ok(link),
                None => connect(route, todo[0].end).await,
            };
            let link = match opened {
                Ok(link) => link,
                Err(why) => {
                    let first = todo.remove(0);
                    first.reply.send(Err(why)).ok();
                    todo.extend(std::iter::from_fn(|| jobs.try_recv().ok()));
                    tell(todo.drain(..), &Said::Lost, is_retried);
                    break;
                }
            };
            let ended = converse(link, todo, is_retried, &mut jobs, route.window()).await;
            todo = match ended {
                Ended::Idle(link) => {
                    kept = Some(link);
                    break;
                }
                // The broker may have closed a kept connection meanwhile.
                Ended::Broken(Said::Lost, left) if was_kept && !is_retried => {
                    is_retried = true;
                    left
                }
                Ended::Broken(said, left) => {
                    tell(left, &said, is_retried);
                    break;
                }
            };
        }
    }
    if let Some(link) = kept {
        link.close().await;
    }
}

/// The end of a conversation with the broker.
enum Ended {
    /// All messages have their answers.
    Idle(Link),
    /// The connection is of no more use; these messages have no answer of their own.
    Broken(Said, Vec<Job>),
}

/// Publishes messages, and those that come meanwhile, and tells their answers.
async fn converse(
    mut link: Link,
    todo: Vec<Job>,
    is_retried: bool,
    jobs: &mut Jobs,
    window: usize,
) -> Ended {
    let mut todo = VecDeque::from(todo);
    let mut sent = Sent::default();
    loop {
        while sent.jobs.len() < window
            && let Some(job) = todo.pop_front()
        {
            let published = timeout_at(job.end, link.publish(&job.message)).await;
            let tag = published.unwrap_or_default();
            sent.jobs.push_back((tag.unwrap_or_default(), job));
            if tag.is_none() {
                return Ended::Broken(Said::Lost, sent.rest(todo));
            }
        }
        let Some(end) = sent.jobs.iter().map(|(_, job)| job.end).min() else {
            return Ended::Idle(link);
        };
        let has_room = todo.is_empty() && sent.jobs.len() < window;
        let said = tokio::select! {
            heard = link.hear() => match heard {
                Heard::Return(id) => {
                    sent.returned.push(id);
                    continue;
                }
                Heard::Ack { tag, is_multiple } => {
                    sent.settle(tag, is_multiple, &Said::Confirmed, is_retried);
                    continue;
                }
                Heard::Nack { tag, is_multiple } => {
                    sent.settle(tag, is_multiple, &Said::Nacked, is_retried);
                    continue;
                }
                Heard::ClosedChannel(code, text) => Said::ClosedChannel(code, text),
                Heard::ClosedConnection(code, text) => Said::ClosedConnection(code, text),
                Heard::Gone => Said::Lost,
            },
            Some(job) = jobs.recv(), if has_room => {
                todo.push_back(job);
                continue;
            }
            // Nobody waits for that one any more: whatever the connection is doing, it ends.
            () = sleep_until(end) => {
                let now = Instant::now();
                sent.jobs.retain(|(_, job)| job.end > now);
                tell(sent.rest(todo), &Said::Lost, is_retried);
                return Ended::Broken(Said::Lost, Vec::new());
            }
        };
        return Ended::Broken(said, sent.rest(todo));
    }
}

/// Messages that are on their way, in the order of their numbers.
#[derive(Default)]
struct Sent {
    jobs: VecDeque<(u64, Job)>,
    /// Ids of messages that no queue is bound for, as far as the broker says. Their
    /// acknowledgements follow.
    returned: Vec<Option<String>>,
}

impl Sent {
    /// Tells the answer to the message with this number, or to all up to it; zero is all of them.
    fn settle(&mut self, tag: u64, is_multiple: bool, said: &Said, is_retried: bool) {
        let is_meant = |own: u64| own == tag || is_multiple && (tag == 0 || own < tag);
        let all = std::mem::take(&mut self.jobs);
        let (meant, others) = all.into_iter().partition(|(own, _)| is_meant(*own));
        self.jobs = others;
        let meant: VecDeque<(u64, Job)> = meant;
        for (_, job) in meant {
            let own = &job.message.message_id;
            let mut returned = self.returned.iter();
            let id = returned.position(|id| id.as_ref().is_none_or(|id| id == own));
            let said = match id {
                Some(at) => {
                    self.returned.swap_remove(at);
                    &Said::Returned
                }
                None => said,
            };
            tell([job], said, is_retried);
        }
    }

    /// Returns all messages without an answer, with those that were not sent.
    fn rest(&mut self, todo: VecDeque<Job>) -> Vec<Job> {
        let sent = self.jobs.drain(..).map(|(_, job)| job);
        sent.chain(todo).collect()
    }
}

fn tell(jobs: impl IntoIterator<Item = Job>, said: &Said, is_retried: bool) {
    for job in jobs {
        let told = Told {
            said: said.clone(),
            is_retried,
        };
        // Whoever asked may have given up.
        job.reply.send(Ok(told)).ok();
    }
}
