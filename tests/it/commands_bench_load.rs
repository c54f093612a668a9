//! What a bench can be told about its load: payloads, topics, clients, ways to the broker, arrivals.
//! Whatever is sent is checked on arrival, so clean counts say that both sides agree.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::commands_bench::{Broker, SHORT, assert_clean, bench, json};

fn mqttx(words: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_mqttx"))
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn file(folder: &tempfile::TempDir, name: &str, content: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    path.display().to_string()
}

fn first(port: u16, words: &str) -> Value {
    json(&bench(port, &format!("{words} {SHORT}")))["results"][0].clone()
}

#[test]
fn payloads_of_ones_own_are_checked_like_any() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().unwrap();
    let lines = file(&folder, "lines", "one\nanother one\n\nfour\n");
    let template = file(
        &folder,
        "t.json",
        "{\"id\": %i, \"n\": %n, \"at\": %rand_1000, \"p\": \"%%\"}",
    );
    for words in [
        format!("--pubs 3 -q 1 --rate 2k --file {lines}"),
        format!("--pubs 2 --subs 4 -q 2 --rate 1k --file {lines} --split \\n"),
        format!("fanin --pubs 3 -q 0 --rate 2k --template {template}"),
        format!("shared --pubs 2 --subs 2 -q 1 --max --window 20 --template {template}"),
        "fanout --subs 3 -q 1 --rate 500 -s 16..4k".to_owned(),
    ] {
        let result = first(broker.port, &words);
        assert_clean(&result);
    }
    // "one" to "another one", each behind 24 bytes.
    let result = first(
        broker.port,
        &format!("--pubs 1 -q 0 --max --file {lines} --split \\n"),
    );
    assert_eq!(
        result["stage"]["payload_bytes"],
        serde_json::json!([24, 35])
    );
}

#[test]
fn what_cannot_be_sent_is_refused_before_any_load() {
    let folder = tempfile::tempdir().unwrap();
    let placeholder = file(&folder, "placeholder", "{%x}");
    let chance = file(&folder, "chance", "%rand_0");
    let twice = file(&folder, "twice.csv", "id,user\na,x\nb,y\na,z\n");
    let nameless = file(&folder, "nameless.csv", "id,password\na,x\nb,y\n");
    for (words, told) in [
        (format!("--template {placeholder}"), "after % may stand"),
        (format!("--template {chance}"), "above nought"),
        (format!("--pubs 1 --clients-csv {twice}"), "the same id 'a'"),
        (
            format!("-V 311 --pubs 1 --clients-csv {nameless}"),
            "needs MQTT 5",
        ),
        ("--pubs 100 -s 200M".to_owned(), "are the most"),
        ("--pubs 2 -s 150M..200M".to_owned(), "are the most"),
    ] {
        // Nobody listens there: whoever tried to connect would say so.
        let output = bench(1, &words);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words}: {stderr}");
        assert!(stderr.contains(told), "{words}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{words}: {stderr}");
    }
}

