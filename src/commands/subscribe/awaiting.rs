//! What `sub` waits for beside its count: expectations, silence, a command; and whom it tells that
//! it listens.
//!
//! The command runs once, after the SUBACK, and its end is waited for. When it fails, all is over
//! with its status. When it ends well and nothing else is awaited, a PINGREQ goes out behind it: what
//! the broker had by then is here before the answer.

use std::ffi::OsString;
use std::fs::File;
use std::future::Future;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitStatus;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::cli::args::expect::Expect;
use crate::cli::error::{Error, Kind};
use crate::cli::expect::{Expectations, Judgment};
use crate::mqtt::Reason;
use crate::net::system_words;

/// How long a command that is asked to end may take.
const GRACE: Duration = Duration::from_secs(2);

pub(crate) struct Awaiting {
    pub(crate) expectations: Expectations,
    idle: Option<Duration>,
    silence: Option<Silence>,
    ready_file: Option<PathBuf>,
    ready_fd: Option<File>,
    command: Vec<OsString>,
    running: Option<Running>,
    /// Where a command finds the broker.
    place: Option<(String, u16)>,
    /// The SUBACK came.
    pub(crate) is_ready: bool,
    /// The status the command ended with.
    pub(crate) status: Option<ExitStatus>,
}

/// What happened meanwhile.
#[derive(Debug)]
pub(crate) enum Happened {
    /// No message for as long as `--idle` says.
    Silence,
    CommandEnded(ExitStatus),
}

impl Awaiting {
    pub(crate) fn new(asked: &Expect, place: Option<(String, u16)>) -> Result<Self, Error> {
        if let Some(path) = &asked.ready_file {
            remove_stale(path)?;
        }
        Ok(Self {
            expectations: asked.expectations(),
            idle: asked.idle,
            silence: None,
            ready_file: asked.ready_file.clone(),
            ready_fd: asked.ready_fd.map(descriptor).transpose()?,
            command: asked.command.clone(),
            running: None,
            place,
            is_ready: false,
            status: None,
        })
    }

    pub(crate) fn has_command(&self) -> bool {
        !self.command.is_empty()
    }

    /// Whether the command has still to end.
    pub(crate) fn is_command_open(&self) -> bool {
        self.has_command() && self.status.is_none()
    }

    /// Every subscription is granted: says so, and starts the command.
    pub(crate) fn ready<'a>(
        &mut self,
        granted: impl Iterator<Item = (&'a str, Reason)>,
    ) -> Result<(), Error> {
        if std::mem::replace(&mut self.is_ready, true) {
            return Ok(());
        }
        let subscriptions: Vec<_> = granted
            .map(|(filter, qos)| serde_json::json!({ "filter": filter, "qos": qos.value() }))
            .collect();
        let text = format!(
            "{}\n",
            serde_json::json!({ "subscriptions": subscriptions })
        );
        if let Some(path) = &self.ready_file {
            write_whole(path, &text).map_err(|error| unwritten(path.display(), &error))?;
        }
        if let Some(mut file) = self.ready_fd.take() {
            file.write_all(text.as_bytes())
                .map_err(|error| unwritten("--ready-fd", &error))?;
        }
        if self.has_command() {
            self.running = Some(self.start()?);
        }
        self.silence = self.idle.map(Silence::new);
        Ok(())
    }

    fn start(&self) -> Result<Running, Error> {
        let program = &self.command[0];
        let mut command = tokio::process::Command::new(program);
        command.args(&self.command[1..]).kill_on_drop(true);
        if let Some((host, port)) = &self.place {
            command.env("MQTTX_HOST", host);
            command.env("MQTTX_PORT", port.to_string());
        }
        let mut child = command.spawn().map_err(|error| {
            let shown = program.to_string_lossy();
            Error::new(
                Kind::Failed,
                format!("cannot run {shown}: {}", system_words(&error)),
            )
        })?;
        Ok(Running {
            id: child.id(),
            wait: Box::pin(async move { child.wait().await }),
        })
    }

    pub(crate) fn judge(&mut self, payload: &[u8]) -> Judgment {
        if let Some(silence) = &mut self.silence {
            silence.last = Instant::now();
        }
        if self.expectations.is_empty() {
            return Judgment::Fine;
        }
        self.expectations.judge(payload)
    }

    /// Looks whether something happened, and has the task woken when it does.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Option<Happened> {
        if let Some(running) = &mut self.running
            && let Poll::Ready(ended) = running.wait.as_mut().poll(cx)
        {
            self.running = None;
            // A child that cannot be waited for has left no status to go by.
            let status = ended.unwrap_or_default();
            self.status = Some(status);
            return Some(Happened::CommandEnded(status));
        }
        let silence = self.silence.as_mut()?;
        if silence.poll(cx) {
            self.silence = None;
            return Some(Happened::Silence);
        }
        None
    }

    /// Ends a command that still runs: asked first, then made to.
    pub(crate) async fn end_command(&mut self) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        running.ask_to_end();
        let _ = tokio::time::timeout(GRACE, &mut running.wait).await;
    }
}

/// A command on its way; dropped, it is killed.
struct Running {
    id: Option<u32>,
    wait: Pin<Box<dyn Future<Output = io::Result<ExitStatus>>>>,
}

impl Running {
    #[cfg(unix)]
    fn ask_to_end(&self) {
        use rustix::process::{Pid, Signal, kill_process};
        let id = self.id.and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(id) = id {
            // Whoever is gone already need not be asked.
            let _ = kill_process(id, Signal::TERM);
        }
    }

    #[cfg(not(unix))]
    fn ask_to_end(&self) {
        let _ = self.id;
    }
}

/// A timer that messages push back, looked at only when it fires.
struct Silence {
    length: Duration,
    last: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Silence {
    fn new(length: Duration) -> Self {
        Self {
            length,
            last: Instant::now(),
            timer: Box::pin(tokio::time::sleep(length)),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        while self.timer.as_mut().poll(cx).is_ready() {
            let due = self.last + self.length;
            if due <= Instant::now() {
                return true;
            }
            self.timer.as_mut().reset(due);
        }
        false
    }
}

/// A file left by an earlier run would tell whoever waits for this one a lie.
fn remove_stale(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(unwritten(path.display(), &error))
        }
        _ => Ok(()),
    }
}

/// There as a whole or not at all.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    std::fs::write(&part, text)?;
    std::fs::rename(&part, path)
}

/// Opened by its name, since a number is not owned by anybody.
fn descriptor(number: u32) -> Result<File, Error> {
    let path = format!("/dev/fd/{number}");
    let opened = std::fs::OpenOptions::new().append(true).open(&path);
    opened.map_err(|error| unwritten(format!("--ready-fd {number}"), &error))
}

fn unwritten(what: impl std::fmt::Display, error: &io::Error) -> Error {
    let words = system_words(error);
    Error::new(Kind::Failed, format!("cannot write to {what}: {words}"))
}
