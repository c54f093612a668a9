//! The real broker, stopped for seconds in the middle of QoS 1 and 2 traffic, as a machine that is
//! suspended or swaps: it goes on where it was.
//!
//! `MQTTX_STOPS` says how often, once by default.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::store::crash::{Publisher, Subscriber, judge, start, wait};

#[test]
fn a_broker_that_stood_still_for_seconds_goes_on_and_loses_nothing() {
    let stops = std::env::var("MQTTX_STOPS").map_or(1, |count| count.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (mut publisher, mut subscriber) = (Publisher::default(), Subscriber::default());
    let broker = start(folder.path(), "always", 2);
    Subscriber::subscribe(broker.port);
    let (progress, acknowledged) = channel();
    let mut longest = Duration::ZERO;
    let port = broker.port;
    std::thread::scope(|scope| {
        scope.spawn(|| publisher.run(port, &progress));
        scope.spawn(|| subscriber.run(port, None));
        for _ in 0..stops {
            wait(&acknowledged, 40);
            broker.stopped(|| std::thread::sleep(Duration::from_millis(1_500)));
            let going_on = Instant::now();
            // What was on its way before counts as little as it is.
            wait(&acknowledged, 40);
            longest = longest.max(going_on.elapsed());
        }
        broker.kill();
    });
    let broker = start(folder.path(), "interval", 1);
    let last = judge(publisher, subscriber, broker.port);
    println!(
        "{stops} stops of 1.5 s, {last} messages, none lost; back after {} ms at most",
        longest.as_millis()
    );
}
