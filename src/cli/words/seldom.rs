//! Rows of what most lines do not speak of: TLS and the Will.
//!
//! As with the rows of `beyond.rs`, their part of the clap tree is built only when one of them stands
//! on the line of `pub`, `sub` or `rr`: a third of what it takes to start would go into it.

use std::ffi::{OsStr, OsString};

use crate::cli::Caller;
use crate::cli::judge;
use crate::cli::words::beyond;
use crate::cli::words::{EVERY, P, R, Row, S, Take, flag, row, text};

pub(crate) static TLS: &[Row] = &[
    row("", "--cafile", EVERY, Take::Bytes).noun("file"),
    row("", "--capath", EVERY, Take::Bytes).noun("directory"),
    row("", "--cert", EVERY, Take::Bytes).noun("file"),
    text("", "--ciphers", EVERY, "ciphers"),
    flag("", "--insecure", EVERY),
    row("", "--key", EVERY, Take::Bytes).noun("file"),
    row("", "--keyform", EVERY, Take::Judge(judge::key_form)).noun("keyform"),
    flag("", "--no-tls", EVERY),
    text("", "--psk", EVERY, "key"),
    text("", "--psk-identity", EVERY, "identity"),
    text("", "--tls-alpn", EVERY, "protocol"),
    text("", "--tls-engine", EVERY, "engine_id"),
    text("", "--tls-engine-kpass-sha1", EVERY, "kpass sha1"),
    row("", "--tls-keylog", EVERY, Take::Bytes).noun("file"),
    flag("", "--tls-skip-hostname", EVERY).own(),
    flag("", "--tls-use-os-certs", EVERY),
    row("", "--tls-version", EVERY, Take::Judge(judge::tls_version)).noun("version"),
];

pub(crate) static WILL: &[Row] = &[
    row("", "--will-payload", EVERY, Take::Bytes).noun("will payload"),
    row("", "--will-qos", EVERY, Take::Whole(0, 2, judge::will_qos)).noun("will QoS"),
    flag("", "--will-retain", EVERY),
    row("", "--will-topic", EVERY, Take::Judge(judge::will_topic)).noun("will topic"),
];

/// The words of a line that was lexed already, by the part of the tree that reads them.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) usual: Vec<OsString>,
    pub(crate) tls: Vec<OsString>,
    pub(crate) will: Vec<OsString>,
    pub(crate) beyond: Vec<OsString>,
}

pub(crate) fn parts(caller: Caller, words: Vec<OsString>) -> Parts {
    let program = caller.program.bit();
    let mut parts = Parts::default();
    // The programs that are wholly ours have one tree.
    if program & (P | S | R) == 0 {
        parts.usual = words;
        return parts;
    }
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "--" {
            // What stands behind it is a command of its own.
            parts.beyond.push(word);
            parts.beyond.extend(words);
            break;
        }
        let is_in = |rows: &[Row]| rows.iter().any(|row| is(row, &word, program));
        let part = if is_in(TLS) {
            &mut parts.tls
        } else if is_in(WILL) {
            &mut parts.will
        } else if is_in(beyond::ROWS) {
            &mut parts.beyond
        } else {
            &mut parts.usual
        };
        part.push(word);
    }
    parts
}

/// Whether a clean word, `--name` or `--name=value`, is of this row.
fn is(row: &Row, word: &OsStr, program: u16) -> bool {
    let rest = word.as_encoded_bytes().strip_prefix(row.long.as_bytes());
    row.programs & program != 0 && matches!(rest, Some([] | [b'=', ..]))
}
