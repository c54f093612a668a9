//! The table of words `pub`, `sub` and `rr` know: one row an option.
//!
//! A row says how an option is spelled, which programs take it, how many words follow and how its
//! value is judged. The lexer (`lexer.rs`) walks these rows, help and completions come from the clap
//! tree in `args/`, and a test holds the two against each other. Names that mosquitto's clients do not
//! know are marked with `.own()` and are understood under the name `mqttx` only.

pub(crate) mod aliases;
pub(crate) mod beyond;
pub(crate) mod reach;
pub(crate) mod seldom;

use crate::cli::judge;
use crate::cli::lexer::Clean;

/// The programs that take an option, as a set of bits.
pub(crate) const P: u16 = 1;
pub(crate) const S: u16 = 2;
pub(crate) const R: u16 = 4;
pub(crate) const PING: u16 = 8;
pub(crate) const LIST: u16 = 16;
pub(crate) const RECORD: u16 = 32;
pub(crate) const REPLAY: u16 = 64;
pub(crate) const CTRL: u16 = 256;
pub(crate) const TOP: u16 = 512;
/// Every program: what is said to a broker before anything else.
const EVERY: u16 = P | S | R | PING | CTRL | LIST | RECORD | REPLAY | TOP;
const PSR: u16 = P | S | R;
const SR: u16 = S | R;
const PR: u16 = P | R;

/// One option.
pub(crate) struct Row {
    /// Spelling with one dash, or empty.
    pub(crate) short: &'static str,
    /// Spelling with two dashes; also the name under which clap knows it.
    pub(crate) long: &'static str,
    /// False when mosquitto's clients have no such long spelling.
    pub(crate) long_is_theirs: bool,
    pub(crate) programs: u16,
    /// What the sentence about a missing value calls the value: "no {noun} specified".
    pub(crate) noun: &'static str,
    /// The sentence names the option by its long spelling although it has a short one.
    pub(crate) named_long: bool,
    pub(crate) group: Group,
    pub(crate) take: Take,
}

/// Options of which only one may stand on a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Group {
    None,
    /// `-f -l -m -n -s`: one source of the payload.
    Payload,
    /// `-i` against `-I`.
    Id,
    IdPrefix,
}

/// What becomes of the words after an option.
pub(crate) enum Take {
    /// Nothing follows.
    Flag,
    /// One word, handed on as it is; must be UTF-8.
    Text,
    /// One word, any bytes.
    Bytes,
    /// One whole number between two bounds, else a sentence.
    Whole(i64, i64, fn(i64) -> Verdict),
    /// What stands behind `=`, unless this objects, or the first where there is no `=`.
    Joined(&'static str, fn(&str) -> Result<(), String>),
    /// One word, handed on as it is unless this objects.
    Checked(fn(&str) -> Result<(), String>),
    /// One word with rules of its own; puts clean words itself.
    Judge(fn(&mut Clean, &str) -> Result<(), Verdict>),
    /// Nothing follows, yet more than its own name is meant.
    Means(fn(&mut Clean)),
    /// `-D command name value`, or four words for a user property.
    Property,
    /// `-o FILE`: read before anything else, skipped here.
    OptionsFile,
    Help,
    Version,
}

/// A sentence about a wrong value. mosquitto ends most of them with one more empty line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) sentence: String,
    pub(crate) blank: bool,
}

impl Verdict {
    pub(crate) fn spaced(sentence: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            blank: true,
        }
    }
    pub(crate) fn tight(sentence: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            blank: false,
        }
    }
}

const fn row(short: &'static str, long: &'static str, programs: u16, take: Take) -> Row {
    Row {
        short,
        long,
        long_is_theirs: true,
        programs,
        noun: "",
        named_long: false,
        group: Group::None,
        take,
    }
}

const fn flag(short: &'static str, long: &'static str, programs: u16) -> Row {
    row(short, long, programs, Take::Flag)
}

const fn text(short: &'static str, long: &'static str, programs: u16, noun: &'static str) -> Row {
    row(short, long, programs, Take::Text).noun(noun)
}

impl Row {
    const fn noun(mut self, noun: &'static str) -> Self {
        self.noun = noun;
        self
    }
    const fn own(mut self) -> Self {
        self.long_is_theirs = false;
        self
    }
    const fn named_long(mut self) -> Self {
        self.named_long = true;
        self
    }
    const fn group(mut self, group: Group) -> Self {
        self.group = group;
        self
    }

    /// The name sentences use.
    pub(crate) fn shown(&self) -> &'static str {
        if self.short.is_empty() || self.named_long {
            self.long
        } else {
            self.short
        }
    }

    /// The name clap uses: the long spelling without its dashes.
    pub(crate) fn name(&self) -> &'static str {
        self.long.trim_start_matches('-')
    }

    pub(crate) fn takes_value(&self) -> bool {
        !matches!(
            self.take,
            Take::Flag | Take::Means(_) | Take::Help | Take::Version
        )
    }

    /// The sentence for an option that ends the line where a value was due.
    pub(crate) fn missing(&self) -> Verdict {
        let name = self.shown();
        Verdict::spaced(match self.short {
            "-M" => format!("{name} argument given but max_inflight not specified."),
            _ => format!("{name} argument given but no {} specified.", self.noun),
        })
    }
}

