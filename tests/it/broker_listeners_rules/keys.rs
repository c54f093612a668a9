//! Listeners with pre-shared keys.

use std::fs;

use rustix::process::Signal;

use crate::broker_listeners_rules::configured;
use crate::support::programs::{Program, mosquittos, skipped};

#[test]
fn who_knows_a_key_is_who_it_belongs_to() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    fs::write(&keys, "alice:00112233445566\nbob:aabb\n").unwrap();
    let broker = configured(&format!(
        "listener any 127.0.0.1\npsk_hint hint\npsk_file {}\nuse_identity_as_username true",
        keys.display()
    ));
    let publish = |identity: &str, key: &str| {
        let words = format!(
            "pub -p {} --psk {key} --psk-identity {identity} -q 1 -t t -m x",
            broker.port
        );
        Program::mqttx().words(&words).run()
    };
    assert_eq!(publish("alice", "00112233445566").status, 0);
    broker.wait_log("u'alice'");
    assert_ne!(publish("alice", "aabb").status, 0, "another's key");
    assert_ne!(publish("carol", "00112233445566").status, 0, "unknown");
    if let Some(file) = mosquittos("mosquitto_pub") {
        let words = format!(
            "-p {} --psk aabb --psk-identity bob -q 1 -t t -m x",
            broker.port
        );
        assert_eq!(Program::new(file).words(&words).run().status, 0);
        broker.wait_log("u'bob'");
    } else {
        skipped(1, "mosquitto's clients are not installed");
    }
    let start = |identity: &str, key: &str| {
        let words = format!(
            "sub -p {} --psk {key} --psk-identity {identity} -i {identity} -t t --no-reconnect -C 1",
            broker.port
        );
        Program::mqttx().words(&words).start()
    };
    let (stays, mut goes) = (start("alice", "00112233445566"), start("bob", "aabb"));
    for name in ["alice", "bob"] {
        broker.wait_log(&format!("Sending SUBACK to {name}"));
    }
    fs::write(&keys, "alice:00112233445566\n").unwrap();
    broker.signal(Signal::HUP);
    assert_ne!(goes.finish_or("sub").status, 0, "its key is gone");
    assert_eq!(publish("alice", "00112233445566").status, 0);
    assert_eq!(stays.end().out(), "x\n");
}
