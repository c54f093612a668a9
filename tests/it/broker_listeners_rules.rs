//! Listeners of the real broker, each with rules of its own: proxies, certificates as users,
//! revocation, reload, and what is answered to those who get it wrong.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use mqttx::mqtt::Version;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    DistinguishedName, DnType, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber, date_time_ymd,
};
use rustix::process::Signal;

use crate::support::broker_process::{BrokerProcess, PATIENCE};
use crate::support::packets::Hello;
use crate::support::programs::{Left, Program};
use crate::support::raw_client::RawClient;

/// A root, and certificates that it signed: `server`, and clients `good`, `bad`, `old` (its time is
/// over) and `stranger` (of another root).
struct Certificates {
    folder: tempfile::TempDir,
    ca: CertifiedIssuer<'static, KeyPair>,
}

const GOOD: u64 = 7;
const BAD: u64 = 8;

impl Certificates {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (ca, other) = (root("tests' root"), root("another root"));
        fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
        for (name, serial) in [
            ("server", 1),
            ("good", GOOD),
            ("bad", BAD),
            ("old", 9),
            ("stranger", 10),
        ] {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            params.serial_number = Some(SerialNumber::from(serial));
            params.distinguished_name = DistinguishedName::new();
            params
                .distinguished_name
                .push(DnType::OrganizationName, "Works");
            params
                .distinguished_name
                .push(DnType::CommonName, format!("{name} device"));
            if name == "old" {
                params.not_before = date_time_ymd(2001, 1, 1);
                params.not_after = date_time_ymd(2002, 1, 1);
            }
            let issuer = if name == "stranger" { &other } else { &ca };
            let certificate = params.signed_by(&key, issuer).unwrap();
            fs::write(folder.path().join(format!("{name}.pem")), certificate.pem()).unwrap();
            fs::write(
                folder.path().join(format!("{name}.key")),
                key.serialize_pem(),
            )
            .unwrap();
        }
        let made = Self { folder, ca };
        made.revoke(&[]);
        made
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Writes a list of what is revoked.
    fn revoke(&self, serials: &[u64]) {
        let revoked = serials.iter().map(|&serial| RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.ca).unwrap();
        fs::write(self.path("crl.pem"), list.pem().unwrap()).unwrap();
    }

    /// The lines of a TLS listener that wants certificates.
    fn lines(&self) -> String {
        format!(
            "certfile {}\nkeyfile {}\ncafile {}\nrequire_certificate true\n",
            self.path("server.pem"),
            self.path("server.key"),
            self.path("ca.pem")
        )
    }

    fn words(&self, name: &str, port: u16) -> String {
        format!(
            "-h localhost -p {port} --cafile {} --cert {} --key {}",
            self.path("ca.pem"),
            self.path(&format!("{name}.pem")),
            self.path(&format!("{name}.key"))
        )
    }

    fn publish(&self, name: &str, port: u16) -> Left {
        let words = format!("pub {} -q 1 -t t -m x", self.words(name, port));
        Program::mqttx().words(&words).run()
    }
}

fn root(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn configured(lines: &str) -> BrokerProcess {
    BrokerProcess::configured(lines, &["-v"])
}

fn listening(urls: &[&str], words: &[&str]) -> BrokerProcess {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
    command.arg("broker");
    for url in urls {
        command.args(["--listen", url]);
    }
    command.args(words);
    BrokerProcess::start_as(command)
}

/// A connection that begins with these bytes.
fn open(port: u16, first: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(first).unwrap();
    stream
}

/// All that comes until the end.
fn answer(mut stream: TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    // A reset after the last byte is an end, too.
    let _ = stream.read_to_end(&mut all);
    all
}

fn connack(stream: &mut TcpStream) -> [u8; 2] {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[0], 0x20, "a CONNACK");
    let mut body = vec![0; usize::from(head[1])];
    stream.read_exact(&mut body).unwrap();
    [body[0], body[1]]
}

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.1 5555 1883\r\n";

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut out = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    out.extend([command, family]);
    out.extend((body.len() as u16).to_be_bytes());
    out.extend(body);
    out
}

