//! What `ctrl dynsec` does to a file instead of asking a broker: `init`, which makes one, and
//! `-f FILE dynsec setClientPassword`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use crate::cli::error::{Error, Kind};
use crate::commands::ctrl::{Errand, INVALID, password};
use crate::commands::terminal;
use crate::daemon::auth::dynsec::{file_of_admin, replace, with_password};

const WRONG: &str = "Error: Invalid input.";

/// `init FILE USER [PASSWORD]`
pub(crate) fn init(errand: &Errand<'_>, words: &[String]) -> Result<ExitCode, Error> {
    let (path, user, typed) = match words {
        [path, user] => (path, user, None),
        [path, user, password] => (path, user, Some(password.clone())),
        _ => return Ok(errand.refuse(INVALID, WRONG)),
    };
    if fs::symlink_metadata(path).is_ok() {
        let sentence = format!("Error: '{path}' already exists, it is not written over.");
        return Ok(errand.refuse(INVALID, &sentence));
    }
    let typed = match typed {
        Some(typed) => typed,
        None => password::ask_twice(errand.caller)?.unwrap_or_default(),
    };
    if typed.is_empty() {
        return Ok(errand.refuse(INVALID, "Error: an administrator needs a password."));
    }
    let text = file_of_admin(user, &typed).map_err(|what| Error::new(Kind::Failed, what))?;
    write(Path::new(path), &text)?;
    let name = errand.caller.name();
    Ok(terminal::print_out(&format!(
        "The client '{user}' has been created in the file '{path}'.\n\
         It may administrate dynamic security and read everything, and publish nothing else.\n\
         Clients of your own come next, for example:\n\
         \x20  {name} <connect options> dynsec createClient <username>\n\
         \x20  {name} <connect options> dynsec createRole <rolename>\n\
         \x20  {name} <connect options> dynsec addRoleACL <rolename> publishClientSend my/topic allow\n\
         \x20  {name} <connect options> dynsec addClientRole <username> <rolename>\n"
    )))
}

/// `setClientPassword USER [PASSWORD]` in a file.
pub(crate) fn set_password(
    errand: &Errand<'_>,
    path: &Path,
    words: &[String],
) -> Result<ExitCode, Error> {
    let (user, typed) = match words {
        [user] => (
            user,
            password::ask_twice(errand.caller)?.unwrap_or_default(),
        ),
        [user, typed] => (user, typed.clone()),
        _ => return Ok(errand.refuse(INVALID, WRONG)),
    };
    let shown = path.display();
    let failed = |what: String| Error::new(Kind::Failed, format!("{shown}: {what}"));
    let text = fs::read(path).map_err(|error| failed(error.to_string()))?;
    let text = with_password(&text, user, &typed).map_err(failed)?;
    write(path, &text)?;
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let shown = path.display();
    replace(path, text.as_bytes())
        .map_err(|error| Error::new(Kind::Failed, format!("cannot write {shown}: {error}")))
}
