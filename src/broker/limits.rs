//! The numbers an operator may set: one row each, with its default, its bounds and its reason.
//! Each bounds a queue, a buffer or a table, and each has a counter in `stats` of what it refused
//! or dropped.

use std::time::Duration;

macro_rules! limits {
    ($($(#[doc = $why:literal])+ $name:ident: $kind:ty = $default:expr, $least:expr, $most:expr;)+) => {
        /// See the module. Sizes are bytes, times are in the unit of the name.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits { $($(#[doc = $why])+ pub $name: $kind,)+ }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl Limits {
            /// Sets a limit by its name, within its bounds.
            pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
                let row = ROWS.iter().find(|row| row.name == name);
                let row = row.ok_or_else(|| format!("there is no limit {name}"))?;
                let number: u64 = value.parse().map_err(|_| format!("{value} is no number"))?;
                if number < row.least || number > row.most {
                    return Err(format!("{name} goes from {} to {}", row.least, row.most));
                }
                match name {
                    $(stringify!($name) => self.$name = number as $kind,)+
                    _ => unreachable!("found in the table above"),
                }
                Ok(())
            }

            /// The value of a limit by its name.
            pub fn value(&self, name: &str) -> Option<u64> {
                match name {
                    $(stringify!($name) => Some(self.$name as u64),)+
                    _ => None,
                }
            }
        }

        /// A row of the table: for help, manuals and range checks.
        #[derive(Debug)]
        pub struct Row {
            /// The field's name.
            pub name: &'static str,
            /// What it bounds and why.
            pub why: &'static str,
            /// The value when nobody sets it.
            pub default: u64,
            /// The least value taken.
            pub least: u64,
            /// The greatest value taken.
            pub most: u64,
        }

        /// All limits, in the order of the source.
        pub const ROWS: &[Row] = &[$(Row {
            name: stringify!($name),
            why: concat!($($why),+),
            default: $default as u64,
            least: $least as u64,
            most: $most as u64,
        },)+];
    };
}

