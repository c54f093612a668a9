//! `mqttx signal` and `mosquitto_signal` against a running broker; help by topic.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use crate::support::broker_process::comes;
use crate::support::programs::{Left, Links, Program};

fn signal(line: &str) -> Left {
    Program::mqttx().words(&format!("signal {line}")).run()
}

#[test]
fn a_process_is_told_by_its_id_or_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let shown = file.display();
    let links = Links::new();
    for (what, expected) in [
        ("config-reload", nix::libc::SIGHUP),
        ("log-rotate", nix::libc::SIGRTMIN()),
        ("save", nix::libc::SIGUSR1),
        ("shutdown", nix::libc::SIGTERM),
        ("tree-print", nix::libc::SIGUSR2),
    ] {
        for by in ["link", "pid", "file"] {
            let mut child = Command::new("sleep").arg("100").spawn().unwrap();
            let pid = child.id();
            fs::write(&file, format!("{pid}\n")).unwrap();
            let left = match by {
                "link" => Program::new(links.path("mosquitto_signal"))
                    .words(&format!("-p {pid} {what}"))
                    .run(),
                "pid" => signal(&format!("-p {pid} {what}")),
                _ => signal(&format!("--pid-file {shown} {what}")),
            };
            assert_eq!((left.status, left.err()), (0, String::new()), "{by} {what}");
            assert_eq!(
                child.wait().unwrap().signal(),
                Some(expected),
                "{by} {what}"
            );
        }
    }
}

#[test]
fn a_broker_ends_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready");
    let mut broker = Command::new(env!("CARGO_BIN_EXE_mqttx"))
        .args(["broker", "--port", "0", "--quiet", "--ready-file"])
        .arg(&ready)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    comes("the ready file", || ready.exists());
    let left = signal(&format!("-p {} shutdown", broker.id()));
    assert_eq!(left.status, 0, "{left:?}");
    assert_eq!(broker.wait().unwrap().code(), Some(0));
}

#[test]
fn whom_nobody_finds() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    fs::write(&file, "no number\n").unwrap();
    let shown = file.display();
    for (line, told) in [
        (
            "-p 2147483600 shutdown".to_owned(),
            "process 2147483600: No such process".to_owned(),
        ),
        (
            "--pid-file /none shutdown".to_owned(),
            "cannot read /none: No such file".to_owned(),
        ),
        (
            format!("--pid-file {shown} shutdown"),
            format!("{shown} holds no process id"),
        ),
        (
            "-p 2147483600 log-rotate".to_owned(),
            "process 2147483600 cannot be told".to_owned(),
        ),
        (
            "-p 1 xtreport".to_owned(),
            "no broker of ours or theirs".to_owned(),
        ),
    ] {
        let left = signal(&line);
        assert_eq!(left.status, 1, "{left:?}");
        assert!(
            left.err().starts_with(&format!("mqttx signal: {told}")),
            "{left:?}"
        );
    }
    for line in [
        "",
        "shutdown",
        "-p 0 shutdown",
        "-p 1",
        "-p 1 nothing",
        "-a -p 1 shutdown",
    ] {
        let left = signal(line);
        assert_eq!((left.status, left.out()), (1, String::new()), "{line}");
        assert!(left.err().starts_with("mqttx signal: "), "{left:?}");
        assert_eq!(left.err().lines().count(), 2, "{left:?}");
    }
}

#[test]
fn help_tells_topics_and_pages_are_printed() {
    for (words, beginning, inside) in [
        ("help exit-codes", "Exit status:\n", "128-162"),
        ("help format", "Letters of -F:\n", "%J"),
        ("help env", "Environment and files:\n", "MQTTX_PROFILE"),
        ("help words", "pub:\n", "-Cup"),
        (
            "help sub",
            "Subscribe and print messages",
            "--retained-only",
        ),
        ("man", ".ie", ".SH NAME\nmqttx"),
        ("man format", ".TH mqttx-format 7", "\\fB%J\\fR"),
        ("man exit-status", ".TH mqttx-exit-status 7", "\\fB27\\fR"),
        ("completions fish", "#", "print-config"),
    ] {
        let left = Program::mqttx().words(words).run();
        assert_eq!((left.status, left.err()), (0, String::new()), "{words}");
        assert!(left.out().starts_with(beginning), "{words}: {left:?}");
        assert!(left.out().contains(inside), "{words}");
        assert!(!left.out().contains('\x1b'), "{words}");
    }
    for (words, told) in [
        ("help nothing", "mqttx: no command 'nothing'"),
        ("man nothing", "mqttx man: no page 'nothing'"),
        (
            "completions tcsh",
            "mqttx completions: invalid value 'tcsh'",
        ),
    ] {
        let left = Program::mqttx().words(words).run();
        assert_eq!((left.status, left.out()), (1, String::new()), "{words}");
        assert!(left.err().starts_with(told), "{left:?}");
    }
}
