//! Standard output and standard error: the only place that prints what is no message.
//!
//! Colour only on a terminal, never with NO_COLOR or TERM=dumb, and never a byte more than colour.

use std::ffi::OsStr;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use colored::Colorize;

use crate::cli::Caller;
use crate::cli::Manner;
use crate::cli::error::{Error, in_one_line, without_number};

/// Prints text to stdout; a reader that has gone away is no failure.
pub(crate) fn print_out(text: &str) -> ExitCode {
    print_out_bytes(text.as_bytes())
}

/// Prints help, whose colours are for terminals.
pub(crate) fn print_help(text: &str) -> ExitCode {
    match takes_colour(&std::io::stdout()) {
        true => print_out(text),
        false => print_out(&without_colour(text)),
    }
}

/// The text without what switches colours: from ESC to the next `m`.
fn without_colour(text: &str) -> String {
    let mut parts = text.split('\x1b');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(part.split_once('m').map_or("", |(_, rest)| rest));
    }
    out
}

pub(crate) fn print_out_bytes(text: &[u8]) -> ExitCode {
    written(put_out(text))
}

/// The same for those who tell what went wrong themselves.
pub(crate) fn put_out(text: &[u8]) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    unless_full(out.write_all(text).and_then(|()| out.flush()))
}

/// What came of writing to stdout: a disk that is full is told.
fn unless_full(result: std::io::Result<()>) -> Result<(), String> {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            let told = format!("cannot write to standard output: {error}");
            Err(without_number(&told))
        }
        _ => Ok(()),
    }
}

fn written(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(told) => {
            complain(&told);
            ExitCode::FAILURE
        }
    }
}

/// One line on stderr behind the program's name, and below it what helps, if the sentence has it.
pub(crate) fn complain(sentence: &str) {
    let told = without_number(sentence);
    print_err(&format!("{}: {told}\n", called_as()));
}

/// Prints text to stdout that a person is to see before the line ends.
pub(crate) fn prompt(text: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody who could be told is there.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints text to stderr; if that fails there is nobody left to tell.
pub(crate) fn print_err(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Tells an error in the words of whom we were called as.
pub(crate) fn tell(caller: Caller, error: &Error) {
    let text = error.render(caller);
    if caller.manner == Manner::Mqttx && stderr_takes_colour() {
        colored::control::set_override(true);
        if let Some((name, rest)) = text.split_once(':') {
            print_err(&format!("{}:{rest}", name.red().bold()));
            return;
        }
    }
    print_err(&text);
}

/// Prints what clap has to say: help to stdout with success, errors to stderr.
pub(crate) fn clap(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return written(unless_full(
            error.print().and_then(|()| std::io::stdout().flush()),
        ));
    }
    let text = error.render().to_string();
    // Where a command is due and none is there, clap tells help.
    match text.starts_with("error: ") {
        true => print_err(&in_one_line(&called_as(), &text)),
        false => print_err(&text),
    }
    ExitCode::FAILURE
}

/// The link's name, or `mqttx` and the command.
fn called_as() -> String {
    let mut words = std::env::args_os();
    let own = words.next().map(PathBuf::from).unwrap_or_default();
    let own = own.file_stem().unwrap_or_default().to_string_lossy();
    match own.starts_with("mosquitto") {
        true => own.into_owned(),
        false => match words.next().filter(|word| !is_option(word)) {
            Some(command) => format!("mqttx {}", command.display()),
            None => "mqttx".to_owned(),
        },
    }
}

fn is_option(word: &OsStr) -> bool {
    word.as_encoded_bytes().starts_with(b"-")
}

fn stderr_takes_colour() -> bool {
    takes_colour(&std::io::stderr())
}

fn takes_colour(stream: &impl IsTerminal) -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    !unwanted && !dumb && stream.is_terminal()
}
