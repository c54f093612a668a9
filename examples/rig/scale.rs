//! What grows: connections, filters, retained messages, the queue of a session that is away. Each run gives several
//! measures: how fast the many come, what each costs in memory, and how fast messages move among them.

use std::io::Write;
use std::time::Duration;

use anyhow::{Result, bail};
use mio::net::TcpStream;

use crate::cell;
use crate::cell::{Cell, Fan, Plan};
use crate::crowd;
use crate::crowd::Script;
use crate::link::Link;
use crate::load;
use crate::load::{Pace, Until};
use crate::process::{Broker, Meter};
use crate::report::Measure;
use crate::scenario::{Effort, ON_THE_WAY};
use crate::wire;
use crate::wire::{Shape, Version};

/// Memory is read when what freed it has had time to.
const SETTLE: Duration = Duration::from_millis(200);
/// Filters of one SUBSCRIBE.
const FILTERS_A_PACKET: usize = 50;
/// Filters that match each published topic.
const MATCHES: usize = 10;
const FILTER_CLIENTS: usize = 100;
const PUBLISHERS: usize = 10;

/// Opens connections and keeps them idle, then gives each a subscription.
pub(crate) fn connections(broker: &Broker, count: usize) -> Result<Vec<Measure>> {
    let bare = settled(broker);
    let (mut streams, used) = crowd::dial(broker, count)?;
    let idle = settled(broker);
    let filter = |at| [format!("crowd/{at:07}/commands")];
    let scripts = (0..count).map(|at| Script {
        out: wire::subscribe(Version::V311, 1, &filter(at), 0),
        owed: 5,
    });
    let (subscribing, missing) = crowd::play(broker, &mut streams, scripts.collect())?;
    let subscribed = settled(broker);
    if missing > 0 {
        bail!("{missing} bytes of SUBACK are missing");
    }
    Ok(vec![
        Measure::of("connects", count as u64, &used),
        Measure::of_memory("an idle connection", bare, idle, count as u64),
        Measure::of("first subscriptions", count as u64, &subscribing),
        Measure::of_memory("a subscribed connection", bare, subscribed, count as u64),
    ])
}

pub(crate) fn cycles(broker: &Broker, effort: Effort) -> Result<Vec<Measure>> {
    let (count, used) = crowd::cycle(broker, effort.span)?;
    Ok(vec![Measure::of("cycles", count, &used)])
}

/// Many filters with `+` and `#`, then messages to topics that ten of them match.
pub(crate) fn filters(
    name: &str,
    count: usize,
    broker: &Broker,
    effort: Effort,
) -> Result<Vec<Measure>> {
    let groups = count / MATCHES;
    let mut of_client = vec![Vec::new(); FILTER_CLIENTS];
    for group in 0..groups {
        for (at, filter) in ten_filters(group).into_iter().enumerate() {
            of_client[(group % MATCHES) * MATCHES + at].push(filter);
        }
    }
    let streams = (0..FILTER_CLIENTS).map(|at| {
        cell::ready(cell::connect(
            broker,
            Version::V311,
            &format!("filters-{at}"),
            true,
        )?)
    });
    let mut streams = streams.collect::<Result<Vec<TcpStream>>>()?;
    let before = settled(broker);
    let scripts = of_client
        .iter()
        .map(|filters| subscriptions(filters))
        .collect();
    let (used, missing) = crowd::play(broker, &mut streams, scripts)?;
    if missing > 0 {
        bail!("{missing} bytes of SUBACK are missing");
    }
    let after = settled(broker);
    drop(of_client);
    // A stride that divides nothing: neighbours in the stream are strangers in the tree.
    let topic = |at: usize| {
        let group = at * 7_919 % groups;
        format!("site{:03}/dev{group:06}/temp/now", group % 1_000)
    };
    let share = groups / PUBLISHERS;
    let plan = Plan {
        shape: Shape::plain(0),
        topics: (0..PUBLISHERS)
            .map(|one| (one * share..(one + 1) * share).map(topic).collect())
            .collect(),
        filters: Vec::new(),
        fan: Fan::Sum(MATCHES as u64),
    };
    let mut cells = [Cell::join(broker, 0, &plan, links(streams))?];
    let pace = Pace {
        ahead: ON_THE_WAY / 10,
        window: None,
        offered: None,
        until: Until::Elapsed(effort.span),
    };
    let tally = load::run(broker, &mut cells, pace)?;
    Ok(vec![
        Measure::of(&format!("{name}: subscribed"), count as u64, &used),
        Measure::of_memory(&format!("{name}: each"), before, after, count as u64),
        Measure::of_load(&format!("{name}: delivered"), &tally),
    ])
}

/// Ten filters that match `site…/dev…/temp/now` of one group and no other's.
fn ten_filters(group: usize) -> [String; MATCHES] {
    let (site, device) = (
        format!("site{:03}", group % 1_000),
        format!("dev{group:06}"),
    );
    [
        format!("{site}/{device}/temp/now"),
        format!("{site}/{device}/+/now"),
        format!("{site}/{device}/temp/+"),
        format!("{site}/{device}/+/+"),
        format!("{site}/{device}/#"),
        format!("{site}/{device}/temp/#"),
        format!("{site}/{device}/+/#"),
        format!("+/{device}/temp/now"),
        format!("+/{device}/+/now"),
        format!("+/{device}/#"),
    ]
}

