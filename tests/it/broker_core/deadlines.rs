//! What happens because time passes: keep alive, wills, sessions, messages (§3.1.2.5, §3.1.2.10,
//! §3.1.2.11.2, §3.1.3.2.2, §3.3.2.3.3).

use mqttx::broker::Cause;
use mqttx::broker::limits::Limits;
use mqttx::mqtt::property::{PropertyId, Value};
use mqttx::mqtt::{PacketType, Reason, Version};

use crate::support::core::Core;
use crate::support::packets::{DISCONNECT, Hello, PINGREQ, publish, retained, subscribe};

fn core() -> Core {
    Core::new(1, Limits::default())
}

#[test]
fn a_client_may_be_silent_for_one_and_a_half_times_its_keep_alive() {
    for version in Version::ALL {
        let mut core = core();
        let client = core.join(0, &Hello::new("a").version(version).keep_alive(10));
        core.advance_secs(14.9);
        assert!(core.is_open(client));
        core.send(client, &PINGREQ);
        assert_eq!(core.take(client), ["PINGRESP"]);
        core.advance_secs(14.9);
        assert!(core.is_open(client), "any packet starts the time anew");
        core.advance_secs(0.4);
        assert_eq!(core.cause(client), Some(Cause::KeepAlive));
        let farewell: &[&str] = match version {
            Version::V5 => &["DISCONNECT 0x8d"],
            _ => &[],
        };
        assert_eq!(core.take(client), farewell);
        assert_eq!(core.stats().keep_alive_timeouts, 1);
    }
}

#[test]
fn a_keep_alive_of_zero_never_ends_a_connection() {
    let mut core = core();
    let client = core.join(0, &Hello::new("a"));
    core.advance_secs(1e6);
    assert!(core.is_open(client));
}

#[test]
fn half_a_packet_keeps_nobody_alive_for_ever() {
    let mut core = core();
    let client = core.join(0, &Hello::new("a").keep_alive(10));
    core.send(client, &[0x30, 200, 1]);
    core.advance_secs(16.0);
    assert_eq!(core.cause(client), Some(Cause::KeepAlive));
}

#[test]
fn a_connect_must_be_whole_in_time_however_slowly_it_drips() {
    let mut core = core();
    let client = core.open(0, Version::V5).unwrap();
    for byte in Hello::new("slow").bytes() {
        core.send(client, &[byte]);
        core.advance_secs(1.0);
    }
    assert_eq!(core.cause(client), Some(Cause::NoConnect));
    assert_eq!(core.take(client), [""; 0]);
}

#[test]
fn server_keep_alive_is_told_and_kept() {
    let limits = Limits {
        keep_alive_max: 20,
        ..Limits::default()
    };
    let mut core = Core::new(1, limits);
    let client = core.connect(0, &Hello::new("a").keep_alive(600));
    assert_eq!(
        core.take(client),
        ["CONNACK Success server-keep-alive=Two(20)"]
    );
    core.advance_secs(31.0);
    assert_eq!(core.cause(client), Some(Cause::KeepAlive));
}

#[test]
fn a_will_waits_for_its_delay_and_a_client_that_comes_back_cancels_it() {
    let hello = Hello::new("owner")
        .kept()
        .will("w", "gone", 1, false)
        .will_with(PropertyId::WillDelayInterval, Value::Four(30));
    let mut core = core();
    let watcher = core.join(0, &Hello::new("watcher"));
    core.subscribe(watcher, "w", 1);

    let owner = core.connect(0, &hello);
    core.cut(owner);
    core.advance_secs(29.0);
    assert_eq!(core.take(watcher), [""; 0]);
    let owner = core.connect(0, &hello);
    core.advance_secs(60.0);
    assert_eq!(core.take(watcher), [""; 0], "it came back in time");

    core.cut(owner);
    core.advance_secs(29.9);
    assert_eq!(core.take(watcher), [""; 0]);
    core.advance_secs(0.2);
    assert_eq!(core.take(watcher), ["PUBLISH w gone q1 #1"]);
    core.advance_secs(100.0);
    assert_eq!(core.take(watcher), [""; 0], "once is enough");
}

#[test]
fn a_will_does_not_wait_longer_than_its_session_lives() {
    let hello = Hello::new("owner")
        .with(PropertyId::SessionExpiryInterval, Value::Four(5))
        .will("w", "gone", 0, false)
        .will_with(PropertyId::WillDelayInterval, Value::Four(600));
    let mut core = core();
    let watcher = core.join(0, &Hello::new("watcher"));
    core.subscribe(watcher, "w", 0);
    let owner = core.connect(0, &hello);
    core.cut(owner);
    core.advance_secs(4.9);
    assert_eq!(core.take(watcher), [""; 0]);
    core.advance_secs(0.2);
    assert_eq!(core.take(watcher), ["PUBLISH w gone q0"]);
}

#[test]
fn a_will_delay_does_not_outlive_a_clean_start() {
    let hello = Hello::new("owner")
        .kept()
        .will("w", "gone", 0, false)
        .will_with(PropertyId::WillDelayInterval, Value::Four(600));
    let mut core = core();
    let watcher = core.join(0, &Hello::new("watcher"));
    core.subscribe(watcher, "w", 0);
    let owner = core.connect(0, &hello);
    core.cut(owner);
    core.connect(0, &Hello::new("owner"));
    assert_eq!(
        core.take(watcher),
        ["PUBLISH w gone q0"],
        "the Session it belonged to is over"
    );
}

