//! `mqttx rr`.

use clap::Args;

use crate::cli::args::connection::Connection;
use crate::cli::args::message::Message;
use crate::cli::args::output::Output;
use crate::cli::args::reach::Reach;
use crate::cli::args::subscribe::Retained;
use crate::cli::args::tls::Tls;
use crate::cli::args::will::Will;

#[derive(Args, Clone, Debug)]
pub struct Request {
    /// Topic to publish the request to
    #[arg(short, long, value_name = "TOPIC", help_heading = "Message")]
    pub topic: Option<String>,

    /// Topic to wait for the response on
    #[arg(short = 'e', long, value_name = "TOPIC", help_heading = "Message")]
    pub response_topic: Option<String>,

    #[command(flatten)]
    pub message: Message,

    /// QoS of request and subscription
    #[arg(
        short,
        long,
        value_name = "0|1|2",
        default_value_t = 0,
        help_heading = "Message"
    )]
    pub qos: u8,

    #[command(flatten)]
    pub retained: Retained,

    /// Give up after this many seconds, with exit status 27
    #[arg(
        short = 'W',
        long,
        value_name = "SECONDS",
        help_heading = "When to end"
    )]
    pub timeout: Option<u32>,

    #[command(flatten)]
    pub output: Output,

    /// Print how long the response took
    #[arg(long, help_heading = "Output")]
    pub latency: bool,

    #[command(flatten)]
    pub connection: Connection,

    // Each parsed apart, and only when one of its words is there.
    #[arg(skip)]
    pub reach: Reach,

    #[arg(skip)]
    pub tls: Tls,

    #[arg(skip)]
    pub will: Will,
}

impl Request {
    /// Whether there is something to ask, and where to.
    pub fn is_complete(&self) -> bool {
        self.topic.is_some() && self.message.source().is_some() && self.response_topic.is_some()
    }
}