const FROM: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x15, 0xb3, 7, 91];

/// A header of a client that came by TLS, with this certificate, if it had one.
fn v2_by_tls(name: Option<&str>, verify: u32) -> Vec<u8> {
    let mut inside = vec![if name.is_some() { 3 } else { 1 }];
    inside.extend(verify.to_be_bytes());
    for (kind, value) in [
        (0x21, Some("TLSv1.3")),
        (0x22, name),
        (0x23, Some("TLS_AES_256_GCM_SHA384")),
    ] {
        let Some(value) = value else { continue };
        inside.push(kind);
        inside.extend((value.len() as u16).to_be_bytes());
        inside.extend(value.as_bytes());
    }
    let mut body = FROM.to_vec();
    body.push(0x20);
    body.extend((inside.len() as u16).to_be_bytes());
    body.extend(inside);
    v2(0x21, 0x11, &body)
}

#[test]
fn behind_a_proxy_the_client_has_its_own_address() {
    let broker = listening(
        &["mqtt://127.0.0.1:0?proxy=1", "mqtt://127.0.0.1:0?proxy=2"],
        &[],
    );
    let headers = [V1.to_vec(), v2(0x21, 0x11, &FROM)];
    for (number, header) in headers.iter().enumerate() {
        let id = format!("client{number}");
        let hello = Hello::new(&id).version(Version::V311).bytes();
        // All at once, and byte by byte.
        let mut whole = open(broker.ports[number], &[&header[..], &hello[..]].concat());
        assert_eq!(connack(&mut whole), [0, 0]);
        let line = broker.wait_log(&id);
        assert!(line.contains("192.0.2.7:55"), "{line}");
        let mut slow = open(broker.ports[number], &[]);
        slow.set_nodelay(true).unwrap();
        for byte in header.iter().chain(&hello) {
            slow.write_all(&[*byte]).unwrap();
        }
        assert_eq!(connack(&mut slow), [0, 0]);
    }
}

#[test]
fn corrupt_headers_of_proxies_are_told_and_health_checks_are_not() {
    let broker = listening(
        &["mqtt://127.0.0.1:0?proxy=1", "mqtt://127.0.0.1:0?proxy=2"],
        &["--limit", "connect_timeout_ms=500"],
    );
    let hello = Hello::new("a").bytes();
    let mut bad: Vec<(usize, Vec<u8>)> = vec![(0, hello.clone()), (1, hello)];
    let lines = [
        "PROXY TCP4 1.2.3 1.2.3.4 1 2",
        "PROXY TCP9 ::1 ::1 1 2",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 x",
    ];
    bad.extend(lines.map(|line| (0, format!("{line}\r\n").into_bytes())));
    bad.push((0, v2(0x21, 0x11, &FROM)));
    bad.push((0, [b"PROXY ", &[b'x'; 200][..]].concat()));
    bad.push((1, V1.to_vec()));
    bad.extend(
        [
            v2(0x21, 0x12, &FROM),
            v2(0x11, 0x11, &FROM),
            v2(0x21, 0x11, &[0; 600]),
        ]
        .map(|b| (1, b)),
    );
    bad.push((1, v2(0x21, 0x11, &FROM[..4])));
    for (place, bytes) in &bad {
        assert!(answer(open(broker.ports[*place], bytes)).is_empty());
    }
    let told = |text: &str| {
        broker
            .log()
            .iter()
            .filter(|line| line.contains(text))
            .count()
    };
    broker.wait_log("corrupt PROXY header");
    let before = broker.log().len();
    for (place, header) in [
        (0, b"PROXY UNKNOWN\r\n".to_vec()),
        (1, v2(0x20, 0, &[])),
        (1, v2(0x21, 0, &[])),
    ] {
        assert!(answer(open(broker.ports[place], &header)).is_empty());
    }
    // One that never ends is ended by the time there is for CONNECT.
    assert!(answer(open(broker.ports[1], b"\r\n\r\n\0\r\nQ")).is_empty());
    broker.wait_log("no CONNECT came in time");
    assert_eq!(told("corrupt PROXY header"), bad.len());
    assert_eq!(
        broker.log().len(),
        before + 1,
        "health checks are not logged: {:#?}",
        broker.log()
    );
}

