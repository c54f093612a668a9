//! What a bridge may be told: when it connects, to whom, what it says of itself, what it gives up
//! where the other broker takes less; and that what waits for it outlives its broker.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use mqttx::mqtt::Version;
use rustix::process::Signal;

use crate::broker_bridges::{bridged, bridged_to, messages, send, watcher};
use crate::support::broker_process::{BrokerProcess, PATIENCE, comes};
use crate::support::packets::{Hello, publish, retained, subscribe};
use crate::support::raw_client::RawClient;

/// A port that nobody listens on at the moment.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn on_port(port: u16) -> BrokerProcess {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
    command.args(["broker", "--port", &port.to_string()]);
    BrokerProcess::start_as(command)
}

/// How often a line of the log has this in it.
fn count(broker: &BrokerProcess, text: &str) -> usize {
    broker
        .log()
        .iter()
        .filter(|line| line.contains(text))
        .count()
}

fn wait_count(broker: &BrokerProcess, text: &str, wanted: usize) {
    comes(text, || count(broker, text) >= wanted);
}

/// The Retained Message of a topic, and one that is published behind the question, in words.
fn first_of(port: u16, topic: &str) -> String {
    let mut asker = RawClient::connect(port, &Hello::new("asker"));
    asker.send(&subscribe(Version::V5, 1, topic, 0, &[]));
    asker.expect("SUBACK");
    asker.send(&publish(Version::V5, topic, "fresh", 0, 0, &[]));
    asker.expect("PUBLISH")
}

#[test]
fn one_that_starts_once_is_not_started_again_until_its_file_changes() {
    let far = BrokerProcess::start(&[]);
    let (near, folder) = bridged(far.port, "topic # out 1 | start_type once");
    near.wait_log("connected to");
    far.kill();
    near.wait_log("Bridge b disconnected");
    assert_eq!(count(&near, "next backoff"), 0);
    assert_eq!(count(&near, "Connecting bridge"), 1);
    let other = BrokerProcess::start(&[]);
    let path = folder.path().join("mosquitto.conf");
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replace(
        "127.0.0.1:",
        &format!("127.0.0.1:{} 127.0.0.1:", other.port),
    );
    fs::write(&path, format!("{text}bridge_reload_type immediate\n")).unwrap();
    near.signal(Signal::HUP);
    wait_count(&near, "connected to", 2);
}

#[test]
fn the_first_address_is_returned_to_when_it_answers_again() {
    let (first, second) = (free_port(), BrokerProcess::start(&[]));
    let addresses = format!("127.0.0.1:{first} 127.0.0.1:{}", second.port);
    let (near, _folder) = bridged_to(&addresses, "topic # out 1");
    near.wait_log(&format!("connected to 127.0.0.1:{}", second.port));
    let first = on_port(first);
    near.wait_log(&format!("connected to 127.0.0.1:{}", first.port));
    second.wait_log("disconnected");
    let mut seen = watcher(first.port, "t");
    let mut local = RawClient::connect(near.port, &Hello::new("local"));
    send(&mut local, "t", "x", 1, 1);
    assert_eq!(messages(&mut seen, 1), ["PUBLISH t x q1"]);
}

#[test]
fn round_robin_takes_all_addresses_for_as_good() {
    let (first, second) = (BrokerProcess::start(&[]), BrokerProcess::start(&[]));
    let port = first.port;
    let addresses = format!("127.0.0.1:{port} 127.0.0.1:{}", second.port);
    let (near, _folder) = bridged_to(&addresses, "topic # out 1 | round_robin true");
    near.wait_log(&format!("connected to 127.0.0.1:{port}"));
    first.kill();
    near.wait_log(&format!("connected to 127.0.0.1:{}", second.port));
    let first = on_port(port);
    second.kill();
    wait_count(&near, &format!("connected to 127.0.0.1:{}", first.port), 2);
}

