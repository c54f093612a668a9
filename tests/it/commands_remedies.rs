//! What went wrong between a client and a broker, and the `try:` line that surely helps: real brokers
//! where they can be had, scripted ones for what they would not say.

use std::net::TcpListener;

use mqttx::mqtt::property::{PropertiesBuf, PropertyId, Value};
use mqttx::mqtt::{PacketType, Reason, Version};

use crate::support::certificates::Certificates;
use crate::support::peers::{Peer, mosquitto};
use crate::support::programs::Program;
use crate::support::scripted_broker::ScriptedBroker;

/// The status, and the two lines; `{port}` in them is the port.
#[track_caller]
fn tells(port: u16, line: &str, status: i32, error: &str, remedy: &str) {
    let line = format!("pub -p {port} -t t -m x -q 1 {line}");
    let left = Program::mqttx().words(&line).run();
    let remedy = match remedy {
        "" => String::new(),
        _ => format!("  try: {remedy}\n"),
    };
    let error = error.replace("{port}", &port.to_string());
    assert_eq!(
        left.err(),
        format!("mqttx pub: {error}\n{remedy}"),
        "{line}"
    );
    assert_eq!((left.status, &*left.out()), (status, ""), "{line}");
}

const ELSEWHERE: &str = "-h and -p, with where the broker is; mqttx broker starts one here";
const SIGN_IN: &str = "-u NAME -P, which asks for the password";

#[test]
fn nobody_listens_there() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let told = "cannot connect to 127.0.0.1:{port}: Connection refused";
    tells(port, "-h 127.0.0.1", 1, told, ELSEWHERE);
}

/// A name that no resolver has to be asked about.
#[test]
fn a_name_that_cannot_be_looked_up() {
    let name = format!("{}.invalid", "x".repeat(70));
    for command in ["pub -t t -m x", "sub -t t", "ping"] {
        let left = Program::mqttx()
            .words(&format!("{command} -h {name}"))
            .run();
        let told = left.err();
        let (error, remedy) = told.split_once('\n').unwrap();
        assert!(error.contains("no address for this host"), "{told}");
        let expected = "  try: -h, with a name that this machine can look up, or an address\n";
        assert_eq!(remedy, expected, "{command}");
    }
}

/// Ports that speak plain MQTT, WebSockets, TLS with client certificates, and TLS.
fn broker(made: &Certificates) -> Option<(Peer, [u16; 4])> {
    let lines = |[plain, websocket, strict, secure]: [u16; 4]| {
        let ca = made.path("ca.pem");
        let strict = made.listener(strict, "localhost");
        format!(
            "listener {plain} 127.0.0.1\nlistener {websocket} 127.0.0.1\nprotocol websockets\n\
             {strict}cafile {}\nrequire_certificate true\n{}",
            ca.display(),
            made.listener(secure, "localhost"),
        )
    };
    mosquitto(made.folder.path(), lines)
}

fn trusting(made: &Certificates, name: &str) -> String {
    format!("--cafile {}", made.path(name).display())
}

/// A failure of TLS.
fn at(what: &str) -> String {
    format!("cannot connect to localhost:{{port}}: TLS: {what}")
}

#[test]
fn whoever_shows_another_certificate() {
    let made = Certificates::new();
    let Some((_broker, [_, _, _, secure])) = broker(&made) else {
        return;
    };
    let ca = trusting(&made, "ca.pem");
    let other = trusting(&made, "other.pem");
    let issuer = "invalid peer certificate: UnknownIssuer";
    let with_ca = "--cafile FILE, with the certificate that signed the broker's";
    tells(secure, &other, 8, &at(issuer), with_ca);
    tells(
        secure,
        &format!("{ca} -h 127.0.0.1"),
        8,
        "cannot connect to 127.0.0.1:{port}: TLS: invalid peer certificate: certificate not valid for \
         name \"127.0.0.1\"; certificate is only valid for DnsName(\"localhost\")",
        "-h, with a name the certificate is made out to; or --tls-skip-hostname",
    );
    let left = Program::mqttx()
        .words(&format!(
            "pub -p {secure} -t t -n {ca} -h 127.0.0.1 --tls-skip-hostname"
        ))
        .run();
    assert_eq!((left.status, left.err()), (0, String::new()));
    let skipped = format!("{other} --tls-skip-hostname");
    tells(secure, &skipped, 8, &at(issuer), with_ca);
}

