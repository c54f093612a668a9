//! `mqttx pub`.

use std::time::Duration;

use clap::Args;

use crate::cli::args::connection::Connection;
use crate::cli::args::making::Beyond;
use crate::cli::args::message::{Message, Source};
use crate::cli::args::tls::Tls;
use crate::cli::args::will::Will;

#[derive(Args, Clone, Debug)]
pub struct Publish {
    /// Topic to publish to
    #[arg(short, long, value_name = "TOPIC", help_heading = "Message")]
    pub topic: Option<String>,

    #[command(flatten)]
    pub message: Message,

    /// Publish each line of standard input
    #[arg(short = 'l', long, help_heading = "Message")]
    pub stdin_line: bool,

    /// QoS of the messages
    #[arg(
        short,
        long,
        value_name = "0|1|2",
        default_value_t = 0,
        help_heading = "Message"
    )]
    pub qos: u8,

    /// Let the broker retain the message
    #[arg(short, long, help_heading = "Message")]
    pub retain: bool,

    /// Publish this many times (with -m, -f, -n, -s, --template) [default: 1, with --rate no end]
    #[arg(long, value_name = "COUNT", help_heading = "Message")]
    pub repeat: Option<u32>,

    /// Seconds to wait between repeated messages
    #[arg(long, value_name = "SECONDS", value_parser = parse_micros, help_heading = "Message")]
    pub repeat_delay: Option<Duration>,

    #[command(flatten)]
    pub connection: Connection,

    // Each parsed apart, and only when one of its words is there.
    #[arg(skip)]
    pub beyond: Beyond,

    #[arg(skip)]
    pub tls: Tls,

    #[arg(skip)]
    pub will: Will,
}

impl Publish {
    pub fn source(&self) -> Option<Source> {
        if self.stdin_line {
            return Some(Source::Lines);
        }
        let making = &self.beyond.making;
        match &making.template {
            _ if making.reads_lines() => Some(Source::Lines),
            Some(named) => Some(Source::Template(named.clone())),
            None => making
                .payload_size
                .map(Source::Size)
                .or_else(|| self.message.source()),
        }
    }

    /// Whether it goes on until somebody ends it.
    pub fn is_endless(&self) -> bool {
        let has_end = self.repeat.is_some() || self.source() == Some(Source::Lines);
        self.beyond.making.rate.is_some() && !has_end
    }

    /// Whether it is known what to say, and where.
    pub fn is_complete(&self) -> bool {
        let has_topic = self.topic.is_some() || self.beyond.making.reads_lines();
        has_topic && self.source().is_some()
    }
}

/// The lexer hands fractions of seconds on as microseconds.
fn parse_micros(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_micros)
}
