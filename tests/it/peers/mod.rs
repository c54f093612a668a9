//! Foreign clients on our broker, our clients on a foreign broker, and ours with ours.
//!
//! `tests/setup-peers` installs the peers. The checks are a table of places (a broker, a kind of
//! listener and a pair of clients on it) times a table of cases; what cannot run because a peer is
//! missing is said aloud, and the last line of [`foreign_peers`] counts it. `MQTTX_PEER=WORD` runs
//! only the checks with that word in their name.

mod cases;
mod device;
mod way;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::peers::cases::{CASES, CASES_OF_BROWSERS, CASES_OF_WAYS, Case};
use crate::peers::device::Kind;
use crate::peers::way::{Transport, Way};
use crate::support::broker_process::BrokerProcess;
use crate::support::certificates::Certificates;
use crate::support::peers::mosquitto;

/// Checks at a time: most of a check is waiting for programs to start.
const THREADS: usize = 4;

/// Where a check takes place.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) way: &'a Way,
    pub(crate) publisher: Kind,
    pub(crate) subscriber: Kind,
    /// MQTT version: 3, 4 or 5.
    pub(crate) version: u8,
}

/// One check of the whole run.
struct Check<'a> {
    name: String,
    needs: Vec<Kind>,
    case: fn(&Place<'_>),
    place: Place<'a>,
}

impl Check<'_> {
    fn passes(&self) -> bool {
        catch_unwind(AssertUnwindSafe(|| (self.case)(&self.place))).is_ok()
    }

    /// Whether any program in it is not ours. Foreign libraries have races of their own, which no
    /// change here mends: such a check that fails is made once more, alone, and that is said aloud.
    fn is_foreign(&self) -> bool {
        self.needs.iter().any(|&kind| kind != Kind::Mqttx)
    }
}

/// Runs all checks, a few at a time; returns those that fail.
fn failing<'a, 'b>(checks: &'a [Check<'b>]) -> Vec<&'a Check<'b>> {
    let next = AtomicUsize::new(0);
    let failing = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(check) = checks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !check.passes() {
                        failing.lock().unwrap().push(check);
                    }
                }
            });
        }
    });
    failing.into_inner().unwrap()
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

/// A case in each version that both clients speak, on the broker behind `way`.
fn add<'a>(
    checks: &mut Vec<Check<'a>>,
    cases: &[Case],
    way: &'a Way,
    pair: (Kind, Kind),
    broker: Kind,
) {
    let (publisher, subscriber) = pair;
    for (case_name, versions, case) in cases {
        for &version in *versions {
            if !publisher.speaks(version) || !subscriber.speaks(version) {
                continue;
            }
            let name = format!(
                "{case_name}, MQTT {} over {}, {} to {} on {}",
                ["3.1", "3.1.1", "5.0"][usize::from(version) - 3],
                way.transport.name(),
                publisher.name(),
                subscriber.name(),
                broker.name(),
            );
            checks.push(Check {
                name,
                needs: vec![publisher, subscriber, broker],
                case: *case,
                place: Place {
                    way,
                    publisher,
                    subscriber,
                    version,
                },
            });
        }
    }
}

/// Over TCP: foreign clients on our broker, and ours on mosquitto.
fn checks<'a>(ours: &'a Way, mosquittos: &'a Way) -> Vec<Check<'a>> {
    let mut checks = Vec::new();
    for (way, broker) in [(ours, Kind::Mqttx), (mosquittos, Kind::Mosquitto)] {
        for pair in pairs(broker == Kind::Mosquitto) {
            add(&mut checks, CASES, way, pair, broker);
        }
    }
    checks
}

/// Over all other kinds of listeners: every client that knows them, on our broker.
fn checks_of_ways(ways: &[Way]) -> Vec<Check<'_>> {
    let mut checks = Vec::new();
    for way in ways.iter().filter(|way| way.transport != Transport::Tcp) {
        let foreign = [Kind::Mosquitto, Kind::Paho, Kind::Gmqtt, Kind::MqttJs];
        for kind in foreign
            .into_iter()
            .filter(|&kind| way.transport.is_known_to(kind))
        {
            let pair = (kind, kind);
            add(&mut checks, CASES_OF_WAYS, way, pair, Kind::Mqttx);
        }
        if way.transport.is_known_to(Kind::Chromium) {
            let pair = (Kind::Mqttx, Kind::Chromium);
            add(&mut checks, CASES_OF_BROWSERS, way, pair, Kind::Mqttx);
            let pair = (Kind::Chromium, Kind::MqttJs);
            add(&mut checks, &CASES_OF_BROWSERS[..1], way, pair, Kind::Mqttx);
        }
    }
    checks
}

/// Takes away the checks whose peers are not installed, and counts them for each.
fn without_peers(checks: &mut Vec<Check<'_>>) -> Vec<(Kind, usize)> {
    let mut skipped: Vec<(Kind, usize)> = Vec::new();
    checks.retain(|check| {
        let missing = check.needs.iter().copied().find(|kind| !kind.is_here());
        let Some(missing) = missing else {
            return true;
        };
        match skipped.iter_mut().find(|(kind, _)| *kind == missing) {
            Some((_, count)) => *count += 1,
            None => skipped.push((missing, 1)),
        }
        false
    });
    skipped
}

/// The whole part, and the only place that counts what was skipped.
#[test]
fn foreign_peers() {
    let ours = BrokerProcess::start(&["--workers", "2"]);
    let folder = tempfile::tempdir().unwrap();
    let theirs = mosquitto(folder.path(), |[port]| {
        format!("listener {port} 127.0.0.1\nmax_queued_messages 0\n")
    });
    let certificates = Certificates::new();
    let lines = Way::listeners(&certificates);
    let listening = BrokerProcess::configured(&lines, &["--workers", "2"]);
    let ways = Way::all(&certificates, &listening.ports);
    let (ours, mosquittos) = (
        Way::tcp(ours.port),
        Way::tcp(theirs.as_ref().map_or(0, |(_, [port])| *port)),
    );
    let mut checks = checks(&ours, &mosquittos);
    checks.extend(checks_of_ways(&ways));
    let wanted = std::env::var("MQTTX_PEER").unwrap_or_default();
    checks.retain(|check| check.name.contains(&wanted));
    let skipped = without_peers(&mut checks);

    // Past the capture of the test harness, so that it is always seen.
    let mut err = std::io::stderr();
    let (again, mut failures): (Vec<_>, Vec<_>) =
        failing(&checks).into_iter().partition(|it| it.is_foreign());
    for check in again {
        let _ = writeln!(err, "A SECOND TRY: {}", check.name);
        if !check.passes() {
            failures.push(check);
        }
    }
    let failures: Vec<&str> = failures.iter().map(|check| &*check.name).collect();

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
        assert!(checks.len() > 200, "only {} checks", checks.len());
    }
}
