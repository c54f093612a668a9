//! Words that are none, whatever the command: one line what is wrong, one line what helps, status 1.
//! And what cannot be written to standard output is told, whatever the command.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use mqttx::commands::COMMANDS;

use crate::support::broker_process::BrokerProcess;
use crate::support::programs::Program;

#[track_caller]
fn check(line: &str, told: &str, remedy: &str) {
    let left = Program::mqttx().words(line).run();
    let name = match line.split_once(' ') {
        Some((command, _)) if COMMANDS.iter().any(|known| known.name == command) => {
            format!("mqttx {command}")
        }
        _ if COMMANDS.iter().any(|known| known.name == line) => format!("mqttx {line}"),
        _ => "mqttx".to_owned(),
    };
    assert_eq!(
        left.err(),
        format!("{name}: {told}\n  try: {remedy}\n"),
        "{line}"
    );
    assert_eq!((left.status, &*left.out()), (1, ""), "{line}");
}

#[test]
fn every_command_tells_a_wrong_option_in_two_lines() {
    for command in COMMANDS {
        let line = format!("{} --no-such-option", command.name);
        let left = Program::mqttx().words(&line).run();
        let err = left.err();
        let lines: Vec<&str> = err.lines().collect();
        let [told, remedy] = lines[..] else {
            panic!("{line}: {left:?}");
        };
        let begins = format!("mqttx {}: ", command.name);
        assert!(told.starts_with(&begins), "{line}: {left:?}");
        assert!(told.contains("'--no-such-option'"), "{line}: {left:?}");
        assert!(remedy.starts_with("  try: "), "{line}: {left:?}");
        assert_eq!((left.status, &*left.out()), (1, ""), "{line}");
    }
}

#[test]
fn a_command_that_is_none() {
    check("subs", "no command 'subs'", "sub");
    check("pb", "no command 'pb'", "pub, db");
    check("Pub", "no command 'Pub'", "pub, sub");
    check("publish -t x -m y", "no command 'publish'", "pub");
    check("benchmark", "no command 'benchmark'", "bench");
    check("re", "no command 're'", "rr, record, replay");
    check(
        "exit-codes",
        "no command 'exit-codes'",
        "mqttx help exit-codes",
    );
    let names: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
    let all = names.join(", ");
    check("frobnicate", "no command 'frobnicate'", &all);
    check(
        "-t a -m b",
        "no command '-t'",
        &format!("a command first: {all}"),
    );
}

/// The line, what is wrong, and what helps.
const SMALL: &[(&str, &str, &str)] = &[
    (
        "ctrl nosuch",
        "no command 'nosuch'",
        "clients, sessions, kick, subscriptions, retained, listeners, plugins, stats, broker, dynsec",
    ),
    (
        "ctrl nosuch list",
        "no command 'nosuch'",
        "clients, sessions, kick, subscriptions, retained, listeners, plugins, stats, broker, dynsec",
    ),
    (
        "ctrl dynsec",
        "'dynsec' wants a command",
        "mqttx ctrl dynsec help",
    ),
    (
        "ctrl dynsec nosuch",
        "command 'nosuch' not recognised",
        "mqttx ctrl dynsec help",
    ),
    (
        "ctrl dynsec init",
        "invalid input",
        "mqttx ctrl dynsec help",
    ),
    (
        "ctrl clients -h here",
        "'clients' does not take '-h'",
        "options of the connection before the command: mqttx ctrl -h HOST clients",
    ),
    (
        "passwd --no-such f u",
        "no option '--no-such'",
        "mqttx passwd --help",
    ),
    (
        "passwd f",
        "FILE and USER are wanted, with -b also PASSWORD",
        "mqttx passwd --help",
    ),
    (
        "completions tcsh",
        "invalid value 'tcsh' for '<SHELL>'",
        "bash, elvish, fish, powershell, zsh",
    ),
    (
        "link --forc x",
        "unexpected argument '--forc' found",
        "--force",
    ),
    ("db dum x", "unrecognized subcommand 'dum'", "dump"),
    (
        "pub -t a",
        "both topic and message must be supplied",
        "mqttx pub -t some/topic -m 'some payload'",
    ),
    (
        "sub",
        "you must specify a topic to subscribe to (-t) or unsubscribe from (-U)",
        "mqttx sub -t 'some/topic/#'",
    ),
    (
        "pub -t a -l --repeat 2",
        "--repeat is for -m, -f, -n, -s and --template, not for lines",
        "--rate, which holds for lines, too",
    ),
    (
        "pub --topic-from-line --repeat-delay 1",
        "--repeat-delay is for -m, -f, -n, -s and --template, not for lines",
        "--rate, which holds for lines, too",
    ),
    (
        "sub -t a --no-local -V 311",
        "--no-local needs version 5 of the protocol",
        "-V 5",
    ),
    (
        "sub -t a --retain-handling never",
        "--retain-handling needs version 5 of the protocol",
        "-V 5",
    ),
    (
        "sub -t a --retain-as-published",
        "--retain-as-published needs version 5 of the protocol",
        "-V 5",
    ),
    (
        "pub -t a -m b -p 0",
        "port 0 is for a Unix socket, whose path -h is to be",
        "--unix PATH, or -p with the broker's port",
    ),
    (
        "ctrl -v clients",
        "-v says nothing to ctrl",
        "--json behind the command, which tells all",
    ),
    (
        "ctrl -f file stats",
        "-f goes with dynsec setClientPassword only",
        "mqttx ctrl -f FILE dynsec setClientPassword NAME",
    ),
];

