//! mosquitto's configuration as people have it, in a folder of files that come, change and go
//! while clients are there; and the signals, with what each leaves behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mqttx::mqtt::Version;
use ring::hmac;
use rustix::process::Signal;

use crate::broker_rights::{publish_as, token};
use crate::support::broker_process::{BrokerProcess, comes};
use crate::support::packets::{Hello, publish};
use crate::support::programs::Program;
use crate::support::raw_client::RawClient;

/// A mosquitto.conf that includes a folder, and what else lies beside it.
struct Home(tempfile::TempDir);

impl Home {
    fn new(lines: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        fs::create_dir(home.at("conf.d")).unwrap();
        let folder = home.0.path().display();
        let lines = lines.replace("HOME", &folder.to_string());
        let text = format!("user root\n{lines}\ninclude_dir {folder}/conf.d\n");
        fs::write(home.at("mosquitto.conf"), text).unwrap();
        home
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file of the folder.
    fn put(&self, name: &str, lines: &str) {
        let lines = lines.replace("HOME", &self.0.path().display().to_string());
        fs::write(self.at("conf.d").join(name), lines).unwrap();
    }

    fn take(&self, name: &str) {
        fs::remove_file(self.at("conf.d").join(name)).unwrap();
    }

    fn passwd(&self, words: &str) {
        let words = words.replace("HOME", &self.0.path().display().to_string());
        let left = Program::mqttx().words(&format!("passwd {words}")).run();
        assert_eq!(left.status, 0, "{}", left.err());
    }

    fn start(&self) -> BrokerProcess {
        self.start_into(Path::new("/dev/null"))
    }

    /// What it says on standard output goes there.
    fn start_into(&self, out: &Path) -> BrokerProcess {
        let mut command = Command::new("sh");
        command.args(["-c", "out=$1; shift; exec \"$@\" > \"$out\"", "sh"]);
        command.arg(out).arg(env!("CARGO_BIN_EXE_mqttx"));
        command
            .args(["broker", "-c"])
            .arg(self.at("mosquitto.conf"));
        BrokerProcess::start_as(command)
    }
}

#[test]
fn files_of_the_folder_come_change_and_go() {
    let home = Home::new("log_type all");
    home.put("10-listener.conf", "listener any 127.0.0.1\n");
    home.put("20-users.conf", "password_file HOME/users\n");
    home.passwd("-c -b HOME/users amy secret");
    let broker = home.start();
    let port = broker.port;
    let status = |user: &str, password: &str| publish_as(port, user, password, "t").status;
    assert_eq!(status("amy", "secret"), 0);
    assert_ne!(status("bob", "secret"), 0);

    home.passwd("-b HOME/users bob secret");
    broker.hang_up();
    comes("bob", || status("bob", "secret") == 0);

    // Whose password is another one has to say it again; the others stay.
    let stays = |user: &str| {
        let words = format!(
            "sub -h 127.0.0.1 -p {port} -u {user} -P secret -i {user} -t t --no-reconnect -C 1"
        );
        let client = Program::mqttx().words(&words).start();
        broker.wait_log(&format!("Sending SUBACK to {user}"));
        client
    };
    let (amy, mut bob) = (stays("amy"), stays("bob"));
    home.passwd("-b HOME/users bob other");
    broker.hang_up();
    assert_ne!(bob.finish_or("sub").status, 0);
    assert_eq!(status("bob", "other"), 0);
    assert_eq!(amy.end().out(), "x\n");

    fs::write(home.at("acl"), "user amy\ntopic write t\n").unwrap();
    home.put("30-rules.conf", "acl_file HOME/acl\n");
    broker.hang_up();
    comes("the rule", || status("bob", "other") != 0);
    assert_eq!(status("amy", "secret"), 0);
    home.take("30-rules.conf");
    broker.hang_up();
    comes("the end of the rule", || status("bob", "other") == 0);

    home.put("20-users.conf", "allow_anonymous true\n");
    broker.hang_up();
    comes("somebody without a name", || {
        let words = format!("pub -h 127.0.0.1 -p {port} -t t -m x");
        Program::mqttx().words(&words).run().status == 0
    });
}

#[test]
fn a_listener_of_the_folder_is_opened_and_closed() {
    let home = Home::new("allow_anonymous true");
    home.put("10.conf", "listener any 127.0.0.1\n");
    let broker = home.start();
    let socket = home.at("socket");
    let mut stays = RawClient::connect(broker.port, &Hello::new("stays"));
    home.put("20.conf", "listener 0 HOME/socket\n");
    broker.hang_up();
    let path = socket.display();
    broker.wait_log(&format!("Opening unix listen socket on path {path}."));
    let words = format!("pub --unix {path} -t t -m x -q 1");
    comes("the listener", || {
        Program::mqttx().words(&words).run().status == 0
    });

    home.put("30.conf", "# Nothing is wrong here.\nnonsense 1\n");
    let before = broker.log().len();
    broker.hang_up();
    let told = broker
        .wait_log_behind(before, "conf.d/30.conf:2'.")
        .join("\n");
    let sentence = "Error: Unknown configuration variable 'nonsense'.";
    assert!(told.contains(sentence), "{told}");
    assert_eq!(
        Program::mqttx().words(&words).run().status,
        0,
        "it goes on as it was"
    );

    home.take("30.conf");
    home.take("20.conf");
    broker.hang_up();
    broker.wait_log(&format!("Closing unix listen socket on path {path}."));
    comes("its end", || !socket.exists());
    assert_ne!(Program::mqttx().words(&words).run().status, 0);
    stays.ping();
}

#[test]
fn listeners_have_their_own_users_after_a_reload_too() {
    let home = Home::new("per_listener_settings true");
    home.passwd("-c -b HOME/one amy secret");
    home.passwd("-c -b HOME/two bob secret");
    let listener = |name: &str| format!("listener any 127.0.0.1\npassword_file HOME/{name}\n");
    home.put("10.conf", &listener("one"));
    home.put("20.conf", &listener("two"));
    let broker = home.start();
    let (first, second) = (broker.ports[0], broker.ports[1]);
    let status = |port: u16, user: &str| publish_as(port, user, "secret", "t").status;
    assert_eq!((status(first, "amy"), status(second, "bob")), (0, 0));
    assert_ne!(status(second, "amy"), 0);
    home.passwd("-b HOME/two amy secret");
    broker.hang_up();
    comes("amy", || status(second, "amy") == 0);
    assert_ne!(
        status(first, "bob"),
        0,
        "the other listener's are as they were"
    );
    assert_eq!(status(first, "amy"), 0);
}

#[test]
fn a_user_name_that_nobody_checks_is_as_good_as_none() {
    let home = Home::new("listener any 127.0.0.1");
    home.passwd("-c -b HOME/users amy secret");
    let broker = home.start();
    let refused = |user: &str| {
        [Version::V311, Version::V5].map(|version| {
            let mut client = RawClient::open(broker.port, version);
            let hello = Hello::new("").version(version);
            client.send(&match user {
                "" => hello.bytes(),
                user => hello.user(user).bytes(),
            });
            let answer = client.next().unwrap();
            assert!(answer.starts_with("CONNACK"), "{answer}");
            !answer.starts_with("CONNACK Success")
        })
    };
    assert_eq!([refused("amy"), refused("")], [[true; 2]; 2]);
    home.put("10.conf", "allow_anonymous true\n");
    broker.hang_up();
    comes("anybody", || refused("amy") == [false; 2]);
    assert_eq!(refused(""), [false; 2]);
    let visit = |id: &str| RawClient::connect(broker.port, &Hello::new(id).user("amy"));
    // Who was not asked for a password has to go once there are some, or none and no strangers.
    for lines in ["password_file HOME/users\n", "allow_anonymous false\n"] {
        let mut amy = visit("unasked");
        home.put("10.conf", lines);
        broker.hang_up();
        assert_eq!(amy.next().unwrap(), "DISCONNECT 0x87", "{lines}");
        home.put("10.conf", "allow_anonymous true\n");
        broker.hang_up();
        comes("anybody", || refused("amy") == [false; 2]);
    }
}

#[test]
fn another_key_makes_other_tokens_count() {
    let home = Home::new("jwt_key_file HOME/key");
    home.put("10.conf", "listener any 127.0.0.1\n");
    let signed = |letter: u8| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[letter; 32]);
        let body = serde_json::json!({ "sub": "bob", "exp": u32::MAX, "publ": ["t"] });
        token("HS256", &body, &|text| {
            hmac::sign(&key, text).as_ref().to_vec()
        })
    };
    fs::write(home.at("key"), [b'a'; 32]).unwrap();
    let broker = home.start();
    let status = |password: &str| publish_as(broker.port, "bob", password, "t").status;
    let (old, new) = (signed(b'a'), signed(b'b'));
    assert_eq!(status(&old), 0);
    assert_ne!(status(&new), 0);
    fs::write(home.at("key"), [b'b'; 32]).unwrap();
    broker.hang_up();
    comes("the new key", || status(&new) == 0);
    assert_ne!(status(&old), 0);
}

