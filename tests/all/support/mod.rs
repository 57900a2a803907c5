//! What the tests stand on.

mod accounts;
pub(crate) mod booted;
#[cfg(feature = "amqp")]
mod broker;
#[cfg(feature = "amqp")]
mod broker_wire;
#[cfg(feature = "amqp")]
mod broker_words;
pub(crate) mod disks;
mod environment;
mod fleet;
mod golden;
#[cfg(feature = "amqp")]
pub(crate) mod handed;
mod hostile;
mod hostile_commits;
mod hostile_store;
mod hostile_trees;
mod hosts;
mod intents;
mod left_out;
mod message;
mod oracle;
mod outside;
mod preload;
mod python;
#[cfg(feature = "amqp")]
mod rabbitmq;
pub(crate) mod random_pushes;
mod receiver;
pub(crate) mod running;
pub(crate) mod served;
mod several;
mod site;
pub(crate) mod spooled;
mod tls;
mod ways;
#[cfg(feature = "amqp")]
mod wire;

pub(crate) use accounts::Accounts;
#[cfg(feature = "amqp")]
pub(crate) use broker::Broker;
#[cfg(feature = "amqp")]
pub(crate) use broker_words::{Opening, Word};
pub(crate) use environment::{Background, Environment, Ran, Runner, find, set_mode};
pub(crate) use fleet::Fleet;
pub(crate) use golden::{golden, golden_at};
pub(crate) use hostile::{FLAWS, Hostile};
pub(crate) use hostile_store::KINDS;
pub(crate) use hosts::{Server, Sshd, SystemAccount, free_port, has_host, has_host_and_accounts};
pub(crate) use left_out::{
    is_long, leave_out, leave_out_anyway, leave_out_mount, may_take_minutes,
};
pub(crate) use message::{Message, parse_bodies};

pub(crate) use intents::{Git, names, read_bodies, read_entry, take_entries};
pub(crate) use oracle::Received;
pub(crate) use outside::{Place, everywhere};
pub(crate) use preload::preload;
pub(crate) use python::{Python, canonical};
#[cfg(feature = "amqp")]
pub(crate) use rabbitmq::RabbitMq;
pub(crate) use receiver::{Answer, Receiver, Request};
pub(crate) use served::Served;
pub(crate) use several::Several;
pub(crate) use site::{KEY, Push, Site};
pub(crate) use spooled::Spooled;
pub(crate) use tls::{Authority, Identity, TlsReceiver, server_config};
pub(crate) use ways::{libgit2_opens, only_git_opens};
#[cfg(feature = "amqp")]
pub(crate) use wire::Wire;

/// The binary under test.
pub(crate) const REFPOST: &str = env!("CARGO_BIN_EXE_refpost");

/// The id of no object, in a repository with SHA-1 ids.
pub(crate) const ZEROS: &str = "0000000000000000000000000000000000000000";
