//! Each attack on a broker of its own, and what a well-behaved pair feels of it: one message of
//! QoS 1 after the other, from its publishing until it has arrived.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::attacks::{ATTACKS, Attack, TLS_ATTACKS};
use crate::process::Broker;
use crate::support::packets::{Hello, ack};
use crate::wire::Wire;
use mqttx::mqtt::PacketType;

/// A hundred messages a second.
const PAUSE: Duration = Duration::from_millis(10);

struct Felt {
    peak_mb: f64,
    p99_ms: f64,
    max_ms: f64,
    messages: usize,
    lives: bool,
}

/// Prints a table. False: a broker ended.
pub(crate) fn run(program: &Path, mosquitto: &Path, seconds: u64, only: &str) -> bool {
    let mut out = std::io::stdout();
    let mut good = true;
    let mut say = |line: String| {
        use std::io::Write as _;
        let _ = writeln!(out, "{line}");
    };
    say("| attack | broker | peak RSS MB | p99 ms | worst ms | messages |".to_owned());
    say("|-|-|-|-|-|-|".to_owned());
    let plain = ATTACKS.iter().map(|attack| (attack, false));
    let all = plain.chain(TLS_ATTACKS.iter().map(|attack| (attack, true)));
    for ((name, attack), tls) in all.filter(|((name, _), _)| name.contains(only)) {
        let ours = match tls {
            true => Broker::mqttx_with_tls(program),
            false => Broker::mqttx(program),
        };
        let ours = Some(("mqttx", ours));
        let theirs = Broker::mosquitto(mosquitto, tls).map(|broker| ("mosquitto", broker));
        for (whose, broker) in ours.into_iter().chain(theirs) {
            let felt = feel(broker, *attack, Duration::from_secs(seconds));
            good &= felt.lives || whose != "mqttx";
            let ended = if felt.lives { "" } else { " (it ended)" };
            say(format!(
                "| {name} | {whose}{ended} | {:.1} | {:.2} | {:.1} | {} |",
                felt.peak_mb, felt.p99_ms, felt.max_ms, felt.messages
            ));
        }
    }
    good
}

fn feel(mut broker: Broker, attack: Attack, time: Duration) -> Felt {
    let port = broker.port;
    let stop = AtomicBool::new(false);
    let mut waits = Vec::new();
    std::thread::scope(|scope| {
        let pair = (
            Wire::connect(port, &Hello::new("good-pub")),
            Wire::connect(port, &Hello::new("good-sub")),
        );
        scope.spawn(|| attack(broker.tls_port.unwrap_or(port), &stop));
        if let (Some(mut publisher), Some(mut subscriber)) = pair
            && subscriber.subscribe("good", 1).is_some()
        {
            let until = Instant::now() + time;
            while Instant::now() < until {
                let Some(wait) = exchange(&mut publisher, &mut subscriber) else {
                    break;
                };
                waits.push(wait.as_secs_f64() * 1_000.0);
                std::thread::sleep(PAUSE);
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    Felt {
        peak_mb: broker.memory("VmHWM") as f64 / 1_024.0,
        p99_ms: part(&mut waits, 0.99),
        max_ms: part(&mut waits, 1.0),
        messages: waits.len(),
        lives: broker.lives(),
    }
}

/// What this part of the figures is not above.
pub(crate) fn part(figures: &mut [f64], part: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    let place = (figures.len() as f64 * part) as usize;
    let found = figures.get(place).or_else(|| figures.last());
    found.copied().unwrap_or(f64::NAN)
}

pub(crate) fn exchange(publisher: &mut Wire, subscriber: &mut Wire) -> Option<Duration> {
    let begun = Instant::now();
    publisher.publish("good", "payload", 1, 7)?;
    let message = subscriber.next()?;
    let took = begun.elapsed();
    // "good" and its length lie before the identifier; the head is two bytes.
    let id = u16::from_be_bytes([message[8], message[9]]);
    subscriber.send(&ack(PacketType::Puback, id))?;
    publisher.next()?;
    Some(took)
}
