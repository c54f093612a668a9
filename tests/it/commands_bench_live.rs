//! What others can see of a bench while it goes: lines on standard error, and the figures for
//! Prometheus.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::commands_bench::{Broker, bench};

const PATIENCE: Duration = Duration::from_secs(60);

fn started(port: u16, words: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_mqttx"))
        .args(["bench", "-h", "127.0.0.1", "-p", &port.to_string()])
        .args(words.split_whitespace())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn ask(place: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(place).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The value behind a name and its labels, if it is there.
fn value(page: &str, name: &str) -> Option<f64> {
    let line = page
        .lines()
        .find(|line| line.starts_with(&format!("{name}{{")))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

#[test]
fn prometheus_sees_the_run() {
    let broker = Broker::start();
    let words = "--pubs 2 -q 1 --rate 2k --duration 60s --runs 1 --prometheus 127.0.0.1:0";
    let mut child = started(broker.port, words);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let place = line.strip_prefix("prometheus: http://").unwrap();
    let place = place.strip_suffix("/metrics").unwrap();

    let since = Instant::now();
    let page = loop {
        let page = ask(place, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
        if value(&page, "mqttx_bench_e2e_seconds_count").is_some_and(|count| count > 1_000.0) {
            break page;
        }
        assert!(since.elapsed() < PATIENCE, "{page}");
        std::thread::sleep(Duration::from_millis(50));
    };
    let got = |name: &str| value(&page, name).unwrap_or_else(|| panic!("{name}: {page}"));
    assert!(got("mqttx_bench_sent_total") >= 1_000.0);
    assert!(got("mqttx_bench_received_total") <= got("mqttx_bench_expected_total"));
    assert!(got("mqttx_bench_e2e_seconds") > 0.0);
    assert!(page.contains("run=\"1\""));

    assert!(ask(place, "GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
    assert!(ask(place, "POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
    // A head without an end is not answered, and the next one is.
    assert_eq!(ask(place, &"x".repeat(9_000)), "");
    // Nor is one that comes a byte at a time and never ends; who asks behind it waits for it no longer.
    let mut slow = TcpStream::connect(place).unwrap();
    let dripping = std::thread::spawn(move || {
        let since = Instant::now();
        while slow.write_all(b"x").is_ok() && since.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(100));
        }
        since.elapsed() < PATIENCE
    });
    assert!(ask(place, "GET /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200"));
    assert!(dripping.join().unwrap(), "it was never hung up on");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_log_gets_a_line_a_second() {
    let broker = Broker::start();
    let words = "--pubs 1 -q 0 --rate 1k --duration 60s --runs 1";
    let mut child = started(broker.port, words);
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    for line in lines.take(2) {
        let line = line.unwrap();
        let pairs = line.strip_prefix("QoS 0 at 1,000/s (1): ").unwrap();
        assert!(pairs.split(' ').all(|pair| pair.contains('=')), "{line}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn an_address_that_cannot_be_had_is_said_before_any_load() {
    let broker = Broker::start();
    for place in ["nonsense", "127.0.0.1:99999", "192.0.2.1:0"] {
        let output = bench(broker.port, &format!("--prometheus {place}"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(
            stderr.contains(&format!("--prometheus {place}")),
            "{stderr}"
        );
    }
}
