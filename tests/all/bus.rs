//! An endpoint that is a message bus: what it gets, what its answers mean, and what a broker cannot
//! do to a flush.

use std::fs;

use serde_json::{Value, json};

use crate::support::spooled::eventually;
use crate::support::{Broker, Opening, Ran, Spooled, Word};

/// A site whose endpoints are a bus and, behind it, the receiver.
pub(crate) fn site(url: &str, more: &str) -> Spooled {
    let site = Spooled::new();
    configure(&site, url, more);
    site
}

/// Configures them anew.
pub(crate) fn configure(site: &Spooled, url: &str, more: &str) {
    let web = site.receiver.url("/web");
    site.settings(&format!(
        "mode = \"spool\"\nunsigned = true\n[[endpoint]]\nname = \"bus\"\nurl = \"{url}\"\n{more}\n\
         [[endpoint]]\nname = \"web\"\nurl = \"{web}\"\n"
    ));
}

fn emit(site: &Spooled, topic: &str) {
    let run = site.refpost(["emit", "--topic", topic]).arg(&site.bare);
    run.stdin("{}").run().well();
}

/// The log's statuses of the bus.
fn statuses(site: &Spooled) -> Vec<Value> {
    let mut attempts = site.attempts();
    attempts.retain(|line| line["endpoint"] == "bus" && line["msg_id"] != "");
    attempts.iter().map(|line| line["status"].clone()).collect()
}

/// The bytes of `msg` in a body.
fn msg(body: &[u8]) -> String {
    let text = std::str::from_utf8(body).unwrap();
    let (_, msg) = text.split_once(", \"msg\": ").unwrap();
    msg.rsplit_once(", \"msg_id\": ").unwrap().0.to_owned()
}

#[test]
fn a_bus_gets_what_pagure_publishes() {
    let broker = Broker::start();
    let site = site(
        &broker.url("amqp", "/%2Fpubsub"),
        "topic_prefix = \"io.pagure.prod\"\ntopics = [\"git.*\", \"x.*\"]",
    );
    site.announce();
    emit(&site, "x.y");
    emit(&site, "other.topic");
    site.flush().well();
    let web = site.receiver.take();
    let published = broker.take();
    assert_eq!((web.len(), published.len()), (3, 2));

    let pushed = &published[0];
    let body: Value = serde_json::from_slice(&web[0].body).unwrap();
    assert_eq!(String::from_utf8_lossy(&pushed.body), msg(&web[0].body));
    assert_eq!(pushed.exchange, "amq.topic");
    assert_eq!(pushed.routing_key, "io.pagure.prod.pagure.git.receive");
    assert!(!pushed.is_mandatory);
    let uuid = body["msg_id"].as_str().unwrap().split_once('-').unwrap().1;
    let properties = json!({
        "content-type": "application/json", "content-encoding": "utf-8", "delivery-mode": "2",
        "message-id": uuid,
    });
    assert_eq!(json!(pushed.properties), properties);
    let seconds = std::time::Duration::from_secs(body["timestamp"].as_u64().unwrap());
    let sent = humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + seconds);
    let sent = sent.to_string().replace('Z', "+00:00");
    let headers = json!({
        "fedora_messaging_schema": "S:pagure.git.receive",
        "fedora_messaging_schema_package": "S:pagure_messages",
        "fedora_messaging_severity": "I:20",
        "fedora_messaging_user_alice": "t:true",
        "priority": "I:0",
        "sent-at": format!("S:{sent}"),
    });
    assert_eq!(json!(pushed.headers), headers);

    let emitted = &published[1];
    assert_eq!(emitted.routing_key, "io.pagure.prod.pagure.x.y");
    assert_eq!(String::from_utf8_lossy(&emitted.body), msg(&web[1].body));
    assert_eq!(emitted.headers["fedora_messaging_schema"], "S:base.message");

    // One connection for both, of which leave was taken.
    let opened = broker.opened();
    assert_eq!(opened.len(), 1);
    assert!(opened[0].name.starts_with("refpost "), "{opened:?}");
    assert_eq!(opened[0].virtual_host, "/pubsub");
    assert_eq!(
        (&*opened[0].mechanism, &*opened[0].response),
        ("PLAIN", "\0guest\0guest")
    );
    assert!(opened[0].is_closed_well);
    assert_eq!(statuses(&site), [200, 200]);

    let ran = site
        .refpost(["ping", "--endpoint", "bus"])
        .arg(&site.bare)
        .run()
        .well();
    assert!(
        ran.stdout.starts_with("`bus` answered 200 in "),
        "{}",
        ran.stdout
    );
    assert_eq!(
        broker.take()[0].routing_key,
        "io.pagure.prod.pagure.Test.notification"
    );
}

/// What a flush made of one message: its log's statuses, what stays in its queue, and what it said.
fn answered(site: &Spooled) -> (Vec<Value>, usize, usize, Ran) {
    let ran = site.flush();
    let (waiting, failed) = (
        site.names("retry/bus").len(),
        site.names("failed/bus").len(),
    );
    (statuses(site), waiting, failed, ran)
}

