//! Our clients against mosquitto's broker, and against mosquitto's clients through it: every transport,
//! every QoS, every version.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::support::peers;
use crate::support::peers::{Mqttx, Peer};
use crate::support::programs::{Links, Program, Running, mosquittos, skipped};

/// mosquitto with a listener of each kind, and our own broker.
struct Live {
    _broker: Peer,
    ours: Mqttx,
    folder: tempfile::TempDir,
    port: u16,
    websocket: u16,
    tls: u16,
}

impl Live {
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(path("ca.pem"), ca.pem()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        fs::write(path("cert.pem"), params.signed_by(&key, &ca).unwrap().pem()).unwrap();
        fs::write(path("key.pem"), key.serialize_pem()).unwrap();
        let lines = |[websocket, tls, port]: [u16; 3]| {
            format!(
                "listener {websocket} 127.0.0.1\nprotocol websockets\n\
                 listener {tls} 127.0.0.1\ncertfile {}\nkeyfile {}\n\
                 listener 0 {}\n\
                 listener {port} 127.0.0.1\nmax_queued_messages 0\nlog_dest none\n",
                path("cert.pem"),
                path("key.pem"),
                path("socket"),
            )
        };
        let Some((broker, [websocket, tls, port])) = peers::mosquitto(folder.path(), lines) else {
            skipped(1, "mosquitto is not installed");
            return None;
        };
        let ours = Mqttx::start(folder.path());
        Some(Self {
            _broker: broker,
            ours,
            folder,
            port,
            websocket,
            tls,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn tcp(&self) -> String {
        format!("-h 127.0.0.1 -p {}", self.port)
    }

    /// Words for each broker, by TCP.
    fn brokers(&self) -> [String; 2] {
        [self.tcp(), format!("-h 127.0.0.1 -p {}", self.ours.port)]
    }

    /// Words for each way to mosquitto, and for our own broker.
    fn ways(&self) -> Vec<String> {
        let (ca, socket) = (self.path("ca.pem"), self.path("socket"));
        vec![
            self.tcp(),
            format!("-h 127.0.0.1 -p {}", self.ours.port),
            format!("--unix {}", socket.display()),
            format!("-p 0 -h {}", socket.display()),
            format!("--ws -h 127.0.0.1 -p {}", self.websocket),
            format!("-h localhost -p {} --cafile {}", self.tls, ca.display()),
            format!(
                "-h 127.0.0.1 -p {} --insecure --cafile {}",
                self.tls,
                ca.display()
            ),
        ]
    }

    /// A subscriber that has its SUBACK.
    fn subscriber(&self, words: &str) -> Running {
        let mut running = Program::mqttx().words("sub -d").words(words).start();
        running.wait_for_out("Subscribed ");
        running
    }
}

/// The lines of stdout that `-d` did not write.
fn messages(out: &str) -> Vec<&str> {
    let told = |line: &&str| !line.starts_with("Client ") && !line.starts_with("Subscribed ");
    out.lines().filter(told).collect()
}

#[test]
fn a_message_by_every_way() {
    let Some(live) = Live::start() else { return };
    for way in live.ways() {
        let subscriber = live.subscriber(&format!("{way} -t by/+ -C 1 -v"));
        let left = Program::mqttx()
            .words("pub -t by/it -m hello")
            .words(&way)
            .run();
        assert_eq!((left.status, left.err().as_str()), (0, ""), "{way}");
        let left = subscriber.end();
        assert_eq!(left.status, 0, "{way}: {left:?}");
        assert_eq!(messages(&left.out()), ["by/it hello"], "{way}");
    }
}

#[test]
fn a_broker_nobody_vouches_for() {
    let Some(live) = Live::start() else { return };
    let way = format!("-h localhost -p {} -t t -m x --tls-use-os-certs", live.tls);
    let left = Program::mqttx().words("pub").words(&way).run();
    assert_eq!(left.status, 8, "{left:?}");
    assert!(
        left.err()
            .starts_with("mqttx pub: cannot connect to localhost:"),
        "{left:?}"
    );
    assert!(
        left.err().contains(": TLS: invalid peer certificate"),
        "{left:?}"
    );
    let links = Links::new();
    let left = Program::new(links.path("mosquitto_pub")).words(&way).run();
    assert_eq!(left.status, 1, "{left:?}");
    assert_eq!(left.err(), "Unable to connect (A TLS error occurred).\n");
}

#[test]
fn with_mosquittos_clients_in_both_directions() {
    let Some(live) = Live::start() else { return };
    let (Some(theirs_pub), Some(theirs_sub)) =
        (mosquittos("mosquitto_pub"), mosquittos("mosquitto_sub"))
    else {
        return skipped(9, "mosquitto's clients are not installed");
    };
    for way in live.brokers() {
        let ready = format!("pub {way} -t ready -m ready -r");
        assert_eq!(Program::mqttx().words(&ready).run().status, 0);
        for version in ["31", "311", "5"] {
            for qos in 0..3 {
                let words = format!("{way} -V {version} -q {qos} -F %p|%q|%l -t x");
                let ours = live.subscriber(&format!("{words} -C 1"));
                // mosquitto_sub tells nothing in time but messages, so one is waiting for it.
                let words = format!("{words} -t ready -C 2");
                let mut theirs = Program::new(&theirs_sub).words(&words).start();
                theirs.wait_for_out("ready|0|5\n");
                let mine = format!("pub {way} -V {version} -q {qos} -t x -m m{version}{qos}");
                let expected = format!("m{version}{qos}|{qos}|{}", 2 + version.len());
                if qos == 1 {
                    assert_eq!(Program::mqttx().words(&mine).run().status, 0);
                } else {
                    let words = mine.trim_start_matches("pub ");
                    assert_eq!(Program::new(&theirs_pub).words(words).run().status, 0);
                }
                for (left, before) in [(ours.end(), None), (theirs.end(), Some("ready|0|5"))] {
                    assert_eq!(left.status, 0, "{left:?}");
                    let expected: Vec<&str> =
                        before.into_iter().chain([expected.as_str()]).collect();
                    assert_eq!(messages(&left.out()), expected, "{version} {qos}");
                }
            }
        }
    }
}

#[test]
fn a_session_waits_for_its_client() {
    let Some(live) = Live::start() else { return };
    for way in live.brokers() {
        let words = format!("sub {way} -c -i waiter -t kept -q 1");
        let left = Program::mqttx().words(&words).words("-E").run();
        assert_eq!((left.status, left.err().as_str()), (0, ""));
        for text in ["one", "two"] {
            let publish = format!("pub {way} -t kept -q 1 -m {text}");
            assert_eq!(Program::mqttx().words(&publish).run().status, 0);
        }
        let left = Program::mqttx().words(&words).words("-C 2").run();
        assert_eq!(
            (left.status, left.out().as_str()),
            (0, "one\ntwo\n"),
            "{left:?}"
        );
    }
}

#[test]
fn a_will_speaks_for_a_client_that_is_gone() {
    let Some(live) = Live::start() else { return };
    for way in live.brokers() {
        let heir = live.subscriber(&format!("{way} -t will -C 1 -v"));
        let dying = live.subscriber(&format!(
            "{way} -t nothing --will-topic will --will-payload farewell --will-qos 1"
        ));
        drop(dying);
        let left = heir.end();
        assert_eq!(messages(&left.out()), ["will farewell"], "{left:?}");
    }
}

#[test]
fn a_retained_message_is_kept_told_and_cleared() {
    let Some(live) = Live::start() else { return };
    for way in live.brokers() {
        let publish = format!("pub {way} -t keep -m me -r");
        assert_eq!(Program::mqttx().words(&publish).run().status, 0);
        let words = format!("sub {way} -t keep -C 1 -F %p:%r --remove-retained");
        let left = Program::mqttx().words(&words).run();
        assert_eq!(
            (left.status, left.out().as_str()),
            (0, "me:1\n"),
            "{left:?}"
        );
        let left = Program::mqttx().words(&words).words("-W 1").run();
        assert_eq!((left.status, left.out().as_str()), (27, ""), "{left:?}");
    }
}

#[test]
fn a_request_and_its_response() {
    let Some(live) = Live::start() else { return };
    for way in live.brokers() {
        let server = live.subscriber(&format!("{way} -V 5 -t ask -C 1 -F %p->%R"));
        let mut client = Program::mqttx()
            .words(&format!("rr {way} -d -t ask -e answer -m ping -q 1"))
            .start();
        client.wait_for_out("PUBACK");
        assert_eq!(messages(&server.end().out()), ["ping->answer"]);
        assert_eq!(
            Program::mqttx()
                .words(&format!("pub {way} -t answer -m pong"))
                .run()
                .status,
            0
        );
        let left = client.end();
        assert_eq!(left.status, 0, "{left:?}");
        assert_eq!(messages(&left.out()), ["pong"]);
    }
}

#[test]
fn twenty_thousand_lines_arrive_once_at_qos_2() {
    let Some(live) = Live::start() else { return };
    for way in live.brokers() {
        let lines: String = (0..20_000)
            .map(|number| format!("line {number}\n"))
            .collect();
        let subscriber = Program::mqttx()
            .words(&format!("sub {way} -t lines -q 2 -C 20000 -d"))
            .start();
        let mut subscriber = subscriber;
        subscriber.wait_for_out("Subscribed ");
        let left = Program::mqttx()
            .words(&format!("pub {way} -t lines -l -q 2"))
            .input(lines.clone())
            .run();
        assert_eq!((left.status, left.err().as_str()), (0, ""));
        let left = subscriber.end();
        assert_eq!(left.status, 0);
        assert_eq!(messages(&left.out()).join("\n") + "\n", lines);
    }
}

/// Another broker altogether: it knows version 3.1.1 at QoS 0 and 1.
#[test]
fn by_way_of_nats_server() {
    let Some(program) = peers::installed("nats-server") else {
        return skipped(4, "nats-server is not installed");
    };
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("nats.conf");
    let (_nats, [_, port]) = peers::start(|[own, port]: [u16; 2]| {
        let lines = format!(
            "server_name: here\nlisten: 127.0.0.1:{own}\njetstream {{ store_dir: {:?} }}\n\
             mqtt {{ host: 127.0.0.1, port: {port} }}\n",
            folder.path().join("store")
        );
        fs::write(&conf, lines).unwrap();
        let mut command = std::process::Command::new(&program);
        command.arg("-c").arg(&conf);
        command
    });
    let way = format!("-V 311 -h 127.0.0.1 -p {port}");
    let run = |words: &str| {
        let left = Program::mqttx().words(words).words(&way).run();
        assert_eq!((left.status, left.err().as_str()), (0, ""), "{words}");
        left.out()
    };
    let subscriber = |words: &str| {
        let mut running = Program::mqttx()
            .words("sub -d -W 20")
            .words(words)
            .words(&way)
            .start();
        running.wait_for_out("Subscribed ");
        running
    };
    let heard = subscriber("-t by/+ -q 1 -C 3 -F %t|%p|%q");
    for qos in 0..2 {
        run(&format!("pub -t by/it -m m{qos} -q {qos}"));
    }
    let input = "m0\nm1\nm2\n".repeat(100);
    let lines = subscriber("-t line -q 1 -C 300 -c -i keeper");
    let left = Program::mqttx()
        .words(&format!("pub -t line -l -q 1 {way}"))
        .input(input.clone())
        .run();
    assert_eq!((left.status, left.err().as_str()), (0, ""));
    assert_eq!(messages(&lines.end().out()).join("\n") + "\n", input);
    run("pub -t by/end -n -q 1");
    let expected = ["by/it|m0|0", "by/it|m1|1", "by/end||1"];
    assert_eq!(messages(&heard.end().out()), expected);
    run("pub -t kept -m old -r -q 1");
    let kept = subscriber("-t kept -C 1 -F %p|%r");
    assert_eq!(messages(&kept.end().out()), ["old|1"]);
    let mut asked = subscriber("-t ask -C 1");
    let asking = Program::mqttx()
        .words(&format!("rr -t ask -e answer -m ping -W 20 {way}"))
        .start();
    asked.wait_for_out("\nping\n");
    run("pub -t answer -m pong -q 1");
    assert_eq!(asking.end().out(), "pong\n");
}
