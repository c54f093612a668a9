//! What the broker tells of itself: every figure is exact, whoever it is that counts.

use std::time::Duration;

use mqttx::broker::limits::Limits;
use mqttx::broker::{ClientRow, Snapshot, Traffic};
use mqttx::mqtt::{PacketType, Version};

use crate::support::core::Core;
use crate::support::packets::{Hello, publish, retained, subscribe};

fn whole(core: &Core) -> Snapshot {
    let mut sum = Snapshot::default();
    for worker in &core.workers {
        sum.add(&worker.snapshot());
    }
    sum
}

fn client(core: &Core, client_id: &str) -> ClientRow {
    let found = core
        .workers
        .iter()
        .find_map(|worker| worker.client(client_id, core.now));
    found.unwrap()
}

#[test]
fn every_packet_and_every_byte_of_payload_counts_once() {
    let mut core = Core::new(2, Limits::default());
    let sub = core.join(0, &Hello::new("sub"));
    core.subscribe(sub, "a/#", 1);
    let publisher = core.join(1, &Hello::new("pub"));
    // One run of packets of two lengths, and one with an acknowledgement.
    let mut run = Vec::new();
    for payload in ["1234", "1234", "12345678", "12"] {
        run.extend(publish(Version::V5, "a/b", payload, 0, 0, &[]));
    }
    core.send(publisher, &run);
    core.publish(publisher, "a/c", "123", 1, 9);
    core.ack(sub, PacketType::Puback, 1);
    core.send(sub, &[0xc0, 0]);
    let told = whole(&core);
    let stats = told.stats;
    assert_eq!(stats.publish_received, 5);
    assert_eq!(stats.publish_sent, 5);
    assert_eq!(stats.payload_received, 21);
    assert_eq!(stats.payload_sent, 21);
    // CONNECT twice, SUBSCRIBE, PUBLISH five times, PUBACK, PINGREQ.
    assert_eq!(stats.packets_received, 10);
    // CONNACK twice, SUBACK, PUBLISH five times, PUBACK, PINGRESP.
    assert_eq!(stats.packets_sent(), 10);
    assert_eq!((told.connections, told.connected, told.sessions), (2, 2, 2));
    let traffic = ["sub", "pub"].map(|id| client(&core, id).connection.unwrap().traffic);
    let sum = |what: fn(&Traffic) -> u64| traffic.iter().map(what).sum::<u64>();
    assert_eq!(sum(|one| one.bytes_received), stats.bytes_received);
    assert_eq!(sum(|one| one.bytes_sent), stats.bytes_sent);
    assert_eq!(traffic.map(|one| one.publish_received), [0, 5]);
    assert_eq!(traffic.map(|one| one.publish_sent), [5, 0]);
    core.send(sub, &[0xe0, 0]);
    let told = whole(&core);
    assert_eq!(told.stats.packets_received, 11, "DISCONNECT too");
    assert_eq!((told.connected, told.sessions), (1, 1));
    assert_eq!(told.whole.sessions_most, 2);
}

#[test]
fn what_is_kept_is_counted_and_nothing_is_left_when_it_is_gone() {
    let mut core = Core::new(1, Limits::default());
    let hello = Hello::new("away").kept();
    let away = core.join(0, &hello);
    core.subscribe(away, "t", 1);
    core.cut(away);
    let publisher = core.join(0, &Hello::new("pub"));
    for id in 1..=3 {
        core.publish(publisher, "t", "message", 1, id);
    }
    core.send(
        publisher,
        &retained(publish(Version::V5, "r", "value", 0, 0, &[])),
    );
    let told = whole(&core).whole;
    assert_eq!((told.queued, told.retained, told.subscriptions), (3, 1, 1));
    assert!(told.queued_bytes > 0 && told.retained_bytes > 0);
    let row = client(&core, "away");
    assert!(row.connection.is_none());
    assert_eq!((row.queued, row.inflight, row.subscriptions), (3, 0, 1));
    let back = core.connect(0, &hello);
    assert_eq!(core.take(back).len(), 4, "CONNACK and three messages");
    let row = client(&core, "away");
    assert_eq!((row.queued, row.inflight), (0, 3));
    assert_eq!(whole(&core).whole.queued, 3, "kept until acknowledged");
    for id in 1..=3 {
        core.ack(back, PacketType::Puback, id);
    }
    core.send(
        publisher,
        &retained(publish(Version::V5, "r", "", 0, 0, &[])),
    );
    let told = whole(&core).whole;
    assert_eq!((told.queued, told.queued_bytes), (0, 0));
    assert_eq!((told.retained, told.retained_bytes), (0, 0));
    core.advance(Duration::from_secs(3));
    let row = client(&core, "away").connection.unwrap();
    assert_eq!(row.age, Duration::from_secs(3));
}

#[test]
fn clients_and_subscriptions_come_page_by_page() {
    let mut core = Core::new(1, Limits::default());
    for n in 0..10 {
        let link = core.join(0, &Hello::new(&format!("c{n}")));
        if n == 4 {
            for (id, filter) in ["a", "b/+", "$share/g/c", "d/#"].iter().enumerate() {
                let id = id as u16 + 1;
                core.send(link, &subscribe(Version::V5, id, filter, 1, &[]));
            }
        }
    }
    let broker = &core.workers[0];
    let (mut from, mut seen) = (Some(0), Vec::new());
    while let Some(place) = from {
        let page = broker.clients(place, 3, |id, _| id != "c7", core.now);
        assert!(page.rows.len() <= 3);
        seen.extend(page.rows.into_iter().map(|row| row.client_id.to_string()));
        from = page.next;
    }
    seen.sort();
    assert_eq!(seen, ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c8", "c9"]);
    let (mut from, mut filters) = (Some(0), Vec::new());
    while let Some(place) = from {
        let page = broker.subscriptions_of("c4", place, 3).unwrap();
        filters.extend(page.rows.into_iter().map(|row| row.filter));
        from = page.next;
    }
    filters.sort();
    assert_eq!(filters, ["$share/g/c", "a", "b/+", "d/#"]);
    assert_eq!(whole(&core).whole.shared_subscriptions, 1);
    assert!(broker.subscriptions_of("nobody", 0, 3).is_none());
}
