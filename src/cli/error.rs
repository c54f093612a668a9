//! The one kind of error a person sees, and the exit status it leaves.
//!
//! `kind` is what code branches on; the table below gives each its exit status. The same error is
//! told twice: in mosquitto's words when called by a mosquitto name, else as one line of our own
//! with a `try:` line where a sure remedy is known.

use std::ffi::OsStr;

use crate::cli::Caller;
use crate::cli::Manner;
use crate::cli::format::on_one_line;
use crate::cli::words::Verdict;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command line is wrong; mosquitto then names its help.
    Usage,
    /// Anything that stopped the command and has no kind of its own.
    Failed,
    /// The broker spoke no MQTT we can follow.
    Protocol,
    /// CONNECT was refused with this Reason Code (version 3: this return code).
    Refused(u8),
    /// No encrypted connection: a certificate, a name, a version.
    Tls,
    /// What mosquitto's clients tell as an error of the system.
    System,
    /// The connection ended before the work was done.
    Lost,
    Timeout,
    /// What was to be sent is not what it should be: a line, a template, a payload.
    Data,
    /// Messages came, and they were not what was expected.
    Unexpected,
    /// The number libmosquitto has for it, which the names of mosquitto's programs leave.
    Library(u8),
    /// A v5 broker refused a message or a subscription with this Reason Code.
    Reason(u8),
}

/// Exit statuses and what they tell, for help and man pages; [`Kind::exit_status`] speaks of them.
pub const EXIT_STATUSES: &[(&str, &str)] = &[
    (
        "0",
        "done; for pub, every message written (QoS 0) or acknowledged (QoS 1 and 2)",
    ),
    (
        "1",
        "a wrong option or value, an unknown host, nothing listens there, anything else",
    ),
    (
        "1-5",
        "CONNECT refused by a version 3 broker: its return code",
    ),
    ("2", "the broker does not keep to the protocol"),
    ("7", "the connection was lost before the work was done"),
    ("8", "no TLS with this broker: certificate, name or version"),
    (
        "27",
        "timed out: -W, or --idle before everything awaited had come",
    ),
    (
        "65",
        "the input is broken: a line, a template, a file, a payload",
    ),
    (
        "80",
        "an expectation failed: rejected, out of order, or not met by the messages of -C",
    ),
    (
        "128-162",
        "refused by a version 5 broker: its Reason Code (135 not authorized, 151 quota)",
    ),
];

impl Kind {
    pub fn exit_status(self) -> u8 {
        match self {
            Self::Usage | Self::Failed => 1,
            Self::Protocol => 2,
            Self::Lost => 7,
            Self::Tls => 8,
            Self::System => 14,
            Self::Timeout => 27,
            Self::Data => 65,
            Self::Unexpected => 80,
            Self::Refused(code) | Self::Reason(code) | Self::Library(code) => code,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub kind: Kind,
    /// A sentence in mosquitto's words, without `Error: `.
    pub message: String,
    /// One more empty line after it, as mosquitto does for most values.
    blank: bool,
    /// An empty line before it.
    empty_line_before: bool,
    /// The sentence brings its own `Error`.
    prefixed: bool,
    /// The same in our own words, where they differ.
    short: Option<String>,
    /// Only the exit status is left.
    is_silent: bool,
    /// What came of it, or nothing.
    consequence: String,
    /// What surely helps, for our own form.
    pub hint: Option<String>,
}

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            blank: false,
            empty_line_before: false,
            prefixed: false,
            short: None,
            is_silent: false,
            consequence: String::new(),
            hint: None,
        }
    }

    pub(crate) fn usage(verdict: Verdict) -> Self {
        Self {
            blank: verdict.blank,
            ..Self::new(Kind::Usage, verdict.sentence)
        }
    }

    pub(crate) fn after_empty_line(mut self) -> Self {
        self.empty_line_before = true;
        self
    }

    /// The sentence is told as it is, without `Error: ` before it.
    pub fn without_prefix(mut self) -> Self {
        self.prefixed = true;
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn maybe_hint(mut self, hint: Option<impl Into<String>>) -> Self {
        self.hint = hint.map(Into::into).or(self.hint);
        self
    }

    /// Sets what is said instead under the name `mqttx`.
    pub fn in_short(mut self, told: impl Into<String>) -> Self {
        self.short = Some(told.into());
        self
    }

    /// Says where it comes from, when that is not the command line.
    pub(crate) fn labelled(mut self, label: &str) -> Self {
        let told = self.short.take().unwrap_or_else(|| self.message.clone());
        self.in_short(format!("{label}: {told}"))
    }

    /// Leaves only the exit status: `--quiet`, or all has been told already.
    pub fn silent(mut self) -> Self {
        self.is_silent = true;
        self
    }

    /// Adds what came of it, on a line of its own in mosquitto's words.
    pub fn and(mut self, told: impl AsRef<str>) -> Self {
        self.consequence = told.as_ref().to_owned();
        self
    }

    /// A word that MQTT people type out of habit and that needs one more word to help them.
    pub(crate) fn culprit(self, word: &OsStr) -> Self {
        if word == "-v5" || word == "--v5" {
            self.hint("-V 5")
        } else {
            self
        }
    }

    /// The text for stderr, last newline included.
    pub fn render(&self, caller: Caller) -> String {
        if self.is_silent {
            return String::new();
        }
        match caller.manner {
            Manner::Mosquitto => self.in_their_words(caller),
            Manner::Mqttx => self.in_our_words(caller),
        }
    }

    fn in_their_words(&self, caller: Caller) -> String {
        let mut out = String::new();
        if self.empty_line_before {
            out.push('\n');
        }
        if !self.prefixed {
            out.push_str("Error: ");
        }
        out.push_str(&self.message);
        out.push('\n');
        if !self.consequence.is_empty() {
            out.push_str(&format!("Error: {}.\n", self.consequence));
        }
        if self.blank {
            out.push('\n');
        }
        if self.kind == Kind::Usage {
            out.push_str(&format!("\nUse '{} --help' to see usage.\n", caller.name()));
        }
        out
    }

    fn in_our_words(&self, caller: Caller) -> String {
        let sentence = self
            .short
            .as_ref()
            .unwrap_or(&self.message)
            .trim_end_matches('.');
        let mut letters = sentence.chars();
        let mut told = String::with_capacity(sentence.len());
        if let Some(first) = letters.next() {
            // "QoS", "TLS" and "OpenSSL" keep their capitals, "Invalid" does not.
            let mut rest = letters.clone().take_while(|c| c.is_alphabetic()).peekable();
            let is_word = rest.peek().is_some() && rest.all(char::is_lowercase);
            match is_word {
                true => told.extend(first.to_lowercase()),
                false => told.push(first),
            }
        }
        told.push_str(letters.as_str());
        if !self.consequence.is_empty() {
            told.push_str(&format!("; {}", self.consequence));
        }
        // A second sentence is mosquitto's way to say the same again.
        let told = told.lines().next().unwrap_or_default();
        let told = without_number(told);
        let mut out = format!("{}: {}\n", caller.name(), on_one_line(&told));
        let help = || format!("{} --help", caller.name());
        let hint = match self.kind {
            Kind::Usage => Some(self.hint.clone().unwrap_or_else(help)),
            _ => self.hint.clone(),
        };
        if let Some(hint) = hint {
            out.push_str(&format!("  try: {}\n", on_one_line(&hint)));
        }
        out
    }
}

