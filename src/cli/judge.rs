//! What each option holds against its value: the sentence when it is wrong, clean words when right.
//!
//! The sentences are those of mosquitto's clients; under the name `mqttx` they are told in our own
//! form (`error.rs`). Judging happens in the lexer, so that of several mistakes the leftmost is told.

use crate::cli::Manner;
use crate::cli::Program;
use crate::cli::address::{self, ProxyKind};
use crate::cli::format::Template;
use crate::cli::lexer::Clean;
use crate::cli::number;
use crate::cli::words::Verdict;
use crate::mqtt::topic;

pub(crate) fn count(given: i64) -> Verdict {
    Verdict::spaced(format!("Invalid message count \"{given}\"."))
}

pub(crate) fn keep_alive(_: i64) -> Verdict {
    Verdict::spaced("Invalid keepalive given, it must be between 5 and 65535 inclusive.")
}

pub(crate) fn max_inflight(_: i64) -> Verdict {
    Verdict::spaced("Maximum inflight messages must be greater than 0.")
}

pub(crate) fn port(given: i64) -> Verdict {
    Verdict::tight(format!("Invalid port given: {given}"))
}

pub(crate) fn qos(given: i64) -> Verdict {
    Verdict::tight(format!("Invalid QoS given: {given}"))
}

pub(crate) fn will_qos(given: i64) -> Verdict {
    Verdict::spaced(format!("Invalid will QoS {given}."))
}

pub(crate) fn repeat(_: i64) -> Verdict {
    Verdict::spaced("--repeat argument must be >0.")
}

pub(crate) fn timeout(given: i64) -> Verdict {
    Verdict::spaced(format!("Invalid timeout \"{given}\"."))
}

pub(crate) fn no_retained(clean: &mut Clean) {
    clean.flag("no-retained");
    clean.put("retain-handling", "never");
}

/// A Subscription Option of version 5.
pub(crate) fn no_local(clean: &mut Clean) {
    clean.flag("no-local");
    clean.put("protocol-version", "mqttv5");
}

/// A scheme without an address: what `-L` would turn on. The port gives way to any `-p`.
pub(crate) fn protocol(clean: &mut Clean, value: &str) -> Result<(), Verdict> {
    let scheme = address::scheme(value).ok_or_else(|| {
        Verdict::spaced(format!(
            "--protocol is mqtt, mqtts, ws or wss, not '{value}'."
        ))
    })?;
    clean.put_first("port", scheme.port.to_string());
    if scheme.tls {
        clean.flag("tls-use-os-certs");
    }
    if scheme.websocket {
        clean.flag("ws");
    }
    Ok(())
}

pub(crate) fn retain_handling(clean: &mut Clean, value: &str) -> Result<(), Verdict> {
    if !matches!(value, "always" | "new" | "never") {
        return Err(Verdict::spaced(format!(
            "Unknown value '{value}' for --retain-handling."
        )));
    }
    clean.put("retain-handling", value);
    Ok(())
}

pub(crate) fn random_filter(clean: &mut Clean, value: &str) -> Result<(), Verdict> {
    let per_mille = (10.0 * fraction(clean, "--random-filter", value)?) as i32;
    if !(1..=1000).contains(&per_mille) {
        return Err(Verdict::spaced(
            "--random-filter chance must be between 0.1-100.0",
        ));
    }
    clean.put("random-filter", per_mille.to_string());
    Ok(())
}

/// Handed on in microseconds, rounded through single precision as mosquitto does.
pub(crate) fn repeat_delay(clean: &mut Clean, value: &str) -> Result<(), Verdict> {
    let seconds = fraction(clean, "--repeat-delay", value)? as f32;
    if seconds < 0.0 {
        return Err(Verdict::spaced("--repeat-delay argument must be >=0.0."));
    }
    clean.put("repeat-delay", ((seconds * 1.0e6) as u64).to_string());
    Ok(())
}

fn fraction(clean: &Clean, name: &str, value: &str) -> Result<f64, Verdict> {
    match clean.caller.manner {
        Manner::Mosquitto => Ok(number::leading_f64(value)),
        Manner::Mqttx => value
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .ok_or_else(|| Verdict::spaced(format!("{name} needs a number, not '{value}'."))),
    }
}

pub(crate) fn protocol_version(clean: &mut Clean, value: &str) -> Result<(), Verdict> {
    let ours = clean.caller.manner == Manner::Mqttx;
    let version = match value {
        "mqttv31" | "31" => "mqttv31",
        "mqttv311" | "311" => "mqttv311",
        "mqttv5" | "5" => "mqttv5",
        "3.1" if ours => "mqttv31",
        "3.1.1" if ours => "mqttv311",
        "5.0" if ours => "mqttv5",
        _ => return Err(Verdict::spaced("Invalid protocol version argument given.")),
    };
    clean.put("protocol-version", version);
    Ok(())
}

/// Implies version 5, as the property exists nowhere else.
pub(crate) fn session_expiry(clean: &mut Clean, value: &str) -> Result<(), Verdict> {
    let seconds = match value {
        "∞" => u32::MAX,
        _ => match number::whole_i64(value) {
            None => return Err(Verdict::spaced("session-expiry-interval not a number.")),
            Some(-1) => u32::MAX,
            Some(seconds) => u32::try_from(seconds)
                .map_err(|_| Verdict::spaced("session-expiry-interval out of range."))?,
        },
    };
    clean.put("session-expiry", seconds.to_string());
    clean.put("protocol-version", "mqttv5");
    Ok(())
}

