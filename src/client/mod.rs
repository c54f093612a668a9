//! The thin client layer: `pub`, `sub`, `rr`, `bench` and bridges all stand on it, and nothing else
//! in the house speaks MQTT as a client.
//!
//! # How it is used
//!
//! Say what you want in [`Options`], write a [`Handler`], let a [`Session`] run:
//!
//! ```no_run
//! use mqttx::client::{End, Engine, Event, Handler, Options, Session};
//! use mqttx::mqtt::property::Properties;
//! use mqttx::mqtt::subscribe::SubscribeOptions;
//! use mqttx::net::{Dial, address::Address};
//!
//! struct Printer;
//!
//! impl Handler for Printer {
//!     fn handle(&mut self, event: Event<'_>, client: &mut Engine) {
//!         match event {
//!             Event::Connack(_) if client.is_first_connection() => {
//!                 let how = SubscribeOptions::default();
//!                 client.subscribe(&[("a/#", how)], Properties::EMPTY).expect("a good filter");
//!             }
//!             Event::Message(message) => {
//!                 println!("{} {:?}", message.topic, message.payload);
//!                 client.finish(); // after one message
//!             }
//!             _ => {}
//!         }
//!     }
//! }
//!
//! # async fn example() -> Result<(), &'static str> {
//! let dial = Dial::new(Address::tcp("localhost", 1883));
//! let mut session = Session::new(Options::new(dial))?;
//! let end: End = session.run(&mut Printer).await;
//! # Ok(())
//! # }
//! ```
//!
//! Everything a handler is called with happens on the connection's task, one call at a time. What
//! events lend (topic, payload, properties) lives in the read buffer until the call returns. The
//! [`Engine`] it is given is the client itself: `publish`, `subscribe`, `unsubscribe`, `ping`,
//! `auth`, `finish`, `disconnect`. None of these waits; bytes leave when the handler has returned.
//!
//! - **Ends.** [`Engine::finish`] (or [`Feed::End`]) takes no more messages, waits for every
//!   acknowledgement, then disconnects. [`Engine::disconnect`] says DISCONNECT right behind what was
//!   said already. Either way everything is written, the writing half is closed, and the broker's
//!   half is read to its end. [`Session::run`] returns one [`End`]; exit statuses are made from it.
//! - **Tries.** [`Retry`] says whether to connect again and how often: [`Retry::never`] (the
//!   default), [`Retry::once_connected`], `first: true` for "wait until the broker is there", and
//!   `Backoff::every(1 s)` for mosquitto_sub's way. What is unacknowledged is sent again: with DUP,
//!   in order, when the broker kept the session, else as new messages after the subscriptions.
//! - **Rejections.** `publish` and `subscribe` return [`Refused`] for what the broker would not
//!   take (topic, size, QoS, retain, alias); nothing was sent then.
//! - **Traces.** With `Options::trace`, [`Handler::packet`] is shown every packet both ways: `-d`.
//! - **Signals, stdin.** Poll them in `wake` (called whenever the task wakes) or `feed` (called while
//!   there is room) with the `Context` given; a channel's `poll_recv`, a signal's `poll_recv` and a
//!   pinned `Sleep` all work. While there is no connection neither is called: select over
//!   [`Session::run`] and the signal for that time.
//!
//! # `pub`: feed messages, count what was not acknowledged
//!
//! ```no_run
//! # use mqttx::client::{Engine, Event, Feed, Handler, Message};
//! # use mqttx::mqtt::QoS;
//! use std::task::{Context, Poll};
//! use tokio::sync::mpsc::Receiver;
//!
//! struct Lines {
//!     lines: Receiver<Vec<u8>>,
//!     refused: u64,
//! }
//!
//! impl Handler for Lines {
//!     fn handle(&mut self, event: Event<'_>, _: &mut Engine) {
//!         if let Event::Acked(acked) = event {
//!             self.refused += u64::from(acked.reason.is_error());
//!         }
//!     }
//!
//!     // Only called while there is room: a slow broker slows the reading of stdin.
//!     fn feed(&mut self, client: &mut Engine, cx: &mut Context<'_>) -> Feed {
//!         match self.lines.poll_recv(cx) {
//!             Poll::Ready(Some(line)) => {
//!                 let message = Message::new("a/b", &line).qos(QoS::AtLeastOnce);
//!                 client.publish(&message).expect("checked before");
//!                 Feed::More
//!             }
//!             Poll::Ready(None) => Feed::End,
//!             Poll::Pending => Feed::Idle, // the channel wakes us
//!         }
//!     }
//! }
//! ```
//!
//! Afterwards `session.engine().unacknowledged()` and `unwritten()` count what was lost. A fixed
//! pause between messages is `Feed::At(time)`.
//!
//! # `sub`: see the example at the top
//!
//! Messages are acknowledged once `handle` has returned. After `finish` or `disconnect` no further
//! message is handed out, nor acknowledged. Subscriptions are asked for again by the engine when a
//! reconnect finds the session lost, hence `is_first_connection`.
//!
//! # `rr`: subscribe, then publish, then wait
//!
//! Subscribe in `Event::Connack`, publish in `Event::Suback`, `finish()` in `Event::Message`; publish
//! takes messages outside `feed` too, and lets them wait for the send quota.
//!
//! # `bench`: thousands of connections, millions of messages
//!
//! Encode once with [`Prepared`], then [`Engine::send`] copies the frame and lets you patch the
//! payload in place; it returns the message's ticket, which comes back in [`Acked`]:
//!
//! ```no_run
//! # use mqttx::client::{Engine, Event, Feed, Handler, Prepared};
//! # use std::task::Context;
//! struct Load {
//!     prepared: Prepared,
//!     left: u64,
//! }
//!
//! impl Handler for Load {
//!     fn handle(&mut self, event: Event<'_>, _: &mut Engine) {
//!         if let Event::Acked(acked) = event {
//!             let _round_trip_of = acked.ticket; // 0, 1, 2 … in the order of `send`
//!         }
//!     }
//!
//!     fn feed(&mut self, client: &mut Engine, _: &mut Context<'_>) -> Feed {
//!         while self.left > 0 && client.room() {
//!             let stamp = self.left.to_be_bytes();
//!             client.send(&self.prepared, |payload| payload[..8].copy_from_slice(&stamp)).ok();
//!             self.left -= 1;
//!         }
//!         if self.left == 0 { Feed::End } else { Feed::More }
//!     }
//! }
//! ```
//!
//! Messages that need no patch go faster still with [`Engine::repeat`]. Sessions are `Send` when
//! their handler is; put thousands on a few current-thread runtimes with `tokio::spawn`. An idle
//! connection has no buffers: they are lent by the thread while there is traffic.
//!
//! # Without a connection
//!
//! The engine does no I/O: `open` it, write what is `pending` and say how much you `wrote`, `handle`
//! each packet that comes, and say when the connection is `closed`. The simulation of the tests does.
//!
//! # Ways to a broker
//!
//! `Options::dial` holds them all, and every user of this layer gets them at once: TCP with a local
//! address, `Address::unix(path)`, `proxy` (SOCKS5 or HTTP CONNECT), `tls`
//! (`Tls::new(&TlsOptions)` reads the files once; clone it for the next thousand connections) and
//! `websocket` (path and headers; inside TLS if both are set).
//! A failed handshake ends as [`End::Unreachable`], or, when the broker objects late, as
//! [`End::Io`]; `net::tls::tls_error` tells whether it was TLS, and `net::tcp::NoSuchHost` inside the
//! error that the name led nowhere.
//!
//! # The files
//!
//! [`options`] what is asked for · `engine` the state machine, pure · `handler` what the user writes ·
//! `pump` one connection's task · `session` connections one after another · `end` the reasons ·
//! [`backoff`] when to try again.
pub mod backoff;
mod end;
mod engine;
mod handler;
pub mod options;
mod pump;
mod session;

pub use crate::client::backoff::Backoff;
pub use crate::client::end::End;
pub use crate::client::engine::{Engine, Message, Prepared, Refused, Stop};
pub use crate::client::handler::{Acked, Event, Feed, Handler, Way};
pub use crate::client::options::{Options, Retry, Secret, Will};
pub use crate::client::session::Session;
