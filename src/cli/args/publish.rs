//! `mqttx pub`.

use std::time::Duration;

use clap::Args;

use crate::cli::args::connection::Connection;
use crate::cli::args::message::{Message, Source};
use crate::cli::args::reach::Reach;
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

    /// Publish this many times (with -m, -f, -n, -s)
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 1,
        help_heading = "Message"
    )]
    pub repeat: u32,

    /// Seconds to wait between repeated messages
    #[arg(long, value_name = "SECONDS", value_parser = parse_micros, help_heading = "Message")]
    pub repeat_delay: Option<Duration>,

    /// Parsed apart, and only when one of its words is there.
    #[arg(skip)]
    pub reach: Reach,

    #[command(flatten)]
    pub connection: Connection,

    #[command(flatten)]
    pub tls: Tls,

    #[command(flatten)]
    pub will: Will,
}

impl Publish {
    pub fn source(&self) -> Option<Source> {
        if self.stdin_line {
            Some(Source::Lines)
        } else {
            self.message.source()
        }
    }
}

/// The lexer hands fractions of seconds on as microseconds.
fn parse_micros(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_micros)
}
