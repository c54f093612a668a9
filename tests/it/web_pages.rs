//! The dashboard and the browser client in Chromium, driven by playwright-core: `tests/web/*.mjs` are
//! the cases, this starts what they talk to and counts them.
//!
//! `tests/setup-peers` installs playwright-core; what is missing is said aloud, with what was skipped.
//! `ONLY=WORDS` runs the cases with these words in their names.

use std::path::PathBuf;
use std::process::Command;

use crate::support::broker_process::BrokerProcess;
use crate::support::peers::{installed, mosquitto, peers};
use crate::support::programs::skipped;

#[test]
fn the_dashboard_in_a_browser() {
    run("dashboard", 18);
}

#[test]
fn the_browser_client_in_a_browser() {
    run("client", 16);
}

#[test]
fn the_modules_of_the_pages() {
    run("modules", 8);
}

/// Runs a file of cases, which are `count` in number where everything is there.
fn run(file: &str, count: usize) {
    let Some((chromium, playwright)) = browser(count) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
    command.arg("broker");
    for words in [
        ["--listen", "mqtt://127.0.0.1:0"],
        ["--listen", "ws://127.0.0.1:0"],
        ["--http", "127.0.0.1:0"],
    ] {
        command.args(words);
    }
    let broker = BrokerProcess::start_as(command);
    let [tcp, ws, http] = broker.ports.as_slice() else {
        panic!("ports: {:?}", broker.ports);
    };
    // mosquitto 2.0 does not start with WebSockets alone.
    let foreign = mosquitto(folder.path(), |[plain, port]| {
        format!("listener {plain} 127.0.0.1\nlistener {port} 127.0.0.1\nprotocol websockets\n")
    });
    let mut command = Command::new("node");
    command
        .arg(format!("tests/web/{file}.mjs"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("BASE", format!("http://127.0.0.1:{http}"))
        .env("TCP", format!("127.0.0.1:{tcp}"))
        .env("WS", format!("ws://127.0.0.1:{ws}/"))
        .env("MQTTX", env!("CARGO_BIN_EXE_mqttx"))
        .env("CHROMIUM", chromium)
        .env("PLAYWRIGHT", playwright);
    if let Some((_, [_, port])) = &foreign {
        command.env("WS_MOSQUITTO", format!("ws://127.0.0.1:{port}/"));
    }
    let left = command.output().unwrap();
    let said = String::from_utf8_lossy(&left.stdout);
    let complained = String::from_utf8_lossy(&left.stderr);
    assert!(left.status.success(), "{said}\n{complained}");
    let done = said.lines().filter(|line| line.starts_with("ok ")).count();
    if foreign.is_some() && std::env::var_os("ONLY").is_none() {
        assert_eq!(done, count, "{said}");
    }
}

/// Chromium and the library that drives it, if both are there.
fn browser(count: usize) -> Option<(PathBuf, PathBuf)> {
    let playwright = peers().join("node/node_modules/playwright-core");
    let chromium = installed("chromium");
    if chromium.is_none() || installed("node").is_none() || !playwright.exists() {
        skipped(
            count,
            "node, chromium or playwright-core is missing (tests/setup-peers)",
        );
        return None;
    }
    Some((chromium?, playwright))
}
