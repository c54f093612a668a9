//! `mosquitto`, and `mqttx broker -c FILE`: words, statuses, lines of the log, signals, and the
//! process's place among others.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::broker_process::{BrokerProcess, comes};
use crate::support::programs::{Left, Program};

/// A folder with a link named `mosquitto` and a mosquitto.conf.
fn home(conf: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    symlink(env!("CARGO_BIN_EXE_mqttx"), folder.path().join("mosquitto")).unwrap();
    fs::write(folder.path().join("mosquitto.conf"), conf).unwrap();
    folder
}

fn mosquitto(folder: &Path, line: &str) -> Left {
    Program::new(folder.join("mosquitto")).words(line).run()
}

/// The lines of standard error without the time before each.
fn lines(left: &Left) -> Vec<String> {
    let text = left.err();
    let line = |line: &str| match line.split_once(": ") {
        Some((time, rest)) if time.parse::<u64>().is_ok() => rest.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(line).collect()
}

#[test]
fn help_and_version_succeed_and_wrong_words_do_not() {
    let home = home("");
    let help = mosquitto(home.path(), "--help");
    assert_eq!(help.status, 0);
    assert!(
        help.out().contains("Usage: mosquitto [-c config_file]"),
        "{help:?}"
    );
    let version = mosquitto(home.path(), "--version");
    assert_eq!((version.status, version.out().lines().count()), (0, 3));
    let unknown = mosquitto(home.path(), "--nonsense");
    assert_eq!(unknown.status, 3);
    let expected = [
        "Error: Unknown option '--nonsense'.",
        "mosquitto version 2.1.2 terminating",
    ];
    assert_eq!(lines(&unknown), expected);
    assert!(unknown.out().contains("Usage: mosquitto"));
    let port = mosquitto(home.path(), "-p 0");
    assert_eq!(
        (port.status, &*lines(&port)[0]),
        (3, "Error: Invalid port specified (0).")
    );
}

#[test]
fn a_wrong_file_ends_with_3_and_the_line() {
    let home = home("listener 1883\nmax_qos 3\n");
    let conf = home.path().join("mosquitto.conf");
    let line = format!("-c {}", conf.display());
    let place = format!("Error found at {}:2.", conf.display());
    let expected = [
        "Error: 'max_qos' must be between 0 and 2 inclusive.",
        &place,
        "mosquitto version 2.1.2 terminating",
    ];
    for left in [
        mosquitto(home.path(), &line),
        mosquitto(home.path(), &format!("{line} --test-config")),
        Program::mqttx().words(&format!("broker {line}")).run(),
        Program::mqttx()
            .words(&format!("broker {line} --print-config"))
            .run(),
    ] {
        assert_eq!(left.status, 3, "{left:?}");
        assert_eq!(lines(&left), expected);
    }
    let missing = mosquitto(home.path(), "-c /is/not/there");
    assert_eq!(missing.status, 3);
    assert_eq!(
        lines(&missing)[0],
        "Error: Unable to open config file '/is/not/there'."
    );
}

#[test]
fn a_file_in_order_passes_the_test() {
    let home = home("listener 1883\nallow_anonymous true\n");
    let line = format!("-c {}/mosquitto.conf --test-config", home.path().display());
    for left in [
        mosquitto(home.path(), &line),
        Program::mqttx().words(&format!("broker {line}")).run(),
    ] {
        assert_eq!(left.status, 0, "{left:?}");
        assert_eq!(
            lines(&left),
            [
                "Configuration file is OK.",
                "mosquitto version 2.1.2 terminating"
            ]
        );
    }
}

/// What only opening the files can tell is told by the test, too.
#[test]
fn files_that_a_configuration_names_are_tested() {
    let home = home("listener 1883\npassword_file /is/not/there\n");
    let line = format!("-c {}/mosquitto.conf --test-config", home.path().display());
    let left = mosquitto(home.path(), &line);
    assert_eq!(left.status, 3);
    assert!(left.err().contains("/is/not/there"), "{left:?}");
}

#[test]
fn the_configuration_is_printed_without_secrets() {
    let home = home("");
    let folder = home.path().display();
    fs::write(home.path().join("secret"), "tiger\n").unwrap();
    fs::create_dir(home.path().join("more")).unwrap();
    let more = "# comment\nmax_keepalive   60\n";
    fs::write(home.path().join("more/a.conf"), more).unwrap();
    let conf = format!(
        "user ${{NAME:-nobody}}\ninclude_dir {folder}/more\nconnection b\naddress ${{HOST}}\n\
         topic # both\nremote_password plain\nremote_username ${{file:{folder}/secret}}\n\
         plugin x.so\nplugin_opt_token t\nplugin_opt_file f\n"
    );
    let file = home.path().join("mosquitto.conf");
    fs::write(&file, conf).unwrap();
    let left = Program::mqttx()
        .words(&format!("broker --print-config -c {}", file.display()))
        .env("HOST", "example.org")
        .run();
    assert_eq!(left.status, 0, "{left:?}");
    let expected = format!(
        "# {folder}/mosquitto.conf\nuser nobody\n# {folder}/more/a.conf\nmax_keepalive 60\n\
         # {folder}/mosquitto.conf\n# include_dir {folder}/more\nconnection b\n\
         address example.org\ntopic # both\nremote_password ********\n\
         remote_username ********\nplugin x.so\nplugin_opt_token ********\nplugin_opt_file f\n"
    );
    assert_eq!(left.out(), expected);
}

#[test]
fn it_serves_from_a_file() {
    let mut broker =
        BrokerProcess::configured("listener any 127.0.0.1\nallow_anonymous true\n", &[]);
    let port = broker.port;
    let line = format!("pub -h 127.0.0.1 -p {port} -q 1 -t a -m b");
    let left = Program::mqttx().words(&line).run();
    assert_eq!(left.status, 0, "{left:?}");
    broker.ask_to_end();
    assert!(broker.wait().success());
    let told = [
        "mosquitto version 2.1.2 starting",
        "Config loaded from ",
        "Opening ipv4 listen socket on port 0.",
        "mosquitto version 2.1.2 running",
        "mosquitto version 2.1.2 terminating",
    ];
    let log = broker.log();
    let mut place = 0;
    for text in told {
        let found = log[place..].iter().position(|line| line.contains(text));
        place += found.unwrap_or_else(|| panic!("{text} is not in its place: {log:#?}"));
    }
    assert_eq!(place, log.len() - 1);
}

#[test]
fn with_a_listener_nobody_is_let_in_unasked() {
    let broker = BrokerProcess::configured("listener any 127.0.0.1\n", &[]);
    let port = broker.port;
    let line = format!("pub -h 127.0.0.1 -p {port} -V 311 -t a -m b");
    assert_eq!(Program::mqttx().words(&line).run().status, 5);
}

#[test]
fn without_a_listener_only_this_machine_and_everybody_on_it() {
    let broker = BrokerProcess::configured("max_keepalive 100\n", &["--port", "0"]);
    let port = broker.port;
    let line = format!("pub -h 127.0.0.1 -p {port} -q 1 -t a -m b");
    assert_eq!(Program::mqttx().words(&line).run().status, 0);
    let log = broker.log();
    let told = log
        .iter()
        .any(|line| line.contains("Starting in local only mode."));
    assert!(told, "{log:#?}");
    let denied = BrokerProcess::configured("allow_anonymous false\n", &["--port", "0"]);
    let line = format!("pub -h 127.0.0.1 -p {} -V 311 -t a -m b", denied.port);
    assert_eq!(Program::mqttx().words(&line).run().status, 5);
}

#[test]
fn hup_reads_the_file_again_and_a_faulty_one_changes_nothing() {
    let mut broker =
        BrokerProcess::configured("listener any 127.0.0.1\nallow_anonymous true\n", &[]);
    let port = broker.port;
    let publish = || {
        let line = format!("pub -h 127.0.0.1 -p {port} -V 311 -q 1 -t a -m b");
        Program::mqttx().words(&line).run().status
    };
    assert_eq!(publish(), 0);
    let mut subscriber = Program::mqttx()
        .words(&format!("sub -h 127.0.0.1 -p {port} -V 5 -t a -d -W 30"))
        .start();
    subscriber.wait_for_out("Subscribed");
    fs::write(broker.conf_file(), "user root\nnonsense\n").unwrap();
    broker.signal(Signal::HUP);
    broker.wait_log("Reloading config.");
    broker.wait_log("Error: Unknown configuration variable 'nonsense'.");
    broker.wait_log("mosquitto.conf:2.");
    assert_eq!(publish(), 0);
    fs::write(broker.conf_file(), "user root\nlistener any 127.0.0.1\n").unwrap();
    broker.signal(Signal::HUP);
    // Who came without a name has to go.
    subscriber.wait_for_out("Received DISCONNECT (135)");
    assert_eq!(publish(), 5);
    assert!(broker.is_running());
}

#[test]
fn usr2_prints_subscriptions_and_usr1_and_rtmin_stop_nothing() {
    let mut broker =
        BrokerProcess::configured("listener any 127.0.0.1\nallow_anonymous true\n", &[]);
    broker.signal(Signal::USR1);
    broker.signal(Signal::USR2);
    let line = format!("pub -h 127.0.0.1 -p {} -q 1 -t a -m b", broker.port);
    assert_eq!(Program::mqttx().words(&line).run().status, 0);
    assert!(broker.is_running());
}

#[test]
fn the_pid_file_is_there_as_long_as_the_broker() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pid");
    let conf = format!("pid_file {}\nlistener any 127.0.0.1\n", path.display());
    let mut broker = BrokerProcess::configured(&conf, &[]);
    assert_eq!(fs::read_to_string(&path).unwrap(), broker.pid().to_string());
    broker.ask_to_end();
    assert!(broker.wait().success());
    assert!(!path.exists());
    let home = home("pid_file /is/not/there\n");
    let line = format!("-c {}/mosquitto.conf", home.path().display());
    let left = mosquitto(home.path(), &line);
    assert_eq!(left.status, 1);
    assert!(
        left.err().contains(
            "Error: Unable to write pid file /is/not/there: No such file or directory.\n"
        ),
        "{left:?}"
    );
}

