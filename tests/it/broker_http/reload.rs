//! SIGHUP: places of visitors that come, change and go, tokens that change, and streams whose
//! reader may not be there any more.

use std::net::TcpListener;
use std::time::Instant;

use super::http_port;
use crate::support::broker_process::{BrokerProcess, PATIENCE};
use crate::support::programs::Program;
use crate::support::visitor::Visitor;

const CLIENTS: &str = "listener any 127.0.0.1\nallow_anonymous true\n";

/// Puts other lines into the file, and has it read.
fn reload(broker: &BrokerProcess, lines: &str) {
    std::fs::write(broker.conf_file(), format!("user root\n{lines}\n")).unwrap();
    broker.hang_up();
}

fn await_true(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

fn is_open(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// Ports that nobody has at this moment.
fn free<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|one| one.local_addr().unwrap().port())
}

#[test]
fn places_of_visitors_come_and_go_with_the_file() {
    let [one, two] = free();
    let place = |port: u16| format!("listener {port} 127.0.0.1\nprotocol http\n");
    let broker = BrokerProcess::configured(CLIENTS, &[]);
    assert!(!is_open(one));
    // From none: there was not even a thread for them.
    reload(&broker, &[CLIENTS, &place(one)].concat());
    await_true("the first does not open", || is_open(one));
    let told = |done: &str, port: u16| {
        broker.wait_log(&format!("{done} ipv4 http listen socket on port {port}."));
    };
    told("Opening", one);
    let visitor = Visitor::new(one);
    assert_eq!(visitor.get("/readyz").status, 200);
    let mut events = visitor.events("/api/v1/events");
    reload(&broker, &[CLIENTS, &place(one), &place(two)].concat());
    await_true("the second does not open", || is_open(two));
    await_true("the second is not listed", || {
        let listeners = visitor.json("/api/v1/listeners");
        let listed = listeners["listeners"].as_array().unwrap().iter();
        listed.filter(|one| one["protocol"] == "http").count() == 2
    });
    // Who may still be there stays.
    events.next("sample");
    events.next("sample");
    reload(&broker, &[CLIENTS, &place(two)].concat());
    assert_eq!(
        events.next("end")["reason"],
        "the login does not count any more"
    );
    await_true("the first does not close", || !is_open(one));
    told("Closing", one);
    assert_eq!(Visitor::new(two).get("/readyz").status, 200);
    reload(&broker, CLIENTS);
    await_true("the second does not close", || !is_open(two));
    told("Closing", two);
    let lines = broker.log();
    let about = |port: u16| {
        let end = format!("port {port}.");
        lines.iter().filter(|line| line.ends_with(&end)).count()
    };
    assert_eq!([about(one), about(two)], [2, 2], "{lines:#?}");
    // A place that cannot be had changes nothing.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    reload(&broker, &[CLIENTS, &place(port), &place(one)].concat());
    broker.wait_log("nothing is reloaded");
    assert!(!is_open(one));
}

#[test]
fn what_a_place_answers_changes_with_the_file() {
    let place = "listener any 127.0.0.1\nprotocol http";
    let broker = BrokerProcess::configured(&[CLIENTS, place].concat(), &[]);
    let visitor = Visitor::new(http_port(&broker));
    assert_eq!(visitor.get("/readyz").status, 200);
    reload(&broker, &[CLIENTS, place, "_api"].concat());
    await_true("it still is what it was", || {
        visitor.get("/readyz").status == 404
    });
    assert_eq!(visitor.get("/api/v1/version").body, "2.1.2");
}

#[test]
fn a_token_of_the_file_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "a-token-of-many-letters\n").unwrap();
    let lines = format!(
        "listener any 127.0.0.1\nallow_anonymous false\n\
         listener any 127.0.0.1\nprotocol http\nhttp_token_file {}",
        token.display()
    );
    let broker = BrokerProcess::configured(&lines, &[]);
    check_token(&broker, &token);
    let bad = lines.replace(&*token.to_string_lossy(), "/nowhere/token");
    reload(&broker, &bad);
    broker.wait_log("Unusable http_token_file /nowhere/token: No such file");
    let left = Program::mqttx()
        .args(["broker", "--test-config", "-c"])
        .args([broker.conf_file()])
        .run();
    assert_eq!(left.status, 3, "{left:?}");
}

#[test]
fn a_token_of_the_command_line_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "a-token-of-many-letters\n").unwrap();
    let file = token.to_str().unwrap();
    let broker = BrokerProcess::start(&["--http", "0.0.0.0:0", "--http-token", file]);
    check_token(&broker, &token);
}

/// With the first token in the file: after another one is there, it alone counts.
fn check_token(broker: &BrokerProcess, file: &std::path::Path) {
    let visitor = Visitor::new(http_port(broker));
    let first = visitor.with("Authorization", "Bearer a-token-of-many-letters");
    let second = visitor.with("Authorization", "Bearer another-token-of-many");
    assert_eq!(first.get("/api/v1/overview").status, 200);
    assert_eq!(second.get("/api/v1/overview").status, 401);
    let mut figures = first.events("/api/v1/events");
    let mut messages = first.events("/api/v1/subscribe?filter=a");
    std::fs::write(file, "another-token-of-many").unwrap();
    broker.hang_up();
    let why = "the login does not count any more";
    assert_eq!(figures.next("end")["reason"], why);
    assert_eq!(messages.next("end")["reason"], why);
    assert_eq!(first.get("/api/v1/overview").status, 401);
    assert_eq!(second.get("/api/v1/overview").status, 200);
    // One that is too short changes nothing.
    std::fs::write(file, "short").unwrap();
    broker.hang_up();
    broker.wait_log("at least 16");
    assert_eq!(second.get("/api/v1/overview").status, 200);
}

#[test]
fn who_loses_the_right_to_administrate_is_not_told_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let left = Program::mqttx()
        .args(["passwd", "-c", "-b"])
        .args([path("users")])
        .args(["bob", "secret"])
        .run();
    assert_eq!(left.status, 0, "{left:?}");
    let all = "user bob\ntopic readwrite #\ntopic write $CONTROL/broker/v1\n";
    std::fs::write(path("rules"), all).unwrap();
    let lines = format!(
        "password_file {}\nacl_file {}\nlistener any 127.0.0.1\n\
         listener any 127.0.0.1\nprotocol http",
        path("users").display(),
        path("rules").display()
    );
    let broker = BrokerProcess::configured(&lines, &[]);
    let bob = Visitor::new(http_port(&broker)).with("Authorization", "Basic Ym9iOnNlY3JldA==");
    let mut figures = bob.events("/api/v1/events");
    figures.next("sample");
    std::fs::write(path("rules"), "user bob\ntopic readwrite #\n").unwrap();
    broker.hang_up();
    assert_eq!(
        figures.next("end")["reason"],
        "the login does not count any more"
    );
    assert_eq!(bob.get("/api/v1/overview").fault(), "forbidden");
    assert_eq!(bob.json("/api/v1/me")["admin"], false);
}
