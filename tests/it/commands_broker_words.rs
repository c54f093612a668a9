//! Wrong words of `mqttx broker`: one line what is wrong, one line what helps, status 1, and nobody
//! listens. What the link named `mosquitto` says is mosquitto's, and in `commands_mosquitto`.

use std::fs;
use std::path::Path;

use crate::support::certificates::Certificates;
use crate::support::programs::Program;

const HELP: &str = "mqttx broker --help";
const IN_THE_FILE: &str = "a directive in the file; mqttx man conf has all of them";
const LIMITS: &str = "mqttx broker --limits";
const TLS: &str = "--listen mqtts://127.0.0.1:8883 with --cert FILE --key FILE";

/// The words, the line, and what helps.
const WRONG: &[(&str, &str, &str)] = &[
    ("--no-such", "unexpected argument '--no-such' found", HELP),
    ("--por 1", "unexpected argument '--por' found", "--port"),
    ("word", "unexpected argument 'word' found", HELP),
    (
        "-p x",
        "invalid value 'x' for '--port <PORT>': a whole number is wanted",
        HELP,
    ),
    (
        "-p 70000",
        "invalid value '70000' for '--port <PORT>': 70000 is not in 0..=65535",
        HELP,
    ),
    (
        "-p",
        "a value is required for '--port <PORT>' but none was supplied",
        HELP,
    ),
    (
        "--sync x",
        "invalid value 'x' for '--sync <WHEN>'",
        "always, interval, off",
    ),
    (
        "--sync off",
        "the following required arguments were not provided: --persistence <DIR>",
        HELP,
    ),
    (
        "-v -q",
        "the argument '--verbose' cannot be used with '--quiet'",
        HELP,
    ),
    (
        "-c none --http 0",
        "the argument '--config-file <FILE>' cannot be used with '--http <WHERE>'",
        IN_THE_FILE,
    ),
    (
        "-c none --dynsec none",
        "the argument '--config-file <FILE>' cannot be used with '--dynsec <FILE>'",
        IN_THE_FILE,
    ),
    (
        "-c none --jwt-key none",
        "the argument '--config-file <FILE>' cannot be used with '--jwt-key <FILE>'",
        IN_THE_FILE,
    ),
    (
        "-p 1883 --listen ws://127.0.0.1:0",
        "the argument '--port <PORT>' cannot be used with '--listen <URL>'",
        "--listen mqtt://127.0.0.1:1883, with that port",
    ),
    (
        "--listen ws://127.0.0.1:0 --bind ::1",
        "the argument '--listen <URL>' cannot be used with '--bind <ADDRESS>'",
        "--listen mqtt://127.0.0.1:1883, with that address",
    ),
    ("--limit x", "--limit x: NAME=VALUE is wanted", LIMITS),
    (
        "--limit nosuch=1",
        "--limit nosuch=1: there is no limit nosuch",
        LIMITS,
    ),
    (
        "--http x",
        "--http x: PORT, ADDRESS:PORT or unix:PATH is wanted",
        "--http 8080",
    ),
    (
        "--http 0.0.0.0:0",
        "--http: nobody is named who may administrate the broker from other machines",
        "--http-token FILE, --dynsec FILE, or --password-file FILE with --acl-file FILE",
    ),
    (
        "--bind 0.0.0.0",
        "clients from other machines could connect, and nobody said who may",
        "--allow-anonymous, --password-file FILE or --dynsec FILE",
    ),
    (
        "--bind 192.0.2.1 --allow-anonymous -p 0",
        "cannot listen on 192.0.2.1:0: Cannot assign requested address",
        "--bind with an address of this machine",
    ),
    (
        "--password-file none",
        "cannot read password file none: No such file or directory",
        "mqttx passwd -c none NAME, which makes one",
    ),
    (
        "--tls-keylog keys",
        "--tls-keylog says nothing without TLS",
        TLS,
    ),
    (
        "--origin http://here",
        "--origin says nothing without WebSockets",
        "--listen ws://127.0.0.1:8080",
    ),
    (
        "--check-retain-source",
        "--check-retain-source says nothing without rules",
        "--acl-file FILE or --dynsec FILE",
    ),
];

#[track_caller]
fn check(words: &str, told: &str, remedy: Option<&str>) {
    let left = Program::mqttx().words(&format!("broker {words}")).run();
    let remedy = remedy.map(|remedy| format!("  try: {remedy}\n"));
    let expected = format!("mqttx broker: {told}\n{}", remedy.unwrap_or_default());
    assert_eq!(left.err(), expected, "{words}");
    assert_eq!((left.status, &*left.out()), (1, ""), "{words}");
}