#[test]
fn systemd_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
    command.args(["broker", "--port", "0"]);
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "20000");
    let mut broker = BrokerProcess::start_as(command);
    let heard = || {
        let mut bytes = [0; 100];
        let len = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    };
    assert_eq!(heard(), "READY=1");
    assert_eq!(heard(), "WATCHDOG=1");
    assert_eq!(heard(), "WATCHDOG=1");
    broker.signal(Signal::HUP);
    while !heard().starts_with("RELOADING=1\nMONOTONIC_USEC=") {}
    while heard() != "READY=1" {}
    broker.ask_to_end();
    assert!(broker.wait().success());
    while heard() != "STOPPING=1" {}
}

#[test]
fn in_the_background_it_serves_on() {
    let home = home("");
    let folder = home.path().display();
    let conf =
        format!("user root\npid_file {folder}/pid\nlistener any 127.0.0.1\nallow_anonymous true\n");
    fs::write(home.path().join("mosquitto.conf"), conf).unwrap();
    let line = format!("broker -d -c {folder}/mosquitto.conf --ready-file {folder}/ready");
    let left = Program::mqttx().words(&line).run();
    assert_eq!(left.status, 0, "{left:?}");
    let ready = home.path().join("ready");
    comes("the ready file", || ready.exists());
    let port = crate::support::broker_process::port_of(&fs::read_to_string(ready).unwrap());
    let line = format!("pub -h 127.0.0.1 -p {port} -q 1 -t a -m b");
    assert_eq!(Program::mqttx().words(&line).run().status, 0);
    let pid: i32 = fs::read_to_string(home.path().join("pid"))
        .unwrap()
        .parse()
        .unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    comes("its end", || !home.path().join("pid").exists());
}

