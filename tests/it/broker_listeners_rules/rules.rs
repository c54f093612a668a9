//! Rules of listeners, from files and words, and their change while the broker runs.

use std::fs;
use std::path::Path;

use mqttx::mqtt::Version;
use rustix::process::Signal;

use crate::broker_listeners_rules::{configured, listening};
use crate::support::packets::{self, Hello};
use crate::support::programs::Program;
use crate::support::raw_client::RawClient;

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
    inside.send(&packets::publish(Version::V5, "t", "x", 0, 0, &[]));
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
