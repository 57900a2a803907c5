//! A connection to a broker and its channel.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amqprs::callbacks::{ChannelCallback, ConnectionCallback};
use amqprs::channel::{
    BasicAckArguments, BasicCancelArguments, BasicConsumeArguments, BasicPublishArguments,
    BasicQosArguments, Channel, ConfirmSelectArguments, ConsumerMessage, ExchangeDeclareArguments,
    QueueDeclareArguments,
};
use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::security::SecurityCredentials;
use amqprs::tls::TlsAdaptor;
use amqprs::{
    Ack, BasicProperties, Cancel, Close, CloseChannel, DELIVERY_MODE_PERSISTENT, FieldTable,
    FieldValue, Nack, Return,
};
use async_trait::async_trait;
use rustls::ClientConfig;
use tokio::sync::mpsc::{
    UnboundedReceiver, UnboundedSender, error::TryRecvError, unbounded_channel,
};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::publication::{Header, Publication};
use crate::config::Bus;
use crate::payload::Message;

/// Shortest such time. amqprs halves it, and does nothing else at zero.
const SHORTEST_HEARTBEAT: u16 = 2;
/// Size of the smallest frames (AMQP 0-9-1, `frame-min-size`). amqprs panics at less.
const SMALLEST_FRAMES: u32 = 4096;
/// Time for taking leave of a broker.
const LEAVE: Duration = Duration::from_millis(500);
/// Media type and version of an entry of the spool.
const ENTRY: &str = "application/vnd.refpost.entry";
const ENTRY_VERSION: &str = "1";
/// Length of the longest name of a table's field and of other short texts, in bytes.
const SHORT: usize = 255;

type AnyResult<T> = Result<T, amqprs::error::Error>;

/// Data to open a connection with.
pub(super) struct Target<'a> {
    /// An address that may be dialled.
    pub(super) address: SocketAddr,
    /// The name that TLS verifies.
    pub(super) name: &'a str,
    /// The TLS configuration. `None`: without TLS.
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// Name and password. `None`: the certificate says who logs in.
    pub(super) login: Option<(String, String)>,
    pub(super) virtual_host: String,
    /// Name of the connection, for people at the broker.
    pub(super) connection: String,
    /// Time between two signs of life, in seconds, unless the broker asks for less.
    pub(super) heartbeat: u16,
}

/// An event on a connection or its channel.
pub(super) enum Heard {
    Ack {
        tag: u64,
        is_multiple: bool,
    },
    Nack {
        tag: u64,
        is_multiple: bool,
    },
    /// A message that no queue is bound for, with its id.
    Return(Option<String>),
    ClosedChannel(u16, String),
    ClosedConnection(u16, String),
    /// A task that listened has ended, or the broker has cancelled what it listened to.
    Gone,
}

/// A connection with one channel in confirm mode.
pub(super) struct Link {
    // Before the connection, so that it is dropped first.
    channel: Channel,
    connection: Connection,
    heard: UnboundedReceiver<Heard>,
    /// Number of messages that were published on the channel.
    published: u64,
}

impl Link {
    /// Opens a connection and a channel. The error is the library's text.
    pub(super) async fn open(target: Target<'_>) -> Result<Self, String> {
        let opened = Self::try_open(target).await;
        opened.map_err(|error| error.to_string())
    }

    async fn try_open(target: Target<'_>) -> AnyResult<Self> {
        let host = match target.address {
            SocketAddr::V4(v4) => v4.ip().to_string(),
            SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
        };
        let mut arguments = OpenConnectionArguments::new(&host, target.address.port(), "", "");
        arguments
            .virtual_host(&target.virtual_host)
            .connection_name(&target.connection)
            .heartbeat(target.heartbeat)
            .credentials(match &target.login {
                Some((name, password)) => SecurityCredentials::new_plain(name, password),
                None => SecurityCredentials::new_external(),
            });
        if let Some(tls) = target.tls {
            let connector = TlsConnector::from(tls);
            arguments.tls_adaptor(TlsAdaptor::new(connector, target.name.to_owned()));
        }
        let connection = Connection::open(&arguments).await?;
        if connection.heartbeat() < SHORTEST_HEARTBEAT || connection.frame_max() < SMALLEST_FRAMES {
            let error = "its heartbeats or frames are too small".to_owned();
            return Err(amqprs::error::Error::ConnectionOpenError(error));
        }
        let (tell, heard) = unbounded_channel();
        connection.register_callback(Ears(tell.clone())).await?;
        let channel = connection.open_channel(None).await?;
        channel.register_callback(Ears(tell)).await?;
        let confirms = ConfirmSelectArguments::default();
        channel.confirm_select(confirms).await?;
        Ok(Self {
            channel,
            connection,
            heard,
            published: 0,
        })
    }

