//! The values of a bridge's directives that have a shape of their own: addresses, topics, times.

use std::time::Duration;

use crate::daemon::conf::value::{Int, Kind, Trouble, word};
use crate::mqtt::QoS;
use crate::mqtt::topic;

/// Where a bridge connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeAddress {
    /// Name or IP address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// All addresses of a bridge, the first one preferred.
pub enum BridgeAddresses {}

impl Kind for BridgeAddresses {
    type Value = Vec<BridgeAddress>;
    const FORM: &'static str = "HOST[:PORT] [HOST[:PORT] …]";

    fn read(text: &str) -> Result<Vec<BridgeAddress>, Trouble> {
        let words = text.split(' ').filter(|word| !word.is_empty());
        let words = words.take_while(|word| !word.starts_with('#'));
        let list: Vec<_> = words.map(address).collect::<Result<_, _>>()?;
        match list.is_empty() {
            true => Err(said("Error: Empty address value in configuration.")),
            false => Ok(list),
        }
    }

    fn add(_: &mut Vec<BridgeAddress>, _: &str) -> Result<(), Trouble> {
        Err(said(
            "Error: Invalid bridge configuration, 'address' only allowed once.",
        ))
    }

    fn show(list: &Vec<BridgeAddress>) -> String {
        let one = |address: &BridgeAddress| format!("{}:{}", address.host, address.port);
        list.iter().map(one).collect::<Vec<_>>().join(" ")
    }
}

fn said(sentence: impl Into<String>) -> Trouble {
    Trouble::Said(sentence.into())
}

/// The port stands behind the last colon; an IPv6 address must have one.
fn address(text: &str) -> Result<BridgeAddress, Trouble> {
    let Some((host, port)) = text.rsplit_once(':') else {
        return Ok(BridgeAddress {
            host: text.to_owned(),
            port: 1883,
        });
    };
    let bad = || said(format!("Error: Invalid bridge port value ({port})."));
    let number: u16 = port.parse().map_err(|_| bad())?;
    if number == 0 {
        return Err(bad());
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok(BridgeAddress {
        host: host.to_owned(),
        port: number,
    })
}

/// Which way messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From here to the other broker.
    Out,
    /// From the other broker to here.
    In,
    /// Both ways.
    Both,
}

/// A line of topics that a bridge carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeTopic {
    /// The filter behind both prefixes; empty carries exactly one topic under two names.
    pub pattern: String,
    /// Which way.
    pub direction: Direction,
    /// The QoS at most.
    pub qos: QoS,
    /// In front of the pattern here.
    pub local_prefix: String,
    /// In front of the pattern there.
    pub remote_prefix: String,
}

/// All topics of a bridge.
pub enum BridgeTopics {}

impl Kind for BridgeTopics {
    type Value = Vec<BridgeTopic>;
    const FORM: &'static str = "PATTERN [out | in | both [QOS [LOCAL-PREFIX [REMOTE-PREFIX]]]]";

    fn read(text: &str) -> Result<Vec<BridgeTopic>, Trouble> {
        read_topic(text).map(|topic| vec![topic])
    }

    fn add(list: &mut Vec<BridgeTopic>, text: &str) -> Result<(), Trouble> {
        list.push(read_topic(text)?);
        Ok(())
    }

    fn show(list: &Vec<BridgeTopic>) -> String {
        let one = |topic: &BridgeTopic| topic.pattern.clone();
        list.iter().map(one).collect::<Vec<_>>().join(" ")
    }
}

fn read_topic(text: &str) -> Result<BridgeTopic, Trouble> {
    let (pattern, rest) = pattern(text)?;
    let words = rest.split(' ').filter(|word| !word.is_empty());
    let mut words = words.take_while(|word| !word.starts_with('#'));
    let direction = match words.next().map(str::to_ascii_lowercase).as_deref() {
        None | Some("out") => Direction::Out,
        Some("in") => Direction::In,
        Some("both") => Direction::Both,
        Some(other) => {
            return Err(said(format!(
                "Error: Invalid bridge topic direction '{other}'."
            )));
        }
    };
    let qos = words.next().unwrap_or("0");
    let level = qos.parse().ok().and_then(QoS::from_bits);
    let level = level.ok_or_else(|| said(format!("Error: Invalid bridge QoS level '{qos}'.")))?;
    let mut prefix = || match words.next() {
        None | Some("\"\"") => String::new(),
        Some(prefix) => prefix.to_owned(),
    };
    let topic = BridgeTopic {
        pattern,
        direction,
        qos: level,
        local_prefix: prefix(),
        remote_prefix: prefix(),
    };
    check_topic(&topic)?;
    Ok(topic)
}

