//! The thread that started the broker waits: for signals, for the end of a command, for the next
//! sign of life that systemd wants.

use std::ffi::OsString;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::Child;

use crate::daemon::conf::source::Source;
use crate::daemon::conf::{Conf, Place};
use crate::daemon::ready;
use crate::daemon::service::Service;
use crate::daemon::signals::{Asked, Signals};
use crate::daemon::{Daemon, Ended, Error, Listening};

/// Runs a broker until a signal, or until the command of `conf` ends. On SIGHUP the configuration
/// comes from `source` again; without one there is nothing to read.
pub fn run(conf: &Conf, source: Option<&Source>) -> Result<Ended, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::System("starting a runtime", error))?;
    runtime.block_on(async {
        // First of all: a signal that comes while the broker starts must not kill it.
        let signals = Signals::catch();
        let signals = signals.map_err(|error| Error::System("catching signals", error))?;
        let mut daemon = Daemon::start(conf)?;
        let ended = serve(&mut daemon, conf, source, signals).await;
        daemon.stop()?;
        ended
    })
}

async fn serve(
    daemon: &mut Daemon,
    conf: &Conf,
    source: Option<&Source>,
    mut signals: Signals,
) -> Result<Ended, Error> {
    if let Some(path) = &conf.ready_file {
        ready::write(path, daemon.listening())
            .map_err(|error| Error::System("writing the ready file", error))?;
    }
    let mut child = match &conf.command {
        Some(command) => spawn(command, daemon.listening())?,
        None => None,
    };
    let service = Service::from_environment();
    service.tell("READY=1");
    let beat = service.watchdog();
    loop {
        let asked = tokio::select! {
            asked = signals.next() => asked,
            status = end_of(&mut child) => {
                let status = status.map_err(|error| Error::System("waiting for the command", error))?;
                return Ok(Ended::Command(status));
            }
            () = pause(beat) => {
                // A worker that hangs is no life.
                if daemon.is_alive() {
                    service.tell("WATCHDOG=1");
                }
                continue;
            }
        };
        match asked {
            Asked::Stop => {
                service.tell("STOPPING=1");
                return Ok(Ended::Signal);
            }
            Asked::Reload => {
                service.reloading();
                reload(daemon, source);
                service.tell("READY=1");
            }
            Asked::Tree => daemon.print_subscriptions(),
            Asked::Save => daemon.save(),
            Asked::Rotate => daemon.reopen_log(),
        }
    }
}

/// A configuration with a fault in it changes nothing.
fn reload(daemon: &mut Daemon, source: Option<&Source>) {
    daemon.log.step("Reloading config.");
    daemon.reopen_log();
    let Some(source) = source else {
        daemon.reload_certificates();
        return daemon.reload_token();
    };
    let conf = source.settings().and_then(|settings| {
        for remark in &settings.remarks {
            daemon.log.line(&remark.text());
        }
        source.conf(&settings)
    });
    match conf {
        Ok(conf) => {
            let opening = conf.opening.iter();
            for line in opening.flat_map(|opening| &opening.built_in) {
                daemon.log.step(line);
            }
            daemon.reload(&conf);
        }
        Err(fault) => {
            for remark in &fault.remarks {
                daemon.log.line(&remark.text());
            }
            for line in fault.to_string().lines() {
                daemon.log.line(line);
            }
        }
    }
}

/// For ever, where nobody wants signs of life.
async fn pause(beat: Option<Duration>) {
    match beat {
        Some(beat) => tokio::time::sleep(beat).await,
        None => std::future::pending().await,
    }
}

async fn end_of(child: &mut Option<Child>) -> io::Result<ExitStatus> {
    match child {
        Some(child) => child.wait().await,
        None => std::future::pending().await,
    }
}

fn spawn(command: &[OsString], listening: &[Listening]) -> Result<Option<Child>, Error> {
    let [program, arguments @ ..] = command else {
        return Ok(None);
    };
    let mut child = tokio::process::Command::new(program);
    child.args(arguments).kill_on_drop(true);
    let mut mqtt = listening
        .iter()
        .filter(|one| !one.protocol.starts_with("http"));
    let tcp = mqtt.find_map(|listening| match listening.place {
        Place::Tcp(address) => Some(address),
        Place::Unix(_) => None,
    });
    if let Some(address) = tcp {
        child.env("MQTTX_HOST", address.ip().to_string());
        child.env("MQTTX_PORT", address.port().to_string());
    }
    let failed = |error| Error::Command(program.to_string_lossy().into_owned(), error);
    child.spawn().map(Some).map_err(failed)
}
