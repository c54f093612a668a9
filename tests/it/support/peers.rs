//! Programs of other people that tests talk to. One that is not installed skips its test aloud.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running program, ended with its test.
pub(crate) struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port nobody listens on, for a program that cannot choose one itself.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
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

/// Starts a program and waits until something listens on `port`.
pub(crate) fn start(command: &mut Command, port: u16) -> Peer {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    let mut peer = Peer(child.unwrap());
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let ended = peer.0.try_wait().unwrap();
        assert!(ended.is_none(), "{command:?} ended: {ended:?}");
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{command:?} does not listen"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    peer
}

/// mosquitto with these lines of configuration; one of its listeners is on `port`.
pub(crate) fn mosquitto(folder: &Path, lines: &str, port: u16) -> Option<Peer> {
    let program = installed("mosquitto")?;
    let conf = folder.join("mosquitto.conf");
    // As root it would become another user, who may not read the folder.
    let user = if cfg!(unix) { "user root\n" } else { "" };
    std::fs::write(&conf, format!("{user}{lines}allow_anonymous true\n")).unwrap();
    Some(start(Command::new(program).arg("-c").arg(conf), port))
}