#[test]
fn a_proxys_word_about_tls_counts() {
    let broker = configured(
        "listener any 127.0.0.1\nenable_proxy_protocol 2\nproxy_protocol_v2_require_tls true\n\
         allow_anonymous true\n\
         listener any 127.0.0.1\nenable_proxy_protocol 2\nrequire_certificate true\n\
         use_identity_as_username true",
    );
    let hello = Hello::new("a").version(Version::V311).bytes();
    let first = |place: usize, header: Vec<u8>| {
        open(broker.ports[place], &[header, hello.clone()].concat())
    };
    assert!(answer(first(0, v2(0x21, 0x11, &FROM))).is_empty());
    broker.wait_log("client did not connect using TLS");
    assert_eq!(connack(&mut first(0, v2_by_tls(None, 0))), [0, 0]);
    assert!(answer(first(1, v2_by_tls(None, 0))).is_empty());
    broker.wait_log("client did not provide a certificate");
    assert!(answer(first(1, v2_by_tls(Some("device"), 1))).is_empty());
    assert_eq!(
        connack(&mut first(1, v2_by_tls(Some("device 7"), 0))),
        [0, 0]
    );
    broker.wait_log("device 7");
}

#[test]
fn websockets_stand_behind_proxies_too() {
    let broker = listening(
        &[
            "ws://127.0.0.1:0?proxy=1",
            "ws://127.0.0.1:0?forwarded-for=yes",
            "ws://127.0.0.1:0",
        ],
        &[],
    );
    let hello = Hello::new("forwarded").bytes();
    let mut frame = vec![0x82, 0x80 | hello.len() as u8, 0, 0, 0, 0];
    frame.extend(&hello);
    let request = "GET /mqtt HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Protocol: mqtt\r\nX-Forwarded-For: 198.51.100.9\r\n\r\n";
    let firsts = [
        [V1, request.as_bytes(), &frame].concat(),
        [request.as_bytes(), &frame].concat(),
        [request.as_bytes(), &frame].concat(),
    ];
    for (place, address) in ["192.0.2.7:5555", "198.51.100.9:", "127.0.0.1:"]
        .iter()
        .enumerate()
    {
        let mut stream = open(broker.ports[place], &firsts[place]);
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 101");
        broker.wait_log(&format!("\"forwarded\" {address}"));
    }
}

#[test]
fn certificates_are_users() {
    let certificates = Certificates::new();
    let lines = certificates.lines();
    let broker = configured(&format!(
        "listener any 127.0.0.1\n{lines}use_identity_as_username true\n\
         listener any 127.0.0.1\n{lines}use_subject_as_username true\n\
         listener any 127.0.0.1\n{lines}crlfile {}\ndisable_client_cert_date_checks true\n\
         allow_anonymous true",
        certificates.path("crl.pem")
    ));
    for (place, user) in ["good device", "CN=good device,O=Works"].iter().enumerate() {
        let left = certificates.publish("good", broker.ports[place]);
        assert_eq!(left.status, 0, "{}", left.err());
        broker.wait_log(user);
        for refused in ["old", "stranger"] {
            assert_ne!(
                certificates.publish(refused, broker.ports[place]).status,
                0,
                "{refused}"
            );
        }
    }
    assert_eq!(
        certificates.publish("old", broker.ports[2]).status,
        0,
        "its date is not looked at"
    );
    assert_ne!(certificates.publish("stranger", broker.ports[2]).status, 0);
}

