//! What a line of mosquitto.conf does to the wire: directives that are about the whole broker and
//! about a listener, each with a client that meets it and mostly with one that does without.

use std::net::{TcpListener, TcpStream};

use mqttx::mqtt::property::{PropertyId, Value};
use mqttx::mqtt::{PacketType, Version};

use crate::support::broker_process::{BrokerProcess, comes};
use crate::support::certificates::Certificates;
use crate::support::packets::{DISCONNECT, Hello, PINGREQ, ack, publish, retained, subscribe};
use crate::support::programs::Program;
use crate::support::raw_client::RawClient;

use Version::{V5, V311};

fn broker(lines: &str) -> BrokerProcess {
    let lines = format!("listener any 127.0.0.1\nallow_anonymous true\n{lines}");
    BrokerProcess::configured(&lines, &[])
}

/// The first answer to a CONNECT.
fn answer(port: u16, hello: &Hello) -> Option<String> {
    let mut client = RawClient::open(port, hello.version);
    client.send(&hello.bytes());
    client.next()
}

/// Publishes and waits until the broker has it.
#[track_caller]
fn send(client: &mut RawClient, topic: &str, payload: &str, qos: u8) -> String {
    client.send(&publish(V5, topic, payload, qos, 1, &[]));
    if qos == 0 {
        client.ping();
        return String::new();
    }
    client.expect("PUBACK")
}

#[test]
fn overlapping_subscriptions_of_version_3_bring_one_copy_if_asked_for() {
    for (lines, copies) in [("", 2), ("allow_duplicate_messages false", 1)] {
        let broker = broker(lines);
        for (version, expected) in [(V311, copies), (V5, 2)] {
            let hello = Hello::new("reader").version(version);
            let mut reader = RawClient::subscriber(broker.port, &hello, "a/#", 0);
            reader.send(&subscribe(version, 2, "a/+", 0, &[]));
            reader.expect("SUBACK");
            let mut writer = RawClient::connect(broker.port, &Hello::new("writer"));
            send(&mut writer, "a/b", "x", 0);
            for _ in 0..expected {
                reader.expect("PUBLISH a/b x q0");
            }
            reader.ping();
        }
    }
}

#[test]
fn connections_are_told_unless_they_shall_not_be() {
    for (lines, told) in [("", true), ("connection_messages false", false)] {
        let broker = broker(&format!("log_type all\n{lines}"));
        let mut client = RawClient::subscriber(broker.port, &Hello::new("visitor"), "t", 0);
        client.send(&DISCONNECT);
        assert_eq!(client.next(), None);
        drop(RawClient::subscriber(
            broker.port,
            &Hello::new("next"),
            "t",
            0,
        ));
        broker.wait_log("Sending SUBACK to next");
        let log = broker.log().join("\n");
        let seen = ["New client connected", "Client visitor ["].map(|line| log.contains(line));
        assert_eq!(seen, [told; 2], "{log}");
    }
}

#[test]
fn lines_begin_with_the_time_as_it_is_wanted() {
    let line = |lines: &str| broker(lines).wait_log("2.1.2 running");
    let plain = line("log_timestamp false");
    assert_eq!(plain, "mosquitto version 2.1.2 running");
    let year = line("log_timestamp_format year %Y");
    let (time, _) = year.split_once(": ").unwrap();
    let year = time.strip_prefix("year ").map(|year| year.parse::<u32>());
    assert!(matches!(year, Some(Ok(2_000..3_000))), "{time}");
}

#[test]
fn clients_and_connections_are_counted_over_all_listeners() {
    let limited = broker("global_max_connections 1\nlistener any 127.0.0.1");
    let mut first = RawClient::connect(limited.ports[0], &Hello::new("first"));
    let mut second = RawClient::open(limited.ports[1], V5);
    second.send_if_there(&Hello::new("second").bytes());
    assert_eq!(second.next(), None);
    first.ping();
    let limited = broker("global_max_clients 1");
    drop(RawClient::connect(
        limited.port,
        &Hello::new("first").kept(),
    ));
    let told = answer(limited.port, &Hello::new("second").kept());
    assert!(!told.is_some_and(|told| told.contains("Success")));
    let again = answer(limited.port, &Hello::new("first").kept()).unwrap();
    assert!(again.starts_with("CONNACK Success present"), "{again}");
}

