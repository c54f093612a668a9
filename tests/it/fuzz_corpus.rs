//! The fuzz targets on a stable toolchain: their corpora as they are, so that whatever a fuzzer found
//! stays found, and changed by chance, a little with every run of the tests and for as long as
//! `MQTTX_FUZZ` says, in seconds for each target. The functions are those the fuzzer calls.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::chance::Chance;

#[path = "../../fuzz/src/targets/mod.rs"]
#[expect(
    unreachable_pub,
    reason = "the file belongs to the fuzz crate's library"
)]
mod targets;

/// Changed inputs for each file of a corpus, where no time is asked for.
const ROUNDS: usize = 20;

/// Longer inputs say nothing new.
const INPUT_MAX: usize = 4_096;

/// Words that mean something to some target.
const WORDS: [&[u8]; 10] = [
    b"\0",
    b"\xff\xff\xff\xff",
    b"\x80\x00",
    b"$share/g/",
    b"/#",
    b"%",
    b"\n",
    b"{\"a\":[",
    b"\x7f\xff",
    b"999999999999999999999",
];

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 10, "the corpus of {target} is gone");
    let inputs: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    for (path, bytes) in paths.iter().zip(&inputs) {
        let survived = std::panic::catch_unwind(|| run(bytes)).is_ok();
        assert!(survived, "{}", path.display());
    }
    let seconds = std::env::var("MQTTX_FUZZ").map(|seconds| seconds.parse().unwrap());
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut chance = Chance::new(u64::from(std::process::id()));
    let mut count = 0;
    while match until {
        Ok(until) => Instant::now() < until,
        Err(_) => count < ROUNDS * inputs.len(),
    } {
        count += 1;
        let input = changed(&inputs, &mut chance);
        let survived = std::panic::catch_unwind(|| run(&input)).is_ok();
        assert!(survived, "{target}, {count}: {}", escaped(&input));
    }
    eprintln!("{target}: {count} changed inputs");
}

/// An input of the corpus with some changes.
fn changed(inputs: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = inputs[chance.below(inputs.len())].clone();
    for _ in 0..1 + chance.below(6) {
        let at = chance.below(bytes.len() + 1);
        match chance.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
            1 if at < bytes.len() => bytes[at] = chance.below(256) as u8,
            2 => bytes.insert(at, chance.below(256) as u8),
            3 => {
                let end = (at + 1 + chance.below(16)).min(bytes.len());
                bytes.drain(at..end);
            }
            4 => {
                let end = (at + chance.below(64)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            5 => {
                let word = WORDS[chance.below(WORDS.len())].iter().copied();
                bytes.splice(at..at, word);
            }
            _ => {
                let other = &inputs[chance.below(inputs.len())];
                let from = chance.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes.truncate(INPUT_MAX);
    bytes
}

fn escaped(bytes: &[u8]) -> String {
    format!("b\"{}\"", bytes.escape_ascii())
}

#[test]
fn frames() {
    replay("frame", targets::frame);
}

#[test]
fn packets() {
    replay("packet", targets::packet);
}

#[test]
fn properties() {
    replay("properties", targets::properties);
}

#[test]
fn topics() {
    replay("topic", targets::topic);
}

#[test]
fn the_whole_broker() {
    replay("broker", targets::broker::script);
}

#[test]
fn web_sockets() {
    replay("websocket", targets::layers::websocket);
}

#[test]
fn headers_of_proxies() {
    replay("proxy", targets::layers::proxy);
}

#[test]
fn configurations() {
    replay("configuration", targets::files::configuration);
}

#[test]
fn password_and_acl_files() {
    replay("users", targets::files::users);
}

#[test]
fn dynamic_security() {
    replay("dynamic_security", targets::files::dynamic_security);
}

#[test]
fn files_of_the_store() {
    replay("stored", targets::files::stored);
}

#[test]
fn formats() {
    replay("format", targets::words::format);
}

#[test]
fn templates() {
    replay("template", targets::words::template);
}

#[test]
fn payloads() {
    replay("payload", targets::payloads::payload);
}

#[test]
fn tokens() {
    replay("token", targets::payloads::token);
}