#[test]
fn usr2_prints_who_subscribes_to_what() {
    let home = Home::new("listener any 127.0.0.1\nallow_anonymous true");
    let out = home.at("out");
    let broker = home.start_into(&out);
    let _me = RawClient::subscriber(broker.port, &Hello::new("me"), "a/#", 0);
    let _you = RawClient::subscriber(broker.port, &Hello::new("you"), "$share/g/a/+", 1);
    broker.signal(Signal::USR2);
    comes("the list", || {
        fs::read_to_string(&out).unwrap() == "$share/g/a/+ you\na/# me\n"
    });
}

#[test]
fn usr1_puts_all_that_is_kept_on_the_disk() {
    let home = Home::new(
        "listener any 127.0.0.1\nallow_anonymous true\npersistence true\n\
         persistence_location HOME/lib/\npersistence_sync off",
    );
    let broker = home.start();
    let keeper = Hello::new("keeper").kept();
    drop(RawClient::subscriber(broker.port, &keeper, "t", 1));
    let mut sender = RawClient::connect(broker.port, &Hello::new("sender"));
    sender.send(&publish(Version::V5, "t", "kept", 1, 1, &[]));
    assert_eq!(sender.expect("PUBACK"), "PUBACK #1");
    broker.signal(Signal::USR1);
    broker.wait_log("store: all is on the disk");
    broker.kill();
    let broker = home.start();
    broker.wait_log("store: 1 sessions, 1 messages");
}

