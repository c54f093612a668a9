//! The fuzz targets, and what the tests of the main crate lend them: the broker's core with links
//! and a clock that the input moves.

mod targets;

pub use crate::targets::broker::script as broker;
pub use crate::targets::files::{configuration, dynamic_security, stored, users};
pub use crate::targets::layers::{proxy, websocket};
pub use crate::targets::payloads::{payload, token};
pub use crate::targets::words::{format, template};
pub use crate::targets::{frame, packet, properties, topic};

#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/it/support"]
mod support {
    pub(crate) mod chance;
    pub(crate) mod core;
    pub(crate) mod keeper;
    pub(crate) mod packets;
    pub(crate) mod teller;
}
