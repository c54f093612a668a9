//! `mqttx broker`: the words become a [`Conf`], and the daemon runs until it is told to stop.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args as _;
use clap::FromArgMatches as _;

use crate::broker::limits::{Limits, ROWS};
use crate::cli::args::broker::{BrokerArgs, EXAMPLES};
use crate::daemon;
use crate::daemon::Ended;
use crate::daemon::auth::password_file::PasswordFile;
use crate::daemon::conf::Conf;

/// One line for the list of commands.
pub const ABOUT: &str = "Run a broker for MQTT 3.1, 3.1.1 and 5.0";

/// The clap tree, for help, manual and completions.
pub fn tree() -> clap::Command {
    let command = clap::Command::new("broker")
        .about(ABOUT)
        .after_help(EXAMPLES);
    BrokerArgs::augment_args(command).bin_name("mqttx broker")
}

/// Runs the command with the words behind its name.
pub fn run(words: Vec<OsString>) -> ExitCode {
    let words = std::iter::once(OsString::from("broker")).chain(words);
    let matches = match tree().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let result = BrokerArgs::from_arg_matches(&matches)
        .map_err(|error| error.to_string())
        .and_then(|args| start(&args));
    match result {
        Ok(code) => code,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "Error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: &BrokerArgs) -> Result<ExitCode, String> {
    if args.limits {
        return list_limits();
    }
    let conf = conf(args)?;
    match daemon::run(&conf) {
        Ok(Ended::Signal) => Ok(ExitCode::SUCCESS),
        Ok(Ended::Command(status)) => Ok(status_of(status)),
        Err(error) => Err(sentence(&error)),
    }
}

fn conf(args: &BrokerArgs) -> Result<Conf, String> {
    let open = args.bind.iter().any(|address| !address.is_loopback());
    if open && !args.allow_anonymous && args.password_file.is_none() {
        return Err(
            "clients from other machines could connect, and nobody said who may: \
                    add --allow-anonymous or --password-file FILE"
                .to_owned(),
        );
    }
    let password_file = args
        .password_file
        .as_deref()
        .map(read_passwords)
        .transpose()?;
    let mut limits = Limits::default();
    for setting in &args.limit {
        let (name, value) = setting
            .split_once('=')
            .ok_or_else(|| format!("--limit {setting}: NAME=VALUE is wanted"))?;
        limits
            .set(name, value)
            .map_err(|what| format!("--limit {setting}: {what}"))?;
    }
    Ok(Conf {
        port: args.port,
        bind: args.bind.clone(),
        anonymous: args.allow_anonymous || password_file.is_none(),
        password_file: password_file.map(Arc::new),
        workers: args.workers.map(usize::from),
        limits,
        verbose: args.verbose,
        quiet: args.quiet,
        ready_file: args.ready_file.clone(),
        command: (!args.command.is_empty()).then(|| args.command.clone()),
    })
}

fn read_passwords(path: &Path) -> Result<PasswordFile, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read password file {}: {error}", path.display()))?;
    PasswordFile::parse(&text).map_err(|bad| format!("{}: {bad}", path.display()))
}

fn list_limits() -> Result<ExitCode, String> {
    let mut out = String::new();
    for row in ROWS {
        let (name, why) = (row.name, row.why.trim());
        out += &format!(
            "{name}={} ({} to {})\n    {why}\n",
            row.default, row.least, row.most
        );
    }
    std::io::stdout()
        .write_all(out.as_bytes())
        .map_err(|error| error.to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn sentence(error: &daemon::Error) -> String {
    match error {
        daemon::Error::Listen(address, error) => match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                format!("{address} is taken by another program: choose another --port, or stop it")
            }
            std::io::ErrorKind::PermissionDenied => {
                format!("may not listen on {address}: ports below 1024 want more rights")
            }
            _ => format!("cannot listen on {address}: {error}"),
        },
        daemon::Error::System(doing, error) => format!("{doing} failed: {error}"),
        daemon::Error::Command(program, error) => format!("cannot run {program}: {error}"),
    }
}

/// The status of the command; killed by a signal it is what a shell would say.
fn status_of(status: std::process::ExitStatus) -> ExitCode {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return ExitCode::from((128 + signal) as u8);
    }
    ExitCode::from(status.code().unwrap_or(1) as u8)
}
