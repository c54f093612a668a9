//! SCRAM-SHA-256 over a real broker: by our own clients, step by step by a client whose bytes are
//! the test's, and against a broker that does not know the password.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use mqttx::mqtt::auth::Auth;
use mqttx::mqtt::property::{PropertiesBuf, PropertyId, Value};
use mqttx::mqtt::scram::{Client, METHOD};
use mqttx::mqtt::{Packet, Reason, Version};

use crate::support::broker_process::BrokerProcess;
use crate::support::packets::{Hello, encode};
use crate::support::programs::{Left, Program};
use crate::support::raw_client::RawClient;

const V5: Version = Version::V5;

/// A broker whose users bob and amy may prove their passwords, and joe may not.
fn broker() -> (BrokerProcess, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users");
    let file = file.to_str().unwrap();
    for (user, words) in [
        ("bob", "-c -H scram-sha-256 -I 4096 -b"),
        ("amy", "-H scram-sha-256 -b"),
        ("joe", "-b"),
    ] {
        let program = Program::mqttx().args(["passwd"]).words(words);
        let left = program.args([file, user, "secret"]).run();
        assert_eq!(left.status, 0, "{}", left.err());
    }
    (BrokerProcess::start(&["--password-file", file]), folder)
}

fn publish(port: u16, words: &str) -> Left {
    let port = port.to_string();
    let program = Program::mqttx().args(["pub", "-h", "127.0.0.1", "-p", &port]);
    program.words("-V 5 -t a -m x -q 1").words(words).run()
}

#[test]
fn our_clients_prove_their_passwords() {
    let (broker, _folder) = broker();
    let status = |words: &str| publish(broker.port, words).status;
    assert_eq!(status("--scram -u bob -P secret"), 0);
    assert_eq!(status("--scram -u amy -P secret"), 0);
    assert_eq!(status("--scram -u bob -P guess"), 135);
    assert_eq!(status("--scram -u eve -P secret"), 135);
    assert_eq!(status("--scram -u joe -P secret"), 135);
    // The same passwords may also be sent.
    assert_eq!(status("-u bob -P secret"), 0);
    assert_eq!(status("-u bob -P guess"), 134);
    assert_eq!(status("-u joe -P secret"), 0);
    broker.wait_log("login failed from 127.0.0.1 by \"SCRAM-SHA-256\"");
    // Somebody else's broker has no such method.
    let other = BrokerProcess::start(&[]);
    assert_eq!(publish(other.port, "--scram -u bob -P secret").status, 140);
}

#[test]
fn what_the_option_needs_is_said() {
    let check = |words: &str, expected: &str| {
        let left = Program::mqttx().words("pub -t a -m x").words(words).run();
        assert_eq!(left.status, 1);
        assert!(left.err().contains(expected), "{}", left.err());
    };
    check("--scram -u bob -P x", "--scram needs version 5");
    check(
        "--scram -V 5 -u bob",
        "--scram needs a user name and a password",
    );
    check(
        "--scram -V 5 -P x",
        "--scram needs a user name and a password",
    );
    let left = Program::mqttx()
        .words("passwd -H scram-sha-256 -I 100 -b f u p")
        .run();
    assert!(left.err().contains("at least 4096"), "{}", left.err());
}

fn hello(method: &str, data: &[u8]) -> Hello {
    Hello::new("raw")
        .with(PropertyId::AuthenticationMethod, Value::String(method))
        .with(PropertyId::AuthenticationData, Value::Binary(data))
}

fn auth(reason: Reason, method: &str, data: &[u8]) -> Vec<u8> {
    let mut properties = PropertiesBuf::new();
    properties.push(PropertyId::AuthenticationMethod, Value::String(method));
    properties.push(PropertyId::AuthenticationData, Value::Binary(data));
    let properties = properties.properties();
    encode(V5, &Packet::Auth(Auth { reason, properties }))
}

/// The data of the next packet, which is an AUTH or a CONNACK, and its Reason Code.
fn data(client: &mut RawClient) -> (u8, Vec<u8>) {
    let frame = client.next_frame().unwrap();
    let (reason, properties) = match Packet::decode(&frame, V5).unwrap() {
        Packet::Auth(auth) => (auth.reason, auth.properties),
        Packet::Connack(connack) => (connack.reason, connack.properties),
        Packet::Disconnect(disconnect) => (disconnect.reason, disconnect.properties),
        other => panic!("{other:?}"),
    };
    let data = properties.binary(PropertyId::AuthenticationData);
    (reason.value(), data.unwrap_or_default().to_vec())
}

/// A client that is connected as bob.
fn bob(port: u16) -> RawClient {
    let (first, mut scram) = Client::start("bob", "abc");
    let mut client = RawClient::open(port, V5);
    client.send(&hello(METHOD, &first).bytes());
    let (reason, second) = data(&mut client);
    assert_eq!(reason, 0x18);
    let third = scram.prove(&second, b"secret").unwrap();
    client.send(&auth(Reason::CONTINUE_AUTHENTICATION, METHOD, &third));
    let (reason, last) = data(&mut client);
    assert_eq!(reason, 0);
    assert_eq!(scram.verify(&last), Ok(()));
    client
}

