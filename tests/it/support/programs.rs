//! Programs run to their end, ours and mosquitto's: words in; stdout, stderr and status out.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::peers::peers;

/// Longer than any program of a test runs; one that runs on is killed, and the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a program left behind.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) status: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Left {
    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

impl std::fmt::Debug for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "status {}\nstdout {:?}\nstderr {:?}",
            self.status,
            self.out(),
            self.err()
        )
    }
}

/// A program that runs in an empty home, with nothing in its environment but what a test sets.
pub(crate) struct Program {
    command: Command,
    input: Vec<u8>,
}

impl Program {
    pub(crate) fn new(file: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(file);
        command
            .env_clear()
            .env("HOME", "/nonexistent")
            .env("PATH", "/usr/bin:/bin:/usr/sbin");
        Self {
            command,
            input: Vec::new(),
        }
    }

    pub(crate) fn mqttx() -> Self {
        Self::new(env!("CARGO_BIN_EXE_mqttx"))
    }

    pub(crate) fn args(mut self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(words);
        self
    }

    /// Words without blanks, separated by blanks.
    pub(crate) fn words(self, line: &str) -> Self {
        self.args(line.split_whitespace())
    }

    /// Runs there.
    pub(crate) fn at(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    pub(crate) fn start(mut self) -> Running {
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = self.input;
        let feeder = std::thread::spawn(move || {
            // A program that does not read its input may be gone already.
            let _ = stdin.write_all(&input);
        });
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        Running {
            child,
            feeder: Some(feeder),
            stdout,
            stderr,
            started: Instant::now(),
        }
    }

    pub(crate) fn run(self) -> Left {
        self.start().end()
    }
}

/// A program on its way.
pub(crate) struct Running {
    child: Child,
    feeder: Option<std::thread::JoinHandle<()>>,
    stdout: Collected,
    stderr: Collected,
    started: Instant,
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until this text stands on stdout.
    pub(crate) fn wait_for_out(&mut self, text: &str) {
        let start = Instant::now();
        loop {
            let seen = String::from_utf8_lossy(&self.stdout.bytes.lock().unwrap()).into_owned();
            if seen.contains(text) {
                return;
            }
            if start.elapsed() > PATIENCE {
                let _ = self.child.kill();
                panic!("{text:?} never came; stdout: {seen:?}");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn end(mut self) -> Left {
        self.finish_or("it")
    }

    /// Waits for the end; a failure names the program so.
    pub(crate) fn finish_or(&mut self, name: &str) -> Left {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if self.started.elapsed() > PATIENCE {
                let _ = self.child.kill();
                let _ = self.child.wait();
                panic!("{name} is still running after {PATIENCE:?}");
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        if let Some(feeder) = self.feeder.take() {
            feeder.join().unwrap();
        }
        Left {
            status: status.code().unwrap_or(-1),
            stdout: self.stdout.all(),
            stderr: self.stderr.all(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Collected {
    bytes: std::sync::Arc<std::sync::Mutex<Vec<u8>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Collected {
    fn all(&mut self) -> Vec<u8> {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        std::mem::take(&mut *self.bytes.lock().unwrap())
    }
}

fn collect(mut from: impl Read + Send + 'static) -> Collected {
    let bytes = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let into = bytes.clone();
    let thread = std::thread::spawn(move || {
        let mut block = [0; 65536];
        while let Ok(count @ 1..) = from.read(&mut block) {
            into.lock().unwrap().extend_from_slice(&block[..count]);
        }
    });
    Collected {
        bytes,
        thread: Some(thread),
    }
}

/// Where a program of mosquitto's lives, if it is installed.
pub(crate) fn mosquittos(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.exists())
}

/// A program of mosquitto 2.1, the release whose behaviour ours is.
pub(crate) fn mosquittos_21(name: &str) -> Option<PathBuf> {
    let path = peers().join("mosquitto-2.1/bin").join(name);
    path.exists().then_some(path)
}

/// Tells that tests were not made; past the capture of the test harness, so that it is seen.
pub(crate) fn skipped(count: usize, why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED {count} checks: {why}");
}

/// A folder with links named as mosquitto's clients, all leading to us.
pub(crate) struct Links {
    folder: tempfile::TempDir,
}

impl Links {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let left = Program::mqttx()
            .args([OsStr::new("link"), folder.path().as_os_str()])
            .run();
        assert_eq!(left.status, 0, "{left:?}");
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
