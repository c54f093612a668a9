//! The table of scenarios. Each row is a name, what it is, and the function that runs it once against one broker.
//! Steady loads are here; what grows (connections, filters, retained and queued messages) is in `scale.rs`.

use std::time::Duration;

use anyhow::Result;

use crate::cell::{Cell, Fan, Plan};
use crate::layered;
use crate::load;
use crate::load::{Pace, Tally, Until};
use crate::process::Broker;
use crate::report::Measure;
use crate::scale;
use crate::wire::{Shape, Version};

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// Whether the relay can take part: it knows no filters, no sessions, no handshakes of its own.
    pub(crate) relays: bool,
    /// Whether brokers are to listen for WebSocket and TLS, too.
    pub(crate) layered: bool,
    pub(crate) run: fn(&Broker, Effort) -> Result<Vec<Measure>>,
}

/// How long and how large: the whole table, or `--quick`.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) span: Duration,
    /// Divides the sizes of what grows.
    pub(crate) divisor: usize,
}

impl Effort {
    const fn scaled(self, count: usize) -> usize {
        count / self.divisor
    }
}

/// Deliveries a scenario may have on their way: deep batches, and yet no broker is ever made to drop.
pub(crate) const ON_THE_WAY: u64 = 100_000;

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "p2p-bulk",
        about: "10 pairs, QoS 0, deep batches",
        relays: true,
        layered: false,
        run: |broker, effort| bulk("p2p-bulk", broker, effort, Shape::plain(0)),
    },
    Scenario {
        name: "p2p-one",
        about: "100 pairs, one message in flight each",
        relays: true,
        layered: false,
        run: p2p_one,
    },
    Scenario {
        name: "fan-in",
        about: "100 publishers with a topic each, one wildcard subscriber",
        relays: true,
        layered: false,
        run: fan_in,
    },
    Scenario {
        name: "fan-out-100",
        about: "one publisher, 100 subscribers",
        relays: true,
        layered: false,
        run: |broker, effort| fan_out("fan-out-100", 100, broker, effort),
    },
    Scenario {
        name: "fan-out-1000",
        about: "one publisher, 1,000 subscribers",
        relays: true,
        layered: false,
        run: |broker, effort| fan_out("fan-out-1000", 1_000, broker, effort),
    },
    Scenario {
        name: "qos1-w20",
        about: "10 pairs, QoS 1, 20 unacknowledged a publisher",
        relays: true,
        layered: false,
        run: |broker, effort| acknowledged("qos1-w20", 1, 20, broker, effort),
    },
    Scenario {
        name: "qos1-w1000",
        about: "10 pairs, QoS 1, 1,000 unacknowledged a publisher",
        relays: true,
        layered: false,
        run: |broker, effort| acknowledged("qos1-w1000", 1, 1_000, broker, effort),
    },
    Scenario {
        name: "qos2-w20",
        about: "10 pairs, QoS 2, 20 unacknowledged a publisher, full handshakes on both sides",
        relays: true,
        layered: false,
        run: |broker, effort| acknowledged("qos2-w20", 2, 20, broker, effort),
    },
    Scenario {
        name: "offered-20k",
        about: "10 pairs, QoS 0, 20,000 messages a second on the clock",
        relays: true,
        layered: false,
        run: offered,
    },
    Scenario {
        name: "64k",
        about: "10 pairs, QoS 0, 64 KiB payload, 1 MiB on the way a pair",
        relays: true,
        layered: false,
        run: |broker, effort| large("64k", 10, 64 * 1024, 16, broker, effort),
    },
    Scenario {
        name: "1m",
        about: "4 pairs, QoS 0, 1 MiB payload, 4 on the way a pair",
        relays: true,
        layered: false,
        run: |broker, effort| large("1m", 4, 1024 * 1024, 4, broker, effort),
    },
    Scenario {
        name: "v5-bulk",
        about: "p2p-bulk with MQTT 5",
        relays: false,
        layered: false,
        run: |broker, effort| {
            let shape = Shape {
                version: Version::V5,
                ..Shape::plain(0)
            };
            bulk("v5-bulk", broker, effort, shape)
        },
    },
    Scenario {
        name: "v5-bulk-user",
        about: "p2p-bulk with MQTT 5 and two user properties a message",
        relays: false,
        layered: false,
        run: |broker, effort| {
            let shape = Shape {
                version: Version::V5,
                user_properties: true,
                ..Shape::plain(0)
            };
            bulk("v5-bulk-user", broker, effort, shape)
        },
    },
    Scenario {
        name: "v5-share",
        about: "5 shared subscriptions: 2 publishers and 4 sharing subscribers each, MQTT 5",
        relays: false,
        layered: false,
        run: share,
    },
    Scenario {
        name: "ws-bulk",
        about: "10 pairs, QoS 0, deep batches, each message in a WebSocket frame of its own",
        relays: false,
        layered: true,
        run: |broker, effort| layered::websocket("ws-bulk", &layered::BULK, broker, effort),
    },
    Scenario {
        name: "ws-one",
        about: "100 pairs, one message in flight each, over WebSocket",
        relays: false,
        layered: true,
        run: |broker, effort| layered::websocket("ws-one", &layered::ONE, broker, effort),
    },
    Scenario {
        name: "tls-bulk",
        about: "10 pairs, QoS 0, deep batches, over TLS 1.3 with AES-128-GCM",
        relays: false,
        layered: true,
        run: |broker, effort| layered::tls("tls-bulk", &layered::BULK, broker, effort),
    },
    Scenario {
        name: "tls-64k",
        about: "10 pairs, QoS 0, 64 KiB payload, over TLS 1.3 with AES-128-GCM",
        relays: false,
        layered: true,
        run: |broker, effort| layered::tls("tls-64k", &layered::LARGE, broker, effort),
    },
    Scenario {
        name: "connections",
        about: "10,000 connections: idle, then with one subscription each",
        relays: false,
        layered: false,
        run: |broker, effort| scale::connections(broker, effort.scaled(10_000)),
    },
    Scenario {
        name: "cycles",
        about: "connect, CONNACK, DISCONNECT, close, 64 at a time",
        relays: false,
        layered: false,
        run: scale::cycles,
    },
    Scenario {
        name: "filters-100k",
        about: "100,000 filters with + and #, each topic matched by ten",
        relays: false,
        layered: false,
        run: |broker, effort| {
            scale::filters("filters-100k", effort.scaled(100_000), broker, effort)
        },
    },
    Scenario {
        name: "filters-1m",
        about: "1,000,000 filters with + and #, each topic matched by ten",
        relays: false,
        layered: false,
        run: |broker, effort| {
            scale::filters("filters-1m", effort.scaled(1_000_000), broker, effort)
        },
    },
    Scenario {
        name: "retained",
        about: "1,000,000 retained messages: stored, then delivered to #",
        relays: false,
        layered: false,
        run: |broker, effort| scale::retained("retained", effort.scaled(1_000_000), broker),
    },
    Scenario {
        name: "offline",
        about: "200,000 QoS 1 messages queued for a session that is away, then drained",
        relays: false,
        layered: false,
        run: |broker, effort| scale::offline("offline", effort.scaled(200_000), broker),
    },
];

