//! Nanoseconds a packet: our codec, and rumqttc's beside it, on a PUBLISH of 64 bytes of payload.
//!
//! `cargo bench --bench codec`

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, criterion_group, criterion_main};
use mqttx::mqtt::ack::put_ack;
use mqttx::mqtt::frame::{Scan, scan};
use mqttx::mqtt::limits::PACKET_SIZE_MAX;
use mqttx::mqtt::property::{Properties, PropertiesBuf, PropertyId, Value};
use mqttx::mqtt::publish::Publish;
use mqttx::mqtt::topic::matches;
use mqttx::mqtt::{PacketId, PacketType, QoS, Version, Violation};

const TOPIC: &str = "bench/t";
const PAYLOAD: [u8; 64] = [b'x'; 64];

fn publish(properties: Properties<'_>) -> Publish<'_> {
    Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: TOPIC,
        packet_id: PacketId::new(7),
        properties,
        payload: &PAYLOAD,
    }
}

fn read(frame: &[u8], version: Version) -> Result<Publish<'_>, Violation> {
    let Scan::Head(head) = scan(frame, PACKET_SIZE_MAX)? else {
        panic!("a whole packet")
    };
    Publish::decode(head.first, &frame[head.head_len..head.total()], version)
}

fn decode(criterion: &mut Criterion) {
    let mut properties = PropertiesBuf::new();
    properties.push(PropertyId::MessageExpiryInterval, Value::Four(60));
    properties.push(PropertyId::UserProperty, Value::Pair("unit", "celsius"));
    let long_topic = "building/17/floor/3/room/311/sensor/temperature/average";
    let cases = [
        ("3.1.1", Version::V311, publish(Properties::EMPTY)),
        ("5.0", Version::V5, publish(Properties::EMPTY)),
        (
            "5.0, two properties",
            Version::V5,
            publish(properties.properties()),
        ),
        (
            "3.1.1, topic of 55 bytes",
            Version::V311,
            Publish {
                topic: long_topic,
                ..publish(Properties::EMPTY)
            },
        ),
    ];
    let mut group = criterion.benchmark_group("decode PUBLISH");
    for (name, version, packet) in cases {
        let mut frame = Vec::new();
        packet.encode(version, &mut frame);
        group.bench_function(name, |bencher| {
            bencher.iter(|| read(black_box(&frame), black_box(version)));
        });
        let stream = Bytes::from(frame);
        // rumqttc takes its packets out of a buffer, so each round needs one: the copy that fills
        // it is part of its figure, and is measured alone below.
        group.bench_function(format!("{name}, rumqttc"), |bencher| {
            let mut buffer = BytesMut::new();
            bencher.iter(|| {
                buffer.extend_from_slice(black_box(&stream));
                match version {
                    Version::V5 => {
                        rumqttc::v5::mqttbytes::v5::Packet::read(&mut buffer, None).is_ok()
                    }
                    _ => rumqttc::mqttbytes::v4::Packet::read(&mut buffer, 1024).is_ok(),
                }
            });
        });
    }
    let frame = [0_u8; 77];
    group.bench_function("filling and freezing rumqttc's buffer", |bencher| {
        let mut buffer = BytesMut::new();
        bencher.iter(|| {
            buffer.extend_from_slice(black_box(&frame));
            buffer.split_to(77).freeze()
        });
    });
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode PUBLISH");
    let mut out = Vec::with_capacity(1 << 16);
    for version in [Version::V311, Version::V5] {
        let packet = publish(Properties::EMPTY);
        group.bench_function(version.to_string(), |bencher| {
            bencher.iter(|| {
                out.clear();
                black_box(&packet).encode(black_box(version), &mut out);
            });
        });
    }
    let mut packet = rumqttc::mqttbytes::v4::Publish::new(
        TOPIC,
        rumqttc::mqttbytes::QoS::AtLeastOnce,
        PAYLOAD.to_vec(),
    );
    packet.pkid = 7;
    group.bench_function("3.1.1, rumqttc", |bencher| {
        let mut buffer = BytesMut::with_capacity(1 << 16);
        bencher.iter(|| {
            buffer.clear();
            black_box(&packet).write(&mut buffer).is_ok()
        });
    });
    let id = PacketId::new(9).expect("not zero");
    group.bench_function("PUBACK", |bencher| {
        bencher.iter(|| {
            out.clear();
            put_ack(black_box(PacketType::Puback), black_box(id), &mut out);
        });
    });
    group.finish();
}

fn topics(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("matches");
    for (filter, topic) in [
        ("a/b/c", "a/b/c"),
        ("building/+/room/#", "building/17/room/311/light"),
    ] {
        group.bench_function(filter, |bencher| {
            bencher.iter(|| matches(black_box(filter), black_box(topic)));
        });
    }
    group.finish();
}

criterion_group!(benches, decode, encode, topics);
criterion_main!(benches);
