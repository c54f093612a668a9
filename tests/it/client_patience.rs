//! How long a client waits: for a broker that is about to start, and for answers to its own PINGREQs.

use std::task::Context;

use mqttx::client::{End, Engine, Event, Feed, Handler};
use mqttx::mqtt::property::Properties;
use mqttx::mqtt::{Reason, Version};

use crate::support::probe::{options, run};
use crate::support::scripted_broker::ScriptedBroker;

#[test]
fn a_broker_that_comes_while_it_is_waited_for() {
    struct Starts(Option<std::net::TcpListener>, u16, u32);
    impl Handler for Starts {
        fn handle(&mut self, _: Event<'_>, client: &mut Engine) {
            client.disconnect(Reason::NORMAL_DISCONNECTION, Properties::EMPTY);
        }
        fn waiting(&mut self, end: &End, _: std::time::Duration) {
            assert!(matches!(end, End::Unreachable(_)), "{end}");
            self.2 += 1;
            if self.2 < 3 {
                return;
            }
            let listener = std::net::TcpListener::bind(("127.0.0.1", self.1)).unwrap();
            let welcomes = listener.try_clone().unwrap();
            std::thread::spawn(move || {
                use std::io::{Read, Write};
                let (mut client, _) = welcomes.accept().unwrap();
                let _ = client.read(&mut [0; 100]).unwrap();
                client.write_all(&[0x20, 2, 0, 0]).unwrap();
                let _ = client.read(&mut [0; 100]);
            });
            self.0 = Some(listener);
        }
        fn retry(&mut self, end: &End, _: std::time::Duration) {
            panic!("waiting is not coming back: {end}");
        }
    }
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let mut options = options(port, Version::V311);
    options.retry.wait = Some(std::time::Duration::from_secs(20));
    let mut starts = Starts(None, port, 0);
    let (end, _) = run(options, &mut starts);
    assert!(matches!(end, End::Finished), "{end}");
    assert_eq!(starts.2, 3);
}

/// Its own PINGREQs keep the connection busy, so the engine never sends one; each of them has a
/// Keep Alive of its own to be answered in.
#[test]
fn a_handler_may_ping_for_longer_than_a_keep_alive() {
    const PINGS: u32 = 14;
    struct Pings(u32, Option<std::time::Instant>);
    impl Handler for Pings {
        fn handle(&mut self, event: Event<'_>, client: &mut Engine) {
            let pause = std::time::Duration::from_millis(100);
            self.1 = Some(std::time::Instant::now() + pause);
            self.0 += u32::from(matches!(event, Event::Pong));
            if self.0 == PINGS {
                client.finish();
            }
        }
        fn feed(&mut self, client: &mut Engine, _: &mut Context<'_>) -> Feed {
            match self.1 {
                Some(due) if due <= std::time::Instant::now() => {
                    self.1 = None;
                    client.ping();
                    Feed::More
                }
                Some(due) => Feed::At(due),
                None => Feed::Idle,
            }
        }
    }
    let script = ScriptedBroker::start(Version::V311, |broker| {
        let mut client = broker.accept();
        for _ in 0..PINGS {
            client.expect_bytes(&[0xc0, 0]);
            std::thread::sleep(std::time::Duration::from_millis(20));
            client.send(&[0xd0, 0]);
        }
        client.expect_goodbye();
    });
    let mut options = options(script.port, Version::V311);
    options.keep_alive = 1;
    let (end, _) = run(options, &mut Pings(0, None));
    assert!(matches!(end, End::Finished), "{end}");
    script.join();
}

/// Both say goodbye to a broker that never closes; who does so because its time is over begins later,
/// and is through first.
#[test]
fn a_time_that_is_over_is_not_stretched_by_a_broker_that_does_not_close() {
    struct Leaves(bool);
    impl Handler for Leaves {
        fn handle(&mut self, event: Event<'_>, client: &mut Engine) {
            if matches!(event, Event::Connack(_)) {
                if self.0 {
                    client.hurry();
                }
                client.finish();
            }
        }
    }
    let (ended, order) = std::sync::mpsc::channel();
    let (waits, begins) = std::sync::mpsc::channel();
    let script = ScriptedBroker::start(Version::V311, move |broker| {
        let mut patient = broker.accept();
        patient.expect_bytes(&[0xe0, 0]);
        waits.send(()).unwrap();
        let mut hurried = broker.accept();
        hurried.expect_bytes(&[0xe0, 0]);
        let order: Vec<bool> = order.iter().take(2).collect();
        assert_eq!(order, [true, false], "who was hurried");
    });
    let part = |is_hurried, ended: std::sync::mpsc::Sender<bool>| {
        let mut leaves = Leaves(is_hurried);
        let (end, _) = run(options(script.port, Version::V311), &mut leaves);
        assert!(matches!(end, End::Finished), "{end}");
        ended.send(is_hurried).unwrap();
    };
    std::thread::scope(|scope| {
        let patient = ended.clone();
        scope.spawn(|| part(false, patient));
        begins.recv().unwrap();
        part(true, ended);
    });
    script.join();
}
