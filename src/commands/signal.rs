//! `mqttx signal`, also as `mosquitto_signal`: tells running brokers on this machine what to do.
//!
//! The broker is named by its process id, by the file it wrote that into, or is every broker there is.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, ValueEnum};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::commands::terminal;
use crate::net::system_words;

pub const ABOUT: &str = "Send a signal to a running broker";

/// The name of the link that speaks mosquitto's words.
pub const LINK: &str = "mosquitto_signal";

#[derive(Parser, Debug)]
#[command(name = "signal", bin_name = "mqttx signal", about = ABOUT, after_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["all", "pid", "pid_file"])))]
struct Args {
    /// Every broker on this machine, mosquitto's and ours
    #[arg(short, long)]
    all: bool,
    /// The broker with this process id
    #[arg(short, long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pid: Option<i32>,
    /// The broker that wrote its process id to this file
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// What it is to do
    what: What,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// Read its configuration, passwords, access rules and certificates anew (SIGHUP)
    ConfigReload,
    /// Open its log files anew (SIGRTMIN)
    LogRotate,
    /// Save what is to survive, now (SIGUSR1)
    Save,
    /// End in order (SIGTERM)
    Shutdown,
    /// Print its subscriptions (SIGUSR2)
    TreePrint,
    /// Write a profile of its memory; only debug builds of mosquitto could
    Xtreport,
}

const EXAMPLES: &str = "Examples:
  mqttx signal --pid-file /run/mosquitto/mosquitto.pid config-reload
      after a change of the configuration
  mqttx signal -a log-rotate
      from logrotate, behind the renaming

Exit status:
  0        the signal was sent, to one broker at least
  1        no such broker, or it is another user's";

pub fn tree() -> clap::Command {
    Args::command()
}

pub fn run(words: Vec<OsString>) -> ExitCode {
    obey("mqttx signal", words)
}

/// Called as `mosquitto_signal`.
pub(crate) fn speak(words: &[OsString]) -> ExitCode {
    obey(LINK, words.to_vec())
}

fn obey(name: &str, words: Vec<OsString>) -> ExitCode {
    let words = std::iter::once(OsString::from(name)).chain(words);
    let args = match Args::try_parse_from(words) {
        Ok(args) => args,
        Err(error) => return terminal::clap(&error),
    };
    let sent =
        brokers(&args).and_then(|pids| pids.into_iter().try_for_each(|pid| send(pid, args.what)));
    match sent {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            terminal::print_err(&format!("{name}: {sentence}\n"));
            ExitCode::FAILURE
        }
    }
}

fn brokers(args: &Args) -> Result<Vec<Pid>, String> {
    if let Some(pid) = args.pid {
        return Ok(vec![Pid::from_raw(pid)]);
    }
    if let Some(path) = &args.pid_file {
        let shown = path.display();
        let text = fs::read_to_string(path)
            .map_err(|error| format!("cannot read {shown}: {}", system_words(&error)))?;
        let pid = text.trim().parse().ok().filter(|pid| *pid > 0);
        let pid = pid.ok_or_else(|| format!("{shown} holds no process id"))?;
        return Ok(vec![Pid::from_raw(pid)]);
    }
    let found = running()?;
    match found.is_empty() {
        true => Err("no broker runs on this machine".to_owned()),
        false => Ok(found),
    }
}

/// Every process that is a broker, found where Linux lists them.
fn running() -> Result<Vec<Pid>, String> {
    let list = fs::read_dir("/proc")
        .map_err(|_| "this system lists no processes in /proc\n  try: -p PID".to_owned())?;
    let mut found = Vec::new();
    for entry in list.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // A process may end while it is looked at.
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|&byte| byte == 0).collect();
        if is_broker(&words) {
            found.push(Pid::from_raw(pid));
        }
    }
    Ok(found)
}

fn is_broker(words: &[&[u8]]) -> bool {
    let called = words
        .first()
        .map(|word| String::from_utf8_lossy(word).into_owned());
    let called = called.unwrap_or_default();
    match Path::new(&called)
        .file_name()
        .and_then(|name| name.to_str())
    {
        Some("mosquitto") => true,
        Some("mqttx") => words.get(1) == Some(&&b"broker"[..]),
        _ => false,
    }
}

fn send(pid: Pid, what: What) -> Result<(), String> {
    let signal = match what {
        What::ConfigReload => Signal::SIGHUP,
        What::Save => Signal::SIGUSR1,
        What::Shutdown => Signal::SIGTERM,
        What::TreePrint => Signal::SIGUSR2,
        What::LogRotate => return send_rtmin(pid),
        What::Xtreport => return Err("no broker of ours or theirs has an xtreport".to_owned()),
    };
    nix::sys::signal::kill(pid, signal).map_err(|error| format!("process {pid}: {}", error.desc()))
}

/// The one signal without a name of its own that can be sent without `unsafe` only by the shell.
fn send_rtmin(pid: Pid) -> Result<(), String> {
    let number = nix::libc::SIGRTMIN();
    let status = std::process::Command::new("sh")
        .args(["-c", &format!("kill -{number} {pid}")])
        .stderr(std::process::Stdio::null())
        .status()
        .map_err(|error| format!("cannot run sh: {}", system_words(&error)))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("process {pid} cannot be told")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_known_by_how_they_were_called() {
        let is = |line: &str| {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            is_broker(&words)
        };
        assert!(is("/usr/sbin/mosquitto -c f") && is("mosquitto") && is("./mqttx broker --port 0"));
        assert!(
            !is("mosquitto_sub -t mosquitto")
                && !is("mqttx pub -m broker")
                && !is("mqttx")
                && !is("")
        );
    }
}