#[test]
fn a_revoked_certificate_is_refused_and_its_client_sent_away_on_reload() {
    let certificates = Certificates::new();
    let lines = format!(
        "listener any 127.0.0.1\n{}allow_anonymous true\n",
        certificates.lines()
    );
    let broker = configured(&format!("{lines}crlfile {}", certificates.path("crl.pem")));
    let port = broker.port;
    let start = |name: &str| {
        let words = format!(
            "sub {} -i {name} -t t -V 5 --no-reconnect -C 1",
            certificates.words(name, port)
        );
        Program::mqttx().words(&words).start()
    };
    let (good, mut bad) = (start("good"), start("bad"));
    for name in ["good", "bad"] {
        broker.wait_log(&format!("Sending SUBACK to {name}"));
    }
    certificates.revoke(&[BAD]);
    broker.signal(Signal::HUP);
    assert_ne!(bad.finish_or("sub").status, 0);
    assert_ne!(certificates.publish("bad", port).status, 0);
    assert_eq!(certificates.publish("good", port).status, 0);
    assert_eq!(good.end().out(), "x\n", "nobody else noticed");
}

#[test]
fn listeners_come_and_go_on_reload_and_the_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let socket = |name: &str| folder.path().join(name).display().to_string();
    let unix = |name: &str| format!("listener 0 {}\n", socket(name));
    let anonymous = "allow_anonymous true\n";
    let broker = configured(&format!(
        "listener any 127.0.0.1\n{}{}max_qos 1\n{anonymous}",
        unix("gone"),
        unix("stays")
    ));
    let start = |name: &str| {
        let words = format!(
            "sub --unix {} -i {name} -t t -V 5 --no-reconnect -C 3",
            socket(name)
        );
        Program::mqttx().words(&words).start()
    };
    let (mut gone, mut stays) = (start("gone"), start("stays"));
    for name in ["gone", "stays"] {
        broker.wait_log(&format!("Sending SUBACK to {name}"));
    }
    let write = |lines: &str| {
        fs::write(broker.conf_file(), format!("user root\n{lines}\n")).unwrap();
        broker.signal(Signal::HUP);
    };
    write(&format!(
        "{}max_qos 0\n{anonymous}{}",
        unix("stays"),
        unix("new")
    ));
    assert_ne!(gone.finish_or("sub").status, 0);
    let publish = |name: &str, qos: u8| {
        let words = format!("pub --unix {} -V 5 -q {qos} -t t -m {name}", socket(name));
        Program::mqttx().words(&words).run()
    };
    assert!(!Path::new(&socket("gone")).exists());
    assert_eq!(publish("new", 1).status, 0);
    assert_ne!(publish("stays", 1).status, 0, "the rules that hold now");
    assert_eq!(publish("stays", 0).status, 0);
    stays.wait_for_out("new\nstays\n");
    // One that cannot be opened changes nothing.
    write(&format!(
        "{}{anonymous}listener 0 /nowhere/at/all",
        unix("new")
    ));
    broker.wait_log("the listeners stay as they were");
    assert_eq!(publish("stays", 0).status, 0);
    assert_eq!(stays.end().out(), "new\nstays\nstays\n");
}

#[test]
fn without_a_file_sighup_reads_the_certificates_again() {
    let certificates = Certificates::new();
    let (cert, key) = (
        certificates.path("server.pem"),
        certificates.path("server.key"),
    );
    let ca = certificates.path("ca.pem");
    let crl = certificates.path("crl.pem");
    let words = [
        "--cert",
        &cert,
        "--key",
        &key,
        "--cafile",
        &ca,
        "--crlfile",
        &crl,
    ];
    let broker = listening(&["mqtts://127.0.0.1:0?user=cn"], &words);
    assert_eq!(certificates.publish("bad", broker.port).status, 0);
    broker.wait_log("user \"bad device\"");
    certificates.revoke(&[GOOD, BAD]);
    broker.signal(Signal::HUP);
    broker.wait_log("Reloading config.");
    let refused = || certificates.publish("bad", broker.port).status != 0;
    let begun = std::time::Instant::now();
    while !refused() {
        assert!(begun.elapsed() < PATIENCE, "it is still let in");
    }
    fs::write(&crl, "no list").unwrap();
    broker.signal(Signal::HUP);
    broker.wait_log("no certificate revocation list in this file");
    assert!(refused(), "a fault leaves all as it was");
}

