//! What becomes of a line or a template before it is a message: topics from lines, JSON lines, other
//! clothes for payloads, and the pace at which they leave.

use std::time::{Duration, Instant};

use crate::cli::args::making::Making;
use crate::cli::encoding::Format;
use crate::cli::jsonl::Line;
use crate::mqtt::QoS;
use crate::mqtt::property::PropertiesBuf;

/// How far behind its schedule a publisher may catch up.
const CATCH_UP: Duration = Duration::from_millis(100);

/// A message that says more than its payload.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) topic: Option<String>,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: Option<QoS>,
    pub(crate) retain: Option<bool>,
    pub(crate) properties: Option<PropertiesBuf>,
}

/// What a line of standard input is.
#[derive(Debug)]
enum Reading {
    Payload,
    TopicAndPayload(String),
    Json,
}

/// Turns lines into messages.
#[derive(Debug)]
pub(crate) struct Maker {
    reading: Reading,
    format: Option<Format>,
}

impl Maker {
    /// None when a line is just a payload.
    pub(crate) fn new(making: &Making) -> Option<Self> {
        let reading = match &making.topic_from_line {
            _ if making.jsonl => Reading::Json,
            Some(separator) => Reading::TopicAndPayload(unescaped(separator)),
            None if making.format.is_some() => Reading::Payload,
            None => return None,
        };
        Some(Self {
            reading,
            format: making.format,
        })
    }

    pub(crate) fn line(&self, line: &[u8]) -> Result<Made, String> {
        let mut made = match &self.reading {
            Reading::Payload => Made::payload(line.to_vec()),
            Reading::TopicAndPayload(separator) => split(line, separator)?,
            Reading::Json => {
                let line = Line::parse(line)?;
                Made {
                    topic: line.topic,
                    payload: line.payload,
                    qos: line.qos.and_then(QoS::from_bits),
                    retain: line.retain,
                    properties: line.properties,
                }
            }
        };
        if let Some(format) = self.format {
            made.payload = format.encode(&made.payload)?;
        }
        Ok(made)
    }
}

impl Made {
    fn payload(payload: Vec<u8>) -> Self {
        Self {
            topic: None,
            payload,
            qos: None,
            retain: None,
            properties: None,
        }
    }
}

fn split(line: &[u8], separator: &str) -> Result<Made, String> {
    let separator = separator.as_bytes();
    let at = line
        .windows(separator.len())
        .position(|window| window == separator)
        .ok_or_else(|| {
            format!(
                "no '{}' between topic and payload",
                separator.escape_ascii()
            )
        })?;
    let topic = std::str::from_utf8(&line[..at]).map_err(|_| "the topic is not UTF-8")?;
    Ok(Made {
        topic: Some(topic.to_owned()),
        ..Made::payload(line[at + separator.len()..].to_vec())
    })
}

fn unescaped(separator: &str) -> String {
    separator.replace("\\t", "\t").replace("\\0", "\0")
}

/// The digits, again and again.
pub(crate) fn digits(count: usize) -> Vec<u8> {
    b"0123456789".iter().copied().cycle().take(count).collect()
}

/// When the next message may leave.
#[derive(Debug)]
pub(crate) struct Pace {
    every: Duration,
    next: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(every: Duration) -> Self {
        Self { every, next: None }
    }

    /// The time to wait for, if it is not there yet.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.next.filter(|next| *next > Instant::now())
    }

    /// A message left. Small delays are caught up, so that the rate holds; long ones are not, so
    /// that there is no flood behind them.
    pub(crate) fn sent(&mut self) {
        let now = Instant::now();
        let earliest = now
            .checked_sub(CATCH_UP.min(self.every * 100))
            .unwrap_or(now);
        self.next = Some(self.next.unwrap_or(now).max(earliest) + self.every);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maker(making: &Making) -> Maker {
        Maker::new(making).unwrap()
    }

    #[test]
    fn lines_with_topics() {
        let mut making = Making {
            topic_from_line: Some("\\t".to_owned()),
            ..Making::default()
        };
        let made = maker(&making).line(b"a/b\tx\ty").unwrap();
        assert_eq!(made.topic.as_deref(), Some("a/b"));
        assert_eq!(made.payload, b"x\ty");
        assert!(maker(&making).line(b"a/b x").is_err());
        assert!(maker(&making).line(b"\xff\tx").is_err());
        making.format = Some(Format::Hex);
        assert_eq!(maker(&making).line(b"a\t00ff").unwrap().payload, [0, 255]);
        assert!(maker(&making).line(b"a\t0").is_err());
        assert!(Maker::new(&Making::default()).is_none());
    }

    #[test]
    fn payloads_of_a_size() {
        assert_eq!(digits(12), b"012345678901");
        assert_eq!(digits(0), b"");
    }
}
