//! The Will Message: what the broker publishes should this client vanish.

use std::ffi::OsString;

use clap::Args;

#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Will")]
pub struct Will {
    /// Topic of the Will Message
    #[arg(long, value_name = "TOPIC")]
    pub will_topic: Option<String>,

    /// Payload of the Will Message
    #[arg(long, value_name = "PAYLOAD")]
    pub will_payload: Option<OsString>,

    /// QoS of the Will Message
    #[arg(long, value_name = "0|1|2", default_value_t = 0)]
    pub will_qos: u8,

    /// Retain the Will Message
    #[arg(long)]
    pub will_retain: bool,
}

impl Will {
    pub(crate) fn conflict(&self) -> Option<&'static str> {
        if self.will_topic.is_some() {
            return None;
        }
        if self.will_payload.is_some() {
            return Some("Will payload given, but no will topic given.");
        }
        self.will_retain
            .then_some("Will retain given, but no will topic given.")
    }
}
