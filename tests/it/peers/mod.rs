//! Foreign clients on our broker, our clients on a foreign broker, and ours with ours.
//!
//! `tests/setup-peers` installs the peers. The checks are a table of places (a broker and a pair
//! of clients on it) times a table of cases; what cannot run because a peer is missing is said
//! aloud, and the last line of [`foreign_peers`] counts it. `MQTTX_PEER=WORD` runs only the checks
//! with that word in their name.

mod cases;
mod device;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::peers::cases::CASES;
use crate::peers::device::Kind;
use crate::support::broker_process::BrokerProcess;
use crate::support::peers::mosquitto;

/// Checks at a time: most of a check is waiting for programs to start.
const THREADS: usize = 4;

/// Where a check takes place.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) port: u16,
    pub(crate) publisher: Kind,
    pub(crate) subscriber: Kind,
    /// MQTT version: 3, 4 or 5.
    pub(crate) version: u8,
}

/// One check of the whole run.
struct Check {
    name: String,
    needs: Vec<Kind>,
    case: fn(&Place),
    on_mosquitto: bool,
    place: Place,
}

/// The pairs of clients on a broker.
fn pairs(on_mosquitto: bool) -> Vec<(Kind, Kind)> {
    let foreign = [Kind::Mosquitto, Kind::Paho, Kind::Gmqtt, Kind::MqttJs];
    let mut pairs = vec![(Kind::Mqttx, Kind::Mqttx)];
    if on_mosquitto {
        pairs.push((Kind::Mosquitto, Kind::Mqttx));
        pairs.push((Kind::Mqttx, Kind::Mosquitto));
        return pairs;
    }
    for kind in foreign {
        pairs.push((kind, Kind::Mqttx));
        pairs.push((Kind::Mqttx, kind));
    }
    pairs.push((Kind::Paho, Kind::MqttJs));
    pairs
}

fn checks(ours: u16, mosquittos: u16) -> Vec<Check> {
    let mut checks = Vec::new();
    for on_mosquitto in [false, true] {
        for (publisher, subscriber) in pairs(on_mosquitto) {
            for (case_name, versions, case) in CASES {
                for &version in *versions {
                    let speak = publisher.speaks(version) && subscriber.speaks(version);
                    if !speak {
                        continue;
                    }
                    let broker = if on_mosquitto { "mosquitto" } else { "mqttx" };
                    let name = format!(
                        "{case_name}, MQTT {}, {} to {} on {broker}",
                        ["3.1", "3.1.1", "5.0"][usize::from(version) - 3],
                        publisher.name(),
                        subscriber.name(),
                    );
                    checks.push(Check {
                        name,
                        needs: vec![publisher, subscriber],
                        case: *case,
                        on_mosquitto,
                        place: Place {
                            port: if on_mosquitto { mosquittos } else { ours },
                            publisher,
                            subscriber,
                            version,
                        },
                    });
                }
            }
        }
    }
    checks
}

/// The whole part, and the only place that counts what was skipped.
#[test]
fn foreign_peers() {
    let ours = BrokerProcess::start(&["--workers", "2"]);
    let folder = tempfile::tempdir().unwrap();
    let theirs = mosquitto(folder.path(), |[port]| {
        format!("listener {port} 127.0.0.1\nmax_queued_messages 0\n")
    });
    let mosquittos = theirs.as_ref().map_or(0, |(_, [port])| *port);
    let wanted = std::env::var("MQTTX_PEER").unwrap_or_default();
    let mut skipped: Vec<(Kind, usize)> = Vec::new();
    let mut checks = checks(ours.port, mosquittos);
    checks.retain(|check| check.name.contains(&wanted));
    checks.retain(|check| {
        let broker = check.on_mosquitto.then_some(Kind::Mosquitto);
        let missing = check.needs.iter().copied().chain(broker);
        let Some(missing) = missing.into_iter().find(|kind| !kind.is_here()) else {
            return true;
        };
        match skipped.iter_mut().find(|(kind, _)| *kind == missing) {
            Some((_, count)) => *count += 1,
            None => skipped.push((missing, 1)),
        }
        false
    });

    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(check) = checks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let run = || (check.case)(&check.place);
                    if catch_unwind(AssertUnwindSafe(run)).is_err() {
                        failures.lock().unwrap().push(check.name.clone());
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();

    // Past the capture of the test harness, so that it is always seen.
    let mut err = std::io::stderr();
    let mut count = 0;
    for (kind, checks) in &skipped {
        let name = kind.name();
        let _ = writeln!(
            err,
            "SKIPPED: {name}: it is not installed, tests/setup-peers installs it ({checks} checks)"
        );
        count += checks;
    }
    let _ = writeln!(
        err,
        "foreign peers: {} checks passed, {} failed, {count} skipped",
        checks.len() - failures.len(),
        failures.len()
    );
    assert!(failures.is_empty(), "{failures:#?}");
    if skipped.is_empty() && wanted.is_empty() {
        assert!(checks.len() > 100, "only {} checks", checks.len());
    }
}
