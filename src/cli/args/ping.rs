//! `mqttx ping`.

use std::time::Duration;

use clap::Args;

use crate::cli::args::approach::Approach;
use crate::cli::args::bench::values::parse_time;

#[derive(Args, Clone, Debug)]
pub struct Ping {
    /// PINGREQs to send
    #[arg(long, value_name = "COUNT", default_value_t = 4, help_heading = "Ping")]
    pub count: u32,

    /// Time between two of them
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_time)]
    #[arg(help_heading = "Ping")]
    pub interval: Duration,

    /// Give up when an answer takes longer than this, with exit status 27
    #[arg(short = 'W', long, value_name = "SECONDS", default_value_t = 10)]
    #[arg(help_heading = "Ping")]
    pub timeout: u32,

    /// Print the summary as JSON, and nothing else
    #[arg(long, help_heading = "Ping")]
    pub json: bool,

    #[command(flatten)]
    pub approach: Approach,
}

pub(crate) fn count(value: &str) -> Result<(), String> {
    match value.parse::<u32>() {
        Ok(1..=1_000_000_000) => Ok(()),
        _ => Err(format!("'{value}' is no count from 1 on")),
    }
}