#[test]
fn bytes_in_flight_and_bytes_that_wait_are_bounded() {
    let limited = broker("max_inflight_bytes 10");
    let mut reader = RawClient::subscriber(limited.port, &Hello::new("reader"), "t", 1);
    let mut writer = RawClient::connect(limited.port, &Hello::new("writer"));
    for payload in ["123456789012", "abcdefgh", "last"] {
        send(&mut writer, "t", payload, 1);
    }
    for (id, payload) in [(1, "123456789012"), (2, "abcdefgh"), (3, "last")] {
        let came = reader.expect("PUBLISH");
        assert!(
            came.starts_with(&format!("PUBLISH t {payload} q1 #{id}")),
            "{came}"
        );
        if id < 2 {
            // The next one would be too much.
            reader.ping();
        }
        reader.send(&ack(PacketType::Puback, id));
    }

    let limited = broker("max_queued_bytes 2000");
    let away = Hello::new("away").kept();
    drop(RawClient::subscriber(limited.port, &away, "t", 1));
    let mut writer = RawClient::connect(limited.port, &Hello::new("writer"));
    let long = "x".repeat(600);
    for number in 0..9 {
        send(&mut writer, "t", &format!("{number}{long}"), 1);
    }
    let mut away = RawClient::connect(limited.port, &Hello::new("away").kept());
    away.send(&PINGREQ);
    let waited = std::iter::from_fn(|| away.next());
    let count = waited.take_while(|came| came != "PINGRESP").count();
    assert!((1..5).contains(&count), "{count} of nine waited");
}

#[test]
fn rates_are_limited_from_the_file() {
    for lines in ["max_message_rate 5", "max_byte_rate 2000"] {
        let broker = broker(lines);
        let mut hasty = RawClient::connect(broker.port, &Hello::new("hasty"));
        let message = publish(V5, "t", &"x".repeat(300), 0, 0, &[]);
        hasty.send(&message.repeat(12));
        broker.wait_log("Client hasty [");
        broker.wait_log("held back");
    }
    let lines = "listener any 127.0.0.1\nallow_anonymous true\nmax_connection_rate 2";
    let broker = BrokerProcess::configured(lines, &["--limit", "login_ban_loopback=1"]);
    let accepted = (0..20).filter(|number| {
        let mut client = RawClient::open(broker.port, V5);
        client.send_if_there(&Hello::new(&number.to_string()).bytes());
        client.next().is_some()
    });
    let accepted = accepted.count();
    assert!((2..20).contains(&accepted), "{accepted} of 20 got in");
}

#[test]
fn long_payloads_and_full_memory_are_refused() {
    let limited = broker("message_size_limit 10");
    let mut client = RawClient::connect(limited.port, &Hello::new("client"));
    assert_eq!(send(&mut client, "t", "0123456789", 1), "PUBACK #1 0x10");
    // As mosquitto has it; its clients, and so ours, take it for the answer.
    for (qos, answer) in [(1, "PUBACK #1 0x95"), (2, "PUBREC #1 0x95")] {
        client.send(&publish(V5, "t", "0123456789a", qos, 1, &[]));
        assert_eq!(client.next().unwrap(), answer);
    }
    let words = format!(
        "pub -h 127.0.0.1 -p {} -V 5 -q 1 -t t -m 0123456789a",
        limited.port
    );
    let left = Program::mqttx().words(&words).run();
    assert!(left.err().contains("packet too large"), "{left:?}");
    // A client does not say so.
    client.send(&[0x40, 3, 0, 1, 0x95]);
    client.expect("DISCONNECT 0x82");

    let limited = broker("memory_limit 20000");
    let mut client = RawClient::connect(limited.port, &Hello::new("client"));
    let long = "x".repeat(9_000);
    let mut kept = |broker: &BrokerProcess| {
        for number in 0..9 {
            let message = publish(V5, &format!("kept/{number}"), &long, 1, 1, &[]);
            client.send(&retained(message));
            client.expect("PUBACK");
        }
        let mut late = RawClient::subscriber(broker.port, &Hello::new("late"), "kept/#", 0);
        late.send(&PINGREQ);
        let came = std::iter::from_fn(|| late.next());
        came.take_while(|came| came != "PINGRESP").count()
    };
    assert_eq!(kept(&limited), 2, "of 80,000 bytes in 20,000");
    let lines = "user root\nlistener any 127.0.0.1\nallow_anonymous true\n";
    std::fs::write(limited.conf_file(), lines).unwrap();
    limited.hang_up();
    comes("the end of the limit", || kept(&limited) == 9);
}

