//! Files whose content is nobody else's business: those of passwords, keys and tokens. Which there
//! are is found here; that others may read one is told at the start. A key of JSON Web Tokens is
//! one of them where it is a secret; rules about topics are not.

use std::path::{Path, PathBuf};

use crate::daemon::auth::jwt::Jwt;
use crate::daemon::conf::security;
use crate::daemon::conf::settings::Settings;

/// Those a configuration names, each once, in its order.
pub(crate) fn of_settings(settings: &Settings) -> Vec<PathBuf> {
    let own = settings.listeners.iter().map(|listener| &listener.security);
    let rules = std::iter::once(&settings.security).chain(own);
    let mut found: Vec<Option<PathBuf>> = Vec::new();
    for rules in rules {
        let files = [&rules.password_file, &rules.dynsec_file, &rules.psk_file];
        found.extend(files.map(|file| (**file).clone()));
        found.push(
            (*rules.jwt_key_file)
                .clone()
                .filter(|file| Jwt::is_secret(file)),
        );
    }
    found.push((*settings.globals.http_token_file).clone());
    for plugin in &settings.plugins {
        let options = ["password_file", "config_file", "password_init_file"];
        found.extend(options.map(|name| security::option(plugin, name)));
    }
    let listeners = settings.listeners.iter();
    found.extend(listeners.map(|listener| (*listener.options.keyfile).clone()));
    let bridges = settings.bridges.iter();
    found.extend(bridges.map(|bridge| (*bridge.options.bridge_keyfile).clone()));
    let mut files: Vec<PathBuf> = Vec::new();
    for file in found.into_iter().flatten() {
        if !files.contains(&file) {
            files.push(file);
        }
    }
    files
}

/// What is to be said of a file of secrets; nothing when it is well kept, or not there.
#[cfg(unix)]
pub(crate) fn remark(file: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(file).ok()?.permissions().mode();
    let shown = file.display();
    (mode & 0o004 != 0).then(|| {
        format!(
            "Warning: {shown} holds secrets, and everybody on this machine may read it; \
             mend it with: chmod o= {shown}"
        )
    })
}

/// Other systems keep files in other ways.
#[cfg(not(unix))]
pub(crate) fn remark(_: &Path) -> Option<String> {
    None
}
