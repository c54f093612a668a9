//! TABLE: what surely helps, for the `try:` line below an error. Where nothing surely helps there is
//! no such line.

use std::io;

use rustls::{AlertDescription, CertificateError, Error};

use crate::client::End;
use crate::mqtt::property::PropertyId;
use crate::mqtt::{Reason, Version};
use crate::net::tcp::NoSuchHost;
use crate::net::tls::{is_ca_as_end_entity, is_cut};
use crate::net::websocket::NotGranted;

const SIGN_IN: &str = "-u NAME -P, which asks for the password";
const NO_TLS: &str = "--no-tls, or -p with the port on which the broker speaks TLS";
const NO_HTTP: &str = "--cafile FILE or --tls-use-os-certs, if the broker speaks TLS on this port; \
    else -p, with the port on which it speaks WebSockets";
const OTHER_ID: &str = "-i with another identifier";
/// mosquitto refuses a Keep Alive above its `max_keepalive` by this code, too.
const ID_OR_KEEP_ALIVE: &str = "-i with another identifier; or -k with fewer seconds (not 0), which \
    some brokers refuse by the same code";

/// CONNECT was refused, or DISCONNECT came, with this Reason Code or return code.
pub(crate) fn of_reason(version: Version, reason: Reason, end: &End) -> Option<String> {
    let told = match (version, reason.value()) {
        (Version::V311, 1) => "-V 5, or -V 31 for a very old broker",
        (Version::V31, 1) => "-V 311",
        (Version::V5, 132) => "-V 311",
        (Version::V31 | Version::V311, 2) => ID_OR_KEEP_ALIVE,
        (_, 133 | 142) => OTHER_ID,
        (Version::V31 | Version::V311, 4 | 5) | (_, 134 | 135) => SIGN_IN,
        (_, 140) => "-D connect authentication-method, with one the broker knows",
        (_, 154) => "without -r",
        (_, 155) => "-q 0",
        (_, 156 | 157) => {
            let (End::Refused { properties, .. } | End::Disconnected { properties, .. }) = end
            else {
                return None;
            };
            let server = properties.properties().text(PropertyId::ServerReference)?;
            return Some(format!("-h {server}"));
        }
        _ => return None,
    };
    Some(told.to_owned())
}

/// There is no connection, or none that lasted until CONNACK.
pub(crate) fn of_connecting(error: &io::Error) -> Option<&'static str> {
    let not_granted = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<NotGranted>());
    match not_granted {
        Some(NotGranted::Status(401 | 403)) => {
            return Some("--ws-header 'Authorization: …', with what the server asks for");
        }
        Some(NotGranted::Status(404)) => return Some("--ws-path, with the broker's path"),
        Some(NotGranted::NoHttp) => return Some(NO_HTTP),
        Some(NotGranted::Status(_) | NotGranted::Closed) => {
            return Some("-p, with the port on which the broker speaks WebSockets");
        }
        None => {}
    }
    if error
        .get_ref()
        .is_some_and(|inner| inner.is::<NoSuchHost>())
    {
        return Some("-h, with a name that this machine can look up, or an address");
    }
    if is_cut(error) {
        return Some(NO_TLS);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            Some("-h and -p, with where the broker is; mqttx broker starts one here")
        }
        _ => None,
    }
}

/// The broker closed the connection instead of answering CONNECT, or answered in another language.
pub(crate) const UNANSWERED: &str = "--cafile FILE or --tls-use-os-certs, if the broker speaks TLS \
    on this port; --ws, if WebSockets";

/// The TLS handshake failed.
pub(crate) fn of_tls(fault: &Error) -> Option<String> {
    let told = match fault {
        fault if is_ca_as_end_entity(fault) => "--cafile FILE, with this very certificate",
        Error::InvalidCertificate(fault) => match fault {
            CertificateError::UnknownIssuer => {
                "--cafile FILE, with the certificate that signed the broker's"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "-h, with a name the certificate is made out to; or --tls-skip-hostname"
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => {
                "a new certificate for the broker; is the clock of this machine right?"
            }
            _ => return None,
        },
        // What came was no TLS at all.
        Error::InvalidMessage(_) => NO_TLS,
        Error::PeerIncompatible(_) => "without --tls-version and --ciphers",
        Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired => "--cert and --key, which the broker asks for",
            AlertDescription::HandshakeFailure => {
                "--cert and --key, if the broker asks for them; without --ciphers"
            }
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown => {
                "--cert and --key, with a certificate the broker trusts"
            }
            AlertDescription::ProtocolVersion => "without --tls-version",
            AlertDescription::NoApplicationProtocol => "without --tls-alpn",
            _ => return None,
        },
        _ => return None,
    };
    Some(told.to_owned())
}
