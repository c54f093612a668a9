//! The hands: each command reads its Args, drives the rooms below and ends with an exit status.
//!
//! [`main`] is the whole program. Called through a link named `mosquitto`, `mosquitto_pub`,
//! `mosquitto_sub` … (every `LINK` of the files here) it is that program; otherwise the first
//! word picks a row of [`COMMANDS`], and only that row's clap tree is built. A new command is a file
//! here and a row there.

pub mod bench;
pub mod broker;
mod conf_page;
mod connect;
mod ctrl;
pub mod db;
mod drive;
mod encryption;
mod feeding;
pub mod generate;
mod lines;
pub mod link;
mod list;
mod making;
mod outcome;
pub mod passwd;
mod ping;
mod printer;
mod publish;
mod reach;
mod record;
mod remedy;
mod replay;
mod request;
mod secret;
mod show;
#[cfg(unix)]
pub mod signal;
mod sources;
mod stdout;
mod subscribe;
pub mod template;
mod terminal;
mod top;
mod trace;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use crate::cli;
use crate::cli::error::Error;
use crate::cli::format::on_one_line;
use crate::cli::lexer::distance;
use crate::cli::topics::TOPICS;
use crate::cli::{Caller, Manner, Program};

/// A word after `mqttx`, and what it leads to.
pub struct Command {
    pub name: &'static str,
    pub about: &'static str,
    run: fn(Vec<OsString>) -> ExitCode,
    /// For help, man pages and completions; the command itself builds no tree but its own.
    pub tree: fn() -> clap::Command,
}

/// Every command, in the order help lists them.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "pub",
        about: "Publish messages",
        run: |words| speak(ours(Program::Publish), &words),
        tree: || cli::tree(Program::Publish),
    },
    Command {
        name: "sub",
        about: "Subscribe and print messages",
        run: |words| speak(ours(Program::Subscribe), &words),
        tree: || cli::tree(Program::Subscribe),
    },
    Command {
        name: "rr",
        about: "Publish a request and wait for the response",
        run: |words| speak(ours(Program::Request), &words),
        tree: || cli::tree(Program::Request),
    },
    Command {
        name: "ping",
        about: "Measure how long CONNECT and PINGREQ take",
        run: |words| speak(ours(Program::Ping), &words),
        tree: || cli::tree(Program::Ping),
    },
    Command {
        name: "record",
        about: "Record messages with their times",
        run: |words| speak(ours(Program::Record), &words),
        tree: || cli::tree(Program::Record),
    },
    Command {
        name: "replay",
        about: "Publish what was recorded, at its own pace or another",
        run: |words| speak(ours(Program::Replay), &words),
        tree: || cli::tree(Program::Replay),
    },
    Command {
        name: "ls",
        about: "List the topics known now",
        run: |words| speak(ours(Program::List), &words),
        tree: || cli::tree(Program::List),
    },
    Command {
        name: "top",
        about: "Watch the topics live, as a tree",
        run: |words| speak(ours(Program::Top), &words),
        tree: || cli::tree(Program::Top),
    },
    Command {
        name: "broker",
        about: broker::ABOUT,
        run: broker::run,
        tree: broker::tree,
    },
    Command {
        name: "bench",
        about: bench::ABOUT,
        run: bench::run,
        tree: bench::tree,
    },
    Command {
        name: "passwd",
        about: passwd::ABOUT,
        run: passwd::run,
        tree: passwd::tree,
    },
    Command {
        name: "ctrl",
        about: "Give commands to a running broker",
        run: |words| speak(ours(Program::Ctrl), &words),
        tree: || cli::tree(Program::Ctrl),
    },
    Command {
        name: "db",
        about: db::ABOUT,
        run: db::run,
        tree: db::tree,
    },
    Command {
        name: "link",
        about: link::ABOUT,
        run: link::run,
        tree: link::tree,
    },
    #[cfg(unix)]
    Command {
        name: "signal",
        about: signal::ABOUT,
        run: signal::run,
        tree: signal::tree,
    },
    Command {
        name: "completions",
        about: generate::COMPLETIONS_ABOUT,
        run: generate::run_completions,
        tree: generate::completions_tree,
    },
    Command {
        name: "man",
        about: generate::MAN_ABOUT,
        run: generate::run_man,
        tree: generate::man_tree,
    },
];

