//! How a connection ended, as sentences and an exit status.
//!
//! Under a mosquitto name the sentences are those of its clients, which tell a refused CONNECT in
//! one line or two depending on the program. In our own words there is one line, and the broker's
//! Reason String where it gave one.

use std::io;

use crate::cli::error::{Error, Kind};
use crate::cli::{Caller, Manner, Program};
use crate::client::{End, Refused};
use crate::commands::remedy;
use crate::mqtt::connack::V3_CODE_MAX;
use crate::mqtt::property::{Properties, PropertyId};
use crate::mqtt::{Reason, Version};
use crate::net::proxy;
use crate::net::system_words;
use crate::net::tcp::NoSuchHost;
use crate::net::tls::{is_ca_as_end_entity, is_cut, tls_error};

/// What is told when MQTT itself broke down.
const PROTOCOL: &str = "A network protocol error occurred when communicating with the broker";

/// The error a bad end leaves, or none for a good one. `place` is the broker, for our own words.
pub(crate) fn error(caller: Caller, end: &End, place: &str) -> Option<Error> {
    Some(match end {
        End::Finished => return None,
        End::Unreachable(error) => unreachable(caller, error, place),
        End::Refused {
            version, reason, ..
        } => refused(caller, *version, *reason, end, place),
        End::Violation(violation) => match caller.manner {
            Manner::Mosquitto => Error::new(Kind::Protocol, PROTOCOL),
            Manner::Mqttx => Error::new(
                Kind::Protocol,
                format!("{place} broke the protocol: {violation}"),
            ),
        },
        // The broker's last word in TLS 1.3 comes after the handshake: it did not like our certificate.
        End::Io(error) if tls_error(error).is_some() => match (caller.manner, tls_error(error)) {
            (Manner::Mqttx, Some(fault)) => untrusted(caller, fault, place),
            _ => Error::new(Kind::System, "Protocol error"),
        },
        End::Foreign => match caller.manner {
            Manner::Mosquitto => Error::new(Kind::Protocol, PROTOCOL),
            Manner::Mqttx => {
                Error::new(Kind::Protocol, format!("{place}: {end}")).hint(remedy::UNANSWERED)
            }
        },
        End::Unanswered | End::ConnackTimeout => match caller.manner {
            Manner::Mosquitto => Error::new(Kind::Lost, "The connection was lost"),
            Manner::Mqttx => {
                Error::new(Kind::Lost, format!("{place}: {end}")).hint(remedy::UNANSWERED)
            }
        },
        End::Disconnected { reason, .. } if caller.manner == Manner::Mqttx => {
            let told = Error::new(Kind::Lost, format!("connection lost: {end}"));
            told.maybe_hint(remedy::of_reason(Version::V5, *reason, end))
        }
        End::Disconnected { .. }
        | End::Lost
        | End::KeepAliveTimeout
        | End::WriteTimeout
        | End::Io(_) => match caller.manner {
            Manner::Mosquitto => Error::new(Kind::Lost, "The connection was lost"),
            Manner::Mqttx => Error::new(Kind::Lost, format!("connection lost: {end}")),
        },
    })
}

fn unreachable(caller: Caller, error: &io::Error, place: &str) -> Error {
    if let Some(fault) = tls_error(error) {
        return untrusted(caller, fault, place);
    }
    #[cfg(feature = "psk")]
    if let Some(fault) = crate::net::tls::psk::psk_fault(error) {
        return untrusted_key(caller, fault, place);
    }
    if is_cut(error) && caller.manner == Manner::Mosquitto {
        return no_tls_in_their_words();
    }
    let unknown_host = error
        .get_ref()
        .is_some_and(|inner| inner.is::<NoSuchHost>());
    match caller.manner {
        Manner::Mosquitto if unknown_host => {
            Error::new(Kind::Failed, "Unable to connect (Lookup error).").without_prefix()
        }
        Manner::Mosquitto => Error::new(Kind::Failed, system_words(proxy::cause(error))),
        Manner::Mqttx => {
            let told = format!("cannot connect to {place}: {}", system_words(error));
            let kind = if is_cut(error) {
                Kind::Tls
            } else {
                Kind::Failed
            };
            Error::new(kind, told).maybe_hint(remedy::of_connecting(error))
        }
    }
}

fn no_tls_in_their_words() -> Error {
    Error::new(Kind::Failed, "Unable to connect (A TLS error occurred).").without_prefix()
}

