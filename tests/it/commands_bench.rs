//! `mqttx bench` as a process: against our own broker, and against brokers that do wrong on
//! purpose. What it says must be right each time, and it must come to an end.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use mqttx::mqtt::{PacketType, Version};
use serde_json::Value;

use crate::commands_bench_faults::grant;
use crate::support::scripted_broker::{Peer, ScriptedBroker};

/// Longer than any step here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Our broker in a process of its own, ended with the test.
pub(crate) struct Broker {
    pub(crate) process: Child,
    pub(crate) port: u16,
    _folder: tempfile::TempDir,
}

impl Broker {
    pub(crate) fn start() -> Self {
        Self::start_with(&["--port", "0"])
    }

    pub(crate) fn start_with(words: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ready: PathBuf = folder.path().join("ready");
        let process = Command::new(env!("CARGO_BIN_EXE_mqttx"))
            .args(["broker", "--quiet", "--ready-file"])
            .arg(&ready)
            .args(words)
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

pub(crate) fn bench(port: u16, words: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mqttx"))
        .args(["bench", "-h", "127.0.0.1", "-p", &port.to_string()])
        .args(words.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "{error}: {} {}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

/// The report, and how it ended.
pub(crate) fn measured(port: u16, words: &str) -> (Output, Value) {
    let output = bench(port, words);
    let report = json(&output);
    (output, report)
}

/// A count of the first result.
pub(crate) fn counts(report: &Value, name: &str) -> u64 {
    report["results"][0]["counts"][name].as_u64().unwrap()
}

/// Every count that must be nought when all is well.
pub(crate) fn assert_clean(result: &Value) {
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

pub(crate) const SHORT: &str = "--duration 200ms --warmup 50ms --runs 1 --json -";

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

/// Coordinated omission: a second in which the broker did nothing is in the latencies, because
/// messages count from when they were due.
#[cfg(unix)]
#[test]
fn a_stopped_broker_is_late_not_absent() {
    use rustix::process::{Pid, Signal, kill_process};
    use std::io::{BufRead as _, BufReader};
    let broker = Broker::start();
    let mut running = Command::new(env!("CARGO_BIN_EXE_mqttx"))
        .args(["bench", "-h", "127.0.0.1", "-p", &broker.port.to_string()])
        .args("--pubs 1 -q 1 --rate 1k --duration 5s --warmup 1s --runs 1 --json -".split(' '))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let told = BufReader::new(running.stderr.take().unwrap());
    let mut lines = told.lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("phase=measuring")));
    // The rest is not waited for, only taken.
    let rest = std::thread::spawn(move || lines.count());
    let pid = Pid::from_child(&broker.process);
    kill_process(pid, Signal::STOP).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    kill_process(pid, Signal::CONT).unwrap();
    let output = running.wait_with_output().unwrap();
    rest.join().unwrap();
    let report = json(&output);
    assert_eq!(output.status.code(), Some(0), "{report}");
    let result = &report["results"][0];
    assert_clean(result);
    let p99 = result["e2e_us"]["p99"].as_f64().unwrap();
    assert!(p99 > 800_000.0, "p99 {p99} µs");
    assert!(result["e2e_us"]["p50"].as_f64().unwrap() < 800_000.0);
}

#[test]
fn thresholds_decide_the_exit_status() {
    let broker = Broker::start();
    let words = format!("--pubs 1 -q 1 --rate 2k {SHORT}");
    for (threshold, status) in [
        ("e2e.p50<60s", 0),
        ("lost=0", 0),
        ("e2e.p50<1ns", 99),
        ("rate[q1]>=1M", 99),
        // Too few samples for this one.
        ("e2e.p9999<60s", 99),
    ] {
        let output = bench(broker.port, &format!("{words} --threshold {threshold}"));
        let report = json(&output);
        assert_eq!(output.status.code(), Some(status), "{threshold}: {report}");
        assert_eq!(report["thresholds"][0]["ok"], status == 0);
    }
}

#[test]
fn nonsense_is_refused_before_any_load() {
    // Nobody listens there: whoever tried to connect would say so.
    for (words, told) in [
        ("--threshold e2e.p98<5ms", "no metric"),
        ("--threshold e2e.p99<5", "no value"),
        ("--max --threshold e2e.p99<5ms", "--rate"),
        ("-q 0 --threshold ack.p99<5ms", "acknowledgements"),
        ("-q 0 --threshold rate[q1]>1", "not measured"),
        ("--threshold vs.baseline.rate>1", "--baseline"),
        ("--baseline /nonexistent", "cannot read"),
        ("--find-max nonsense", "is wanted"),
        ("-s 4 --rate 5", "16 bytes"),
        ("--topics 99", "99"),
        ("pub --threshold lost=0", "nobody would know"),
        ("--max --no-verify --threshold dup=0", "nobody would know"),
        ("conn --threshold corrupt=0", "nobody would know"),
        ("churn --threshold refused=0", "publishes nothing"),
        ("-q 0 --threshold refused=0", "acknowledgements"),
        ("conn --retain", "--retain: this kind"),
        ("--max --arrival poisson", "--rate"),
        ("--json /nonexistent/run.json", "cannot write"),
        ("--hdr /nonexistent/run", "cannot write"),
    ] {
        let output = bench(1, words);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words}: {stderr}");
        assert!(stderr.contains(told), "{words}: {stderr}");
        assert!(!stderr.contains("cannot connect"), "{words}: {stderr}");
    }
}

#[test]
fn every_format_tells_the_same_run() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let words = format!(
        "--pubs 1 -q 0 --rate 2k --duration 200ms --warmup 50ms --runs 2 --quiet \
         --json {} --csv {} --markdown {} --junit {} --hdr {} --threshold lost=0",
        path("run.json"),
        path("run.csv"),
        path("run.md"),
        path("run.xml"),
        path("run")
    );
    let output = bench(broker.port, &words);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let report: Value = serde_json::from_str(&read("run.json")).unwrap();
    let sent = report["results"][0]["counts"]["sent"].to_string();
    let csv = read("run.csv");
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0].len(), lines[1].len());
    let column = lines[0].iter().position(|name| *name == "sent").unwrap();
    assert_eq!(lines[1][column], sent);
    assert!(read("run.md").contains("✅ `lost=0`"));
    assert!(read("run.xml").contains("failures=\"0\""));
    let samples = report["results"][0]["e2e_us"]["n"].to_string();
    assert!(read("run-0-q0.hgrm").contains(&format!("{samples:>12}]")));

    let compared = Command::new(env!("CARGO_BIN_EXE_mqttx"))
        .args(["bench", "compare", &path("run.json"), &path("run.json")])
        .output()
        .unwrap();
    let table = String::from_utf8_lossy(&compared.stdout);
    assert!(table.contains("no difference"), "{table}");

    let relative = format!(
        "--pubs 1 -q 0 --rate 2k {SHORT} --baseline {} --threshold vs.baseline.rate>=1%",
        path("run.json")
    );
    let output = bench(broker.port, &relative);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn only_like_is_compared_with_like() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for (name, words) in [
        ("pub", "pub --pubs 1 -q 1"),
        ("churn", "churn --pubs 1"),
        ("rate", "--pubs 1 -q 1 --rate 500"),
    ] {
        let words = format!(
            "{words} {}",
            SHORT.replace("--json -", &format!("--json {}", path(name)))
        );
        let output = bench(broker.port, &words);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    for (one, other, told) in [
        ("pub", "pub", "rate"),
        ("churn", "churn", "connects"),
        ("rate", "rate", "e2e p50 at 500/s"),
        ("pub", "rate", ""),
        ("churn", "pub", ""),
        ("rate", "churn", ""),
    ] {
        let compared = Command::new(env!("CARGO_BIN_EXE_mqttx"))
            .args(["bench", "compare", &path(one), &path(other)])
            .output()
            .unwrap();
        let table = String::from_utf8_lossy(&compared.stdout);
        let errors = String::from_utf8_lossy(&compared.stderr);
        assert_eq!(compared.status.success(), !told.is_empty(), "{errors}");
        assert!(table.contains(told), "{one}, {other}: {table}");
        assert_eq!(errors.contains("can be compared"), told.is_empty());
    }
}

