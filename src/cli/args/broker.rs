//! The words of `mqttx broker`.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

/// The headings of `--help`.
const FILE: &str = "Configuration file";
const LISTENERS: &str = "Listeners";
const ACCESS: &str = "Who may do what";
const KEPT: &str = "What is kept";
const LIMITS: &str = "Limits";
const TOLD: &str = "What is told";
const PROCESS: &str = "The process";

/// The values of `--sync`.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncWhen {
    /// Once a batch.
    Always,
    /// Once a second.
    Interval,
    /// When the system likes.
    Off,
}

/// What `mqttx broker` takes.
#[derive(clap::Args, Debug)]
pub struct BrokerArgs {
    /// Start from this mosquitto.conf, and do as mosquitto does
    #[arg(help_heading = FILE, short, long, value_name = "FILE", conflicts_with_all = ["bind", "listen",
        "cert", "key", "cafile", "crlfile", "require_certificate", "origin", "allow_anonymous",
        "password_file", "acl_file", "sys_interval", "http", "http_token", "dynsec", "jwt_key"])]
    pub config_file: Option<PathBuf>,
    /// TCP port to listen on, repeatable; 0 lets the system choose [default: 1883]
    #[arg(help_heading = LISTENERS, short, long, value_name = "PORT")]
    pub port: Vec<u16>,
    /// Address to listen on, repeatable [default: this machine only]
    #[arg(help_heading = LISTENERS, long, value_name = "ADDRESS")]
    pub bind: Vec<IpAddr>,
    /// Listen here instead, repeatable: mqtt://ADDRESS:PORT, mqtts://, ws://, wss:// or unix:PATH,
    /// with rules of its own behind a `?`, see below
    #[arg(help_heading = LISTENERS, long, value_name = "URL", conflicts_with_all = ["port", "bind"])]
    pub listen: Vec<String>,
    /// Show the broker in the browser, and answer over HTTP: PORT on this machine, ADDRESS:PORT,
    /// https://ADDRESS:PORT with --cert, or unix:PATH; repeatable
    #[arg(help_heading = LISTENERS, long, value_name = "WHERE")]
    pub http: Vec<String>,
    /// The secret in this file stands for an administrator over HTTP, as a bearer token
    #[arg(
        help_heading = LISTENERS,
        long,
        value_name = "FILE",
        requires = "http"
    )]
    pub http_token: Option<PathBuf>,
    /// Write the keys of TLS connections here, for programs that look into them
    #[arg(help_heading = LISTENERS, long, value_name = "FILE")]
    pub tls_keylog: Option<PathBuf>,
    /// Certificate for mqtts and wss, in PEM, with those that lead to its root
    #[arg(
        help_heading = LISTENERS,
        long,
        value_name = "FILE",
        requires = "key"
    )]
    pub cert: Option<PathBuf>,
    /// Key of the certificate, in PEM
    #[arg(
        help_heading = LISTENERS,
        long,
        value_name = "FILE",
        requires = "cert"
    )]
    pub key: Option<PathBuf>,
    /// Take client certificates that lead to these roots
    #[arg(
        help_heading = LISTENERS,
        long,
        value_name = "FILE",
        requires = "cert"
    )]
    pub cafile: Option<PathBuf>,
    /// Revoked client certificates, in PEM
    #[arg(
        help_heading = LISTENERS,
        long,
        value_name = "FILE",
        requires = "cafile"
    )]
    pub crlfile: Option<PathBuf>,
    /// Turn clients without a certificate away
    #[arg(help_heading = LISTENERS, long, requires = "cafile")]
    pub require_certificate: bool,
    /// Origin that may ask for a WebSocket, repeatable [default: all]
    #[arg(help_heading = LISTENERS, long, value_name = "ORIGIN")]
    pub origin: Vec<String>,
    /// Let clients in without a user name, also from other machines
    #[arg(help_heading = ACCESS, long)]
    pub allow_anonymous: bool,
    /// Users and password hashes, as mosquitto_passwd writes them
    #[arg(help_heading = ACCESS, long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Clients, groups and roles, changed by `mqttx ctrl dynsec`; made when it is not there
    #[arg(help_heading = ACCESS, long, value_name = "FILE")]
    pub dynsec: Option<PathBuf>,
    /// Key of JSON Web Tokens that come as passwords: PEM for RS256 and ES256, a secret for HS256
    #[arg(help_heading = ACCESS, long, value_name = "FILE")]
    pub jwt_key: Option<PathBuf>,
    /// Who may publish and receive what, in mosquitto's language
    #[arg(help_heading = ACCESS, long, value_name = "FILE")]
    pub acl_file: Option<PathBuf>,
    /// Take no commands on $CONTROL/broker/v1. Otherwise `mqttx ctrl` may give them from this
    /// machine where there are no rules, and where there are, whoever may write and read there
    #[arg(help_heading = ACCESS, long, conflicts_with = "config_file")]
    pub no_control: bool,
    /// Send a retained message only while its publisher may still publish there
    #[arg(help_heading = ACCESS, long, conflicts_with = "config_file")]
    pub check_retain_source: bool,
    /// Refuse SUBSCRIBE where the ACL file gives none of the messages, or not all of them
    #[arg(
        help_heading = ACCESS,
        long,
        value_name = "WHEN",
        default_value = "never",
        requires = "acl_file"
    )]
    pub refuse_subscribe: RefuseSubscribe,
    /// Keep Sessions and messages in this folder, over restarts and crashes
    #[arg(
        help_heading = KEPT,
        long,
        value_name = "DIR",
        conflicts_with = "config_file"
    )]
    pub persistence: Option<PathBuf>,
    /// What an acknowledgement promises: always: it is on the disk; interval: the system has it,
    /// and the disk within a second; off: the system has it
    #[arg(
        help_heading = KEPT,
        long,
        value_name = "WHEN",
        default_value = "interval",
        requires = "persistence"
    )]
    pub sync: SyncWhen,
    /// Worker threads [default: half of the cores]
    #[arg(help_heading = LIMITS, long, value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,
    /// Set a limit, repeatable; `--limits` lists them
    #[arg(help_heading = LIMITS, long, value_name = "NAME=VALUE")]
    pub limit: Vec<String>,
    /// List the limits with their defaults, and end
    #[arg(help_heading = LIMITS, long)]
    pub limits: bool,
    /// Seconds between two rounds of the topics below $SYS; 0 publishes none
    #[arg(
        help_heading = TOLD,
        long,
        value_name = "SECONDS",
        default_value_t = 10
    )]
    pub sys_interval: u32,
    /// Write the addresses as JSON once clients can connect
    #[arg(help_heading = LISTENERS, long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// Go to the background
    #[arg(help_heading = PROCESS, short, long)]
    pub daemon: bool,
    /// Say whether the configuration file is in order, and end
    #[arg(help_heading = FILE, long, requires = "config_file")]
    pub test_config: bool,
    /// Print the configuration file as it is understood, without secrets, and end
    #[arg(help_heading = FILE, long, requires = "config_file")]
    pub print_config: bool,
    /// Where log lines go, repeatable: stderr, stdout, syslog, topic, none, or file PATH
    #[arg(help_heading = TOLD, long, value_name = "DEST")]
    pub log_dest: Vec<String>,
    /// What is logged, repeatable: error, warning, notice, information, subscribe, unsubscribe,
    /// debug, all or none
    #[arg(help_heading = TOLD, long, value_name = "TYPE")]
    pub log_type: Vec<String>,
    /// How a line looks [default: text]
    #[arg(help_heading = TOLD, long, value_name = "FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
    /// Log each subscription and packet
    #[arg(help_heading = TOLD, short, long)]
    pub verbose: bool,
    /// Log nothing but errors
    #[arg(help_heading = TOLD, short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Run this with MQTTX_HOST and MQTTX_PORT set, and end with its exit status
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// When SUBSCRIBE is refused for the messages behind it.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefuseSubscribe {
    /// Never: what a client may not have is just not delivered
    Never,
    /// When none of the messages could be delivered
    Nothing,
    /// When some of the messages could not be delivered
    Partly,
}

