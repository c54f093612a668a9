//! No password gets into a log, a trace, an error or a printed configuration, whatever is asked for.

use std::fs;

use crate::support::broker_process::BrokerProcess;
use crate::support::programs::Program;
use crate::support::visitor::Visitor;

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

/// What is told behind all there is to warn of.
const PLAIN: &str = "broker: MQTT 3.1";
const CONFIGURED: &str = " running";

/// The log once the broker has begun.
fn begun(broker: &BrokerProcess, last: &str) -> Vec<String> {
    broker.wait_log(last);
    broker.log()
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
fn no_level_of_the_log_tells_the_token_of_a_visitor() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "geheim-and-long-enough\n").unwrap();
    let token = token.to_str().unwrap();
    let broker = BrokerProcess::start(&["-v", "--http", "0", "--http-token", token]);
    let port = *broker.ports.last().expect("that of the visitors");
    let mut said = String::new();
    for (bearer, status) in [("geheim-and-long-enough", 200), ("geheim-and-wrong", 401)] {
        let visitor = Visitor::new(port).with("Authorization", &format!("Bearer {bearer}"));
        let answer = visitor.get("/api/v1/overview");
        assert_eq!(answer.status, status);
        said += &answer.body;
        said += &visitor.get("/api/v1/log").body;
    }
    let done = Program::mqttx()
        .words("pub -h 127.0.0.1 -t last -m x -p")
        .args([broker.port.to_string()])
        .run();
    assert_eq!(done.status, 0, "{done:?}");
    broker.wait_log("disconnected");
    keeps_it("an answer", &said);
    keeps_it("the log", &broker.log().join("\n"));
}

