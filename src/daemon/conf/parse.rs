//! The language of mosquitto.conf: lines, blocks, included folders. What each directive takes is
//! in the table (`directives`), what it leads to is in [`Settings`].
//!
//! A name ends at the first blank, the rest of the line is its value. `#` makes a comment in the
//! first column only. A file that is included begins without a block: its listeners, bridges and
//! plugins are its own.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::daemon::conf::bridges;
use crate::daemon::conf::check::check;
use crate::daemon::conf::directives::{self, Directive, Mark, Scope};
use crate::daemon::conf::expand::expand;
use crate::daemon::conf::settings::{Line, Listener, Remark, Settings};
use crate::daemon::conf::value::{Flag, Kind, Origin, Trouble, word};
use crate::mqtt::topic;
use crate::net::system_words;

/// Bytes of a value at most.
const VALUE_MAX: usize = 65_535;

/// Characters of a plugin's option at least.
const OPTION_MIN: usize = 3;

/// Characters that a generated client identifier may begin with.
const PREFIX_MAX: usize = 50;

/// Why a configuration is not taken: a sentence, and the lines that led there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Begins with "Error: ".
    pub sentence: String,
    /// The innermost first.
    pub found_at: Vec<Origin>,
    /// What was to be told before it came to that.
    pub remarks: Vec<Remark>,
}

impl Fault {
    /// One that no line is to blame for.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            found_at: Vec::new(),
            remarks: Vec::new(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)?;
        let Some((last, inner)) = self.found_at.split_last() else {
            return Ok(());
        };
        for at in inner {
            write!(f, "\nError found at '{at}'.")?;
        }
        write!(f, "\nError found at {last}.")
    }
}

/// Reads a file and those it includes.
pub fn read(path: &Path) -> Result<Settings, Fault> {
    let mut settings = Settings::default();
    let name: Arc<str> = path.to_string_lossy().into();
    let understood = File::new(&mut settings, name, true).read(path);
    match understood.and_then(|()| check(&settings)) {
        Ok(()) => Ok(settings),
        Err(mut fault) => {
            fault.remarks = settings.remarks;
            Err(fault)
        }
    }
}

/// One file on its way into the settings.
pub(crate) struct File<'a> {
    pub(crate) settings: &'a mut Settings,
    name: Arc<str>,
    pub(crate) is_main: bool,
    pub(crate) listener: Option<usize>,
    pub(crate) bridge: Option<usize>,
    pub(crate) plugin: Option<usize>,
}

impl<'a> File<'a> {
    pub(crate) fn new(settings: &'a mut Settings, name: Arc<str>, is_main: bool) -> Self {
        Self {
            settings,
            name,
            is_main,
            listener: None,
            bridge: None,
            plugin: None,
        }
    }

    pub(crate) fn read(mut self, path: &Path) -> Result<(), Fault> {
        let name = Arc::clone(&self.name);
        if path.is_dir() {
            return Err(Fault::new(format!(
                "Error: Config file '{name}' is a directory."
            )));
        }
        let bytes = std::fs::read(path).map_err(|error| {
            let why = match error.kind() {
                std::io::ErrorKind::NotFound => String::new(),
                _ => format!(" ({})", system_words(&error)),
            };
            Fault::new(format!("Error: Unable to open config file '{name}'{why}."))
        })?;
        for (number, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
            let at = Origin {
                file: Arc::clone(&name),
                line: number + 1,
            };
            self.line(line, &at).map_err(|mut fault| {
                fault.found_at.push(at);
                fault
            })?;
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], at: &Origin) -> Result<(), Fault> {
        if line.first() == Some(&b'#') {
            return Ok(());
        }
        let malformed = || Fault::new("Error: Malformed UTF-8 in configuration.");
        let line = std::str::from_utf8(line).map_err(|_| malformed())?;
        let line = line.trim_matches([' ', '\r', '\t']);
        if line.is_empty() {
            return Ok(());
        }
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        if line.contains('\0') || value.contains(char::is_control) {
            return Err(malformed());
        }
        let value = expand(value.trim()).map_err(Fault::new)?;
        if value.text.len() > VALUE_MAX {
            return Err(Fault::new(format!("Error: Value of '{name}' is too long.")));
        }
        if let Some(option) = plugin_option(name) {
            self.plugin_option(name, option, &value.text)?;
            let secret = value.secret || sounds_secret(option);
            self.note(name, &value.text, secret, at);
            return Ok(());
        }
        let unknown = || Fault::new(format!("Error: Unknown configuration variable '{name}'."));
        let row = directives::find(name).ok_or_else(unknown)?;
        let secret = value.secret || row.marks.contains(&Mark::Secret);
        self.directive(row, name, &value.text, at)?;
        self.note(row.name, &value.text, secret, at);
        Ok(())
    }

