//! `mqttx broker` as a process: on a port of its own, its log gathered line by line, its memory
//! read from the system, ended with its test.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than any step of a test takes; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct BrokerProcess {
    pub(crate) port: u16,
    /// Ports of all listeners on TCP, in their order.
    pub(crate) ports: Vec<u16>,
    child: Child,
    log: Arc<Log>,
    killed: bool,
    _folder: tempfile::TempDir,
    configuration: Option<tempfile::TempDir>,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

impl BrokerProcess {
    /// Starts a broker with these words behind `mqttx broker --port 0`, and waits until it
    /// listens.
    pub(crate) fn start(words: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
        command.args(["broker", "--port", "0"]).args(words);
        Self::start_as(command)
    }

    /// Starts a broker from a mosquitto.conf with these lines, and waits until it listens. It stays
    /// the user it is; `listener any 127.0.0.1` lets the system choose a port.
    pub(crate) fn configured(lines: &str, words: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mosquitto.conf");
        std::fs::write(&file, format!("user root\n{lines}\n")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
        command.args(["broker", "-c"]).arg(&file).args(words);
        let mut broker = Self::start_as(command);
        broker.configuration = Some(folder);
        broker
    }

    /// The same for a command that ends in a broker, whose ready file is this process's to name.
    pub(crate) fn start_as(mut command: Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ready = folder.path().join("ready");
        command.arg("--ready-file").arg(&ready);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Log::default());
        let (stderr, into) = (child.stderr.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                into.lines.lock().unwrap().push(line);
                into.more.notify_all();
            }
        });
        let begun = Instant::now();
        let text = loop {
            if let Ok(text) = std::fs::read_to_string(&ready) {
                break text;
            }
            let ended = child.try_wait().unwrap();
            let lines = log.lines.lock().unwrap();
            assert!(ended.is_none(), "the broker ended: {ended:?}, {lines:?}");
            assert!(begun.elapsed() < PATIENCE, "the broker is not ready");
            drop(lines);
            std::thread::sleep(Duration::from_millis(2));
        };
        Self {
            port: port_of(&text),
            ports: ports_of(&text),
            child,
            log,
            killed: false,
            _folder: folder,
            configuration: None,
        }
    }

    /// The log up to now.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lines.lock().unwrap().clone()
    }

    /// Waits for a line of the log with this in it.
    #[track_caller]
    pub(crate) fn wait_log(&self, text: &str) -> String {
        let lines = self.log.lines.lock().unwrap();
        let absent = |lines: &mut Vec<String>| !lines.iter().any(|line| line.contains(text));
        let (lines, late) = self
            .log
            .more
            .wait_timeout_while(lines, PATIENCE, absent)
            .unwrap();
        assert!(!late.timed_out(), "{text:?} was never logged: {lines:#?}");
        lines
            .iter()
            .find(|line| line.contains(text))
            .unwrap()
            .clone()
    }

    /// Waits for a line with the text behind the first lines, so many; gives all there are then.
    #[track_caller]
    pub(crate) fn wait_log_behind(&self, count: usize, text: &str) -> Vec<String> {
        let lines = self.log.lines.lock().unwrap();
        let absent =
            |lines: &mut Vec<String>| !lines[count..].iter().any(|line| line.contains(text));
        let (lines, late) = self
            .log
            .more
            .wait_timeout_while(lines, PATIENCE, absent)
            .unwrap();
        let new = &lines[count..];
        assert!(!late.timed_out(), "{text:?} was not logged: {new:#?}");
        lines.clone()
    }

    /// Resident memory, in KiB.
    pub(crate) fn memory(&self) -> usize {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.expect("the broker lives").parse().unwrap()
    }

    /// Processor time it has used, in hundredths of a second.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Behind the name, which may hold anything: field 3 comes first.
        let fields = stat.rsplit(')').next().unwrap().split_whitespace();
        let spent = fields.skip(11).take(2);
        spent.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    /// Of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Lets things happen while the broker does not look.
    pub(crate) fn stopped(&self, meanwhile: impl FnOnce()) {
        signal(&self.child, Signal::STOP);
        meanwhile();
        signal(&self.child, Signal::CONT);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Any signal.
    pub(crate) fn signal(&self, which: Signal) {
        signal(&self.child, which);
    }

    /// The configuration file it was started from.
    pub(crate) fn conf_file(&self) -> std::path::PathBuf {
        let folder = self.configuration.as_ref().expect("started from a file");
        folder.path().join("mosquitto.conf")
    }

    /// SIGKILL: it has no time for anything.
    pub(crate) fn kill(mut self) {
        self.killed = true;
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM.
    pub(crate) fn ask_to_end(&self) {
        signal(&self.child, Signal::TERM);
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&self) {
        signal(&self.child, Signal::HUP);
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_for(&mut self.child)
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        let crashed = !self.killed && !self.is_running() && !std::thread::panicking();
        let _ = self.child.kill();
        let status = self.child.wait();
        if crashed {
            let status = status.unwrap();
            assert!(status.success(), "{status}, {:#?}", self.log());
        }
    }
}

/// Waits until something is there; what never comes fails the test.
#[track_caller]
pub(crate) fn comes(what: &str, mut is_there: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_there() {
        assert!(begun.elapsed() < PATIENCE, "{what} never comes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// All TCP ports in a ready file.
fn ports_of(ready: &str) -> Vec<u16> {
    let ready: serde_json::Value = serde_json::from_str(ready).unwrap();
    let listeners = ready["listeners"].as_array().unwrap().iter();
    let addresses = listeners.filter_map(|listener| listener["address"].as_str());
    addresses
        .filter_map(|address| address.rsplit(':').next()?.parse().ok())
        .collect()
}

/// The port in a ready file.
pub(crate) fn port_of(ready: &str) -> u16 {
    let ready: serde_json::Value = serde_json::from_str(ready).unwrap();
    let address = ready["listeners"][0]["address"].as_str().unwrap();
    address.rsplit(':').next().unwrap().parse().unwrap()
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id() as i32).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Waits for the end of a process; one that does not end fails the test.
pub(crate) fn wait_for(child: &mut Child) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if begun.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