    /// Returns whether nothing is known to be wrong with it.
    pub(super) fn is_alive(&mut self) -> bool {
        let is_silent = matches!(self.heard.try_recv(), Err(TryRecvError::Empty));
        is_silent && self.connection.is_open() && self.channel.is_open()
    }

    /// Publishes a message. Returns its number on the channel, or `None` if the connection broke.
    pub(super) async fn publish(&mut self, message: &Outgoing) -> Option<u64> {
        let mut arguments = BasicPublishArguments::new(&message.exchange, &message.routing_key);
        arguments.mandatory(message.is_mandatory);
        let (properties, body) = (properties(message), message.body.clone());
        let sent = self.channel.basic_publish(properties, body, arguments);
        sent.await.ok()?;
        self.published += 1;
        Some(self.published)
    }

    /// Waits for the next event.
    pub(super) async fn hear(&mut self) -> Heard {
        self.heard.recv().await.unwrap_or(Heard::Gone)
    }

    /// Fails unless the exchange and these queues are there. Needs no rights to them. The error is
    /// the library's text.
    pub(super) async fn find(&self, exchange: &str, queues: &[String]) -> Result<(), String> {
        let mut arguments = ExchangeDeclareArguments::new(exchange, "direct");
        arguments.passive(true);
        let declared = self.channel.exchange_declare(arguments).await;
        declared.map_err(|error| error.to_string())?;
        for queue in queues {
            self.waiting(queue).await?;
        }
        Ok(())
    }

    /// Returns how many messages of a queue nobody has been sent. The error is the library's text.
    pub(super) async fn waiting(&self, queue: &str) -> Result<usize, String> {
        let mut arguments = QueueDeclareArguments::new(queue);
        arguments.passive(true);
        let declared = self.channel.queue_declare(arguments).await;
        let declared = declared.map_err(|error| error.to_string())?;
        let waiting = declared.map_or(0, |(_, waiting, _)| waiting);
        Ok(usize::try_from(waiting).unwrap_or(usize::MAX))
    }

    /// Has the messages of a queue sent here, `most` at once without an answer. The error is the
    /// library's text.
    pub(super) async fn consume(
        &self,
        queue: &str,
        most: u16,
    ) -> Result<(String, UnboundedReceiver<ConsumerMessage>), String> {
        let consumed = async {
            self.channel
                .basic_qos(BasicQosArguments::new(0, most, false))
                .await?;
            let arguments = BasicConsumeArguments::new(queue, "");
            self.channel.basic_consume_rx(arguments).await
        };
        consumed.await.map_err(|error| error.to_string())
    }

    /// Acknowledges all messages up to this one. Returns false if the connection broke.
    pub(super) async fn acknowledge(&self, tag: u64) -> bool {
        let arguments = BasicAckArguments::new(tag, true);
        self.channel.basic_ack(arguments).await.is_ok()
    }

    /// Has no more messages sent here.
    pub(super) async fn cancel(&self, consumer: &str) {
        let cancelled = self
            .channel
            .basic_cancel(BasicCancelArguments::new(consumer));
        timeout(LEAVE, cancelled).await.ok();
    }

    /// Takes leave of the broker, which would note a lost connection otherwise.
    pub(super) async fn close(self) {
        timeout(LEAVE, self.connection.close()).await.ok();
    }
}

/// A message on its way.
pub(super) struct Outgoing {
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) message_id: String,
    pub(super) headers: BTreeMap<String, Header>,
    pub(super) body: Vec<u8>,
    /// True if the broker must say so when no queue is bound for it.
    pub(super) is_mandatory: bool,
    /// Of an entry of the spool: its sender.
    pub(super) entry: Option<Sender>,
}

