//! `mqttx top` without a terminal.

use mqttx::mqtt::{PacketType, Version};

use crate::support::broker_process::BrokerProcess;
use crate::support::programs::{Left, Program};
use crate::support::scripted_broker::ScriptedBroker;

const HEAD: &str = "rate/s\tmessages\tbytes\tretained\ttopic\tvalue\n";

fn top(port: u16, words: &[&str]) -> Program {
    Program::mqttx()
        .args(["top", "-h", "127.0.0.1", "-p", &port.to_string()])
        .args(words)
}

fn retained(broker: &BrokerProcess, topic: &str, payload: &str) {
    let port = broker.port.to_string();
    let words = ["-t", topic, "-m", payload, "-r", "-q", "1"];
    let left: Left = Program::mqttx()
        .args(["pub", "-h", "127.0.0.1", "-p", &port])
        .args(words)
        .run();
    assert_eq!(left.status, 0, "{left:?}");
}

#[test]
fn all_topics_once() {
    let broker = BrokerProcess::start(&[]);
    retained(&broker, "home/hall", "on\u{1b}[2J");
    retained(&broker, "home", "x");
    retained(&broker, "away", &"y".repeat(600));
    let left = top(broker.port, &["--once"]).run();
    assert_eq!((left.status, left.err().as_str()), (0, ""), "{left:?}");
    let long = "y".repeat(512);
    let expected = format!(
        "{HEAD}1.0\t1\t600\tyes\taway\t{long}…\n\
         1.0\t1\t1\tyes\thome\tx\n\
         1.0\t1\t6\tyes\thome/hall\ton\\x1b[2J\n"
    );
    // The rate of a level has what is below it.
    let expected = expected.replace("1.0\t1\t1\tyes\thome\t", "2.0\t1\t1\tyes\thome\t");
    assert_eq!(left.out(), expected, "{left:?}");
    let left = top(broker.port, &["--once", "-t", "none/#", "-V", "311"]).run();
    assert_eq!((left.status, left.out().as_str()), (0, HEAD), "{left:?}");
}

#[test]
fn lines_while_it_watches_and_after_a_lost_connection() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept();
        peer.expect(PacketType::Subscribe);
        peer.send(&[0x90, 3, 0, 1, 0]);
        peer.send(b"\x31\x04\0\x01a1");
        drop(peer);
        let mut peer = broker.accept();
        peer.expect(PacketType::Subscribe);
        peer.send(&[0x90, 3, 0, 2, 0]);
        peer.send(b"\x30\x04\0\x01b2");
        peer.expect(PacketType::Disconnect);
    });
    let mut running = top(script.port, &["-V", "311"]).start();
    running.wait_for_out("\tno\tb\t2\n");
    let id = running.id().to_string();
    let mut kill = std::process::Command::new("kill");
    assert!(kill.args(["-TERM", &id]).status().unwrap().success());
    let left = running.end();
    assert_eq!(left.status, 0, "{left:?}");
    assert!(left.out().starts_with(HEAD), "{left:?}");
    assert!(left.out().contains("\t1\t1\tyes\ta\t1\n"), "{left:?}");
    assert!(left.err().contains("trying again in 1s"), "{left:?}");
    script.join();
}

#[test]
fn a_broker_that_refuses() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peer = broker.accept();
        peer.expect(PacketType::Subscribe);
        peer.send(&[0x90, 3, 0, 1, 0x80]);
        peer.expect(PacketType::Disconnect);
    });
    let left = top(script.port, &["-V", "311"]).run();
    assert_eq!((left.status, left.out().as_str()), (128, ""), "{left:?}");
    assert!(
        left.err().contains("the subscription was refused"),
        "{left:?}"
    );
    script.join();
}

#[test]
fn wrong_words() {
    for (words, told) in [
        (&["-t", "a/#/b"][..], "invalid subscription topic"),
        (&["-t", ""], "topic"),
        (&["-W", "0"], "invalid timeout"),
        (&["--tree"], "unknown option '--tree'"),
        (&["--once=1"], "--once"),
        (&["-m", "x"], "unknown option '-m'"),
    ] {
        let left = top(1, words).run();
        assert_eq!(
            (left.status, left.out().as_str()),
            (1, ""),
            "{words:?} {left:?}"
        );
        assert!(left.err().contains(told), "{words:?} {left:?}");
    }
    let left = top(1, &["--once"]).run();
    assert_ne!((left.status, left.err().as_str()), (0, ""), "{left:?}");
}