#[test]
fn rules_of_the_file_hold_on_the_wire() {
    let broker = configured(
        "listener any 127.0.0.1\naccept_protocol_versions 5\nallow_anonymous true\n\
         listener any 127.0.0.1\nmount_point hall/\nmax_topic_alias 3\n\
         listener any 127.0.0.1\nmax_connections 1\n\
         listener any 127.0.0.1\nuse_username_as_clientid true\nlistener_allow_anonymous false\n\
         listener any 127.0.0.1\nlistener_auto_id_prefix gate-",
    );
    let mut old = RawClient::open(broker.ports[0], Version::V311);
    old.send(&Hello::new("a").version(Version::V311).bytes());
    old.expect("CONNACK code 1");
    let mut outside = RawClient::subscriber(broker.ports[0], &Hello::new("outside"), "#", 0);
    let mut inside = RawClient::subscriber(broker.ports[1], &Hello::new("inside"), "#", 0);
    inside.send(&crate::support::packets::publish(
        Version::V5,
        "t",
        "x",
        0,
        0,
        &[],
    ));
    inside.expect("PUBLISH t x");
    outside.expect("PUBLISH hall/t x");
    let _first = RawClient::connect(broker.ports[2], &Hello::new("first"));
    let mut second = RawClient::open(broker.ports[2], Version::V5);
    assert_eq!(second.next(), None, "one is the most");
    let mut nameless = RawClient::open(broker.ports[3], Version::V5);
    nameless.send(&Hello::new("a").bytes());
    nameless.expect("CONNACK Not authorized");
    let mut named = RawClient::open(broker.ports[4], Version::V5);
    named.send(&Hello::new("").bytes());
    assert!(named.expect("CONNACK Success").contains("gate-"));
}

#[test]
fn words_about_listeners_that_make_no_sense_are_told() {
    let check = |url: &str, what: &str| {
        let left = Program::mqttx().args(["broker", "--listen", url]).run();
        assert_ne!(left.status, 0, "{url}");
        assert!(left.err().contains(what), "{url}: {}", left.err());
        assert_eq!(left.err().lines().count(), 1, "{}", left.err());
    };
    check("mqtt://127.0.0.1:0?qos=3", "qos is to be 0, 1 or 2");
    check("mqtt://127.0.0.1:0?qos", "qos is to be");
    check("mqtt://127.0.0.1:0?proxy=3", "proxy is to be 1 or 2");
    check("mqtt://127.0.0.1:0?mount=a/+", "mount is to be");
    check("mqtt://127.0.0.1:0?mount=", "mount is to be");
    check("mqtt://127.0.0.1:0?versions=6", "versions is to be");
    check("mqtt://127.0.0.1:0?versions=", "versions is to be");
    check("mqtt://127.0.0.1:0?connections=0", "connections is to be");
    check(
        "mqtt://127.0.0.1:0?connections=many",
        "connections is to be",
    );
    check(
        "mqtt://127.0.0.1:0?anonymous=maybe",
        "anonymous is to be yes or no",
    );
    check("mqtt://127.0.0.1:0?id=x", "id is to be user or client");
    check(
        "mqtt://127.0.0.1:0?user=cn",
        "mqtts, wss or proxy=2 is wanted",
    );
    check("mqtt://127.0.0.1:0?user=x", "user is to be cn or subject");
    check("unix:/tmp/s?interface=lo", "interface is to be");
    check("ws://127.0.0.1:0?forwarded-for=1", "forwarded-for is to be");
    check(
        "mqtt://127.0.0.1:0?colour=red",
        "nothing is called \"colour\"",
    );
    check("mqtts://127.0.0.1:0", "--cert FILE and --key FILE");
    check("mqtt://127.0.0.1:0?interface=nosuch0", "nosuch0");
}