fn subscriptions(filters: &[String]) -> Script {
    let mut script = Script {
        out: Vec::new(),
        owed: 0,
    };
    for (at, some) in filters.chunks(FILTERS_A_PACKET).enumerate() {
        script
            .out
            .extend(wire::subscribe(Version::V311, at as u16 + 1, some, 0));
        script.owed += 4 + some.len();
    }
    script
}

/// One retained message on each of many topics, then one subscriber who wants them all.
pub(crate) fn retained(name: &str, count: usize, broker: &Broker) -> Result<Vec<Measure>> {
    let shape = Shape {
        retain: true,
        ..Shape::plain(0)
    };
    let share = count / PUBLISHERS;
    let mut scripts = Vec::new();
    let mut streams = Vec::new();
    let mut size = 0;
    for one in 0..PUBLISHERS {
        let mut out = Vec::with_capacity(share * 100);
        for at in one * share..(one + 1) * share {
            wire::publish(
                shape,
                &format!("plant{:03}/meter{at:07}", at % 1_000),
                (at % 65_536) as u16,
                &mut out,
            );
        }
        size = out.len() / share;
        // Its answer says that all before it has been taken in.
        out.extend(wire::PINGREQ);
        scripts.push(Script { out, owed: 2 });
        streams.push(cell::ready(cell::connect(
            broker,
            Version::V311,
            &format!("retain-{one}"),
            true,
        )?)?);
    }
    let before = settled(broker);
    let (storing, missing) = crowd::play(broker, &mut streams, scripts)?;
    if missing > 0 {
        bail!("{missing} bytes of PINGRESP are missing");
    }
    let after = settled(broker);
    let mut reader = [cell::ready(cell::connect(
        broker,
        Version::V311,
        "retain-reader",
        true,
    )?)?];
    let ask = wire::subscribe(Version::V311, 1, &["#".to_owned()], 0);
    let script = Script {
        out: ask,
        owed: 5 + count * size,
    };
    let (reading, missing) = crowd::play(broker, &mut reader, vec![script])?;
    let lost = missing.div_ceil(size);
    let delivered = Measure::of(
        &format!("{name}: delivered"),
        (count - lost) as u64,
        &reading,
    );
    Ok(vec![
        Measure::of(&format!("{name}: stored"), count as u64, &storing),
        Measure::of_memory(&format!("{name}: each"), before, after, count as u64),
        Measure {
            lost: lost as i64,
            ..delivered
        },
    ])
}

/// QoS 1 messages for a session whose client is away, then its return.
pub(crate) fn offline(name: &str, count: usize, broker: &Broker) -> Result<Vec<Measure>> {
    const OWNER: &str = "queue-owner";
    let plan = Plan {
        shape: Shape::plain(1),
        topics: (0..PUBLISHERS)
            .map(|at| vec![format!("queue/{at:02}")])
            .collect(),
        filters: Vec::new(),
        fan: Fan::Sum(1),
    };
    let away = cell::connect(broker, Version::V311, OWNER, false)?;
    let mut away = cell::subscribe(away, broker, plan.shape, &["queue/#".to_owned()])?;
    away.write_all(&wire::DISCONNECT)?;
    drop(away);
    let before = settled(broker);
    let pace = Pace {
        ahead: u64::MAX,
        window: Some(1_000),
        offered: None,
        until: Until::Sent(count as u64),
    };
    let mut cells = [Cell::join(broker, 0, &plan, Vec::new())?];
    let filling = load::run(broker, &mut cells, pace)?;
    let after = settled(broker);
    if filling.acknowledged != count as u64 {
        bail!(
            "{} of {count} messages were acknowledged",
            filling.acknowledged
        );
    }
    // The queue may be on its way before the loop sees the socket.
    let begin = Meter::read(broker);
    let back = cell::ready(cell::connect(broker, Version::V311, OWNER, false)?)?;
    let mut cells = [Cell::awaiting(&plan, back, count as u64)];
    let draining = load::run(
        broker,
        &mut cells,
        Pace {
            window: None,
            ..pace
        },
    )?;
    let used = begin.until(&draining.end);
    let drained = Measure::of(&format!("{name}: drained"), draining.delivered, &used);
    Ok(vec![
        Measure::of(&format!("{name}: queued"), count as u64, &filling.used),
        Measure::of_memory(&format!("{name}: each"), before, after, count as u64),
        Measure {
            lost: draining.lost,
            ..drained
        },
    ])
}

fn links(streams: Vec<TcpStream>) -> Vec<Link> {
    streams.into_iter().map(Link::plain).collect()
}

fn settled(broker: &Broker) -> u64 {
    std::thread::sleep(SETTLE);
    broker.rss()
}
