//! `mqttx bench` as a process: against our own broker, and against brokers that do wrong on
//! purpose. What it says must be right each time, and it must come to an end.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than any step here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Our broker in a process of its own, ended with the test.
struct Broker {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Broker {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ready: PathBuf = folder.path().join("ready");
        let process = Command::new(env!("CARGO_BIN_EXE_mqttx"))
            .args(["broker", "--quiet", "--port", "0", "--ready-file"])
            .arg(&ready)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let since = Instant::now();
        let text = loop {
            if let Ok(text) = std::fs::read_to_string(&ready) {
                break text;
            }
            assert!(since.elapsed() < PATIENCE, "the broker did not start");
            std::thread::sleep(Duration::from_millis(5));
        };
        let value: Value = serde_json::from_str(&text).unwrap();
        let address = value["listeners"][0]["address"].as_str().unwrap();
        let port = address.rsplit_once(':').unwrap().1.parse().unwrap();
        Self {
            process,
            port,
            _folder: folder,
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn bench(port: u16, words: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mqttx"))
        .args(["bench", "-h", "127.0.0.1", "-p", &port.to_string()])
        .args(words.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "{error}: {} {}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

/// Every count that must be nought when all is well.
fn assert_clean(result: &Value) {
    let counts = &result["counts"];
    for name in [
        "lost",
        "duplicates",
        "reordered",
        "corrupt",
        "misrouted",
        "strays",
        "unsent",
        "disconnects",
        "connect_errors",
    ] {
        assert_eq!(counts[name], 0, "{name} in {counts}");
    }
    assert!(counts["sent"].as_u64().unwrap() > 0);
    assert_eq!(counts["unique"], counts["expected"]);
}

const SHORT: &str = "--duration 200ms --warmup 50ms --runs 1 --json -";

#[test]
fn every_qos_is_measured_and_verified() {
    let broker = Broker::start();
    let output = bench(broker.port, &format!("--pubs 2 --subs 2 {SHORT}"));
    let report = json(&output);
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert_eq!(report["schema"], "mqttx-bench/1");
    let results = report["results"].as_array().unwrap();
    assert_eq!(results.len(), 6);
    for (at, result) in results.iter().enumerate() {
        assert_clean(result);
        assert_eq!(result["stage"]["qos"], at / 2);
        let is_open = at % 2 == 1;
        assert_eq!(result["e2e_us"]["n"].as_u64().unwrap() > 0, is_open);
        if at >= 2 {
            assert_eq!(result["counts"]["acked"], result["counts"]["sent"]);
        }
    }
}

#[test]
fn every_kind_counts_its_own_copies() {
    let broker = Broker::start();
    for (words, copies) in [
        ("pairs --pubs 3 --subs 3", 1),
        ("fanin --pubs 4 --subs 2", 2),
        ("fanout --subs 5", 5),
        ("shared --pubs 3 --subs 4", 1),
        ("pub --pubs 2 --max", 0),
    ] {
        let rate = if copies == 0 { "" } else { "--rate 2k" };
        let output = bench(broker.port, &format!("{words} -q 1 {rate} {SHORT}"));
        let report = json(&output);
        assert_eq!(output.status.code(), Some(0), "{words}: {report}");
        let counts = &report["results"][0]["counts"];
        let sent = counts["sent"].as_u64().unwrap();
        assert_eq!(
            counts["expected"].as_u64().unwrap(),
            copies * sent,
            "{words}"
        );
        assert_clean(&report["results"][0]);
    }
}

#[test]
fn nobody_listens() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let output = bench(port, "");
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("Connection refused"), "{told}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_table_is_for_people() {
    let broker = Broker::start();
    let words = "--pubs 1 -q 0 --duration 200ms --warmup 50ms --runs 2";
    let output = bench(broker.port, words);
    let table = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{table}");
    for part in [
        "Highest rate, closed loop",
        "Latency in ms, open loop",
        "p99.9",
        "spread",
    ] {
        assert!(table.contains(part), "{part} in {table}");
    }
    let quiet = bench(broker.port, &format!("{words} --quiet"));
    assert!(quiet.stdout.is_empty());
    assert!(quiet.stderr.is_empty());
}
