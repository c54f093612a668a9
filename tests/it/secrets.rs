//! No password gets into a log, a trace, an error or a printed configuration, whatever is asked for.

use std::fs;

use crate::support::broker_process::BrokerProcess;
use crate::support::programs::Program;

/// In everything that is secret here, and in nothing else.
const SECRET: &str = "geheim";

#[track_caller]
fn keeps_it(what: &str, said: &str) {
    let leak = said.lines().find(|line| line.contains(SECRET));
    assert!(leak.is_none(), "{what} says {leak:?}");
}

/// A folder with a password file for bob.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    let made = Program::mqttx()
        .args(["passwd", "-b", "-c"])
        .args([&users])
        .args(["bob", "geheim-1"])
        .run();
    assert_eq!(made.status, 0, "{made:?}");
    keeps_it("passwd", &(made.out() + &made.err()));
    keeps_it("the password file", &fs::read_to_string(&users).unwrap());
    folder
}

#[test]
fn no_level_of_the_log_tells_a_password() {
    let folder = folder();
    let users = folder.path().join("users").to_string_lossy().into_owned();
    let broker = BrokerProcess::start(&["-v", "--password-file", &users]);
    let port = broker.port.to_string();
    for program in [
        "pub -t t -m x -d",
        "sub -t t -W 1 -d",
        "rr -t t -e r -m x -W 1 -d",
    ] {
        for password in ["geheim-1", "geheim-wrong"] {
            let left = Program::mqttx()
                .words(program)
                .words("-h 127.0.0.1 -u bob -P")
                .args([password, "-p", &port])
                .run();
            keeps_it(program, &(left.out() + &left.err()));
        }
    }
    broker.wait_log("login failed");
    keeps_it("the log", &broker.log().join("\n"));
}

#[test]
fn a_printed_configuration_has_no_secret_in_it() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    fs::write(path("word"), "geheim-file\n").unwrap();
    let lines = [
        "log_type all".to_owned(),
        "listener 0 127.0.0.1".to_owned(),
        format!("password_file {}", path("users")),
        "connection far".to_owned(),
        "address 127.0.0.1:1".to_owned(),
        "topic # out".to_owned(),
        "remote_username bob".to_owned(),
        "remote_password geheim-2".to_owned(),
        "connection farther".to_owned(),
        "address 127.0.0.1:2".to_owned(),
        "topic # out".to_owned(),
        "remote_username bob".to_owned(),
        format!("remote_password ${{file:{}}}", path("word")),
    ];
    fs::write(path("conf"), lines.join("\n")).unwrap();
    let printed = Program::mqttx()
        .args(["broker", "--print-config", "-c", &path("conf")])
        .run();
    assert_eq!(printed.status, 0, "{printed:?}");
    assert!(printed.out().contains("remote_username bob"), "{printed:?}");
    keeps_it("--print-config", &(printed.out() + &printed.err()));

    // Neither where the configuration is wrong.
    fs::write(path("conf"), "connection a\nremote_pasword geheim-3\n").unwrap();
    let wrong = Program::mqttx()
        .args(["broker", "--test-config", "-c", &path("conf")])
        .run();
    assert_eq!(wrong.status, 3, "{wrong:?}");
    keeps_it("--test-config", &(wrong.out() + &wrong.err()));
}