/// A pattern ends at a blank, unless it stands in quotes.
fn pattern(text: &str) -> Result<(String, &str), Trouble> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (pattern, rest) = text.split_once(' ').unwrap_or((text, ""));
        return Ok((pattern.to_owned(), rest));
    };
    let missing = || {
        let rest = quoted.split_once(' ').map_or("", |(_, rest)| rest);
        said(format!(
            "Error: Missing closing quote in topic value ({rest})."
        ))
    };
    let (pattern, rest) = quoted.split_once('"').ok_or_else(missing)?;
    Ok((pattern.to_owned(), rest))
}

fn check_topic(topic: &BridgeTopic) -> Result<(), Trouble> {
    let prefixes = [
        ("local", &topic.local_prefix),
        ("remote", &topic.remote_prefix),
    ];
    for (side, prefix) in prefixes {
        if prefix.contains(['+', '#']) {
            return Err(said(format!(
                "Error: Invalid bridge topic {side} prefix '{prefix}'."
            )));
        }
        let whole = format!("{prefix}{}", topic.pattern);
        if topic.pattern.is_empty() && prefix.is_empty() {
            return Err(said("Error: Invalid bridge remapping."));
        }
        if topic::check_filter(&whole).is_err() {
            return Err(said(format!(
                "Error: Invalid bridge topic {side} prefix and pattern combination '{whole}'."
            )));
        }
    }
    Ok(())
}

/// How long a bridge waits before it tries again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestartTimeout {
    /// Always as long.
    Constant(Duration),
    /// At random, growing from the first to the second. Once a connection stood for the third,
    /// from the start.
    Backoff(Duration, Duration, Duration),
}

impl Kind for RestartTimeout {
    type Value = Self;
    const FORM: &'static str = "SECONDS | BASE CAP [STABLE]";

    fn read(text: &str) -> Result<Self, Trouble> {
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        let mut number = || {
            let number = words.next().map(str::parse::<i64>);
            number.transpose().map_err(|_| Trouble::NoNumber)
        };
        let base = number()?.unwrap_or(0).clamp(1, 3_600);
        let seconds = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
        let Some(cap) = number()? else {
            return Ok(Self::Constant(seconds(base)));
        };
        if cap < base {
            return Err(said(
                "Error: backoff cap is lower than the base in restart_timeout.",
            ));
        }
        let stable = number()?.unwrap_or(0);
        if stable < 0 {
            return Err(said("Error: stable connection period cannot be negative."));
        }
        Ok(Self::Backoff(
            seconds(base),
            seconds(cap.min(7_200)),
            seconds(stable),
        ))
    }

    fn show(value: &Self) -> String {
        match value {
            Self::Constant(time) => time.as_secs().to_string(),
            Self::Backoff(base, cap, _) => format!("{} {}", base.as_secs(), cap.as_secs()),
        }
    }
}

/// When TCP asks a silent peer, how often, and when it gives up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpKeepAlive {
    /// Silence before the first question.
    pub idle: Duration,
    /// Between two questions.
    pub interval: Duration,
    /// Questions without an answer.
    pub count: u32,
}

impl Kind for TcpKeepAlive {
    type Value = Self;
    const FORM: &'static str = "IDLE INTERVAL COUNT";

    fn read(text: &str) -> Result<Self, Trouble> {
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        let mut number = |what: &str| {
            let word = words.next().ok_or_else(|| {
                said(format!(
                    "Error: Empty 'bridge_tcp_keepalive_{what}' value in configuration."
                ))
            })?;
            let number = Int::<{ i64::MIN }, { i64::MAX }>::read(word)?;
            u32::try_from(number)
                .ok()
                .filter(|&number| number > 0)
                .ok_or_else(|| said(format!("Error: invalid TCP keepalive {what} value.")))
        };
        Ok(Self {
            idle: Duration::from_secs(number("idle")?.into()),
            interval: Duration::from_secs(number("interval")?.into()),
            count: number("counter")?,
        })
    }

