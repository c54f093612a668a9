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
use jiff::Timestamp;

use crate::cli::args::broker::BrokerArgs;
use crate::cli::args::mosquitto::{self, Asked};
use crate::commands::broker;
use crate::commands::terminal;
use crate::daemon;
use crate::daemon::Ended;
use crate::daemon::conf::Conf;
use crate::daemon::conf::logging;
use crate::daemon::conf::parse::Fault;
use crate::daemon::conf::settings::Settings;
use crate::daemon::conf::source::Source;
use crate::daemon::opening::goodbye;
use crate::daemon::process::{PidFile, go_to_background, leave_root, take_umask, user_name};
use crate::net::system_words;

/// The link that makes us mosquitto's broker.
pub(crate) const LINK: &str = "mosquitto";

/// The status when the words or the file are wrong.
const MISCONFIGURED: u8 = 3;

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
            return wrong();
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
        Err(fault) => return misconfigured(&fault),
    };
    match purpose {
        Purpose::Print => terminal::print_out(&settings.render()),
        Purpose::Test => match source.conf(&settings) {
            Ok(_) => {
                say("Configuration file is OK.");
                ExitCode::SUCCESS
            }
            Err(fault) => misconfigured(&fault),
        },
        Purpose::Serve { background } => {
            let before = user_name();
            let pid_file = match settle(&settings, background) {
                Ok(pid_file) => pid_file,
                Err(sentence) => return failed(&sentence, before.as_deref()),
            };
            let code = serve(source, &settings, adjust, before.as_deref());
            drop(pid_file);
            code
        }
    }
}

/// Finds the process's place among others.
fn settle(settings: &Settings, background: bool) -> Result<Option<PidFile>, String> {
    take_umask();
    let user = settings.globals.user.as_deref().unwrap_or("mosquitto");
    if let Some(remark) = leave_root(user)? {
        say(&remark);
    }
    if background {
        go_to_background().map_err(|error| format!("Error in fork: {}.", system_words(&error)))?;
    }
    let Some(path) = settings.globals.pid_file.as_ref() else {
        return Ok(None);
    };
    PidFile::write(path).map(Some).map_err(|error| {
        let (path, words) = (path.display(), system_words(&error));
        format!("Error: Unable to write pid file {path}: {words}.")
    })
}

fn serve(
    source: &Source,
    settings: &Settings,
    adjust: impl FnOnce(&mut Conf),
    before: Option<&str>,
) -> ExitCode {
    let mut conf = match source.conf(settings) {
        Ok(conf) => conf,
        Err(fault) => {
            let told = fault.to_string();
            told.lines().for_each(say);
            remind(&told, before);
            return wrong();
        }
    };
    adjust(&mut conf);
    match daemon::run(&conf, Some(source)) {
        Ok(Ended::Signal) => ExitCode::SUCCESS,
        Ok(Ended::Command(status)) => broker::status_of(status),
        Err(error) => failed(&format!("Error: {error}."), before),
    }
}

/// What may not be done could have been when the process started, as whoever looks for the reason
/// sees it: as root.
fn remind(told: &str, before: Option<&str>) {
    let now = user_name();
    let (Some(was), Some(is)) = (before, now.as_deref()) else {
        return;
    };
    let denied = io::Error::from(io::ErrorKind::PermissionDenied);
    let denied = [system_words(&denied), "Permission denied".to_owned()];
    if was != is && denied.iter().any(|words| told.contains(words.as_str())) {
        say(&format!(
            "Error: started as {was}, the broker is user {is} by now: let {is} have what it needs \
             (chown or chmod), or write 'user {was}' in the configuration."
        ));
    }
}

/// One line on standard error, as mosquitto's log has it.
fn say(line: &str) {
    let now = Timestamp::now().as_second();
    terminal::print_err(&format!("{now}: {line}\n"));
}

fn misconfigured(fault: &Fault) -> ExitCode {
    for line in fault.to_string().lines() {
        say(line);
    }
    wrong()
}

fn wrong() -> ExitCode {
    say(&goodbye());
    ExitCode::from(MISCONFIGURED)
}

/// `before`: who this process was when it started.
fn failed(sentence: &str, before: Option<&str>) -> ExitCode {
    say(sentence);
    remind(sentence, before);
    say(&goodbye());
    ExitCode::FAILURE
}
