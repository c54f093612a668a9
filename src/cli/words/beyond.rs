//! Rows of what mosquitto's clients never had: long names only, understood under the name `mqttx`.
//!
//! Their clap arguments live in structs of their own (`args/expect.rs` …), and are built only when one
//! of them stands on the line, so that `mqttx pub -t a -m b` starts as fast as without them.

use std::ffi::OsString;

use crate::cli::args::expect;
use crate::cli::words::{Row, S, Take, flag, row};

pub(crate) static ROWS: &[Row] = &[
    judged("--expect", S, "text", Take::Judge(expect::text)),
    judged("--expect-json", S, "JSON", Take::Judge(expect::json)),
    judged("--expect-regex", S, "pattern", Take::Judge(expect::regex)),
    flag("", "--in-order", S).own(),
    judged(
        "--reject-regex",
        S,
        "pattern",
        Take::Checked(expect::reject),
    ),
    judged("--idle", S, "time", Take::Checked(expect::time)),
    judged("--ready-file", S, "file", Take::Bytes),
    judged("--ready-fd", S, "number", Take::Checked(expect::descriptor)),
];

const fn judged(long: &'static str, programs: u8, noun: &'static str, take: Take) -> Row {
    row("", long, programs, take).noun(noun).own()
}

/// Takes the words of these rows out of a line that was lexed already.
pub(crate) fn split(words: Vec<OsString>) -> (Vec<OsString>, Vec<OsString>) {
    if !words.iter().any(is_beyond) {
        return (words, Vec::new());
    }
    // What stands behind `--` is a command of its own.
    let end = words.iter().position(|word| word == "--");
    let end = end.unwrap_or(words.len());
    let (mut known, mut beyond) = (Vec::new(), Vec::new());
    for (at, word) in words.into_iter().enumerate() {
        if at >= end || is_beyond(&word) {
            beyond.push(word);
        } else {
            known.push(word);
        }
    }
    (known, beyond)
}

fn is_beyond(word: &OsString) -> bool {
    let bytes = word.as_encoded_bytes();
    let end = bytes.iter().position(|&byte| byte == b'=');
    let name = &bytes[..end.unwrap_or(bytes.len())];
    name == b"--" || ROWS.iter().any(|row| row.long.as_bytes() == name)
}
