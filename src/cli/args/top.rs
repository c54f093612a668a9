//! `mqttx top`.

use clap::Args;

use crate::cli::args::approach::Approach;

#[derive(Args, Clone, Debug)]
pub struct Top {
    /// Topic Filter to watch; repeatable (# by default)
    #[arg(short, long, value_name = "FILTER", help_heading = "Watching")]
    pub topic: Vec<String>,

    /// Print what is known after one second (or -W), a line a topic, and end
    #[arg(long, help_heading = "Watching")]
    pub once: bool,

    /// End after this many seconds
    #[arg(short = 'W', long, value_name = "SECONDS", help_heading = "Watching")]
    pub timeout: Option<u32>,

    #[command(flatten)]
    pub approach: Approach,
}
