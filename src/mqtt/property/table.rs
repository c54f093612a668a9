//! The table of the 27 properties: identifier, name, type, the places it may stand in, whether it
//! may be repeated, and which of its values are allowed (section 2.2.2.2).

use crate::mqtt::PacketType;
use crate::mqtt::reason::Reason;

/// Where properties stand: in a packet, or in the Will inside CONNECT.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Place {
    Will = 0,
    Connect = 1,
    Connack = 2,
    Publish = 3,
    Puback = 4,
    Pubrec = 5,
    Pubrel = 6,
    Pubcomp = 7,
    Subscribe = 8,
    Suback = 9,
    Unsubscribe = 10,
    Unsuback = 11,
    Disconnect = 14,
    Auth = 15,
}

impl Place {
    pub const ALL: [Self; 14] = [
        Self::Will,
        Self::Connect,
        Self::Connack,
        Self::Publish,
        Self::Puback,
        Self::Pubrec,
        Self::Pubrel,
        Self::Pubcomp,
        Self::Subscribe,
        Self::Suback,
        Self::Unsubscribe,
        Self::Unsuback,
        Self::Disconnect,
        Self::Auth,
    ];

    /// The place inside a packet of this kind; the two pings have none.
    pub const fn of(kind: PacketType) -> Option<Self> {
        Some(match kind {
            PacketType::Connect => Self::Connect,
            PacketType::Connack => Self::Connack,
            PacketType::Publish => Self::Publish,
            PacketType::Puback => Self::Puback,
            PacketType::Pubrec => Self::Pubrec,
            PacketType::Pubrel => Self::Pubrel,
            PacketType::Pubcomp => Self::Pubcomp,
            PacketType::Subscribe => Self::Subscribe,
            PacketType::Suback => Self::Suback,
            PacketType::Unsubscribe => Self::Unsubscribe,
            PacketType::Unsuback => Self::Unsuback,
            PacketType::Disconnect => Self::Disconnect,
            PacketType::Auth => Self::Auth,
            PacketType::Pingreq | PacketType::Pingresp => return None,
        })
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// The type of a property's value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueType {
    Byte,
    Two,
    Four,
    Variable,
    String,
    Pair,
    Binary,
}

/// The values a property may have, where its type allows more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rule {
    Any,
    /// 0 or 1.
    Flag,
    /// Not zero; zero is answered with this Reason Code.
    NotZero(Reason),
    /// A Topic Name.
    Topic,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub id: PropertyId,
    /// The name in the words of the command line, `message-expiry-interval`.
    pub name: &'static str,
    pub value_type: ValueType,
    /// A bit for each [`Place`] it may stand in.
    places: u16,
    /// A bit for each [`Place`] it may stand in more than once.
    many: u16,
    pub(super) rule: Rule,
}

impl Row {
    pub const fn allowed_in(&self, place: Place) -> bool {
        self.places & place.bit() != 0
    }

    pub const fn repeats_in(&self, place: Place) -> bool {
        self.many & place.bit() != 0
    }
}

const WILL: u16 = Place::Will.bit();
const CONNECT: u16 = Place::Connect.bit();
const CONNACK: u16 = Place::Connack.bit();
const PUBLISH: u16 = Place::Publish.bit();
const SUBSCRIBE: u16 = Place::Subscribe.bit();
const DISCONNECT: u16 = Place::Disconnect.bit();
const AUTH: u16 = Place::Auth.bit();
const ACKS: u16 =
    Place::Puback.bit() | Place::Pubrec.bit() | Place::Pubrel.bit() | Place::Pubcomp.bit();
const SUBACKS: u16 = Place::Suback.bit() | Place::Unsuback.bit();
const REASONED: u16 = CONNACK | ACKS | SUBACKS | DISCONNECT | AUTH;
const EVERYWHERE: u16 = REASONED | WILL | CONNECT | PUBLISH | SUBSCRIBE | Place::Unsubscribe.bit();
const ZERO_IS_WRONG: Rule = Rule::NotZero(Reason::PROTOCOL_ERROR);

/// Writes the identifiers and the table from the same rows:
/// value, identifier, name, type, places, places where it may be repeated, allowed values.
macro_rules! properties {
    ($($value:literal $id:ident $name:literal $type:ident $places:expr, $many:expr, $rule:expr;)*) => {
        /// A Property Identifier.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[repr(u8)]
        pub enum PropertyId { $($id = $value,)* }

        /// Every property, by its identifier.
        pub const TABLE: [Row; 27] = [
            $(Row {
                id: PropertyId::$id, name: $name, value_type: ValueType::$type,
                places: $places, many: $many, rule: $rule,
            },)*
        ];
    };
}

