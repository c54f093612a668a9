//! What the user of a client writes: a [`Handler`], which is told what happened and asked for more.
//!
//! Everything is called on the task of the connection, one call at a time, so a handler needs no
//! lock. What it is given borrows from the read buffer: it is used or copied, never kept.

use std::task::Context;
use std::time::{Duration, Instant};

use crate::client::end::End;
use crate::client::engine::Engine;
use crate::mqtt::auth::Auth;
use crate::mqtt::connack::Connack;
use crate::mqtt::disconnect::Disconnect;
use crate::mqtt::property::Properties;
use crate::mqtt::publish::Publish;
use crate::mqtt::subscribe::Suback;
use crate::mqtt::unsubscribe::Unsuback;
use crate::mqtt::{Packet, PacketId, Reason};

/// The four things a client's user may care about; only the first has to be written.
pub trait Handler {
    /// Something arrived. `client` takes what is to be said in return.
    fn handle(&mut self, event: Event<'_>, client: &mut Engine);

    /// Asked for more to publish, but only while there is room: a slow broker slows this down, and
    /// nothing piles up. On [`Feed::Idle`] it is asked again when anything happens on the
    /// connection, or when a waker taken from `cx` is woken.
    fn feed(&mut self, client: &mut Engine, cx: &mut Context<'_>) -> Feed {
        let _ = (client, cx);
        Feed::Idle
    }

    /// Called each time the connection's task wakes, room or not: the place for signals and timers,
    /// polled with `cx`. Not called while there is no connection.
    fn wake(&mut self, client: &mut Engine, cx: &mut Context<'_>) {
        let _ = (client, cx);
    }

    /// Every packet in either direction, in its order, when `Options::trace` is set.
    fn packet(&mut self, way: Way, packet: &Packet<'_>) {
        let _ = (way, packet);
    }

    /// There was no connection yet, and `Retry::wait` allows another attempt after `pause`.
    fn waiting(&mut self, end: &End, pause: Duration) {
        let _ = (end, pause);
    }

    /// A connection ended, or could not be had, and another attempt follows after `pause`.
    fn retry(&mut self, end: &End, pause: Duration) {
        let _ = (end, pause);
    }
}

/// What `feed` had to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// Something was published; ask again while there is room.
    More,
    /// Nothing at the moment.
    Idle,
    /// Nothing before this time.
    At(Instant),
    /// Nothing ever again: wait for every acknowledgement, then disconnect.
    End,
}

/// The direction of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Sent,
    Received,
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The broker answered CONNECT. With an error in `reason` the connection ends right after.
    Connack(Connack<'a>),
    /// A message, its Topic Alias already resolved; it is given once, also at QoS 2.
    Message(Publish<'a>),
    /// The last word about a message of QoS 1 or 2: PUBACK, PUBCOMP, or a PUBREC that refused it.
    Acked(Acked<'a>),
    Suback(Suback<'a>),
    Unsuback(Unsuback<'a>),
    Pong,
    /// The broker says good-bye; the connection ends right after.
    Disconnect(Disconnect<'a>),
    /// The next step of an enhanced authentication; answer with `Engine::auth`.
    Auth(Auth<'a>),
}

/// What became of a message.
#[derive(Clone, Copy, Debug)]
pub struct Acked<'a> {
    /// As `publish` returned it.
    pub ticket: u64,
    pub packet_id: PacketId,
    /// Success before version 5, where a broker cannot refuse.
    pub reason: Reason,
    pub properties: Properties<'a>,
}
