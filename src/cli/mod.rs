//! Words in, text out: the command line of mqttx.
//!
//! Nothing here prints, reads a file or asks a clock. Words arrive as values and leave as [`Request`]s;
//! messages arrive as values and leave as text. `words.rs` is the table of options, `lexer.rs` walks
//! it, `args/` is the clap tree behind it, `usage.rs` writes help, `error.rs` words what went wrong.
//!
//! ```text
//! argv ── caller ──▶ lexer (words.rs, judge.rs) ──▶ clap (args/) ──▶ relations ──▶ Request
//! ```

pub mod address;
pub mod args;
pub mod decode;
pub mod encoding;
pub mod error;
pub mod expect;
pub mod format;
pub mod jsonl;
pub(crate) mod judge;
pub mod layers;
pub(crate) mod lexer;
pub(crate) mod number;
pub mod operator;
pub mod property;
pub mod relations;
pub mod select;
pub mod topics;
pub mod usage;
pub(crate) mod words;

use std::any::TypeId;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args as _;
use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser as _};

use crate::cli::error::Error;
use crate::cli::layers::{Saved, Sources};
use crate::cli::lexer::Lexed;
use crate::mqtt::Version;

pub use lexer::options_file;

/// The programs that speak mosquitto's grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Publish,
    Subscribe,
    Request,
    Ping,
    Record,
    Replay,
    List,
    Top,
    Ctrl,
}

/// Whose words are spoken: ours, or those of the program we were linked as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Mqttx,
    Mosquitto,
}

/// Under which name the program was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    pub program: Program,
    pub manner: Manner,
}

impl Program {
    /// Those that stand in for a program of mosquitto's.
    pub const LINKED: [Self; 4] = [Self::Publish, Self::Subscribe, Self::Request, Self::Ctrl];
    pub const ALL: [Self; 9] = [
        Self::Publish,
        Self::Subscribe,
        Self::Request,
        Self::Ping,
        Self::Record,
        Self::Replay,
        Self::List,
        Self::Top,
        Self::Ctrl,
    ];

    pub(crate) fn bit(self) -> u16 {
        match self {
            Self::Publish => words::P,
            Self::Subscribe => words::S,
            Self::Request => words::R,
            Self::Ping => words::PING,
            Self::Record => words::RECORD,
            Self::Replay => words::REPLAY,
            Self::List => words::LIST,
            Self::Top => words::TOP,
            Self::Ctrl => words::CTRL,
        }
    }

    /// The version a program speaks where nothing is said about it.
    pub fn version(self) -> Version {
        match self {
            Self::Publish | Self::Subscribe | Self::Ping | Self::List => Version::V311,
            Self::Request | Self::Record | Self::Replay | Self::Top | Self::Ctrl => Version::V5,
        }
    }

    /// The name below `mqttx`.
    pub fn subcommand(self) -> &'static str {
        match self {
            Self::Publish => "pub",
            Self::Subscribe => "sub",
            Self::Request => "rr",
            Self::Ping => "ping",
            Self::Record => "record",
            Self::Replay => "replay",
            Self::List => "ls",
            Self::Top => "top",
            Self::Ctrl => "ctrl",
        }
    }

    /// The name of the link that speaks mosquitto's words, and of its options file; empty where
    /// there is none.
    pub fn link(self) -> &'static str {
        match self {
            Self::Publish => "mosquitto_pub",
            Self::Subscribe => "mosquitto_sub",
            Self::Request => "mosquitto_rr",
            Self::Ping | Self::Record | Self::Replay | Self::List | Self::Top => "",
            Self::Ctrl => "mosquitto_ctrl",
        }
    }
}

impl Caller {
    pub fn name(self) -> String {
        match self.manner {
            Manner::Mqttx => format!("mqttx {}", self.program.subcommand()),
            Manner::Mosquitto => self.program.link().to_owned(),
        }
    }
}

