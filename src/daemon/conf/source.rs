//! Where a configuration comes from, so that it can be read again: the file, and the words of the
//! command line that go before it.

use std::path::PathBuf;

use crate::daemon::conf::listeners;
use crate::daemon::conf::log_words::{LogDest, LogType};
use crate::daemon::conf::parse::{self, Fault};
use crate::daemon::conf::plugins;
use crate::daemon::conf::settings::Settings;
use crate::daemon::conf::{Conf, Opening};
use crate::daemon::log::Form;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The main file; without it everything is as by default.
    pub file: Option<PathBuf>,
    /// Ports of the command line.
    pub ports: Vec<u16>,
    /// Log everything.
    pub verbose: bool,
    /// Log nothing.
    pub quiet: bool,
    /// Write the keys of TLS connections here.
    pub tls_keylog: Option<PathBuf>,
    /// Limits by name, in place of what the file says.
    pub limits: Vec<(String, String)>,
    /// How lines of the log look.
    pub log_form: Option<Form>,
    /// Where they go, in place of what the file says.
    pub log_dests: Vec<LogDest>,
    /// Which there are, in place of what the file says.
    pub log_types: Vec<LogType>,
}

impl Source {
    /// What the file says.
    pub fn settings(&self) -> Result<Settings, Fault> {
        let mut settings = match &self.file {
            Some(file) => parse::read(file)?,
            None => Settings::default(),
        };
        settings.take_environment();
        settings.tls_keylog.clone_from(&self.tls_keylog);
        Ok(settings)
    }

    /// What that asks for: certificates, passwords and rules are read now.
    pub fn conf(&self, settings: &Settings) -> Result<Conf, Fault> {
        let mut conf = Conf::from_settings(settings, &self.ports)?;
        let mut lines = vec![match &self.file {
            Some(file) => format!("Config loaded from {}.", file.display()),
            None => "Using default config.".to_owned(),
        }];
        lines.extend(listeners::unserved(settings));
        conf.opening = Some(Opening {
            lines,
            plugins: plugins::introductions(settings),
            built_in: plugins::built_in(settings),
            local_only: settings.is_local_only(),
        });
        for (name, value) in &self.limits {
            let fault = |what| Fault::new(format!("Error: limit {name}={value}: {what}."));
            conf.limits.set(name, value).map_err(fault)?;
        }
        conf.log.form = self.log_form.unwrap_or(conf.log.form);
        if !self.log_dests.is_empty() {
            conf.log.dests.clone_from(&self.log_dests);
        }
        if !self.log_types.is_empty() {
            conf.log.types.clone_from(&self.log_types);
        }
        if self.verbose {
            conf.log.verbose();
        }
        if self.quiet {
            conf.log.types.clear();
        }
        Ok(conf)
    }
}