#[test]
fn payloads_can_be_exact() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().unwrap();
    let exact = file(
        &folder,
        "exact",
        "21.5 degrees, longer than any head would be",
    );
    let mut listener = Command::new(env!("CARGO_BIN_EXE_mqttx"))
        .args(["sub", "-p", &broker.port.to_string(), "-V", "5"])
        .args(["-t", "room/+/temp", "-C", "1", "-F", "%t %p %P"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Until the listener, whenever it has subscribed, has had its message.
    while listener.try_wait().unwrap().is_none() {
        let output = Command::new(env!("CARGO_BIN_EXE_mqttx"))
            .args(["bench", "pub", "-p", &broker.port.to_string()])
            .args(["-D", "publish user-property unit degree celsius"])
            .args(["-t", "room/%i/temp", "--pubs", "1", "-q", "1", "--max"])
            .args(["--no-verify", "--file", &exact, "--runs", "1"])
            .args(["--duration", "50ms", "--warmup", "0", "--quiet"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    let text = mqttx(&[
        "bench",
        "-p",
        &broker.port.to_string(),
        "--no-verify",
        "--max",
        "--pubs",
        "1",
        "-q",
        "0",
        "--runs",
        "1",
        "--duration",
        "50ms",
        "--warmup",
        "0",
        "--progress",
        "none",
    ]);
    let text = String::from_utf8(text.stdout).unwrap();
    // Nobody has looked for what is lost, so none is told.
    let row = text
        .lines()
        .find(|line| line.starts_with("    0 "))
        .unwrap();
    assert_eq!(row.matches(" – ").count(), 6, "{text}");
    assert!(text.contains("as fast as the broker reads"), "{text}");
    assert!(text.contains("(--no-verify)"), "{text}");
    let output = listener.wait_with_output().unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        line.trim(),
        "room/0/temp 21.5 degrees, longer than any head would be unit:degree celsius"
    );
}

#[test]
fn topics_follow_a_pattern() {
    let broker = Broker::start();
    for kind in [
        "pubsub --pubs 3",
        "fanin --pubs 3",
        "rr --pubs 2",
        "shared --pubs 3 --subs 2",
    ] {
        let words = format!("{kind} -q 1 --rate 500 -t site%rand_4/dev%i/value");
        assert_clean(&first(broker.port, &words));
    }
}

#[test]
fn retained_messages_do_not_stay() {
    let broker = Broker::start();
    let result = first(broker.port, "--pubs 2 -q 1 --rate 500 --retain -t kept/%i");
    assert_clean(&result);
    let port = broker.port.to_string();
    let words = [
        "sub",
        "-p",
        &port,
        "-t",
        "kept/#",
        "-C",
        "1",
        "-W",
        "1",
        "--retained-only",
    ];
    let output = mqttx(&words);
    assert_eq!(output.status.code(), Some(27), "{output:?}");
}

#[test]
fn each_client_may_be_somebody_else() {
    let folder = tempfile::tempdir().unwrap();
    let passwords = folder.path().join("passwords").display().to_string();
    for (option, user) in [("-c", "ann"), ("-b", "bob")] {
        let words: Vec<&str> = match option {
            "-c" => vec!["passwd", "-c", "-b", &passwords, user, "secret"],
            _ => vec!["passwd", "-b", &passwords, user, "secret"],
        };
        assert_eq!(mqttx(&words).status.code(), Some(0));
    }
    let broker = Broker::start_with(&["--port", "0", "--password-file", &passwords]);
    let good = file(
        &folder,
        "good.csv",
        "id,user,password\np,ann,secret\ns,bob,secret\n",
    );
    let words = format!("--pubs 1 -q 1 --rate 500 --clients-csv {good}");
    assert_clean(&first(broker.port, &words));

    let wrong = file(
        &folder,
        "wrong.csv",
        "user,password\nann,secret\nbob,guess\n",
    );
    let output = bench(broker.port, &format!("--pubs 1 --clients-csv {wrong}"));
    assert_eq!(output.status.code(), Some(134), "{output:?}");
    let output = bench(broker.port, &format!("--pubs 2 --clients-csv {good}"));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("2 lines for 4 clients"), "{told}");
}

#[cfg(target_os = "linux")]
#[test]
fn clients_take_turns_in_hosts_and_addresses() {
    let broker = Broker::start();
    let words = "--pubs 3 -q 1 --rate 500 -A 127.0.0.2,127.0.0.3 -h localhost,127.0.0.1";
    let output = Command::new(env!("CARGO_BIN_EXE_mqttx"))
        .args(["bench", "-p", &broker.port.to_string()])
        .args(words.split(' '))
        .args(SHORT.split(' '))
        .output()
        .unwrap();
    assert_clean(&json(&output)["results"][0]);
}

#[cfg(unix)]
#[test]
fn every_transport_is_named_in_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket").display().to_string();
    let broker = Broker::start_with(&[
        "--listen",
        "ws://127.0.0.1:0",
        "--listen",
        &format!("unix:{socket}"),
    ]);
    let words = format!("--pubs 2 -q 1 --rate 500 --ws {SHORT}");
    let report = json(&bench(broker.port, &words));
    assert_clean(&report["results"][0]);
    assert_eq!(report["target"]["transport"], "ws");

    let output = Command::new(env!("CARGO_BIN_EXE_mqttx"))
        .args([
            "bench", "--unix", &socket, "--pubs", "2", "-q", "2", "--rate", "500",
        ])
        .args(SHORT.split(' '))
        .output()
        .unwrap();
    let report = json(&output);
    assert_clean(&report["results"][0]);
    assert_eq!(report["target"]["transport"], "unix");
    assert_eq!(report["target"]["host"], socket.as_str());
}

#[test]
fn a_rate_may_rise() {
    let broker = Broker::start();
    let words = "--pubs 2 -q 0 --ramp 0..2k:500ms --runs 1 --json -";
    let report = json(&bench(broker.port, words));
    let result = &report["results"][0];
    assert_clean(result);
    assert_eq!(result["stage"]["ramp_from"], 0.0);
    // Half of what the last rate alone would be, and a sentinel message each.
    let sent = result["counts"]["sent"].as_u64().unwrap();
    assert!((470..=540).contains(&sent), "{sent}");
}

#[test]
fn connections_keep_to_their_rate() {
    let broker = Broker::start();
    let result = first(broker.port, "conn --subs 21 --conn-rate 100");
    // Twenty gaps of 10 ms at the least.
    let rate = result["connects_per_s"].as_f64().unwrap();
    assert!(rate <= 21.0 / 0.2 + 1.0, "{rate}");
    assert_eq!(result["counts"]["connects"], 21);
    // Of kinds that only connect it is *the* rate: each begins when it is due, and how late is told.
    for (words, name, rate) in [
        ("conn --subs 21 --rate 100", "connections at 100/s", 100.0),
        ("churn --pubs 64 --rate 400", "connects at 400/s", 400.0),
    ] {
        let result = first(broker.port, words);
        assert_eq!(result["name"], name);
        assert_eq!(result["stage"]["target_rate"], rate);
        assert!(result["lag_us"]["n"].as_u64().unwrap() > 0, "{result}");
        assert_eq!(result["counts"]["connect_errors"], 0, "{result}");
    }
}

#[test]
fn any_report_goes_to_standard_output() {
    let broker = Broker::start();
    for (option, told) in [
        ("--csv", "qos,mode"),
        ("--markdown", "| QoS"),
        ("--html", "<!doctype"),
    ] {
        let words = format!("--pubs 1 -q 0 --rate 500 {SHORT}").replace("--json", option);
        let output = bench(broker.port, &words);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(told), "{option}: {text}");
        assert!(
            !text.contains("Latency in ms, open loop"),
            "{option}: {text}"
        );
    }
}

#[test]
fn a_rate_beyond_reach_ends_with_a_clear_word() {
    let broker = Broker::start();
    let words = format!("--pubs 1 -q 2 --rate 20M --drain 200ms {SHORT}");
    let output = bench(broker.port, &words);
    let report = json(&output);
    let result = &report["results"][0];
    assert!(result["counts"]["unsent"].as_u64().unwrap() > 0);
    let doubts = report["doubts"].to_string();
    assert!(doubts.contains("is beyond reach"), "{doubts}");
    // What was on the way when patience ended is awaited, and not called lost.
    assert_eq!(result["counts"]["lost"], 0, "{report}");
    assert_eq!(output.status.code(), Some(0));
    let strict = bench(broker.port, &format!("{words} --strict"));
    assert_eq!(strict.status.code(), Some(82));
    let rate = result["rate"]["received"].as_f64().unwrap();
    assert!(rate < 20e6, "{rate}");
}