    fn note(&mut self, name: &str, value: &str, secret: bool, at: &Origin) {
        self.settings.lines.push(Line {
            at: at.clone(),
            name: name.to_owned(),
            value: value.to_owned(),
            secret,
        });
    }

    fn directive(
        &mut self,
        row: &Directive,
        name: &str,
        value: &str,
        at: &Origin,
    ) -> Result<(), Fault> {
        for mark in row.marks {
            match mark {
                Mark::Gone(sentence) => {
                    let remark = Remark::Warning((*sentence).to_owned());
                    self.settings.remarks.push(remark);
                    return Ok(());
                }
                Mark::Never(way_out) => {
                    return Err(Fault::new(format!(
                        "Error: The '{name}' option is not available: {way_out}."
                    )));
                }
                Mark::Deprecated(instead) => self.deprecated(name, instead),
                Mark::Note(note) => self.tell(*note),
                _ => {}
            }
        }
        self.demand_block(row, name)?;
        if row.scope == Scope::Listener {
            self.listener_or_default(name);
            self.warn_of_second_port(name);
        }
        if value.is_empty() {
            return Err(Fault::new(match row.name {
                "plugin" | "global_plugin" => {
                    "Error: Missing plugin path for plugin name '(null)'.".to_owned()
                }
                _ => format!("Error: Empty '{}' value in configuration.", row.noun(name)),
            }));
        }
        let result = match row.scope {
            Scope::Global => self.settings.globals.set(row.name, value, at),
            Scope::Security => self.security(row.name, value, at),
            Scope::Listener => {
                let place = self.listener.expect("seen to above");
                let listener = &mut self.settings.listeners[place];
                listener.options.set(row.name, value, at)
            }
            Scope::Bridge => {
                let place = self.bridge.expect("demanded above");
                self.settings.bridges[place]
                    .options
                    .set(row.name, value, at)
            }
            Scope::Plugin => self.deny_special_chars(value),
            Scope::Opener => return self.open(row.name, name, value, at),
        };
        result.map_err(|trouble| Fault::new(sentence(row, name, value, trouble)))?;
        self.look_again(row.name, value)
    }

    fn deprecated(&mut self, name: &str, instead: &str) {
        let text = format!(
            "The '{name}' option is now deprecated and will be removed in version 3.0. {instead}"
        );
        self.tell(text);
    }

    pub(crate) fn tell(&mut self, text: impl Into<String>) {
        self.settings.remarks.push(Remark::Notice(text.into()));
    }

    /// A block of the right kind stands above.
    fn demand_block(&self, row: &Directive, name: &str) -> Result<(), Fault> {
        let missing = |what: &str| {
            Err(Fault::new(format!(
                "Error: The '{name}' option requires {what} to be defined first."
            )))
        };
        let listener = self.listener.map(|at| &self.settings.listeners[at]);
        let named = listener.is_some_and(|listener| !listener.is_default);
        let demands = |mark| row.marks.contains(&mark);
        match row.scope {
            Scope::Bridge if self.bridge.is_none() => missing("a bridge"),
            Scope::Plugin if self.plugin.is_none() => Err(Fault::new(format!(
                "Error: An {name} option exists in the config file without a plugin."
            ))),
            Scope::Security if self.settings.per_listener && listener.is_none() => {
                missing("a listener")
            }
            _ if demands(Mark::NeedsListener) && listener.is_none() => missing("a listener"),
            _ if demands(Mark::NeedsNamedListener) && !named => missing("a listener"),
            _ => Ok(()),
        }
    }

    /// What follows is about the listener above, or the default one where there is none. Lines
    /// that are about no other are always about that.
    fn listener_or_default(&mut self, name: &str) {
        let own = matches!(name, "port" | "bind_address");
        let is_default = |at: usize| self.settings.listeners[at].is_default;
        if self.listener.is_some_and(|at| !own || is_default(at)) {
            return;
        }
        let mut listeners = self.settings.listeners.iter();
        let place = listeners.position(|listener| listener.is_default);
        self.listener = place.or(Some(self.settings.listeners.len()));
        if place.is_none() {
            self.settings.listeners.push(Listener {
                is_default: true,
                ..Listener::default()
            });
            self.tell(format!("Creating default listener due to '{name}' option."));
            self.tell(format!(
                "It is best practice to define a 'listener' first. Using the '{name}' option \
                 without a listener will be disabled in the future."
            ));
        }
    }