/// What a command line asks for.
#[derive(Clone, Debug)]
pub enum Request {
    Publish(Box<args::publish::Publish>),
    Subscribe(Box<args::subscribe::Subscribe>),
    Request(Box<args::request::Request>),
    Ping(Box<args::ping::Ping>),
    Record(Box<args::record::Record>),
    Replay(Box<args::record::Replay>),
    List(Box<args::record::List>),
    Top(Box<args::top::Top>),
    Ctrl(Box<args::ctrl::Ctrl>),
    /// Text for stdout.
    Help(String),
    Version(String),
    Config(String),
    Save(Saved),
}

/// Reads the words after the program's name, and what was found besides them.
pub fn parse(caller: Caller, words: &[OsString], sources: &Sources) -> Result<Request, Error> {
    let (words, operands) = match caller.program {
        Program::Ctrl => words.split_at(lexer::operands_at(caller, words)),
        _ => (words, &[][..]),
    };
    let words = match lexer::lex(caller, words, sources)? {
        Lexed::Config(text) => return Ok(Request::Config(text)),
        Lexed::Save(saved) => return Ok(Request::Save(saved)),
        Lexed::Words(words) => words,
        Lexed::Help => return Ok(Request::Help(usage::help(caller))),
        Lexed::Version => return Ok(Request::Version(usage::version(caller))),
    };
    let parts = words::seldom::parts(caller, words);
    let words = parts.usual;
    let request = match caller.program {
        Program::Publish => {
            let mut publish = typed::<args::publish::Publish>(caller, words);
            publish.tls = apart(caller, parts.tls);
            publish.will = apart(caller, parts.will);
            publish.beyond = apart(caller, parts.beyond);
            relations::publish(caller, &publish)?;
            Request::Publish(Box::new(publish))
        }
        Program::Subscribe => {
            let mut subscribe = typed::<args::subscribe::Subscribe>(caller, words);
            subscribe.tls = apart(caller, parts.tls);
            subscribe.will = apart(caller, parts.will);
            subscribe.beyond = apart(caller, parts.beyond);
            relations::subscribe(caller, &subscribe)?;
            Request::Subscribe(Box::new(subscribe))
        }
        Program::Request => {
            let mut request = typed::<args::request::Request>(caller, words);
            request.tls = apart(caller, parts.tls);
            request.will = apart(caller, parts.will);
            request.reach = apart(caller, parts.beyond);
            relations::request(caller, &request)?;
            Request::Request(Box::new(request))
        }
        Program::Record => {
            let record = typed::<args::record::Record>(caller, words);
            relations::record(&record)?;
            Request::Record(Box::new(record))
        }
        Program::Replay => {
            let replay = typed::<args::record::Replay>(caller, words);
            relations::replay(&replay)?;
            Request::Replay(Box::new(replay))
        }
        Program::List => {
            let list = typed::<args::record::List>(caller, words);
            relations::list(&list)?;
            Request::List(Box::new(list))
        }
        Program::Top => top(caller, words)?,
        Program::Ping => {
            let ping = typed::<args::ping::Ping>(caller, words);
            relations::ping(&ping)?;
            Request::Ping(Box::new(ping))
        }
        Program::Ctrl => {
            let mut ctrl = typed::<args::ctrl::Ctrl>(caller, words);
            ctrl.words = operands.to_vec();
            relations::ctrl(caller, &ctrl)?;
            Request::Ctrl(Box::new(ctrl))
        }
    };
    Ok(request)
}

fn top(caller: Caller, words: Vec<OsString>) -> Result<Request, Error> {
    let top = typed::<args::top::Top>(caller, words);
    relations::top(&top)?;
    Ok(Request::Top(Box::new(top)))
}

/// A part of a line that is mostly not there.
fn apart<A: clap::Args + Default>(caller: Caller, words: Vec<OsString>) -> A {
    match words.is_empty() {
        true => A::default(),
        false => typed(caller, words),
    }
}

