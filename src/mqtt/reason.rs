//! Reason Codes (section 2.4): value, name, the packets that may carry it, and the nearest
//! return code of a version 3 CONNACK. One table; everything else is read from it.

use std::fmt;

use crate::mqtt::PacketType;

/// A Reason Code, or the return code of a version 3 CONNACK or SUBACK.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Reason(pub u8);

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub reason: Reason,
    pub name: &'static str,
    /// A bit for each packet type, by its number.
    packets: u16,
    /// The return code of a version 3 CONNACK.
    v3: u8,
}

const CONNACK: u16 = 1 << PacketType::Connack as u16;
const PUBACK: u16 = 1 << PacketType::Puback as u16;
const PUBREC: u16 = 1 << PacketType::Pubrec as u16;
const PUBREL: u16 = 1 << PacketType::Pubrel as u16;
const PUBCOMP: u16 = 1 << PacketType::Pubcomp as u16;
const SUBACK: u16 = 1 << PacketType::Suback as u16;
const UNSUBACK: u16 = 1 << PacketType::Unsuback as u16;
const DISCONNECT: u16 = 1 << PacketType::Disconnect as u16;
const AUTH: u16 = 1 << PacketType::Auth as u16;
const ACKS: u16 = PUBACK | PUBREC;
const ALL_REFUSALS: u16 = CONNACK | ACKS | SUBACK | UNSUBACK | DISCONNECT;