/// As root it becomes another user before it opens anything.
#[test]
fn root_is_left_behind() {
    if !rustix::process::geteuid().is_root() {
        return crate::support::programs::skipped(1, "not root");
    }
    let home = home("user no-such-user\n");
    let conf = home.path().join("mosquitto.conf");
    let left = mosquitto(home.path(), &format!("-c {}", conf.display()));
    assert_eq!(left.status, 3);
    let expected =
        "Error: Unable to drop privileges to 'no-such-user' because this user does not exist.";
    assert_eq!(lines(&left)[0], expected);
    fs::write(&conf, "user nobody\npid_file /run/mqttx-is-not-root\n").unwrap();
    let left = mosquitto(home.path(), &format!("-c {}", conf.display()));
    assert_eq!(left.status, 1);
    assert!(left.err().contains("Unable to write pid file"), "{left:?}");
    assert!(!Path::new("/run/mqttx-is-not-root").exists());
    let why = "Error: started as root, the broker is user nobody by now: let nobody have what it \
               needs (chown or chmod), or write 'user root' in the configuration.";
    assert_eq!(lines(&left)[2], why);
    let made = crate::support::certificates::Certificates::new();
    let key = made.path("localhost.key");
    let only_root = fs::Permissions::from_mode(0o600);
    fs::set_permissions(&key, only_root).unwrap();
    let tls = made.listener(1, "localhost");
    fs::write(&conf, format!("user nobody\n{tls}")).unwrap();
    for folder in [home.path(), made.folder.path()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let left = mosquitto(home.path(), &format!("-c {}", conf.display()));
    let told = lines(&left);
    let key = key.display();
    let unread = format!("Error: Unable to load server key file \"{key}\". Check keyfile.");
    assert_eq!(left.status, 3, "{told:?}");
    assert!(told.contains(&unread), "{told:?}");
    assert_eq!(told[told.len() - 2], why, "{told:?}");
}

#[test]
fn the_keys_of_tls_connections_are_written_where_asked() {
    let certificates = crate::support::certificates::Certificates::new();
    let path = |name: &str| certificates.path(name).display().to_string();
    let conf = format!(
        "listener any 127.0.0.1\nallow_anonymous true\ncertfile {}\nkeyfile {}\n",
        path("localhost.pem"),
        path("localhost.key"),
    );
    let keys = path("keys");
    let broker = BrokerProcess::configured(&conf, &["--tls-keylog", &keys]);
    let (port, root) = (broker.port, path("ca.pem"));
    let line = format!("pub -h localhost -p {port} --cafile {root} -q 1 -t a -m b");
    let left = Program::mqttx().words(&line).run();
    assert_eq!(left.status, 0, "{left:?}");
    let keys = fs::read_to_string(keys).unwrap();
    assert!(keys.contains("TRAFFIC_SECRET"), "{keys}");
}

/// What the command line says goes before the file, also when that is read again.
#[test]
fn words_go_before_the_file_and_stay_there() {
    let lines = "listener any 127.0.0.1\nallow_anonymous true\nmax_packet_size 1000\n";
    let words = ["--limit", "packet_size_max=500", "--log-format", "json"];
    let broker = BrokerProcess::configured(lines, &words);
    let announced = || {
        let line = format!("sub -h 127.0.0.1 -p {} -V 5 -t a -E", broker.port);
        assert_eq!(Program::mqttx().words(&line).run().status, 0);
        let line = format!("pub -h 127.0.0.1 -p {} -V 5 -q 1 -t a -s", broker.port);
        Program::mqttx()
            .words(&line)
            .input("x".repeat(600))
            .run()
            .status
    };
    assert_ne!(announced(), 0);
    broker.signal(Signal::HUP);
    broker.wait_log("Reloading config.");
    assert_ne!(announced(), 0);
    assert!(broker.log().iter().any(|line| line.starts_with('{')));
    let home = home("");
    let line = format!(
        "broker -c {}/mosquitto.conf --limit nonsense=1",
        home.path().display()
    );
    let left = Program::mqttx().words(&line).run();
    assert_eq!(left.status, 3);
    assert!(
        left.err().contains("there is no limit nonsense"),
        "{left:?}"
    );
    let line = format!(
        "broker -c {}/mosquitto.conf --acl-file x",
        home.path().display()
    );
    assert_eq!(Program::mqttx().words(&line).run().status, 1);
}
