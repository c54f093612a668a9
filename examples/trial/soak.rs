//! Mixed load at a low rate for as long as asked: messages of all QoS, clients that come, stay away
//! with a Session, and come back, subscriptions and retained messages that change. Memory is printed
//! as it goes.

use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mqttx::mqtt::{PacketType, Version};

use crate::process::Broker;
use crate::support::packets::{self, Hello, ack};
use crate::wire::Wire;

/// Memory is looked at so often in a run.
const LOOKS: u32 = 40;

/// The last quarter may be so much above the second.
const GROWTH_MAX: f64 = 1.10;

/// False: memory grew to the end.
pub(crate) fn run(program: &Path, minutes: u64) -> bool {
    let mut broker = Broker::mqttx(program);
    let port = broker.port;
    let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut seen = Vec::new();
    let mut out = std::io::stdout();
    std::thread::scope(|scope| {
        for pair in 0..6 {
            let (stop, count) = (&stop, &count);
            scope.spawn(move || traffic(port, pair, stop, count));
        }
        scope.spawn(|| changes(port, &stop));
        let begun = Instant::now();
        let pause = Duration::from_secs(minutes * 60) / LOOKS;
        for _ in 0..LOOKS {
            std::thread::sleep(pause);
            let mb = broker.memory("VmRSS") as f64 / 1_024.0;
            seen.push(mb);
            let (seconds, count) = (begun.elapsed().as_secs(), count.load(Ordering::Relaxed));
            let _ = writeln!(out, "{seconds:6} s  {mb:7.2} MB  {count} messages");
        }
        stop.store(true, Ordering::Relaxed);
    });
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len().max(1) as f64;
    let quarter = seen.len() / 4;
    let (early, late) = (
        mean(&seen[quarter..2 * quarter]),
        mean(&seen[3 * quarter..]),
    );
    let _ = writeln!(
        out,
        "RSS {early:.2} MB in the second quarter, {late:.2} MB in the last"
    );
    broker.lives() && late <= early * GROWTH_MAX
}

/// A publisher and a subscriber that keeps a Session, is away at times, and gets what waited.
fn traffic(port: u16, pair: usize, stop: &AtomicBool, count: &AtomicU64) {
    let (topic, qos) = (format!("soak/{pair}"), (pair % 3) as u8);
    let keeper = Hello::new(&format!("sub{pair}")).kept();
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let here = round % 3 != 0;
        let subscriber = here.then(|| Wire::connect(port, &keeper)).flatten();
        let Some(mut publisher) = Wire::connect(port, &Hello::new(&format!("pub{pair}"))) else {
            continue;
        };
        let reader = subscriber.map(|mut wire| {
            let _ = wire.send(&packets::subscribe(Version::V5, 1, &topic, qos, &[]));
            wire
        });
        std::thread::scope(|scope| {
            if let Some(wire) = reader {
                scope.spawn(|| read(wire, count));
            }
            for number in 1..=200 {
                let payload = "x".repeat(number as usize % 50 * 20);
                let id = if qos == 0 { 0 } else { number };
                if publisher.publish(&topic, &payload, qos, id).is_none()
                    || !settle(&mut publisher, qos, id)
                {
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            // The reader ends when its Session is taken over.
            drop(Wire::connect(port, &keeper));
        });
    }
}

/// Brings a message through.
fn settle(publisher: &mut Wire, qos: u8, id: u16) -> bool {
    match qos {
        0 => true,
        1 => publisher.next().is_some(),
        _ => {
            publisher.next().is_some()
                && publisher.send(&ack(PacketType::Pubrel, id)).is_some()
                && publisher.next().is_some()
        }
    }
}

fn read(mut wire: Wire, count: &AtomicU64) {
    while let Some(frame) = wire.next() {
        let Ok(packet) = mqttx::mqtt::Packet::decode(&frame, Version::V5) else {
            return;
        };
        let answer = match packet {
            mqttx::mqtt::Packet::Publish(message) => {
                count.fetch_add(1, Ordering::Relaxed);
                message.packet_id.map(|id| match message.qos.bits() {
                    1 => (PacketType::Puback, id),
                    _ => (PacketType::Pubrec, id),
                })
            }
            mqttx::mqtt::Packet::Pubrel(pubrel) => Some((PacketType::Pubcomp, pubrel.packet_id)),
            _ => None,
        };
        if let Some((kind, id)) = answer
            && wire.send(&ack(kind, id.value())).is_none()
        {
            return;
        }
    }
}

/// Clients, subscriptions and retained messages that come and go.
fn changes(port: u16, stop: &AtomicBool) {
    let mut round = 0_u32;
    while !stop.load(Ordering::Relaxed) {
        round = round.wrapping_add(1);
        let hello = Hello::new(&format!("c{}", round % 50)).will("will", "gone", 0, false);
        if let Some(mut wire) = Wire::connect(port, &hello) {
            for number in 0..10 {
                let topic = format!("r/{}", (round + number) % 500);
                let payload = if number % 2 == 0 { "kept" } else { "" };
                let mut bytes = packets::publish(Version::V5, &topic, payload, 0, 0, &[]);
                bytes[0] |= 1;
                let _ = wire.send(&bytes);
            }
            let _ = wire.subscribe(&format!("r/{}/#", round % 300), 1);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
