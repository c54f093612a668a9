//! Rights on a real broker: those of retained messages' publishers over a restart, of tokens, of
//! listeners of their own, and those that a reload takes away.

use mqttx::mqtt::Version;

use crate::support::broker_process::BrokerProcess;
use crate::support::packets::{Hello, publish, retained, subscribe};
use crate::support::raw_client::RawClient;

const V5: Version = Version::V5;

/// The topics of what is retained for `#`, as bob sees it.
fn retained_topics(port: u16) -> Vec<String> {
    let mut reader = RawClient::connect(port, &Hello::new("r").user("bob"));
    reader.send(&subscribe(V5, 1, "#", 0, &[]));
    reader.send(&[0xc0, 0]);
    let lines = std::iter::from_fn(|| reader.next().filter(|line| line != "PINGRESP"));
    let messages = lines.filter(|line| line.starts_with("PUBLISH"));
    let topics = messages.map(|line| line.split(' ').nth(1).unwrap().to_owned());
    topics.collect()
}

#[test]
fn who_published_a_retained_message_is_known_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let acl = folder.path().join("acl");
    std::fs::write(&acl, "user amy\ntopic a/#\nuser bob\ntopic #\n").unwrap();
    let lines = format!(
        "listener any 127.0.0.1\nallow_anonymous true\nacl_file {}\npersistence true\n\
         persistence_location {}/\ncheck_retain_source true",
        acl.display(),
        folder.path().display()
    );
    let broker = BrokerProcess::configured(&lines, &[]);
    let mut amy = RawClient::connect(broker.port, &Hello::new("x").user("amy"));
    for topic in ["a/1", "a/2"] {
        amy.send(&retained(publish(V5, topic, "held", 1, 1, &[])));
        amy.expect("PUBACK");
    }
    assert_eq!(retained_topics(broker.port).len(), 2);
    broker.kill();
    std::fs::write(&acl, "user amy\ntopic a/2\nuser bob\ntopic #\n").unwrap();
    let broker = BrokerProcess::configured(&lines, &[]);
    assert_eq!(retained_topics(broker.port), ["a/2"]);
}
