//! What `mqttx sub` waits for: payloads, silence, a command; and whom it tells that it listens.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, Args, Command};
use regex_lite::Regex;

use crate::cli::args::bench::values::parse_time;
use crate::cli::args::reach::Reach;
use crate::cli::args::showing::Showing;
use crate::cli::expect::{Expectation, Expectations};
use crate::cli::lexer::Clean;
use crate::cli::words::Verdict;

/// What `sub` knows beyond mosquitto_sub.
#[derive(Args, Clone, Debug, Default)]
pub struct Beyond {
    #[command(flatten)]
    pub expect: Expect,

    #[command(flatten)]
    pub showing: Showing,

    #[command(flatten)]
    pub reach: Reach,
}

#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "What is awaited")]
pub struct Expect {
    /// A payload that must come, exactly this; repeatable, as are the next two
    // Handed on with a letter before it that tells its kind, as the order of all of them counts.
    #[arg(long, value_name = "TEXT", value_parser = Expectation::unpack)]
    pub expect: Vec<Expectation>,

    /// What is expected must come in this order
    #[arg(long)]
    pub in_order: bool,

    /// A payload that must not come: the first that matches ends it with 80; repeatable
    #[arg(long, value_name = "REGEX", value_parser = pattern)]
    pub reject_regex: Vec<Regex>,

    /// End when no message came for so long, such as 2s or 500ms, counted from the SUBACK
    #[arg(long, value_name = "TIME", value_parser = parse_time, help_heading = "When to end")]
    pub idle: Option<Duration>,

    /// Write the subscriptions to this file, as JSON, once the broker has acknowledged them
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,

    /// The same, to a file descriptor this program was started with
    #[arg(long, value_name = "NUMBER")]
    pub ready_fd: Option<u32>,

    /// Run this once subscribed, with MQTTX_HOST and MQTTX_PORT set, and wait for its end too
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

impl Expect {
    pub fn expectations(&self) -> Expectations {
        Expectations::new(
            self.expect.clone(),
            self.in_order,
            self.reject_regex.clone(),
        )
    }

    /// Whether somebody relies on every subscription having been granted.
    pub fn needs_all_granted(&self) -> bool {
        !self.expect.is_empty()
            || self.ready_file.is_some()
            || self.ready_fd.is_some()
            || !self.command.is_empty()
    }
}

/// All of it for help, with the words the lexer turns into `--expect`.
pub(crate) fn augment(command: Command) -> Command {
    let spoken = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name(value)
            .help_heading("What is awaited")
            .help(help)
    };
    Beyond::augment_args(command)
        .arg(spoken(
            "expect-json",
            "JSON",
            "JSON that a payload must contain: its members, however deep, with these values",
        ))
        .arg(spoken(
            "expect-regex",
            "REGEX",
            "A regular expression that a payload must match somewhere",
        ))
}

pub(crate) fn text(clean: &mut Clean, value: &str) -> Result<(), Verdict> {
    put(clean, "--expect", '=', value)
}

pub(crate) fn json(clean: &mut Clean, value: &str) -> Result<(), Verdict> {
    put(clean, "--expect-json", 'j', value)
}

pub(crate) fn regex(clean: &mut Clean, value: &str) -> Result<(), Verdict> {
    put(clean, "--expect-regex", 'r', value)
}

fn put(clean: &mut Clean, name: &str, kind: char, value: &str) -> Result<(), Verdict> {
    let packed = format!("{kind}{value}");
    Expectation::unpack(&packed).map_err(|told| Verdict::spaced(format!("{name}: {told}")))?;
    clean.put("expect", packed);
    Ok(())
}

pub(crate) fn reject(value: &str) -> Result<(), String> {
    pattern(value).map(|_| ())
}

pub(crate) fn descriptor(value: &str) -> Result<(), String> {
    match value.parse::<u32>() {
        Ok(1..=65_535) => Ok(()),
        _ => Err(format!("'{value}' is no descriptor to write to")),
    }
}

fn pattern(value: &str) -> Result<Regex, String> {
    Regex::new(value).map_err(|error| format!("'{value}' is no regular expression: {error}"))
}
