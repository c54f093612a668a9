//! What `mqttx pub` makes messages of, beyond words, files and lines.

use std::time::Duration;

use clap::Args;

use crate::cli::args::reach::Reach;
use crate::cli::encoding::Format;

/// What `pub` knows beyond mosquitto_pub.
#[derive(Args, Clone, Debug, Default)]
pub struct Beyond {
    #[command(flatten)]
    pub making: Making,

    #[command(flatten)]
    pub reach: Reach,
}

#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Message")]
pub struct Making {
    /// Each line of standard input is a topic, a tab (or SEP) and a payload
    #[arg(long, value_name = "SEP", num_args = 0..=1, require_equals = true)]
    pub topic_from_line: Option<String>,

    /// Each line of standard input is a JSON object: topic, payload or payload_b64 or payload_hex, qos,
    /// retain, properties; what is missing is as -t, -q and -r say
    #[arg(long)]
    pub jsonl: bool,

    /// Make each payload from a template: a file, or temperature, weather, device, counter
    #[arg(long, value_name = "FILE|NAME")]
    pub template: Option<String>,

    /// Seed of the chance in templates, for the same messages again
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,

    /// Send so many messages a second at most, such as 10/s or 6/m; without --repeat for ever
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub rate: Option<Duration>,

    /// What payloads are typed as: hex, base64, json, cbor or msgpack (both typed as JSON)
    #[arg(long, value_name = "FORMAT", value_parser = Format::parse)]
    pub format: Option<Format>,

    /// A payload of so many bytes, such as 64 or 4KiB: the digits 0 to 9, again and again
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub payload_size: Option<usize>,

    /// At QoS 0 too, end with 0 only when the broker has answered a PINGREQ behind the last message
    #[arg(long)]
    pub confirm: bool,
}

impl Making {
    /// Whether lines of standard input are read, other than as payloads.
    pub fn reads_lines(&self) -> bool {
        self.jsonl || self.topic_from_line.is_some()
    }

    /// Sources of payloads that were named.
    pub(crate) fn sources(&self) -> Vec<&'static str> {
        let named = [
            (self.topic_from_line.is_some(), "--topic-from-line"),
            (self.jsonl, "--jsonl"),
            (self.template.is_some(), "--template"),
            (self.payload_size.is_some(), "--payload-size"),
        ];
        named
            .into_iter()
            .filter(|(is_named, _)| *is_named)
            .map(|(_, name)| name)
            .collect()
    }
}

/// The pause between two messages.
pub(crate) fn rate(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no rate; such are 10, 10/s, 6/m, 0.5/s, 20k/s");
    let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
    let seconds = match unit {
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        _ => return Err(wrong()),
    };
    let (number, factor) = match number.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1e3),
        None => (number, 1.0),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let pause = seconds / (number * factor);
    // From ten million a second down to one in three days.
    if !(1e-7..=3e5).contains(&pause) {
        return Err(wrong());
    }
    Ok(Duration::from_secs_f64(pause))
}

/// Bytes of a payload; no packet holds more than 256 MiB.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let wrong = || format!("'{text}' is no size up to 256MiB; such are 64, 4k, 4KiB");
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let factor = match text[end..].trim_end_matches('B') {
        "" => 1,
        "k" | "K" => 1_000,
        "M" => 1_000_000,
        "Ki" | "ki" => 1 << 10,
        "Mi" => 1 << 20,
        _ => return Err(wrong()),
    };
    let number: usize = text[..end].parse().map_err(|_| wrong())?;
    number
        .checked_mul(factor)
        .filter(|&bytes| bytes <= 256 << 20)
        .ok_or_else(wrong)
}

/// What separates topic and payload; `\t` and `\0` may be written so.
pub(crate) fn separator(text: &str) -> Result<(), String> {
    match text {
        "" => Err("something must separate topic and payload".to_owned()),
        _ if text.contains('\n') => Err("a line has no newline inside".to_owned()),
        _ => Ok(()),
    }
}

pub(crate) fn rate_fits(text: &str) -> Result<(), String> {
    rate(text).map(|_| ())
}

pub(crate) fn size_fits(text: &str) -> Result<(), String> {
    size(text).map(|_| ())
}

pub(crate) fn format_fits(text: &str) -> Result<(), String> {
    Format::parse(text).map(|_| ())
}

pub(crate) fn seed(text: &str) -> Result<(), String> {
    match text.parse::<u64>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("'{text}' is no whole number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        for (text, millis) in [
            ("10", 100),
            ("1/s", 1_000),
            ("6/m", 10_000),
            ("1k/s", 1),
            ("0.5", 2_000),
        ] {
            assert_eq!(rate(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for wrong in [
            "", "0", "-1", "x", "1/x", "nan", "inf", "1e99", "/s", "1/s/s",
        ] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("64", 64),
            ("4k", 4_000),
            ("4KiB", 4_096),
            ("1MB", 1_000_000),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "x", "-1", "1G", "300Mi", "99999999999999999999", "1.5k"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
