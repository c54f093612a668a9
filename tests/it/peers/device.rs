//! One client of any kind, driven by a job: scripts of `tests/fixtures/peers` take it as it is,
//! mosquitto's clients and ours take it as words.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::broker_process::{PATIENCE, wait_for};
use crate::support::programs::mosquittos;

/// Whose client it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Mqttx,
    Mosquitto,
    Paho,
    Gmqtt,
    MqttJs,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mqttx => "mqttx",
            Self::Mosquitto => "mosquitto",
            Self::Paho => "paho-mqtt",
            Self::Gmqtt => "gmqtt",
            Self::MqttJs => "mqtt.js",
        }
    }

    pub(crate) fn speaks(self, version: u8) -> bool {
        version > 3 || self != Self::Gmqtt
    }

    /// Whether it is driven by words on a command line.
    fn is_program(self) -> bool {
        matches!(self, Self::Mqttx | Self::Mosquitto)
    }

    pub(crate) fn is_here(self) -> bool {
        let programs = [
            "mosquitto",
            "mosquitto_pub",
            "mosquitto_sub",
            "mosquitto_rr",
        ];
        match self {
            Self::Mqttx => true,
            Self::Mosquitto => programs.iter().all(|name| mosquittos(name).is_some()),
            Self::Paho | Self::Gmqtt => peers().join("python/bin/python").exists(),
            Self::MqttJs => peers().join("node/node_modules/mqtt").exists(),
        }
    }

    /// `mosquitto_sub` or `mqttx sub`.
    pub(crate) fn program(self, name: &str) -> Command {
        if self == Self::Mosquitto {
            // Without it what it says waits in a buffer until there is a page of it.
            let mut command = Command::new("stdbuf");
            command.arg("-oL");
            command.arg(mosquittos(&format!("mosquitto_{name}")).unwrap());
            return command;
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_mqttx"));
        command.arg(name);
        command
    }
}

/// Where `tests/setup-peers` puts what it installs.
fn peers() -> PathBuf {
    match std::env::var_os("MQTTX_PEERS") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers"),
    }
}

/// Words every client of these tests begins with.
pub(crate) fn connection(version: u8, port: u16, id: &str) -> Vec<String> {
    let version = ["mqttv31", "mqttv311", "mqttv5"][usize::from(version) - 3];
    let port = port.to_string();
    ["-h", "127.0.0.1", "-p", &port, "-V", version, "-i", id]
        .map(str::to_owned)
        .to_vec()
}

/// A running client.
pub(crate) struct Device {
    child: Child,
    events: Receiver<Value>,
    name: String,
}

