//! Who else posts bodies: clients that read no spool and keep no account.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::measure::time;
use crate::receiver::{Receiver, read_head};

/// Each body to each URL, the URLs side by side, with reqwest on one thread.
pub(crate) fn by_reqwest(urls: &[String], bodies: &[Vec<u8>]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
        let builder = reqwest::Client::builder().tls_backend_preconfigured(tls);
        let client = builder.no_proxy().build().unwrap();
        let lanes = urls.iter().map(async |url| {
            for body in bodies {
                let answer = client.post(url).body(body.clone()).send().await;
                assert!(answer.unwrap().status().is_success());
            }
        });
        let mut lanes: FuturesUnordered<_> = lanes.collect();
        while lanes.next().await.is_some() {}
    });
}

/// The bodies over one bare socket.
pub(crate) fn by_socket(receiver: &Receiver, bodies: &[Vec<u8>]) {
    let mut stream = TcpStream::connect(&receiver.address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    for body in bodies {
        let head = format!(
            "POST /hook HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            receiver.address,
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        read_head(&mut answers).unwrap();
    }
}

/// A process of curl for each body, as a script of the usual kind has it.
pub(crate) fn by_curl(url: &str, bodies: &[Vec<u8>]) {
    for body in bodies {
        let mut curl = Command::new("curl");
        curl.args([
            "-sf",
            "-o",
            "/dev/null",
            "-H",
            "Content-Type: application/json",
        ]);
        curl.args(["--data-binary", "@-", url])
            .stdin(Stdio::piped());
        let mut child = curl.spawn().unwrap();
        child.stdin.take().unwrap().write_all(body).unwrap();
        assert!(child.wait().unwrap().success());
    }
}

/// wrk with so many connections on one thread, for a second: how long a request took
/// it, one with another. `None` if it is not installed.
pub(crate) fn by_wrk(
    folder: &Path,
    receiver: &Receiver,
    connections: usize,
    body: &[u8],
) -> Option<Duration> {
    let script = folder.join("wrk.lua");
    let body = std::str::from_utf8(body).unwrap();
    let script_text = format!(
        "wrk.method = 'POST'\nwrk.body = [==[{body}]==]\n\
         wrk.headers['Content-Type'] = 'application/json'\n"
    );
    std::fs::write(&script, script_text).unwrap();
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", "-d1s", "-c", &connections.to_string(), "-s"]);
    wrk.arg(&script).arg(receiver.url()).stdout(Stdio::null());
    receiver.count();
    let mut is_there = true;
    let took = time(|| is_there = wrk.status().is_ok_and(|status| status.success()));
    let count = u32::try_from(receiver.count()).unwrap();
    is_there.then(|| took / count)
}
