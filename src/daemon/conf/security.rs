//! From the rules of the settings, who may do what, to those of [`Conf`].

use std::path::Path;
use std::sync::Arc;

use crate::daemon::auth::password_file::PasswordFile;
use crate::daemon::conf::Conf;
use crate::daemon::conf::parse::Fault;
use crate::daemon::conf::settings::{Listener, Settings};
use crate::daemon::conf::waiting::{Waiting, waiting};

/// What nothing checks yet.
const WAITING: &[Waiting] = &[
    waiting("acl_file", &[]),
    waiting("check_retain_source", &["false", "0"]),
    waiting("clientid_prefixes", &[]),
    waiting("plugin", &[]),
    waiting("global_plugin", &[]),
    waiting("plugin_load", &[]),
    waiting("plugin_use", &[]),
];

/// Puts the rules into `conf`.
pub(crate) fn apply(settings: &Settings, conf: &mut Conf) -> Result<(), Fault> {
    Waiting::check(WAITING, settings)?;
    let local_only = settings.is_local_only();
    let opened = |listener: &&Listener| listener.is_opened();
    // Each listener has its own answer in its rules; this one is for those without.
    conf.anonymous = match local_only {
        true => settings.security.allow_anonymous.unwrap_or(true),
        false => settings.security.allow_anonymous.unwrap_or(false),
    };
    let files = || {
        let listeners = settings.listeners.iter().filter(opened);
        listeners.map(|listener| settings.security_of(listener).password_file.as_deref())
    };
    let same_file = files()
        .collect::<Vec<_>>()
        .windows(2)
        .all(|two| two[0] == two[1]);
    if !same_file {
        return Err(Fault::new(
            "Error: listeners with different rules are not supported yet.",
        ));
    }
    let file = match settings.per_listener {
        true => files().next().flatten(),
        false => settings.security.password_file.as_deref(),
    };
    conf.password_file = file.map(passwords).transpose()?.map(Arc::new);
    Ok(())
}

fn passwords(path: &Path) -> Result<PasswordFile, Fault> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let sentence = format!("Error: Unable to open pwfile \"{shown}\": {error}.");
        Fault::new(sentence)
    })?;
    PasswordFile::parse(&text).map_err(|bad| {
        let sentence = format!("Error: Invalid line in password file '{shown}': {bad}.");
        Fault::new(sentence)
    })
}
