//! Words of `mqttx bench` that contradict each other, or that would change nothing beside the others:
//! refused in one line that names one of them, before anything is sent or written.

use std::process::{Command, Stdio};

/// Words, and what the sentence about them says.
const CONTRADICTIONS: &[(&str, &str)] = &[
    // How hard: one of them at most.
    ("--rate 1k --max", "cannot be used with"),
    ("--rate 1k --ramp 0..1k:1s", "cannot be used with"),
    ("--rate 1k --steps 1k..2k:2", "cannot be used with"),
    ("--rate 1k --find-max lost=0", "cannot be used with"),
    ("--max --ramp 0..1k:1s", "cannot be used with"),
    ("--max --steps 1k..2k:2", "cannot be used with"),
    ("--max --find-max lost=0", "cannot be used with"),
    ("--ramp 0..1k:1s --steps 1k..2k:2", "cannot be used with"),
    ("--ramp 0..1k:1s --find-max lost=0", "cannot be used with"),
    ("--steps 1k..2k:2 --find-max lost=0", "cannot be used with"),
    ("--ramp 0..1k:1s --duration 1s", "cannot be used with"),
    ("--ramp 0..1k:1s --warmup 1s", "cannot be used with"),
    // A window is for those who go as fast as they can, and see what arrives.
    ("--window 5 --rate 1k", "--window"),
    ("--window 5 --ramp 0..1k:1s", "--window"),
    ("--window 5 --steps 1k..2k:2", "--window"),
    ("pub --window 5", "--window"),
    ("--window 5 --max --no-verify", "--window"),
    ("--window 5 --max -s 8", "--window"),
    ("--inflight 5 -q 0", "--inflight"),
    ("--arrival poisson --max", "--arrival"),
    ("--arrival uniform --max", "--arrival"),
    ("pub --arrival poisson", "--arrival"),
    ("--runs 5 --find-max lost=0", "--runs"),
    // Kinds that publish nothing.
    ("sub -t a --max", "--max"),
    ("sub -t a --rate 5", "kinds that publish"),
    ("sub -t a --retain", "--retain"),
    ("sub -t a --payload 99", "--payload"),
    ("sub -t a --no-verify", "--no-verify"),
    ("sub -t a --drain 1s", "--drain"),
    ("sub -t a --inflight 5", "--inflight"),
    ("sub -t a --window 5", "--window"),
    ("conn --max", "--max"),
    ("conn --retain", "--retain"),
    ("conn -q 0,1", "--qos"),
    ("conn --steps 1k..2k:2", "kinds that publish"),
    ("conn --rate 5 --conn-rate 5", "--conn-rate"),
    ("churn --payload 99", "--payload"),
    ("churn -q 1", "--qos"),
    ("churn -t a", "-t"),
    ("churn --topics 2", "--topics"),
    ("churn --reconnect", "--reconnect"),
    ("churn --inflight 3", "--inflight"),
    ("churn --ramp 0..9:1s", "kinds that publish"),
    // Of what a kind has none.
    ("pub --subs 3", "--subs"),
    ("sub -t a --pubs 3", "--pubs"),
    ("conn --pubs 3", "--pubs"),
    ("churn --subs 3", "--subs"),
    ("rr --pubs 3 --subs 2", "one responder"),
    ("rr --topics 3", "--topics"),
    ("--pubs 3 --topics 4", "--topics"),
    ("--pubs 4 --subs 2 --topics 3", "--topics"),
    // Payloads.
    ("--file a --template b", "cannot be used with"),
    ("--file a --payload 9", "cannot be used with"),
    ("--template a --payload 9", "cannot be used with"),
    ("--split x", "--file"),
    ("-s 8 --rate 1k", "16 bytes"),
    ("--no-verify --rate 1k", "--no-verify"),
    ("--no-verify", "--no-verify"),
    // Properties.
    ("-V 311 -D|publish message-expiry-interval 5", "-D"),
    ("conn -D|publish message-expiry-interval 5", "-D publish"),
    ("pub -D|subscribe subscription-identifier 5", "-D subscribe"),
    ("-D|disconnect user-property a b", "-D"),
    // Ways.
    ("--unix x -p 5", "cannot be used with"),
    ("--unix x -A 127.0.0.1", "cannot be used with"),
    (
        "--unix x --proxy socks5h://localhost",
        "cannot be used with",
    ),
    ("--ws-path /x", "--ws"),
    ("-h localhost,,localhost", "a host is missing"),
    ("-A 192.0.2.1", "no such address"),
    ("-t $SYS/a", "the broker's own"),
    ("--via localhost:1", "--agents"),
    ("--name a", "--name"),
    // An agent makes what load it is told to.
    ("agent --pubs 5", "--pubs"),
    ("agent --agents b", "--agents"),
    ("agent fanin", "fanin"),
    ("agent --unix x -p 5", "cannot be used with"),
    ("compare a", "2 values required"),
    ("schema x", "x"),
    // Series and searches.
    ("--steps 1..3:9", "less than a message a second apart"),
    ("--steps 5..3:9", "rising"),
    ("--steps 1k..5k:5 --threshold lost[@7k]=0", "no such rate"),
    ("--threshold lost[@7k]=0", "only --steps and --rate"),
    (
        "--steps 1k..5k:5 --threshold rate>=3k",
        "cannot hold where only 1,000/s are offered",
    ),
    ("--rate 5 --threshold found>=3k", "only --find-max"),
    ("--find-max found>=3k", "what it looks for"),
    ("conn --threshold lag.p99<5ms", "say --rate"),
    ("-h 8.8.8.8 --max", "--yes"),
    // What is reported.
    ("--hdr x --max", "--hdr"),
    ("pub --hdr x --rate 5", "--hdr"),
    ("--quiet --progress bar", "cannot be used with"),
    ("--json - --csv -", "standard output"),
    ("--csv same --html same", "named twice"),
    ("--threshold e2e.p99<1ms --max", "say --rate"),
    ("--threshold vs.baseline.rate>=1", "--baseline"),
    ("--threshold ack.p99<1ms -q 0", "QoS 0"),
    ("pub --threshold lost=0", "nobody would know"),
    ("--threshold nothing<1", "nothing"),
    ("pub --rate 5 --threshold e2e.p99<1ms", "nobody receives"),
    ("--rate 5 -s 16 --threshold service.p99<1ms", "24 bytes"),
    ("--find-max vs.baseline.rate>=1", "has no baseline"),
];

#[test]
fn contradictions_are_told_in_one_line_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    for (words, told) in CONTRADICTIONS {
        // A bar begins a word that has spaces.
        let (plain, spaced) = words
            .split_once('|')
            .map_or((*words, None), |(plain, rest)| (plain, Some(rest)));
        let output = Command::new(env!("CARGO_BIN_EXE_mqttx"))
            .arg("bench")
            .args(plain.split_whitespace())
            .args(spaced)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{words}: {errors}");
        assert!(errors.contains(told), "{words}: {errors}");
        assert!(output.stdout.is_empty(), "{words}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "files were left: {left:?}");
}
