//! What bench writes as JSON is what its published schema says, for every kind, also when it ends
//! before its end; and nothing is written that the schema does not know.

use std::io::BufRead;
use std::process::{Command, Stdio};

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::commands_bench::{Broker, SHORT, bench, json};

fn published() -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_mqttx"))
        .args(["bench", "schema"])
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Readers must put up with fields they do not know; here an unknown one is a forgotten one.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.contains_key("properties") {
                fields.insert("additionalProperties".to_owned(), json!(false));
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn strict() -> Validator {
    let mut schema = published();
    jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{error}"));
    close(&mut schema);
    jsonschema::validator_for(&schema).unwrap_or_else(|error| panic!("{error}"))
}

fn assert_valid(validator: &Validator, report: &Value, about: &str) {
    let faults: Vec<String> = validator
        .iter_errors(report)
        .map(|error| format!("{}: {error:.300}", error.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{about}: {faults:#?}");
}

#[test]
fn every_kind_writes_what_the_schema_says() {
    let validator = strict();
    let broker = Broker::start();
    for words in [
        "pubsub --pubs 2 --threshold lost=0 --threshold e2e.p99<9s",
        "pairs --pubs 1 -q 1 --rate 2k --arrival poisson",
        "fanin --pubs 2 -q 2 --max",
        "fanout --subs 2 -q 0 --max -s 4",
        "shared --pubs 2 --subs 2 -q 1 --rate 1k",
        "pub --pubs 1 -q 0 -s 16..64",
        "sub --subs 1 -q 0 -t nobody/#",
        "rr --pubs 1 -q 1 --rate 500",
        "conn --subs 20",
        "churn --pubs 2",
        "--pubs 1 -q 0 --find-max lost=0,e2e.p50<1ns",
    ] {
        let report = json(&bench(broker.port, &format!("{words} {SHORT}")));
        assert_valid(&validator, &report, words);
        assert_eq!(report["partial"], false, "{words}");
        assert_eq!(report["target"]["transport"], "tcp");
    }
}

#[test]
fn the_schema_refuses_what_is_no_report() {
    let validator = strict();
    let broker = Broker::start();
    let report = json(&bench(
        broker.port,
        &format!("--pubs 1 -q 0 --rate 1k {SHORT}"),
    ));
    assert_valid(&validator, &report, "as it is");
    for (pointer, wrong) in [
        ("/schema", json!("mqttx-bench/2")),
        ("/results/0/stage/qos", json!(3)),
        ("/results/0/counts/lost", json!(-1)),
        ("/results/0/e2e_us/p50", json!("1")),
        ("/results/0/stage", json!({})),
        ("/partial", Value::Null),
    ] {
        let mut report = report.clone();
        *report.pointer_mut(pointer).unwrap() = wrong;
        assert!(!validator.is_valid(&report), "{pointer}");
    }
}

#[cfg(unix)]
#[test]
fn stopped_by_a_signal_it_tells_what_it_has() {
    use rustix::process::{Pid, Signal, kill_process};
    let broker = Broker::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    let mut child = Command::new(env!("CARGO_BIN_EXE_mqttx"))
        .args(["bench", "-h", "127.0.0.1", "-p", &broker.port.to_string()])
        .args("--pubs 1 -q 0 --rate 1k --runs 99 --duration 1s --warmup 50ms --json".split(' '))
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It is in the middle of a run, or between the first two.
    let mut lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("(1"));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let status = child.wait().unwrap();
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(status.code(), Some(1), "{rest:?}");
    assert!(rest.join("\n").contains("stopped by a signal"), "{rest:?}");
    let report: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_valid(&strict(), &report, "stopped");
    assert_eq!(
        (&report["partial"], &report["ok"]),
        (&json!(true), &json!(false))
    );
    let counts = &report["results"][0]["counts"];
    assert!(counts["sent"].as_u64().unwrap() > 0, "{counts}");
    assert_eq!(counts["lost"], 0, "{counts}");
    assert_eq!(counts["unique"], counts["expected"]);
}

/// Before anything is measured there are no figures, and nothing more is sent.
#[cfg(unix)]
#[test]
fn stopped_before_it_measures_it_ends_as_well() {
    use rustix::process::{Pid, Signal, kill_process};
    let broker = Broker::start();
    let child = Command::new(env!("CARGO_BIN_EXE_mqttx"))
        .args(["bench", "-h", "127.0.0.1", "-p", &broker.port.to_string()])
        .args("--pubs 1 -q 1 --rate 100 --warmup 90s --drain 60s --runs 1 --json -".split(' '))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.unwrap();
    let mut lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("phase=measuring")));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let rest = std::thread::spawn(move || lines.map_while(Result::ok).count());
    let output = child.wait_with_output().unwrap();
    rest.join().unwrap();
    let report = json(&output);
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert_valid(&strict(), &report, "stopped");
    let result = &report["results"][0];
    assert_eq!(result["rate"]["sent"], Value::Null, "{report}");
    assert_eq!(result["counts"]["acked"], result["counts"]["sent"]);
    // In the time it would have been willing to wait it would have sent 6,000.
    assert!(
        result["counts"]["sent"].as_u64().unwrap() < 3_000,
        "{report}"
    );
}