properties! {
    1 PayloadFormatIndicator "payload-format-indicator" Byte PUBLISH | WILL, 0, Rule::Flag;
    2 MessageExpiryInterval "message-expiry-interval" Four PUBLISH | WILL, 0, Rule::Any;
    3 ContentType "content-type" String PUBLISH | WILL, 0, Rule::Any;
    8 ResponseTopic "response-topic" String PUBLISH | WILL, 0, Rule::Topic;
    9 CorrelationData "correlation-data" Binary PUBLISH | WILL, 0, Rule::Any;
    11 SubscriptionIdentifier "subscription-identifier" Variable PUBLISH | SUBSCRIBE, PUBLISH, ZERO_IS_WRONG;
    17 SessionExpiryInterval "session-expiry-interval" Four CONNECT | CONNACK | DISCONNECT, 0, Rule::Any;
    18 AssignedClientIdentifier "assigned-client-identifier" String CONNACK, 0, Rule::Any;
    19 ServerKeepAlive "server-keep-alive" Two CONNACK, 0, Rule::Any;
    21 AuthenticationMethod "authentication-method" String CONNECT | CONNACK | AUTH, 0, Rule::Any;
    22 AuthenticationData "authentication-data" Binary CONNECT | CONNACK | AUTH, 0, Rule::Any;
    23 RequestProblemInformation "request-problem-information" Byte CONNECT, 0, Rule::Flag;
    24 WillDelayInterval "will-delay-interval" Four WILL, 0, Rule::Any;
    25 RequestResponseInformation "request-response-information" Byte CONNECT, 0, Rule::Flag;
    26 ResponseInformation "response-information" String CONNACK, 0, Rule::Any;
    28 ServerReference "server-reference" String CONNACK | DISCONNECT, 0, Rule::Any;
    31 ReasonString "reason-string" String REASONED, 0, Rule::Any;
    33 ReceiveMaximum "receive-maximum" Two CONNECT | CONNACK, 0, ZERO_IS_WRONG;
    34 TopicAliasMaximum "topic-alias-maximum" Two CONNECT | CONNACK, 0, Rule::Any;
    35 TopicAlias "topic-alias" Two PUBLISH, 0, Rule::NotZero(Reason::TOPIC_ALIAS_INVALID);
    36 MaximumQos "maximum-qos" Byte CONNACK, 0, Rule::Flag;
    37 RetainAvailable "retain-available" Byte CONNACK, 0, Rule::Flag;
    38 UserProperty "user-property" Pair EVERYWHERE, EVERYWHERE, Rule::Any;
    39 MaximumPacketSize "maximum-packet-size" Four CONNECT | CONNACK, 0, ZERO_IS_WRONG;
    40 WildcardSubscriptionAvailable "wildcard-subscription-available" Byte CONNACK, 0, Rule::Flag;
    41 SubscriptionIdentifierAvailable "subscription-identifier-available" Byte CONNACK, 0, Rule::Flag;
    42 SharedSubscriptionAvailable "shared-subscription-available" Byte CONNACK, 0, Rule::Flag;
}

const NO_ROW: u8 = u8::MAX;

/// The place of each identifier in the table.
const INDEX: [u8; 43] = {
    let mut index = [NO_ROW; 43];
    let mut at = 0;
    while at < TABLE.len() {
        index[TABLE[at].id as usize] = at as u8;
        at += 1;
    }
    index
};

static ROWS: [Row; 27] = TABLE;

impl PropertyId {
    /// The property with this number. Identifiers are Variable Byte Integers, but all that the
    /// standard defines fit one byte, and a longer form of those is malformed.
    pub fn from_byte(byte: u8) -> Option<Self> {
        let at = *INDEX.get(usize::from(byte))?;
        ROWS.get(usize::from(at)).map(|row| row.id)
    }

    /// The property with this name on the command line.
    pub fn from_name(name: &str) -> Option<Self> {
        ROWS.iter().find(|row| row.name == name).map(|row| row.id)
    }

    pub fn row(self) -> &'static Row {
        &ROWS[usize::from(INDEX[self as usize])]
    }

    pub fn name(self) -> &'static str {
        self.row().name
    }
}
