//! Conformance: the scripts of `tests/spec`, one a rule of the MQTT standards, and what runs them.
//!
//! One corpus, several worlds: the broker's binary over TCP, and any other broker, to learn what it does
//! (`MQTTX_SPEC_BROKER=host:port cargo test --test it spec::foreign`). The runner's bytes are its own
//! (`encode`, `decode`, `property`): nothing of `mqttx::mqtt` is used, so that two readings of the
//! standard meet. `MQTTX_SPEC_ONLY=text` runs the cases whose line has that text.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]
#![expect(clippy::print_stdout, reason = "what was skipped is said aloud")]

mod binary;
mod core;
mod decode;
mod differences;
mod encode;
mod expect;
mod matching;
mod property;
mod rules;
mod run;
mod script;
mod self_test;
mod settings;
mod suite;
mod tcp;
mod watch;
mod wire;
mod world;

use crate::spec::binary::Binary;
use crate::spec::core::Core;
use crate::spec::tcp::Tcp;
use std::net::ToSocketAddrs;

/// So many cases sleep or wait for the broker at one time.
const THREADS: usize = 24;

#[test]
fn scripts_are_many_and_every_rule_has_one() {
    let cases = suite::read_all();
    assert!(cases.len() >= 600, "only {} cases", cases.len());
    let mut faults = Vec::new();
    for folder in ["v5", "v3"] {
        let path = format!("tests/spec/{folder}/");
        let of_folder = cases.iter().filter(|case| case.file.starts_with(&path));
        let named: Vec<&str> = of_folder.map(|case| case.rule.as_str()).collect();
        faults.extend(rules::faults(folder, &named));
    }
    for case in &cases {
        let (family, number) = case.rule.split_once('-').unwrap_or((&case.rule, ""));
        let numbered = number.starts_with(|c: char| c.is_ascii_digit());
        if !matches!(family, "MQTT" | "MQTT31") || !numbered {
            faults.push(format!(
                "{}:{} names no rule: {}",
                case.file, case.line, case.rule
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn foreign_broker_is_as_the_notes_say() {
    let Ok(address) = std::env::var("MQTTX_SPEC_BROKER") else {
        println!("set MQTTX_SPEC_BROKER=host:port to compare another broker");
        return;
    };
    let address = address.to_socket_addrs().unwrap().next().unwrap();
    let cases = suite::read_all();
    let report = suite::run_all(&cases, THREADS, |wanted| Tcp::new(address, false, wanted));
    let (noted, new): (Vec<_>, Vec<_>) = report.failed.iter().partition(|f| f.noted.is_some());
    for failure in noted {
        let head = failure.text.lines().next().unwrap_or_default();
        println!(
            "differs, as noted: {head}\n    {}",
            failure.noted.as_deref().unwrap_or_default()
        );
    }
    println!("{}", report.summary());
    let new: Vec<&str> = new.iter().map(|f| f.text.as_str()).collect();
    assert!(
        new.is_empty(),
        "{} differences without a note:\n\n{}",
        new.len(),
        new.join("\n\n")
    );
}

#[test]
fn core_keeps_the_standard() {
    check_core(1, usize::MAX);
}

#[test]
fn core_of_several_workers_keeps_the_standard() {
    check_core(3, usize::MAX);
}

#[test]
fn core_keeps_the_standard_when_bytes_come_one_at_a_time() {
    check_core(2, 1);
}

/// Every case runs here: time costs nothing, so none is skipped for it.
fn check_core(workers: u16, piece: usize) {
    let cases = suite::read_all();
    let report = suite::run_all(&cases, 2, |wanted| Core::new(workers, piece, wanted));
    println!("{}", report.summary());
    report.check();
}

/// What `mqttx broker -c` does otherwise is what mosquitto does otherwise, and all of it is listed.
#[test]
fn binary_of_a_mosquitto_conf_differs_as_listed() {
    let mut broker = Binary::configured();
    let address = broker.address;
    let cases = suite::read_all();
    let report = suite::run_all(&cases, THREADS, |wanted| Tcp::new(address, true, wanted));
    broker.check_alive();
    println!("{}", report.summary());
    let failed: Vec<_> = report.failed.iter().map(|f| f.script.clone()).collect();
    let faults = differences::faults(&failed);
    let texts: Vec<&str> = report.failed.iter().map(|f| f.text.as_str()).collect();
    assert!(
        faults.is_empty(),
        "{}\n\n{}",
        faults.join("\n"),
        texts.join("\n\n")
    );
}

/// Cases that wait longer than a few seconds are skipped here, and said so.
#[test]
fn binary_keeps_the_standard() {
    let mut broker = Binary::start();
    let address = broker.address;
    let cases = suite::read_all();
    let report = suite::run_all(&cases, THREADS, |wanted| Tcp::new(address, true, wanted));
    broker.check_alive();
    println!("{}", report.summary());
    report.check();
}
