//! One client of any kind, driven by a job: scripts of `tests/fixtures/peers` take it as it is,
//! mosquitto's clients and ours take it as words.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::peers::way::{page, words};
use crate::support::broker_process::{PATIENCE, wait_for};
use crate::support::peers::peers;
use crate::support::programs::mosquittos;

/// Whose client it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Mqttx,
    Mosquitto,
    Paho,
    Gmqtt,
    MqttJs,
    /// mqtt.js in a browser.
    Chromium,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mqttx => "mqttx",
            Self::Mosquitto => "mosquitto",
            Self::Paho => "paho-mqtt",
            Self::Gmqtt => "gmqtt",
            Self::MqttJs => "mqtt.js",
            Self::Chromium => "mqtt.js in Chromium",
        }
    }

    pub(crate) fn speaks(self, version: u8) -> bool {
        version > 3 || !matches!(self, Self::Gmqtt | Self::Chromium)
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
            Self::Chromium => Self::MqttJs.is_here() && mosquittos("chromium").is_some(),
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

/// A running client.
pub(crate) struct Device {
    child: Child,
    events: Receiver<Value>,
    name: String,
    /// A browser does not end by itself.
    stays: bool,
    /// Its page and profile.
    _folder: tempfile::TempDir,
}

impl Device {
    /// Starts a client; see `tests/fixtures/peers/README.md` for the job.
    pub(crate) fn start(kind: Kind, job: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = match kind {
            Kind::Mqttx | Kind::Mosquitto => subscriber_words(kind, job),
            Kind::Chromium => browser(job, folder.path()),
            _ => script(kind, job),
        };
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        if kind == Kind::Chromium {
            command.stderr(Stdio::piped());
        }
        let mut child = command.spawn().unwrap();
        let (tell, events) = channel();
        let lines: Box<dyn Read + Send> = match child.stderr.take() {
            Some(console) => Box::new(console),
            None => Box::new(child.stdout.take().unwrap()),
        };
        std::thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
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
            stays: kind == Kind::Chromium,
            _folder: folder,
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
        if self.stays {
            self.wait("ended");
            return;
        }
        let status = wait_for(&mut self.child);
        let told: Vec<Value> = self.events.iter().collect();
        assert!(status.success(), "{}: {status}, {told:?}", self.name);
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
pub(crate) fn publish(kind: Kind, job: &Value, messages: &[Value]) {
    if !kind.is_program() {
        let mut job = job.clone();
        job["messages"] = messages.into();
        Device::start(kind, &job).end();
        return;
    }
    for message in messages {
        let mut words = words(job);
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
    let mut command = kind.program("sub");
    command.args(words(job));
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
        if let Some(expiry) = job["expiry"].as_u64().filter(|_| job["version"] == 5) {
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

/// Where the scripts are.
fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/peers")
}

/// A browser with a page that is the client; what it tells comes out as lines of its console.
fn browser(job: &Value, folder: &Path) -> Command {
    let library = peers().join("node/node_modules/mqtt/dist/mqtt.min.js");
    page(job, folder, &library, &scripts().join("mqttjs_client.js"));
    let mut command = Command::new(mosquittos("chromium").unwrap());
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
        ])
        .args(["--disable-extensions", "--disable-background-networking"])
        // The authority of the tests is nobody's in the system.
        .args(["--ignore-certificate-errors"])
        .args(["--enable-logging=stderr", "--log-level=0"])
        .arg(format!(
            "--user-data-dir={}",
            folder.join("profile").display()
        ))
        .arg(format!("file://{}", folder.join("page.html").display()));
    command
}

fn script(kind: Kind, job: &Value) -> Command {
    let scripts = scripts();
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
    let console = line.split_once(":INFO:CONSOLE").and_then(|(_, rest)| {
        let (_, said) = rest.split_once("] \"")?;
        Some(said.rsplit_once("\", source: ")?.0)
    });
    let line = console.unwrap_or(line);
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
