//! How long and how often to try to reach the broker.

use std::time::Duration;

use clap::Args;

use crate::cli::args::bench::values::parse_time;

#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Connection")]
pub struct Reach {
    #[command(flatten)]
    pub first: First,

    /// Give up after this many failed attempts in a row to come back
    #[arg(long, value_name = "COUNT")]
    pub max_reconnects: Option<u32>,

    /// End when the connection is lost
    #[arg(long)]
    pub no_reconnect: bool,
}

/// The part that also those have who never come back.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Connection")]
pub struct First {
    /// Try for so long to reach a broker that is not up yet, such as 30s
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub wait: Option<Duration>,

    /// Give up an attempt after so long, and so long after CONNECT [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub connect_timeout: Option<Duration>,
}

pub(crate) fn time(value: &str) -> Result<(), String> {
    match parse_time(value)? {
        Duration::ZERO => Err("a time above 0 is wanted".to_owned()),
        _ => Ok(()),
    }
}

pub(crate) fn count(value: &str) -> Result<(), String> {
    match value.parse::<u32>() {
        Ok(0..=1_000_000_000) => Ok(()),
        _ => Err(format!("'{value}' is no count of attempts")),
    }
}
