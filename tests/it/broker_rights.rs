//! Rights on a real broker: those of retained messages' publishers over a restart, of tokens, of
//! listeners of their own, and those that a reload takes away.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use mqttx::mqtt::Version;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

use crate::support::broker_process::BrokerProcess;
use crate::support::packets::{Hello, publish, retained, subscribe};
use crate::support::programs::{Left, Program, skipped};
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

pub(crate) type Sign<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

pub(crate) fn token(algorithm: &str, body: &Value, sign: Sign<'_>) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", part(&json!({ "alg": algorithm })), part(body));
    let signed = sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signed))
}

pub(crate) fn publish_as(port: u16, user: &str, password: &str, topic: &str) -> Left {
    let port = port.to_string();
    let words = [
        "pub",
        "-V",
        "5",
        "-q",
        "1",
        "-m",
        "x",
        "-p",
        &port,
        "-h",
        "127.0.0.1",
    ];
    let program = Program::mqttx().args(words);
    program
        .args(["-u", user, "-P", password, "-t", topic])
        .run()
}

/// A broker that takes tokens of this key: what it lets in, and what not.
#[track_caller]
fn check_tokens(key: &Path, algorithm: &str, sign: Sign<'_>) {
    let broker = BrokerProcess::start(&["--jwt-key", key.to_str().unwrap()]);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let body = json!({ "sub": "bob", "exp": now + 600, "publ": ["a/#"], "subs": ["b"] });
    let good = token(algorithm, &body, sign);
    let status =
        |password: &str, topic: &str| publish_as(broker.port, "anybody", password, topic).status;
    assert_eq!(status(&good, "a/x"), 0, "{algorithm}");
    assert_eq!(status(&good, "b"), 135, "{algorithm}");
    let mut old = body.clone();
    old["exp"] = json!(now - 600);
    assert_eq!(status(&token(algorithm, &old, sign), "a/x"), 134);
    assert_eq!(
        status(&token(algorithm, &body, &|_| vec![7; 64]), "a/x"),
        134
    );
    assert_eq!(status("secret", "a/x"), 134);
    // It is the token that says who it is.
    broker.wait_log("user \"bob\"");
}

#[test]
fn tokens_of_each_algorithm_say_who_may_do_what() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, [b'k'; 32]).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &[b'k'; 32]);
    check_tokens(&file, "HS256", &|text| {
        hmac::sign(&key, text).as_ref().to_vec()
    });
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
    // SubjectPublicKeyInfo of a point on P-256.
    let head = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
    let mut der: Vec<u8> = (0..head.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&head[at..at + 2], 16).unwrap())
        .collect();
    der.extend_from_slice(pair.public_key().as_ref());
    let pem = STANDARD.encode(der);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----\n");
    let file = folder.path().join("es256.pem");
    std::fs::write(&file, pem).unwrap();
    check_tokens(&file, "ES256", &|text| {
        pair.sign(&random, text).unwrap().as_ref().to_vec()
    });
}

#[test]
fn tokens_of_openssls_rsa_keys_count() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let openssl = |words: &str| {
        let mut command = std::process::Command::new("openssl");
        command.args(words.split(' ')).current_dir(folder.path());
        command.output().is_ok_and(|output| output.status.success())
    };
    if !openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -outform DER -out key") {
        return skipped(1, "there is no openssl");
    }
    assert!(openssl("pkey -inform DER -in key -pubout -out public.pem"));
    let pair = RsaKeyPair::from_pkcs8(&std::fs::read(at("key")).unwrap());
    let pair = pair
        .or_else(|_| RsaKeyPair::from_der(&std::fs::read(at("key")).unwrap()))
        .unwrap();
    let random = SystemRandom::new();
    check_tokens(&at("public.pem"), "RS256", &|text| {
        let mut signed = vec![0; pair.public().modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &random, text, &mut signed)
            .unwrap();
        signed
    });
}

#[test]
fn births_of_sparkplug_are_kept_for_who_comes_later() {
    let broker = BrokerProcess::configured(
        "listener any 127.0.0.1\nallow_anonymous true\nplugin /x/mosquitto_sparkplug_aware.so",
        &[],
    );
    let mut node = RawClient::connect(broker.port, &Hello::new("node"));
    for topic in [
        "spBv1.0/g/NBIRTH/n",
        "spBv1.0/g/DBIRTH/n/d",
        "spBv1.0/g/NDATA/n",
    ] {
        node.send(&publish(V5, topic, "born", 1, 1, &[]));
        node.expect("PUBACK");
    }
    let mut host = RawClient::connect(broker.port, &Hello::new("host"));
    host.send(&subscribe(V5, 1, "$sparkplug/certificates/#", 0, &[]));
    host.send(&[0xc0, 0]);
    let lines = std::iter::from_fn(|| host.next().filter(|line| line != "PINGRESP"));
    let mut got: Vec<String> = lines.filter(|line| line.starts_with("PUBLISH")).collect();
    got.sort();
    assert_eq!(
        got,
        [
            "PUBLISH $sparkplug/certificates/spBv1.0/g/DBIRTH/n/d born q0 retain",
            "PUBLISH $sparkplug/certificates/spBv1.0/g/NBIRTH/n born q0 retain",
        ]
    );
}