/// The user who sends an entry, if the URL says so. The broker refuses a false one.
pub(super) struct Sender(pub(super) Option<String>);

impl Outgoing {
    pub(super) fn new(publication: Publication<'_>, is_mandatory: bool) -> Self {
        Self {
            exchange: publication.exchange.to_owned(),
            routing_key: publication.routing_key,
            message_id: publication.message_id,
            headers: publication.headers,
            body: publication.body.to_vec(),
            is_mandatory,
            entry: None,
        }
    }

    /// Makes the message that carries an entry of the spool.
    pub(super) fn of_entry(message: &Message, bus: &Bus, user: Option<String>) -> Self {
        Self {
            exchange: bus.exchange.clone(),
            routing_key: message.topic.clone(),
            message_id: message.msg_id.clone(),
            headers: BTreeMap::new(),
            body: message.body.clone(),
            is_mandatory: bus.require_route,
            entry: Some(Sender(user)),
        }
    }
}

/// Makes the properties of a message. Texts that are too long for the wire are left out: amqprs
/// panics at them.
fn properties(message: &Outgoing) -> BasicProperties {
    let mut properties = BasicProperties::default();
    properties.with_delivery_mode(DELIVERY_MODE_PERSISTENT);
    if message.message_id.len() <= SHORT {
        properties.with_message_id(&message.message_id);
    }
    if let Some(Sender(user)) = &message.entry {
        properties
            .with_content_type(ENTRY)
            .with_message_type(ENTRY_VERSION);
        if let Some(user) = user {
            properties.with_user_id(user);
        }
        return properties;
    }
    let mut headers = FieldTable::new();
    for (name, value) in &message.headers {
        let value = match value {
            Header::Text(text) => text.as_str().try_into().map(FieldValue::S).ok(),
            Header::Number(number) => Some(FieldValue::I(*number)),
            Header::True => Some(FieldValue::t(true)),
        };
        let name = name.as_str().try_into().ok();
        if let Some((name, value)) = name.zip(value) {
            headers.insert(name, value);
        }
    }
    properties
        .with_content_type("application/json")
        .with_content_encoding("utf-8")
        .with_headers(headers);
    properties
}

/// The listener of a task of amqprs, dropped with the task.
struct Ears(UnboundedSender<Heard>);

impl Ears {
    fn tell(&self, heard: Heard) {
        // Nobody listens to a connection that is given up.
        self.0.send(heard).ok();
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        self.tell(Heard::Gone);
    }
}

#[async_trait]
impl ConnectionCallback for Ears {
    async fn close(&mut self, _: &Connection, close: Close) -> AnyResult<()> {
        let text = close.reply_text().clone();
        self.tell(Heard::ClosedConnection(close.reply_code(), text));
        Ok(())
    }

    async fn blocked(&mut self, _: &Connection, _: String) {}

    async fn unblocked(&mut self, _: &Connection) {}

    async fn secret_updated(&mut self, _: &Connection) {}
}

#[async_trait]
impl ChannelCallback for Ears {
    async fn close(&mut self, _: &Channel, close: CloseChannel) -> AnyResult<()> {
        let text = close.reply_text().clone();
        self.tell(Heard::ClosedChannel(close.reply_code(), text));
        Ok(())
    }

    async fn cancel(&mut self, _: &Channel, _: Cancel) -> AnyResult<()> {
        self.tell(Heard::Gone);
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, is_active: bool) -> AnyResult<bool> {
        Ok(is_active)
    }

    async fn publish_ack(&mut self, _: &Channel, ack: Ack) {
        self.tell(Heard::Ack {
            tag: ack.delivery_tag(),
            is_multiple: ack.mutiple(),
        });
    }

    async fn publish_nack(&mut self, _: &Channel, nack: Nack) {
        self.tell(Heard::Nack {
            tag: nack.delivery_tag(),
            is_multiple: nack.multiple(),
        });
    }

    async fn publish_return(&mut self, _: &Channel, _: Return, own: BasicProperties, _: Vec<u8>) {
        self.tell(Heard::Return(own.message_id().cloned()));
    }
}