/// Every option there is.
pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    [ROWS, reach::ROWS, seldom::TLS, seldom::WILL, beyond::ROWS]
        .into_iter()
        .flatten()
}

/// What mosquitto's clients know, in the order of the letters, and what belongs beside it.
static ROWS: &[Row] = &[
    text("-A", "--bind-address", EVERY, "address").own(),
    flag("-c", "--disable-clean-session", PSR),
    row(
        "-C",
        "--count",
        S | RECORD,
        Take::Whole(1, i32::MAX as i64, judge::count),
    )
    .noun("count")
    .own(),
    flag("-d", "--debug", PSR | PING | CTRL),
    row("-D", "--property", EVERY, Take::Property),
    row(
        "-e",
        "--response-topic",
        R,
        Take::Judge(judge::response_topic),
    )
    .noun("response topic")
    .own(),
    flag("-E", "--exit-after-subscribe", S).own(),
    row("-f", "--file", PR | CTRL | REPLAY, Take::Bytes)
        .noun("file")
        .group(Group::Payload),
    row("-F", "--output-format", SR, Take::Judge(judge::format))
        .noun("format")
        .own(),
    text("-h", "--host", EVERY, "host"),
    row("", "--help", EVERY, Take::Help),
    text("-i", "--id", EVERY, "id").group(Group::Id),
    text("-I", "--id-prefix", EVERY, "id prefix").group(Group::IdPrefix),
    row(
        "-k",
        "--keepalive",
        EVERY,
        Take::Whole(5, 65_535, judge::keep_alive),
    )
    .noun("keepalive"),
    row("-l", "--stdin-line", P, Take::Flag).group(Group::Payload),
    row("-L", "--url", EVERY, Take::Judge(judge::url)).noun("URL"),
    flag("", "--latency", R),
    row("-m", "--message", PR, Take::Bytes)
        .noun("message")
        .group(Group::Payload),
    row(
        "-M",
        "--max-inflight",
        PSR,
        Take::Whole(1, i32::MAX as i64, judge::max_inflight),
    )
    .own(),
    flag("", "--message-rate", S),
    row("-n", "--null-message", PR, Take::Flag).group(Group::Payload),
    flag("-N", "--no-newline", SR).own(),
    flag("", "--nodelay", EVERY),
    row("-o", "--options-file", EVERY, Take::OptionsFile)
        .noun("options file")
        .own(),
    row("-p", "--port", EVERY, Take::Whole(0, 65_535, judge::port)).noun("port"),
    row("-P", "--pw", EVERY, Take::Bytes).noun("password"),
    flag("", "--pretty", SR),
    row("", "--proxy", EVERY, Take::Judge(judge::proxy)).noun("proxy url"),
    row(
        "-q",
        "--qos",
        PSR | CTRL | RECORD,
        Take::Whole(0, 2, judge::qos),
    )
    .noun("QoS"),
    flag("", "--quiet", EVERY),
    flag("-r", "--retain", P),
    row("-R", "--no-retained", SR, Take::Means(judge::no_retained)).own(),
    row("", "--random-filter", S, Take::Judge(judge::random_filter)).noun("chance"),
    flag("", "--remove-retained", S),
    row(
        "",
        "--repeat",
        P,
        Take::Whole(1, i32::MAX as i64, judge::repeat),
    )
    .noun("count"),
    row("", "--repeat-delay", P, Take::Judge(judge::repeat_delay)).noun("time"),
    flag("", "--retain-as-published", SR),
    row(
        "",
        "--retain-handling",
        SR,
        Take::Judge(judge::retain_handling),
    )
    .noun("option"),
    flag("", "--retained-only", S),
    row("-s", "--stdin-file", PR, Take::Flag).group(Group::Payload),
    row(
        "-t",
        "--topic",
        PSR | RECORD | LIST | TOP,
        Take::Judge(judge::topic),
    )
    .noun("topic"),
    row("-T", "--filter-out", S, Take::Judge(judge::filter_out)).noun("topic filter"),
    row("-u", "--username", EVERY, Take::Text).noun("username"),
    row("-U", "--unsubscribe", S, Take::Judge(judge::unsubscribe)).noun("unsubscribe topic"),
    row("", "--unix", EVERY, Take::Bytes).noun("socket path"),
    flag("-v", "--verbose", SR | CTRL | LIST),
    row(
        "-V",
        "--protocol-version",
        EVERY,
        Take::Judge(judge::protocol_version),
    )
    .noun("version")
    .named_long(),
    row("", "--version", EVERY, Take::Version),
    flag("-w", "--watch", S),
    row(
        "-W",
        "--timeout",
        SR | PING | RECORD | LIST | TOP,
        Take::Whole(1, i32::MAX as i64, judge::timeout),
    )
    .noun("timeout")
    .own(),
    flag("", "--ws", EVERY),
    row(
        "-x",
        "--session-expiry",
        EVERY,
        Take::Judge(judge::session_expiry),
    )
    .noun("session expiry interval")
    .own(),
];
