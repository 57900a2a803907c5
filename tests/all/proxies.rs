//! Messages through a proxy, and what may be reached through it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::{Authority, Ran, Site, TlsReceiver};

/// A proxy of our own, and what it was asked for: `host:port`, and by whom.
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

/// Talks with whoever connected: what it asks for, and the connection to that.
type Serve = fn(&mut TcpStream) -> io::Result<(String, TcpStream)>;

impl Proxy {
    fn start(serve: Serve) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut near) = stream else { return };
                let seen = Arc::clone(&seen);
                thread::spawn(move || {
                    let (what, far) = serve(&mut near)?;
                    seen.lock().unwrap().push(what);
                    splice(near, far)
                });
            }
        });
        Self { address, asked }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// Carries bytes both ways until both are done.
fn splice(mut near: TcpStream, mut far: TcpStream) -> io::Result<()> {
    let (mut from_near, mut to_far) = (near.try_clone()?, far.try_clone()?);
    thread::spawn(move || io::copy(&mut from_near, &mut to_far));
    io::copy(&mut far, &mut near).map(drop)
}

/// SOCKS5 (RFC 1928), with user name and password (RFC 1929) if it is offered.
fn socks(near: &mut TcpStream) -> io::Result<(String, TcpStream)> {
    let mut read = |length: usize| {
        let mut bytes = vec![0; length];
        near.read_exact(&mut bytes).map(|()| bytes)
    };
    let methods = read(2)?[1];
    let methods = read(methods.into())?;
    let mut user = String::new();
    if methods.contains(&2) {
        near.write_all(&[5, 2])?;
        let mut field = |skip: usize| {
            let mut head = vec![0; skip + 1];
            near.read_exact(&mut head)?;
            let mut text = vec![0; head[skip].into()];
            near.read_exact(&mut text)?;
            io::Result::Ok(String::from_utf8_lossy(&text).into_owned())
        };
        user = format!("{}:{}@", field(1)?, field(0)?);
        near.write_all(&[1, 0])?;
    } else {
        near.write_all(&[5, 0])?;
    }
    let mut head = [0; 4];
    near.read_exact(&mut head)?;
    assert_eq!(head[..2], [5, 1], "CONNECT");
    assert_eq!(head[3], 1, "an IPv4 address, not a name");
    let mut to = [0; 6];
    near.read_exact(&mut to)?;
    let port = u16::from_be_bytes([to[4], to[5]]);
    let to: SocketAddr = ([to[0], to[1], to[2], to[3]], port).into();
    let far = TcpStream::connect(to)?;
    near.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    Ok((format!("{user}{to}"), far))
}

/// An HTTP proxy: `CONNECT`, or the absolute form of a request (RFC 9112, 3.2).
fn http(near: &mut TcpStream) -> io::Result<(String, TcpStream)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        near.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let text = String::from_utf8(head).unwrap();
    let (line, rest) = text.split_once("\r\n").unwrap();
    if let Some(target) = line.strip_prefix("CONNECT ") {
        let host = target.split(' ').next().unwrap();
        let far = TcpStream::connect(host)?;
        near.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
        return Ok((format!("CONNECT {host}"), far));
    }
    let (host, path) = line
        .strip_prefix("POST http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let credentials = rest
        .lines()
        .find_map(|own| own.strip_prefix("Proxy-Authorization: "));
    let mut far = TcpStream::connect(host)?;
    far.write_all(format!("POST /{path}\r\n{rest}").as_bytes())?;
    Ok((format!("{}{host}", credentials.unwrap_or_default()), far))
}

fn ping(site: &Site, url: &str, network: &str) -> Ran {
    site.write("system.toml", format!("[network]\n{network}\n"));
    site.config_alone(&format!(
        "unsigned = true\n[[endpoint]]\nname = \"one\"\nurl = \"{url}\"\n"
    ));
    site.refpost(["ping", "test.git"]).run()
}

#[test]
fn a_socks_proxy_is_told_the_address_that_was_let_through() {
    let site = Site::new();
    let proxy = Proxy::start(socks);
    let port = site.receiver.address().port();
    let url = format!("http://localhost:{port}/hook");
    let network = format!("proxy = \"socks5://ada:s3cret@{}\"", proxy.address);
    let ran = ping(&site, &url, &network);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(proxy.take(), [format!("ada:s3cret@127.0.0.1:{port}")]);
    let request = &site.receiver.take()[0];
    let host = format!("localhost:{port}");
    assert_eq!(request.header("Host"), Some(host.as_str()));
    // Where messages go is decided on our side, with the proxy's own address allowed.
    let ran = ping(&site, &url, &format!("{network}\nallow = \"external\""));
    assert!(
        ran.stderr
            .contains("of `localhost` is not allowed\nhint: `allow_cidrs = "),
        "{}",
        ran.stderr
    );
    assert!(proxy.take().is_empty());
    let shown = site.refpost(["check", "--show", "test.git"]).run().stdout;
    assert!(
        shown.contains(&format!("network.proxy = \"socks5://{}/…\"", proxy.address)),
        "{shown}"
    );
    assert!(!shown.contains("s3cret"));
}

