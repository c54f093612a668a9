//! The ways to a broker: a listener of each kind, and what a client is told to get through it.

use std::path::Path;

use serde_json::{Value, json};

use crate::peers::device::Kind;
use crate::support::certificates::Certificates;

/// The key of [`Transport::Psk`], and who has it.
const KEY: &str = "00112233445566778899aabb";
const IDENTITY: &str = "device";

/// Kind of a listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Transport {
    Tcp,
    Tls,
    Ws,
    Wss,
    Unix,
    Psk,
    /// WebSocket on the port where the broker answers visitors.
    Http,
    Https,
}

impl Transport {
    /// Ports of visitors are told last.
    pub(crate) const ALL: [Self; 8] = [
        Self::Tcp,
        Self::Tls,
        Self::Ws,
        Self::Wss,
        Self::Unix,
        Self::Psk,
        Self::Http,
        Self::Https,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Unix => "unix",
            Self::Psk => "psk",
            Self::Http => "ws of http",
            Self::Https => "wss of https",
        }
    }

    /// What a client is told.
    fn scheme(self) -> &'static str {
        match self {
            Self::Http => Self::Ws.name(),
            Self::Https => Self::Wss.name(),
            other => other.name(),
        }
    }

    /// Whether a client has the words, or the code, for it.
    pub(crate) fn is_known_to(self, kind: Kind) -> bool {
        match kind {
            Kind::Mqttx => true,
            Kind::Mosquitto => !self.is_websocket(),
            Kind::Paho | Kind::MqttJs => self != Self::Psk,
            Kind::Gmqtt => matches!(self, Self::Tcp | Self::Tls),
            // Where visitors are answered, pages of other places may not ask.
            Kind::Chromium => matches!(self, Self::Ws | Self::Wss),
        }
    }

    pub(crate) fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss | Self::Http | Self::Https)
    }

    /// Whether this build has it.
    pub(crate) fn is_built(self) -> bool {
        self != Self::Psk || cfg!(feature = "psk")
    }
}

/// One listener, as a client sees it.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) transport: Transport,
    port: u16,
    ca: String,
    socket: String,
}

impl Way {
    pub(crate) fn tcp(port: u16) -> Self {
        Self {
            transport: Transport::Tcp,
            port,
            ca: String::new(),
            socket: String::new(),
        }
    }

    /// Lines of a configuration file with a listener of every kind this build has, each on a port
    /// of the system's choice.
    pub(crate) fn listeners(certificates: &Certificates) -> String {
        let path = |name: &str| certificates.path(name).display().to_string();
        certificates.write("keys", &format!("{IDENTITY}:{KEY}\n"));
        let tls = format!(
            "certfile {}\nkeyfile {}\n",
            path("localhost.pem"),
            path("localhost.key")
        );
        let mut lines = String::from("allow_anonymous true\nmax_packet_size 20000000\n");
        for transport in Transport::ALL.into_iter().filter(|kind| kind.is_built()) {
            lines += &match transport {
                Transport::Tcp => "listener any 127.0.0.1\n".to_owned(),
                Transport::Tls => format!("listener any 127.0.0.1\n{tls}"),
                Transport::Ws => "listener any 127.0.0.1\nprotocol websockets\n".to_owned(),
                Transport::Wss => format!("listener any 127.0.0.1\nprotocol websockets\n{tls}"),
                Transport::Http => "listener any 127.0.0.1\nprotocol http\n".to_owned(),
                Transport::Https => format!("listener any 127.0.0.1\nprotocol http\n{tls}"),
                Transport::Unix => format!("listener 0 {}\n", path("socket")),
                Transport::Psk => format!(
                    "listener any 127.0.0.1\npsk_hint hint\npsk_file {}\n",
                    path("keys")
                ),
            };
        }
        lines
    }

    /// The ways to a broker with these listeners; `ports` are those of its TCP sockets.
    pub(crate) fn all(certificates: &Certificates, ports: &[u16]) -> Vec<Self> {
        let path = |name: &str| certificates.path(name).display().to_string();
        let mut ports = ports.iter().copied();
        let built = Transport::ALL.into_iter().filter(|kind| kind.is_built());
        built
            .map(|transport| Self {
                transport,
                port: match transport {
                    Transport::Unix => 0,
                    _ => ports.next().expect("a port for each listener"),
                },
                ca: path("ca.pem"),
                socket: path("socket"),
            })
            .collect()
    }

    /// What the scripts are told; see `tests/fixtures/peers/README.md`.
    pub(crate) fn job(&self, version: u8, id: &str) -> Value {
        json!({
            "transport": self.transport.scheme(),
            "port": self.port,
            "ca": self.ca,
            "socket": self.socket,
            "version": version,
            "id": id,
        })
    }
}

/// Words that lead programs on the command line where a job leads scripts.
pub(crate) fn words(job: &Value) -> Vec<String> {
    let text = |name: &str| job[name].as_str().unwrap_or_default();
    let port = job["port"].to_string();
    let names = ["mqttv31", "mqttv311", "mqttv5"];
    let version = names[job["version"].as_u64().unwrap() as usize - 3];
    let mut words = vec!["-V", version, "-i", text("id")];
    match text("transport") {
        "tcp" => words.extend(["-h", "127.0.0.1", "-p", &port]),
        "tls" => words.extend(["-h", "localhost", "-p", &port, "--cafile", text("ca")]),
        "ws" => words.extend(["-h", "127.0.0.1", "-p", &port, "--ws"]),
        "wss" => words.extend([
            "-h",
            "localhost",
            "-p",
            &port,
            "--cafile",
            text("ca"),
            "--ws",
        ]),
        "unix" => words.extend(["--unix", text("socket")]),
        _ => {
            words.extend(["-h", "127.0.0.1", "-p", &port, "--psk", KEY]);
            words.extend(["--psk-identity", IDENTITY]);
        }
    }
    words.into_iter().map(str::to_owned).collect()
}

/// The folder a browser reads its page from.
pub(crate) fn page(job: &Value, folder: &Path, library: &Path, script: &Path) {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let html = format!(
        "<!doctype html><meta charset=utf-8><script src=mqtt.js></script>\n\
         <script>const told = {job}</script><script src=client.js></script>\n"
    );
    std::fs::write(folder.join("mqtt.js"), read(library)).unwrap();
    // Names of its own: the library has put some into the page.
    let client = format!("(() => {{\n{}}})()\n", read(script));
    std::fs::write(folder.join("client.js"), client).unwrap();
    std::fs::write(folder.join("page.html"), html).unwrap();
}
