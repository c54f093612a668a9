//! `mqttx ctrl`, and mosquitto_ctrl: commands for a running broker, over its `$CONTROL` topics.
//!
//! A module is a file here and a row in [`MODULES`]; `wire.rs` sends what it has to say and brings
//! back the answer.

mod broker;
mod broker_text;
mod dynsec;
mod dynsec_file;
mod dynsec_text;
mod password;
mod wire;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::cli::args::ctrl::Ctrl;
use crate::cli::error::{Error, Kind};
use crate::cli::operator::{self, Word};
use crate::cli::{Caller, Manner};
use crate::commands::terminal;

/// What mosquitto_ctrl ends with when a word is wrong: its library's numbers.
pub(crate) const INVALID: u8 = 3;
const NO_MODULE: u8 = 10;
pub(crate) const NO_COMMAND: u8 = 13;

/// A part of the broker that takes commands.
pub(crate) struct Module {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// For `ctrl MODULE help`.
    pub(crate) usage: fn(Caller) -> String,
    pub(crate) run: fn(&Errand<'_>) -> Result<ExitCode, Error>,
}

/// All of them, in the order help lists them.
const MODULES: &[Module] = &[broker::MODULE, dynsec::MODULE];

/// `-f` where a broker is asked.
const NO_FILE: &str = "-f goes with dynsec setClientPassword only";

/// What a module is asked to do.
pub(crate) struct Errand<'a> {
    pub(crate) caller: Caller,
    /// The module's name; empty where the words name none.
    pub(crate) module: &'static str,
    pub(crate) args: &'a Ctrl,
    /// The command, and what follows it.
    pub(crate) words: &'a [String],
}

impl Errand<'_> {
    /// A mistake in the words: mosquitto_ctrl's sentence and status, or ours.
    pub(crate) fn refuse(&self, status: u8, sentence: &str) -> ExitCode {
        match self.caller.manner {
            Manner::Mosquitto => {
                terminal::print_err(&format!("{sentence}\n"));
                ExitCode::from(status)
            }
            Manner::Mqttx => {
                let sentence = sentence.trim_start_matches("Error: ");
                let help = match self.module {
                    "" => "mqttx ctrl --help".to_owned(),
                    module => format!("mqttx ctrl {module} help"),
                };
                let error = Error::new(Kind::Usage, sentence).hint(help);
                terminal::tell(self.caller, &error);
                ExitCode::FAILURE
            }
        }
    }

    /// What the broker refuses, in mosquitto_ctrl's shape or in ours.
    pub(crate) fn refused(&self, about: &str, why: &str, remedy: Option<&str>) {
        match self.caller.manner {
            Manner::Mosquitto => {
                terminal::print_err(&format!("{about}: Error: {why}.\n"));
                if let Some(remedy) = remedy {
                    terminal::print_err(&format!("  try: {remedy}\n"));
                }
            }
            Manner::Mqttx => {
                let error = Error::new(Kind::Failed, format!("{why}: {about}"));
                terminal::tell(self.caller, &error.maybe_hint(remedy));
            }
        }
    }
}

pub(crate) fn run(caller: Caller, args: &Ctrl) -> Result<ExitCode, Error> {
    let words = readable(&args.words)?;
    if let Some(ours) = words.first().and_then(|name| our_word(caller, name)) {
        let wanted = ours.read(&words[1..]);
        let told = |what: String| {
            let hint = match what.contains(" does not take '-") {
                true => "options of the connection before the command: mqttx ctrl -h HOST clients",
                false => "mqttx ctrl --help",
            };
            Error::new(Kind::Usage, what).hint(hint)
        };
        let errand = Errand {
            caller,
            module: "",
            args,
            words: &words[1..],
        };
        if args.file.is_some() {
            return Err(Error::new(Kind::Usage, NO_FILE)
                .hint("mqttx ctrl -f FILE dynsec setClientPassword NAME"));
        }
        return broker::carry_out(&errand, &wanted.map_err(told)?);
    }
    let (Some(name), Some(command)) = (words.first(), words.get(1)) else {
        return match words.first().filter(|_| caller.manner == Manner::Mqttx) {
            Some(word) => Err(unknown(word)),
            None => Ok(overview(caller)),
        };
    };
    let module = MODULES.iter().find(|module| module.name == name);
    let errand = Errand {
        caller,
        module: module.map_or("", |module| module.name),
        args,
        words: &words[1..],
    };
    let Some(module) = module else {
        if caller.manner == Manner::Mqttx {
            return Err(unknown(name));
        }
        let sentence = format!("Error: Module '{name}' not supported.");
        return Ok(errand.refuse(NO_MODULE, &sentence));
    };
    if command == "help" {
        return Ok(terminal::print_out(&(module.usage)(caller)));
    }
    (module.run)(&errand)
}

/// A word that is neither a module nor a command, or a module without a command.
fn unknown(word: &str) -> Error {
    if MODULES.iter().any(|module| module.name == word) {
        let told = format!("'{word}' wants a command");
        return Error::new(Kind::Usage, told).hint(format!("mqttx ctrl {word} help"));
    }
    let commands = operator::WORDS.iter().map(|word| word.name);
    let modules = MODULES.iter().map(|module| module.name);
    let names: Vec<&str> = commands.chain(modules).collect();
    Error::new(Kind::Usage, format!("no command '{word}'")).hint(names.join(", "))
}

/// `mqttx ctrl clients` and its neighbours, which mosquitto_ctrl does not have.
fn our_word(caller: Caller, name: &str) -> Option<&'static Word> {
    let ours = || operator::WORDS.iter().find(|word| word.name == name);
    (caller.manner == Manner::Mqttx).then(ours).flatten()
}

fn readable(words: &[OsString]) -> Result<Vec<String>, Error> {
    let text = |word: &OsString| {
        let shown = word.to_string_lossy();
        let told = || Error::new(Kind::Usage, format!("'{shown}' is not UTF-8."));
        word.to_str().map(str::to_owned).ok_or_else(told)
    };
    words.iter().map(text).collect()
}

fn overview(caller: Caller) -> ExitCode {
    let name = caller.name();
    let mut out = format!("{name} gives commands to a running broker.\n\n");
    out += &format!("Usage: {name} [options] MODULE COMMAND [words]\n");
    out += &format!("       {name} MODULE help\n\nModules:\n");
    for module in MODULES {
        out += &format!("  {:<10} {}\n", module.name, module.about);
    }
    if caller.manner == Manner::Mqttx {
        out += &operator::help();
    }
    match caller.manner {
        Manner::Mosquitto => {
            terminal::print_out(&out);
        }
        Manner::Mqttx => terminal::print_err(&out),
    }
    ExitCode::FAILURE
}