#[test]
fn what_an_answer_means() {
    let topic =
        "ACCESS_REFUSED - access to topic 'x' in exchange 'amq.topic' refused for user 'jo'";
    let gone = "NOT_FOUND - no exchange 'amq.topic' in vhost '/pubsub'";
    // The answer to the first message; statuses in the log; what waits, and what failed.
    let table: [(Word, &[Value], usize, usize); 9] = [
        (Word::Ack, &[json!(200), json!(200)], 0, 0),
        (Word::Return, &[json!("unroutable")], 2, 0),
        (Word::Nack, &[json!("nacked")], 2, 0),
        // Refused: the next one passes.
        (
            Word::CloseChannel(403, topic),
            &[json!(403), json!(200)],
            1,
            0,
        ),
        (Word::CloseChannel(404, gone), &[json!("channel")], 2, 0),
        (
            Word::CloseChannel(406, "PRECONDITION_FAILED"),
            &[json!(413), json!(200)],
            0,
            1,
        ),
        (
            Word::CloseConnection(320, "CONNECTION_FORCED"),
            &[json!("closed")],
            2,
            0,
        ),
        (Word::Nothing, &[json!("timeout")], 2, 0),
        (Word::Reset, &[json!("connection")], 2, 0),
    ];
    for (word, expected, waiting, failed) in table {
        let first = word;
        let broker = Broker::saying(
            Opening::Well,
            move |n| {
                if n == 0 { first } else { Word::Ack }
            },
        );
        let url = broker
            .url("amqp", "/%2Fpubsub")
            .replace("//", "//jo:hidden@");
        let site = site(&url, "require_route = true\ntimeout = \"400ms\"");
        crate::support::set_mode(&site.bare.join("refpost.toml"), 0o600);
        emit(&site, "x.y");
        emit(&site, "x.y");
        let (statuses, still, given_up, ran) = answered(&site);
        assert_eq!(statuses, expected, "{word:?}\n{}", ran.stderr);
        assert_eq!((still, given_up), (waiting, failed), "{word:?}");
        assert!(broker.take().iter().all(|published| published.is_mandatory));
        // The receiver beside it has both.
        assert_eq!(site.receiver.take().len(), 2, "{word:?}");
        let log = fs::read_to_string(site.spool().join("log")).unwrap();
        for secret in ["hidden", "pubsub", "'jo'"] {
            assert!(!log.contains(secret), "{secret}: {log}");
            assert!(!ran.stderr.contains(secret), "{secret}: {}", ran.stderr);
        }
        // Nothing is lost: once the broker takes it, all arrive.
        site.retry_all();
        eventually("all arrive", || {
            site.flush();
            site.names("retry/bus").is_empty()
        });
    }
}

/// The client panics on such things. The panic ended the whole flush.
#[test]
fn a_broker_that_sends_garbage_fails_its_own_attempt_alone() {
    let well = Opening::Well;
    for (opening, word, status, said) in [
        (
            Opening::BadProperties,
            Word::Ack,
            "connection",
            "is not AMQP 0-9-1",
        ),
        (
            Opening::Garbage,
            Word::Ack,
            "connection",
            "the broker closed",
        ),
        (
            Opening::CloseAtLogin,
            Word::Ack,
            "connection",
            "wrong user, certificate or vhost?",
        ),
        (Opening::NoHost, Word::Ack, "closed", "530 NOT_ALLOWED"),
        (Opening::Nothing, Word::Ack, "timeout", "timed out"),
        (well, Word::Unexpected, "connection", "broke"),
        (well, Word::Garbage, "connection", "broke"),
    ] {
        let broker = Broker::saying(opening, move |_| word);
        let site = site(&broker.url("amqp", ""), "timeout = \"400ms\"");
        emit(&site, "x.y");
        let ran = site.flush();
        assert_eq!(ran.status, 0, "{opening:?} {}", ran.stderr);
        assert!(!ran.stderr.contains("panic"), "{}", ran.stderr);
        assert_eq!(statuses(&site), [status], "{opening:?}");
        let attempts = site.attempts();
        let bus = attempts
            .iter()
            .find(|line| line["endpoint"] == "bus")
            .unwrap();
        assert!(
            bus["note"].as_str().unwrap().contains(said),
            "{opening:?} {bus}"
        );
        assert_eq!(site.receiver.take().len(), 1, "{opening:?}");
        assert_eq!(site.names("retry/bus").len(), 1, "{opening:?}");
    }
}

#[test]
fn a_kept_connection_that_the_broker_closed_cost_a_minute() {
    let broker = Broker::saying(Opening::Well, |n| match n {
        1 => Word::Reset,
        _ => Word::Ack,
    });
    let site = site(&broker.url("amqp", ""), "");
    for _ in 0..3 {
        emit(&site, "x.y");
    }
    site.flush().well();
    assert_eq!(
        statuses(&site),
        [json!(200), json!("connection"), json!(200), json!(200)]
    );
    let published = broker.take();
    let connections: Vec<_> = published.iter().map(|one| one.connection).collect();
    assert_eq!(connections, [0, 0, 1, 1]);
    // The repeat is the same message.
    assert_eq!(published[1].properties, published[2].properties);
    assert_eq!(published[1].body, published[2].body);
}

#[test]
fn the_next_node_of_a_broker_is_tried() {
    let broker = Broker::start();
    let second = broker.url("amqp", "/v");
    let site = site(
        "amqp://localhost:1/v",
        &format!("urls_fallback = [\"{second}\"]"),
    );
    emit(&site, "x.y");
    site.flush().well();
    assert_eq!(broker.take().len(), 1);
}

#[test]
fn a_node_behind_two_that_hang_was_never_tried() {
    let hanging = [(); 2].map(|()| Broker::saying(Opening::Nothing, |_| Word::Ack));
    let broker = Broker::start();
    let [first, second] = hanging.each_ref().map(|own| own.url("amqp", "/v"));
    let third = broker.url("amqp", "/v");
    let fallback = format!("urls_fallback = [\"{second}\", \"{third}\"]\ntimeout = \"6s\"");
    let site = site(&first, &fallback);
    emit(&site, "x.y");
    site.flush().well();
    assert_eq!(broker.take().len(), 1);
}
