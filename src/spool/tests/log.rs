//! The log of attempts.

use std::fs;
use std::io::Write;

use super::*;

pub(super) fn attempt(msg_id: &str) -> Attempt {
    Attempt {
        time: noon(),
        repository: "/srv/a.git".into(),
        endpoint: "ci".to_owned(),
        msg_id: msg_id.to_owned(),
        topic: "git.receive".to_owned(),
        reference: String::new(),
        id: "20261123T214501.123456789Z-git1-3f2a9c1b00ab12cd".to_owned(),
        attempt: 1,
        status: Status::Http(200),
        ms: 12,
        note: None,
    }
}

fn ids(attempts: &[Attempt]) -> Vec<&str> {
    attempts
        .iter()
        .map(|attempt| attempt.msg_id.as_str())
        .collect()
}

fn fixture() -> Fixture {
    let fixture = Fixture::new();
    fixture.push("/srv/a.git", &["1"], &["ci"]);
    fixture
}

#[test]
fn a_line_is_json_and_comes_back() {
    let fixture = fixture();
    let log = fixture.spool.log();
    assert!(log.last(5, |_| true).unwrap().is_empty());
    let mut bad = attempt("2");
    bad.status = Status::Error("timeout".to_owned());
    bad.note = Some("\x1b[31m\r\nred".to_owned());
    log.append(&attempt("1")).unwrap();
    log.append(&bad).unwrap();
    let text = fs::read_to_string(fixture.path("log")).unwrap();
    let expected = r#"{"time": "2096-10-02T07:06:40.000000000Z", "repository": "/srv/a.git", "endpoint": "ci", "msg_id": "1", "topic": "git.receive", "id": "20261123T214501.123456789Z-git1-3f2a9c1b00ab12cd", "attempt": 1, "status": 200, "ms": 12}"#;
    assert_eq!(text.lines().next(), Some(expected));
    assert_eq!(text.lines().count(), 2);
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
    assert_eq!(log.last(5, |_| true).unwrap(), [attempt("1"), bad]);
    assert_eq!(mode(&fixture.path("log")), 0o600);
}

#[test]
fn the_last_ones_are_found_across_the_rotation() {
    let fixture = fixture();
    let log = fixture.spool.log().rotating_at(600);
    for n in 1..=4 {
        log.append(&attempt(&n.to_string())).unwrap();
    }
    assert!(fixture.path("log.1").exists());
    assert_eq!(ids(&log.last(2, |_| true).unwrap()), ["3", "4"]);
    assert_eq!(ids(&log.last(9, |_| true).unwrap()), ["1", "2", "3", "4"]);
    assert_eq!(
        ids(&log.last(1, |line| line.msg_id.as_str() < "3").unwrap()),
        ["2"]
    );
    assert!(log.last(0, |_| true).unwrap().is_empty());
}

#[test]
fn a_line_that_was_cut_off_is_passed_over() {
    let fixture = fixture();
    let log = fixture.spool.log();
    log.append(&attempt("1")).unwrap();
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(fixture.path("log"))
        .unwrap();
    file.write_all(b"{\"time\":\"20\n\xff\n").unwrap();
    log.append(&attempt("2")).unwrap();
    assert_eq!(ids(&log.last(9, |_| true).unwrap()), ["1", "2"]);
}

#[test]
fn writers_side_by_side_lose_and_mix_no_line() {
    let fixture = fixture();
    // Rotates once, at about half of the lines.
    let log = || fixture.spool.log().rotating_at(40_000);
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let log = log();
            scope.spawn(move || {
                for n in 0..80 {
                    log.append(&attempt(&format!("{writer}-{n:03}"))).unwrap();
                }
            });
        }
    });
    assert!(fixture.path("log.1").exists());
    let found = log().last(1000, |_| true).unwrap();
    let distinct: BTreeSet<_> = ids(&found).into_iter().collect();
    assert_eq!((found.len(), distinct.len()), (320, 320));
}

#[test]
fn a_log_that_was_put_away_already_is_not_put_away_again() {
    let fixture = fixture();
    let log = fixture.spool.log().rotating_at(1000);
    log.append(&attempt("1")).unwrap();
    // A slow writer: by the time it looks, others have filled and rotated the file that it wrote
    // to.
    let opened = fs::File::open(fixture.path("log")).unwrap();
    for n in 2..=6 {
        log.append(&attempt(&n.to_string())).unwrap();
    }
    let before = log.last(9, |_| true).unwrap();
    let name = fixture.spool.root_dir().entry("log");
    Log::rotate_if_full(&name, &opened, 1000).unwrap();
    assert_eq!(log.last(9, |_| true).unwrap(), before);
    assert!(fixture.path("log").exists());
}