#[test]
fn log_files_that_were_moved_are_left() {
    let home = Home::new("listener any 127.0.0.1\nallow_anonymous true\nlog_dest file HOME/log");
    let log = |name: &str| fs::read_to_string(home.at(name)).unwrap_or_default();
    let broker = home.start();
    let visit = |id: &str| drop(RawClient::connect(broker.port, &Hello::new(id)));
    visit("first");
    comes("its line", || log("log").contains("as first ("));
    for (number, name) in ["second", "third"].into_iter().enumerate() {
        let old = format!("log.{number}");
        fs::rename(home.at("log"), home.at(&old)).unwrap();
        match number {
            0 => {
                let words = format!("signal -p {} log-rotate", broker.pid());
                assert_eq!(Program::mqttx().words(&words).run().status, 0);
            }
            _ => broker.hang_up(),
        }
        comes("the new file", || home.at("log").exists());
        visit(name);
        comes("its line", || log("log").contains(&format!("as {name} (")));
        assert!(!log(&old).contains(&format!("as {name} (")), "{old}");
    }
}

#[test]
fn what_is_logged_and_where_to_follows_the_file() {
    let home = Home::new("listener any 127.0.0.1\nallow_anonymous true");
    let log = |name: &str| fs::read_to_string(home.at(name)).unwrap_or_default();
    let broker = home.start();
    let mut stays = RawClient::subscriber(broker.port, &Hello::new("stays"), "t", 0);
    home.put("log.conf", "log_type all\n");
    broker.hang_up();
    comes("what it is told now", || {
        stays.ping();
        stays.send(&publish(Version::V5, "t", "x", 0, 0, &[]));
        stays.expect("PUBLISH t x q0");
        let log = broker.log();
        log.iter()
            .any(|line| line.contains("Sending PUBLISH to stays"))
    });
    let text =
        "log_dest file HOME/one\nlog_timestamp false\nconnection_messages false\nlog_type all\n";
    home.put("log.conf", text);
    broker.hang_up();
    comes("the file", || {
        drop(RawClient::subscriber(
            broker.port,
            &Hello::new("visitor"),
            "t",
            0,
        ));
        log("one").contains("\nReceived SUBSCRIBE from visitor\n")
    });
    assert!(
        !log("one").contains("New client connected"),
        "{}",
        log("one")
    );
    home.put("log.conf", "log_dest file HOME/is/not/there\n");
    broker.hang_up();
    comes("the fault", || {
        log("one").contains("Error: the log stays as it was: cannot open")
    });
    assert!(!log("one").contains("os error"), "{}", log("one"));
    // As it was: packets are told of as before.
    drop(RawClient::subscriber(
        broker.port,
        &Hello::new("later"),
        "t",
        0,
    ));
    comes("what it is told still", || {
        log("one").contains("\nReceived SUBSCRIBE from later\n")
    });
    home.put("log.conf", "log_dest none\n");
    broker.hang_up();
    home.take("log.conf");
    broker.hang_up();
    let before = broker.log().len();
    comes("standard error", || {
        drop(RawClient::connect(broker.port, &Hello::new("last")));
        broker.log()[before..]
            .iter()
            .any(|line| line.contains("as last ("))
    });
    stays.ping();
}