pub(crate) fn pairs(shape: Shape) -> impl Fn(usize) -> Plan {
    move |number| Plan {
        shape,
        topics: vec![vec![format!("pair/{number:04}")]],
        filters: vec![vec![format!("pair/{number:04}")]],
        fan: Fan::Sum(1),
    }
}

/// Opens `count` cells, runs them, and makes a measure of what came out.
fn steady(
    name: &str,
    broker: &Broker,
    count: usize,
    plan: impl Fn(usize) -> Plan,
    pace: Pace,
) -> Result<(Vec<Measure>, Tally)> {
    let mut cells = Vec::with_capacity(count);
    for number in 0..count {
        cells.push(Cell::open(broker, number, &plan(number))?);
    }
    let tally = load::run(broker, &mut cells, pace)?;
    Ok((vec![Measure::of_load(name, &tally)], tally))
}

pub(crate) const fn pace(ahead: u64, effort: Effort) -> Pace {
    Pace {
        ahead,
        window: None,
        offered: None,
        until: Until::Elapsed(effort.span),
    }
}

fn bulk(name: &str, broker: &Broker, effort: Effort, shape: Shape) -> Result<Vec<Measure>> {
    Ok(steady(
        name,
        broker,
        10,
        pairs(shape),
        pace(ON_THE_WAY / 10, effort),
    )?
    .0)
}

fn p2p_one(broker: &Broker, effort: Effort) -> Result<Vec<Measure>> {
    Ok(steady(
        "p2p-one",
        broker,
        100,
        pairs(Shape::plain(0)),
        pace(1, effort),
    )?
    .0)
}

fn fan_in(broker: &Broker, effort: Effort) -> Result<Vec<Measure>> {
    let plan = |_| Plan {
        shape: Shape::plain(0),
        topics: (0..100)
            .map(|at| vec![format!("in/{at:04}/data")])
            .collect(),
        filters: vec![vec!["in/+/data".to_owned()]],
        fan: Fan::Sum(1),
    };
    Ok(steady("fan-in", broker, 1, plan, pace(ON_THE_WAY / 10, effort))?.0)
}

pub(crate) fn fan_out(
    name: &str,
    width: usize,
    broker: &Broker,
    effort: Effort,
) -> Result<Vec<Measure>> {
    let plan = |_| Plan {
        shape: Shape::plain(0),
        topics: vec![vec!["out/everybody".to_owned()]],
        filters: vec![vec!["out/everybody".to_owned()]; width],
        fan: Fan::All,
    };
    let ahead = (ON_THE_WAY * 2 / width as u64).min(ON_THE_WAY / 10);
    Ok(steady(name, broker, 1, plan, pace(ahead, effort))?.0)
}

fn acknowledged(
    name: &str,
    qos: u8,
    window: u64,
    broker: &Broker,
    effort: Effort,
) -> Result<Vec<Measure>> {
    let pace = Pace {
        window: Some(window),
        ..pace(ON_THE_WAY / 10, effort)
    };
    Ok(steady(name, broker, 10, pairs(Shape::plain(qos)), pace)?.0)
}

fn offered(broker: &Broker, effort: Effort) -> Result<Vec<Measure>> {
    let pace = Pace {
        offered: Some(20_000),
        ..pace(ON_THE_WAY / 10, effort)
    };
    Ok(steady("offered-20k", broker, 10, pairs(Shape::plain(0)), pace)?.0)
}

fn large(
    name: &str,
    count: usize,
    payload: usize,
    ahead: u64,
    broker: &Broker,
    effort: Effort,
) -> Result<Vec<Measure>> {
    let shape = Shape {
        payload,
        ..Shape::plain(0)
    };
    Ok(steady(name, broker, count, pairs(shape), pace(ahead, effort))?.0)
}

fn share(broker: &Broker, effort: Effort) -> Result<Vec<Measure>> {
    let plan = |number| Plan {
        shape: Shape {
            version: Version::V5,
            ..Shape::plain(0)
        },
        topics: vec![vec![format!("work/{number:04}")]; 2],
        filters: vec![vec![format!("$share/crew/work/{number:04}")]; 4],
        fan: Fan::Sum(1),
    };
    Ok(steady("v5-share", broker, 5, plan, pace(ON_THE_WAY / 10, effort))?.0)
}
