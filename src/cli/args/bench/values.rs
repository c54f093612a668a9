//! Values in the words of `mqttx bench`: rates, sizes, times, and ranges of them.

use std::time::Duration;

use crate::cli::address::Proxy;
use crate::cli::args::bench::{Ramp, Steps};
use crate::cli::property::{self, Property};
use crate::mqtt::Version;

pub(super) fn parse_version(text: &str) -> Result<Version, String> {
    match text {
        "31" | "3.1" | "mqttv31" => Ok(Version::V31),
        "311" | "3.1.1" | "mqttv311" => Ok(Version::V311),
        "5" | "5.0" | "mqttv5" => Ok(Version::V5),
        _ => Err("5, 311 or 31 is wanted".to_owned()),
    }
}

/// `20k`, `1.5M`, `4KiB`: a number, a factor, and a unit nobody needs.
fn parse_number(text: &str) -> Result<f64, String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_')
        .unwrap_or(text.len());
    let number: f64 = text[..end]
        .replace('_', "")
        .parse()
        .map_err(|_| format!("'{text}' is no number"))?;
    let factor = match text[end..].trim_end_matches("/s").trim_end_matches('B') {
        "" => 1.0,
        "k" | "K" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "Ki" | "ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        _ => return Err(format!("'{text}': k, M, Ki or Mi may follow a number")),
    };
    Ok(number * factor)
}

pub(crate) fn parse_rate(text: &str) -> Result<f64, String> {
    match parse_number(text)? {
        rate if rate > 0.0 && rate <= 1e9 => Ok(rate),
        _ => Err("a rate lies above 0 and up to 1G a second".to_owned()),
    }
}

pub(super) fn parse_steps(text: &str) -> Result<Steps, String> {
    let wanted = || "such are 1k..50k:8".to_owned();
    let (range, count) = text.split_once(':').unwrap_or((text, "8"));
    let (from, to) = range.split_once("..").ok_or_else(wanted)?;
    let (from, to) = (parse_rate(from)?, parse_rate(to)?);
    match count.parse() {
        Ok(2..=100) if from >= to => Err(format!("{}, rising", wanted())),
        // Steps lie at whole numbers, no two at the same.
        Ok(count @ 2..=100) if from < 1.0 || to - from < f64::from(count - 1) => Err(format!(
            "{count} steps from {from} to {to} are less than a message a second apart"
        )),
        Ok(count @ 2..=100) => Ok(Steps { from, to, count }),
        _ => Err(format!("{}, at least two of them, rising", wanted())),
    }
}

pub(super) fn parse_ramp(text: &str) -> Result<Ramp, String> {
    let wanted = || "such is 0..20k:30s".to_owned();
    let (range, time) = text.split_once(':').ok_or_else(wanted)?;
    let (from, to) = range.split_once("..").ok_or_else(wanted)?;
    let from = match parse_number(from)? {
        0.0 => 0.0,
        _ => parse_rate(from)?,
    };
    let (to, time) = (parse_rate(to)?, parse_time(time)?);
    if from >= to || time.is_zero() {
        return Err(format!("{}, rising", wanted()));
    }
    Ok(Ramp { from, to, time })
}

pub(super) fn parse_proxy(text: &str) -> Result<Proxy, String> {
    Proxy::parse(text).map_err(|verdict| verdict.sentence)
}

/// The words of one property in one: a value may have spaces, a key may not.
pub(super) fn parse_property(text: &str) -> Result<Property, String> {
    let mut words = text.split_whitespace();
    let is_pair = words
        .nth(1)
        .is_some_and(|name| property::is_pair(name.as_ref()));
    let words: Vec<&str> = text.splitn(if is_pair { 4 } else { 3 }, ' ').collect();
    Property::unpack(&words.join("\0"))
}

pub(super) fn parse_sizes(text: &str) -> Result<(usize, usize), String> {
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    let (least, most) = (parse_number(least)?, parse_number(most)?);
    if least > most || most > 200e6 {
        return Err("a payload has up to 200M bytes, the smaller number first".to_owned());
    }
    Ok((least as usize, most as usize))
}

pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let number: f64 = text[..end]
        .parse()
        .map_err(|_| format!("'{text}' is no time; such are 5s, 500ms, 2m"))?;
    let seconds = match &text[end..] {
        "ns" => number / 1e9,
        "us" | "µs" => number / 1e6,
        "ms" => number / 1e3,
        "" | "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3_600.0,
        _ => return Err(format!("'{text}': ms, s, m or h may follow a number")),
    };
    if seconds > 72.0 * 3_600.0 {
        return Err("72 hours are the longest".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        assert_eq!(parse_rate("20k/s"), Ok(20_000.0));
        assert_eq!(parse_rate("1.5M"), Ok(1_500_000.0));
        assert_eq!(parse_rate("0.5"), Ok(0.5));
        for wrong in ["0", "", "x", "5q", "2G", "-1"] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn steps() {
        let steps = parse_steps("1k..50k:8").unwrap();
        assert_eq!((steps.from, steps.to, steps.count), (1e3, 50e3, 8));
        for wrong in ["1k", "2k..1k", "1..2:1", "1..2:x", "1..2:3", "0.1..0.4:2"] {
            assert!(parse_steps(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ramps_and_properties() {
        let ramp = parse_ramp("0..20k:30s").unwrap();
        assert_eq!((ramp.from, ramp.to, ramp.time.as_secs()), (0.0, 2e4, 30));
        for wrong in ["20k:3s", "2..1:3s", "1..2", "1..2:0s"] {
            assert!(parse_ramp(wrong).is_err(), "{wrong}");
        }
        assert!(parse_property("publish user-property k some words").is_ok());
        assert!(parse_property("publish message-expiry-interval 60").is_ok());
        for wrong in [
            "publish",
            "publish nothing 1",
            "publish message-expiry-interval x",
        ] {
            assert!(parse_property(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_sizes("64"), Ok((64, 64)));
        assert_eq!(parse_sizes("16..1k"), Ok((16, 1_000)));
        assert_eq!(parse_sizes("4KiB"), Ok((4_096, 4_096)));
        for wrong in ["9..8", "..", "1G", "x"] {
            assert!(parse_sizes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(parse_time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_time("2"), Ok(Duration::from_secs(2)));
        assert_eq!(parse_time("1.5m"), Ok(Duration::from_secs(90)));
        for wrong in ["", "x", "5y", "100h"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }
}