#[test]
fn the_time_between_rounds_of_sys_follows_the_file() {
    const RECEIVED: &str = "$SYS/broker/publish/messages/received";
    let told = format!("PUBLISH {RECEIVED} ");
    for (before, first) in [("3600", true), ("0", false)] {
        let home = Home::new("listener any 127.0.0.1\nallow_anonymous true");
        home.put("sys.conf", &format!("sys_interval {before}\n"));
        let broker = home.start();
        let mut watcher = RawClient::subscriber(broker.port, &Hello::new("w"), RECEIVED, 0);
        if first {
            watcher.expect(&told);
        }
        watcher.send(&publish(Version::V5, "t", "x", 0, 0, &[]));
        watcher.ping();
        home.put("sys.conf", "sys_interval 1\n");
        broker.hang_up();
        assert_eq!(watcher.expect(&told), format!("{told}1 q0"));
        watcher.send(&publish(Version::V5, "t", "x", 0, 0, &[]));
        assert_eq!(watcher.expect(&told), format!("{told}2 q0"));
        // None of it any more: who comes now is told what was last said, and not what is true.
        home.put("sys.conf", "sys_interval 0\n");
        broker.hang_up();
        let mut source = RawClient::connect(broker.port, &Hello::new("source"));
        let mut count = 2;
        comes("the end", || {
            source.send(&publish(Version::V5, "t", "x", 1, 1, &[]));
            source.expect("PUBACK");
            count += 1;
            let new = Hello::new("new");
            let mut late = RawClient::subscriber(broker.port, &new, RECEIVED, 0);
            late.expect(&told) != format!("{told}{count} q0 retain")
        });
    }
}
