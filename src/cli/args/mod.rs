//! What each command was asked for, as clap hands it over: one group of options a file.
//!
//! Values were judged by the lexer, so the parsers here only turn words into types. Doc comments are
//! the help and the man pages.

pub mod approach;
pub mod bench;
pub mod broker;
pub mod connection;
pub mod ctrl;
pub mod expect;
pub mod making;
pub mod message;
pub mod mosquitto;
pub mod output;
pub mod passwd;
pub mod ping;
pub mod publish;
pub mod reach;
pub mod record;
pub mod request;
pub mod showing;
pub mod subscribe;
pub mod tls;
pub mod top;
pub mod will;