#[test]
fn files_of_tls_that_are_no_good_are_told() {
    let certificates = Certificates::new();
    let path = |name: &str| certificates.path(name);
    let folder = |name: &str| {
        fs::create_dir(path(name)).unwrap();
        path(name)
    };
    fs::write(path("empty"), "").unwrap();
    fs::write(
        path("spoiled"),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    let bare = format!(
        "certfile {}\nkeyfile {}\n",
        path("server.pem"),
        path("server.key")
    );
    let asking = certificates.lines();
    let check = |lines: String, what: &str| {
        let file = path("mosquitto.conf");
        fs::write(
            &file,
            format!("user root\nlistener 0 {}\n{lines}\n", path("s")),
        )
        .unwrap();
        let left = Program::mqttx().args(["broker", "-c", &file]).run();
        assert_eq!(left.status, 3, "{lines}{}", left.err());
        assert!(left.err().contains(what), "{what}: {lines}{}", left.err());
    };
    let nothing = "No such file";
    check(
        format!("certfile {}\nkeyfile {}", path("none"), path("server.key")),
        nothing,
    );
    check(
        format!("certfile {}\nkeyfile {}", path("server.pem"), path("none")),
        nothing,
    );
    check(
        format!("certfile {}\nkeyfile {}", path("empty"), path("server.key")),
        "no certificate in",
    );
    check(
        format!("certfile {}\nkeyfile {}", path("server.pem"), path("empty")),
        "no private key in",
    );
    check(
        format!(
            "certfile {}\nkeyfile {}",
            path("server.key"),
            path("server.key")
        ),
        "no certificate in",
    );
    check(
        format!(
            "certfile {}\nkeyfile {}",
            path("server.pem"),
            path("good.key")
        ),
        "Error",
    );
    check(
        format!(
            "certfile {}\nkeyfile {}",
            path("spoiled"),
            path("server.key")
        ),
        "Error",
    );
    check(
        format!("{bare}cafile {}\nrequire_certificate true", path("none")),
        nothing,
    );
    check(
        format!("{bare}cafile {}\nrequire_certificate true", path("empty")),
        "no certificate in",
    );
    check(
        format!("{bare}capath {}\nrequire_certificate true", folder("void")),
        "no certificate in",
    );
    check(
        format!("{bare}require_certificate true"),
        "cafile or capath",
    );
    check("require_certificate true".to_owned(), "without certfile");
    check(format!("{asking}crlfile {}", path("none")), nothing);
    check(
        format!("{asking}crlfile {}", path("empty")),
        "no certificate revocation list",
    );
    check(
        format!("{asking}crlfile {}", path("ca.pem")),
        "no certificate revocation list",
    );
    check(
        format!("{bare}ciphers RC4-MD5"),
        "no cipher suite of that name: RC4-MD5",
    );
    check(
        format!("{bare}ciphers ECDHE-RSA-AES128-GCM-SHA256:NOPE"),
        "NOPE",
    );
    check(format!("{bare}ciphers_tls1.3 TLS_NOPE"), "TLS_NOPE");
    check(
        format!("{bare}ciphers_tls1.3 ECDHE-RSA-AES128-GCM-SHA256"),
        "no cipher suite",
    );
    check(format!("{bare}tls_version tlsv1.0"), "tls_version");
    check(format!("{bare}tls_keyform engine"), "tls_keyform");
    if cfg!(not(feature = "psk")) {
        check("psk_hint hint".to_owned(), "--features psk");
    }
}

#[test]
fn what_lies_where_a_socket_should_be_stays_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("precious");
    fs::write(&path, "data").unwrap();
    let url = format!("unix:{}", path.display());
    let left = Program::mqttx().args(["broker", "--listen", &url]).run();
    assert_ne!(left.status, 0);
    assert_eq!(fs::read_to_string(&path).unwrap(), "data");
    // A socket that nobody listens on is left over.
    let stale = folder.path().join("stale");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    let url = format!("unix:{}", stale.display());
    let broker = listening(&["mqtt://127.0.0.1:0", &url], &[]);
    let words = format!("pub --unix {} -t t -m x -q 1", stale.display());
    assert_eq!(Program::mqttx().words(&words).run().status, 0);
    drop(broker);
}
