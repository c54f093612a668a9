//! The choices that the standard leaves open, as values. Nothing else in the broker asks which
//! profile is in force.

use crate::mqtt::PacketType;
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
    /// Whether a Protocol Level that no version has is refused as version 5 does it, also where the
    /// standard before has an answer for it [MQTT-3.1.2-2 of 3.1.1].
    pub unknown_levels_are_v5: bool,
    /// Faults that are answered otherwise than with the Reason Code they have by the standard: what
    /// is wrong, and that code; `None` ends the connection without a word.
    pub faults: &'static [(&'static str, Option<Reason>)],
    /// The same for what cannot be read of one kind of packet; these go first.
    pub faults_by_kind: &'static [(PacketType, &'static str, Option<Reason>)],
    /// Faults of a CONNECT that are answered, and how; `None`: all, with the Reason Codes they have.
    pub connect_faults: Option<&'static [(&'static str, Reason)]>,
    /// The Reason Code for a wrong user name or password.
    pub wrong_password: Reason,
    /// Whether retained messages are taken (§3.2.2.3.5).
    pub retain_available: bool,
    /// Whether QoS 0 messages wait for clients that are away (§3.1.2.4 leaves it open).
    pub qos0_queued: bool,
    /// Whether messages in flight are not counted among those of `session_messages_max`: a client
    /// that is there may then have as many more waiting as may be in flight.
    pub queued_beside_inflight: bool,
    /// Whether the Receive Maximum that a client tells holds in place of `inflight_max`, also where
    /// it is above.
    pub receive_max_alone: bool,
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
        unknown_levels_are_v5: false,
        faults_by_kind: &[],
        connect_faults: None,
        wrong_password: Reason::BAD_USER_NAME_OR_PASSWORD,
        retain_available: true,
        qos0_queued: false,
        queued_beside_inflight: false,
        receive_max_alone: false,
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
        queued_beside_inflight: true,
        receive_max_alone: true,
        nobody_told: QoS::AtLeastOnce,
        // Not one of those that the standard has for it (§3.4.2.1).
        long_payload: Reason::PACKET_TOO_LARGE,
        faults: MOSQUITTOS_FAULTS,
        unknown_levels_are_v5: true,
        faults_by_kind: MOSQUITTOS_KINDS,
        connect_faults: Some(MOSQUITTOS_CONNECT_FAULTS),
        ..Self::STANDARD
    };
}

/// What mosquitto tells otherwise, or not at all, once a client is connected.
const MOSQUITTOS_FAULTS: &[(&str, Option<Reason>)] = &[
    ("packet type 0", PROTOCOL),
    ("Remaining Length of more than four bytes", None),
    ("a second CONNECT", None),
    ("PUBLISH without a topic or Topic Alias", MALFORMED),
    ("too many topic levels", MALFORMED),
    ("a ping with something inside", None),
    ("SUBSCRIBE with Packet Identifier 0", MALFORMED),
    ("SUBSCRIBE without a Topic Filter", MALFORMED),
    ("a Subscription with QoS 3", MALFORMED),
    ("a Subscription with Retain Handling 3", MALFORMED),
    ("a Shared Subscription without a Topic Filter", PROTOCOL),
    ("a wildcard in a Share Name", PROTOCOL),
    ("UNSUBSCRIBE with Packet Identifier 0", MALFORMED),
    ("a Reason Code DISCONNECT does not have", None),
    ("a client's DISCONNECT with Server Reference", None),
    ("bytes after the end of DISCONNECT", PROTOCOL),
    (MISPLACED, PROTOCOL),
    ("a property that must not be 0", PROTOCOL),
    ("a property that is not UTF-8", None),
];

/// The same for one kind of packet: SUBSCRIBE and UNSUBSCRIBE with wrong properties are malformed.
const MOSQUITTOS_KINDS: &[(PacketType, &str, Option<Reason>)] = &[
    (PacketType::Subscribe, MISPLACED, MALFORMED),
    (PacketType::Subscribe, ZERO_ID, MALFORMED),
    (PacketType::Unsubscribe, MISPLACED, MALFORMED),
    (PacketType::Publish, ZERO_ID, PROTOCOL),
];

const MISPLACED: &str = "a property that has no place in this packet";
const ZERO_ID: &str = "Subscription Identifier 0";
const MALFORMED: Option<Reason> = Some(Reason::MALFORMED_PACKET);
const PROTOCOL: Option<Reason> = Some(Reason::PROTOCOL_ERROR);

/// What it tells a client whose CONNECT is wrong: of most faults, nothing.
const MOSQUITTOS_CONNECT_FAULTS: &[(&str, Reason)] = &[
    (
        "a Protocol Level other than 3, 4 and 5",
        Reason::UNSUPPORTED_PROTOCOL_VERSION,
    ),
    (
        "a Client Identifier that is not UTF-8",
        Reason::CLIENT_ID_NOT_VALID,
    ),
    ("an empty Topic Name", Reason::PROTOCOL_ERROR),
    (
        "bytes after the end of the packet",
        Reason::MALFORMED_PACKET,
    ),
    ("the packet ends within its Will", Reason::MALFORMED_PACKET),
    (
        "the packet ends within its properties",
        Reason::MALFORMED_PACKET,
    ),
    (
        "Variable Byte Integer of more than four bytes",
        Reason::MALFORMED_PACKET,
    ),
    ("overlong Variable Byte Integer", Reason::MALFORMED_PACKET),
    ("unknown property", Reason::MALFORMED_PACKET),
    (
        "a Response Topic that is no Topic Name",
        Reason::PROTOCOL_ERROR,
    ),
    (MISPLACED, Reason::PROTOCOL_ERROR),
    ("a property twice", Reason::PROTOCOL_ERROR),
    ("a property that is neither 0 nor 1", Reason::PROTOCOL_ERROR),
    ("a property that must not be 0", Reason::PROTOCOL_ERROR),
    ("Authentication Data without Method", Reason::PROTOCOL_ERROR),
];

impl Profile {
    /// The Reason Code that answers a fault, and one in a packet of this kind; `None`: no answer.
    pub(crate) fn answer_to(&self, kind: Option<PacketType>, fault: Violation) -> Option<Reason> {
        let mut kinds = self.faults_by_kind.iter();
        if let Some((.., reason)) =
            kinds.find(|(of, what, _)| Some(*of) == kind && *what == fault.what)
        {
            return *reason;
        }
        let found = self.faults.iter().find(|(what, _)| *what == fault.what);
        found.map_or(Some(fault.reason), |(_, reason)| *reason)
    }

    /// The same for a fault of CONNECT.
    pub(crate) fn answer_to_connect(&self, fault: Violation) -> Option<Reason> {
        let Some(answered) = self.connect_faults else {
            return Some(fault.reason);
        };
        let found = answered.iter().find(|(what, _)| *what == fault.what);
        found.map(|(_, reason)| *reason)
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self::STANDARD
    }
}