/// What a client was told on its line, in what it prints, saves and complains of.
#[test]
fn no_word_of_a_client_repeats_a_secret_of_its_line() {
    let home = tempfile::tempdir().unwrap();
    let settings = [
        "-P geheim -u ann --print-config",
        "-L mqtt://ann:geheim@localhost/t --print-config",
        "--proxy socks5h://ann:geheim@localhost:1 --print-config",
        "--psk abgeheim --psk-identity ann --print-config",
        "--proxy socks5://ann:geheim@localhost:1 --proxy-typo",
        "--proxy ftp://ann:geheim@localhost:1",
        "--proxy socks5h://ann:geheim@localhost:99999",
        "-L mqtt://ann:geheim@localhost:99999/t",
        "-L http://ann:geheim@localhost/t",
        "--psk geheim --psk-identity ann",
        "-P geheim -u ann --save-profile one",
        "--proxy socks5h://ann:geheim@localhost:1 --save-profile two",
    ];
    let mut lines: Vec<Vec<&str>> = settings.map(|line| line.split(' ').collect()).into();
    for (header, rest) in [
        ("Authorization: Bearer geheim", "--print-config"),
        ("x-api-key: geheim", "--print-config"),
        ("Authorization Bearer geheim", "--print-config"),
        ("Cookie: id=geheim", "--save-profile=three"),
    ] {
        lines.push(vec!["--ws", "--ws-header", header, rest]);
    }
    for line in lines {
        let left = Program::mqttx()
            .env("XDG_CONFIG_HOME", home.path())
            .words("sub -t t")
            .args(&line)
            .run();
        keeps_it(&line.join(" "), &(left.out() + &left.err()));
    }
    let profiles = fs::read_to_string(home.path().join("mqttx/profiles.toml")).unwrap();
    assert!(profiles.contains("[three]"), "{profiles}");
    keeps_it("the file of profiles", &profiles);
    // What is none stays readable.
    let left = Program::mqttx()
        .words("sub -t t --ws --print-config --ws-header")
        .args(["Origin: http://here.example"])
        .run();
    assert!(left.out().contains("http://here.example"), "{left:?}");
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

#[test]
#[cfg(unix)]
fn a_file_of_secrets_that_anybody_may_read_is_told() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    let users = folder.path().join("users").to_string_lossy().into_owned();
    let said = "everybody on this machine may read it";
    let started = |mode| {
        fs::set_permissions(&users, fs::Permissions::from_mode(mode)).unwrap();
        let plain = BrokerProcess::start(&["--password-file", &users]);
        let lines = format!("listener any 127.0.0.1\npassword_file {users}");
        let configured = BrokerProcess::configured(&lines, &[]);
        let begun = [begun(&plain, PLAIN), begun(&configured, CONFIGURED)];
        begun.map(|log| log.iter().any(|line| line.contains(said)))
    };
    assert_eq!(started(0o604), [true, true]);
    assert_eq!(started(0o640), [false, false]);
    // The token of administrators, and a key that is no public one.
    let (path, pem) = (
        |name: &str| folder.path().join(name).to_string_lossy().into_owned(),
        "-----BEGIN PUBLIC KEY-----\n\
         MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEQZrag1Q8QyMTd4LmPW5tyAGvN28l\n\
         5KlCizjncpVnCcuspj39m3le/YFEKi1IrYfNRNQ+ibKJJLNWrRqhqxkEeg==\n\
         -----END PUBLIC KEY-----\n",
    );
    for (name, text) in [("token", "t".repeat(32)), ("key", "k".repeat(32))] {
        fs::write(path(name), text).unwrap();
    }
    fs::write(path("public"), pem).unwrap();
    for name in ["token", "key", "public"] {
        fs::set_permissions(path(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    let (token, key, public) = (path("token"), path("key"), path("public"));
    for (words, lines, expected) in [
        (
            ["--http", "0", "--http-token", &token],
            format!("http_token_file {token}"),
            true,
        ),
        (
            ["--http", "0", "--jwt-key", &key],
            format!("jwt_key_file {key}"),
            true,
        ),
        (
            ["--http", "0", "--jwt-key", &public],
            format!("jwt_key_file {public}"),
            false,
        ),
    ] {
        let plain = BrokerProcess::start(&words);
        let lines = format!("listener any 127.0.0.1\nallow_anonymous true\n{lines}");
        let configured = BrokerProcess::configured(&lines, &[]);
        for (broker, last) in [(plain, PLAIN), (configured, CONFIGURED)] {
            let log = begun(&broker, last);
            let told = log
                .iter()
                .any(|line| line.contains(said) && line.contains(words[3]));
            assert_eq!(told, expected, "{words:?}: {log:#?}");
        }
    }
}

/// Whether a process has these bytes anywhere in memory it can write to.
#[cfg(target_os = "linux")]
fn remembers(process: u32, bytes: &[u8]) -> bool {
    use std::os::unix::fs::FileExt as _;
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory = fs::File::open(format!("/proc/{process}/mem")).unwrap();
    maps.lines().any(|line| {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        let (from, to) = range.split_once('-').unwrap();
        let number = |digits| u64::from_str_radix(digits, 16).unwrap();
        let (from, to) = (number(from), number(to));
        let mut part = vec![0; (to - from) as usize];
        // Some of what the system lends cannot be read.
        rights.starts_with("rw")
            && memory.read_exact_at(&mut part, from).is_ok()
            && holds(&part, bytes)
    })
}

#[cfg(target_os = "linux")]
fn holds(all: &[u8], bytes: &[u8]) -> bool {
    let first = bytes[0];
    let starts = all.iter().enumerate().filter(|(_, byte)| **byte == first);
    let mut starts = starts.map(|(at, _)| at);
    starts.any(|at| all[at..].starts_with(bytes))
}

#[test]
#[cfg(target_os = "linux")]
fn a_password_that_was_judged_is_nowhere_in_memory() {
    let folder = folder();
    let users = folder.path().join("users").to_string_lossy().into_owned();
    let broker = BrokerProcess::start(&["--password-file", &users]);
    let port = broker.port.to_string();
    for (password, status) in [("geheim-1", 0), ("geheim-wrong", 134)] {
        let left = Program::mqttx()
            .words("pub -h 127.0.0.1 -t t -q 1 -m x -V 5 -u bob -P")
            .args([password, "-p", &port])
            .run();
        assert_eq!(left.status, status, "{left:?}");
        let kept = remembers(broker.id(), password.as_bytes());
        assert!(!kept, "{password} is still there");
    }
    assert!(remembers(broker.id(), b"bob"), "the test looks at memory");
}

#[test]
#[cfg(target_os = "linux")]
fn a_broker_that_root_started_is_somebody_else() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("conf");
    let lines = "user nobody\nlistener any 127.0.0.1\nlog_dest stdout\n";
    fs::write(&conf, lines).unwrap();
    let mut broker = Program::mqttx()
        .args(["broker", "-c"])
        .args([&conf])
        .start();
    broker.wait_for_out("running");
    let status = fs::read_to_string(format!("/proc/{}/status", broker.id())).unwrap();
    let ids = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        let words = line.split_whitespace().skip(1).map(str::to_owned);
        words.collect::<Vec<_>>()
    };
    assert!(!ids("Uid:").contains(&"0".to_owned()), "{status}");
    assert!(!ids("Gid:").contains(&"0".to_owned()), "{status}");
    assert!(!ids("Groups:").contains(&"0".to_owned()), "{status}");
    assert_eq!(ids("CapEff:"), ["0000000000000000"]);
    let process = rustix::process::Pid::from_raw(broker.id() as i32).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    assert_eq!(broker.end().status, 0);
}
