//! Brokers set up otherwise than by default, by the name a case `wants`, and who answers their questions.
//! Only the core can be had in these settings; over TCP such cases are skipped, and said so.

use mqttx::broker::access::Access;
use mqttx::broker::access::Asked;
use mqttx::broker::access::Verdict;
use mqttx::broker::limits::Limits;
use mqttx::mqtt::Reason;

/// Small enough that a script can pass them.
const RECEIVE_MAX: u16 = 20;
const PACKET_SIZE_MAX: usize = 5_000_000;

pub(crate) fn settings(wanted: Option<&str>) -> Result<(Limits, Access), String> {
    let mut limits = Limits {
        receive_max: RECEIVE_MAX,
        packet_size_max: PACKET_SIZE_MAX,
        ..Limits::default()
    };
    let mut access = Access {
        anonymous: true,
        ..Access::default()
    };
    match wanted {
        None => (),
        // The user `me` has the password `secret`; nobody else is known.
        Some("passwords") => (access.anonymous, access.passwords) = (false, true),
        // Both answer as `verdict` says.
        Some("authentication") => access.methods = vec!["ECHO".into(), "OTHER".into()],
        Some("response-information") => access.response_information = Some("answers/".into()),
        Some("keep-alive-max-10") => limits.keep_alive_max = 10,
        Some("session-expiry-max-10") => limits.session_expiry_max = 10,
        Some("packet-size-max-200") => limits.packet_size_max = 200,
        Some("no-aliases") => limits.topic_alias_max = 0,
        Some(other) => return Err(format!("no setting {other}")),
    }
    Ok((limits, access))
}

/// The client's Authentication Data says what becomes of it.
pub(crate) fn verdict(asked: &Asked) -> Verdict {
    let refuse = |reason| Verdict::Refuse {
        reason,
        server_reference: None,
        data: Box::default(),
    };
    match asked {
        Asked::Password {
            user_name,
            password,
        } => match (&**user_name, &***password) {
            ("me", b"secret") => Verdict::Accept(Box::default()),
            _ => refuse(Reason::BAD_USER_NAME_OR_PASSWORD),
        },
        Asked::Exchange { data, .. } => match &**data {
            b"yes" => Verdict::Accept(b"welcome".as_slice().into()),
            b"more" => Verdict::Continue(b"go on".as_slice().into()),
            b"away" => Verdict::Refuse {
                reason: Reason::USE_ANOTHER_SERVER,
                server_reference: Some("elsewhere:1883".into()),
                data: Box::default(),
            },
            _ => refuse(Reason::NOT_AUTHORIZED),
        },
    }
}
