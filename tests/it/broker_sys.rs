//! The broker's own topics below `$SYS`: what they say, when, and that they cost nothing unread.

use mqttx::mqtt::Version;

use crate::support::broker_process::BrokerProcess;
use crate::support::packets::{Hello, publish, subscribe};
use crate::support::programs::{Program, mosquittos, skipped};
use crate::support::raw_client::RawClient;

const RECEIVED: &str = "$SYS/broker/publish/messages/received";

/// What a new Subscription to one of the topics is told at once.
fn told(port: u16, topic: &str) -> String {
    let mut client = RawClient::subscriber(port, &Hello::new(""), topic, 0);
    let packet = client.expect(&format!("PUBLISH {topic} "));
    let text = packet.strip_suffix(" q0 retain").expect("retained");
    text[format!("PUBLISH {topic} ").len()..].to_owned()
}

#[test]
fn a_new_subscription_learns_what_is_true_now() {
    let broker = BrokerProcess::start(&["--workers", "2", "--sys-interval", "3600"]);
    let mut client = RawClient::connect(broker.port, &Hello::new("counted"));
    for round in 1..=20 {
        client.send(&publish(Version::V5, "a", "12345", 1, 1, &[]));
        client.expect("PUBACK");
        assert_eq!(told(broker.port, RECEIVED), round.to_string());
    }
    let bytes = "$SYS/broker/publish/bytes/received";
    assert_eq!(told(broker.port, bytes), "100");
    assert_eq!(told(broker.port, "$SYS/broker/clients/connected"), "2");
    assert_eq!(told(broker.port, "$SYS/mqttx/publish_received"), "20");
}

#[test]
fn subscribers_hear_of_what_changes() {
    let broker = BrokerProcess::start(&["--sys-interval", "1"]);
    let mut client = RawClient::subscriber(broker.port, &Hello::new("c"), RECEIVED, 2);
    let first = client.expect(&format!("PUBLISH {RECEIVED} 0 q2"));
    assert!(first.ends_with("retain"), "{first}");
    client.send(&publish(Version::V5, "a", "", 0, 0, &[]));
    let next = client.expect(&format!("PUBLISH {RECEIVED} "));
    assert!(!next.ends_with("retain"), "{next}");
}

#[test]
fn shared_subscriptions_and_other_wildcards_get_none_of_it_at_once() {
    let broker = BrokerProcess::start(&["--sys-interval", "3600"]);
    let mut client = RawClient::connect(broker.port, &Hello::new("c"));
    for (id, filter) in [(1, "#"), (2, "+/broker/uptime"), (3, "$share/g/$SYS/#")] {
        client.send(&subscribe(Version::V5, id, filter, 0, &[]));
        client.expect("SUBACK");
    }
    client.send(&subscribe(Version::V5, 9, "$SYS/broker/version", 0, &[]));
    client.expect("SUBACK");
    client.expect("PUBLISH $SYS/broker/version mqttx version ");
    client.ping();
}

#[test]
fn without_an_interval_there_are_no_topics() {
    let broker = BrokerProcess::start(&["--sys-interval", "0"]);
    let mut client = RawClient::subscriber(broker.port, &Hello::new("c"), "$SYS/#", 0);
    client.ping();
}

/// Voluntary context switches of all threads of the process.
fn wake_ups(broker: &BrokerProcess) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", broker.id())).unwrap();
    let count = |task: std::io::Result<std::fs::DirEntry>| {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    };
    tasks.map(count).sum()
}

#[test]
fn an_idle_broker_sleeps_although_somebody_has_read_its_topics() {
    let broker = BrokerProcess::start(&["--sys-interval", "1", "--workers", "2"]);
    // Two clients without Keep Alive: nothing will be due for them.
    let _idle = RawClient::connect(broker.port, &Hello::new("idle").keep_alive(0));
    told(broker.port, RECEIVED);
    // Rounds that were under way end; then several intervals pass without a single wake-up.
    let pause = || std::thread::sleep(std::time::Duration::from_millis(2_500));
    let quiet = (0..6).any(|_| {
        let before = wake_ups(&broker);
        pause();
        wake_ups(&broker) == before
    });
    assert!(quiet, "something wakes it again and again");
}

#[test]
fn mosquitto_sub_shows_what_dashboards_expect() {
    let Some(mosquitto_sub) = mosquittos("mosquitto_sub") else {
        return skipped(1, "mosquitto_sub is not installed");
    };
    let broker = BrokerProcess::start(&[]);
    let left = Program::new(mosquitto_sub)
        .words(&format!(
            "-h 127.0.0.1 -p {} -q 2 -W 20 -C 56 --retained-only -v -t $SYS/broker/#",
            broker.port
        ))
        .run();
    assert_eq!(left.status, 0, "{left:?}");
    let out = left.out();
    for topic in [
        "version mqttx version",
        "uptime 0 seconds",
        "clients/total 1",
        "clients/connected 1",
        "messages/stored 0",
        "subscriptions/count 1",
        "load/messages/received/1min 0.00",
    ] {
        assert!(
            out.contains(&format!("$SYS/broker/{topic}")),
            "{topic}: {out}"
        );
    }
}
