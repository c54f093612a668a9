//! Passwords that do not stand on the command line: from a file, a variable, or a person.
//!
//! They are wiped when they have served. What stands behind `-P` anybody on this machine has read.

use std::fs::File;
use std::io::{self, IsTerminal, Read};

use crate::cli::args::connection::Connection;
use crate::cli::error::{Error, Kind};
use crate::client::Secret;
use crate::commands::terminal;
use crate::mqtt::limits;
use crate::net::system_words;

/// The password of this connection, wherever it comes from.
pub(crate) fn password(connection: &Connection) -> Result<Option<Secret>, Error> {
    if let Some(typed) = &connection.pw {
        return Ok(Some(typed.as_encoded_bytes().to_vec().into()));
    }
    if let Some(variable) = &connection.password_env {
        let value = std::env::var_os(variable).ok_or_else(|| {
            let told = format!("--password-env: there is no variable {variable}");
            Error::new(Kind::Failed, told)
        })?;
        return Ok(Some(value.into_encoded_bytes().into()));
    }
    if let Some(path) = &connection.password_file {
        let read = match path.as_os_str() == "-" {
            true => to_end(io::stdin().lock()),
            false => File::open(path).and_then(to_end),
        };
        let read = read.map_err(|error| {
            let (shown, words) = (path.display(), system_words(&error));
            Error::new(
                Kind::Failed,
                format!("cannot read the password from {shown}: {words}"),
            )
        })?;
        return Ok(Some(read));
    }
    if connection.ask_password {
        return ask("Password: ").map(Some);
    }
    Ok(None)
}

/// All there is, without the newline at its end.
fn to_end(from: impl Read) -> io::Result<Secret> {
    // Never moves while it grows, so no copy stays behind.
    let most = limits::STRING_MAX + 2;
    let mut text = Vec::with_capacity(most + 1);
    from.take(most as u64 + 1).read_to_end(&mut text)?;
    if text.ends_with(b"\n") {
        text.pop();
        if text.ends_with(b"\r") {
            text.pop();
        }
    }
    let text = Secret::from(text);
    match text.len() > limits::STRING_MAX {
        true => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a password has at most 65,535 bytes",
        )),
        false => Ok(text),
    }
}

/// Asks a person, if one is there.
pub(crate) fn ask(prompt: &str) -> Result<Secret, Error> {
    let failed = |told: String| Error::new(Kind::Failed, told);
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let told = "nobody is here to be asked for a password".to_owned();
        return Err(failed(told).hint("--password-file FILE or --password-env VARIABLE"));
    }
    terminal::print_err(prompt);
    let quiet = rpassword::ConfigBuilder::new().output_discard().build();
    let typed = rpassword::read_password_with_config(quiet);
    // The Enter that ended it was not shown.
    terminal::print_err("\n");
    typed
        .map(|line| Secret::from(line.into_bytes()))
        .map_err(|error| failed(format!("cannot read a password: {error}")))
}
