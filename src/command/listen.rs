//! `listen`: runs a receiver for tests.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use clap::Args;

use super::verify;
use crate::error::{Error, Exit, IoContext};
use crate::receiver::{self, Received, Verdict};
use crate::report;
use crate::signature::Secret;

/// Arguments of `listen`.
#[derive(Debug, Args)]
pub(crate) struct ListenArgs {
    /// Address to listen on
    ///
    /// HOST:PORT. HOST is a name or an IP address; without one, on all addresses.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = parse_addr)]
    pub(crate) addr: String,
    /// File with the key; can be repeated, any one may match
    #[arg(long = "key-file", value_name = "FILE")]
    pub(crate) key_files: Vec<PathBuf>,
}

pub(crate) fn run(args: &ListenArgs) -> Result<Exit, Error> {
    let keys = verify::read_keys(&args.key_files)?;
    let address = &args.addr;
    let listener = match address.strip_prefix(':').map(str::parse) {
        Some(Ok(port)) => {
            let all = [
                SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
                // The machine may have no IPv6.
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
            ];
            TcpListener::bind(&all[..])
        }
        _ => TcpListener::bind(address),
    };
    let listener = listener.doing("listen on", Path::new(address))?;
    let bound = listener
        .local_addr()
        .doing("listen on", Path::new(address))?;
    report::line(&format!("listening on http://{bound}/"));
    receiver::serve(&listener, &|received| show(&received, &keys))
        .doing("listen on", Path::new(address))?;
    Ok(Exit::Well)
}

/// Reads an address, `HOST:PORT` or `:PORT`.
fn parse_addr(text: &str) -> Result<String, &'static str> {
    let port = text
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok());
    let is_one = port.is_some_and(|_: u16| true);
    is_one
        .then(|| text.to_owned())
        .ok_or("an address is HOST:PORT, or :PORT for all")
}

/// Prints a request as it arrived, its body laid out, and the verdict on its signature.
pub(super) fn show(received: &Received, keys: &[Secret]) {
    let mut text = format!("\n{}\n", report::printable(&received.request_line));
    for (name, value) in &received.headers {
        let header = format!("{name}: {value}");
        text.push_str(&report::printable(&header));
        text.push('\n');
    }
    let body = match serde_json::from_slice::<serde_json::Value>(&received.body) {
        Ok(value) => format!("{value:#}"),
        Err(_) => String::from_utf8_lossy(&received.body).into_owned(),
    };
    text.push('\n');
    for line in body.lines() {
        text.push_str(&report::printable(line));
        text.push('\n');
    }
    text.push('\n');
    text.push_str(match received.verify(keys) {
        _ if keys.is_empty() => "signature not checked (no --key-file)\n",
        Verdict::Verified => "signature verified\n",
        Verdict::Mismatch => "signature DOES NOT MATCH\n",
        Verdict::Token => "token verified; the body is not signed\n",
        Verdict::Unsigned => "not signed\n",
    });
    report::text(&text);
}
