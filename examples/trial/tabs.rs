//! Tabs of Chromium that look at a broker, driven by `tabs.mjs`, and when the first of them paints.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::http::say;
use crate::process::Broker;

/// How often a page is loaded for the figure.
const PAINTS: usize = 10;

/// Prints when the dashboard paints first, of a broker with nothing to do. False: there is no browser.
pub(crate) fn run(program: &Path) -> bool {
    let is_here = is_here();
    if is_here {
        let broker = Broker::with_http(program);
        drop(Tabs::open(broker.http_port, 1, PAINTS));
    }
    is_here
}

/// Whether there is a browser; says so if not.
pub(crate) fn is_here() -> bool {
    let is_here = browser().is_some();
    if !is_here {
        say("no tabs: node, chromium or playwright-core is missing (tests/setup-peers)");
    }
    is_here
}

/// Chromium and the library that drives it, as `tests/setup-peers` leaves them.
fn browser() -> Option<(PathBuf, PathBuf)> {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers");
    let library = peers.join("node/node_modules/playwright-core");
    let chromium = PathBuf::from("/usr/bin/chromium");
    (library.exists() && chromium.exists()).then_some((chromium, library))
}

pub(crate) struct Tabs(Child);

impl Tabs {
    /// Opens so many, after the first was loaded `paints` times; what the script says of that is
    /// said.
    pub(crate) fn open(port: u16, count: usize, paints: usize) -> Self {
        let (chromium, library) = browser().unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/trial/tabs.mjs");
        let mut child = Command::new("node")
            .arg(script)
            .env("BASE", format!("http://127.0.0.1:{port}"))
            .env("COUNT", count.to_string())
            .env("PAINTS", paints.to_string())
            .env("CHROMIUM", chromium)
            .env("PLAYWRIGHT", library)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let said = child.stdout.take().unwrap();
        BufReader::new(said).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the tabs did not open");
        if paints > 0 {
            say(line.trim_end());
        }
        Self(child)
    }
}

impl Drop for Tabs {
    fn drop(&mut self) {
        // The script ends the browser when its input ends.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