#[test]
fn words_of_the_smaller_commands() {
    for (line, told, remedy) in SMALL {
        check(line, told, remedy);
    }
    let left = Program::mqttx().words("man nosuch").run();
    let err = left.err();
    assert!(
        err.starts_with("mqttx man: no page 'nosuch'\n  try: pub, sub, rr"),
        "{err}"
    );
    assert_eq!((left.status, err.lines().count()), (1, 2));
}

/// Pages by the names that `mqttx help` gives its topics.
#[test]
fn pages_of_the_topics() {
    for (name, heading) in [
        ("env", "mqttx-environment"),
        ("exit-codes", "mqttx-exit-status"),
    ] {
        let left = Program::mqttx().words(&format!("man {name}")).run();
        assert_eq!((left.status, left.err()), (0, String::new()), "{name}");
        assert!(left.out().contains(heading), "{name}");
    }
}

/// Files where folders are wanted, and nothing where a file is.
#[test]
fn places_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (file, none) = (file.display(), folder.path().join("none"));
    let broker = BrokerProcess::start(&[]);
    let reach = format!("-h 127.0.0.1 -p {}", broker.port);
    for (line, told) in [
        (
            format!("sub {reach} -t a --out-dir {file}"),
            format!("mqttx sub: cannot write to {file}: it is no folder\n"),
        ),
        (
            format!("bench report {}", none.display()),
            format!(
                "mqttx bench: cannot read {}: No such file or directory\n",
                none.display()
            ),
        ),
    ] {
        let left = Program::mqttx().words(&line).run();
        assert_eq!((left.status, left.err()), (1, told), "{line}");
    }
}

#[test]
fn a_folder_that_is_no_store() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display();
    for command in ["check", "dump"] {
        let left = Program::mqttx().words(&format!("db {command} {dir}")).run();
        let told = format!("mqttx db: {dir}: no broker keeps anything here\n");
        assert_eq!((left.status, left.err()), (1, told), "{command}");
    }
}

#[test]
fn a_password_that_is_empty_is_told_below_the_prompt() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("passwd -c {}/f ann", folder.path().display());
    let left = Program::mqttx().words(&line).run();
    assert_eq!(left.err(), "Password: \nmqttx passwd: empty password\n");
    assert_eq!(left.status, 1);
}

/// Who refuses is not the broker.
#[test]
fn a_proxy_that_is_not_there() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = nobody.local_addr().unwrap();
    drop(nobody);
    let line = format!("pub -h broker.invalid -t a -m b --proxy socks5h://{place}");
    let left = Program::mqttx().words(&line).run();
    assert_eq!(
        left.err(),
        format!(
            "mqttx pub: cannot connect to broker.invalid:1883: proxy {place}: Connection refused\n"
        )
    );
    assert_eq!(left.status, 1);
}

/// The broker that rules no dynamic security knows no such topic.
#[test]
fn dynamic_security_that_is_not_in_use() {
    let broker = BrokerProcess::start(&[]);
    let reach = format!("-h 127.0.0.1 -p {}", broker.port);
    let line = format!("ctrl {reach} dynsec listClients");
    let left = Program::mqttx().words(&line).run();
    assert_eq!(
        left.err(),
        "mqttx ctrl: the broker refuses the command: Not authorized\n  try: mqttx broker --dynsec \
         FILE, and -u and -P of one who may administrate it\n"
    );
    assert_eq!(left.status, 135);
}

/// `/dev/full` is a disk without room.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_behind_standard_output_is_told() {
    let broker = BrokerProcess::start(&[]);
    let reach = format!("-h 127.0.0.1 -p {}", broker.port);
    let kept = Program::mqttx()
        .words(&format!("pub {reach} -t a -m b -r -q 1"))
        .run();
    assert_eq!(kept.status, 0, "{kept:?}");
    let sub = format!("sub {reach} -i stays -t a");
    let mut staying = Program::mqttx().words(&sub).start();
    staying.wait_for_out("b\n");
    for line in [
        "--help".to_owned(),
        "--version".to_owned(),
        "help env".to_owned(),
        "pub --help".to_owned(),
        "broker --help".to_owned(),
        "broker --limits".to_owned(),
        "bench --help".to_owned(),
        "man pub".to_owned(),
        "completions bash".to_owned(),
        "passwd -b -c - ann secret".to_owned(),
        format!("sub {reach} -t a -C 1"),
        format!("ls {reach}"),
        format!("top {reach} --once -W 1"),
        format!("record {reach} -C 1"),
        format!("ping {reach} -c 1"),
        format!("ping {reach} -c 1 --json"),
        format!("ctrl {reach} clients"),
        format!("ctrl {reach} stats"),
        format!("ctrl {reach} clients stays"),
        format!("ctrl {reach} kick stays"),
        format!("bench {reach} pub -q 0 --rate 100 --duration 0.2 --warmup 0.1 --progress none"),
        format!(
            "bench {reach} pub -q 0 --rate 100 --duration 0.2 --warmup 0.1 --progress none --json -"
        ),
        format!("rr {reach} -t a -e a -m x -W 5"),
    ] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_mqttx"))
            .args(line.split_whitespace())
            .stdin(Stdio::null())
            .stdout(full)
            .output()
            .unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(
            err.ends_with(": No space left on device\n"),
            "{line}: {err}"
        );
        assert_eq!(err.lines().count(), 1, "{line}: {err}");
        assert_eq!(output.status.code(), Some(1), "{line}: {err}");
    }
}
