//! A thread of its own for each connection to a broker.

use std::io;
use std::panic;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Once};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::link::{Link, Outgoing, Target};
use super::said::{Said, unopened};
use crate::config::{Endpoint, EndpointUrl, Network};
use crate::delivery::http::address::{Unresolved, permit_url, permitted};
use crate::delivery::http::answer::{Broken, Unanswered};
use crate::delivery::http::fault::Fault;
use crate::delivery::http::{address, tls};

/// Longest time for connecting to one address, within the attempt's own limit.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Name of the threads, by which a panic on one is told from others.
const THREAD: &str = "bus";

/// Result of an attempt.
pub(super) struct Told {
    pub(super) said: Said,
    /// True if a connection that was kept broke first.
    pub(super) is_retried: bool,
}

struct Job {
    message: Outgoing,
    reply: oneshot::Sender<Result<Told, Unanswered>>,
}

/// The data that a connection depends on.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) endpoint: Endpoint,
    pub(super) network: Arc<Network>,
    /// Name of this machine.
    pub(super) host: String,
}

/// A thread with a connection. Once this is dropped, the connection ends.
pub(super) struct Worker {
    jobs: Option<mpsc::UnboundedSender<Job>>,
    ended: Receiver<()>,
}

impl Worker {
    /// Starts a thread. It connects for the first message.
    pub(super) fn start(route: Route) -> io::Result<Self> {
        silence_panics();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
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

    /// Publishes a message. Returns `None` if the thread panicked.
    pub(super) async fn publish(&self, message: Outgoing) -> Option<Result<Told, Unanswered>> {
        let (reply, told) = oneshot::channel();
        self.jobs.as_ref()?.send(Job { message, reply }).ok()?;
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

/// Keeps panics of these threads from ending the process and from the terminal: each is a failed
/// attempt, which is told.
fn silence_panics() {
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

async fn work(route: &Route, mut jobs: mpsc::UnboundedReceiver<Job>) {
    let mut link = None;
    while let Some(Job { message, mut reply }) = jobs.recv().await {
        let told = tokio::select! {
            told = attempt(&mut link, route, &message) => told,
            // Given up: whatever the connection is doing, it ends.
            () = reply.closed() => return,
        };
        reply.send(told).ok();
    }
    if let Some(link) = link {
        link.close().await;
    }
}

/// Publishes a message on the connection that was kept, or on a fresh one.
///
/// The broker may have closed a kept connection meanwhile. If one breaks before any word, the
/// message is published once more, on a fresh one.
async fn attempt(
    link: &mut Option<Link>,
    route: &Route,
    message: &Outgoing,
) -> Result<Told, Unanswered> {
    let mut is_retried = false;
    if let Some(mut kept) = link.take()
        && kept.is_alive()
    {
        let said = kept.publish(message).await;
        is_retried = said == Said::Lost;
        if !is_retried {
            *link = said.keeps().then_some(kept);
            return Ok(Told { said, is_retried });
        }
    }
    let mut fresh = connect(route).await?;
    let said = fresh.publish(message).await;
    *link = said.keeps().then_some(fresh);
    Ok(Told { said, is_retried })
}

/// Connects to the first node of the broker that can be reached.
async fn connect(route: &Route) -> Result<Link, Unanswered> {
    let fallbacks = route.endpoint.bus.iter().flat_map(|bus| &bus.fallbacks);
    let mut failed = None;
    for url in [&route.endpoint.url].into_iter().chain(fallbacks) {
        match connect_to(url, route).await {
            Ok(link) => return Ok(link),
            Err(why) => {
                // The first node's failure, unless a later one's is to be corrected here.
                let is_fault = matches!(why, Unanswered::Fault(_));
                if is_fault || failed.is_none() {
                    failed = Some(why);
                }
            }
        }
    }
    Err(failed.unwrap_or_else(|| Unanswered::Broken(Broken::timeout())))
}

/// Connects to one node, at the addresses that may be dialled, in their order.
async fn connect_to(url: &EndpointUrl, route: &Route) -> Result<Link, Unanswered> {
    let Route {
        endpoint, network, ..
    } = route;
    permit_url(network, url)?;
    let noted = tls::Noted::default();
    let tls = url.is_encrypted();
    let tls = tls.then(|| tls::config_noting(Some(endpoint), &noted));
    let tls = tls.transpose()?.map(Arc::new);
    let name = url.expose().host_str().unwrap_or_default();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let is_by_certificate = tls.is_some() && endpoint.client_cert.is_some();
    let mut failed = None;
    for mut address in addresses(network, name).await? {
        address.set_port(url.port());
        let target = Target {
            address,
            name: bare,
            tls: tls.clone(),
            login: (!is_by_certificate).then(|| url.login()),
            virtual_host: url.virtual_host(),
            connection: connection_name(&route.host),
        };
        let why = match timeout(CONNECT_TIMEOUT, Link::open(target)).await {
            Ok(Ok(link)) => return Ok(link),
            Ok(Err(text)) => unopened(&text, noted.take(), url),
            Err(_) => Unanswered::Broken(Broken::timeout()),
        };
        failed.get_or_insert(why);
    }
    let none = || Broken::new("dns", "its name has no address".to_owned(), None);
    Err(failed.unwrap_or_else(|| Unanswered::Broken(none())))
}

async fn addresses(network: &Network, host: &str) -> Result<address::Permitted, Unanswered> {
    permitted(network, host).await.map_err(|error| {
        let error = match error.downcast::<address::Forbidden>() {
            Ok(forbidden) => return Unanswered::Fault(Fault::Forbidden(*forbidden)),
            Err(other) => other,
        };
        let cause = match error.downcast_ref::<Unresolved>() {
            Some(error) => crate::report::chain(error),
            None => error.to_string(),
        };
        Unanswered::Broken(Broken::new("dns", cause, None))
    })
}

/// Returns the name of this program's connections, which people at the broker see.
fn connection_name(host: &str) -> String {
    format!("refpost {}", host.chars().take(200).collect::<String>())
}