#[test]
fn a_wrong_step_has_its_reason_code() {
    let (broker, _folder) = broker();
    let answer = |hello: &Hello, next: Option<Vec<u8>>| {
        let mut client = RawClient::open(broker.port, V5);
        client.send(&hello.bytes());
        if let Some(next) = next {
            assert_eq!(data(&mut client).0, 0x18);
            client.send(&next);
        }
        let (reason, _) = data(&mut client);
        assert!(client.next_frame().is_none(), "it goes on");
        reason
    };
    let first = b"n,,n=bob,r=abc";
    assert_eq!(answer(&hello("SCRAM-SHA-1", first), None), 0x8c);
    assert_eq!(answer(&hello(METHOD, b"hello"), None), 0x82);
    assert_eq!(answer(&hello(METHOD, b"q,,n=bob,r=abc"), None), 0x82);
    let goes_on = Reason::CONTINUE_AUTHENTICATION;
    let good = hello(METHOD, first);
    let next = |reason, method, data: &[u8]| Some(auth(reason, method, data));
    assert_eq!(answer(&good, next(goes_on, METHOD, b"c=biws,r=abc")), 0x82);
    assert_eq!(
        answer(&good, next(goes_on, METHOD, b"c=biws,r=abc,p=AAAA")),
        0x82
    );
    assert_eq!(answer(&good, next(goes_on, "other", b"")), 0x82);
    assert_eq!(
        answer(&good, next(Reason::REAUTHENTICATE, METHOD, first)),
        0x82
    );
}

/// RFC 5802, section 6: who wants the channel bound is told that it cannot be, and who only could
/// have done so goes on.
#[test]
fn a_channel_is_not_bound_and_the_client_is_told() {
    let (broker, _folder) = broker();
    let mut client = RawClient::open(broker.port, V5);
    client.send(&hello(METHOD, b"p=tls-exporter,,n=bob,r=abc").bytes());
    let told = (0x8c, b"e=channel-binding-not-supported".to_vec());
    assert_eq!(data(&mut client), told);
    assert!(client.next_frame().is_none(), "it goes on");
    let mut client = RawClient::open(broker.port, V5);
    client.send(&hello(METHOD, b"y,,n=bob,r=abc").bytes());
    assert_eq!(data(&mut client).0, 0x18);
    // Anew, too.
    let mut client = bob(broker.port);
    let first = b"p=tls-exporter,,n=bob,r=abc";
    client.send(&auth(Reason::REAUTHENTICATE, METHOD, first));
    assert_eq!(client.expect("DISCONNECT"), "DISCONNECT 0x8c");
}

#[test]
fn names_and_passwords_are_the_same_from_every_keyboard() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users");
    let file = file.to_str().unwrap();
    // Composed and decomposed, and a Roman numeral that is one character.
    let words = ["passwd", "-c", "-H", "scram-sha-256", "-b", file];
    let program = Program::mqttx().args(words);
    let left = program.args(["Jose\u{301}", "pa\u{2168}"]).run();
    assert_eq!(left.status, 0, "{}", left.err());
    let broker = BrokerProcess::start(&["--password-file", file]);
    let port = broker.port.to_string();
    let status = |user: &str, password: &str| {
        let words = [
            "pub", "-p", &port, "-V", "5", "-t", "a", "-m", "x", "--scram",
        ];
        let program = Program::mqttx().args(words);
        program.args(["-u", user, "-P", password]).run().status
    };
    assert_eq!(status("Jos\u{e9}", "paIX"), 0);
    assert_eq!(status("Jose\u{301}", "pa\u{2168}"), 0);
    assert_eq!(status("Jos\u{e9}", "paix"), 135);
    assert_eq!(status("Jose", "paIX"), 135);
}

#[test]
fn a_client_authenticates_anew_but_becomes_nobody_else() {
    let (broker, _folder) = broker();
    let mut client = bob(broker.port);
    let (first, mut scram) = Client::start("bob", "def");
    client.send(&auth(Reason::REAUTHENTICATE, METHOD, &first));
    let (reason, second) = data(&mut client);
    assert_eq!(reason, 0x18);
    let third = scram.prove(&second, b"secret").unwrap();
    client.send(&auth(Reason::CONTINUE_AUTHENTICATION, METHOD, &third));
    let (reason, last) = data(&mut client);
    assert_eq!(reason, 0);
    assert_eq!(scram.verify(&last), Ok(()));
    client.ping();
    // amy is known, too.
    let (first, _) = Client::start("amy", "ghi");
    client.send(&auth(Reason::REAUTHENTICATE, METHOD, &first));
    assert_eq!(client.expect("DISCONNECT"), "DISCONNECT 0x87");
    let mut client = bob(broker.port);
    let (first, mut scram) = Client::start("bob", "jkl");
    client.send(&auth(Reason::REAUTHENTICATE, METHOD, &first));
    let third = scram.prove(&data(&mut client).1, b"wrong").unwrap();
    client.send(&auth(Reason::CONTINUE_AUTHENTICATION, METHOD, &third));
    assert_eq!(client.expect("DISCONNECT"), "DISCONNECT 0x87");
}

#[test]
fn a_broker_that_knows_no_password_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let broker = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 1_024];
        let _ = stream.read(&mut buffer).unwrap();
        // Success, and no proof.
        stream.write_all(&[0x20, 3, 0, 0, 0]).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        rest
    });
    let left = publish(port, "--scram -u bob -P secret");
    assert_ne!(left.status, 0);
    let err = left.err();
    let told = "a part of the message is missing";
    assert!(err.contains(told), "{err}");
    let rest = broker.join().unwrap();
    assert!(
        rest.first().is_none_or(|first| first >> 4 == 14),
        "a PUBLISH went out"
    );
}