#[test]
fn the_expiry_of_a_will_counts_from_its_publication() {
    let hello = Hello::new("owner")
        .kept()
        .will("w", "gone", 1, true)
        .will_with(PropertyId::WillDelayInterval, Value::Four(50))
        .will_with(PropertyId::MessageExpiryInterval, Value::Four(20));
    let mut core = core();
    let owner = core.connect(0, &hello);
    core.advance_secs(1000.0);
    core.cut(owner);
    core.advance_secs(55.0);
    let watcher = core.join(0, &Hello::new("watcher"));
    core.send(watcher, &subscribe(Version::V5, 1, "w", 0, &[]));
    assert_eq!(
        core.take(watcher),
        [
            "SUBACK #1 [0]",
            "PUBLISH w gone q0 retain message-expiry-interval=Four(15)"
        ]
    );
    core.advance_secs(15.5);
    core.send(watcher, &subscribe(Version::V5, 2, "w", 0, &[]));
    assert_eq!(core.take(watcher), ["SUBACK #2 [0]"]);
}

#[test]
fn a_session_lives_as_long_as_was_agreed() {
    let hello = |seconds| {
        let hello = Hello::new("a").with(PropertyId::SessionExpiryInterval, Value::Four(seconds));
        Hello {
            clean_start: false,
            ..hello
        }
    };
    let mut core = core();
    for (away, present) in [(59.0, true), (61.0, false)] {
        let first = core.connect(0, &hello(60));
        core.take(first);
        // A while on the connection does not count.
        core.advance_secs(500.0);
        core.cut(first);
        core.advance_secs(away);
        let second = core.connect(0, &hello(60));
        let answer = core.take(second);
        assert_eq!(answer[0].contains("present"), present, "{answer:?}");
        core.cut(second);
        core.advance_secs(100.0);
    }
    assert_eq!(core.workers[0].sessions(), 0);

    let for_ever = core.connect(0, &hello(u32::MAX));
    core.cut(for_ever);
    core.advance_secs(4e8);
    assert_eq!(core.workers[0].sessions(), 1);
}

#[test]
fn disconnect_may_shorten_a_session_and_not_revive_one() {
    let with_expiry = |seconds: u32| [&[0xe0, 7, 0, 5, 17][..], &seconds.to_be_bytes()].concat();
    let mut core = core();
    let client = core.join(0, &Hello::new("a").kept());
    core.send(client, &with_expiry(2));
    core.advance_secs(3.0);
    assert_eq!(core.workers[0].sessions(), 0);

    let client = core.join(0, &Hello::new("a"));
    core.send(client, &with_expiry(2));
    let protocol_error = Reason::PROTOCOL_ERROR;
    assert!(
        matches!(core.cause(client), Some(Cause::Violation(reason, _)) if reason == protocol_error)
    );
}

#[test]
fn what_is_left_of_a_message_is_told_and_nothing_comes_too_late() {
    let mut core = core();
    let sub = core.join(0, &Hello::new("sub").kept());
    core.subscribe(sub, "t", 1);
    core.cut(sub);
    let publisher = core.join(0, &Hello::new("pub"));
    for (id, expiry) in [(1, 100), (2, 10), (3, 30)] {
        let expiry = [(PropertyId::MessageExpiryInterval, Value::Four(expiry))];
        let payload = format!("m{id}");
        core.send(
            publisher,
            &publish(Version::V5, "t", &payload, 1, id, &expiry),
        );
    }
    core.advance_secs(12.0);
    let sub = core.connect(0, &Hello::new("sub").kept());
    assert_eq!(
        core.take(sub)[1..],
        [
            "PUBLISH t m1 q1 #1 message-expiry-interval=Four(88)",
            "PUBLISH t m3 q1 #2 message-expiry-interval=Four(18)"
        ]
    );
    assert_eq!(core.stats().dropped_expired, 1);
}

#[test]
fn a_retained_message_expires() {
    let mut core = core();
    let publisher = core.join(0, &Hello::new("pub"));
    let expiry = [(PropertyId::MessageExpiryInterval, Value::Four(60))];
    let message = retained(publish(Version::V5, "r", "v", 0, 0, &expiry));
    core.send(publisher, &message);
    let sub = core.join(0, &Hello::new("sub"));
    core.advance_secs(20.0);
    core.send(sub, &subscribe(Version::V5, 1, "r", 0, &[]));
    assert_eq!(
        core.take(sub),
        [
            "SUBACK #1 [0]",
            "PUBLISH r v q0 retain message-expiry-interval=Four(40)"
        ]
    );
    core.advance_secs(41.0);
    core.send(sub, &subscribe(Version::V5, 2, "r", 0, &[]));
    assert_eq!(core.take(sub), ["SUBACK #2 [0]"]);
}

#[test]
fn a_will_goes_out_for_every_end_but_a_proper_good_bye() {
    type Ending = fn(&mut Core, usize);
    let endings: [(&str, bool, Ending); 5] = [
        ("cut", true, |core, link| core.cut(link)),
        ("DISCONNECT", false, |core, link| {
            core.send(link, &DISCONNECT);
        }),
        ("DISCONNECT 0x04", true, |core, link| {
            core.send(link, &[0xe0, 1, 4]);
        }),
        ("garbage", true, |core, link| core.send(link, &[0x00, 0x00])),
        ("silence", true, |core, _| core.advance_secs(20.0)),
    ];
    for (name, published, end) in endings {
        let mut core = core();
        let watcher = core.join(0, &Hello::new("watcher"));
        core.subscribe(watcher, "w", 2);
        let hello = Hello::new("a").keep_alive(10).will("w", "gone", 2, false);
        let owner = core.join(0, &hello);
        end(&mut core, owner);
        let got = core.take(watcher);
        assert_eq!(!got.is_empty(), published, "{name}: {got:?}");
        if published {
            core.ack(watcher, PacketType::Pubrec, 1);
            assert_eq!(core.take(watcher), ["PUBREL #1"], "{name}");
        }
        assert!(!core.is_open(owner), "{name}");
    }
}
