//! Every test that needs the whole: one binary, a file a command or kind.

mod client_layer;
mod codec_differential;
mod codec_roundtrip;
mod packets;
mod spec;
mod support;
