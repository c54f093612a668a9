//! The first and the last lines of the log, in our words or in mosquitto's.

use std::net::SocketAddr;

use crate::daemon::Listening;
use crate::daemon::conf::{Conf, Place};
use crate::daemon::http::Service;
use crate::daemon::log::Log;
use crate::mqtt::MOSQUITTO_RELEASE;

/// What each start tells, for scripts that look.
const ABILITIES: [&str; 5] = ["Bridge", "Persistence", "TLS", "TLS-PSK", "Websockets"];

const LOCAL_ONLY: [&str; 3] = [
    "Starting in local only mode. Connections will only be possible from clients running on this \
     machine.",
    "Create a configuration file which defines a listener to allow remote access.",
    "For more details see https://mosquitto.org/documentation/authentication-methods/",
];

/// Before anything is opened.
pub(crate) fn begin(log: &Log, conf: &Conf) {
    let Some(opening) = &conf.opening else { return };
    let own = env!("CARGO_PKG_VERSION");
    log.step(&format!("mosquitto version {MOSQUITTO_RELEASE} starting"));
    log.step(&format!("Running on mqttx {own}."));
    for line in &opening.lines {
        log.step(line);
    }
    for ability in ABILITIES {
        if ability != "TLS-PSK" || cfg!(feature = "psk") {
            log.step(&format!("{ability} support available."));
        }
    }
    for line in opening.plugins.iter().chain(&opening.built_in) {
        log.step(line);
    }
    if opening.local_only {
        for line in LOCAL_ONLY {
            log.step(line);
        }
    }
    let mqtt = conf.listeners.iter();
    let mqtt = mqtt.map(|endpoint| (endpoint.protocol(), &endpoint.place));
    for (protocol, place) in mqtt {
        log.step(&format!("Opening {}", socket(protocol, place)));
    }
    for one in &conf.http {
        let place = &one.endpoint.place;
        match (&one.service, place) {
            (Service::Mosquitto(_), Place::Tcp(address)) => {
                let port = address.port();
                log.step(&format!("Opening http api listen socket on port {port}."));
            }
            _ => log.step(&format!("Opening {}", socket("http", place))),
        }
        if let Service::Mosquitto(Some(folder)) = &one.service {
            let folder = folder.display().to_string();
            log.step(&format!("Using http_dir {}/", folder.trim_end_matches('/')));
        }
    }
}

/// A listener in mosquitto's words.
fn socket(protocol: &str, place: &Place) -> String {
    let kind = match protocol {
        "http" | "https" => "http listen",
        _ => "listen",
    };
    match place {
        Place::Tcp(SocketAddr::V4(address)) => {
            format!("ipv4 {kind} socket on port {}.", address.port())
        }
        Place::Tcp(SocketAddr::V6(address)) => {
            format!("ipv6 {kind} socket on port {}.", address.port())
        }
        Place::Unix(path) => format!("unix {kind} socket on path {}.", path.display()),
    }
}

/// Listeners that a reload has opened and closed.
pub(crate) fn changed(log: &Log, before: &[Listening], now: &[Listening]) {
    let tell = |done: &str, these: &[Listening], those: &[Listening]| {
        for one in these.iter().filter(|one| !those.contains(one)) {
            let socket = socket(one.protocol, &one.place);
            log.step(&format!("{done} {socket}"));
        }
    };
    tell("Closing", before, now);
    tell("Opening", now, before);
}

/// Clients can connect. False: it is told in our own words instead.
pub(crate) fn running(log: &Log, conf: &Conf) -> bool {
    if conf.opening.is_some() {
        log.step(&format!("mosquitto version {MOSQUITTO_RELEASE} running"));
    }
    conf.opening.is_some()
}

/// The last line.
pub fn goodbye() -> String {
    format!("mosquitto version {MOSQUITTO_RELEASE} terminating")
}
