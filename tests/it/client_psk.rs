//! TLS with a key both sides know, against mosquitto: what goes in comes out, whoever does not know
//! the key stays outside, and nothing of it is told.

use std::fs;

use crate::support::peers::mosquitto;
use crate::support::programs::{Left, Program};

const KEY: &str = "0badc0ffee0ddf00d";

fn run(port: u16, line: &str, input: Vec<u8>) -> Left {
    let line = format!("{line} -h 127.0.0.1 -p {port}");
    Program::mqttx().words(&line).input(input).run()
}

#[test]
fn a_key_both_know_takes_the_place_of_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    fs::write(&keys, format!("ann:{KEY}\nzero:000102\n")).unwrap();
    let lines = |[port]: [u16; 1]| {
        let keys = keys.display();
        format!("listener {port} 127.0.0.1\npsk_hint h\npsk_file {keys}\n")
    };
    let Some((_broker, [port])) = mosquitto(folder.path(), lines) else {
        return;
    };
    let ann = format!("--psk {KEY} --psk-identity ann");
    let log = folder.path().join("secrets");
    let log = log.display();
    let suite = "--ciphers PSK-AES128-GCM-SHA256 --tls-version tlsv1.2";
    for more in [
        "",
        "--tls-version tlsv1.2",
        "--tls-version tlsv1.3",
        suite,
        "--tls-alpn mqtt",
        &format!("--tls-keylog {log}"),
    ] {
        let payload: Vec<u8> = (0..90_000_u32).map(|n| (n % 251) as u8).collect();
        let sent = run(
            port,
            &format!("pub -t t -q 2 -r -s {ann} {more}"),
            payload.clone(),
        );
        assert_eq!(sent.status, 0, "{more}: {sent:?}");
        assert_eq!(sent.err(), "");
        let got = run(
            port,
            &format!("sub -t t -q 2 -C 1 -N -W 20 {ann} {more}"),
            Vec::new(),
        );
        assert_eq!((got.status, got.stdout.len()), (0, payload.len()), "{more}");
        assert!(got.stdout == payload);
    }
    let secrets = fs::read_to_string(folder.path().join("secrets")).unwrap();
    assert!(secrets.contains("CLIENT_TRAFFIC_SECRET_0 "), "{secrets}");
    // Leading zeros belong to a key.
    let zero = run(
        port,
        "pub -t t -m x --psk 000102 --psk-identity zero",
        vec![],
    );
    assert_eq!(zero.status, 0, "{zero:?}");
    for wrong in [
        "--psk abcdef --psk-identity ann".to_owned(),
        format!("--psk {KEY} --psk-identity bob"),
        format!("{ann} --ciphers PSK-AES128-GCM-SHA256 --cafile /none"),
    ] {
        let left = run(port, &format!("pub -t t -m x {wrong}"), vec![]);
        let expected = if wrong.contains("cafile") { 1 } else { 8 };
        assert_eq!(left.status, expected, "{left:?}");
        assert!(!left.err().contains(KEY), "{left:?}");
        assert!(left.err().contains("psk"), "{left:?}");
    }
    // Neither a plain client nor one with certificates gets in.
    for other in ["", "--tls-use-os-certs"] {
        let left = run(port, &format!("pub -t t -m x {other}"), vec![]);
        assert_ne!(left.status, 0, "{left:?}");
    }
}

#[test]
fn what_cannot_be_a_key_is_said_before_anything_is_sent() {
    let long = "ab".repeat(513);
    for (line, told) in [
        (
            "--psk xyz --psk-identity a",
            "--psk takes a key in hexadecimal",
        ),
        ("--psk ab", "--psk-identity required if --psk used"),
        (
            &*format!("--psk {long} --psk-identity a"),
            "the key must have 1 to 512 bytes",
        ),
        (
            &*format!("--psk ab --psk-identity {long}"),
            "the identity is too long",
        ),
        (
            "--psk ab --psk-identity a --ciphers no-such",
            "no cipher suite of that name",
        ),
    ] {
        let left = run(1, &format!("pub -t t -m x {line}"), vec![]);
        assert_eq!(left.status, 1, "{left:?}");
        assert!(left.err().contains(told), "{line}: {left:?}");
        let told = left.err();
        let remedies = told
            .lines()
            .skip(1)
            .filter(|line| line.starts_with("  try: "));
        assert_eq!(told.lines().count(), 1 + remedies.count(), "{left:?}");
    }
}
