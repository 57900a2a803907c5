//! `listen`: a receiver to try things with.

use std::net::TcpListener;
use std::path::Path;

use super::surroundings::Surroundings;
use super::{Done, Error, IoContext};
use crate::cli::ListenArgs;
use crate::config::SecretSource;
use crate::receiver::{self, Received, Verdict};
use crate::report;
use crate::signature::Secret;

pub(super) fn run(args: &ListenArgs, around: &Surroundings) -> Result<Done, Error> {
    let key = args
        .key_file
        .clone()
        .map(|file| SecretSource::File(file).read(&|name| around.variable(name)))
        .transpose()?;
    let address = args.addr.to_string();
    let listener = TcpListener::bind(args.addr).doing("listen on", Path::new(&address))?;
    let bound = listener
        .local_addr()
        .doing("listen on", Path::new(&address))?;
    report::line(&format!("listening on http://{bound}/"));
    receiver::serve(&listener, &|received| show(&received, key.as_ref()))
        .doing("listen on", Path::new(&address))?;
    Ok(Done::Well)
}

/// Prints a request as it arrived, its body laid out, and the verdict.
pub(super) fn show(received: &Received, key: Option<&Secret>) {
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
    text.push_str(match key.map(|key| received.verify(key)) {
        Some(Verdict::Verified) => "signature verified\n",
        Some(Verdict::Mismatch) => "signature DOES NOT MATCH\n",
        Some(Verdict::Unsigned) => "not signed\n",
        None => "signature not checked (no --key-file)\n",
    });
    report::text(&text);
}
