//! Lines that open a block, include a folder, or change how the lines below them are read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::daemon::conf::parse::{Fault, File};
use crate::daemon::conf::settings::{Bridge, Listener, Plugin, Remark, UsedBy};
use crate::daemon::conf::value::{Flag, Kind, Number, Origin, Trouble, word};

/// In place of a port: whichever is free. The ready file tells which.
const ANY_PORT: &str = "any";

impl File<'_> {
    /// A line whose directive is one of the openers.
    pub(crate) fn open(
        &mut self,
        name: &str,
        written: &str,
        value: &str,
        at: &Origin,
    ) -> Result<(), Fault> {
        match name {
            "listener" => self.open_listener(value),
            "connection" => self.open_bridge(value),
            "plugin" => {
                let listener = match self.settings.per_listener {
                    true => Some(self.listener.ok_or_else(|| {
                        Fault::new(format!(
                            "Error: The '{written}' option requires a listener to be defined first."
                        ))
                    })?),
                    false => None,
                };
                let used_by = listener.map_or(UsedBy::All, |at| UsedBy::Listeners(vec![at]));
                self.open_plugin(None, value, used_by, at)
            }
            "global_plugin" => self.open_plugin(None, value, UsedBy::All, at),
            "plugin_load" => self.load_plugin(value, at),
            "plugin_use" => self.use_plugin(value),
            "per_listener_settings" => self.per_listener_settings(value),
            "include_dir" => self.include(value),
            _ => unreachable!("{name} is no opener"),
        }
    }

    fn open_listener(&mut self, value: &str) -> Result<(), Fault> {
        let mut words = value.split(' ').filter(|word| !word.is_empty());
        let port = words.next().unwrap_or_default();
        let any_port = port == ANY_PORT;
        let port = if any_port { 0 } else { port_of(port)? };
        let place = words.next().filter(|place| !place.starts_with('#'));
        if port == 0 && !any_port && place.is_none() {
            return Err(Fault::new(
                "Error: A listener with port 0 must provide a Unix socket path.",
            ));
        }
        self.listener = Some(self.settings.listeners.len());
        self.settings.listeners.push(Listener {
            port,
            any_port,
            place: place.map(str::to_owned),
            ..Listener::default()
        });
        Ok(())
    }

    fn open_bridge(&mut self, value: &str) -> Result<(), Fault> {
        let name = word(value);
        let bridges = &mut self.settings.bridges;
        if bridges.iter().any(|bridge| bridge.name == name) {
            return Err(Fault::new(format!(
                "Error: Duplicate bridge name '{name}'."
            )));
        }
        self.bridge = Some(bridges.len());
        bridges.push(Bridge {
            name: name.to_owned(),
            ..Bridge::default()
        });
        Ok(())
    }

    fn open_plugin(
        &mut self,
        name: Option<&str>,
        path: &str,
        used_by: UsedBy,
        at: &Origin,
    ) -> Result<(), Fault> {
        self.plugin = Some(self.settings.plugins.len());
        self.settings.plugins.push(Plugin {
            name: name.map(str::to_owned),
            path: path.into(),
            options: Vec::new(),
            deny_special_chars: true,
            used_by,
            at: at.clone(),
        });
        Ok(())
    }

    fn load_plugin(&mut self, value: &str, at: &Origin) -> Result<(), Fault> {
        let (name, path) = value.split_once(' ').unwrap_or((value, ""));
        if path.is_empty() {
            return Err(Fault::new(format!(
                "Error: Missing plugin path for plugin name '{name}'."
            )));
        }
        if self.named_plugin(name).is_some() {
            return Err(Fault::new(format!(
                "Error: Duplicate plugin name '{name}'."
            )));
        }
        let nobody = UsedBy::Listeners(Vec::new());
        self.open_plugin(Some(name), path.trim(), nobody, at)
    }

    fn use_plugin(&mut self, name: &str) -> Result<(), Fault> {
        let place = self
            .named_plugin(name)
            .ok_or_else(|| Fault::new(format!("Error: Plugin '{name}' not previously loaded.")))?;
        self.plugin = Some(place);
        let used_by = &mut self.settings.plugins[place].used_by;
        if let (UsedBy::Listeners(list), Some(listener)) = (used_by, self.listener) {
            list.push(listener);
        }
        Ok(())
    }

    fn named_plugin(&self, name: &str) -> Option<usize> {
        let plugins = &self.settings.plugins;
        plugins
            .iter()
            .position(|plugin| plugin.name.as_deref() == Some(name))
    }

    /// Once it is true it stays so: lines above were read that way.
    fn per_listener_settings(&mut self, value: &str) -> Result<(), Fault> {
        if self.settings.per_listener {
            return Ok(());
        }
        let wanted = Flag::read(value).map_err(|trouble| match trouble {
            Trouble::Said(sentence) => Fault::new(sentence),
            _ => Fault::new(format!(
                "Error: Invalid 'per_listener_settings' value ({}).",
                word(value)
            )),
        })?;
        let late = !self.settings.security.given().is_empty() || !self.settings.plugins.is_empty();
        if wanted && late {
            return Err(Fault::new(
                "Error: per_listener_settings must be set before any other security settings.",
            ));
        }
        self.settings.per_listener = wanted;
        Ok(())
    }

    fn include(&mut self, folder: &str) -> Result<(), Fault> {
        if !self.is_main {
            return Err(Fault::new(
                "Error: The include_dir option is only valid in the main configuration file.",
            ));
        }
        let files = files_in(Path::new(folder))
            .map_err(|_| Fault::new(format!("Error: Unable to open include_dir '{folder}'.")))?;
        for path in files {
            let name: Arc<str> = path.to_string_lossy().into();
            let remark = Remark::Information(format!("Loading config file '{name}'"));
            self.settings.remarks.push(remark);
            File::new(self.settings, name, false).read(&path)?;
        }
        Ok(())
    }
}

fn port_of(word: &str) -> Result<u16, Fault> {
    let no_number = |_| Fault::new("Error: 'listener port' value not a number.");
    let number = Number::read(word).map_err(no_number)?;
    let bad = |_| Fault::new(format!("Error: Invalid 'port' value ({number})."));
    u16::try_from(number).map_err(bad)
}

/// The files `*.conf` of a folder. Names that differ in nothing but case stand next to each
/// other, capitals first.
fn files_in(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.len() > ".conf".len() && name.ends_with(".conf") {
            files.push((name.to_lowercase(), name, path));
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(_, _, path)| path).collect())
}
