//! What real receivers do: they answer early, close what was kept, write heads as of old.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::Spooled;
use crate::support::spooled::{odd_receiver, read_over, say};

/// A site whose endpoint `odd` is at this URL, with so many messages that wait.
fn waiting(url: &str, count: usize, message: &str) -> Spooled {
    let site = Spooled::new();
    let odd = format!("[[endpoint]]\nname = \"odd\"\nurl = \"{url}\"\ntimeout = \"20s\"");
    site.settings(&format!(
        "unsigned = true\nmode = \"spool\"\nmax_body = \"16 MiB\"\n{odd}\n"
    ));
    for _ in 0..count {
        let emit = site.refpost(["emit", "--topic", "x.y"]).arg(&site.bare);
        emit.stdin(message).run().well();
    }
    site
}

/// The statuses in the log, in order.
fn statuses(site: &Spooled) -> Vec<Value> {
    let mut attempts = site.attempts();
    attempts.retain(|line| line["msg_id"] != "");
    attempts
        .into_iter()
        .map(|line| line["status"].clone())
        .collect()
}

/// Most such answers were taken for a broken connection, and held the queue for days.
#[test]
fn an_answer_before_the_body_was_read_was_lost() {
    for (status, size, count) in [(413, 740_000, 8), (401, 5_000_000, 2)] {
        let url = odd_receiver(move |mut stream| {
            stream.read_exact(&mut [0; 100]).unwrap();
            let head = format!("HTTP/1.1 {status} Early\r\nContent-Length: 0\r\n\r\n");
            say(&mut stream, &head);
            // Closed with most of the body unread, it is reset.
        });
        let message = json!({ "text": "x".repeat(size) }).to_string();
        let site = waiting(&url, count, &message);
        site.flush();
        let mut statuses = statuses(&site);
        // A body that the kernel took whole leaves a connection that may be used again, once.
        statuses.retain(|one| one != "connection");
        assert_eq!(statuses, vec![json!(status); count], "{size}");
        assert!(site.attempts().iter().all(|line| line["attempt"] == 1));
    }
}

/// Answers one request of a connection, and lets `then` have what comes after.
fn closes(then: impl Fn(TcpStream) + Send + Sync + Copy + 'static) -> String {
    odd_receiver(move |mut stream| {
        thread::spawn(move || {
            read_over(&mut stream);
            say(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            then(stream);
        });
    })
}

#[test]
fn a_kept_connection_that_the_receiver_closed_cost_a_minute() {
    let at_once = closes(drop);
    let within_the_next = closes(|mut stream| {
        stream.read_exact(&mut [0; 10]).ok();
    });
    let after_the_next = closes(|mut stream| read_over(&mut stream));
    for url in [at_once, within_the_next, after_the_next] {
        let site = waiting(&url, 12, "{}");
        site.flush().well();
        let attempts = site.attempts();
        let delivered = attempts.iter().filter(|line| line["status"] == 200);
        assert_eq!(delivered.count(), 12, "{attempts:?}");
        assert!(site.files().is_empty(), "{:?}", site.files());
        let remade = attempts.len() - 12;
        let root = format!("root = \"{}\"\n", site.path("").display());
        site.write("system.toml", root);
        let metrics = site.refpost(["metrics"]).run().well();
        let counted = format!(",outcome=\"remade\"}} {remade}\n");
        assert!(
            metrics.stdout.contains(&counted),
            "{remade}: {}",
            metrics.stdout
        );
        for line in &attempts {
            assert_eq!(line["attempt"], 1, "{line}");
            if line["status"] != 200 {
                assert_eq!(line["status"], "connection", "{line}");
                let note = line["note"].as_str().unwrap();
                assert!(note.contains("a connection that was kept"), "{note}");
            }
        }
    }
}

/// A fresh connection that breaks is the receiver's failure, and not tried twice.
#[test]
fn a_fresh_connection_that_breaks_is_not_made_anew() {
    let url = odd_receiver(|mut stream| read_over(&mut stream));
    let site = waiting(&url, 2, "{}");
    site.flush();
    assert_eq!(statuses(&site), ["connection"]);
}

#[test]
fn a_head_of_old_was_no_answer() {
    let many = |count: usize| "X-More: and more\r\n".repeat(count);
    for head in [
        "HTTP/1.1 200 OK\r\nX-Folded: one\r\n two\r\n\tthree\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nX-Blank : before the colon\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nno colon at all\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nX Blank In Name: x\r\n".to_owned(),
        "HTTP/1.1 200\r\nContent-Length: 0\r\nContent-Length: 7\r\n".to_owned(),
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX: \u{0}\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\n{}", many(120)),
        format!("HTTP/1.1 200 OK\r\n{}", many(5000)),
        format!("HTTP/1.1 200 OK\r\n{}", many(50_000)),
    ] {
        let begins = head[..head.len().min(60)].to_owned();
        let url = odd_receiver(move |mut stream| {
            read_over(&mut stream);
            stream.write_all(head.as_bytes()).ok();
            stream.write_all(b"\r\n").ok();
            thread::sleep(Duration::from_millis(50));
        });
        let site = waiting(&url, 1, "{}");
        site.flush();
        assert_eq!(statuses(&site), [200], "{begins:?}");
    }
}

#[test]
fn a_head_that_broke_off_after_its_status_counts() {
    for (text, status) in [
        ("HTTP/1.1 200 OK\r\nContent-Le", json!(200)),
        ("HTTP/1.0 404 Not Found\n", json!(404)),
        ("HTTP/1.1 200", json!("connection")),
        ("HTTP/1.1 100 Continue\r\n\r\n", json!("connection")),
    ] {
        let url = odd_receiver(move |mut stream| {
            read_over(&mut stream);
            say(&mut stream, text);
        });
        let site = waiting(&url, 1, "{}");
        site.flush();
        assert_eq!(statuses(&site), [status], "{text:?}");
    }
}