/// Writes the constants and the table from the same rows. The last column is the return code of
/// a version 3 CONNACK: 1 version, 2 identifier, 3 unavailable, 4 bad password, 5 not authorized.
macro_rules! reasons {
    ($($value:literal $constant:ident $name:literal $packets:expr, $v3:literal;)*) => {
        impl Reason {
            $(#[doc = $name] pub const $constant: Self = Self($value);)*
        }

        /// Every Reason Code; the three meanings of zero have a row each.
        pub const TABLE: &[Row] = &[
            $(Row { reason: Reason($value), name: $name, packets: $packets, v3: $v3 },)*
        ];
    };
}

reasons! {
    0x00 SUCCESS "Success" CONNACK | ACKS | PUBREL | PUBCOMP | UNSUBACK | AUTH, 0;
    0x00 NORMAL_DISCONNECTION "Normal disconnection" DISCONNECT, 0;
    0x00 GRANTED_QOS_0 "Granted QoS 0" SUBACK, 0;
    0x01 GRANTED_QOS_1 "Granted QoS 1" SUBACK, 0;
    0x02 GRANTED_QOS_2 "Granted QoS 2" SUBACK, 0;
    0x04 DISCONNECT_WITH_WILL "Disconnect with Will Message" DISCONNECT, 0;
    0x10 NO_MATCHING_SUBSCRIBERS "No matching subscribers" ACKS, 0;
    0x11 NO_SUBSCRIPTION_EXISTED "No subscription existed" UNSUBACK, 0;
    0x18 CONTINUE_AUTHENTICATION "Continue authentication" AUTH, 0;
    0x19 REAUTHENTICATE "Re-authenticate" AUTH, 0;
    0x80 UNSPECIFIED_ERROR "Unspecified error" ALL_REFUSALS, 3;
    0x81 MALFORMED_PACKET "Malformed Packet" CONNACK | DISCONNECT, 3;
    0x82 PROTOCOL_ERROR "Protocol Error" CONNACK | DISCONNECT, 3;
    0x83 IMPLEMENTATION_SPECIFIC_ERROR "Implementation specific error" ALL_REFUSALS, 3;
    0x84 UNSUPPORTED_PROTOCOL_VERSION "Unsupported Protocol Version" CONNACK, 1;
    0x85 CLIENT_ID_NOT_VALID "Client Identifier not valid" CONNACK, 2;
    0x86 BAD_USER_NAME_OR_PASSWORD "Bad User Name or Password" CONNACK, 4;
    0x87 NOT_AUTHORIZED "Not authorized" ALL_REFUSALS, 5;
    0x88 SERVER_UNAVAILABLE "Server unavailable" CONNACK, 3;
    0x89 SERVER_BUSY "Server busy" CONNACK | DISCONNECT, 3;
    0x8a BANNED "Banned" CONNACK, 5;
    0x8b SERVER_SHUTTING_DOWN "Server shutting down" DISCONNECT, 3;
    0x8c BAD_AUTHENTICATION_METHOD "Bad authentication method" CONNACK | DISCONNECT, 5;
    0x8d KEEP_ALIVE_TIMEOUT "Keep Alive timeout" DISCONNECT, 3;
    0x8e SESSION_TAKEN_OVER "Session taken over" DISCONNECT, 3;
    0x8f TOPIC_FILTER_INVALID "Topic Filter invalid" SUBACK | UNSUBACK | DISCONNECT, 3;
    0x90 TOPIC_NAME_INVALID "Topic Name invalid" CONNACK | ACKS | DISCONNECT, 5;
    0x91 PACKET_ID_IN_USE "Packet Identifier in use" ACKS | SUBACK | UNSUBACK, 3;
    0x92 PACKET_ID_NOT_FOUND "Packet Identifier not found" PUBREL | PUBCOMP, 3;
    0x93 RECEIVE_MAXIMUM_EXCEEDED "Receive Maximum exceeded" DISCONNECT, 3;
    0x94 TOPIC_ALIAS_INVALID "Topic Alias invalid" DISCONNECT, 3;
    0x95 PACKET_TOO_LARGE "Packet too large" CONNACK | DISCONNECT, 5;
    0x96 MESSAGE_RATE_TOO_HIGH "Message rate too high" DISCONNECT, 3;
    0x97 QUOTA_EXCEEDED "Quota exceeded" CONNACK | ACKS | SUBACK | DISCONNECT, 3;
    0x98 ADMINISTRATIVE_ACTION "Administrative action" DISCONNECT, 3;
    0x99 PAYLOAD_FORMAT_INVALID "Payload format invalid" CONNACK | ACKS | DISCONNECT, 3;
    0x9a RETAIN_NOT_SUPPORTED "Retain not supported" CONNACK | DISCONNECT, 5;
    0x9b QOS_NOT_SUPPORTED "QoS not supported" CONNACK | DISCONNECT, 5;
    0x9c USE_ANOTHER_SERVER "Use another server" CONNACK | DISCONNECT, 3;
    0x9d SERVER_MOVED "Server moved" CONNACK | DISCONNECT, 3;
    0x9e SHARED_SUBSCRIPTIONS_NOT_SUPPORTED "Shared Subscriptions not supported" SUBACK | DISCONNECT, 3;
    0x9f CONNECTION_RATE_EXCEEDED "Connection rate exceeded" CONNACK | DISCONNECT, 3;
    0xa0 MAXIMUM_CONNECT_TIME "Maximum connect time" DISCONNECT, 3;
    0xa1 SUBSCRIPTION_IDS_NOT_SUPPORTED "Subscription Identifiers not supported" SUBACK | DISCONNECT, 3;
    0xa2 WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED "Wildcard Subscriptions not supported" SUBACK | DISCONNECT, 3;
}

impl Reason {
    #[inline]
    pub const fn value(self) -> u8 {
        self.0
    }

    /// Codes from 0x80 say that what was asked did not happen.
    #[inline]
    pub const fn is_error(self) -> bool {
        self.0 >= 0x80
    }

    /// The name the standard gives it; for zero, "Success".
    pub fn name(self) -> &'static str {
        self.rows().next().map_or("Unknown reason", |row| row.name)
    }

    /// Whether this packet may carry it.
    pub fn allowed_in(self, packet: PacketType) -> bool {
        self.rows().any(|row| row.packets & 1 << packet as u16 != 0)
    }

    /// The nearest return code of a version 3 CONNACK.
    pub fn v3_connect_code(self) -> u8 {
        const SERVER_UNAVAILABLE: u8 = 3;
        self.rows().next().map_or(SERVER_UNAVAILABLE, |row| row.v3)
    }

    /// What mosquitto calls the return code of a version 3 CONNACK.
    pub fn v3_connect_name(code: u8) -> &'static str {
        match code {
            1 => "unacceptable protocol version",
            2 => "identifier rejected",
            3 => "broker unavailable",
            4 => "bad user name or password",
            5 => "not authorised",
            _ => "unknown reason",
        }
    }

    fn rows(self) -> impl Iterator<Item = &'static Row> {
        TABLE.iter().filter(move |row| row.reason == self)
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x} {}", self.0, self.name())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_means_what_its_packet_says() {
        for packet in [
            PacketType::Connack,
            PacketType::Suback,
            PacketType::Disconnect,
        ] {
            assert!(Reason::SUCCESS.allowed_in(packet), "{packet:?}");
        }
        assert!(!Reason::SUCCESS.allowed_in(PacketType::Publish));
    }

    #[test]
    fn packets_carry_their_codes_only() {
        fn check(packet: PacketType, expected: &[u8]) {
            let found: Vec<u8> = (0..=255)
                .filter(|&value| Reason(value).allowed_in(packet))
                .collect();
            assert_eq!(found, expected, "{packet}");
        }
        // The lists of sections 3.2.2.2, 3.4.2.1, 3.6.2.1, 3.9.3, 3.11.3 and 3.15.2.1.
        check(
            PacketType::Connack,
            &[
                0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90,
                0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9f,
            ],
        );
        let acks = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
        check(PacketType::Puback, &acks);
        check(PacketType::Pubrec, &acks);
        check(PacketType::Pubrel, &[0x00, 0x92]);
        check(PacketType::Pubcomp, &[0x00, 0x92]);
        check(
            PacketType::Suback,
            &[
                0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2,
            ],
        );
        check(
            PacketType::Unsuback,
            &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91],
        );
        check(PacketType::Auth, &[0x00, 0x18, 0x19]);
        check(PacketType::Publish, &[]);
    }

    #[test]
    fn version_3_hears_the_nearest_code() {
        fn check(reason: Reason, expected: u8) {
            assert_eq!(reason.v3_connect_code(), expected, "{reason:?}");
        }
        check(Reason::SUCCESS, 0);
        check(Reason::UNSUPPORTED_PROTOCOL_VERSION, 1);
        check(Reason::CLIENT_ID_NOT_VALID, 2);
        check(Reason::SERVER_UNAVAILABLE, 3);
        check(Reason::BAD_USER_NAME_OR_PASSWORD, 4);
        check(Reason::NOT_AUTHORIZED, 5);
        check(Reason::QUOTA_EXCEEDED, 3);
        check(Reason(0xff), 3);
    }
}
