//! Why a connection, or the whole session with its attempts, came to an end.

use std::fmt;
use std::io;

use crate::mqtt::property::{PropertiesBuf, PropertyId};
use crate::mqtt::{Reason, Version, Violation};
use crate::net::system_words;
use crate::net::tls::tls_error;

/// The reason of an end. Commands turn it into a sentence and an exit status.
#[derive(Debug)]
pub enum End {
    /// As wished: everything said was acknowledged or written, and DISCONNECT sent.
    Finished,
    /// There was no connection to be had.
    Unreachable(io::Error),
    /// CONNACK with an error; before version 5 `reason` holds the return code.
    Refused {
        version: Version,
        reason: Reason,
        properties: PropertiesBuf,
    },
    /// The broker sent DISCONNECT.
    Disconnected {
        reason: Reason,
        properties: PropertiesBuf,
    },
    /// The answer to CONNECT was one of TLS or HTTP.
    Foreign,
    /// The broker closed the connection instead of answering CONNECT.
    Unanswered,
    /// The broker closed the connection without a word.
    Lost,
    /// No answer to CONNECT in time.
    ConnackTimeout,
    /// No answer to PINGREQ within the keep alive.
    KeepAliveTimeout,
    /// The broker took no bytes for too long.
    WriteTimeout,
    /// The broker broke the standard.
    Violation(Violation),
    /// The connection failed.
    Io(io::Error),
}

impl End {
    /// Whether another attempt may help. A broker that refuses, or that broke the standard, will
    /// do so again; one that was lost may come back.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Finished | Self::Violation(_) | Self::Foreign => false,
            Self::Unreachable(_)
            | Self::Unanswered
            | Self::Lost
            | Self::ConnackTimeout
            | Self::KeepAliveTimeout
            | Self::WriteTimeout
            | Self::Io(_) => true,
            Self::Refused {
                version, reason, ..
            } => {
                if version.is_v5() {
                    matches!(*reason, Reason::SERVER_UNAVAILABLE | Reason::SERVER_BUSY)
                } else {
                    *reason == Reason(RETURN_CODE_SERVER_UNAVAILABLE)
                }
            }
            Self::Disconnected { reason, .. } => !LASTING.contains(reason),
        }
    }

    /// Whether this may be the sight of a broker that is just starting: a certificate that is not
    /// trusted will not be a moment later.
    pub(crate) fn may_be_early(&self) -> bool {
        match self {
            Self::Unreachable(error) => tls_error(error).is_none(),
            _ => self.is_passing(),
        }
    }

    /// What the broker gave as its reason in words.
    pub fn reason_string(&self) -> Option<&str> {
        match self {
            Self::Refused { properties, .. } | Self::Disconnected { properties, .. } => {
                properties.properties().text(PropertyId::ReasonString)
            }
            _ => None,
        }
    }
}

/// §3.2.2.3 of 3.1.1: "Server unavailable".
const RETURN_CODE_SERVER_UNAVAILABLE: u8 = 3;

/// A DISCONNECT for one of these reasons would be met again, or (session taken over) would start a
/// quarrel between two clients of one name.
const LASTING: &[Reason] = &[
    Reason::SESSION_TAKEN_OVER,
    Reason::NOT_AUTHORIZED,
    Reason::BAD_AUTHENTICATION_METHOD,
    Reason::MALFORMED_PACKET,
    Reason::PROTOCOL_ERROR,
    Reason::PACKET_TOO_LARGE,
    Reason::TOPIC_FILTER_INVALID,
    Reason::TOPIC_NAME_INVALID,
    Reason::TOPIC_ALIAS_INVALID,
    Reason::RECEIVE_MAXIMUM_EXCEEDED,
    Reason::PAYLOAD_FORMAT_INVALID,
    Reason::RETAIN_NOT_SUPPORTED,
    Reason::QOS_NOT_SUPPORTED,
    Reason::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED,
    Reason::SUBSCRIPTION_IDS_NOT_SUPPORTED,
    Reason::WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED,
    Reason::ADMINISTRATIVE_ACTION,
    Reason::USE_ANOTHER_SERVER,
    Reason::SERVER_MOVED,
];

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("finished"),
            Self::Unreachable(error) => write!(f, "no connection: {}", system_words(error)),
            Self::Refused {
                version, reason, ..
            } if version.is_v5() => {
                write!(f, "connection refused: {}", reason.name())
            }
            Self::Refused { reason, .. } => {
                write!(
                    f,
                    "connection refused: {}",
                    return_code_name(reason.value())
                )
            }
            Self::Disconnected { reason, .. } => {
                write!(f, "disconnected by the broker: {}", reason.name())
            }
            Self::Foreign => f.write_str("the answer to CONNECT is no MQTT"),
            Self::Unanswered => {
                f.write_str("the broker closed the connection without an answer to CONNECT")
            }
            Self::Lost => f.write_str("the broker closed the connection"),
            Self::ConnackTimeout => f.write_str("the broker did not answer CONNECT"),
            Self::KeepAliveTimeout => f.write_str("the broker did not answer PINGREQ"),
            Self::WriteTimeout => f.write_str("the broker stopped reading"),
            Self::Violation(violation) => write!(f, "the broker broke the protocol: {violation}"),
            Self::Io(error) => write!(f, "the connection failed: {}", system_words(error)),
        }?;
        match self.reason_string() {
            Some(words) => write!(f, " ({words})"),
            None => Ok(()),
        }
    }
}

/// Table 3.1 of 3.1.1.
fn return_code_name(code: u8) -> &'static str {
    match code {
        1 => "unacceptable protocol version",
        2 => "identifier rejected",
        3 => "server unavailable",
        4 => "bad user name or password",
        5 => "not authorised",
        _ => "unknown return code",
    }
}