#[test]
fn messages_of_qos_0_wait_and_qualities_are_raised_where_it_is_wanted() {
    for (lines, expected) in [
        ("", None),
        ("queue_qos0_messages true", Some("PUBLISH t kept q0")),
        (
            "upgrade_outgoing_qos true\nqueue_qos0_messages true",
            Some("PUBLISH t kept q1 #1"),
        ),
    ] {
        let broker = broker(lines);
        let away = Hello::new("away").kept();
        drop(RawClient::subscriber(broker.port, &away, "t", 1));
        let mut writer = RawClient::connect(broker.port, &Hello::new("writer"));
        send(&mut writer, "t", "kept", 0);
        let mut away = RawClient::connect(broker.port, &Hello::new("away").kept());
        if let Some(expected) = expected {
            assert_eq!(away.next().unwrap(), expected, "{lines}");
        }
        away.ping();
    }
}

#[test]
fn so_many_messages_wait_for_who_is_away_and_some_more_for_who_is_there() {
    let broker = broker("max_queued_messages 3\nmax_inflight_messages 2");
    let away = Hello::new("away").kept();
    drop(RawClient::subscriber(broker.port, &away, "t", 1));
    let mut there = RawClient::subscriber(broker.port, &Hello::new("there"), "t", 1);
    let mut writer = RawClient::connect(broker.port, &Hello::new("writer"));
    for number in 0..9 {
        send(&mut writer, "t", &number.to_string(), 1);
    }
    let all = |client: &mut RawClient| {
        let (mut count, mut pings) = (0, 1);
        client.send(&PINGREQ);
        while pings > 0 {
            match client.next().unwrap().rsplit_once('#') {
                Some((_, id)) => {
                    client.send(&ack(PacketType::Puback, id.parse().unwrap()));
                    client.send(&PINGREQ);
                    (count, pings) = (count + 1, pings + 1);
                }
                None => pings -= 1,
            }
        }
        count
    };
    // Two in flight, and three waiting, with room for two more.
    assert_eq!(all(&mut there), 7);
    assert_eq!(
        all(&mut RawClient::connect(
            broker.port,
            &Hello::new("away").kept()
        )),
        3
    );
}

#[test]
fn sessions_are_forgotten_after_their_time() {
    let broker = broker("persistent_client_expiration 1s\nlog_type all");
    let hello = Hello::new("gone").kept();
    let told = answer(broker.port, &hello).unwrap();
    assert!(told.starts_with("CONNACK Success"), "{told}");
    broker.wait_log("Expiring client gone due to timeout.");
    let told = answer(broker.port, &Hello::new("gone").kept()).unwrap();
    assert!(!told.contains("present"), "{told}");
}

#[test]
fn clients_without_an_identifier_are_named_or_refused() {
    let named = broker("auto_id_prefix here-");
    let told = answer(named.port, &Hello::new("")).unwrap();
    assert!(told.contains("here-"), "{told}");
    let refusing = broker("allow_zero_length_clientid false");
    let told = answer(refusing.port, &Hello::new("").version(V311));
    assert_eq!(told.as_deref(), Some("CONNACK code 2"));
    let told = answer(refusing.port, &Hello::new("")).unwrap();
    assert!(
        told.starts_with("CONNACK Client Identifier not valid"),
        "{told}"
    );
}

#[test]
fn so_many_topics_have_an_alias() {
    let broker = broker("max_topic_alias_broker 1");
    let hello = Hello::new("reader").with(PropertyId::TopicAliasMaximum, Value::Two(10));
    let mut reader = RawClient::subscriber(broker.port, &hello, "t/#", 0);
    let mut writer = RawClient::connect(broker.port, &Hello::new("writer"));
    for topic in ["t/1", "t/2", "t/1"] {
        send(&mut writer, topic, "x", 0);
    }
    let seen = [(); 3].map(|()| reader.expect("PUBLISH"));
    let alias = |line: &String| line.to_lowercase().contains("alias");
    assert_eq!(seen.each_ref().map(alias), [true, false, true], "{seen:#?}");
}

#[test]
fn listeners_are_where_they_shall_be() {
    let loopback = broker("bind_interface lo");
    RawClient::connect(loopback.port, &Hello::new("client"));
    let lines = "listener any ::1\nallow_anonymous true\nsocket_domain ipv6";
    let broker = BrokerProcess::configured(lines, &[]);
    TcpStream::connect(("::1", broker.port)).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let port = port.unwrap().port();
    let lines = format!("bind_address 127.0.0.1\nport {port}\nallow_anonymous true");
    let broker = BrokerProcess::configured(&lines, &[]);
    broker.wait_log("The 'bind_address' option is now deprecated");
    assert_eq!(broker.ports, [port]);
    RawClient::connect(port, &Hello::new("client"));
}