pub(crate) fn tls_version(clean: &mut Clean, value: &str) -> Result<(), Verdict> {
    clean.put("tls-version", value);
    Ok(())
}

pub(crate) fn key_form(clean: &mut Clean, value: &str) -> Result<(), Verdict> {
    clean.put("keyform", value);
    Ok(())
}

pub(crate) fn format(clean: &mut Clean, value: &str) -> Result<(), Verdict> {
    Template::parse(value).map_err(Verdict::tight)?;
    clean.put("output-format", value);
    Ok(())
}

/// A topic name for `pub` and `rr`, a topic filter for `sub`.
pub(crate) fn topic(clean: &mut Clean, value: &str) -> Result<(), Verdict> {
    named_topic(clean, value, "-t")
}

fn named_topic(clean: &mut Clean, value: &str, named: &str) -> Result<(), Verdict> {
    readable(clean, value, named)?;
    match clean.caller.program {
        Program::Publish | Program::Request => name(value, "publish")?,
        Program::Subscribe | Program::Record | Program::List | Program::Top => {
            filter(value, "subscription")?;
        }
        // What a URL says behind the broker is nothing to these.
        Program::Ping | Program::Ctrl | Program::Replay => return Ok(()),
    }
    clean.put("topic", value);
    Ok(())
}

pub(crate) fn response_topic(clean: &mut Clean, value: &str) -> Result<(), Verdict> {
    readable(clean, value, "-e")?;
    name(value, "response")?;
    clean.put("response-topic", value);
    Ok(())
}

pub(crate) fn will_topic(clean: &mut Clean, value: &str) -> Result<(), Verdict> {
    readable(clean, value, "--will-topic")?;
    name(value, "will")?;
    clean.put("will-topic", value);
    Ok(())
}

pub(crate) fn filter_out(clean: &mut Clean, value: &str) -> Result<(), Verdict> {
    readable(clean, value, "-T")?;
    filter(value, "filter")?;
    clean.put("filter-out", value);
    Ok(())
}

pub(crate) fn unsubscribe(clean: &mut Clean, value: &str) -> Result<(), Verdict> {
    readable(clean, value, "-U")?;
    filter(value, "unsubscribe")?;
    clean.put("unsubscribe", value);
    Ok(())
}

fn name(value: &str, what: &str) -> Result<(), Verdict> {
    topic::check_name(value).map_err(|_| {
        Verdict::tight(format!(
            "Invalid {what} topic '{value}', does it contain '+' or '#'?"
        ))
    })
}

fn filter(value: &str, what: &str) -> Result<(), Verdict> {
    topic::check_filter(value).map_err(|_| {
        Verdict::tight(format!(
            "Invalid {what} topic '{value}', are all '+' and '#' wildcards correct?"
        ))
    })
}

/// mosquitto calls control characters and Unicode's non-characters malformed too; the standard
/// only lets a peer refuse them ([MQTT-1.5.4-1] knows no such rule), so under our own name they pass.
fn readable(clean: &Clean, value: &str, named: &str) -> Result<(), Verdict> {
    let strict = clean.caller.manner == Manner::Mosquitto;
    if strict && value.chars().any(|c| c.is_control() || is_non_character(c)) {
        return Err(Verdict::spaced(format!(
            "Malformed UTF-8 in {named} argument."
        )));
    }
    Ok(())
}

fn is_non_character(c: char) -> bool {
    let code = u32::from(c);
    (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE
}

/// `-L` stands for a host, a port, a topic and what the scheme brings along.
pub(crate) fn url(clean: &mut Clean, value: &str) -> Result<(), Verdict> {
    let topicless = matches!(
        clean.caller.program,
        Program::Ping | Program::Ctrl | Program::Replay
    );
    let whole = if topicless {
        format!("{value}/")
    } else {
        value.to_owned()
    };
    let url = address::split_url(&whole)?;
    named_topic(clean, url.topic, "-L topic")?;
    if let Some(user_name) = url.user_name {
        clean.put("username", user_name);
    }
    if let Some(password) = url.password {
        clean.put("pw", password);
    }
    clean.put("host", url.host);
    let port = match url.port {
        None => i32::from(url.scheme.port),
        Some(text) => number::leading_i32(text),
    };
    let port = u16::try_from(port).map_err(|_| self::port(i64::from(port)))?;
    clean.put("port", port.to_string());
    if url.scheme.tls {
        clean.flag("tls-use-os-certs");
    }
    if url.scheme.websocket {
        clean.flag("ws");
    }
    Ok(())
}

pub(crate) fn proxy(clean: &mut Clean, value: &str) -> Result<(), Verdict> {
    let proxy = address::Proxy::parse(value)?;
    if clean.caller.manner == Manner::Mosquitto && proxy.kind == ProxyKind::Http {
        return Err(address::unsupported(value));
    }
    clean.put("proxy", value);
    Ok(())
}
