//! Where a configuration comes from, so that it can be read again: the file, and the words of the
//! command line that go before it.

use std::path::PathBuf;

use crate::daemon::conf::parse::{self, Fault};
use crate::daemon::conf::settings::{Remark, Settings};
use crate::daemon::conf::{Conf, Opening};

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
}

impl Source {
    /// What the file says.
    pub fn settings(&self) -> Result<Settings, Fault> {
        let mut settings = match &self.file {
            Some(file) => parse::read(file)?,
            None => Settings::default(),
        };
        settings.take_environment();
        Ok(settings)
    }

    /// What that asks for: certificates, passwords and rules are read now.
    pub fn conf(&self, settings: &Settings) -> Result<Conf, Fault> {
        let mut conf = Conf::from_settings(settings, &self.ports)?;
        let mut lines: Vec<String> = settings.remarks.iter().map(Remark::text).collect();
        lines.insert(
            0,
            match &self.file {
                Some(file) => format!("Config loaded from {}.", file.display()),
                None => "Using default config.".to_owned(),
            },
        );
        conf.opening = Some(Opening {
            lines,
            local_only: settings.is_local_only(),
        });
        if self.verbose {
            conf.log.verbose();
        }
        if self.quiet {
            conf.log.types.clear();
        }
        Ok(conf)
    }
}
