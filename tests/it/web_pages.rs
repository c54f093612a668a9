//! The dashboard and the browser client in Chromium, driven by playwright-core: `tests/web/*.mjs` are
//! the cases, this starts what they talk to and counts them.
//!
//! `tests/setup-peers` installs playwright-core; what is missing is said aloud, with what was skipped.
//! `ONLY=WORDS` runs the cases with these words in their names.

use std::path::PathBuf;
use std::process::Command;

use crate::support::broker_process::BrokerProcess;
use crate::support::peers::{installed, mosquitto, peers};
use crate::support::programs::{Program, skipped};

#[test]
fn the_dashboard_in_a_browser() {
    run("dashboard", 19, &open());
}

#[test]
fn the_browser_client_in_a_browser() {
    run("client", 16, &open());
}

#[test]
fn the_modules_of_the_pages() {
    run("modules", 8, &open());
}

#[test]
fn the_dashboard_of_a_broker_that_asks_who_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for words in ["-c -b users bob secret", "-b users amy secret"] {
        let left = Program::mqttx()
            .args(["passwd"])
            .words(&words.replace("users", &path("users")))
            .run();
        assert_eq!(left.status, 0, "{left:?}");
    }
    let rules = "user bob\ntopic readwrite here/#\ntopic write $CONTROL/broker/v1\n\
                 user amy\ntopic read #\n";
    std::fs::write(path("rules"), rules).unwrap();
    std::fs::write(path("token"), TOKEN).unwrap();
    let far = BrokerProcess::start(&[]);
    let lines = format!(
        "password_file {}\nacl_file {}\nlistener any 127.0.0.1\n\
         listener any 127.0.0.1\nprotocol websockets\n\
         listener any 127.0.0.1\nprotocol http\nhttp_token_file {}\n\
         connection up\naddress 127.0.0.1:{}\ntopic here/# out 1\n\
         connection nowhere\naddress 127.0.0.1:1\ntopic x out 1\n",
        path("users"),
        path("rules"),
        path("token"),
        far.port
    );
    run("guarded", 4, &BrokerProcess::configured(&lines, &[]));
}

/// What the token file of a broker holds.
const TOKEN: &str = "a-token-of-many-letters";

/// A broker that asks nobody who he is.
fn open() -> BrokerProcess {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
    command.arg("broker");
    for words in [
        ["--listen", "mqtt://127.0.0.1:0"],
        ["--listen", "ws://127.0.0.1:0"],
        ["--http", "127.0.0.1:0"],
    ] {
        command.args(words);
    }
    BrokerProcess::start_as(command)
}

/// Runs a file of cases, which are `count` in number where everything is there, against a broker
/// with listeners for MQTT, WebSocket and visitors.
fn run(file: &str, count: usize, broker: &BrokerProcess) {
    let Some((chromium, playwright)) = browser(count) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
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
        .env("TOKEN", TOKEN)
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
