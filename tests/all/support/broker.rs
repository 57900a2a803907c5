//! A broker of AMQP 0-9-1 that says what a test wants: confirms, refusals, and what no broker says.
//! Whoever takes from a queue gets what was published.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::broker_wire::{PROPERTIES, Reader, closing, content, field, long, short};
use super::broker_words::{Opened, Opening, Published, Word};

type Script = dyn Fn(usize, &Published) -> Word + Send + Sync;

#[derive(Default)]
struct Seen {
    published: Vec<Published>,
    /// Number of all that came, taken or not.
    count: usize,
    opened: Vec<Opened>,
}

/// A broker.
pub(crate) struct Broker {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

impl Broker {
    /// One that confirms everything.
    pub(crate) fn start() -> Self {
        Self::saying(Opening::Well, |_| Word::Ack)
    }

    /// One that says this to clients, and to the first message, the second, ….
    pub(crate) fn saying(
        opening: Opening,
        script: impl Fn(usize) -> Word + Send + Sync + 'static,
    ) -> Self {
        Self::opening(move |_| opening, script)
    }

    /// One that says this to the first client, to the second, …, and that to messages.
    pub(crate) fn opening(
        openings: impl Fn(usize) -> Opening + Send + 'static,
        script: impl Fn(usize) -> Word + Send + Sync + 'static,
    ) -> Self {
        Self::serve(openings, Arc::new(move |n, _: &Published| script(n)), None)
    }

    /// One that says this to each message.
    pub(crate) fn judging(script: impl Fn(&Published) -> Word + Send + Sync + 'static) -> Self {
        Self::serve(
            |_| Opening::Well,
            Arc::new(move |_, own: &Published| script(own)),
            None,
        )
    }

    /// One that speaks TLS, and confirms everything.
    pub(crate) fn with_tls(config: ServerConfig) -> Self {
        Self::serve(
            |_| Opening::Well,
            Arc::new(|_, _: &Published| Word::Ack),
            Some(config.into()),
        )
    }

    fn serve(
        openings: impl Fn(usize) -> Opening + Send + 'static,
        script: Arc<Script>,
        tls: Option<Arc<ServerConfig>>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let all = Arc::clone(&seen);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { return };
                let opening = openings(number);
                let (script, seen, tls) = (Arc::clone(&script), Arc::clone(&all), tls.clone());
                thread::spawn(move || {
                    stream.set_nodelay(true).unwrap();
                    let stream = wrapped(stream, tls);
                    // A client that goes in the middle is of no interest.
                    Conversation {
                        stream,
                        seen,
                        script,
                    }
                    .hold(opening)
                    .ok();
                });
            }
        });
        Self { address, seen }
    }

    /// Its URL, of this scheme and with this path.
    pub(crate) fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://localhost:{}{path}", self.address.port())
    }

    pub(crate) fn take(&self) -> Vec<Published> {
        std::mem::take(&mut self.seen.lock().unwrap().published)
    }

    pub(crate) fn opened(&self) -> Vec<Opened> {
        self.seen.lock().unwrap().opened.clone()
    }
}

fn wrapped(stream: TcpStream, tls: Option<Arc<ServerConfig>>) -> Box<dyn Stream> {
    match tls {
        None => Box::new(stream),
        Some(config) => {
            let connection = ServerConnection::new(config).unwrap();
            Box::new(StreamOwned::new(connection, stream))
        }
    }
}

struct Conversation {
    stream: Box<dyn Stream>,
    seen: Arc<Mutex<Seen>>,
    script: Arc<Script>,
}

/// Type of a frame, its channel, its payload.
type Frame = (u8, u16, Vec<u8>);