#[test]
fn steps_and_searches_measure_one_rate_after_the_other() {
    let broker = Broker::start();
    let words = "--pubs 1 -q 0 --steps 1k..3k:3 --threshold lost=0 --threshold e2e.p50[@2k]<60s";
    let report = json(&bench(broker.port, &format!("{words} {SHORT}")));
    let rates: Vec<&Value> = report["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| &result["stage"]["target_rate"])
        .collect();
    assert_eq!(rates, [1_000.0, 2_000.0, 3_000.0]);
    // Each step has its figures, and what must hold is judged on each, or on the one that is named.
    for (at, rate) in ["1000", "2000", "3000"].iter().enumerate() {
        let metric = |name: &str| report["metrics"][format!("q0@{rate}.{name}")].as_f64();
        let result = &report["results"][at];
        assert_eq!(metric("lost"), Some(0.0), "{report}");
        assert_eq!(metric("rate"), result["rate"]["received"].as_f64());
        let p50 = metric("e2e.p50_ms").unwrap();
        let p50_us = result["e2e_us"]["p50"].as_f64().unwrap();
        assert!((1e3 * p50 - p50_us).abs() < 1e-6 * p50_us, "{report}");
    }
    assert_eq!(report["metrics"]["q0.e2e.p50_ms"], Value::Null);
    let judged: Vec<(&Value, &Value)> = report["thresholds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|verdict| (&verdict["expr"], &verdict["row"]))
        .collect();
    assert_eq!(judged.len(), 4, "{report}");
    assert_eq!(judged[3].1, "QoS 0 at 2,000/s", "{report}");

    let words = "--find-max lost=0,e2e.p50<60s --threshold found>=1 --threshold e2e.p50<60s";
    let words = format!("--pubs 1 -q 2 {words} {SHORT}");
    let report = json(&bench(broker.port, &words));
    // Of the rates it tried, only what it found is a result.
    let found = report["found"][0]["rate"].as_f64().unwrap();
    assert_eq!(report["metrics"]["q2.found"], found, "{report}");
    let verdicts = report["thresholds"].as_array().unwrap();
    assert_eq!(verdicts.len(), 2, "{report}");
    assert!(
        verdicts.iter().all(|verdict| verdict["ok"] == true),
        "{report}"
    );
    assert_eq!(verdicts[0]["value"], format!("{found:.0}"), "{report}");
    assert_eq!(report["found"][0]["qos"], 2);
    assert!(
        report["found"][0]["rate"].as_f64().unwrap() > 0.0,
        "{report}"
    );
}

#[test]
fn requests_are_timed_to_their_replies() {
    let broker = Broker::start();
    let output = bench(broker.port, &format!("rr --pubs 3 -q 1 {SHORT}"));
    let report = json(&output);
    assert_eq!(output.status.code(), Some(0), "{report}");
    for result in report["results"].as_array().unwrap() {
        assert_clean(result);
        assert_eq!(result["counts"]["expected"], result["counts"]["sent"]);
    }
}

#[test]
fn connections_are_counted_that_stay_and_that_come_and_go() {
    let broker = Broker::start();
    let report = json(&bench(broker.port, &format!("conn --subs 150 {SHORT}")));
    let result = &report["results"][0];
    assert_eq!(result["counts"]["connects"], 150);
    assert_eq!(result["connect_us"]["n"], 150);
    assert!(result["connects_per_s"].as_f64().unwrap() > 0.0);

    let report = json(&bench(broker.port, &format!("churn --pubs 4 {SHORT}")));
    let result = &report["results"][0];
    assert_eq!(result["counts"]["connect_errors"], 0, "{report}");
    assert!(result["counts"]["connects"].as_u64().unwrap() > 4);
}

#[test]
fn own_lag_ends_where_a_connection_begins() {
    const HELD: Duration = Duration::from_millis(200);
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut peers: Vec<Peer> = (0..5)
            .map(|_| {
                let mut peer = broker.accept_raw();
                peer.expect(PacketType::Connect);
                peer
            })
            .collect();
        // All of them are there, and wait.
        std::thread::sleep(HELD);
        for peer in &mut peers {
            peer.send(&[0x20, 2, 0, 0]);
        }
        peers.iter_mut().for_each(grant);
        for mut peer in peers {
            while peer.next_frame().is_some() {}
        }
    });
    let words = format!("conn -V 311 --subs 5 --rate 20 {SHORT}");
    let (output, report) = measured(script.port, &words);
    script.join();
    assert_eq!(output.status.code(), Some(0), "{report}");
    let result = &report["results"][0];
    let mean = |name: &str| result[name]["mean"].as_f64().unwrap();
    assert_eq!(result["lag_us"]["n"], 5, "{report}");
    let held = mean("connect_us") - mean("lag_us");
    // Histograms keep three digits.
    assert!(
        held > 0.99 * HELD.as_micros() as f64,
        "a broker's delay is not ours: {held} µs in {report}"
    );
}

#[test]
fn a_subscriber_alone_counts_what_others_publish() {
    let broker = Broker::start();
    let port = broker.port;
    let listening = std::thread::spawn(move || {
        let words = "sub -t mine/# -q 0 --duration 2s --warmup 0s --runs 1 --json -";
        bench(port, words)
    });
    // Published the whole time, so that no moment has to be met.
    let words = "-t mine -q 0 --pubs 1 --rate 1k --duration 2500ms --warmup 0s --runs 1 --json -";
    json(&bench(port, words));
    let report = json(&listening.join().unwrap());
    let result = &report["results"][0];
    assert!(
        result["rate"]["received"].as_f64().unwrap() > 0.0,
        "{report}"
    );
    assert_eq!(report["verified"], false);
}