limits! {
    /// Network Connections at a time; one more is closed at once (v5: 0x97).
    connections_max: usize = 1_000_000, 1, u32::MAX;
    /// Milliseconds from the Network Connection to a whole CONNECT (§4.9 of 3.1.1, §3.1).
    connect_timeout_ms: u32 = 10_000, 100, 3_600_000;
    /// Bytes of a CONNECT: the largest that all its fields allow is far less useful than this.
    connect_size_max: usize = 524_288, 64, 268_435_460;
    /// Bytes of any other packet from a client; announced to v5 clients when below the standard's.
    packet_size_max: usize = 268_435_460, 20, 268_435_460;
    /// Bytes of a packet from a client other than PUBLISH; above it the connection ends (0x97). A
    /// megabyte holds tens of thousands of filters, and keeps a worker busy for a fraction of a
    /// second.
    control_size_max: usize = 1_048_576, 64, 268_435_460;
    /// Bytes of unfinished packets over all connections of a worker.
    unfinished_bytes_max: usize = 1_073_741_824, 65_536, u64::MAX;
    /// QoS 2 messages a client may have unreleased: the Receive Maximum we announce (§3.2.2.3.3).
    receive_max: u16 = 65_535, 1, 65_535;
    /// QoS 1 and 2 messages sent to a client and unacknowledged; the client may ask for fewer.
    inflight_max: u16 = 65_535, 1, 65_535;
    /// Bytes of payload of such messages; a message goes out as long as there are fewer.
    inflight_bytes_max: usize = usize::MAX, 1, u64::MAX;
    /// Bytes of payload of a PUBLISH; one with more is acknowledged (v5: 0x97) and goes nowhere.
    payload_size_max: usize = 268_435_455, 1, 268_435_455;
    /// Topic Aliases a client may set on a connection (§3.2.2.3.8).
    topic_alias_max: u16 = 32, 0, 65_535;
    /// Topic Aliases we set on a connection, when the client allows as many.
    topic_alias_out_max: u16 = 32, 0, 65_535;
    /// Seconds of Keep Alive a client may ask for; 65,535 lets all pass, less is told to v5 clients.
    keep_alive_max: u16 = 65_535, 1, 65_535;
    /// Levels of a Topic Name or Topic Filter.
    topic_levels_max: usize = 200, 1, 2_000;
    /// Subscriptions of one Session.
    subscriptions_max: usize = 2_000_000, 1, u32::MAX;
    /// Subscriptions of all Sessions.
    subscriptions_total_max: usize = 10_000_000, 1, u32::MAX;
    /// Sessions, connected or not.
    sessions_max: usize = 4_000_000, 1, u32::MAX;
    /// Seconds a Session may outlive its connection; 4,294,967,295 is for ever.
    session_expiry_max: u32 = u32::MAX, 0, u32::MAX;
    /// Retained messages; one more topic is not retained.
    retained_max: usize = 10_000_000, 0, u32::MAX;
    /// Bytes of retained messages, bookkeeping included.
    retained_bytes_max: usize = 4_294_967_296, 0, u64::MAX;
    /// Seconds after which a retained message is no longer sent; zero keeps it for ever.
    retained_expiry_s: u32 = 0, 0, u32::MAX;
    /// Retained messages that wait to be sent for the new Subscriptions of one Session; while
    /// there are more, its further Subscriptions are refused.
    replay_messages_max: usize = 4_194_304, 1, u32::MAX;
    /// Messages that wait for one Session, in flight or queued.
    session_messages_max: usize = 1_000_000, 1, u32::MAX;
    /// Bytes that wait for one Session.
    session_bytes_max: usize = 268_435_456, 1_024, u64::MAX;
    /// Bytes that wait for all Sessions.
    queued_bytes_total_max: usize = 4_294_967_296, 1_024, u64::MAX;
    /// Bytes of queued messages of one Session that stay in memory where there is a store; what
    /// is beyond stays on the disk until its turn comes.
    session_memory_max: usize = 1_048_576, 0, u64::MAX;
    /// The same for all Sessions together.
    queues_memory_max: usize = 536_870_912, 0, u64::MAX;
    /// Bytes of records a worker has handed to the store and that are not safe yet; above it
    /// publishers of what has to be kept are paused.
    unsaved_bytes_max: usize = 67_108_864, 65_536, u64::MAX;
    /// Bytes encoded for a connection and not yet taken by the system. Above it publishers to
    /// this connection are paused, and after the pause its QoS 0 messages are dropped.
    outbox_bytes_max: usize = 1_048_576, 4_096, 268_435_456;
    /// Bytes that wait for one worker from the others; above it publishers to its clients are
    /// paused like those to a slow subscriber.
    crossing_bytes_max: usize = 8_388_608, 65_536, u64::MAX;
    /// Failed logins in a row after which an address is banned for `login_ban_secs`; from the third
    /// on each is answered later than the one before. Zero counts none.
    login_failures_max: u32 = 20, 0, 1_000_000;
    /// Seconds an address stays banned after `login_failures_max`; zero bans nobody.
    login_ban_secs: u32 = 300, 0, 31_536_000;
    /// One bans this machine's own addresses too: behind a proxy everybody may have them.
    login_ban_loopback: u8 = 0, 0, 1;
    /// Network Connections a second from one address; one more is closed at once. Zero sets no
    /// limit.
    connection_rate_max: u32 = 0, 0, 1_000_000;
    /// PUBLISH packets a second from one client; after that it is not read from for a while. A
    /// second's worth may come at once. Zero sets no limit.
    message_rate_max: u32 = 0, 0, 100_000_000;
    /// Bytes of PUBLISH packets a second from one client, in the same way. Zero sets no limit.
    byte_rate_max: u64 = 0, 0, 1_000_000_000_000;
    /// Milliseconds a publisher may be paused for the sake of a slow subscriber.
    pause_max_ms: u32 = 100, 0, 60_000;
    /// Connections of visitors over HTTP at a time; one more is closed at once. A page has up to six.
    http_connections_max: usize = 512, 1, 65_535;
    /// Pages that look at the figures of each second at a time; one more is answered with 429.
    http_watchers_max: usize = 128, 0, 65_535;
    /// Readers of messages over HTTP at a time, each a Session; one more is answered with 429.
    http_readers_max: usize = 64, 0, 65_535;
    /// Topics that are shown over HTTP, some hundred bytes each; messages of others are only counted.
    http_topics_max: usize = 100_000, 0, 10_000_000;
    /// Bytes of a request's body; one with more is answered with 413.
    http_body_max: usize = 1_572_864, 1_024, 268_435_456;
}

impl Limits {
    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(u64::from(self.connect_timeout_ms))
    }

    pub(crate) fn pause_max(&self) -> Duration {
        Duration::from_millis(u64::from(self.pause_max_ms))
    }

    /// Whether bytes in flight are counted: only where that is limited.
    pub(crate) fn counts_flight(&self) -> bool {
        self.inflight_bytes_max != usize::MAX
    }

    /// A pressed subscriber is well again below this.
    pub(crate) fn outbox_bytes_low(&self) -> usize {
        self.outbox_bytes_max / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_within_its_bounds_and_has_a_reason() {
        for row in ROWS {
            assert!(
                row.least <= row.default && row.default <= row.most,
                "{}",
                row.name
            );
            assert!(row.why.len() > 20, "{}", row.name);
        }
    }
}