/// Lets clap turn clean words into types. The lexer has judged them, so a refusal is our own bug.
fn typed<A: clap::Args>(caller: Caller, words: Vec<OsString>) -> A {
    let mut command = A::augment_args(usage::base(caller.program));
    if words
        .iter()
        .any(|word| word.as_encoded_bytes().ends_with(b"="))
    {
        command = command.mut_args(any_path);
    }
    let mut matches = command
        .try_get_matches_from(words)
        .unwrap_or_else(|error| panic!("clap refuses what the lexer let through: {error}"));
    A::from_arg_matches_mut(&mut matches).expect("clap has just matched these very arguments")
}

/// clap takes no empty path; a shell's empty variable is one. Whoever opens it says what is wrong.
fn any_path(arg: clap::Arg) -> clap::Arg {
    match arg.get_value_parser().type_id() == TypeId::of::<PathBuf>() {
        true => arg.value_parser(OsStringValueParser::new().map(PathBuf::from)),
        false => arg,
    }
}

/// The clap tree of one program, complete with the words only the lexer reads: for help, man pages
/// and completions.
pub fn tree(program: Program) -> clap::Command {
    let base = usage::base(program);
    let command = match program {
        Program::Publish => {
            let publish = args::publish::Publish::augment_args(base);
            args::making::Beyond::augment_args(seldom(publish))
        }
        Program::Subscribe => {
            let subscribe = args::subscribe::Subscribe::augment_args(base);
            args::expect::augment(seldom(subscribe))
        }
        Program::Request => {
            let request = args::request::Request::augment_args(base);
            args::reach::Reach::augment_args(seldom(request))
        }
        Program::Ping => args::ping::Ping::augment_args(base),
        Program::Record => args::record::Record::augment_args(base),
        Program::Replay => args::record::Replay::augment_args(base),
        Program::List => args::record::List::augment_args(base),
        Program::Top => args::top::Top::augment_args(base),
        Program::Ctrl => {
            let names = operator::WORDS.iter().map(|word| word.name);
            let names: Vec<&str> = names.chain(["broker", "dynsec"]).collect();
            // For completions; what else may stand there the commands say themselves.
            args::ctrl::Ctrl::augment_args(base).mut_arg("words", |arg| {
                arg.value_parser(PossibleValuesParser::new(names))
                    .hide_possible_values(true)
            })
        }
    };
    usage::dress(program, command)
}

fn seldom(command: clap::Command) -> clap::Command {
    args::will::Will::augment_args(args::tls::Tls::augment_args(command))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::words::rows;

    /// The rows of the lexer and the options clap knows are the same, each with as many words.
    #[test]
    fn rows_and_clap_agree() {
        for program in Program::ALL {
            let command = tree(program);
            for row in rows().filter(|row| row.programs & program.bit() != 0) {
                let arg = command
                    .get_arguments()
                    .find(|arg| arg.get_long() == Some(row.name()))
                    .unwrap_or_else(|| panic!("clap lacks {} of {program:?}", row.long));
                let short = arg.get_short().map(|c| format!("-{c}")).unwrap_or_default();
                assert_eq!(short, row.short, "{} of {program:?}", row.long);
                let repeats = matches!(arg.get_action(), clap::ArgAction::Append);
                let caller = Caller {
                    program,
                    manner: Manner::Mqttx,
                };
                let known = layers::repeats(caller, row.name());
                // The three kinds of expectation are one to clap.
                let is_known = repeats == known || row.long.starts_with("--expect-");
                assert!(is_known, "{} of {program:?} repeats", row.long);
                assert_eq!(
                    arg.get_action().takes_values(),
                    row.takes_value(),
                    "{} of {program:?}",
                    row.long
                );
            }
            for arg in command.get_opts().filter(|arg| !arg.is_hide_set()) {
                let long = arg.get_long().expect("every option has a long name");
                assert!(
                    rows().any(|r| r.name() == long && r.programs & program.bit() != 0),
                    "no row for --{long} of {program:?}"
                );
            }
            command.debug_assert();
        }
    }
}
