//! What peers do that mean harm. Each goes on until it is told to stop, whatever the broker does to
//! its connections.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use mqttx::mqtt::Version;
use mqttx::mqtt::property::{PropertyId, Value};

use crate::handshakes;
use crate::support::packets::{self, Hello, Written};
use crate::wire::Wire;

pub(crate) type Attack = fn(u16, &AtomicBool);

/// On a port with TLS, while the well-behaved use one without.
pub(crate) const TLS_ATTACKS: [(&str, Attack); 4] = [
    ("a listener with TLS (for comparison)", |_, _| ()),
    (
        "800 connections with half a TLS handshake",
        handshakes::half_handshakes,
    ),
    ("TLS handshakes that are begun", handshakes::hello_flood),
    ("TLS renegotiation", handshakes::renegotiation),
];

pub(crate) const ATTACKS: [(&str, Attack); 11] = [
    ("nothing (for comparison)", |_, _| ()),
    ("800 connections that never finish CONNECT", slow_connect),
    ("500 subscribers that never read a flood", slow_readers),
    (
        "100 subscribers that never acknowledge QoS 1",
        never_acknowledge,
    ),
    ("100,000 filters of 100 levels", subscription_bomb),
    (
        "retained messages of 10 kB, each a new topic",
        retained_bomb,
    ),
    ("shared subscriptions that come and go", share_churn),
    ("connections that come and go", connect_flood),
    ("eight who fight for one Client Identifier", id_fight),
    ("PUBLISH with 4,000 user properties", property_bomb),
    ("retained wills of 60 kB, each a new topic", will_bomb),
];

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// A Client Identifier that nobody has.
fn fresh() -> Hello {
    Hello::new(&format!("h{}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

pub(crate) fn goes_on(stop: &AtomicBool) -> bool {
    !stop.load(Ordering::Relaxed)
}

/// The same in several threads.
pub(crate) fn together(count: usize, what: impl Fn() + Sync) {
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(&what);
        }
    });
}

fn crowd(port: u16, count: usize, filter: &str, qos: u8) -> Vec<Wire> {
    let member = |_| {
        let mut wire = Wire::connect(port, &fresh())?;
        wire.subscribe(filter, qos)?;
        Some(wire)
    };
    (0..count).filter_map(member).collect()
}

fn slow_connect(port: u16, stop: &AtomicBool) {
    let bytes = fresh().bytes();
    let mut crowd: Vec<Wire> = (0..800).filter_map(|_| Wire::open(port)).collect();
    for byte in bytes {
        if !goes_on(stop) {
            return;
        }
        crowd.retain_mut(|wire| wire.send(&[byte]).is_some());
        std::thread::sleep(Duration::from_millis(400));
    }
}

fn slow_readers(port: u16, stop: &AtomicBool) {
    let _crowd = crowd(port, 500, "flood", 0);
    flood(port, stop, 0);
}

fn never_acknowledge(port: u16, stop: &AtomicBool) {
    let _crowd = crowd(port, 100, "flood", 1);
    flood(port, stop, 1);
}

/// As fast as the broker takes it, acknowledgements read.
fn flood(port: u16, stop: &AtomicBool, qos: u8) {
    let payload = "x".repeat(1_000);
    while goes_on(stop) {
        let Some(mut wire) = Wire::connect(port, &fresh()) else {
            continue;
        };
        'one: while goes_on(stop) {
            for id in 1..=100 {
                let id = if qos == 0 { 0 } else { id };
                if wire.publish("flood", &payload, qos, id).is_none() {
                    break 'one;
                }
            }
            for _ in 0..100 * usize::from(qos) {
                if wire.next().is_none() {
                    break 'one;
                }
            }
        }
    }
}

fn subscription_bomb(port: u16, stop: &AtomicBool) {
    let mut crowd = Vec::new();
    for client in 0..10 {
        let Some(mut wire) = Wire::connect(port, &fresh()) else {
            continue;
        };
        for number in 0..10_000 {
            let filter = format!("{client}/{number}{}", "/a".repeat(97));
            if !goes_on(stop) || wire.subscribe(&filter, 0).is_none() {
                break;
            }
        }
        crowd.push(wire);
    }
    while goes_on(stop) {
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn retained_bomb(port: u16, stop: &AtomicBool) {
    let payload = "x".repeat(10_000);
    let mut number = 0;
    while goes_on(stop) {
        let Some(mut wire) = Wire::connect(port, &fresh()) else {
            continue;
        };
        while goes_on(stop) {
            number += 1;
            let topic = format!("r/{number}");
            let mut bytes = packets::publish(Version::V5, &topic, &payload, 0, 0, &[]);
            bytes[0] |= 1;
            if wire.send(&bytes).is_none() {
                break;
            }
        }
    }
}

fn share_churn(port: u16, stop: &AtomicBool) {
    together(4, || {
        while goes_on(stop) {
            let Some(mut wire) = Wire::connect(port, &fresh()) else {
                continue;
            };
            for number in 0..200 {
                let filter = format!("$share/g{}/#", number % 7);
                let leave = packets::unsubscribe(Version::V5, 2, &filter);
                let done = wire.subscribe(&filter, 1).and_then(|()| wire.send(&leave));
                if !goes_on(stop) || done.and_then(|()| wire.next()).is_none() {
                    break;
                }
            }
        }
    });
}

fn connect_flood(port: u16, stop: &AtomicBool) {
    together(8, || {
        while goes_on(stop) {
            drop(Wire::connect(port, &fresh()));
        }
    });
}

fn id_fight(port: u16, stop: &AtomicBool) {
    together(8, || {
        let mut last = None;
        while goes_on(stop) {
            last = Wire::connect(port, &Hello::new("contested").kept()).or(last);
        }
    });
}

fn property_bomb(port: u16, stop: &AtomicBool) {
    let _crowd = crowd(port, 20, "p", 0);
    let users = vec![(PropertyId::UserProperty, Value::Pair("name", "value")); 4_000];
    let users: &Written<'_> = &users;
    let bytes = packets::publish(Version::V5, "p", "", 0, 0, users);
    while goes_on(stop) {
        let Some(mut wire) = Wire::connect(port, &fresh()) else {
            continue;
        };
        while goes_on(stop) && wire.send(&bytes).is_some() {}
    }
}

fn will_bomb(port: u16, stop: &AtomicBool) {
    let payload = "x".repeat(60_000);
    together(4, || {
        while goes_on(stop) {
            let topic = format!("w/{}", NEXT.fetch_add(1, Ordering::Relaxed));
            let hello = fresh().will(&topic, &payload, 1, true);
            drop(Wire::connect(port, &hello));
        }
    });
}
