//! The broker as people run it: the binary, a port of the system's choice, a ready file.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

const LOG_LINES_MAX: usize = 20;
const START_MAX: Duration = Duration::from_secs(20);

/// A running broker; it ends with the value.
pub(crate) struct Binary {
    child: Child,
    /// The last lines of its log.
    tail: Arc<Mutex<VecDeque<String>>>,
    pub(crate) address: SocketAddr,
}

impl Binary {
    /// As `mqttx broker` is.
    pub(crate) fn start() -> Self {
        Self::with_words(&["--port".as_ref(), "0".as_ref()])
    }

    /// As it is for those who had mosquitto.
    pub(crate) fn configured() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mosquitto.conf");
        let lines = "user root\nlistener any 127.0.0.1\nallow_anonymous true\n";
        std::fs::write(&file, lines).unwrap();
        Self::with_words(&["-c".as_ref(), file.as_ref()])
    }

    /// Starts it and waits until clients can connect.
    fn with_words(words: &[&OsStr]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ready = folder.path().join("ready.json");
        let program = std::env::var_os("MQTTX_SPEC_BINARY");
        let program = program.unwrap_or_else(|| env!("CARGO_BIN_EXE_mqttx").into());
        let mut child = Command::new(program)
            .arg("broker")
            .args(words)
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&tail);
        // Read to its end, so that a full pipe cannot stop the broker.
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let mut tail = kept.lock().unwrap();
                tail.push_back(line);
                if tail.len() > LOG_LINES_MAX {
                    tail.pop_front();
                }
            }
        });
        let mut broker = Self {
            child,
            tail,
            address: SocketAddr::from(([0; 4], 0)),
        };
        let until = Instant::now() + START_MAX;
        loop {
            if let Some(address) = address_in(&ready) {
                broker.address = address;
                return broker;
            }
            assert!(Instant::now() < until, "no ready file after {START_MAX:?}");
            broker.check_alive();
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Still there, after all that was done to it?
    pub(crate) fn check_alive(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            let tail: Vec<String> = self.tail.lock().unwrap().iter().cloned().collect();
            panic!("the broker ended with {status}:\n{}", tail.join("\n"));
        }
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The ready file is there as a whole or not at all.
fn address_in(ready: &Path) -> Option<SocketAddr> {
    let text = std::fs::read_to_string(ready).ok()?;
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let address = json["listeners"][0]["address"].as_str().unwrap();
    Some(address.parse().unwrap())
}