/// Runs the program these words call, the program's own name first.
pub fn main(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut words = words.into_iter();
    let called = words.next().unwrap_or_default();
    let rest: Vec<OsString> = words.collect();
    if let Some(program) = linked(&called) {
        return speak(
            Caller {
                program,
                manner: Manner::Mosquitto,
            },
            &rest,
        );
    }
    if Path::new(&called).file_stem() == Some(OsStr::new(passwd::LINK)) {
        return passwd::speak(Manner::Mosquitto, &rest);
    }
    #[cfg(unix)]
    if Path::new(&called).file_stem() == Some(OsStr::new(signal::LINK)) {
        return signal::speak(&rest);
    }
    if Path::new(&called).file_stem() == Some(OsStr::new(db::LINK)) {
        return db::speak(&rest);
    }
    if Path::new(&called).file_stem() == Some(OsStr::new(broker::mosquitto::LINK)) {
        return broker::mosquitto::speak(&rest);
    }
    let Some(first) = rest.first() else {
        terminal::print_err(&overview());
        return ExitCode::FAILURE;
    };
    match first.to_str().unwrap_or_default() {
        "--help" | "-h" | "help" => help(rest.get(1)),
        "--version" | "-V" | "version" => terminal::print_out(&cli::usage::own_version()),
        word => match command(word) {
            Some(command) => (command.run)(rest[1..].to_vec()),
            None => unknown(first),
        },
    }
}

fn command(word: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == word)
}

const fn ours(program: Program) -> Caller {
    Caller {
        program,
        manner: Manner::Mqttx,
    }
}

/// The program a link's name stands for.
fn linked(called: &OsStr) -> Option<Program> {
    let stem = Path::new(called).file_stem()?;
    Program::LINKED
        .into_iter()
        .find(|program| stem == program.link())
}

fn help(about: Option<&OsString>) -> ExitCode {
    let topic = about.and_then(|word| TOPICS.iter().find(|topic| word == topic.name));
    if let Some(topic) = topic {
        return terminal::print_out(&cli::topics::text(topic));
    }
    match about.map(|word| command(word.to_str().unwrap_or_default())) {
        None => terminal::print_out(&overview()),
        Some(Some(command)) => (command.run)(vec!["--help".into()]),
        Some(None) => unknown(about.map(OsString::as_os_str).unwrap_or_default()),
    }
}

fn overview() -> String {
    let mut out = format!("{}\n", env!("CARGO_PKG_DESCRIPTION"));
    out.push_str("\nUsage: mqttx COMMAND [options]\n\nCommands:\n");
    for command in COMMANDS {
        out.push_str(&format!("  {:<12} {}\n", command.name, command.about));
    }
    out.push_str("\nTopics of mqttx help:\n");
    for topic in TOPICS {
        out.push_str(&format!("  {:<12} {}\n", topic.name, topic.about));
    }
    out.push_str("\nmqttx COMMAND --help tells more; mqttx --version tells which mqttx this is.\n");
    out
}

fn unknown(word: &OsStr) -> ExitCode {
    let shown = word.to_string_lossy();
    let names: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
    let told = names.join(", ");
    let remedy = match TOPICS.iter().find(|topic| topic.name == shown) {
        Some(topic) => format!("mqttx help {}", topic.name),
        None if shown.starts_with('-') => format!("a command first: {told}"),
        None => match alike(&shown, &names)[..] {
            [] => told,
            ref alike => alike.join(", "),
        },
    };
    let shown = on_one_line(&shown);
    terminal::print_err(&format!("mqttx: no command '{shown}'\n  try: {remedy}\n"));
    ExitCode::FAILURE
}

/// The names that one letter more, less or another makes of a word, or its beginning.
fn alike<'a>(word: &str, names: &[&'a str]) -> Vec<&'a str> {
    let is_alike = |name: &&str| {
        let begins = name.starts_with(word) || word.starts_with(*name);
        !word.is_empty() && (begins || distance(&word.to_lowercase(), name) <= 1)
    };
    names.iter().copied().filter(is_alike).collect()
}

/// Runs one of mosquitto's programs, in our words or in theirs.
fn speak(caller: Caller, words: &[OsString]) -> ExitCode {
    match obey(caller, words) {
        Ok(code) => code,
        Err(error) => {
            terminal::tell(caller, &error);
            ExitCode::from(error.kind.exit_status())
        }
    }
}

fn obey(caller: Caller, words: &[OsString]) -> Result<ExitCode, Error> {
    let sources = sources::gather(caller, words)?;
    match cli::parse(caller, words, &sources)? {
        cli::Request::Config(text) => Ok(terminal::print_out(&text)),
        cli::Request::Save(saved) => Ok(terminal::print_out(&sources::save(&saved)?)),
        cli::Request::Help(text) | cli::Request::Version(text) => {
            let printed = terminal::print_help(&text);
            // The clients of mosquitto have always failed on these two.
            Ok(if caller.manner == Manner::Mosquitto {
                ExitCode::FAILURE
            } else {
                printed
            })
        }
        cli::Request::Publish(args) => publish::run(caller, &args),
        cli::Request::Subscribe(args) => subscribe::run(caller, &args),
        cli::Request::Request(args) => request::run(caller, &args),
        cli::Request::Ping(args) => ping::run(caller, &args),
        cli::Request::Record(args) => record::run(caller, &args),
        cli::Request::Replay(args) => replay::run(caller, &args),
        cli::Request::List(args) => list::run(caller, &args),
        cli::Request::Top(args) => top::run(caller, &args),
        cli::Request::Ctrl(args) => ctrl::run(caller, &args),
    }
}