#[test]
fn a_listener_speaks_the_tls_that_it_shall() {
    let certificates = Certificates::new();
    let ca = certificates.path("ca.pem").display().to_string();
    let start = |lines: &str| {
        let listener = certificates.listener(0, "localhost");
        let listener = listener.replace("listener 0 127.0.0.1", "listener any 127.0.0.1");
        let lines = format!("{listener}allow_anonymous true\nlog_type all\n{lines}");
        BrokerProcess::configured(&lines, &[])
    };
    let publish = |broker: &BrokerProcess, words: &str| {
        let port = broker.port;
        let line = format!("pub -h localhost -p {port} --cafile {ca} -i pub -t t -m x {words}");
        Program::mqttx().words(&line).run().status
    };
    let newest = start("tls_version tlsv1.3");
    assert_ne!(publish(&newest, "--tls-version tlsv1.2"), 0);
    assert_eq!(publish(&newest, ""), 0);
    newest.wait_log("Client pub negotiated TLSv1.3 cipher TLS_");
    let name = "TLS_AES_128_GCM_SHA256";
    let chosen = start(&format!("ciphers_tls1.3 {name}"));
    assert_eq!(publish(&chosen, ""), 0);
    chosen.wait_log(&format!("Client pub negotiated TLSv1.3 cipher {name}"));
    let name = "ECDHE-ECDSA-CHACHA20-POLY1305";
    let chosen = start(&format!("ciphers {name}"));
    assert_eq!(publish(&chosen, "--tls-version tlsv1.2"), 0);
    chosen.wait_log(&format!("Client pub negotiated TLSv1.2 cipher {name}"));
}

#[test]
fn what_cannot_be_received_is_refused_where_that_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("acl");
    std::fs::write(&rules, "topic read a/#\ntopic write #\n").unwrap();
    for (word, codes) in [
        ("never", [0, 0, 0]),
        ("nothing", [0, 0, 0x87]),
        ("partly", [0, 0x87, 0x87]),
    ] {
        let lines = format!("acl_file {}\nacl_refuse_subscribe {word}", rules.display());
        let broker = broker(&lines);
        let mut client = RawClient::connect(broker.port, &Hello::new("client"));
        for (filter, code) in ["a/b", "#", "b"].into_iter().zip(codes) {
            client.send(&subscribe(V5, 1, filter, 0, &[]));
            assert_eq!(
                client.next().unwrap(),
                format!("SUBACK #1 [{code}]"),
                "{word} {filter}"
            );
        }
    }
}

#[test]
fn the_head_of_a_request_has_its_size() {
    use std::io::{Read as _, Write as _};
    let broker = broker("packet_buffer_size 1000\nlistener any 127.0.0.1\nprotocol websockets");
    let ask = |more: usize| {
        let mut stream = TcpStream::connect(("127.0.0.1", broker.ports[1])).unwrap();
        let more = "x".repeat(more);
        let request = format!(
            "GET /mqtt HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: mqtt\r\nX-More: {more}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 12];
        match stream.read_exact(&mut answer) {
            Ok(()) => String::from_utf8_lossy(&answer).into_owned(),
            Err(_) => String::new(),
        }
    };
    assert_eq!(ask(10), "HTTP/1.1 101");
    assert_ne!(ask(1_000), "HTTP/1.1 101");
}

#[test]
fn what_has_no_use_any_more_is_told_and_does_no_harm() {
    let broker = broker(
        "retry_interval 20\nwebsockets_log_level 7\ndhparamfile /is/not/there\n\
         set_tcp_nodelay true\nautosave_interval 5\nautosave_on_changes true\nlog_facility 5",
    );
    broker.wait_log("Warning: The 'retry_interval' option is no longer available.");
    broker.wait_log("Warning: dhparamfile is no longer required.");
    broker.wait_log("The 'websockets_log_level' option has no use here.");
    RawClient::connect(broker.port, &Hello::new("client"));
}

#[test]
fn a_folder_that_is_not_served_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().display();
    let lines = format!("protocol websockets\nhttp_dir {folder}");
    let broker = BrokerProcess::configured(&format!("listener any 127.0.0.1\n{lines}"), &[]);
    let line = "is not served: http_dir is for listeners of protocol http_api.";
    broker.wait_log(&format!("{folder} {line}"));
}
