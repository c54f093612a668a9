//! The choices that the standard leaves open, as values. Nothing else in the broker asks which
//! profile is in force.

use crate::mqtt::QoS;
use crate::mqtt::Reason;
use crate::mqtt::Violation;

/// How the standard's choices are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// What a Session with several matching Subscriptions gets (§3.3.4).
    pub overlap: Overlap,
    /// Whether a client that exceeds our Receive Maximum is disconnected (0x93), as the standard
    /// demands, or only counted.
    pub receive_max_enforced: bool,
    /// Whether version 3.1 clients may have Client Identifiers of more than 23 characters.
    pub long_v31_client_ids: bool,
    /// Before v5: one copy on overlapping Subscriptions, whatever `overlap` says.
    pub v3_once: bool,
    /// Whether CONNACK and DISCONNECT have Reason Strings.
    pub reasons_in_words: bool,
    /// Whether clients before v5, which cannot be told of a shorter Keep Alive, are refused when
    /// they ask for more than `keep_alive_max` (§3.1.2.10).
    pub v3_keep_alive_refused: bool,
    /// Whether CONNACK tells of a shorter Session Expiry Interval [MQTT-3.1.2-23].
    pub session_expiry_told: bool,
    /// Whether a PUBLISH is acknowledged after it was delivered, so that a client which gets its own
    /// messages has them first.
    pub acknowledged_last: bool,
    /// Whether PUBREL and PUBCOMP tell that nobody knows the Packet Identifier (0x92).
    pub unknown_ids_told: bool,
    /// Faults that are answered otherwise than with the Reason Code they have by the standard: what
    /// is wrong, and that code; `None` ends the connection without a word.
    pub faults: &'static [(&'static str, Option<Reason>)],
    /// The Reason Code for a wrong user name or password.
    pub wrong_password: Reason,
    /// Whether retained messages are taken (§3.2.2.3.5).
    pub retain_available: bool,
    /// Whether QoS 0 messages wait for clients that are away (§3.1.2.4 leaves it open).
    pub qos0_queued: bool,
    /// Whether the room for messages in flight is missing in the queue of a client that is away.
    pub away_queue_short: bool,
    /// Whether messages go out with the QoS of the Subscription, also when they came with a lower
    /// one. The standard knows nothing of it.
    pub qos_raised: bool,
    /// The Reason Code of PUBACK and PUBREC for a payload above `payload_size_max`.
    pub long_payload: Reason,
    /// Up to which QoS v5 publishers are told that nobody is subscribed (0x10).
    pub nobody_told: QoS,
}

/// See [`Profile::overlap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// One copy at the highest QoS, with all Subscription Identifiers.
    Once,
    /// A copy for each Subscription.
    Each,
}

impl Profile {
    /// `mqttx broker`.
    pub const STANDARD: Self = Self {
        overlap: Overlap::Once,
        receive_max_enforced: true,
        long_v31_client_ids: false,
        v3_once: false,
        reasons_in_words: true,
        v3_keep_alive_refused: false,
        session_expiry_told: true,
        acknowledged_last: false,
        unknown_ids_told: true,
        faults: &[],
        wrong_password: Reason::BAD_USER_NAME_OR_PASSWORD,
        retain_available: true,
        qos0_queued: false,
        away_queue_short: false,
        qos_raised: false,
        long_payload: Reason::QUOTA_EXCEEDED,
        nobody_told: QoS::ExactlyOnce,
    };

    /// As mosquitto 2.1 chooses.
    pub const MOSQUITTO: Self = Self {
        overlap: Overlap::Each,
        receive_max_enforced: false,
        long_v31_client_ids: true,
        reasons_in_words: false,
        v3_keep_alive_refused: true,
        session_expiry_told: false,
        acknowledged_last: true,
        unknown_ids_told: false,
        wrong_password: Reason::NOT_AUTHORIZED,
        away_queue_short: true,
        nobody_told: QoS::AtLeastOnce,
        // Not one of those that the standard has for it (§3.4.2.1).
        long_payload: Reason::PACKET_TOO_LARGE,
        faults: &[
            (
                "PUBLISH without a topic or Topic Alias",
                Some(Reason::MALFORMED_PACKET),
            ),
            ("packet type 0", Some(Reason::PROTOCOL_ERROR)),
            (
                "SUBSCRIBE without a Topic Filter",
                Some(Reason::MALFORMED_PACKET),
            ),
            ("a Subscription with QoS 3", Some(Reason::MALFORMED_PACKET)),
            ("the reserved Connect Flag", None),
            ("a Protocol Name other than MQTT and MQIsdp", None),
            ("a second CONNECT", None),
        ],
        ..Self::STANDARD
    };
}

impl Profile {
    /// The Reason Code that answers a fault; `None`: no answer.
    pub(crate) fn answer_to(&self, fault: Violation) -> Option<Reason> {
        let found = self.faults.iter().find(|(what, _)| *what == fault.what);
        found.map_or(Some(fault.reason), |(_, reason)| *reason)
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self::STANDARD
    }
}
