//! `mqttx ctrl`: how to reach the broker, then a module and what it is to do.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use crate::cli::args::approach::Approach;

#[derive(Args, Clone, Debug)]
pub struct Ctrl {
    /// Module, its command, and what that takes; `help` as the command lists them
    #[arg(value_name = "MODULE COMMAND ...", num_args = 0.., trailing_var_arg = true)]
    pub words: Vec<OsString>,

    /// Change this file instead of asking a broker, where a command can
    #[arg(short, long, value_name = "FILE", help_heading = "Command")]
    pub file: Option<PathBuf>,

    /// QoS of command and answer
    #[arg(
        short,
        long,
        value_name = "QOS",
        default_value_t = 1,
        help_heading = "Command"
    )]
    pub qos: u8,

    /// mosquitto_ctrl takes it, and nothing comes of it
    #[arg(short, long, hide = true, help_heading = "Command")]
    pub verbose: bool,

    #[command(flatten)]
    pub approach: Approach,
}