#[test]
fn an_http_proxy_is_asked_only_for_what_may_be_reached() {
    let site = Site::new();
    let proxy = Proxy::start(http);
    let port = site.receiver.address().port();
    let url = format!("http://localhost:{port}/hook");
    let network = format!("proxy = \"http://ada:s3cret@{}\"", proxy.address);
    let ran = ping(&site, &url, &network);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(
        proxy.take(),
        [format!("Basic YWRhOnMzY3JldA==localhost:{port}")]
    );
    // The proxy looks names up: where it matters, the admin names those that it may.
    let external = format!("{network}\nallow = \"external\"\nallow_hosts = [\"a\"]");
    let file = site.path("system.toml");
    let refused = format!(
        "refpost: cannot ping `one`: the proxy would look `localhost` up, and only external \
         addresses are allowed\nhint: `allow_hosts = [\"a\", \"localhost\"]` below `[network]` in \
         `{}` allows it; a `socks5` proxy is told an address that is looked up here\n",
        file.display()
    );
    ping(&site, &url, &external).fails(1, &refused);
    let literal = ping(&site, &site.receiver.url("/hook"), &external);
    assert!(
        literal
            .stderr
            .contains("of `127.0.0.1` is not allowed\nhint: `allow_cidrs = ")
    );
    assert!(proxy.take().is_empty());
    let named = external.replace("\"a\"", "\"localhost\"");
    assert_eq!(ping(&site, &url, &named).status, 0);
    assert_eq!(proxy.take().len(), 1);
    let metadata = ping(&site, "http://169.254.169.254/latest", &network);
    assert!(
        metadata
            .stderr
            .contains("is not allowed\nhint: no setting allows ")
    );
    assert!(proxy.take().is_empty());
    let direct = format!("{network}\nno_proxy = [\"127.0.0.0/8\"]");
    let ran = ping(&site, &site.receiver.url("/hook"), &direct);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(proxy.take().is_empty());
}

#[test]
fn through_any_proxy_tls_is_with_the_receiver() {
    let site = Site::new();
    let authority = Authority::new("private");
    site.write("ca.pem", authority.pem());
    let receiver = TlsReceiver::start(&authority.sign("localhost", |_| {}), None);
    let url = receiver.url("localhost");
    let port = url.rsplit([':', '/']).nth(1).unwrap();
    let file = site.path("ca.pem").display().to_string();
    let url_and_file = format!("{url}\"\nca_file = \"{file}");
    for (scheme, serve, asked) in [
        ("socks5", socks as Serve, format!("127.0.0.1:{port}")),
        ("http", http as Serve, format!("CONNECT localhost:{port}")),
    ] {
        let proxy = Proxy::start(serve);
        let network = format!("proxy = \"{scheme}://{}\"", proxy.address);
        let ran = ping(&site, &url_and_file, &network);
        assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
        assert_eq!(proxy.take(), [asked]);
        assert_eq!(receiver.take().len(), 1);
    }
}

#[test]
fn a_proxy_that_is_none_is_told_and_holds_messages() {
    let site = Site::new();
    let url = site.receiver.url("/hook");
    let ran = ping(&site, &url, "proxy = \"socks5://nowhere.invalid\"");
    let expected = "refpost: cannot ping `one`: cannot use `proxy` socks5://nowhere.invalid/…: ";
    assert!(ran.stderr.starts_with(expected), "{}", ran.stderr);
    ping(&site, &url, "proxy = \"http://169.254.0.1:3128\"").fails(
        1,
        "refpost: cannot ping `one`: cannot use `proxy` http://169.254.0.1:3128/…: its address is \
         not allowed\n",
    );
    let file = site.path("system.toml");
    for (proxy, why) in [
        (
            "https://x",
            "scheme `https` is not supported, expected `socks5` or `http`",
        ),
        ("socks5:", "it names no host, expected `socks5://host:port`"),
    ] {
        let error = format!("line 2: `network.proxy`: {why}");
        let said = format!(
            "refpost: cannot load config `{}`: {error}\n",
            file.display()
        );
        ping(&site, &url, &format!("proxy = \"{proxy}\"")).fails(78, &said);
    }
    assert_eq!(site.receiver.connections(), 0);
}