#[test]
fn quality_is_lowered_where_the_other_broker_takes_less() {
    for most in [0, 1] {
        let far = BrokerProcess::configured(
            &format!("listener any 127.0.0.1\nallow_anonymous true\nmax_qos {most}"),
            &["-v"],
        );
        let (near, _folder) = bridged(far.port, "bridge_protocol_version mqttv50 | topic # out 2");
        near.wait_log("connected to");
        let mut seen = RawClient::subscriber(far.port, &Hello::new("seen"), "t/#", most);
        let mut local = RawClient::connect(near.port, &Hello::new("local"));
        for qos in 0..=2 {
            send(&mut local, &format!("t/{qos}"), "x", qos, 1);
            let expected = format!("PUBLISH t/{qos} x q{}", qos.min(most));
            assert_eq!(messages(&mut seen, 1), [expected]);
        }
        // Nothing of that is left waiting for an acknowledgement: a second round goes as well.
        for round in 0..100 {
            send(&mut local, "t/2", &round.to_string(), 2, 1);
            let expected = format!("PUBLISH t/2 {round} q{most}");
            assert_eq!(messages(&mut seen, 1), [expected]);
        }
        assert_eq!(
            count(&near, "Bridge b disconnected"),
            0,
            "{:#?}",
            near.log()
        );
    }
}

#[test]
fn retain_is_left_out_where_it_is_not_wanted() {
    // The other broker has no Retained Messages, and says so only when it is asked for one.
    let lines = "listener any 127.0.0.1\nallow_anonymous true\nretain_available false";
    let far = BrokerProcess::configured(lines, &["-v"]);
    let (near, _folder) = bridged(far.port, "bridge_protocol_version mqttv50 | topic # out 1");
    near.wait_log("connected to");
    let mut seen = watcher(far.port, "t");
    let mut local = RawClient::connect(near.port, &Hello::new("local"));
    local.send(&retained(publish(Version::V5, "t", "x", 1, 1, &[])));
    local.expect("PUBACK");
    assert_eq!(messages(&mut seen, 1), ["PUBLISH t x q1"]);
    // Or the bridge is told to leave it out.
    for version in ["mqttv311", "mqttv50"] {
        for (choice, first) in [
            ("true", "PUBLISH t x q0 retain"),
            ("false", "PUBLISH t fresh"),
        ] {
            let far = BrokerProcess::start(&[]);
            let lines = format!(
                "bridge_protocol_version {version} | bridge_outgoing_retain {choice} | topic # out 1"
            );
            let (near, _folder) = bridged(far.port, &lines);
            near.wait_log("connected to");
            let mut seen = watcher(far.port, "t");
            let mut local = RawClient::connect(near.port, &Hello::new("local"));
            local.send(&retained(publish(Version::V5, "t", "x", 1, 1, &[])));
            local.expect("PUBACK");
            messages(&mut seen, 1);
            assert!(
                first_of(far.port, "t").starts_with(first),
                "{version} {choice}"
            );
        }
    }
}

#[test]
fn whether_it_is_connected_is_told_where_it_shall_be() {
    let state = "$SYS/broker/connection/far/state";
    for (lines, topic, near_told, far_told) in [
        ("notifications true", state, true, true),
        ("notifications_local_only true", state, true, false),
        ("notifications false", state, false, false),
        (
            "notification_topic here/and/there",
            "here/and/there",
            true,
            true,
        ),
    ] {
        let far = BrokerProcess::start(&[]);
        let (near, _folder) = bridged(far.port, &format!("topic x out 1 | {lines}"));
        near.wait_log("connected to");
        // What it says there is said before any message of a topic of its own.
        let mut seen = watcher(far.port, "x");
        let mut local = RawClient::connect(near.port, &Hello::new("local"));
        send(&mut local, "x", "y", 1, 1);
        messages(&mut seen, 1);
        for (port, told) in [(near.port, near_told), (far.port, far_told)] {
            let mut asker = RawClient::connect(port, &Hello::new("asker"));
            asker.send(&subscribe(Version::V5, 1, topic, 0, &[]));
            asker.expect("SUBACK");
            if told {
                while !asker.expect("PUBLISH").contains(&format!("{topic} 1")) {}
            } else {
                asker.ping();
            }
        }
    }
}

#[test]
fn whether_it_is_connected_is_told_once_and_at_qos_1() {
    let far = BrokerProcess::start(&[]);
    let (near, _folder) = bridged(far.port, "topic x out 1 | notification_topic state");
    near.wait_log("connected to");
    let mut seen = watcher(near.port, "state");
    while !messages(&mut seen, 1)[0].contains("state 1 q1") {}
    far.kill();
    // However often it is tried in vain.
    wait_count(&near, "next backoff", 3);
    let mut local = RawClient::connect(near.port, &Hello::new("local"));
    send(&mut local, "state", "mine", 1, 1);
    let told = messages(&mut seen, 2);
    assert!(told[0].contains("state 0 q1"), "{told:?}");
    assert!(told[1].contains("state mine q1"), "{told:?}");
}

