//! Counters of one worker. Plain numbers: they are added up by whoever shows them.

use crate::mqtt::QoS;

macro_rules! counters {
    ($($(#[doc = $what:literal])+ $name:ident;)+) => {
        /// See the module.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Stats { $($(#[doc = $what])+ pub $name: u64,)+ }

        impl Stats {
            /// Every counter with its name.
            pub fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }

            /// What each of them counts, in the same order.
            pub fn whats() -> impl Iterator<Item = &'static str> {
                [$(concat!($($what),+),)+].into_iter()
            }

            /// Adds another worker's counters.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)+
            }
        }
    };
}

counters! {
    /// PUBLISH packets received.
    publish_received;
    /// PUBLISH packets encoded for clients.
    publish_sent;
    /// Bytes of payload in PUBLISH packets received.
    payload_received;
    /// Bytes of payload in PUBLISH packets encoded for clients.
    payload_sent;
    /// Of the PUBLISH packets received, those with QoS 1.
    publish_received_qos1;
    /// Of the PUBLISH packets received, those with QoS 2.
    publish_received_qos2;
    /// Of the PUBLISH packets encoded, those with QoS 1.
    publish_sent_qos1;
    /// Of the PUBLISH packets encoded, those with QoS 2.
    publish_sent_qos2;
    /// Of the payload received, what came with QoS 1.
    payload_received_qos1;
    /// Of the payload received, what came with QoS 2.
    payload_received_qos2;
    /// Of the payload encoded, what went with QoS 1.
    payload_sent_qos1;
    /// Of the payload encoded, what went with QoS 2.
    payload_sent_qos2;
    /// Packets of any kind received.
    packets_received;
    /// Packets other than PUBLISH encoded for clients.
    answers_sent;
    /// Bytes received.
    bytes_received;
    /// Bytes taken by the system.
    bytes_sent;
    /// Network Connections accepted.
    connections_opened;
    /// Network Connections refused for `connections_max`, of the broker or of a listener.
    connections_refused;
    /// Network Connections refused because their address is banned or connects too often.
    connections_turned_away;
    /// CONNECT packets accepted.
    sessions_connected;
    /// Sessions that ended because their Session Expiry Interval had passed.
    sessions_expired;
    /// CONNECT packets refused.
    connects_refused;
    /// Connections ended for a Malformed Packet or a Protocol Error.
    violations;
    /// Connections ended because no packet came in time.
    keep_alive_timeouts;
    /// Connections ended because their CONNECT was not whole within `connect_timeout_ms`, or for
    /// `unfinished_bytes_max`.
    connections_unfinished;
    /// QoS 0 messages dropped because a connected subscriber was too slow.
    dropped_slow;
    /// Messages dropped because `session_messages_max`, `session_bytes_max` or
    /// `queued_bytes_total_max` was reached.
    dropped_queue_full;
    /// Messages not sent because they exceed the client's Maximum Packet Size.
    dropped_too_large;
    /// Messages refused because their payload exceeds `payload_size_max`.
    dropped_payload;
    /// Messages dropped because their Message Expiry Interval had passed.
    dropped_expired;
    /// QoS 0 messages that a disconnected Session was not there to take.
    dropped_offline;
    /// Messages published to topics that only the broker writes, and messages outside a mount
    /// point for clients inside.
    dropped_denied;
    /// Messages not retained because `retained_max` or `retained_bytes_max` was reached.
    retained_refused;
    /// Retained messages that were cleared because their time was over.
    retained_expired;
    /// Messages of QoS 1 and 2 refused because they cannot be stored at present.
    refused_unsaved;
    /// Messages that a store had an entry for and no body.
    dropped_unreadable;
    /// Subscriptions refused because of a limit.
    subscriptions_refused;
    /// Times a publisher was paused for a slow subscriber.
    pauses;
    /// Times a paused publisher went on because `pause_max_ms` was over.
    pauses_expired;
    /// Times a client was not read from because of `message_rate_max` or `byte_rate_max`.
    rate_pauses;
    /// PUBLISH beyond our Receive Maximum.
    receive_max_exceeded;
    /// Connections over HTTP refused for `http_connections_max`.
    http_connections_refused;
    /// Streams over HTTP refused for `http_watchers_max` or `http_readers_max`.
    http_streams_refused;
    /// Messages of topics that are not shown over HTTP because of `http_topics_max`.
    http_topics_unseen;
    /// Bodies over HTTP refused for `http_body_max`.
    http_bodies_refused;
}

impl Stats {
    /// A PUBLISH above QoS 0 was received: QoS 0 is what is left, so that it costs nothing more.
    #[inline]
    pub(crate) fn note_received(&mut self, qos: QoS, payload: usize) {
        let (messages, bytes) = match qos {
            QoS::AtMostOnce => return,
            QoS::AtLeastOnce => (
                &mut self.publish_received_qos1,
                &mut self.payload_received_qos1,
            ),
            QoS::ExactlyOnce => (
                &mut self.publish_received_qos2,
                &mut self.payload_received_qos2,
            ),
        };
        *messages += 1;
        *bytes += payload as u64;
    }

    /// A PUBLISH above QoS 0 was encoded.
    #[inline]
    pub(crate) fn note_sent(&mut self, qos: QoS, payload: usize) {
        let (messages, bytes) = match qos {
            QoS::AtMostOnce => return,
            QoS::AtLeastOnce => (&mut self.publish_sent_qos1, &mut self.payload_sent_qos1),
            QoS::ExactlyOnce => (&mut self.publish_sent_qos2, &mut self.payload_sent_qos2),
        };
        *messages += 1;
        *bytes += payload as u64;
    }

    /// Packets of any kind encoded for clients.
    pub fn packets_sent(&self) -> u64 {
        self.publish_sent + self.answers_sent
    }

    /// Messages that somebody was to get and did not.
    pub fn dropped(&self) -> u64 {
        self.dropped_slow
            + self.dropped_queue_full
            + self.dropped_too_large
            + self.dropped_expired
            + self.dropped_offline
    }
}