impl Conversation {
    fn hold(mut self, opening: Opening) -> io::Result<()> {
        let mut greeting = [0; 8];
        self.stream.read_exact(&mut greeting)?;
        assert_eq!(&greeting, b"AMQP\0\0\x09\x01");
        match opening {
            Opening::Nothing => return self.wait_for_the_end(),
            Opening::Garbage => return self.stream.write_all(&[7; 64]),
            _ => {}
        }
        let capabilities = match opening {
            Opening::BadProperties => field("capabilities", b'S', &long(b"none")),
            _ => field(
                "capabilities",
                b'F',
                &long(&field("basic.nack", b't', &[1])),
            ),
        };
        let start = [
            &[0, 9][..],
            &long(&capabilities),
            &long(b"PLAIN EXTERNAL"),
            &long(b"en_US"),
        ];
        self.method(0, 10, 10, &start.concat())?;
        let (_, _, start_ok) = self.frame()?;
        let mut reader = Reader(&start_ok[4..]);
        let properties = reader.table();
        let opened = Opened {
            name: properties["connection_name"][2..].to_owned(),
            mechanism: reader.short(),
            response: reader.long(),
            ..Opened::default()
        };
        if opening == Opening::CloseAtLogin {
            return Ok(());
        }
        // 2,047 channels, frames of 128 KiB, a heartbeat each minute.
        self.method(0, 10, 30, &[7, 255, 0, 2, 0, 0, 0, 60])?;
        self.frame()?;
        let (_, _, open) = self.frame()?;
        let virtual_host = Reader(&open[4..]).short();
        if opening == Opening::NoHost {
            let close = closing(530, "NOT_ALLOWED - vhost not found");
            self.method(0, 10, 50, &close)?;
            return self.wait_for_the_end();
        }
        let number = {
            let mut seen = self.seen.lock().unwrap();
            seen.opened.push(Opened {
                virtual_host,
                ..opened
            });
            seen.opened.len() - 1
        };
        self.method(0, 10, 41, &[0])?;
        let served = self.serve(number, opening);
        self.seen.lock().unwrap().opened[number].is_gone = true;
        served
    }

    fn serve(&mut self, connection: usize, opening: Opening) -> io::Result<()> {
        let mut tag = 0_u64;
        // Channel and name, if it takes from a queue.
        let mut consumer = None;
        loop {
            let (kind, channel, payload) = self.frame()?;
            match (kind, payload.get(..4)) {
                (1, Some([0, 10, 0, 50])) => {
                    self.seen.lock().unwrap().opened[connection].is_closed_well = true;
                    return self.method(0, 10, 51, &[]);
                }
                (1, Some([0, 20, 0, 10])) => self.method(channel, 20, 11, &long(b""))?,
                (1, Some([0, 20, 0, 40])) => self.method(channel, 20, 41, &[])?,
                (1, Some([0, 85, 0, 10])) => self.method(channel, 85, 11, &[])?,
                (1, Some([0, 60, 0, 10])) if opening == Opening::NoConsumers => {}
                (1, Some([0, 60, 0, 10])) => self.method(channel, 60, 11, &[])?,
                (1, Some([0, 50, 0, 10])) => {
                    let name = Reader(&payload[6..]).short();
                    let waiting = self.seen.lock().unwrap().published.len();
                    let waiting = u32::try_from(waiting).unwrap().to_be_bytes();
                    let told = [&short(&name)[..], &waiting, &[0; 4]].concat();
                    self.method(channel, 50, 11, &told)?;
                }
                (1, Some([0, 60, 0, 20])) => {
                    let mut reader = Reader(&payload[6..]);
                    reader.short();
                    let name = short(&reader.short());
                    self.method(channel, 60, 21, &name)?;
                    consumer = Some((channel, name));
                }
                (1, Some([0, 60, 0, 30])) => {
                    let name = short(&Reader(&payload[4..]).short());
                    self.method(channel, 60, 31, &name)?;
                    consumer = None;
                }
                (8, _) => self.send(8, 0, &[])?,
                (1, Some([0, 60, 0, 40])) => {
                    let published = self.message(&payload, connection)?;
                    let number = {
                        let mut seen = self.seen.lock().unwrap();
                        seen.published.push(published.clone());
                        seen.count += 1;
                        seen.count - 1
                    };
                    tag += 1;
                    let script = Arc::clone(&self.script);
                    if !self.say(script(number, &published), channel, tag, &published)? {
                        return Ok(());
                    }
                }
                // Acknowledgements, and answers to what was closed.
                _ => {}
            }
            // A sign of life comes each two seconds.
            if let Some((channel, name)) = &consumer
                && opening != Opening::Standby
            {
                let all = std::mem::take(&mut self.seen.lock().unwrap().published);
                for one in all {
                    tag += 1;
                    self.deliver(*channel, name, tag, &one)?;
                }
            }
        }
    }

