//! A broker out of a configuration file: `mosquitto` where we are called so, and
//! `mqttx broker -c FILE`.
//!
//! In mosquitto's order: read the file, stop being root, go to the background, write the pid file,
//! and only then open what the file names.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use anyhow::anyhow;

use crate::cli::args::broker::BrokerArgs;
use crate::cli::args::mosquitto::{self, Asked};
use crate::commands::broker;
use crate::commands::terminal;
use crate::daemon;
use crate::daemon::Ended;
use crate::daemon::conf::Conf;
use crate::daemon::conf::logging;
use crate::daemon::conf::parse::Fault;
use crate::daemon::conf::settings::{Remark, Settings};
use crate::daemon::conf::source::Source;
use crate::daemon::log;
use crate::daemon::log::LogConf;
use crate::daemon::opening::goodbye;
use crate::daemon::process::{PidFile, go_to_background, leave_root, take_umask, user_name};
use crate::net::system_words;

/// The link that makes us mosquitto's broker.
pub(crate) const LINK: &str = "mosquitto";

/// The status when the words or the file are wrong.
const MISCONFIGURED: u8 = 3;

/// The status when the machine does not give what is asked for.
const FAILED: u8 = 1;

/// What is to be done with a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Serve { background: bool },
    Test,
    Print,
}

/// Does what the words behind `mosquitto` ask for.
pub(crate) fn speak(words: &[OsString]) -> ExitCode {
    let args = match mosquitto::parse(words) {
        Ok(Asked::Text(text)) => return terminal::print_out(&text),
        Ok(Asked::Run(args)) => args,
        Err(misuse) => {
            terminal::print_err(&format!("{}\n", misuse.sentence));
            if misuse.with_usage {
                terminal::print_out(&mosquitto::usage());
            }
            Voice::default().say(&goodbye());
            return ExitCode::from(MISCONFIGURED);
        }
    };
    let source = Source {
        file: args.config_file,
        ports: args.ports,
        verbose: args.verbose,
        quiet: args.quiet,
        tls_keylog: args.tls_keylog,
        ..Source::default()
    };
    let purpose = match args.test_config {
        true => Purpose::Test,
        false => Purpose::Serve {
            background: args.daemon,
        },
    };
    start(&source, purpose, |_| {})
}

/// `mqttx broker -c FILE`, with what else its words ask for.
pub(crate) fn start_from(file: &Path, args: &BrokerArgs) -> anyhow::Result<ExitCode> {
    let source = Source {
        file: Some(file.to_owned()),
        ports: args.port.clone(),
        verbose: args.verbose,
        quiet: args.quiet,
        tls_keylog: args.tls_keylog.clone(),
        limits: args
            .limit
            .iter()
            .map(|limit| setting(limit))
            .collect::<Result<_, _>>()?,
        log_form: args.log_format.map(broker::log_form),
        log_dests: logging::dests(&args.log_dest).map_err(|what| anyhow!("--log-dest {what}"))?,
        log_types: logging::types(&args.log_type).map_err(|what| anyhow!("--log-type {what}"))?,
    };
    let purpose = match (args.print_config, args.test_config) {
        (true, _) => Purpose::Print,
        (false, true) => Purpose::Test,
        (false, false) => Purpose::Serve {
            background: args.daemon,
        },
    };
    let adjust = |conf: &mut Conf| {
        conf.workers = args.workers.map(usize::from);
        conf.ready_file.clone_from(&args.ready_file);
        conf.command = (!args.command.is_empty()).then(|| args.command.clone());
    };
    Ok(start(&source, purpose, adjust))
}

/// The name and the value of `--limit`.
fn setting(text: &str) -> anyhow::Result<(String, String)> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| anyhow!("--limit {text}: NAME=VALUE is wanted"))?;
    Ok((name.to_owned(), value.to_owned()))
}

