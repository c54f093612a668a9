//! Programs of other people that tests talk to. One that is not installed skips its test aloud.

use std::io::{Read, Seek};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::programs::skipped;

/// A running program, ended with its test.
pub(crate) struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program, if it is installed; else says that the test is skipped.
pub(crate) fn installed(name: &str) -> Option<PathBuf> {
    let folders = std::env::var("PATH").unwrap_or_default();
    let found = folders
        .split(':')
        .chain(["/usr/sbin", "/usr/local/sbin"])
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.is_file());
    if found.is_none() {
        eprintln!("SKIPPED: {name} is not installed");
    }
    found
}

/// Where `tests/setup-peers` puts what it installs.
pub(crate) fn peers() -> PathBuf {
    match std::env::var_os("MQTTX_PEERS") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers"),
    }
}

/// Starts a program on ports that are free, and waits until it listens on the last of them. One of
/// them may be taken a moment later: then others are tried.
pub(crate) fn start<const N: usize>(command: impl Fn([u16; N]) -> Command) -> (Peer, [u16; N]) {
    try_start(command).unwrap_or_else(|said| panic!("{said}"))
}

/// The same; what a program said that does not start.
fn try_start<const N: usize>(
    command: impl Fn([u16; N]) -> Command,
) -> Result<(Peer, [u16; N]), String> {
    let mut said = String::new();
    for attempt in 0..20 {
        let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = listeners.map(|listener| listener.local_addr().unwrap().port());
        let mut log = tempfile::tempfile().unwrap();
        let child = command(ports)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.try_clone().unwrap())
            .spawn();
        let mut peer = Peer(child.unwrap());
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) && peer.0.try_wait().unwrap().is_none() {
            if TcpStream::connect(("127.0.0.1", ports[N - 1])).is_ok() {
                return Ok((peer, ports));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // The machine may be short of something for a moment.
        std::thread::sleep(Duration::from_millis(20 * attempt));
        log.rewind().unwrap();
        log.read_to_string(&mut said).unwrap();
    }
    Err(format!("{:?} does not start: {said}", command([1; N])))
}

/// mosquitto, with lines of configuration that put a listener on each of the ports; without accounts.
pub(crate) fn mosquitto<const N: usize>(
    folder: &Path,
    lines: impl Fn([u16; N]) -> String,
) -> Option<(Peer, [u16; N])> {
    let program = installed("mosquitto")?;
    mosquitto_at(&program, folder, |ports| {
        lines(ports) + "allow_anonymous true\n"
    })
}

/// The same for a mosquitto of one's choice, and with nothing added.
pub(crate) fn mosquitto_at<const N: usize>(
    program: &Path,
    folder: &Path,
    lines: impl Fn([u16; N]) -> String,
) -> Option<(Peer, [u16; N])> {
    let conf = folder.join("mosquitto.conf");
    let started = try_start(|ports| {
        // As root it would become another user, who may not read the folder.
        let lines = format!("user root\n{}", lines(ports));
        std::fs::write(&conf, lines).unwrap();
        let mut command = Command::new(program);
        command.arg("-c").arg(&conf);
        command
    });
    // That is no fault of ours: a machine short of something can keep it from starting.
    started.map_err(|said| skipped(1, &said)).ok()
}

/// Our own broker, on a port of its choice.
pub(crate) struct Mqttx {
    _child: Peer,
    pub(crate) port: u16,
}

impl Mqttx {
    pub(crate) fn start(folder: &Path) -> Self {
        let ready = folder.join("ready.json");
        let child = Command::new(env!("CARGO_BIN_EXE_mqttx"))
            .args(["broker", "--port", "0", "--quiet", "--ready-file"])
            .arg(&ready)
            .stdin(Stdio::null())
            .spawn();
        let child = Peer(child.unwrap());
        let begun = Instant::now();
        loop {
            let text = std::fs::read_to_string(&ready).unwrap_or_default();
            let after = text.split_once("\"127.0.0.1:").map(|(_, after)| after);
            let digits = after.and_then(|after| after.split('"').next());
            if let Some(Ok(port)) = digits.map(str::parse) {
                return Self {
                    _child: child,
                    port,
                };
            }
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "no address in {text:?}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