/// The TLS handshake failed.
fn untrusted(caller: Caller, fault: &rustls::Error, place: &str) -> Error {
    if caller.manner == Manner::Mosquitto {
        return no_tls_in_their_words();
    }
    let told = match fault {
        rustls::Error::InvalidMessage(_) => "what came was no TLS".to_owned(),
        fault if is_ca_as_end_entity(fault) => {
            "the broker's certificate vouches for itself, and is not among those trusted".to_owned()
        }
        _ => fault.to_string(),
    };
    Error::new(Kind::Tls, format!("cannot connect to {place}: TLS: {told}"))
        .maybe_hint(remedy::of_tls(fault))
}

/// The handshake with keys failed: a wrong key and an unknown identity look alike, as they should.
#[cfg(feature = "psk")]
fn untrusted_key(caller: Caller, fault: &crate::net::tls::psk::PskFault, place: &str) -> Error {
    if caller.manner == Manner::Mosquitto {
        return no_tls_in_their_words();
    }
    Error::new(
        Kind::Tls,
        format!("cannot connect to {place}: TLS-PSK: {fault}"),
    )
    .hint("are --psk and --psk-identity what the broker's psk_file says?")
}

fn refused(caller: Caller, version: Version, reason: Reason, end: &End, place: &str) -> Error {
    let kind = Kind::Refused(reason.value());
    if caller.manner == Manner::Mqttx {
        let words = match version {
            Version::V5 => reason.name().to_lowercase(),
            Version::V31 | Version::V311 => Reason::v3_connect_name(reason.value()).to_owned(),
        };
        let told = end
            .reason_string()
            .map(|text| format!(": {text}"))
            .unwrap_or_default();
        return Error::new(
            kind,
            format!("refused by {place}: {words} ({}){told}", reason.value()),
        )
        .maybe_hint(remedy::of_reason(version, reason, end));
    }
    let words = match version {
        // mosquitto_rr leaves the advice out.
        Version::V5
            if reason == Reason::UNSUPPORTED_PROTOCOL_VERSION
                && caller.program != Program::Request =>
        {
            format!(
                "{}. Try connecting to an MQTT v5 broker, or use MQTT v3.x mode.",
                reason.name()
            )
        }
        Version::V5 => reason.name().to_owned(),
        Version::V31 | Version::V311 => {
            format!(
                "Connection Refused: {}",
                Reason::v3_connect_name(reason.value())
            )
        }
    };
    let mut sentence = format!("Connection error: {words}");
    if caller.program == Program::Publish {
        let second = match reason.value() {
            1..=V3_CODE_MAX => "The connection was refused",
            _ => PROTOCOL,
        };
        sentence.push_str(&format!("\nError: {second}"));
    }
    Error::new(kind, sentence).without_prefix()
}

/// The broker has said what it would not take, so nothing was sent.
pub(crate) fn not_sent(caller: Caller, refused: Refused) -> Error {
    match (caller.manner, refused) {
        (Manner::Mosquitto, Refused::QosNotSupported) => {
            Error::new(Kind::Library(24), "Requested QoS not supported on server")
        }
        (Manner::Mosquitto, Refused::TooLarge) => Error::new(
            Kind::Library(25),
            "Packet larger than supported by the server",
        ),
        (_, refused) => Error::new(Kind::Failed, refused.to_string()),
    }
}

/// All filters of a SUBSCRIBE were refused, the first one for this reason.
pub(crate) fn not_granted(version: Version, reason: Reason, said: Properties<'_>) -> String {
    let why = why_not(version, reason, said);
    format!("all subscriptions were denied{why}")
}

/// One filter of a SUBSCRIBE was refused. mosquitto_rr tells the bare name of the reason.
pub(crate) fn refused_filter(
    version: Version,
    filter: &str,
    reason: Reason,
    said: Properties<'_>,
) -> Error {
    let why = why_not(version, reason, said);
    let told = format!("the subscription to {filter} was refused{why}");
    let name = match reason {
        Reason::SUBSCRIPTION_IDS_NOT_SUPPORTED => "Subscription identifiers not supported",
        reason => reason.name(),
    };
    Error::new(Kind::Reason(reason.value()), name)
        .without_prefix()
        .in_short(told)
        .maybe_hint(remedy::of_reason(version, reason, &End::Finished))
}

/// What SUBACK says about a refusal.
fn why_not(version: Version, reason: Reason, said: Properties<'_>) -> String {
    let (name, code) = (reason.name().to_lowercase(), reason.value());
    match (version, said.text(PropertyId::ReasonString)) {
        // 0x80 is all that version 3 can say.
        (Version::V31 | Version::V311, _) => String::new(),
        (Version::V5, None) => format!(": {name} ({code})"),
        (Version::V5, Some(text)) => format!(": {name} ({code}): {text}"),
    }
}
