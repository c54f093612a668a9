//! How `mqttx sub` shows messages, beyond what mosquitto_sub can.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::decode::Decode;
use crate::cli::select::Path;

#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Output")]
pub struct Showing {
    /// Each message as a JSON object on a line of its own: the names of %j, payloads that are no UTF-8 in
    /// payload_b64
    #[arg(long)]
    pub jsonl: bool,

    /// Time, topic, QoS, retain, size and payload, for eyes
    #[arg(long)]
    pub log: bool,

    /// Payloads as bytes and letters, sixteen a line
    #[arg(long)]
    pub hexdump: bool,

    /// Print only this part of a JSON payload, such as .wind.speed; repeatable
    #[arg(long, value_name = "PATH", value_parser = Path::parse)]
    pub select: Vec<Path>,

    /// Show payloads of topics that match FILTER as JSON; FORMAT is cbor, msgpack, hex, base64 or
    /// protobuf:MESSAGE@FILE (FILE: a descriptor set with its imports); repeatable
    #[arg(long, value_name = "FILTER=FORMAT", value_parser = Decode::parse)]
    pub decode: Vec<Decode>,

    /// What follows each message in place of a newline; \0, \t, \n and \xNN may be written so
    #[arg(long, value_name = "TEXT")]
    pub delimiter: Option<String>,

    /// Write to this file in place of standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Write each payload to a file of its own in this directory, named by number and topic
    #[arg(long, value_name = "DIR")]
    pub out_dir: Option<PathBuf>,

    /// Colours of --log [default: auto, on a terminal and without NO_COLOR]
    #[arg(long, value_name = "WHEN", value_enum)]
    pub color: Option<Colour>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    Auto,
    Always,
    Never,
}

impl Showing {
    /// Whether anything here was asked for.
    pub fn is_asked(&self) -> bool {
        self.form().is_some()
            || !self.select.is_empty()
            || !self.decode.is_empty()
            || self.delimiter.is_some()
            || self.out.is_some()
            || self.out_dir.is_some()
    }

    /// The forms of a message, of which one can be had.
    pub(crate) fn forms(&self) -> Vec<&'static str> {
        let forms = [
            (self.jsonl, "--jsonl"),
            (self.log, "--log"),
            (self.hexdump, "--hexdump"),
            (self.out_dir.is_some(), "--out-dir"),
        ];
        forms
            .into_iter()
            .filter(|(is_asked, _)| *is_asked)
            .map(|(_, name)| name)
            .collect()
    }

    fn form(&self) -> Option<&'static str> {
        self.forms().first().copied()
    }
}

pub(crate) fn select(text: &str) -> Result<(), String> {
    Path::parse(text).map(|_| ())
}

pub(crate) fn decode(text: &str) -> Result<(), String> {
    Decode::parse(text).map(|_| ())
}

pub(crate) fn delimiter(text: &str) -> Result<(), String> {
    unescape(text).map(|_| ())
}

pub(crate) fn colour(text: &str) -> Result<(), String> {
    match text {
        "auto" | "always" | "never" => Ok(()),
        _ => Err(format!("'{text}' is not auto, always or never")),
    }
}

/// The bytes a delimiter stands for.
pub fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("'{text}': \\0, \\t, \\n, \\r, \\\\ and \\xNN are known");
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.extend_from_slice(before.as_bytes());
        let mut letters = after.chars();
        out.push(match letters.next().ok_or_else(wrong)? {
            '0' => 0,
            't' => b'\t',
            'n' => b'\n',
            'r' => b'\r',
            '\\' => b'\\',
            'x' => {
                let digits = after.get(1..3).ok_or_else(wrong)?;
                letters.nth(1);
                u8::from_str_radix(digits, 16).map_err(|_| wrong())?
            }
            _ => return Err(wrong()),
        });
        rest = letters.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("a\\0b", b"a\0b"),
            ("\\x1e\\n", b"\x1e\n"),
            ("\\\\0", b"\\0"),
        ] {
            assert_eq!(unescape(text).as_deref(), Ok(bytes), "{text}");
        }
        for wrong in ["\\", "\\q", "\\x1", "\\xgg"] {
            assert!(unescape(wrong).is_err(), "{wrong}");
        }
    }
}
