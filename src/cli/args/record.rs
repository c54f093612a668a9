//! `mqttx record`, `mqttx replay`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::args::approach::Approach;

#[derive(Args, Clone, Debug)]
pub struct Record {
    /// Topic Filter to record; repeatable (# by default)
    #[arg(short, long, value_name = "FILTER", help_heading = "Recording")]
    pub topic: Vec<String>,

    /// QoS to ask for
    #[arg(
        short,
        long,
        value_name = "0|1|2",
        default_value_t = 0,
        help_heading = "Recording"
    )]
    pub qos: u8,

    /// Write to this file in place of standard output
    #[arg(long, value_name = "FILE", help_heading = "Recording")]
    pub out: Option<PathBuf>,

    /// Leave out retained messages
    #[arg(short = 'R', long, help_heading = "Recording")]
    pub no_retained: bool,

    /// End after this many messages
    #[arg(short = 'C', long, value_name = "COUNT", help_heading = "Recording")]
    pub count: Option<u32>,

    /// End after this many seconds
    #[arg(short = 'W', long, value_name = "SECONDS", help_heading = "Recording")]
    pub timeout: Option<u32>,

    #[command(flatten)]
    pub approach: Approach,
}

#[derive(Args, Clone, Debug)]
pub struct Replay {
    /// Recording to read [default: standard input]
    #[arg(short, long, value_name = "FILE", help_heading = "Replaying")]
    pub file: Option<PathBuf>,

    /// How fast: 2x is twice as fast as recorded, max without any pause
    #[arg(long, value_name = "SPEED", default_value = "1x", value_parser = Speed::parse)]
    #[arg(help_heading = "Replaying")]
    pub speed: Speed,

    /// Start again at the end, until Ctrl-C; needs --file
    #[arg(long, help_heading = "Replaying")]
    pub r#loop: bool,

    /// Replace the beginning A of topics by B; repeatable, the first that fits counts
    #[arg(long, value_name = "A=B", value_parser = Map::parse, help_heading = "Replaying")]
    pub map: Vec<Map>,

    #[command(flatten)]
    pub approach: Approach,
}

/// What a pause of the recording is divided by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    Times(f64),
    Max,
}

impl Speed {
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let number = text.strip_suffix('x').unwrap_or(text).parse::<f64>().ok();
        number
            .filter(|times| (1e-6..=1e6).contains(times))
            .map(Self::Times)
            .ok_or_else(|| format!("'{text}' is no speed; such are 2x, 0.5x, max"))
    }

    /// When a message recorded at this second is due, from the start.
    pub fn due(self, at: f64) -> Duration {
        match self {
            Self::Max => Duration::ZERO,
            Self::Times(times) => Duration::try_from_secs_f64(at / times).unwrap_or(Duration::MAX),
        }
    }
}

/// Another beginning for topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    from: String,
    to: String,
}

impl Map {
    pub fn parse(text: &str) -> Result<Self, String> {
        let (from, to) = text
            .split_once('=')
            .ok_or_else(|| format!("'{text}' is not A=B"))?;
        if to.contains(['+', '#']) {
            return Err(format!("'{to}' has a wildcard, and a topic has none"));
        }
        Ok(Self {
            from: from.to_owned(),
            to: to.to_owned(),
        })
    }

    /// Whole levels only: `a=b` leaves `ab/c` alone.
    pub fn apply(&self, topic: &str) -> Option<String> {
        let rest = topic.strip_prefix(&self.from)?;
        let is_whole = rest.is_empty()
            || rest.starts_with('/')
            || self.from.is_empty()
            || self.from.ends_with('/');
        is_whole.then(|| format!("{}{rest}", self.to))
    }
}

#[derive(Args, Clone, Debug)]
pub struct List {
    /// Topic Filter to look at; repeatable (# by default)
    #[arg(short, long, value_name = "FILTER", help_heading = "List")]
    pub topic: Vec<String>,

    /// Look for this many seconds [default: until nothing has come for half a second, 10 at most]
    #[arg(short = 'W', long, value_name = "SECONDS", help_heading = "List")]
    pub timeout: Option<u32>,

    /// Show levels below each other
    #[arg(long, help_heading = "List")]
    pub tree: bool,

    /// Show the last payload of each topic too
    #[arg(short, long, help_heading = "List")]
    pub verbose: bool,

    #[command(flatten)]
    pub approach: Approach,
}

pub(crate) fn speed(text: &str) -> Result<(), String> {
    Speed::parse(text).map(|_| ())
}

pub(crate) fn map(text: &str) -> Result<(), String> {
    Map::parse(text).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds() {
        assert_eq!(Speed::parse("2x"), Ok(Speed::Times(2.0)));
        assert_eq!(Speed::parse("0.5"), Ok(Speed::Times(0.5)));
        assert_eq!(Speed::parse("max"), Ok(Speed::Max));
        for wrong in ["", "0", "-1x", "fast", "inf", "nan"] {
            assert!(Speed::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Speed::Times(2.0).due(3.0), Duration::from_millis(1_500));
    }

    #[test]
    fn topics_under_another_name() {
        for (map, topic, expected) in [
            ("a=b", "a/c", Some("b/c")),
            ("a=b", "a", Some("b")),
            ("a=b", "ab/c", None),
            ("a/=", "a/c", Some("c")),
            ("=test/", "a/c", Some("test/a/c")),
        ] {
            let map = Map::parse(map).unwrap();
            assert_eq!(map.apply(topic).as_deref(), expected, "{topic}");
        }
        assert!(Map::parse("a").is_err());
        assert!(Map::parse("a=b/#").is_err());
    }
}