/// What `openssl req -x509` makes.
#[test]
fn whoever_vouches_for_itself() {
    let made = Certificates::new();
    let lines = |[secure]: [u16; 1]| made.listener(secure, "self");
    let Some((_broker, [port])) = mosquitto(made.folder.path(), lines) else {
        return;
    };
    let told = "the broker's certificate vouches for itself, and is not among those trusted";
    let ca = trusting(&made, "ca.pem");
    tells(
        port,
        &ca,
        8,
        &at(told),
        "--cafile FILE, with this very certificate",
    );
    let line = format!("pub -p {port} -t t -n {}", trusting(&made, "self.pem"));
    let left = Program::mqttx().words(&line).run();
    assert_eq!((left.status, left.err()), (0, String::new()));
}

#[test]
fn whoever_asks_for_ours() {
    let made = Certificates::new();
    let Some((_broker, [_, _, strict, _])) = broker(&made) else {
        return;
    };
    let ca = trusting(&made, "ca.pem");
    let own = |name: &str| {
        let path = |kind: &str| made.path(&format!("{name}.{kind}"));
        let (cert, key) = (path("pem"), path("key"));
        format!("{ca} --cert {} --key {}", cert.display(), key.display())
    };
    // In TLS 1.2 within the handshake, in TLS 1.3 behind it.
    let wants = "--cert and --key, which the broker asks for";
    tells(
        strict,
        &ca,
        8,
        &at("received fatal alert: CertificateRequired"),
        wants,
    );
    tells(
        strict,
        &format!("{ca} --tls-version tlsv1.2"),
        8,
        &at("received fatal alert: HandshakeFailure"),
        "--cert and --key, if the broker asks for them; without --ciphers",
    );
    let alert = at("received fatal alert: UnknownCA");
    let trusted = "--cert and --key, with a certificate the broker trusts";
    tells(strict, &own("self"), 8, &alert, trusted);
}

#[test]
fn whoever_does_not_speak_it() {
    let made = Certificates::new();
    let Some((_broker, [plain, websocket, _, secure])) = broker(&made) else {
        return;
    };
    let ca = trusting(&made, "ca.pem");
    tells(
        plain,
        &ca,
        8,
        "cannot connect to localhost:{port}: the other side closed the connection within the TLS handshake",
        "--no-tls, or -p with the port on which the broker speaks TLS",
    );
    // Plain MQTT to a port of TLS and one of WebSockets.
    let unanswered = "--cafile FILE or --tls-use-os-certs, if the broker speaks TLS on this port; \
                      --ws, if WebSockets";
    // Whether its alert is still there to be read is a matter of chance.
    for port in [secure, websocket] {
        let line = format!("pub -p {port} -t t -m x --reconnect-period 0");
        let left = Program::mqttx().words(&line).run();
        assert!([2, 7].contains(&left.status), "{left:?}");
        assert!(
            left.err().ends_with(&format!("\n  try: {unanswered}\n")),
            "{left:?}"
        );
    }
    tells(
        plain,
        "--ws --reconnect-period 0",
        1,
        "cannot connect to localhost:{port}: the server closed the connection within the WebSocket handshake",
        "-p, with the port on which the broker speaks WebSockets",
    );
}

#[test]
fn an_answer_in_another_language() {
    let unanswered = "--cafile FILE or --tls-use-os-certs, if the broker speaks TLS on this port; \
                      --ws, if WebSockets";
    for answer in [
        &b"\x15\x03\x01\0\x02\x02\x46"[..],
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"",
    ] {
        let script = ScriptedBroker::start(Version::V311, move |broker| {
            let mut client = broker.accept_raw();
            client.expect(PacketType::Connect);
            client.send(answer);
            client.close_writing();
            while client.read_or_reset().is_some() {}
        });
        let (status, told) = match answer.is_empty() {
            true => (
                7,
                "the broker closed the connection without an answer to CONNECT",
            ),
            false => (2, "the answer to CONNECT is no MQTT"),
        };
        let told = format!("127.0.0.1:{{port}}: {told}");
        let line = "-h 127.0.0.1 --reconnect-period 0";
        tells(script.port, line, status, &told, unanswered);
        script.join();
    }
}

