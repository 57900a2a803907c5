//! Receivers that do not behave: what they send costs neither memory nor the push,
//! and a message that they took is not sent again.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::support::spooled::{odd_receiver, read_over};
use crate::support::{Ran, Site};

/// More than any of these is read of; so much that a reader without bounds shows.
const PLENTY: usize = 64 * 1024 * 1024;

/// Pings a receiver that answers with `converse`.
fn ping(converse: impl Fn(&mut TcpStream) + Send + 'static) -> Ran {
    let site = Site::new();
    let url = odd_receiver(move |mut stream| {
        read_over(&mut stream);
        converse(&mut stream);
    });
    site.config_alone(&format!(
        "unsigned = true\n[[endpoint]]\nname = \"odd\"\nurl = \"{url}\"\ntimeout = \"3s\"\n"
    ));
    site.refpost(["ping", "test.git"]).run()
}

/// Says something, again and again, until the other side has heard enough.
fn repeat(stream: &mut TcpStream, text: &str) {
    for _ in 0..PLENTY / text.len() {
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

#[track_caller]
fn is_down(ran: &Ran, cause: &str) {
    assert_eq!(ran.status, 1);
    let expected = format!("`odd` is down: {cause} in ");
    assert!(ran.stdout.contains(&expected), "{expected}\n{}", ran.stdout);
}

#[test]
fn headers_without_end_are_not_read() {
    // The status was read before, and counts.
    let many = ping(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n").ok();
        repeat(stream, "X-More: and more\r\n");
    });
    let long = ping(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nX-Long: ").ok();
        repeat(stream, "and longer ");
    });
    for ran in [many, long] {
        assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.starts_with("`odd` answered 200 in "));
    }
    let status = ping(|stream| {
        stream.write_all(b"HTTP/1.1 200 ").ok();
        repeat(stream, "fine ");
    });
    is_down(&status, "message head is too large");
}

#[test]
fn answers_that_never_come_to_a_status_time_out() {
    let ran = ping(|stream| {
        repeat(stream, "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n");
        thread::sleep(Duration::from_secs(4));
    });
    is_down(&ran, "timed out");
}

#[test]
fn what_is_no_http_is_down() {
    let no_http = "what answers there does not speak HTTP";
    for (text, cause) in [
        ("", "connection closed before message completed"),
        ("220 mail.example.org ESMTP\r\n", no_http),
        ("SSH-2.0-OpenSSH_9.2\r\n", no_http),
        ("\u{0}\u{1}\u{2}\r\n\r\n", no_http),
        // An alert of TLS.
        ("\u{15}\u{3}\u{1}\u{0}\u{2}\u{2}F", no_http),
        ("HTTP/1.1 20 x\r\n\r\n", "invalid HTTP status-code parsed"),
    ] {
        let ran = ping(move |stream| drop(stream.write_all(text.as_bytes())));
        is_down(&ran, cause);
        let hint = "hint: is the port right, or the URL `https://`?\n";
        assert_eq!(ran.stderr, if cause == no_http { hint } else { "" });
    }
}

#[test]
fn a_good_status_counts_whatever_its_body_does() {
    let drip: fn(&mut TcpStream) = |stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
        stream.write_all(head.as_bytes()).ok();
        while stream.write_all(b".").is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
    };
    let bomb: fn(&mut TcpStream) = |stream| {
        // The beginning of a gzip file; nothing of it is unpacked.
        let head =
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).ok();
        stream
            .write_all(b"a\r\n\x1f\x8b\x08\0\0\0\0\0\x02\x03\r\n")
            .ok();
        repeat(stream, "8\r\n\0\0\0\0\0\0\0\0\r\n");
    };
    let endless: fn(&mut TcpStream) = |stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok();
        repeat(stream, "and so on ");
    };
    let claims: fn(&mut TcpStream) = |stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 4611686018427387904\r\n\r\nfew";
        stream.write_all(head.as_bytes()).ok();
    };
    let chunk: fn(&mut TcpStream) = |stream| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff0\r\nfew";
        stream.write_all(head.as_bytes()).ok();
    };
    for (name, converse) in [
        ("drip", drip),
        ("bomb", bomb),
        ("endless", endless),
        ("claims", claims),
        ("chunk", chunk),
    ] {
        let ran = ping(converse);
        assert_eq!(ran.status, 0, "{name}: {}{}", ran.stdout, ran.stderr);
        assert!(
            ran.stdout.starts_with("`odd` answered 200 in "),
            "{name}: {}",
            ran.stdout
        );
        assert!(ran.stdout.len() < 4096, "{name}");
    }
}
