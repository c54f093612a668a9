//! What mosquitto's log tells of the plugins in its box when they are loaded, and of what stands
//! in the main program in place of one: for watchers that wait for it. What they do is read in
//! `security.rs` and `persistence.rs`.

use crate::daemon::auth::dynsec;
use crate::daemon::conf::directives::global::Security;
use crate::daemon::conf::security::{ACL_FILE, DYNSEC, PASSWORD_FILE, SPARKPLUG, SQLITE, stem};
use crate::daemon::conf::settings::Settings;

/// The plugin, how it is called there, and what it asks to be told of.
const BOX: &[(&str, &str, &[&str])] = &[
    (ACL_FILE, "acl-file", &["acl-check", "reload"]),
    (PASSWORD_FILE, "password-file", &["basic-auth", "reload"]),
    (
        DYNSEC,
        "dynamic-security",
        &["control", "basic-auth", "acl-check", "tick"],
    ),
    (SPARKPLUG, "sparkplug-aware", &["message-in"]),
    (
        SQLITE,
        "",
        &[
            "persist-restore",
            "persist-base-msg-add",
            "persist-base-msg-delete",
            "persist-retain-msg-set",
            "persist-retain-msg-delete",
            "persist-client-add",
            "persist-client-delete",
            "persist-client-update",
            "persist-subscription-add",
            "persist-subscription-delete",
            "persist-client-msg-add",
            "persist-client-msg-delete",
            "persist-client-msg-update",
            "persist-will-add",
            "persist-will-delete",
            "tick",
        ],
    ),
];

/// The lines, in the order in which they are told.
pub(crate) fn introductions(settings: &Settings) -> Vec<String> {
    let mut lines = Vec::new();
    for plugin in &settings.plugins {
        let stem = stem(plugin).unwrap_or_default();
        let Some((_, name, events)) = BOX.iter().find(|(held, _, _)| *held == stem) else {
            continue;
        };
        lines.push(format!("Loading plugin: {}", plugin.path.display()));
        lines.extend(events.iter().map(|event| registered(name, event)));
        lines.extend(match *name {
            "" => None,
            "sparkplug-aware" => Some(format!("Plugin {name} version 1.0 loaded.")),
            _ => Some(format!("Plugin {name} loaded.")),
        });
    }
    lines
}

fn registered(name: &str, event: &str) -> String {
    let name = match name {
        "" => String::new(),
        _ => format!(" {name}"),
    };
    let place = match event {
        "control" => format!(" on topic {}.", dynsec::TOPIC),
        _ => ".".to_owned(),
    };
    format!("Plugin{name} has registered to receive '{event}' events{place}")
}

/// Of `password_file` and `acl_file`, wherever they are said.
pub(crate) fn built_in(settings: &Settings) -> Vec<String> {
    let listeners = settings.listeners.iter().map(|listener| &listener.security);
    let all: Vec<&Security> = match settings.per_listener {
        true => listeners.collect(),
        false => vec![&settings.security],
    };
    let count = |event, said: fn(&Security) -> bool| {
        let line = registered("builtin-security", event);
        vec![line; all.iter().filter(|security| said(security)).count()]
    };
    let mut lines = count("basic-auth", |security| security.password_file.is_some());
    lines.extend(count("acl-check", |security| security.acl_file.is_some()));
    lines
}