/// The protocol level in a CONNECT, bit of bridges included, and the connection it came on.
fn level(listener: &TcpListener) -> (u8, TcpStream) {
    use std::io::Read as _;
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The fixed header, the name of the protocol, and its level behind it.
    let mut head = [0; 4];
    stream.read_exact(&mut head).unwrap();
    let mut rest = vec![0; usize::from(head[3]) + 1];
    stream.read_exact(&mut rest).unwrap();
    (rest.pop().unwrap(), stream)
}

#[test]
fn it_says_that_it_is_a_bridge_unless_it_is_told_not_to() {
    use std::io::Write as _;
    for (version, level_of, private) in [
        ("mqttv31", 3, true),
        ("mqttv311", 4, true),
        ("mqttv50", 5, false),
    ] {
        for choice in [true, false] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let lines =
                format!("bridge_protocol_version {version} | try_private {choice} | topic # out");
            let (near, _folder) = bridged(port, &lines);
            let (seen, mut stream) = level(&listener);
            let bit = if private && choice { 0x80 } else { 0 };
            assert_eq!(seen, level_of | bit, "{version}, {choice}");
            if private && choice {
                // Refused for that: the next attempt is without, and at once.
                stream.write_all(&[0x20, 2, 0, 1]).unwrap();
                let (again, _open) = level(&listener);
                assert_eq!(again, level_of, "{version}");
                assert_eq!(count(&near, "next backoff"), 0);
            }
        }
    }
}

#[test]
fn a_broker_of_an_older_version_is_named_as_what_it_is() {
    let lines = "listener any 127.0.0.1\nallow_anonymous true\naccept_protocol_versions 3,4";
    let far = BrokerProcess::configured(lines, &["-v"]);
    let (near, _folder) = bridged(far.port, "bridge_protocol_version mqttv50 | topic # out 1");
    let remedy =
        "Bridge b: the other broker does not speak MQTT 5.0, try bridge_protocol_version mqttv311.";
    near.wait_log(remedy);
    near.wait_log("next backoff");
    // One from before version 5 answers as it knows to.
    use std::io::Write as _;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (near, _folder) = bridged(port, "bridge_protocol_version mqttv50 | topic # out 1");
    let (_, mut stream) = level(&listener);
    stream.write_all(&[0x20, 2, 0, 1]).unwrap();
    near.wait_log(remedy);
}

#[test]
fn nobody_waits_for_a_bridge_to_nowhere() {
    // One that takes the connection and says nothing; one whose queue of connections is full, so
    // that not even the first packet of TCP is answered.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    full.listen(0).unwrap();
    let full_at = full.local_addr().unwrap().as_socket().unwrap();
    let _first = TcpStream::connect(full_at).unwrap();
    let port = silent.local_addr().unwrap().port();
    let more = format!(
        "topic # out 1 | connection c | address {full_at} | topic # both 2 | remote_clientid c"
    );
    let (mut near, _folder) = bridged(port, &more);
    near.wait_log("Connecting bridge b");
    near.wait_log("Connecting bridge c");
    let mut seen = watcher(near.port, "t");
    let mut local = RawClient::connect(near.port, &Hello::new("local"));
    for number in 0..500 {
        send(&mut local, "t", &number.to_string(), 1, 1);
        assert_eq!(messages(&mut seen, 1), [format!("PUBLISH t {number} q1")]);
    }
    near.ask_to_end();
    assert!(near.wait().success());
}

#[test]
fn what_waits_for_a_bridge_outlives_its_broker() {
    for cleanly in [true, false] {
        let port = free_port();
        let store = tempfile::tempdir().unwrap();
        let lines = format!(
            "topic # out 2 | persistence true | persistence_location {}",
            store.path().display()
        );
        let (mut near, _folder) = bridged(port, &lines);
        near.wait_log("next backoff");
        let mut local = RawClient::connect(near.port, &Hello::new("local"));
        for number in 0..20 {
            send(&mut local, "t", &number.to_string(), 1 + number % 2, 1);
        }
        if cleanly {
            near.ask_to_end();
            assert!(near.wait().success());
            drop(near);
        } else {
            near.kill();
        }
        let far = on_port(port);
        let mut seen = watcher(far.port, "t");
        let (_near, _folder) = bridged(port, &lines);
        let expected: Vec<String> = (0..20)
            .map(|number| format!("PUBLISH t {number} q{}", 1 + number % 2))
            .collect();
        assert_eq!(messages(&mut seen, 20), expected);
    }
}