    fn show(value: &Self) -> String {
        let (idle, interval) = (value.idle.as_secs(), value.interval.as_secs());
        format!("{idle} {interval} {}", value.count)
    }
}

/// The sentence about a word that is none of a choice.
fn refused(word: &str, sentence: &str) -> String {
    match word {
        "manual" => "Error: Manual start_type not supported.".to_owned(),
        _ => sentence.replace("{}", word),
    }
}

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident: $form:literal, $sentence:literal {
        $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl Kind for $name {
            type Value = Self;
            const FORM: &'static str = $form;

            fn read(text: &str) -> Result<Self, Trouble> {
                match word(text) {
                    $($word => Ok(Self::$variant),)+
                    other => Err(said(refused(other, $sentence))),
                }
            }

            fn show(value: &Self) -> String {
                match value { $(Self::$variant => $word,)+ }.to_owned()
            }
        }
    };
}

choice! {
    /// When a bridge connects.
    StartType: "automatic | lazy | once",
    "Error: Invalid 'start_type' value in configuration ({})." {
        /// At once, and again whenever the connection is lost.
        Automatic = "automatic",
        /// When messages wait.
        Lazy = "lazy",
        /// At once, and never again.
        Once = "once",
    }
}

choice! {
    /// What a changed bridge does on reload.
    ReloadType: "lazy | immediate",
    "Error: Invalid 'bridge_reload_type' value in configuration ({})." {
        /// The change is used with the next connection.
        Lazy = "lazy",
        /// It connects anew.
        Immediate = "immediate",
    }
}

choice! {
    /// What a bridge speaks.
    BridgeVersion: "mqttv31 | mqttv311 | mqttv50",
    "Error: Invalid 'bridge_protocol_version' value ({})." {
        /// 3.1
        V31 = "mqttv31",
        /// 3.1.1
        V311 = "mqttv311",
        /// 5.0
        V5 = "mqttv50",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_has_up_to_five_parts() {
        let read = |text| read_topic(text).unwrap();
        let plain = read("a/#");
        assert_eq!(
            (plain.pattern.as_str(), plain.direction),
            ("a/#", Direction::Out)
        );
        let full = read("# both 2 here/ there/");
        assert_eq!(full.direction, Direction::Both);
        assert_eq!(full.qos, QoS::ExactlyOnce);
        assert_eq!(full.local_prefix, "here/");
        assert_eq!(full.remote_prefix, "there/");
        let one = read("\"\" in 1 a b");
        assert_eq!((one.pattern.as_str(), one.local_prefix.as_str()), ("", "a"));
        assert_eq!(read("\"with a blank/#\" in").pattern, "with a blank/#");
        assert_eq!(read("x out 1 \"\" r/ # words").local_prefix, "");
    }

    #[test]
    fn a_bad_topic_is_told() {
        let check = |text, expected: &str| {
            assert_eq!(read_topic(text), Err(said(expected)), "{text}");
        };
        check(
            "a sideways",
            "Error: Invalid bridge topic direction 'sideways'.",
        );
        check("a in 3", "Error: Invalid bridge QoS level '3'.");
        check(
            "\"missing quote",
            "Error: Missing closing quote in topic value (quote).",
        );
        check(
            "a in 0 +/ x",
            "Error: Invalid bridge topic local prefix '+/'.",
        );
        check("\"\" in 0", "Error: Invalid bridge remapping.");
        check(
            "a/#/b in 0 l/ r/",
            "Error: Invalid bridge topic local prefix and pattern combination 'l/a/#/b'.",
        );
    }

    #[test]
    fn addresses_have_ports() {
        let hosts = BridgeAddresses::read("a b:1 [::1]:2 # 3").unwrap();
        let shown = BridgeAddresses::show(&hosts);
        assert_eq!(shown, "a:1883 b:1 ::1:2");
        assert!(BridgeAddresses::read("a:0").is_err());
        assert!(BridgeAddresses::read("a:70000").is_err());
    }
}