    fn warn_of_second_port(&mut self, name: &str) {
        let listener = self.listener.map(|at| &self.settings.listeners[at]);
        if name == "port" && listener.is_some_and(|listener| listener.options.port.is_given()) {
            let text = "Default listener port specified multiple times. Only the latest will be \
                        used.";
            self.settings.remarks.push(Remark::Warning(text.to_owned()));
        }
    }

    fn security(&mut self, name: &str, value: &str, at: &Origin) -> Result<(), Trouble> {
        match self.settings.per_listener {
            true => {
                let place = self.listener.expect("demanded above");
                self.settings.listeners[place].security.set(name, value, at)
            }
            false => self.settings.security.set(name, value, at),
        }
    }

    fn deny_special_chars(&mut self, value: &str) -> Result<(), Trouble> {
        let place = self.plugin.expect("demanded above");
        self.settings.plugins[place].deny_special_chars = Flag::read(value)?;
        Ok(())
    }

    fn plugin_option(&mut self, name: &str, option: &str, value: &str) -> Result<(), Fault> {
        let Some(place) = self.plugin else {
            return Err(Fault::new(format!(
                "Error: The '{name}' option requires plugin/global_plugin/plugin_load to be \
                 defined first."
            )));
        };
        if option.chars().count() < OPTION_MIN {
            return Err(Fault::new("Error: Invalid 'plugin_opt_' config option."));
        }
        if value.is_empty() {
            return Err(Fault::new(format!(
                "Error: Empty '{option}' value in configuration."
            )));
        }
        let option = (option.to_owned(), value.to_owned());
        self.settings.plugins[place].options.push(option);
        Ok(())
    }

    /// What one directive says about the others of its block.
    fn look_again(&mut self, name: &str, value: &str) -> Result<(), Fault> {
        if let Some(bridge) = self.bridge {
            let bridge = &mut self.settings.bridges[bridge];
            let told = bridges::look_again(bridge, name, value);
            self.settings.remarks.extend(told.map(Remark::Notice));
        }
        if self.settings.per_listener && name == "allow_anonymous" {
            self.tell(
                "You are using the 'allow_anonymous' option with 'per_listener_settings true'. \
                 Please replace this with 'listener_allow_anonymous'.",
            );
        }
        if name.ends_with("auto_id_prefix") && value.chars().count() > PREFIX_MAX {
            let shown = match name {
                "auto_id_prefix" => name.to_owned(),
                _ => format!("'{name}'"),
            };
            let sentence = format!("Error: {shown} length must be <= {PREFIX_MAX}.");
            return Err(Fault::new(sentence));
        }
        let Some(listener) = self.listener.map(|at| &self.settings.listeners[at]) else {
            return Ok(());
        };
        let options = &listener.options;
        match name {
            "mount_point" => {
                let point = options.mount_point.as_deref().unwrap_or_default();
                if topic::check_name(point).is_err() {
                    return Err(Fault::new(format!(
                        "Error: Invalid 'mount_point' value ({point}). \
                         Does it contain a wildcard character?"
                    )));
                }
            }
            "http_dir" => {
                let folder = options.http_dir.as_deref().unwrap_or_else(|| Path::new(""));
                if let Err(error) = folder.metadata() {
                    let (folder, why) = (folder.display(), system_words(&error));
                    return Err(Fault::new(format!("Error: http_dir {folder}: {why}.")));
                }
            }
            "certfile" | "psk_hint" | "psk_file"
                if options.psk_hint.is_some() && options.certfile.is_some() =>
            {
                return Err(Fault::new(
                    "Error: Cannot use both certificate and psk encryption in a single listener.",
                ));
            }
            _ => {}
        }
        Ok(())
    }
}

/// The option's own name, of a directive that is one of a plugin.
fn plugin_option(name: &str) -> Option<&str> {
    ["plugin_opt_", "auth_opt_"]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
}

fn sounds_secret(option: &str) -> bool {
    let option = option.to_ascii_lowercase();
    ["pass", "secret", "token", "key"]
        .iter()
        .any(|word| option.contains(word))
}

fn sentence(row: &Directive, name: &str, value: &str, trouble: Trouble) -> String {
    match trouble {
        Trouble::Said(sentence) => sentence,
        Trouble::Duplicate => {
            let noun = row.noun(name);
            format!("Error: Duplicate '{noun}' value in configuration.")
        }
        Trouble::Beyond => format!("Error: '{name}' value out of range."),
        Trouble::NoNumber => format!("Error: '{name}' value not a number."),
        Trouble::Invalid => match row.wrong() {
            Some(wrong) => wrong.replace("{}", word(value)),
            None => format!("Error: Invalid '{name}' value ({}).", word(value)),
        },
    }
}