    fn deliver(
        &mut self,
        channel: u16,
        to: &[u8],
        tag: u64,
        message: &Published,
    ) -> io::Result<()> {
        let names = [&message.exchange, &message.routing_key].map(|text| short(text));
        let rest = [to, &tag.to_be_bytes(), &[0], &names.concat()].concat();
        self.method(channel, 60, 60, &rest)?;
        let header = content(message.body.len(), &message.properties);
        self.send(2, channel, &header)?;
        self.send(3, channel, &message.body)
    }

    /// Says something. Returns whether the conversation goes on.
    fn say(&mut self, word: Word, channel: u16, tag: u64, to: &Published) -> io::Result<bool> {
        let confirm = [&tag.to_be_bytes()[..], &[0]].concat();
        match word {
            Word::Ack => self.method(channel, 60, 80, &confirm)?,
            Word::AckAll => {
                let multiple = [&tag.to_be_bytes()[..], &[1]].concat();
                self.method(channel, 60, 80, &multiple)?;
            }
            Word::Nack => self.method(channel, 60, 120, &confirm)?,
            Word::Return => {
                let texts = ["NO_ROUTE", &to.exchange, &to.routing_key]
                    .map(short)
                    .concat();
                let code = 312_u16.to_be_bytes();
                self.method(channel, 60, 50, &[&code[..], &texts].concat())?;
                let length = (to.body.len() as u64).to_be_bytes();
                self.send(2, channel, &[&[0, 60, 0, 0][..], &length, &[0, 0]].concat())?;
                self.send(3, channel, &to.body)?;
                self.method(channel, 60, 80, &confirm)?;
            }
            Word::CloseChannel(code, text) => {
                self.method(channel, 20, 40, &closing(code, text))?;
            }
            Word::CloseConnection(code, text) => {
                self.method(0, 10, 50, &closing(code, text))?;
            }
            Word::Unexpected => self.method(channel, 20, 11, &long(b""))?,
            // A frame without its end.
            Word::Garbage => self.stream.write_all(&[7, 0, 1, 0, 0, 0, 1, 7, 7])?,
            Word::Nothing => {}
            Word::Alarm => loop {
                thread::sleep(Duration::from_millis(100));
                self.send(8, 0, &[])?;
            },
            Word::Reset => return Ok(false),
        }
        Ok(true)
    }

    /// Reads what follows a `basic.publish`.
    fn message(&mut self, publish: &[u8], connection: usize) -> io::Result<Published> {
        let mut reader = Reader(&publish[6..]);
        let mut published = Published {
            exchange: reader.short(),
            routing_key: reader.short(),
            is_mandatory: reader.byte() == 1,
            connection,
            ..Published::default()
        };
        let (_, _, header) = self.frame()?;
        let length = u64::from_be_bytes(header[4..12].try_into().unwrap());
        let flags = u16::from_be_bytes(header[12..14].try_into().unwrap());
        let mut reader = Reader(&header[14..]);
        for (bit, name) in PROPERTIES.iter().enumerate() {
            if flags & (0x8000 >> bit) == 0 {
                continue;
            }
            match *name {
                "headers" => published.headers = reader.table(),
                name @ ("delivery-mode" | "priority") => {
                    published.properties.insert(name, reader.byte().to_string());
                }
                name => {
                    published.properties.insert(name, reader.short());
                }
            }
        }
        assert!(reader.0.is_empty(), "more than the properties");
        while (published.body.len() as u64) < length {
            published.body.extend(self.frame()?.2);
        }
        Ok(published)
    }

    fn frame(&mut self) -> io::Result<Frame> {
        let mut head = [0; 7];
        self.stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes(head[3..].try_into().unwrap());
        let mut payload = vec![0; length as usize + 1];
        self.stream.read_exact(&mut payload)?;
        assert_eq!(payload.pop(), Some(0xce), "the end of a frame");
        Ok((head[0], u16::from_be_bytes([head[1], head[2]]), payload))
    }

    fn method(&mut self, channel: u16, class: u16, method: u16, rest: &[u8]) -> io::Result<()> {
        let start = [class.to_be_bytes(), method.to_be_bytes()].concat();
        self.send(1, channel, &[&start, rest].concat())
    }

    fn send(&mut self, kind: u8, channel: u16, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&[kind][..], &channel.to_be_bytes(), &length].concat();
        self.stream.write_all(&[&head, payload, &[0xce]].concat())?;
        self.stream.flush()
    }

    fn wait_for_the_end(&mut self) -> io::Result<()> {
        io::copy(&mut self.stream, &mut io::sink()).map(drop)
    }
}
