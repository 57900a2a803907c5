//! What a flush costs, however much the spool holds, beside clients that post the same
//! bodies and keep no account of it.
//!
//! `cargo bench --bench flush [-- CASE…]` prints the tables. Each figure is the median
//! of several rounds in which everybody takes a turn, so that a machine that is slow
//! for a while is slow for all. Trust the ratios, not the milliseconds.
//!
//! - `serial`: 10,000 entries of 2 KiB for one endpoint, beside reqwest and wrk with
//!   one connection, a bare socket, and curl in a loop.
//! - `eight`: the same entries for eight endpoints, beside reqwest and wrk with eight.

#![allow(clippy::unwrap_used, reason = "a bench that panics has failed")]

mod support;

use std::path::Path;
use std::time::Duration;

use support::entries::Template;
use support::receiver::Receiver;
use support::site::Site;
use support::{head, is_wanted, median, peers, row, time};

const ROUNDS: usize = 3;
const ENTRIES: usize = 10_000;
/// About what an entry of one commit takes on disk.
const SIZE: usize = 2048;
/// curl takes this many turns, and stands for all.
const CURLS: usize = 200;

fn main() {
    let folder = tempfile::Builder::new()
        .prefix("refpost-bench-")
        .tempdir()
        .unwrap();
    let folder = folder.path();
    if is_wanted("serial") {
        live(folder, 1);
    }
    if is_wanted("eight") {
        live(folder, 8);
    }
}

/// All entries to so many endpoints that answer at once.
fn live(folder: &Path, endpoints: usize) {
    let folder = folder.join(format!("live{endpoints}"));
    std::fs::create_dir(&folder).unwrap();
    let receiver = Receiver::start();
    let urls = receiver.urls(endpoints);
    let site = Site::new(&folder, &urls);
    let template = Template::new(&site);
    let bodies: Vec<_> = (0..ENTRIES).map(|n| template.body(n, SIZE)).collect();
    let (mut refposts, mut clients, mut wrks, mut sockets) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        template.fill(&site.spool().join("new"), &bodies);
        receiver.count();
        refposts.push(time(|| assert!(site.flush().status().unwrap().success())));
        assert_eq!(receiver.count(), endpoints * ENTRIES);
        clients.push(time(|| peers::by_reqwest(&urls, &bodies)));
        assert_eq!(receiver.count(), endpoints * ENTRIES);
        wrks.extend(peers::by_wrk(&folder, &receiver, endpoints, &bodies[0]));
        if endpoints == 1 {
            sockets.push(time(|| peers::by_socket(&receiver, &bodies)));
        }
    }
    let curl = time(|| peers::by_curl(&urls[0], &bodies[..CURLS]));
    let all = u32::try_from(ENTRIES * endpoints).unwrap();
    let curl = curl / u32::try_from(CURLS).unwrap() * all;

    let client = median(clients);
    head(&format!(
        "{ENTRIES} entries of {SIZE} bytes, {endpoints} endpoints"
    ));
    if !wrks.is_empty() {
        row(
            "wrk, as many connections, one body",
            median(wrks) * all,
            client,
        );
    }
    if !sockets.is_empty() {
        row("a bare socket", median(sockets), client);
    }
    row("reqwest, as many connections, no spool", client, client);
    row("refpost flush", median(refposts), client);
    row(&format!("curl in a loop ({CURLS}, scaled)"), curl, client);
    println!();
    let _ = Duration::ZERO;
}