/// A TLS alert in answer to `GET`.
#[test]
fn a_port_with_tls_asked_for_a_websocket() {
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut client = broker.accept_raw();
        client.send(b"\x15\x03\x01\0\x02\x02\x46");
        client.close_writing();
        while client.read_or_reset().is_some() {}
    });
    tells(
        script.port,
        "-h 127.0.0.1 --ws --reconnect-period 0",
        1,
        "cannot connect to 127.0.0.1:{port}: the answer to the WebSocket handshake is no HTTP",
        "--cafile FILE or --tls-use-os-certs, if the broker speaks TLS on this port; else -p, with \
         the port on which it speaks WebSockets",
    );
    script.join();
}

#[test]
fn a_web_server_that_grants_no_websocket() {
    for (answer, status, remedy) in [
        ("404 Not Found", "404", "--ws-path, with the broker's path"),
        (
            "401 Unauthorized",
            "401",
            "--ws-header 'Authorization: …', with what the server asks for",
        ),
        (
            "200 OK",
            "200",
            "-p, with the port on which the broker speaks WebSockets",
        ),
    ] {
        let script = ScriptedBroker::start(Version::V311, move |broker| {
            let mut client = broker.accept_raw();
            client.send(format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n").as_bytes());
            while client.read_or_reset().is_some() {}
        });
        let told = format!(
            "cannot connect to 127.0.0.1:{{port}}: the server answered {status} to the WebSocket handshake"
        );
        tells(script.port, "-h 127.0.0.1 --ws", 1, &told, remedy);
        script.join();
    }
}

/// A refusal, with what the broker says besides.
fn refuses(
    version: Version,
    code: u8,
    said: &[(PropertyId, &str)],
) -> crate::support::scripted_broker::Script {
    let mut properties = PropertiesBuf::new();
    for (id, text) in said {
        properties.push(*id, Value::String(text));
    }
    ScriptedBroker::start(version, move |broker| {
        let mut peer = broker.accept_raw();
        peer.expect(PacketType::Connect);
        peer.connack(false, Reason(code), properties.properties());
        while peer.read_or_reset().is_some() {}
    })
}

#[test]
fn a_refusal_with_what_helps() {
    const STRING: PropertyId = PropertyId::ReasonString;
    const SERVER: PropertyId = PropertyId::ServerReference;
    let v3 = Version::V311;
    let v5 = Version::V5;
    for (version, code, said, words, remedy) in [
        (
            v3,
            1,
            &[][..],
            "unacceptable protocol version (1)",
            "-V 5, or -V 31 for a very old broker",
        ),
        (
            v3,
            2,
            &[],
            "identifier rejected (2)",
            "-i with another identifier; or -k with fewer seconds (not 0), which some brokers refuse \
             by the same code",
        ),
        (v3, 4, &[], "bad user name or password (4)", SIGN_IN),
        (v3, 5, &[], "not authorised (5)", SIGN_IN),
        (v5, 132, &[], "unsupported protocol version (132)", "-V 311"),
        (
            v5,
            135,
            &[(STRING, "ask Ann")],
            "not authorized (135): ask Ann",
            SIGN_IN,
        ),
        (
            v5,
            138,
            &[(STRING, "for ever")],
            "banned (138): for ever",
            "",
        ),
        (
            v5,
            157,
            &[(SERVER, "there.example:1")],
            "server moved (157)",
            "-h there.example:1",
        ),
    ] {
        let script = refuses(version, code, said);
        let version = if version == v5 { "5" } else { "311" };
        tells(
            script.port,
            &format!("-h 127.0.0.1 -V {version}"),
            i32::from(code),
            &format!("refused by 127.0.0.1:{{port}}: {words}"),
            remedy,
        );
        script.join();
    }
}
