//! A broker as a process: started on a free port, its memory read from the system.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub(crate) struct Broker {
    pub(crate) port: u16,
    /// Where visitors come in, if any may.
    pub(crate) http_port: u16,
    /// The same broker's port for TLS, if it has one.
    pub(crate) tls_port: Option<u16>,
    child: Child,
    _folder: tempfile::TempDir,
}

/// CPU time of the thread that visitors have, and of all others.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cpu {
    pub(crate) workers: Duration,
    pub(crate) http: Duration,
}

/// The `mqttx` built beside this program.
pub(crate) fn beside() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.parent().and_then(Path::parent).unwrap().join("mqttx")
}

impl Broker {
    pub(crate) fn mqttx(program: &Path) -> Self {
        Self::with(program, &[])
    }

    /// One that visitors can look at.
    pub(crate) fn with_http(program: &Path) -> Self {
        let port = free_port();
        let mut broker = Self::with(program, &["--http", &port.to_string()]);
        broker.http_port = port;
        broker
    }

    fn with(program: &Path, words: &[&str]) -> Self {
        let port = free_port();
        let mut command = Command::new(program);
        command.args(["broker", "--quiet", "--port", &port.to_string()]);
        command.args(words);
        Self::start(command, port, tempfile::tempdir().unwrap())
    }

    /// From a configuration, with a second port for TLS.
    pub(crate) fn mqttx_with_tls(program: &Path) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let (lines, tls_port) = with_tls(folder.path());
        let conf = configuration(folder.path(), port, &lines);
        let mut command = Command::new(program);
        command.args(["broker", "-q", "-c"]).arg(conf);
        let mut broker = Self::start(command, port, folder);
        broker.tls_port = Some(tls_port);
        broker
    }

    /// mosquitto with its defaults, where it is installed.
    pub(crate) fn mosquitto(program: &Path, tls: bool) -> Option<Self> {
        if !program.exists() {
            return None;
        }
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let (lines, tls_port) = match tls {
            true => with_tls(folder.path()),
            false => (String::new(), 0),
        };
        let conf = configuration(folder.path(), port, &lines);
        let mut command = Command::new(program);
        command.arg("-c").arg(conf);
        let mut broker = Self::start(command, port, folder);
        broker.tls_port = tls.then_some(tls_port);
        Some(broker)
    }

    fn start(mut command: Command, port: u16, folder: tempfile::TempDir) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..1_000 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Self {
            port,
            http_port: 0,
            tls_port: None,
            child,
            _folder: folder,
        }
    }

    /// A number of /proc/PID/status, in KiB: `VmRSS`, or `VmHWM`, the most it ever was.
    pub(crate) fn memory(&self, name: &str) -> usize {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with(name));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.and_then(|word| word.parse().ok()).unwrap_or(0)
    }

    /// What its threads have used, by the scheduler's books.
    pub(crate) fn cpu(&self) -> Cpu {
        let mut cpu = Cpu::default();
        let path = format!("/proc/{}/task", self.child.id());
        for task in fs::read_dir(path).unwrap().map(|task| task.unwrap().path()) {
            let read = |name: &str| fs::read_to_string(task.join(name)).unwrap_or_default();
            let nanos = read("schedstat");
            let nanos = nanos.split(' ').next().and_then(|word| word.parse().ok());
            let nanos = Duration::from_nanos(nanos.unwrap_or(0));
            match read("comm").trim() {
                "http" => cpu.http += nanos,
                _ => cpu.workers += nanos,
            }
        }
        cpu
    }

    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_none())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(folder: &Path, port: u16, lines: &str) -> PathBuf {
    let conf = folder.join("conf");
    let rules = "user root\nallow_anonymous true\nlog_type error\n";
    fs::write(
        &conf,
        format!("{rules}listener {port} 127.0.0.1\n{lines}\n"),
    )
    .unwrap();
    conf
}

/// The lines of a listener with a fresh certificate, and its port.
fn with_tls(folder: &Path) -> (String, u16) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (port, cert, key) = (free_port(), cert.display(), key.display());
    let lines = format!("listener {port} 127.0.0.1\ncertfile {cert}\nkeyfile {key}\n");
    (lines, port)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
