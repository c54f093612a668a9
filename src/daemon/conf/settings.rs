//! What the files say, typed, block by block: [`Settings`]. What it means for the broker is said in
//! `listeners.rs`, `security.rs`, `limits.rs` and their neighbours.

use std::path::PathBuf;

use crate::daemon::conf::directives::bridge::BridgeOptions;
use crate::daemon::conf::directives::global::{Globals, Security};
use crate::daemon::conf::directives::listener::ListenerOptions;
use crate::daemon::conf::value::{Given, Origin};

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// For the whole broker.
    pub globals: Globals,
    /// Who may do what, where no listener says otherwise.
    pub security: Security,
    /// Each listener has its own [`Security`], and nothing else counts.
    pub per_listener: bool,
    /// In the order of the file. The default one is among them, if anything is said about it.
    pub listeners: Vec<Listener>,
    /// In the order of the file.
    pub bridges: Vec<Bridge>,
    /// In the order of the file.
    pub plugins: Vec<Plugin>,
    /// What is to be told, but stops nothing.
    pub remarks: Vec<Remark>,
    /// Where the keys of TLS connections are written: no line's affair, but the command line's.
    pub tls_keylog: Option<PathBuf>,
    /// Every line that says something, as it was understood.
    pub lines: Vec<Line>,
}

/// A listener and what is said about it.
#[derive(Clone, Debug, Default)]
pub struct Listener {
    /// Zero with a path: a Unix socket.
    pub port: u16,
    /// The system chooses the port.
    pub any_port: bool,
    /// Host name, address, or path of a Unix socket.
    pub place: Option<String>,
    /// The listener that no `listener` line opened.
    pub is_default: bool,
    /// Its options.
    pub options: ListenerOptions,
    /// Its own rules, with `per_listener_settings`.
    pub security: Security,
}

/// A bridge and what is said about it.
#[derive(Clone, Debug, Default)]
pub struct Bridge {
    /// Its name.
    pub name: String,
    /// Its options.
    pub options: BridgeOptions,
}

/// A plugin and what is said about it.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// The name `plugin_load` gave it.
    pub name: Option<String>,
    /// The file; those of mosquitto's box are known by its name.
    pub path: PathBuf,
    /// `plugin_opt_…`: name and value.
    pub options: Vec<(String, String)>,
    /// Names with + or # are denied without asking.
    pub deny_special_chars: bool,
    /// Who uses it.
    pub used_by: UsedBy,
    /// Where the file says so.
    pub at: Origin,
}

/// See [`Plugin::used_by`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsedBy {
    /// All listeners.
    All,
    /// These, by their places in [`Settings::listeners`].
    Listeners(Vec<usize>),
}

/// Something to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// May go wrong.
    Warning(String),
    /// Good to know.
    Notice(String),
    /// What happens.
    Information(String),
}

impl Remark {
    /// The line of the log.
    pub fn text(&self) -> String {
        match self {
            Self::Warning(text) => format!("Warning: {text}"),
            Self::Notice(text) | Self::Information(text) => text.clone(),
        }
    }
}

/// A line of a file, as it was understood.
#[derive(Clone, Debug)]
pub struct Line {
    /// Where it is.
    pub at: Origin,
    /// The directive, by its name in the table.
    pub name: String,
    /// Its value, variables replaced.
    pub value: String,
    /// The value is not for everybody's eyes.
    pub secret: bool,
}

impl Settings {
    /// The configuration as it was understood: every line that says something, in its order, with
    /// where it came from. Secrets are not shown.
    pub fn render(&self) -> String {
        let mut out = String::new();
        let mut file = None;
        for line in &self.lines {
            if file != Some(&line.at.file) {
                out.push_str(&format!("# {}\n", line.at.file));
                file = Some(&line.at.file);
            }
            let value = if line.secret { "********" } else { &line.value };
            if line.name == "include_dir" {
                // Its lines stand above.
                out.push_str("# ");
            }
            out.push_str(&format!("{} {value}\n", line.name));
        }
        out
    }

    /// What the environment says goes before the file.
    pub(crate) fn take_environment(&mut self) {
        if let Some(folder) = std::env::var_os("MOSQUITTO_PERSISTENCE_LOCATION") {
            self.globals.persistence_location = Given::unsaid(Some(folder.into()));
        }
    }

    /// The rules of a listener.
    pub fn security_of<'a>(&'a self, listener: &'a Listener) -> &'a Security {
        match self.per_listener {
            true => &listener.security,
            false => &self.security,
        }
    }

    /// Only this machine can connect: no `listener`, `port` or `bind_address` is given.
    pub fn is_local_only(&self) -> bool {
        !self.listeners.iter().any(Listener::is_opened)
    }
}

impl Listener {
    /// A line asks for it, and not only for what would hold for it.
    pub fn is_opened(&self) -> bool {
        let options = &self.options;
        !self.is_default || options.port.is_given() || options.bind_address.is_given()
    }
}
