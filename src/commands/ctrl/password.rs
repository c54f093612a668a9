//! A password for somebody else, typed twice without being seen, or the next line of a pipe.

use std::io;
use std::io::BufRead;
use std::io::IsTerminal;

use crate::cli::Caller;
use crate::cli::error::{Error, Kind};
use crate::commands::terminal;

/// `None`: just Return, so there is to be none.
pub(crate) fn ask_twice(caller: Caller) -> Result<Option<String>, Error> {
    let first = ask("New password, or just Return for none: ")?;
    if first.is_empty() {
        let name = caller.name();
        terminal::print_err(&format!(
            "{name}: without a password the client cannot log in\n"
        ));
        return Ok(None);
    }
    if io::stdin().is_terminal() && ask("The same again: ")? != first {
        return Err(Error::new(Kind::Failed, "the passwords do not match"));
    }
    Ok(Some(first))
}

fn ask(prompt: &str) -> Result<String, Error> {
    terminal::print_err(prompt);
    let line = if io::stdin().is_terminal() {
        let quiet = rpassword::ConfigBuilder::new().output_discard().build();
        let line = rpassword::read_password_with_config(quiet);
        terminal::print_err("\n");
        line
    } else {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map(|_| line)
    };
    let line =
        line.map_err(|error| Error::new(Kind::Failed, format!("cannot read a password: {error}")))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