/// How a line of the log looks.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// An object a line, for programs.
    Json,
    /// With the lines of mosquitto, for those who know them.
    Mosquitto,
}

/// The end of `mqttx broker --help`.
pub const EXAMPLES: &str = "\
Without --bind, clients on this machine may connect without a user name. With it, say who may:
--allow-anonymous or --password-file.

Examples:
  mqttx broker
  mqttx broker --http 8080
  mqttx broker --bind 0.0.0.0 --allow-anonymous
  mqttx broker --bind 0.0.0.0 --password-file users
  mqttx broker --listen mqtt://127.0.0.1:1883 --listen ws://127.0.0.1:8080
  mqttx broker --listen 'mqtt://127.0.0.1:1883?proxy=2' --listen 'unix:/tmp/mqtt?mount=local/'
  mqttx broker --listen mqtts://0.0.0.0:8883 --cert c.pem --key k.pem --password-file users
  mqttx broker -c /etc/mosquitto/mosquitto.conf
  mqttx broker --port 0 -- sh -c 'mqttx pub -h $MQTTX_HOST -p $MQTTX_PORT -t temp -m 21'

Rules of one listener, behind the ? of its URL and between &s:
  versions=3.1.1,5.0 · qos=1 · mount=hall/ · connections=100 · anonymous=yes|no · id=user
  user=cn|subject (of the client's certificate) · alpn=mqtt,… · interface=eth0
  proxy=1|2 (the PROXY protocol) · forwarded-for=yes (X-Forwarded-For of a WebSocket)

Exit status:
  0 stopped by SIGINT or SIGTERM · 1 wrong words, or it cannot start · 3 the configuration file
  is wrong · with -- that of COMMAND

The directives of the file: mqttx man conf.";
