//! Bridges between brokers, ours and mosquitto: what is carried, what is not lost when the
//! connection is cut, and what does not go in circles.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mqttx::mqtt::{PacketType, Version};
use rustix::process::Signal;

use crate::support::broker_process::{BrokerProcess, PATIENCE, comes};
use crate::support::packets::{Hello, ack, publish, retained, subscribe};
use crate::support::peers;
use crate::support::programs::Program;
use crate::support::raw_client::RawClient;

const VERSIONS: [&str; 3] = ["mqttv31", "mqttv311", "mqttv50"];

/// A broker of ours with this bridge to `port`.
pub(crate) fn bridged(port: u16, lines: &str) -> (BrokerProcess, tempfile::TempDir) {
    bridged_to(&format!("127.0.0.1:{port}"), lines)
}

/// A broker of ours with this bridge to these addresses.
pub(crate) fn bridged_to(addresses: &str, lines: &str) -> (BrokerProcess, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mosquitto.conf");
    let name = match lines.contains("remote_clientid ") {
        true => "",
        false => "remote_clientid far\n",
    };
    let restart = match lines.contains("restart_timeout ") {
        true => "",
        false => "restart_timeout 1\n",
    };
    let text = format!(
        "connection b\naddress {addresses}\n{name}{restart}\
         log_type all\nuser root\n{}\n",
        lines.replace(" | ", "\n")
    );
    fs::write(&path, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
    command.args(["broker", "--port", "0", "-c"]).arg(path);
    (BrokerProcess::start_as(command), folder)
}

/// A client that sees all that is published below some topics.
pub(crate) fn watcher(port: u16, filter: &str) -> RawClient {
    RawClient::subscriber(port, &Hello::new("watcher"), filter, 2)
}

/// Waits until the bridge carries what is published at one port and topic to another: until then
/// what is published is nobody's. All that was sent to find out is there when this returns.
pub(crate) fn wait_until_carried(from: (u16, &str), to: (u16, &str)) {
    let mut seen = RawClient::subscriber(to.0, &Hello::new("probe-to"), to.1, 0);
    let mut source = RawClient::connect(from.0, &Hello::new("probe-from"));
    let wait = |time: Duration| seen.stream.set_read_timeout(Some(time)).unwrap();
    wait(Duration::from_millis(20));
    comes("what is carried", || {
        let came = seen.stream.peek(&mut [0]).is_ok();
        if !came {
            send(&mut source, from.1, "probe", 1, 1);
        }
        came
    });
    wait(PATIENCE);
    send(&mut source, from.1, "end", 1, 1);
    while !messages(&mut seen, 1)[0].contains(" end ") {}
}

/// Answers what comes until `count` messages are there.
pub(crate) fn messages(client: &mut RawClient, count: usize) -> Vec<String> {
    let mut seen = Vec::new();
    while seen.len() < count {
        let packet = client.next().expect("the broker is there");
        let id = packet
            .split(" #")
            .nth(1)
            .map(|rest| rest.split(' ').next().unwrap().parse::<u16>().unwrap());
        let (words, id) = (packet.as_str(), id.unwrap_or_default());
        if words.starts_with("PUBLISH") {
            let quality = words.split(' ').find_map(|word| match word {
                "q1" => Some(PacketType::Puback),
                "q2" => Some(PacketType::Pubrec),
                _ => None,
            });
            if let Some(kind) = quality {
                client.send(&ack(kind, id));
            }
            seen.push(words.replace(&format!(" #{id}"), ""));
        } else if words.starts_with("PUBREL") {
            client.send(&ack(PacketType::Pubcomp, id));
        }
    }
    seen
}

/// Publishes with the whole handshake.
pub(crate) fn send(client: &mut RawClient, topic: &str, payload: &str, qos: u8, id: u16) {
    client.send(&publish(Version::V5, topic, payload, qos, id, &[]));
    match qos {
        0 => {}
        1 => {
            client.expect("PUBACK");
        }
        _ => {
            client.expect("PUBREC");
            client.send(&ack(PacketType::Pubrel, id));
            client.expect("PUBCOMP");
        }
    }
}

#[test]
fn topics_go_out_and_in_under_their_names_in_every_version() {
    for version in VERSIONS {
        let far = BrokerProcess::start(&[]);
        let (near, _folder) = bridged(
            far.port,
            &format!(
                "bridge_protocol_version {version} | topic # out 2 here/ there/ | \
                 topic # in 2 from/ to/ | topic \"\" both 1 one two"
            ),
        );
        wait_until_carried((far.port, "to/probe"), (near.port, "from/probe"));
        let (mut at_far, mut at_near) = (watcher(far.port, "#"), watcher(near.port, "#"));
        let mut local = RawClient::connect(near.port, &Hello::new("local"));
        let mut remote = RawClient::connect(far.port, &Hello::new("remote"));
        for qos in 0..=2 {
            let (topic, name) = (format!("here/{qos}"), format!("there/{qos}"));
            send(&mut local, &topic, "x", qos, 1);
            assert_eq!(
                messages(&mut at_far, 1),
                [format!("PUBLISH {name} x q{qos}")]
            );
            assert_eq!(
                messages(&mut at_near, 1),
                [format!("PUBLISH {topic} x q{qos}")]
            );
            send(&mut remote, &format!("to/{qos}"), "y", qos, 1);
            assert_eq!(
                messages(&mut at_near, 1),
                [format!("PUBLISH from/{qos} y q{qos}")]
            );
            assert_eq!(
                messages(&mut at_far, 1),
                [format!("PUBLISH to/{qos} y q{qos}")]
            );
        }
        send(&mut local, "one", "z", 1, 1);
        assert_eq!(messages(&mut at_far, 1), ["PUBLISH two z q1"], "{version}");
        local.send(&retained(publish(Version::V5, "here/r", "kept", 1, 2, &[])));
        local.expect("PUBACK");
        messages(&mut at_far, 1);
        let mut late = RawClient::subscriber(far.port, &Hello::new("late"), "there/r", 1);
        assert_eq!(messages(&mut late, 1), ["PUBLISH there/r kept q1 retain"]);
    }
}

#[test]
fn both_sides_are_told_whether_it_is_connected() {
    let far = BrokerProcess::start(&[]);
    let (near, _folder) = bridged(far.port, "topic # out");
    near.wait_log("connected to");
    let topic = "$SYS/broker/connection/far/state";
    for port in [far.port, near.port] {
        let mut client = RawClient::connect(port, &Hello::new("asker"));
        client.send(&subscribe(Version::V5, 1, topic, 0, &[]));
        client.expect("SUBACK");
        // It may still be on its way.
        while !client.expect("PUBLISH").contains(" 1 q0") {}
    }
    let mut client = RawClient::connect(far.port, &Hello::new("asker"));
    client.send(&subscribe(Version::V5, 1, topic, 0, &[]));
    client.expect("SUBACK");
    client.expect(&format!("PUBLISH {topic} 1 q0 retain"));
    drop(near);
    client.expect(&format!("PUBLISH {topic} 0 q0"));
}

#[test]
fn nothing_goes_in_circles() {
    for version in VERSIONS {
        let far = BrokerProcess::start(&[]);
        let (near, _folder) = bridged(
            far.port,
            &format!("bridge_protocol_version {version} | topic # both 1"),
        );
        wait_until_carried((far.port, "probe"), (near.port, "probe"));
        let (mut at_far, mut at_near) = (watcher(far.port, "t/#"), watcher(near.port, "t/#"));
        let mut local = RawClient::connect(near.port, &Hello::new("local"));
        let mut remote = RawClient::connect(far.port, &Hello::new("remote"));
        for round in 0..20 {
            send(&mut local, "t/near", &round.to_string(), 1, 1);
            send(&mut remote, "t/far", &round.to_string(), 1, 1);
        }
        // Forty each and not one more: the last ones come behind all echoes of the others.
        for client in [&mut at_far, &mut at_near] {
            let seen = messages(client, 40);
            for from in ["near", "far"] {
                let of = |line: &&String| line.contains(&format!("t/{from} "));
                assert_eq!(seen.iter().filter(of).count(), 20, "{version}: {seen:?}");
            }
        }
        send(&mut local, "t/end", "", 1, 1);
        for client in [&mut at_far, &mut at_near] {
            assert_eq!(messages(client, 1), ["PUBLISH t/end  q1"], "{version}");
        }
    }
}

/// Hands bytes to and fro until it is told to cut every connection.
struct Cutter {
    port: u16,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Cutter {
    fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let list = Arc::clone(&open);
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(("127.0.0.1", to)) else {
                    continue;
                };
                let clone = |stream: &TcpStream| stream.try_clone().unwrap();
                list.lock().unwrap().extend([clone(&near), clone(&far)]);
                for (mut from, mut into) in [(clone(&near), clone(&far)), (far, near)] {
                    std::thread::spawn(move || {
                        let mut bytes = [0; 4_096];
                        while let Ok(count @ 1..) = from.read(&mut bytes) {
                            if into.write_all(&bytes[..count]).is_err() {
                                break;
                            }
                        }
                        let _ = into.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self { port, open }
    }

    fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Publishes at one broker and counts at the other while the bridge in between is cut.
fn cut_and_count(from: u16, to: u16, cutter: &Cutter, qos: u8, topics: [&str; 2]) {
    const COUNT: usize = 300;
    let mut seen = RawClient::subscriber(to, &Hello::new("counter"), topics[1], qos);
    let mut source = RawClient::connect(from, &Hello::new("source"));
    for number in 0..COUNT {
        send(&mut source, topics[0], &format!("n{number}"), qos, 1);
        if number % 60 == 30 {
            cutter.cut();
        }
    }
    send(&mut source, topics[0], "end", qos, 1);
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    loop {
        let line = messages(&mut seen, 1).remove(0);
        let payload = line.split(' ').nth(2).unwrap();
        match payload.strip_prefix('n') {
            Some(number) => *counts.entry(number.parse().unwrap()).or_default() += 1,
            None => break,
        }
    }
    assert_eq!(counts.len(), COUNT, "lost at QoS {qos}");
    let doubled = counts.values().filter(|&&count| count > 1).count();
    assert!(qos == 1 || doubled == 0, "{doubled} twice at QoS 2");
}

#[test]
fn a_cut_loses_nothing_and_doubles_nothing_of_qos_2() {
    for version in VERSIONS {
        let far = BrokerProcess::start(&[]);
        let cutter = Cutter::start(far.port);
        let expiry = match version {
            "mqttv50" => " | bridge_session_expiry_interval 1000",
            _ => "",
        };
        let (near, _folder) = bridged(
            cutter.port,
            &format!(
                "bridge_protocol_version {version} | topic out/# out 2 | topic in/# in 2{expiry}"
            ),
        );
        wait_until_carried((far.port, "in/probe"), (near.port, "in/probe"));
        for qos in [2, 1] {
            let topic = format!("out/{qos}");
            cut_and_count(near.port, far.port, &cutter, qos, [&topic, &topic]);
            let topic = format!("in/{qos}");
            cut_and_count(far.port, near.port, &cutter, qos, [&topic, &topic]);
        }
    }
}

#[test]
fn what_is_published_before_the_other_broker_is_there_waits_for_it() {
    // A port that nobody listens on: kept, so that nobody else gets it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let (near, _folder) = bridged(port, "topic # out 1");
    near.wait_log("next backoff will be 1000 ms");
    let mut local = RawClient::connect(near.port, &Hello::new("local"));
    for number in 0..5 {
        send(&mut local, "early", &number.to_string(), 1, 1);
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
    command.args(["broker", "--port", &port.to_string()]);
    let far = BrokerProcess::start_as(command);
    let mut seen = watcher(far.port, "early");
    let messages = messages(&mut seen, 1);
    // Those before the watcher came are gone there; the last one at least is not to be early.
    assert!(messages[0].starts_with("PUBLISH early "), "{messages:?}");
}

#[test]
fn a_lazy_bridge_connects_when_enough_waits() {
    let far = BrokerProcess::start(&[]);
    let (near, _folder) = bridged(
        far.port,
        "topic # out 1 | start_type lazy | threshold 3 | idle_timeout 1",
    );
    let mut seen = watcher(far.port, "t/#");
    let mut local = RawClient::connect(near.port, &Hello::new("local"));
    send(&mut local, "t/1", "", 1, 1);
    send(&mut local, "t/2", "", 1, 1);
    assert!(
        !near
            .log()
            .iter()
            .any(|line| line.contains("Connecting bridge"))
    );
    send(&mut local, "t/3", "", 1, 1);
    let expected = ["PUBLISH t/1  q1", "PUBLISH t/2  q1", "PUBLISH t/3  q1"];
    assert_eq!(messages(&mut seen, 3), expected);
    near.wait_log("Connecting bridge b (127.0.0.1:");
    // When it has nothing to do it leaves.
    far.wait_log("\"far\"");
    far.wait_log("disconnected");
}

#[test]
fn mosquitto_at_the_other_end() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_mosquitto, [port])) = peers::mosquitto(folder.path(), |[port]| {
        format!("listener {port} 127.0.0.1\n")
    }) else {
        return;
    };
    let (near, _folder) = bridged(
        port,
        "topic # out 2 here/ there/ | topic # in 2 from/ to/ | topic both/# both 2",
    );
    wait_until_carried((port, "to/probe"), (near.port, "from/probe"));
    let (mut at_far, mut at_near) = (watcher(port, "#"), watcher(near.port, "#"));
    let mut local = RawClient::connect(near.port, &Hello::new("local"));
    let mut remote = RawClient::connect(port, &Hello::new("remote"));
    for qos in 0..=2 {
        send(&mut local, &format!("here/{qos}"), "x", qos, 1);
        assert_eq!(
            messages(&mut at_far, 1),
            [format!("PUBLISH there/{qos} x q{qos}")]
        );
        messages(&mut at_near, 1);
        send(&mut remote, &format!("to/{qos}"), "y", qos, 1);
        assert_eq!(
            messages(&mut at_near, 1),
            [format!("PUBLISH from/{qos} y q{qos}")]
        );
        messages(&mut at_far, 1);
        send(&mut local, "both/a", "z", qos, 1);
        assert_eq!(
            messages(&mut at_far, 1),
            [format!("PUBLISH both/a z q{qos}")]
        );
        assert_eq!(
            messages(&mut at_near, 1),
            [format!("PUBLISH both/a z q{qos}")]
        );
    }
}

#[test]
fn mosquitto_bridges_to_us() {
    let far = BrokerProcess::start(&["-v"]);
    let folder = tempfile::tempdir().unwrap();
    let Some((_mosquitto, [port])) = peers::mosquitto(folder.path(), |[port]| {
        format!(
            "listener {port} 127.0.0.1\nconnection b\n\
             address 127.0.0.1:{}\ntopic # both 2\nremote_clientid far\n",
            far.port
        )
    }) else {
        return;
    };
    far.wait_log("subscribed to \"#\"");
    let state = "$SYS/broker/connection/far/state";
    let mut asker = RawClient::connect(far.port, &Hello::new("asker"));
    asker.send(&subscribe(Version::V5, 1, state, 0, &[]));
    asker.expect("SUBACK");
    asker.expect(&format!("PUBLISH {state} 1 q0"));
    let (mut at_far, mut at_near) = (watcher(far.port, "t/#"), watcher(port, "t/#"));
    let mut near = RawClient::connect(port, &Hello::new("near"));
    let mut here = RawClient::connect(far.port, &Hello::new("here"));
    for qos in 0..=2 {
        send(&mut near, "t/n", "x", qos, 1);
        send(&mut here, "t/h", "y", qos, 1);
        for client in [&mut at_far, &mut at_near] {
            let mut seen = messages(client, 2);
            seen.sort();
            let expected = [
                format!("PUBLISH t/h y q{qos}"),
                format!("PUBLISH t/n x q{qos}"),
            ];
            assert_eq!(seen, expected);
        }
    }
}

#[test]
fn a_bridge_that_cannot_be_is_told() {
    let rows = [
        (
            "topic a | bridge_bind_address here",
            "an IP address is wanted",
        ),
        (
            "topic a | notification_topic a/+",
            "Invalid 'notification_topic' value (a/+)",
        ),
        (
            "topic a | bridge_require_ocsp true",
            "'bridge_require_ocsp' option is not available",
        ),
        (
            "topic a | bridge_psk 1 | bridge_identity i",
            "hexadecimal digits are wanted",
        ),
        (
            "topic a | bridge_psk xy | bridge_identity i",
            "hexadecimal digits are wanted",
        ),
        (
            "topic a | bridge_certfile c",
            "Both bridge_certfile and bridge_keyfile",
        ),
        (
            "topic a | bridge_certfile c | bridge_keyfile k",
            "needs bridge_cafile",
        ),
        ("topic a | bridge_cafile /nonexistent", "Bridge b: "),
        (
            "topic a | bridge_tls_use_os_certs true | bridge_tls_version tlsv1.1",
            "Unsupported bridge_tls_version",
        ),
        (
            "topic a | connection c | address b | topic a | local_clientid local.far",
            "Bridge local_clientid 'local.far' is not unique",
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mosquitto.conf");
    for (lines, expected) in rows {
        let start = "connection b\naddress a\nremote_clientid far\n";
        fs::write(&path, format!("{start}{}\n", lines.replace(" | ", "\n"))).unwrap();
        let left = Program::mqttx()
            .args(["broker", "--test-config", "-c"])
            .args([&path])
            .run();
        assert_eq!(left.status, 3, "{lines}: {left:?}");
        assert!(left.err().contains(expected), "{lines}: {left:?}");
    }
}

#[test]
fn bridges_come_change_and_go_on_reload() {
    let (one, two) = (BrokerProcess::start(&[]), BrokerProcess::start(&[]));
    let (near, folder) = bridged(one.port, "topic # out 1");
    one.wait_log("\"far\"");
    let path = folder.path().join("mosquitto.conf");
    let text = fs::read_to_string(&path).unwrap();
    let other = text
        .replace("connection b", "connection c")
        .replace("user root\n", "")
        .replace("clientid far", "clientid other")
        .replace(&one.port.to_string(), &two.port.to_string());
    fs::write(&path, format!("{text}{other}")).unwrap();
    near.signal(Signal::HUP);
    two.wait_log("\"other\"");
    // Moved from one broker to the other, at once.
    let moved = text.replace(&one.port.to_string(), &two.port.to_string());
    fs::write(&path, format!("{moved}bridge_reload_type immediate\n")).unwrap();
    near.signal(Signal::HUP);
    one.wait_log("disconnected");
    two.wait_log("\"far\"");
    two.wait_log("disconnected");
    let mut seen = watcher(two.port, "t");
    let mut local = RawClient::connect(near.port, &Hello::new("local"));
    send(&mut local, "t", "x", 1, 1);
    assert_eq!(messages(&mut seen, 1), ["PUBLISH t x q1"]);
}