/// Without the number the standard library puts behind what the system says.
pub(crate) fn without_number(text: &str) -> String {
    const BEFORE: &str = " (os error ";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once(BEFORE) {
        out.push_str(before);
        match behind.split_once(')') {
            Some((number, behind)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                rest = behind;
            }
            _ => {
                out.push_str(BEFORE);
                rest = behind;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Words that do not go together, and what says the same.
const INSTEAD: &[(&[&str], &str)] = &[
    (
        &["'--listen <URL>'", "'--port <PORT>'"],
        "--listen mqtt://127.0.0.1:1883, with that port",
    ),
    (
        &["'--listen <URL>'", "'--bind <ADDRESS>'"],
        "--listen mqtt://127.0.0.1:1883, with that address",
    ),
    (
        &["'--config-file <FILE>' cannot be used with"],
        "a directive in the file; mqttx man conf has all of them",
    ),
];

/// What clap says in paragraphs, as one line of ours and one that helps. `text` begins `error: `.
pub(crate) fn in_one_line(name: &str, text: &str) -> String {
    let mut hint = format!("{name} --help");
    let mut told = String::new();
    let mut is_told = false;
    for line in text.lines().map(str::trim) {
        is_told |= line.is_empty();
        let values = line.strip_prefix("[possible values: ");
        if let Some(values) = values.and_then(|values| values.strip_suffix(']')) {
            values.clone_into(&mut hint);
        } else if let Some(alike) = line
            .strip_prefix("tip: a similar argument exists: '")
            .or_else(|| line.strip_prefix("tip: a similar subcommand exists: '"))
        {
            alike.trim_end_matches('\'').clone_into(&mut hint);
        } else if !is_told {
            told = format!("{told} {line}");
        }
    }
    let told = told.trim_start().trim_start_matches("error: ");
    let instead = INSTEAD
        .iter()
        .find(|(words, _)| words.iter().all(|word| told.contains(word)));
    if let Some((_, remedy)) = instead {
        (*remedy).clone_into(&mut hint);
    }
    // What the standard library says of a number that is none.
    let told = told.replace("invalid digit found in string", "a whole number is wanted");
    format!("{name}: {}\n  try: {hint}\n", on_one_line(&told))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_system_error_is_left_out() {
        for (text, told) in [
            ("no such file (os error 2)", "no such file"),
            (
                "a: b (os error 28) at c (os error 2",
                "a: b at c (os error 2",
            ),
            ("(os error x)", "(os error x)"),
            (" (os error x) (os error 3)", " (os error x)"),
        ] {
            assert_eq!(without_number(text), told);
        }
    }

    #[test]
    fn claps_paragraphs_are_two_lines() {
        for (text, told) in [
            (
                "error: unexpected argument 'b' found\n\nUsage: x\n",
                "mqttx link: unexpected argument 'b' found\n  try: mqttx link --help\n",
            ),
            (
                "error: these were not provided:\n  <DIR>\n  <TO>\n\nUsage: x\n",
                "mqttx link: these were not provided: <DIR> <TO>\n  try: mqttx link --help\n",
            ),
            (
                "error: invalid value 'x' for '<SHELL>'\n  [possible values: a, b]\n\nFor\n",
                "mqttx link: invalid value 'x' for '<SHELL>'\n  try: a, b\n",
            ),
            (
                "error: unexpected argument '--forc' found\n\n  tip: a similar argument exists: \
                 '--force'\n\nUsage: x\n",
                "mqttx link: unexpected argument '--forc' found\n  try: --force\n",
            ),
            (
                "error: invalid value 'x' for '-p <N>': invalid digit found in string\n\nFor\n",
                "mqttx link: invalid value 'x' for '-p <N>': a whole number is wanted\n  \
                 try: mqttx link --help\n",
            ),
        ] {
            assert_eq!(in_one_line("mqttx link", text), told);
        }
    }
}
