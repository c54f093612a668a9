//! What is checked in every place: each QoS, retained messages, wills, Sessions that are resumed,
//! the properties of version 5, Shared Subscriptions, ten megabytes, requests and responses.

use std::io::Read;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::peers::Place;
use crate::peers::device::{Device, Kind, pattern, publish};
use crate::peers::way;
use crate::support::broker_process::wait_for;

/// Name, versions, and what is done in a [`Place`].
pub(crate) type Case = (&'static str, &'static [u8], fn(&Place<'_>));

pub(crate) const CASES: &[Case] = &[
    ("each QoS", &[3, 4, 5], each_qos),
    ("retained", &[4, 5], retained),
    ("will", &[4, 5], will),
    ("session", &[3, 4, 5], session),
    ("properties", &[5], properties),
    ("share", &[5], share),
    ("ten megabytes", &[4, 5], ten_megabytes),
    ("request", &[5], request),
    ("aliases", &[5], aliases),
];

/// What is checked on every other kind of listener.
pub(crate) const CASES_OF_WAYS: &[Case] = &[
    ("each QoS", &[4, 5], each_qos),
    ("retained", &[5], retained),
    ("will", &[4, 5], will),
    ("session", &[4], session),
    ("ten megabytes", &[5], ten_megabytes),
];

/// A browser takes its time to start: what only it could get wrong.
pub(crate) const CASES_OF_BROWSERS: &[Case] = &[
    ("each QoS", &[5], each_qos),
    ("retained", &[4], retained),
    ("will", &[5], will),
];

/// A name that no other check uses.
fn fresh(what: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("{what}{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

impl Place<'_> {
    fn subscriber(&self, id: &str, filter: &str, qos: u8, count: i64, more: Value) -> Device {
        let mut job = self.way.job(self.version, id);
        job["filters"] = json!([{ "filter": filter, "qos": qos }]);
        job["count"] = count.into();
        for (name, value) in more.as_object().into_iter().flatten() {
            job[name] = value.clone();
        }
        Device::start(self.subscriber, &job)
    }

    #[track_caller]
    fn publish(&self, messages: &[Value]) {
        let job = self.way.job(self.version, &fresh("pub"));
        publish(self.publisher, &job, messages);
    }

    /// Words that lead a program to the broker.
    fn words(&self, what: &str) -> Vec<String> {
        way::words(&self.way.job(self.version, &fresh(what)))
    }
}

/// Topic, payload, QoS and RETAIN of a message.
fn of(message: &Value) -> (&str, &str, u64, bool) {
    (
        message["topic"].as_str().unwrap(),
        message["payload"].as_str().unwrap(),
        message["qos"].as_u64().unwrap(),
        message["retain"].as_bool().unwrap(),
    )
}

/// The payloads of one QoS in their order; some clients hand a QoS 2 message on at its PUBREL, when
/// messages of QoS 1 have passed it.
fn payloads(messages: &[Value], qos: u64) -> Vec<&str> {
    let same = messages.iter().filter(|message| message["qos"] == qos);
    same.map(|message| message["payload"].as_str().unwrap())
        .collect()
}

fn each_qos(place: &Place<'_>) {
    let topic = fresh("qos");
    let sub = place.subscriber(&fresh("sub"), &format!("{topic}/#"), 2, 6, json!({}));
    sub.wait("subscribed");
    let deep = format!("{topic}/a/b");
    let messages: Vec<Value> = (0..6)
        .map(|n| json!({ "topic": deep, "payload": format!("m{n}"), "qos": n % 3 }))
        .collect();
    place.publish(&messages);
    let got = sub.messages(6);
    for qos in 0..=2 {
        assert_eq!(payloads(&got, qos), payloads(&messages, qos));
    }
    assert!(got.iter().all(|m| of(m).0 == deep && !of(m).3));
    sub.end();

    let sub = place.subscriber(&fresh("sub"), &deep, 1, 3, json!({}));
    sub.wait("subscribed");
    place.publish(&messages[..3]);
    let granted: Vec<u64> = sub.messages(3).iter().map(|m| of(m).2).collect();
    assert_eq!(granted, [0, 1, 1], "no more than was granted");
    sub.end();
}

fn retained(place: &Place<'_>) {
    let topic = fresh("retained");
    let message =
        |payload: &str| json!({ "topic": topic, "payload": payload, "qos": 1, "retain": true });
    place.publish(&[message("old"), message("new")]);
    let sub = place.subscriber(&fresh("sub"), &topic, 1, 2, json!({}));
    let kept = sub.wait("message");
    assert_eq!(of(&kept), (&topic[..], "new", 1, true));
    place.publish(&[message("live")]);
    let live = sub.wait("message");
    assert_eq!(of(&live), (&topic[..], "live", 1, false));
    sub.end();

    place.publish(&[message("")]);
    let sub = place.subscriber(&fresh("sub"), &topic, 1, 1, json!({}));
    sub.wait("subscribed");
    place.publish(&[json!({ "topic": topic, "payload": "after", "qos": 1 })]);
    let first = sub.wait("message");
    assert_eq!(
        of(&first),
        (&topic[..], "after", 1, false),
        "it was cleared"
    );
    sub.end();
}

fn will(place: &Place<'_>) {
    let topic = fresh("will");
    let watcher = Place {
        subscriber: place.publisher,
        ..*place
    };
    let watcher = watcher.subscriber(&fresh("watcher"), &topic, 2, 1, json!({}));
    watcher.wait("subscribed");
    let will = json!({ "topic": topic, "payload": "gone", "qos": 1, "retain": false });
    let quiet = fresh("quiet");
    // One that leaves properly says nothing, one that is killed leaves its will.
    let polite = json!({ "topic": topic, "payload": "polite", "qos": 1, "retain": false });
    let owner = place.subscriber(&fresh("polite"), &quiet, 0, 0, json!({ "will": polite }));
    owner.end();
    let owner = place.subscriber(&fresh("owner"), &quiet, 0, -1, json!({ "will": will }));
    owner.wait("subscribed");
    owner.kill();
    let message = watcher.wait("message");
    assert_eq!(of(&message), (&topic[..], "gone", 1, false));
    watcher.end();
}

fn session(place: &Place<'_>) {
    let (topic, id) = (fresh("session"), fresh("keeper"));
    let kept = json!({ "clean": false, "expiry": 300 });
    let first = place.subscriber(&id, &topic, 2, 0, kept.clone());
    first.wait("subscribed");
    first.end();
    let messages: Vec<Value> = (1..=6)
        .map(|n| json!({ "topic": topic, "payload": format!("m{n}"), "qos": 1 + n % 2 }))
        .collect();
    place.publish(&messages);
    let second = place.subscriber(&id, &topic, 2, 6, kept);
    let got = second.messages(6);
    for qos in 1..=2 {
        assert_eq!(payloads(&got, qos), payloads(&messages, qos));
    }
    second.end();
}

fn properties(place: &Place<'_>) {
    let topic = fresh("properties");
    let job = json!({ "filters": [{ "filter": topic, "qos": 1, "subscription_id": 268_435_455 }] });
    let sub = place.subscriber(&fresh("sub"), &topic, 1, 1, job);
    sub.wait("subscribed");
    let sent = json!({
        "payload-format-indicator": 1,
        "message-expiry-interval": 600,
        "content-type": "text/plain; charset=utf-8",
        "response-topic": "some/where",
        "correlation-data": "who asked",
        "user-properties": [["first", "1"], ["second", "zwei, œuf"], ["third", ""]],
    });
    place.publish(&[json!({ "topic": topic, "payload": "p", "qos": 1, "properties": sent })]);
    let message = sub.wait("message");
    let got = &message["properties"];
    for (name, value) in sent.as_object().unwrap() {
        match &name[..] {
            "message-expiry-interval" => {
                let left = got[name].as_u64().unwrap();
                assert!((500..=600).contains(&left), "{left}");
            }
            _ => assert_eq!(&got[name], value, "{name} of {got}"),
        }
    }
    assert_eq!(got["subscription-identifiers"], json!([268_435_455]));
    sub.end();
}

fn share(place: &Place<'_>) {
    let topic = fresh("share");
    let filter = format!("$share/group/{topic}");
    let members: Vec<Device> = (0..2)
        .map(|_| place.subscriber(&fresh("member"), &filter, 1, -1, json!({})))
        .collect();
    for member in &members {
        member.wait("subscribed");
    }
    let messages: Vec<Value> = (0..20)
        .map(|n| json!({ "topic": topic, "payload": n.to_string(), "qos": 1 }))
        .collect();
    // One at a time is what programs do anyway; others send all at once.
    if matches!(place.publisher, Kind::Mqttx | Kind::Mosquitto) {
        publish_lines(place, &topic, 20);
    } else {
        place.publish(&messages);
    }
    // Nobody leaves before all is there: what a leaving member had not acknowledged would go to
    // the other one.
    let got: Vec<Value> = members.iter().flat_map(|m| m.messages(10)).collect();
    let mut seen: Vec<usize> = got.iter().map(|m| of(m).1.parse().unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..20).collect::<Vec<_>>(), "ten each, each once");
    for member in members {
        member.kill();
    }
}

/// Numbers from zero, a message each, from one publisher's standard input.
fn publish_lines(place: &Place<'_>, topic: &str, count: usize) {
    use std::io::Write;
    let mut child = place
        .publisher
        .program("pub")
        .args(place.words("lines"))
        .args(["-t", topic, "-q", "1", "-l"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = (0..count).map(|n| format!("{n}\n")).collect();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(lines.as_bytes()).unwrap();
    drop(stdin);
    assert!(wait_for(&mut child).success());
}

fn ten_megabytes(place: &Place<'_>) {
    const SIZE: usize = 10_000_000;
    let mut place = *place;
    if place.publisher == Kind::Paho && place.way.transport.is_websocket() {
        // paho-mqtt 2.1 forgets a packet of which the system took only a part, over WebSocket.
        place.publisher = Kind::Mqttx;
    }
    let topic = fresh("large");
    place.publish(&[json!({ "topic": topic, "size": SIZE, "qos": 1, "retain": true })]);
    if matches!(place.subscriber, Kind::Mqttx | Kind::Mosquitto) {
        let mut child = place
            .subscriber
            .program("sub")
            .args(place.words("sub"))
            .args(["-t", &topic, "-q", "1", "-C", "1", "-N"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut payload = Vec::new();
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_to_end(&mut payload).unwrap();
        assert!(wait_for(&mut child).success());
        assert!(
            payload == pattern(SIZE),
            "{} bytes, or others",
            payload.len()
        );
    } else {
        let sub = place.subscriber(&fresh("sub"), &topic, 1, 1, json!({}));
        let message = sub.wait("message");
        assert_eq!(message["size"], SIZE);
        assert_eq!(message["sha256"], sha256(&pattern(SIZE)));
        sub.end();
    }
    place.publish(&[json!({ "topic": topic, "payload": "", "qos": 1, "retain": true })]);
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Who can answer is a script, who asks is a program: `rr` of ours or of mosquitto.
fn request(place: &Place<'_>) {
    let asks = match (place.publisher, place.subscriber) {
        (Kind::Mosquitto, Kind::Mqttx) => Kind::Mosquitto,
        (Kind::Mqttx, _) => Kind::Mqttx,
        _ => return,
    };
    let answers = match place.subscriber {
        kind @ (Kind::Paho | Kind::Gmqtt | Kind::MqttJs) => kind,
        _ => match [Kind::Paho, Kind::MqttJs].into_iter().find(|k| k.is_here()) {
            Some(kind) => kind,
            None => return,
        },
    };
    let (topic, back) = (fresh("request"), fresh("response"));
    let place = Place {
        subscriber: answers,
        ..*place
    };
    let responder = place.subscriber(
        &fresh("responder"),
        &topic,
        1,
        -1,
        json!({ "respond": true }),
    );
    responder.wait("subscribed");
    let output = asks
        .program("rr")
        .args(place.words("asks"))
        .args(["-t", &topic, "-e", &back, "-m", "how are you", "-q", "1"])
        .args(["-D", "publish", "correlation-data", "7", "-W", "20"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "HOW ARE YOU\n");
    responder.kill();
}

/// Topic Aliases, where a library uses them by itself.
fn aliases(place: &Place<'_>) {
    let with = json!({ "aliases": true });
    let topic = fresh("aliases");
    if place.subscriber == Kind::MqttJs {
        let sub = place.subscriber(&fresh("sub"), &format!("{topic}/#"), 0, 6, with);
        sub.wait("subscribed");
        let messages: Vec<Value> = (0..6)
            .map(|n| json!({ "topic": format!("{topic}/{}", n % 2), "payload": "m", "qos": 0 }))
            .collect();
        for message in &messages {
            place.publish(std::slice::from_ref(message));
        }
        for (message, sent) in sub.messages(6).iter().zip(&messages) {
            assert_eq!(message["topic"], sent["topic"]);
        }
        sub.end();
    } else if place.publisher == Kind::MqttJs {
        let sub = place.subscriber(&fresh("sub"), &format!("{topic}/#"), 1, 8, json!({}));
        sub.wait("subscribed");
        let messages: Vec<Value> = (0..8)
            .map(|n| json!({ "topic": format!("{topic}/{}", n % 3), "payload": "m", "qos": 1 }))
            .collect();
        let mut job = place.way.job(5, &fresh("pub"));
        job["aliases"] = true.into();
        job["messages"] = messages.clone().into();
        Device::start(Kind::MqttJs, &job).end();
        for (message, sent) in sub.messages(8).iter().zip(&messages) {
            assert_eq!(message["topic"], sent["topic"]);
        }
        assert!(sub.message_within(Duration::from_millis(100)).is_none());
        sub.end();
    }
}
