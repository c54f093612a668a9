//! Dynamic security: clients, groups and roles that an administrator changes on a running broker,
//! by commands to `$CONTROL/dynamic-security/v1`. File and commands are those of mosquitto's
//! plugin; the file is written anew as a whole after each change, for its owner's eyes only.

mod commands;
mod generate;
mod grants;
pub(crate) mod members;
pub(crate) mod model;
mod telling;

use std::fs;
use std::io;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::broker::access::rules::Rules;
use crate::daemon::auth::dynsec::model::Model;

pub use crate::daemon::auth::dynsec::generate::{file_of_admin, with_password};
use crate::net::system_words;

/// Where commands come in.
pub const TOPIC: &str = "$CONTROL/dynamic-security/v1";

/// Where it is kept, and what a file that is not there is made with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// The JSON file.
    pub config: PathBuf,
    /// Its first line is the first administrator's password.
    pub password_init: Option<PathBuf>,
}

/// Clients that are sent away, since something about them changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kick {
    User(String),
    Nobody,
}

/// See the module.
pub(crate) struct Dynsec {
    path: PathBuf,
    model: Model,
}

/// What came of a message to [`TOPIC`].
pub(crate) struct Outcome {
    /// The answer, JSON.
    pub(crate) answer: String,
    pub(crate) changed: bool,
    pub(crate) kicks: Vec<Kick>,
    /// A line of the log for each command that was carried out.
    pub(crate) told: Vec<String>,
}

impl Dynsec {
    /// Reads the file, or makes one. The lines are for the log.
    pub(crate) fn open(
        files: &Files,
        environment: Option<&str>,
    ) -> Result<(Self, Vec<String>), String> {
        let path = files.config.clone();
        let shown = path.display();
        let mut told = Vec::new();
        let unread = |error| format!("cannot read {shown}: {}", system_words(&error));
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                told = generate::generate(files, environment)?;
                fs::read(&path).map_err(unread)?
            }
            Err(error) => return Err(unread(error)),
        };
        let model =
            Model::read(&text).map_err(|what| format!("dynamic security file {shown}: {what}"))?;
        Ok((Self { path, model }, told))
    }

    /// Whether a file that is there can be read.
    pub(crate) fn check(files: &Files) -> Result<(), String> {
        let shown = files.config.display();
        match fs::read(&files.config) {
            Ok(text) => Model::read(&text)
                .map(drop)
                .map_err(|what| format!("dynamic security file {shown}: {what}")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(format!("cannot read {shown}: {}", system_words(&error))),
        }
    }

    /// What the clients may do.
    pub(crate) fn rules(&self) -> Arc<Rules> {
        Arc::new(grants::rules(&self.model))
    }

    /// Whether this is the client's password, and the client may come in by this Client Identifier.
    pub(crate) fn verify(&self, user: &str, password: &[u8], client_id: &str) -> bool {
        let Some(client) = self.model.clients.get(user) else {
            // As long as for a known one.
            let other = self
                .model
                .clients
                .values()
                .find_map(|one| one.password.as_ref());
            let _ = other.map(|hash| hash.matches(password));
            return false;
        };
        let bound = client.client_id.as_deref();
        let matches = client
            .password
            .as_ref()
            .is_some_and(|hash| hash.matches(password));
        matches && !client.disabled && bound.is_none_or(|bound| bound == client_id)
    }

    /// Carries out the commands of a message.
    pub(crate) fn obey(&mut self, payload: &[u8]) -> Outcome {
        commands::obey(&mut self.model, payload)
    }

    /// Writes the file: whole or not at all.
    pub(crate) fn save(&self) -> io::Result<()> {
        replace(&self.path, self.model.text().as_bytes())
    }
}

/// Puts a file of mode 0600 in the place of another.
pub(crate) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    // One that a crash left behind may have other rights.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private().create_new(true).open(&new)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

fn private() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