impl Device {
    /// Starts a client; see `tests/fixtures/peers/README.md` for the job.
    pub(crate) fn start(kind: Kind, job: &Value) -> Self {
        let mut command = if kind.is_program() {
            subscriber_words(kind, job)
        } else {
            script(kind, job)
        };
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, events) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if let Some(event) = read_line(&line)
                    && tell.send(event).is_err()
                {
                    return;
                }
            }
        });
        let name = format!("{} {}", kind.name(), job["id"]);
        Self {
            child,
            events,
            name,
        }
    }

    /// The next event of this name.
    #[track_caller]
    pub(crate) fn wait(&self, name: &str) -> Value {
        loop {
            let Ok(event) = self.events.recv_timeout(PATIENCE) else {
                panic!("{} never told {name}", self.name);
            };
            if event["event"] == name {
                return event;
            }
            let passed = ["connected", "subscribed", "published"];
            let passed = passed.iter().any(|passed| event["event"] == *passed);
            assert!(passed, "{}: {event}, {name} was expected", self.name);
        }
    }

    #[track_caller]
    pub(crate) fn messages(&self, count: usize) -> Vec<Value> {
        (0..count).map(|_| self.wait("message")).collect()
    }

    /// The next message, if one comes soon.
    pub(crate) fn message_within(&self, time: Duration) -> Option<Value> {
        loop {
            let event = self.events.recv_timeout(time).ok()?;
            if event["event"] == "message" {
                return Some(event);
            }
        }
    }

    /// Waits until it has ended well.
    #[track_caller]
    pub(crate) fn end(mut self) {
        let status = wait_for(&mut self.child);
        assert!(status.success(), "{}: {status}", self.name);
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Publishes messages, each acknowledged, and ends.
#[track_caller]
pub(crate) fn publish(kind: Kind, port: u16, version: u8, id: &str, messages: &[Value]) {
    if !kind.is_program() {
        let job = json!({ "port": port, "version": version, "id": id, "messages": messages });
        Device::start(kind, &job).end();
        return;
    }
    for message in messages {
        let mut words = connection(version, port, id);
        let mut file = None;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        words.extend(["-t".to_owned(), text(&message["topic"])]);
        words.extend(["-q".to_owned(), message["qos"].to_string()]);
        if message["retain"] == true {
            words.push("-r".to_owned());
        }
        match message["size"].as_u64() {
            Some(size) => {
                let mut payload = tempfile::NamedTempFile::new().unwrap();
                payload.write_all(&pattern(size as usize)).unwrap();
                words.extend(["-f".to_owned(), payload.path().display().to_string()]);
                file = Some(payload);
            }
            None if message["payload"] == "" => words.push("-n".to_owned()),
            None => words.extend(["-m".to_owned(), text(&message["payload"])]),
        }
        words.extend(property_words(&message["properties"]));
        let mut child = kind.program("pub").args(&words).spawn().unwrap();
        let status = wait_for(&mut child);
        assert!(status.success(), "{words:?}: {status}");
        drop(file);
    }
}

/// The payload of a message that has a `size`.
pub(crate) fn pattern(size: usize) -> Vec<u8> {
    (0..=250).cycle().take(size).collect()
}

fn property_words(properties: &Value) -> Vec<String> {
    let mut words = Vec::new();
    for (name, value) in properties.as_object().into_iter().flatten() {
        if let Some(pairs) = value.as_array() {
            for pair in pairs {
                let pair = [&pair[0], &pair[1]].map(|word| word.as_str().unwrap().to_owned());
                words.extend(["-D", "publish", "user-property"].map(str::to_owned));
                words.extend(pair);
            }
            continue;
        }
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        words.extend(["-D", "publish", name, &text].map(str::to_owned));
    }
    words
}

fn subscriber_words(kind: Kind, job: &Value) -> Command {
    let version = job["version"].as_u64().unwrap() as u8;
    let port = job["port"].as_u64().unwrap() as u16;
    let mut command = kind.program("sub");
    command.args(connection(version, port, job["id"].as_str().unwrap()));
    // `M` and a message in JSON; -d tells of the subscription.
    command.args(["-d", "-F", "M%j"]);
    for filter in job["filters"].as_array().unwrap() {
        command.args(["-t", filter["filter"].as_str().unwrap()]);
        command.args(["-q", &filter["qos"].to_string()]);
        if let Some(id) = filter["subscription_id"].as_u64() {
            let id = id.to_string();
            command.args(["-D", "subscribe", "subscription-identifier", &id]);
        }
    }
    if job["clean"] == false {
        command.arg("-c");
        if let Some(expiry) = job["expiry"].as_u64().filter(|_| version == 5) {
            command.args(["-x", &expiry.to_string()]);
        }
    }
    match job["count"].as_i64().unwrap_or(0) {
        0 => drop(command.arg("-E")),
        count @ 1.. => drop(command.args(["-C", &count.to_string()])),
        _ => {}
    }
    if let Some(will) = job["will"].as_object() {
        command.args(["--will-topic", will["topic"].as_str().unwrap()]);
        command.args(["--will-payload", will["payload"].as_str().unwrap()]);
        command.args(["--will-qos", &will["qos"].to_string()]);
        if will["retain"] == true {
            command.arg("--will-retain");
        }
    }
    command
}

fn script(kind: Kind, job: &Value) -> Command {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/peers");
    let mut command = match kind {
        Kind::MqttJs => {
            let mut command = Command::new("node");
            command.env("NODE_PATH", peers().join("node/node_modules"));
            command.arg(scripts.join("mqttjs_client.js"));
            command
        }
        _ => {
            let mut command = Command::new(peers().join("python/bin/python"));
            command.env("PYTHONDONTWRITEBYTECODE", "1");
            let name = match kind {
                Kind::Paho => "paho_client.py",
                _ => "gmqtt_client.py",
            };
            command.arg(scripts.join(name));
            command
        }
    };
    command.arg(job.to_string());
    command
}

/// An event from a line of a script, or of a subscriber called with words.
fn read_line(line: &str) -> Option<Value> {
    if line.starts_with("Subscribed (") {
        return Some(json!({ "event": "subscribed" }));
    }
    let text = line.strip_prefix('M').unwrap_or(line);
    let mut event: Value = serde_json::from_str(text).ok()?;
    if event.get("event").is_some() {
        return Some(event);
    }
    event["event"] = "message".into();
    event["retain"] = (event["retain"] == 1 || event["retain"] == true).into();
    if event.get("properties").is_none() {
        event["properties"] = json!({});
    }
    let properties = event["properties"].as_object_mut()?;
    // mosquitto 2.0 writes an object, mqttx a list of objects as 2.1 does.
    let pairs = match properties.remove("user-properties") {
        Some(Value::Object(pairs)) => vec![pairs],
        Some(Value::Array(list)) => list.iter().filter_map(|o| o.as_object().cloned()).collect(),
        _ => Vec::new(),
    };
    if !pairs.is_empty() {
        let pairs = pairs.into_iter().flatten();
        let pairs: Value = pairs.map(|(key, value)| json!([key, value])).collect();
        properties.insert("user-properties".to_owned(), pairs);
    }
    if let Some(id) = properties.remove("subscription-identifier") {
        properties.insert("subscription-identifiers".to_owned(), json!([id]));
    }
    Some(event)
}
