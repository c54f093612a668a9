//! `mqttx sub`.

use clap::Args;

use crate::cli::args::connection::Connection;
use crate::cli::args::expect::Beyond;
use crate::cli::args::output::Output;
use crate::cli::args::tls::Tls;
use crate::cli::args::will::Will;

#[derive(Args, Clone, Debug)]
pub struct Subscribe {
    /// Topic Filter to subscribe to; repeatable
    #[arg(short, long, value_name = "FILTER", help_heading = "Subscription")]
    pub topic: Vec<String>,

    /// QoS to ask for
    #[arg(
        short,
        long,
        value_name = "0|1|2",
        default_value_t = 0,
        help_heading = "Subscription"
    )]
    pub qos: u8,

    /// Leave out messages whose topic matches this filter; repeatable
    #[arg(
        short = 'T',
        long,
        value_name = "FILTER",
        help_heading = "Subscription"
    )]
    pub filter_out: Vec<String>,

    /// Unsubscribe from this filter; repeatable
    #[arg(
        short = 'U',
        long,
        value_name = "FILTER",
        help_heading = "Subscription"
    )]
    pub unsubscribe: Vec<String>,

    #[command(flatten)]
    pub retained: Retained,

    /// Leave out what this very client publishes (version 5)
    #[arg(long, help_heading = "Subscription")]
    pub no_local: bool,

    /// End at the first message that was not retained
    #[arg(long, help_heading = "Subscription")]
    pub retained_only: bool,

    /// Clear every retained message received, by publishing an empty one
    #[arg(long, help_heading = "Subscription")]
    pub remove_retained: bool,

    /// End after this many messages
    #[arg(short = 'C', long, value_name = "COUNT", help_heading = "When to end")]
    pub count: Option<u32>,

    /// End after this many seconds, with exit status 27
    #[arg(
        short = 'W',
        long,
        value_name = "SECONDS",
        help_heading = "When to end"
    )]
    pub timeout: Option<u32>,

    /// End as soon as the subscriptions are acknowledged
    #[arg(short = 'E', long, help_heading = "When to end")]
    pub exit_after_subscribe: bool,

    #[command(flatten)]
    pub output: Output,

    /// Print this percentage of the messages, by chance
    // Handed on in thousandths.
    #[arg(long, value_name = "PERCENT", help_heading = "Output")]
    pub random_filter: Option<u16>,

    /// Print how many messages came each second instead of the messages
    #[arg(long, help_heading = "Output")]
    pub message_rate: bool,

    /// Give each topic a line of the screen and keep it up to date
    #[arg(short, long, help_heading = "Output")]
    pub watch: bool,

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

/// Subscription options about retained messages, shared by `sub` and `rr`.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Subscription")]
pub struct Retained {
    /// Leave out retained messages
    #[arg(short = 'R', long)]
    pub no_retained: bool,

    /// Keep the RETAIN flag as the publisher set it (version 5)
    #[arg(long)]
    pub retain_as_published: bool,

    /// When to send retained messages: always, new, never (version 5)
    #[arg(long, value_name = "WHEN")]
    pub retain_handling: Option<String>,
}