#[test]
fn each_listener_has_its_own_users_rules_and_beginnings() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (file, user) in [("one", "bob"), ("two", "amy")] {
        let words = ["passwd", "-c", "-b", &at(file), user, "secret"];
        assert_eq!(Program::mqttx().args(words).run().status, 0);
        std::fs::write(
            at(&format!("{file}.acl")),
            format!("user {user}\ntopic {file}/#\n"),
        )
        .unwrap();
    }
    let lines = ["one", "two"].map(|name| {
        let (file, acl) = (at(name), at(&format!("{name}.acl")));
        format!("listener any 127.0.0.1\npassword_file {file}\nacl_file {acl}\n")
    });
    let lines = format!("per_listener_settings true\n{}", lines.concat());
    let broker = BrokerProcess::configured(&lines, &[]);
    let status = |place: usize, user: &str, topic: &str| {
        publish_as(broker.ports[place], user, "secret", topic).status
    };
    assert_eq!(status(0, "bob", "one/x"), 0);
    assert_eq!(status(0, "bob", "two/x"), 135);
    assert_eq!(
        status(0, "amy", "two/x"),
        135,
        "as mosquitto: not authorized"
    );
    assert_eq!(status(1, "amy", "two/x"), 0);
    assert_eq!(status(1, "bob", "one/x"), 135);
    let old = ["-V", "311"];
    let port = broker.port.to_string();
    let words = [
        "pub", "-p", &port, "-u", "bob", "-P", "x", "-t", "a", "-m", "x",
    ];
    assert_eq!(Program::mqttx().args(words).args(old).run().status, 5);
    let lines = "listener any 127.0.0.1\nallow_anonymous true\nclientid_prefixes room-";
    let broker = BrokerProcess::configured(lines, &[]);
    RawClient::connect(broker.port, &Hello::new("room-1"));
    let mut other = RawClient::open(broker.port, V5);
    other.send(&Hello::new("hall-1").bytes());
    assert_eq!(other.next().unwrap(), "CONNACK Not authorized");
}

#[test]
fn a_reload_takes_rights_away_from_those_who_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let acl = folder.path().join("acl");
    std::fs::write(&acl, "topic readwrite a/#\ntopic readwrite b\n").unwrap();
    let lines = format!(
        "listener any 127.0.0.1\nallow_anonymous true\nacl_file {}",
        acl.display()
    );
    let broker = BrokerProcess::configured(&lines, &[]);
    let mut reader = RawClient::subscriber(broker.port, &Hello::new("r"), "#", 0);
    let mut writer = RawClient::connect(broker.port, &Hello::new("w"));
    let mut put = |topic: &str| {
        writer.send(&publish(V5, topic, "x", 1, 1, &[]));
        writer.expect("PUBACK")
    };
    assert_eq!(put("a/1"), "PUBACK #1");
    reader.expect("PUBLISH a/1");
    std::fs::write(&acl, "topic read a/#\ntopic write a/2\ntopic write b\n").unwrap();
    broker.hang_up();
    let begun = std::time::Instant::now();
    // Before the reload it is taken, and nobody minds.
    while put("a/1") != "PUBACK #1 0x87" {
        assert!(begun.elapsed().as_secs() < 30, "the new rules never hold");
    }
    assert_ne!(put("b"), "PUBACK #1 0x87", "it may still be written");
    assert_eq!(put("a/2"), "PUBACK #1");
    let next = std::iter::from_fn(|| reader.next()).find(|line| !line.contains("a/1"));
    assert_eq!(next.unwrap(), "PUBLISH a/2 x q0", "and b not read any more");
}

#[test]
fn a_reload_whose_listeners_fail_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let acl = folder.path().join("acl");
    std::fs::write(&acl, "topic write a\n").unwrap();
    let lines = format!(
        "listener any 127.0.0.1\nallow_anonymous true\nacl_file {}\n",
        acl.display()
    );
    let broker = BrokerProcess::configured(&lines, &[]);
    let mut writer = RawClient::connect(broker.port, &Hello::new("w"));
    std::fs::write(&acl, "topic write b\n").unwrap();
    let lines = format!("user root\n{lines}max_packet_size 30\nlistener 0 /nowhere/at/all\n");
    std::fs::write(broker.conf_file(), lines).unwrap();
    broker.hang_up();
    broker.wait_log("nothing is reloaded, the listeners stay as they were");
    let large = "x".repeat(100);
    writer.send(&publish(V5, "a", &large, 1, 1, &[]));
    assert_eq!(writer.next().unwrap(), "PUBACK #1 0x10");
}
