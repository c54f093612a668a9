//! A bench whose load is made by agents: what they counted is one report, and an agent that dies,
//! lies or is not there is told so by name.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use serde_json::{Value, json};

use crate::commands_bench::{Broker, SHORT, assert_clean, bench, json};

struct Agent {
    process: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Agent {
    fn start(port: u16, name: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_mqttx"))
            .args(["bench", "agent", "-h", "127.0.0.1", "-p", &port.to_string()])
            .args(["--name", name])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        assert_eq!(line, format!("agent {name}: ready"));
        Self { process, lines }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.lines.by_ref().map_while(Result::ok).for_each(drop);
    }
}

#[test]
fn two_agents_are_one_report() {
    let broker = Broker::start();
    let _one = Agent::start(broker.port, "one");
    let _two = Agent::start(broker.port, "two");
    let words = format!("--pubs 3 -q 0,1 --rate 900 --agents one,two {SHORT} --runs 2");
    let report = json(&bench(broker.port, &words.replace("--runs 1", "")));
    let names: Vec<&Value> = report["agents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|agent| &agent["name"])
        .collect();
    assert_eq!(names, ["one", "two"]);
    assert!(report["agents"][0]["clock_error_us"].as_f64().unwrap() >= 0.0);
    for result in report["results"].as_array().unwrap() {
        assert_clean(result);
        // 250 ms at 900/s, twice, and a sentinel of each publisher and run.
        let sent = result["counts"]["sent"].as_u64().unwrap();
        assert!((440..=466).contains(&sent), "{sent}");
        assert_eq!(result["counts"]["connects"], 12);
        assert!(result["e2e_us"]["n"].as_u64().unwrap() >= 340);
    }

    let report = json(&bench(
        broker.port,
        &format!("conn --subs 9 --agents two,one {SHORT}"),
    ));
    assert_eq!(report["results"][0]["counts"]["connects"], 9);
}

/// Deliveries to the subscribers of one agent from the publishers of another: every one counted, and
/// timed by two clocks that are known to differ by so much at most.
#[test]
fn messages_pass_from_one_agent_to_another() {
    let broker = Broker::start();
    let _one = Agent::start(broker.port, "one");
    let _two = Agent::start(broker.port, "two");
    for (words, copies) in [
        ("fanin --pubs 3 --subs 1 -q 1 --rate 600", 1),
        ("fanout --subs 5 -q 2 --rate 300", 5),
        ("shared --pubs 2 --subs 3 -q 1 --rate 400", 1),
        ("--pubs 4 --subs 2 -q 0 --rate 400", 1),
        ("fanin --pubs 2 --subs 2 -q 1 --max --inflight 10", 2),
        ("fanin --pubs 3 --subs 2 -q 1 --rate 300 --retain", 2),
    ] {
        let report = json(&bench(
            broker.port,
            &format!("{words} --agents one,two {SHORT}"),
        ));
        let result = &report["results"][0];
        assert_clean(result);
        let counts = &result["counts"];
        let sent = counts["sent"].as_u64().unwrap();
        assert!(sent > 50, "{words}: {report}");
        assert_eq!(counts["expected"], sent * copies, "{words}: {report}");
        assert_eq!(counts["unique"], sent * copies, "{words}: {report}");
        let error = report["latency_error_us"].as_f64().unwrap();
        assert!(error > 0.0 && error < 5e6, "{words}: {error}");
    }
    let report = json(&bench(
        broker.port,
        &format!("--pubs 2 -q 1 --rate 300 --agents one,two {SHORT}"),
    ));
    assert_eq!(report["latency_error_us"], Value::Null);
}

#[test]
fn what_agents_see_of_the_broker_and_of_the_run_is_told() {
    let broker = Broker::start();
    let _one = Agent::start(broker.port, "one");
    let _two = Agent::start(broker.port, "two");
    let words = "--pubs 2 -q 1 --rate 1k --duration 5s --warmup 0s --runs 1 --threads 2";
    let output = bench(
        broker.port,
        &format!("{words} --agents one,two --progress line --json -"),
    );
    let report = json(&output);
    let result = &report["results"][0];
    assert_clean(result);
    // Two of each agent, one for its publisher and one for its subscriber.
    assert_eq!(report["host"]["generator_threads"], 4, "{report}");
    if cfg!(target_os = "linux") {
        assert!(result["target_rss_bytes"].as_u64().unwrap() > 0, "{report}");
        assert!(result["cpu"]["target_cores"].as_f64().unwrap() >= 0.0);
    }
    // What both have sent, while it goes.
    let told = String::from_utf8_lossy(&output.stderr);
    let sent: Vec<u64> = told
        .lines()
        .filter_map(|line| line.split("sent=").nth(1)?.split_once(' '))
        .filter_map(|(sent, _)| sent.replace([',', '/', 's'], "").parse().ok())
        .collect();
    assert!(sent.iter().any(|&sent| sent > 0), "{told}");
    let rates: Vec<f64> = told
        .lines()
        .filter(|line| line.contains("phase=measuring"))
        .filter_map(|line| line.split("sent_rate=").nth(1)?.split_once(' '))
        .filter_map(|(rate, _)| rate.parse().ok())
        .collect();
    let moving = rates.iter().filter(|&&rate| rate > 0.0).count();
    assert!(moving > 0 && 2 * moving > rates.len(), "{told}");
}

#[test]
fn subscribers_on_several_machines_add_up() {
    let broker = Broker::start();
    let _one = Agent::start(broker.port, "one");
    let _two = Agent::start(broker.port, "two");
    let words = "sub -t from/others --subs 3 -q 0 --agents one,two --duration 3s --warmup 0s";
    let port = broker.port;
    let running =
        std::thread::spawn(move || json(&bench(port, &format!("{words} --runs 1 --json -"))));
    // Until the bench is over somebody publishes.
    while !running.is_finished() {
        let status = Command::new(env!("CARGO_BIN_EXE_mqttx"))
            .args(["pub", "-h", "127.0.0.1", "-p", &port.to_string()])
            .args(["-t", "from/others", "-m", "x", "--repeat", "10"])
            .status();
        assert!(status.unwrap().success());
    }
    let report = running.join().unwrap();
    let result = &report["results"][0];
    assert_eq!(result["counts"]["connects"], 3, "{report}");
    assert!(
        result["rate"]["received"].as_f64().unwrap() > 0.0,
        "{report}"
    );
}

#[test]
fn an_agent_that_dies_in_the_middle_is_named() {
    let broker = Broker::start();
    let _one = Agent::start(broker.port, "one");
    let mut two = Agent::start(broker.port, "two");
    let child = Command::new(env!("CARGO_BIN_EXE_mqttx"))
        .args(["bench", "-h", "127.0.0.1", "-p", &broker.port.to_string()])
        .args("--pubs 2 -q 1 --rate 500 --duration 60s --agents one,two --json -".split(' '))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Messages of its publisher say that it is at work.
    let heard = Command::new(env!("CARGO_BIN_EXE_mqttx"))
        .args(["sub", "-h", "127.0.0.1", "-p", &broker.port.to_string()])
        .args(["-t", "mqttx-bench/#", "-C", "50", "-W", "60", "-F", "%t"])
        .output()
        .unwrap();
    assert_eq!(heard.status.code(), Some(0), "{heard:?}");
    two.process.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_trouble(&output, "agent two is gone in the middle");
    // The other one is free for the next bench.
    let report = json(&bench(
        broker.port,
        &format!("--pubs 1 -q 0 --rate 500 --agents one {SHORT}"),
    ));
    assert_clean(&report["results"][0]);
}

fn assert_trouble(output: &Output, told: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(told), "{stderr}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["partial"], true);
    assert_eq!(
        report["results"][0]["rate"]["sent"],
        Value::Null,
        "{report}"
    );
}

/// Answers as an agent does, until it is asked to work: then it says `lie`.
fn liar(port: u16, lie: impl Fn(Value) -> String + Send + 'static) -> Child {
    let port = port.to_string();
    let mut ears = Command::new(env!("CARGO_BIN_EXE_mqttx"))
        .args(["sub", "-h", "127.0.0.1", "-p", &port, "-q", "1"])
        .args(["-t", "mqttx-bench-agents/to/liar", "-F", "%p"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(ears.stdout.take().unwrap()).lines();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let asked: Value = serde_json::from_str(&line).unwrap();
            let mut said = json!({ "agent": "liar", "id": asked["id"] });
            let text = match asked["type"].as_str().unwrap() {
                "hello" => {
                    said["type"] = "welcome".into();
                    said.to_string()
                }
                "ask" => {
                    said["type"] = "answer".into();
                    said["clock"] = u64::MAX.into();
                    said["asked"] = asked["asked"].clone();
                    said.to_string()
                }
                "prepare" => lie(said),
                _ => continue,
            };
            let reply = asked["reply"].as_str().unwrap();
            Command::new(env!("CARGO_BIN_EXE_mqttx"))
                .args([
                    "pub",
                    "-h",
                    "127.0.0.1",
                    "-p",
                    &port,
                    "-q",
                    "1",
                    "-t",
                    reply,
                    "-m",
                    &text,
                ])
                .status()
                .unwrap();
        }
    });
    ears
}

#[test]
fn an_agent_that_lies_is_not_believed() {
    type Lie = fn(Value) -> String;
    let lies: [(Lie, &str); 4] = [
        (|_| "{ garbage".to_owned(), "no JSON"),
        (
            |mut said| {
                said["type"] = "result".into();
                said["tally"] = json!({ "counts": vec![1_000_000_u64; 24] });
                said.to_string()
            },
            "agent liar talks nonsense",
        ),
        (
            |mut said| {
                said["type"] = "result".into();
                said["tally"] = json!({
                    "counts": vec![0; 24], "latencies": vec![json!([]); 5], "refused": [], "points": [],
                });
                said["threads"] = 1.into();
                said["warmup_points"] = 0.into();
                said["memory"] = json!([u64::MAX, null]);
                said["threads"] = u64::MAX.into();
                said.to_string()
            },
            "agent liar talks nonsense",
        ),
        (
            |mut said| {
                said["type"] = "failed".into();
                said["sentence"] = "I would rather not".into();
                said["status"] = 0.into();
                said.to_string()
            },
            "agent liar: I would rather not",
        ),
    ];
    for (lie, told) in lies {
        let broker = Broker::start();
        let _one = Agent::start(broker.port, "one");
        let mut ears = liar(broker.port, lie);
        // Until it has subscribed nobody answers; then somebody lies.
        let output = loop {
            let words = format!("--pubs 2 -q 0 --rate 500 --agents one,liar {SHORT}");
            let output = bench(broker.port, &words);
            let stderr = String::from_utf8_lossy(&output.stderr);
            if !stderr.contains("does not answer") {
                break output;
            }
        };
        assert_trouble(&output, told);
        ears.kill().unwrap();
        ears.wait().unwrap();
    }
}

#[test]
fn a_task_that_makes_no_sense_ends_no_agent() {
    let broker = Broker::start();
    let _one = Agent::start(broker.port, "one");
    let port = broker.port.to_string();
    let words = json!(["-p", port, "--pubs", "1", "-q", "0", "--rate", "5"]);
    for (field, nonsense) in [
        ("rate", json!(1e300)),
        ("rate", json!(-1)),
        ("ramp", json!([0, 9, 1e19])),
        ("ahead", json!(i64::MAX)),
        ("ahead", json!(i64::MIN)),
        ("part", json!(7)),
        ("words", json!(["--file", "/nonexistent"])),
    ] {
        let mut task = json!({
            "type": "prepare", "id": 1, "reply": "answers", "words": words, "qos": 0, "run": 1,
            "part": 0, "of": 1, "ahead": 0, "rate": 5, "prefix": "x",
        });
        task[field] = nonsense;
        let answer = Command::new(env!("CARGO_BIN_EXE_mqttx"))
            .args([
                "rr",
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-e",
                "answers",
                "-W",
                "20",
            ])
            .args(["-t", "mqttx-bench-agents/to/one", "-m", &task.to_string()])
            .output()
            .unwrap();
        let said: Value = serde_json::from_slice(&answer.stdout)
            .unwrap_or_else(|_| panic!("{field}: {answer:?}"));
        assert_eq!(said["type"], "failed", "{field}: {said}");
    }
}

#[test]
fn what_cannot_be_shared_out_is_refused_at_once() {
    let broker = Broker::start();
    for (words, told) in [
        ("fanin --pubs 1 --agents a,b", "cannot be shared out"),
        ("shared --pubs 1 --agents a,b", "cannot be shared out"),
        ("rr --pubs 1 --agents a,b", "cannot be shared out"),
        ("fanout --agents a,b --window 9 --max", "--window"),
        ("sub -t x --agents a,b", "cannot be shared out"),
        ("--pubs 1 --agents a,b", "cannot be shared out"),
        ("--agents a -t x/%i", "do not go together"),
        ("--via x --runs 1", "--agents"),
        ("--agents a --via 127.0.0.1:x", "HOST:PORT"),
        ("--agents a --via 127.0.0.1:1", "cannot be reached"),
    ] {
        let output = bench(broker.port, words);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_ne!(output.status.code(), Some(0), "{words}: {stderr}");
        assert!(stderr.contains(told), "{words}: {stderr}");
    }
}
