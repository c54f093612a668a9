//! Where lines go: streams, a file, the system's log, topics. A destination that fails is left out
//! of this round and tried again with the next; the others get their lines all the same.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use jiff::Zoned;

use crate::daemon::conf::log_words::{LogDest, LogType};
use crate::daemon::log::json;
use crate::daemon::log::{Form, Line, LogConf};
use crate::daemon::sys;
use crate::daemon::workers::Workers;
use crate::net::system_words;

/// The socket of the system's log.
const DEV_LOG: &str = "/dev/log";

/// Syslog's number of `daemon`.
const DAEMON: u8 = 3;

/// Syslog's number of `local0`.
const LOCAL0: u8 = 16;

pub(crate) struct Outlets {
    conf: LogConf,
    file: Option<(PathBuf, Option<File>)>,
    #[cfg(unix)]
    syslog: Option<std::os::unix::net::UnixDatagram>,
}

/// What a line begins with.
pub(crate) fn time(conf: &LogConf) -> String {
    if !conf.timestamp || conf.form == Form::Json {
        return String::new();
    }
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let formatted = conf.timestamp_format.as_deref().and_then(|format| {
        let mut config = jiff::fmt::strtime::BrokenDownTime::from(&Zoned::now())
            .to_string(format)
            .ok()?;
        config.push_str(": ");
        Some(config)
    });
    formatted.unwrap_or_else(|| format!("{seconds}: "))
}

impl Outlets {
    /// A file that cannot be opened is the only thing that stops the start.
    pub(crate) fn open(conf: &LogConf) -> io::Result<Self> {
        let path = conf.dests.iter().find_map(|dest| match dest {
            LogDest::File(path) => Some(path.clone()),
            _ => None,
        });
        let file = match path {
            Some(path) => {
                let opened = append(&path).map_err(|error| {
                    let (shown, words) = (path.display(), system_words(&error));
                    let what = format!("cannot open the log file {shown}: {words}");
                    io::Error::new(error.kind(), what)
                })?;
                Some((path, Some(opened)))
            }
            None => None,
        };
        Ok(Self {
            conf: conf.clone(),
            file,
            #[cfg(unix)]
            syslog: None,
        })
    }

    pub(crate) fn reopen(&mut self) {
        if let Some((path, file)) = &mut self.file {
            // Until it can be opened again lines go on to where they went.
            if let Ok(opened) = append(path) {
                *file = Some(opened);
            }
        }
    }

    pub(crate) fn write(&mut self, lines: &[Line], workers: Option<&Workers>) {
        if lines.is_empty() {
            return;
        }
        let text: String = lines.iter().map(|line| line.text.as_str()).collect();
        for place in 0..self.conf.dests.len() {
            // Nobody is left to tell when a destination fails.
            let _ = match &self.conf.dests[place] {
                LogDest::Stderr => io::stderr().lock().write_all(text.as_bytes()),
                LogDest::Stdout => {
                    let mut stdout = io::stdout().lock();
                    stdout
                        .write_all(text.as_bytes())
                        .and_then(|()| stdout.flush())
                }
                LogDest::File(_) => self.put_in_file(&text),
                LogDest::Syslog => self.put_in_syslog(lines),
                LogDest::Topic => {
                    to_topics(lines, workers);
                    Ok(())
                }
                LogDest::Dlt => Ok(()),
            };
        }
    }

    pub(crate) fn tell_dropped(&mut self, dropped: u64, workers: Option<&Workers>) {
        let kind = LogType::Warning;
        let mut text = time(&self.conf);
        let bare = text.len();
        let line = format!("{dropped} log lines were dropped: the log is not read");
        text.push_str(&match self.conf.form {
            Form::Json => json::plain(kind, &line),
            _ => line,
        });
        text.push('\n');
        self.write(&[Line { kind, text, bare }], workers);
    }

    fn put_in_file(&mut self, text: &str) -> io::Result<()> {
        let Some((path, file)) = &mut self.file else {
            return Ok(());
        };
        if file.is_none() {
            *file = Some(append(path)?);
        }
        match file {
            Some(file) => file.write_all(text.as_bytes()),
            None => Ok(()),
        }
    }

    #[cfg(unix)]
    fn put_in_syslog(&mut self, lines: &[Line]) -> io::Result<()> {
        use std::os::unix::net::UnixDatagram;
        if self.syslog.is_none() {
            let socket = UnixDatagram::unbound()?;
            socket.connect(DEV_LOG)?;
            self.syslog = Some(socket);
        }
        let name = match self.conf.form {
            Form::Mosquitto => "mosquitto",
            _ => "mqttx",
        };
        let facility = self.conf.facility.map_or(DAEMON, |number| LOCAL0 + number) << 3;
        for line in lines {
            let priority = facility | severity(line.kind);
            let text = line.text[line.bare..].trim_end();
            let packet = format!("<{priority}>{name}[{}]: {text}", std::process::id());
            let sent = self
                .syslog
                .as_ref()
                .map_or(Ok(0), |socket| socket.send(packet.as_bytes()));
            if let Err(error) = sent {
                self.syslog = None;
                return Err(error);
            }
        }
        Ok(())
    }

    #[cfg(not(unix))]
    fn put_in_syslog(&mut self, _lines: &[Line]) -> io::Result<()> {
        Ok(())
    }
}

fn append(path: &std::path::Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn severity(kind: LogType) -> u8 {
    match kind {
        LogType::Error => 3,
        LogType::Warning => 4,
        LogType::Notice | LogType::Subscribe | LogType::Unsubscribe => 5,
        LogType::Information => 6,
        LogType::Websockets | LogType::Debug | LogType::Internal => 7,
    }
}

/// As topics go lines of packets nowhere: each would make the next one.
fn to_topics(lines: &[Line], workers: Option<&Workers>) {
    let Some(workers) = workers else { return };
    let now = Instant::now();
    let message = |line: &Line| {
        let name = match line.kind {
            LogType::Error => "E",
            LogType::Warning => "W",
            LogType::Notice => "N",
            LogType::Information => "I",
            LogType::Subscribe => "M/subscribe",
            LogType::Unsubscribe => "M/unsubscribe",
            LogType::Websockets | LogType::Debug | LogType::Internal => return None,
        };
        let topic = format!("$SYS/broker/log/{name}");
        Some(sys::log_message(&topic, line.text.trim_end(), now))
    };
    let messages: Vec<_> = lines.iter().filter_map(message).collect();
    if !messages.is_empty() {
        workers.tell(0, move |worker| {
            worker.broker.publish_own(&messages, worker.now);
        });
    }
}