fn start(source: &Source, purpose: Purpose, adjust: impl FnOnce(&mut Conf)) -> ExitCode {
    let settings = match source.settings() {
        Ok(settings) => settings,
        Err(fault) => return Voice::default().misconfigured(&fault),
    };
    let voice = Voice::of(&settings);
    if purpose != Purpose::Print {
        voice.tell(&settings.remarks);
    }
    match purpose {
        Purpose::Print => terminal::print_out(&settings.render()),
        Purpose::Test => match source.conf(&settings) {
            Ok(_) => {
                voice.say("Configuration file is OK.");
                voice.say(&goodbye());
                ExitCode::SUCCESS
            }
            Err(fault) => voice.misconfigured(&fault),
        },
        Purpose::Serve { background } => {
            let pid_file = match settle(&settings, &voice, background) {
                Ok(pid_file) => pid_file,
                Err((sentence, status)) => return voice.failed(&sentence, status),
            };
            let code = serve(source, &settings, &voice, adjust);
            drop(pid_file);
            code
        }
    }
}

/// Finds the process's place among others.
fn settle(
    settings: &Settings,
    voice: &Voice,
    background: bool,
) -> Result<Option<PidFile>, (String, u8)> {
    take_umask();
    let user = settings.globals.user.as_deref().unwrap_or("mosquitto");
    for remark in leave_root(user).map_err(|sentence| (sentence, MISCONFIGURED))? {
        voice.say(&remark);
    }
    if background {
        go_to_background().map_err(|error| {
            let words = system_words(&error);
            (format!("Error in fork: {words}."), FAILED)
        })?;
    }
    let Some(path) = settings.globals.pid_file.as_ref() else {
        return Ok(None);
    };
    PidFile::write(path).map(Some).map_err(|error| {
        let (path, words) = (path.display(), system_words(&error));
        let sentence = format!("Error: Unable to write pid file {path}: {words}.");
        (sentence, FAILED)
    })
}

fn serve(
    source: &Source,
    settings: &Settings,
    voice: &Voice,
    adjust: impl FnOnce(&mut Conf),
) -> ExitCode {
    let mut conf = match source.conf(settings) {
        Ok(conf) => conf,
        Err(fault) => return voice.misconfigured(&fault),
    };
    adjust(&mut conf);
    match daemon::run(&conf, Some(source)) {
        Ok(Ended::Signal) => ExitCode::SUCCESS,
        Ok(Ended::Command(status)) => broker::status_of(status),
        Err(error) => voice.failed(&format!("Error: {error}."), FAILED),
    }
}

/// Tells on standard error what there is to tell while there is no log yet, as the log would.
#[derive(Debug)]
struct Voice {
    log: LogConf,
    /// Who this process was when it started.
    before: Option<String>,
}

impl Default for Voice {
    fn default() -> Self {
        Self::of(&Settings::default())
    }
}

impl Voice {
    fn of(settings: &Settings) -> Self {
        Self {
            log: logging::log(settings).unwrap_or_default(),
            before: user_name(),
        }
    }

    fn say(&self, line: &str) {
        terminal::print_err(&format!("{}{line}\n", log::time(&self.log)));
    }

    fn tell(&self, remarks: &[Remark]) {
        for remark in remarks {
            self.say(&remark.text());
        }
    }

    fn misconfigured(&self, fault: &Fault) -> ExitCode {
        self.tell(&fault.remarks);
        let told = fault.to_string();
        told.lines().for_each(|line| self.say(line));
        self.remind(&told);
        self.say(&goodbye());
        ExitCode::from(MISCONFIGURED)
    }

    fn failed(&self, sentence: &str, status: u8) -> ExitCode {
        self.say(sentence);
        self.remind(sentence);
        self.say(&goodbye());
        ExitCode::from(status)
    }

    /// What may not be done could have been when the process started, as whoever looks for the
    /// reason sees it: as root.
    fn remind(&self, told: &str) {
        let now = user_name();
        let (Some(was), Some(is)) = (&self.before, &now) else {
            return;
        };
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let denied = [system_words(&denied), "Permission denied".to_owned()];
        if was != is && denied.iter().any(|words| told.contains(words.as_str())) {
            self.say(&format!(
                "Error: started as {was}, the broker is user {is} by now: let {is} have what it \
                 needs (chown or chmod), or write 'user {was}' in the configuration."
            ));
        }
    }
}
