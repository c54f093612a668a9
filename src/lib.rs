//! mqttx: publish, subscribe, request, broker and benchmark for MQTT 3.1, 3.1.1 and 5.0.
//!
//! The map, in reading order; arrows point down (`ARCHITECTURE.md` tells why):
//!
//! - [`mqtt`]: the standard. Bytes to packets and back, topics, handshakes. Pure.
//! - [`broker`]: the server as a state machine. Pure.
//! - [`cli`]: words in, text out. Options, help, formats, errors. Pure.
//! - [`net`]: bytes in, bytes out. Addresses, and the ways to a broker.
//! - [`client`]: one client, from CONNECT to its end; everything that talks to a broker uses it.
//! - [`daemon`]: the broker as a process. Listeners, worker threads, the log.
//! - [`commands`]: the hands. What each command does with the rooms below.
pub mod broker;
pub mod cli;
pub mod client;
pub mod commands;
pub mod daemon;
pub mod mqtt;
pub mod net;
