//! How to reach the broker, and as whom.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use crate::cli::address::Proxy;
use crate::cli::property::Property;
use crate::mqtt::Version;

/// Where mosquitto's clients look when nothing else is said.
pub const HOST_DEFAULT: &str = "localhost";
pub const PORT_DEFAULT: u16 = 1883;
pub const PORT_TLS: u16 = 8883;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// Broker to connect to
    #[arg(short = 'h', long, value_name = "HOST", default_value = HOST_DEFAULT)]
    pub host: String,

    /// Port of the broker [default: 1883, with TLS 8883]; 0 takes the host as path of a Unix socket
    #[arg(short, long, value_name = "PORT")]
    pub port: Option<u16>,

    /// The host is a domain: its SRV records name the broker (built in with --features srv)
    #[arg(short = 'S', long)]
    pub srv: bool,

    /// Connect through this Unix socket instead
    #[arg(long, value_name = "PATH")]
    pub unix: Option<PathBuf>,

    /// Local address to connect from
    #[arg(short = 'A', long, value_name = "ADDRESS")]
    pub bind_address: Option<String>,

    #[arg(
        long,
        value_name = "URL",
        value_parser = parse_proxy,
        help = "Connect through a proxy: socks5h://[user[:password]@]host[:port], or http://…"
    )]
    pub proxy: Option<Proxy>,

    /// Speak MQTT over WebSockets
    #[arg(long)]
    pub ws: bool,

    /// Path to ask for over WebSockets [default: /mqtt]
    #[arg(long, value_name = "PATH")]
    pub ws_path: Option<String>,

    /// Header line for the WebSocket handshake, 'Name: value'; repeatable
    #[arg(long, value_name = "HEADER")]
    pub ws_header: Vec<String>,

    /// Milliseconds between attempts to connect again; 0 for none [default: pub 1 s, 2 s … 30 s, sub 1 s]
    #[arg(long, value_name = "MILLISECONDS")]
    pub reconnect_period: Option<u64>,

    /// Send small packets at once (TCP_NODELAY)
    #[arg(long)]
    pub nodelay: bool,

    /// User name
    #[arg(short, long, value_name = "NAME")]
    pub username: Option<String>,

    /// Password, which anybody on this machine can read there
    #[arg(short = 'P', long, value_name = "PASSWORD")]
    pub pw: Option<OsString>,

    /// Take the password from this file, without its last newline; - is standard input
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// Take the password from this variable of the environment
    #[arg(long, value_name = "VARIABLE")]
    pub password_env: Option<String>,

    /// Ask for the password on the terminal; -P alone at the end does so too
    #[arg(long)]
    pub ask_password: bool,

    /// Prove the password by SCRAM-SHA-256 instead of sending it, and let the broker prove that it
    /// knows it (version 5)
    #[arg(long)]
    pub scram: bool,

    /// Client Identifier [default: the broker chooses one]
    #[arg(short, long, value_name = "ID")]
    pub id: Option<String>,

    /// Client Identifier made of this prefix and the process id
    #[arg(short = 'I', long, value_name = "PREFIX")]
    pub id_prefix: Option<String>,

    /// Keep Alive in seconds
    #[arg(short, long, value_name = "SECONDS", default_value_t = 60)]
    pub keepalive: u16,

    /// Keep the Session when the connection ends; needs -i
    #[arg(short = 'c', long)]
    pub disable_clean_session: bool,

    /// Seconds a version 5 Session outlives its connection; -1 for ever
    #[arg(short = 'x', long, value_name = "SECONDS", allow_hyphen_values = true)]
    pub session_expiry: Option<u32>,

    /// Version of the protocol: 5, 311 or 31 [default: 5; pub, sub, ls and
    /// ping: 311]
    #[arg(short = 'V', long, value_name = "VERSION", value_parser = parse_version)]
    pub protocol_version: Option<Version>,

    /// QoS 1 and 2 messages in flight at most
    #[arg(short = 'M', long, value_name = "COUNT", default_value_t = 20)]
    pub max_inflight: u32,

    /// Version 5 property: -D COMMAND NAME VALUE, for a user-property -D COMMAND user-property KEY VALUE
    #[arg(short = 'D', long, value_name = "COMMAND NAME VALUE", value_parser = Property::unpack)]
    pub property: Vec<Property>,

    /// Tell every packet on standard output
    #[arg(short, long, help_heading = "Messages about the run")]
    pub debug: bool,

    /// No messages about errors
    #[arg(long, help_heading = "Messages about the run")]
    pub quiet: bool,
}

fn parse_proxy(text: &str) -> Result<Proxy, String> {
    Proxy::parse(text).map_err(|verdict| verdict.sentence)
}

fn parse_version(text: &str) -> Result<Version, String> {
    match text {
        "mqttv31" => Ok(Version::V31),
        "mqttv311" => Ok(Version::V311),
        "mqttv5" => Ok(Version::V5),
        _ => Err("Invalid protocol version argument given.".to_owned()),
    }
}
