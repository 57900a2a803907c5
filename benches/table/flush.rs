//! What a flush costs, beside clients that post the same bodies and keep no account of
//! it: reqwest and wrk with as many connections, a bare socket, and curl in a loop. And
//! beside removing the entries, which some disks take their time for.

use std::fs;

use crate::entries::Template;
use crate::measure::{median, time};
use crate::peers;
use crate::receiver::Receiver;
use crate::site::Site;
use crate::table::{self, Row};

const ROUNDS: usize = 3;
const ENTRIES: usize = 10_000;
/// About what an entry of one commit takes on disk.
const SIZE: usize = 2048;
/// curl takes this many turns, and stands for all.
const CURLS: usize = 200;

pub(crate) fn measure() {
    table::part("a flush of 10,000 entries of 2 KiB");
    for endpoints in [1, 8] {
        live(endpoints);
    }
}

/// All entries to so many endpoints that answer at once.
fn live(endpoints: usize) {
    let receiver = Receiver::start();
    let urls = receiver.urls(endpoints);
    let site = Site::new();
    site.configure(&urls.iter().map(String::as_str).collect::<Vec<_>>(), "");
    let template = Template::new(&site);
    let bodies: Vec<_> = (0..ENTRIES).map(|n| template.body(n, SIZE)).collect();
    let (mut flushes, mut clients, mut wrks, mut sockets) = (vec![], vec![], vec![], vec![]);
    let mut removals = vec![];
    let aside = site.folder().join("aside");
    for _ in 0..ROUNDS {
        template.fill(&site.spool().join("new"), &bodies);
        receiver.count();
        flushes.push(time(|| assert!(site.flush().status().unwrap().success())));
        assert_eq!(receiver.count(), endpoints * ENTRIES);
        fs::create_dir(&aside).unwrap();
        template.fill(&aside, &bodies);
        removals.push(time(|| fs::remove_dir_all(&aside).unwrap()));
        clients.push(time(|| peers::by_reqwest(&urls, &bodies)));
        assert_eq!(receiver.count(), endpoints * ENTRIES);
        wrks.extend(peers::by_wrk(
            site.folder(),
            &receiver,
            endpoints,
            &bodies[0],
        ));
        if endpoints == 1 {
            sockets.push(time(|| peers::by_socket(&receiver, &bodies)));
        }
    }
    let curl = time(|| peers::by_curl(&urls[0], &bodies[..CURLS]));
    let all = u32::try_from(ENTRIES * endpoints).unwrap();
    let curl = curl / u32::try_from(CURLS).unwrap() * all;
    let cost = median(flushes);
    let row = |peer, peer_cost, most| {
        table::row(&Row {
            what: format!("to {endpoints} of them"),
            peer,
            cost,
            peer_cost,
            most,
            ..Row::default()
        });
    };
    row("removing the entries alone", median(removals), None);
    // At least 0.35 of its speed, and 0.25 with several endpoints.
    let most = if endpoints == 1 { 1.0 / 0.35 } else { 4.0 };
    let client = median(clients);
    row("reqwest, as many connections", client, Some(most));
    if !wrks.is_empty() {
        row(
            "wrk, as many connections, one body",
            median(wrks) * all,
            None,
        );
    }
    if !sockets.is_empty() {
        row("a bare socket", median(sockets), None);
    }
    row("curl in a loop (200, scaled)", curl, None);
}