#[test]
fn wrong_words_are_one_line_and_what_helps() {
    for (words, told, remedy) in WRONG {
        check(words, told, Some(remedy));
    }
}

/// A broker that is given a certificate and no port for TLS would speak in the clear.
#[test]
fn a_certificate_nobody_is_shown() {
    let made = Certificates::new();
    let path = |name: &str| made.path(name).display().to_string();
    let words = format!("--cert {} --key {}", path("ca.pem"), path("ca.pem"));
    check(&words, "--cert says nothing without TLS", Some(TLS));
}

#[test]
fn files_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display();
    let bytes = format!("{dir}/bytes");
    fs::write(&bytes, b"a:\xff\n").unwrap();
    for (words, told) in [
        (
            format!("--password-file {dir}"),
            format!("cannot read password file {dir}: Is a directory"),
        ),
        (
            format!("--password-file {bytes}"),
            format!("{bytes}: not UTF-8"),
        ),
        (
            format!("--acl-file {dir}"),
            format!("cannot read ACL file {dir}: Is a directory"),
        ),
        (
            format!("--jwt-key {dir}/none"),
            format!("cannot read key file {dir}/none: No such file or directory"),
        ),
        (
            format!("--http 0 --http-token {dir}"),
            format!("cannot read token file {dir}: Is a directory"),
        ),
        (
            format!("--http 0 --http-token {bytes}"),
            format!("{bytes}: not UTF-8"),
        ),
    ] {
        check(&words, &told, None);
    }
}

#[test]
fn rules_of_a_listener_that_say_nothing_there() {
    for (url, told) in [
        (
            "mqtt://127.0.0.1:0?alpn=mqtt",
            "alpn says nothing without mqtts or wss",
        ),
        (
            "mqtt://127.0.0.1:0?forwarded-for=yes",
            "forwarded-for says nothing without ws or wss",
        ),
    ] {
        check(
            &format!("--listen {url}"),
            &format!("--listen {url}: {told}"),
            None,
        );
    }
}

#[test]
fn a_port_that_is_taken() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = other.local_addr().unwrap();
    let told = format!("{place} is taken by another program");
    let words = format!("--port {}", place.port());
    check(
        &words,
        &told,
        Some("another --port, 0 for any that is free"),
    );
}

/// What fails once it listens is told below the lines of the log.
#[test]
fn what_it_cannot_keep_or_run() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display();
    fs::write(folder.path().join("file"), "").unwrap();
    for (words, told) in [
        (
            format!("--persistence {dir}/file"),
            format!(
                "{dir}/file is no folder\n  try: --persistence with a folder; it is made where there \
                 is none"
            ),
        ),
        (
            format!("--ready-file {dir}"),
            "writing the ready file failed: Is a directory".to_owned(),
        ),
        (
            format!("-- {dir}/none"),
            format!("cannot run {dir}/none: No such file or directory"),
        ),
    ] {
        let words = format!("broker --port 0 --quiet {words}");
        let left = Program::mqttx().words(&words).run();
        assert_eq!(left.err(), format!("mqttx broker: {told}\n"), "{words}");
        assert_eq!((left.status, &*left.out()), (1, ""), "{words}");
    }
    let left_over = Path::new(&format!("{dir}.part")).exists();
    assert!(!left_over, "half a ready file");
}

/// Nobody makes a folder there, root neither.
#[test]
#[cfg(target_os = "linux")]
fn a_folder_where_it_may_keep_nothing() {
    let line = "broker --port 0 --quiet --persistence /sys/kept";
    let left = Program::mqttx().words(line).run();
    let told = left.err();
    assert!(told.starts_with("mqttx broker: cannot take up"), "{told}");
    let remedy = "\n  try: --persistence with a folder that this user may write to\n";
    assert!(told.ends_with(remedy), "{told}");
    assert_eq!((left.status, &*left.out()), (1, ""));
}

/// A list that nobody reads to its end is no failure.
#[test]
fn the_limits_into_a_pipe_that_closes() {
    let line = format!(
        "{} broker --limits | head -1; test ${{PIPESTATUS[0]}} = 0",
        env!("CARGO_BIN_EXE_mqttx")
    );
    let left = Program::new("bash").args(["-c", &line]).run();
    assert_eq!((left.status, left.err()), (0, String::new()));
    assert_eq!(left.out().lines().count(), 1);
}
