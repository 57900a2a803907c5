//! Receivers that answer badly, late or never.

use std::thread;
use std::time::Duration;

use crate::support::Spooled;
use crate::support::spooled::{commits, odd_receiver, read_over, say};

/// What the log says of the first attempt against this receiver, which has
/// `timeout` for it, and whether the message still waits.
fn tried(url: &str, timeout: &str) -> (serde_json::Value, bool) {
    let site = Spooled::new();
    let odd = format!("[[endpoint]]\nname = \"odd\"\nurl = \"{url}\"\ntimeout = \"{timeout}\"");
    site.configure("mode = \"spool\"", &odd);
    let (commit, _) = site.announce();
    assert_eq!(
        commits(&site.flush_well()),
        [commit],
        "the other endpoint goes on"
    );
    let attempts = site.attempts();
    let attempt = attempts
        .iter()
        .find(|one| one["endpoint"] == "odd")
        .unwrap();
    let text = attempt.to_string();
    assert!(!text.contains("/odd"), "{text}");
    (
        attempt["status"].clone(),
        !site.names("retry/odd").is_empty(),
    )
}

#[test]
fn who_never_answers_is_down() {
    let url = odd_receiver(|stream| {
        thread::spawn(move || {
            thread::sleep(Duration::from_secs(90));
            drop(stream);
        });
    });
    assert_eq!(tried(&url, "1s"), ("timeout".into(), true));
}

#[test]
fn who_closes_in_the_middle_of_the_status_line_is_down() {
    let url = odd_receiver(|mut stream| {
        read_over(&mut stream);
        say(&mut stream, "HTTP/1.1 200 O");
    });
    assert_eq!(tried(&url, "60s"), ("connection".into(), true));
}

#[test]
fn who_closes_at_once_is_down() {
    assert_eq!(
        tried(&odd_receiver(drop), "60s"),
        ("connection".into(), true)
    );
}

#[test]
fn who_talks_nonsense_is_down() {
    let url = odd_receiver(|mut stream| {
        read_over(&mut stream);
        say(&mut stream, "220 mail.example.org ESMTP\r\n");
    });
    assert_eq!(tried(&url, "60s"), ("connection".into(), true));
}

#[test]
fn who_closes_in_the_middle_of_the_body_has_said_enough() {
    let url = odd_receiver(|mut stream| {
        read_over(&mut stream);
        say(
            &mut stream,
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        );
    });
    assert_eq!(tried(&url, "60s"), (200.into(), false));
}

#[test]
fn an_answer_without_end_is_cut_off() {
    let url = odd_receiver(|mut stream| {
        read_over(&mut stream);
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n";
        say(&mut stream, head);
        let chunk = "x".repeat(64 * 1024);
        while say(&mut stream, &chunk) {}
    });
    assert_eq!(tried(&url, "60s"), (200.into(), false));
}

#[test]
fn headers_without_end_are_cut_off() {
    let url = odd_receiver(|mut stream| {
        read_over(&mut stream);
        say(&mut stream, "HTTP/1.1 200 OK\r\n");
        while say(&mut stream, "X-More: and more\r\n") {}
    });
    // The status was read before.
    assert_eq!(tried(&url, "60s"), (200.into(), false));
}

#[test]
fn a_slow_100_continue_is_waited_for() {
    let url = odd_receiver(|mut stream| {
        read_over(&mut stream);
        for _ in 0..3 {
            say(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n");
            thread::sleep(Duration::from_millis(300));
        }
        say(&mut stream, "HTTP/1.1 204 No Content\r\n\r\n");
    });
    assert_eq!(tried(&url, "60s"), (204.into(), false));
}

#[test]
fn a_100_continue_without_end_is_down() {
    let url = odd_receiver(|mut stream| {
        read_over(&mut stream);
        while say(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n") {
            thread::sleep(Duration::from_millis(50));
        }
    });
    assert_eq!(tried(&url, "1s"), ("timeout".into(), true));
}

#[test]
fn a_name_that_leads_nowhere_is_down() {
    let url = "http://nowhere.invalid/odd";
    assert_eq!(tried(url, "60s"), ("dns".into(), true));
}

#[test]
fn a_port_where_nobody_listens_is_down() {
    // Bound and not listening: nobody else gets it.
    let bound = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = bound.local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/odd");
    assert_eq!(tried(&url, "60s"), ("connect".into(), true));
}

#[test]
fn an_address_that_is_never_dialled_counts_against_nobody() {
    let site = Spooled::new();
    let odd = "[[endpoint]]\nname = \"odd\"\nurl = \"http://169.254.169.254/latest\"";
    site.configure("mode = \"spool\"", odd);
    let (commit, _) = site.announce();
    let ran = site.flush();
    assert_eq!(ran.status, 0);
    assert!(
        ran.stderr
            .contains("address 169.254.169.254 of `169.254.169.254` is not allowed")
    );
    assert_eq!(commits(&site.receiver.take()), [commit]);
    assert!(site.names("retry/odd")[0].contains(".0.0."));
}
