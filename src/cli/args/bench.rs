//! The words of `mqttx bench`.

pub(crate) mod values;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::cli::address::Proxy;
use crate::cli::args::bench::values::{
    parse_property, parse_proxy, parse_ramp, parse_rate, parse_sizes, parse_steps, parse_time,
    parse_version,
};
use crate::cli::args::tls::Tls;
use crate::cli::property::Property;
use crate::mqtt::Version;

/// What kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Publishers and subscribers, one topic a pair
    Pubsub,
    /// The same as pubsub
    Pairs,
    /// Many publishers, one subscriber with a wildcard
    Fanin,
    /// One publisher, many subscribers
    Fanout,
    /// Subscribers that share one subscription
    Shared,
    /// Publishers only; what becomes of QoS 0 nobody can tell
    Pub,
    /// Subscribers only, to what others publish on the filter of -t
    Sub,
    /// Requests and their replies
    Rr,
    /// Connections that stay, subscribed and idle
    Conn,
    /// Connections that come and go
    Churn,
}

impl Kind {
    /// Nothing but connections: no message is sent.
    pub fn is_connects(self) -> bool {
        matches!(self, Self::Conn | Self::Churn)
    }
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connection")]
pub struct Target {
    /// Broker to load; several of one cluster with commas, which clients take in turns
    #[arg(short = 'h', long, value_name = "HOST", value_delimiter = ',')]
    #[arg(default_value = "localhost")]
    pub host: Vec<String>,

    #[command(flatten)]
    pub way: Way,

    #[arg(short = 'A', long, value_name = "ADDRESSES", value_delimiter = ',')]
    #[arg(
        help = "Local addresses to connect from, in turns: each has some 28,000 ports, of which Linux \
                  finds 14,000 at once and looks long for the others"
    )]
    pub bind_address: Vec<String>,

    /// A line a client, under a head such as id,user,password,cert,key
    #[arg(long, value_name = "FILE")]
    pub clients_csv: Option<PathBuf>,

    /// Version 5 property in one word: -D 'publish user-property KEY VALUE'; connect, publish, subscribe
    #[arg(short = 'D', long, value_name = "PROPERTY", value_parser = parse_property)]
    pub property: Vec<Property>,

    /// Allow more than 1,000 messages/s to a host that is not on a private network
    #[arg(long)]
    pub yes: bool,
}

/// How a broker is spoken to, wherever it is.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connection")]
pub struct Way {
    /// Port of the broker [default: 1883, with TLS 8883]
    #[arg(short, long, value_name = "PORT")]
    pub port: Option<u16>,

    /// Connect through this Unix socket instead
    #[arg(long, value_name = "PATH")]
    #[arg(conflicts_with_all = ["host", "port", "bind_address", "proxy"])]
    pub unix: Option<PathBuf>,

    /// Speak MQTT over WebSockets
    #[arg(long)]
    pub ws: bool,

    /// Path to ask for over WebSockets [default: /mqtt]
    #[arg(long, value_name = "PATH", requires = "ws")]
    pub ws_path: Option<String>,

    /// Connect through a proxy: socks5h://user:password@host:port, or http://…
    #[arg(long, value_name = "URL", value_parser = parse_proxy)]
    pub proxy: Option<Proxy>,

    /// User name
    #[arg(short, long, value_name = "NAME")]
    pub username: Option<String>,

    /// Password
    #[arg(short = 'P', long, value_name = "PASSWORD")]
    pub pw: Option<String>,

    /// Version of the protocol: 5, 311 or 31
    #[arg(short = 'V', long, value_name = "VERSION", default_value = "5")]
    #[arg(value_parser = parse_version)]
    pub protocol_version: Version,

    /// Keep Alive in seconds
    #[arg(short, long, value_name = "SECONDS", default_value_t = 60)]
    pub keepalive: u16,
}

#[derive(Args, Clone, Debug)]
pub struct Bench {
    #[command(flatten)]
    pub target: Target,

    #[command(flatten)]
    pub load: Load,

    #[command(flatten)]
    pub report: Report,

    #[command(flatten)]
    pub tls: Tls,

    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        help_heading = "Several machines",
        help = "Let these make the load, each a share: where 'mqttx bench agent' runs, by host name"
    )]
    pub agents: Vec<String>,

    /// Speak to agents over this broker instead of the one that is loaded
    #[arg(
        long = "via",
        value_name = "HOST:PORT",
        help_heading = "Several machines"
    )]
    #[arg(requires = "agents")]
    pub agents_via: Option<String>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Load")]
pub struct Load {
    /// Kind of load
    #[arg(value_name = "KIND", value_enum, default_value = "pubsub")]
    pub kind: Kind,

    /// Each QoS to measure, in turn [default: 0,1,2]
    #[arg(short, long, value_name = "LIST", value_delimiter = ',')]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=2))]
    pub qos: Vec<u8>,

    /// Publishers, requesters, or clients that come and go [default: 10; fanout: 1]
    #[arg(long, value_name = "N", value_parser = clients())]
    pub pubs: Option<u32>,

    /// Subscribers or idle clients [default: 10; fanin: 1, shared: 8, conn: 100]
    #[arg(long, value_name = "N", value_parser = clients())]
    pub subs: Option<u32>,

    /// Topics the publishers are spread over [default: one a pair; fanin: one a publisher]
    #[arg(long, value_name = "N", value_parser = clients())]
    pub topics: Option<u32>,

    #[arg(
        short,
        long,
        value_name = "PREFIX",
        help = "Beginning of every topic, or a pattern with %i and %rand_N; for sub the filter \
                [default: mqttx-bench/ and a number of this run]"
    )]
    pub topic: Option<String>,

    /// Bytes of each payload: 64, 4k, or a range 64..1k; verified from 16 on [default: 64]
    #[arg(short = 's', long, value_name = "SIZE", value_parser = parse_sizes)]
    pub payload: Option<(usize, usize)>,

    /// Send this file as every payload, behind the head that is checked
    #[arg(long, value_name = "FILE", conflicts_with_all = ["payload", "template"])]
    pub file: Option<PathBuf>,

    /// Between the payloads in --file, which take turns; \n for a newline
    #[arg(long, value_name = "TEXT", requires = "file")]
    pub split: Option<String>,

    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "payload",
        help = "Text to send, behind the head, with %i (the publisher's number), %n (the message's, \
                in ten places) and %rand_N (below N)"
    )]
    pub template: Option<PathBuf>,

    /// Payloads exactly as they are, without a head: counted, not checked; needs --max
    #[arg(long)]
    pub no_verify: bool,

    /// Have every message retained; the topics are cleared at the end
    #[arg(long)]
    pub retain: bool,

    #[arg(
        long,
        help = "Come back when a connection is lost, to the same Session, instead of ending there: what \
                is lost or doubled by it is counted"
    )]
    pub reconnect: bool,

    /// Connections opened a second, each when it is due [default: 64 at a time]
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    pub conn_rate: Option<f64>,

    #[arg(
        long,
        value_name = "RATE",
        value_parser = parse_rate,
        conflicts_with = "max",
        help = "Messages a second in all (conn, churn: connections), sent when they are due whatever \
                the broker does: measures latency"
    )]
    pub rate: Option<f64>,

    /// A rate that rises evenly over this time, such as 0..20k:30s
    #[arg(long, value_name = "FROM..TO:TIME", value_parser = parse_ramp)]
    #[arg(conflicts_with_all = ["rate", "max", "duration", "warmup"])]
    pub ramp: Option<Ramp>,

    /// Latency against load: this many rates between two, such as 1k..50k:8
    #[arg(long, value_name = "FROM..TO:N", value_parser = parse_steps)]
    #[arg(conflicts_with_all = ["rate", "max", "ramp"])]
    pub steps: Option<Steps>,

    /// The highest rate at which these hold, such as 'e2e.p99<10ms,lost=0'
    #[arg(long, value_name = "CONDITIONS", conflicts_with_all = ["rate", "max", "steps", "ramp"])]
    pub find_max: Option<String>,

    /// As fast as the window allows: measures throughput only
    #[arg(long)]
    pub max: bool,

    /// When messages are due: evenly, or at random [default: uniform]
    #[arg(long, value_enum)]
    pub arrival: Option<ArrivalWord>,

    /// Undelivered messages a publisher may have on the way, when as fast as possible [default: 1000]
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub window: Option<u32>,

    #[arg(
        long,
        value_name = "N",
        help = "Unacknowledged messages a publisher may have; the broker's Receive Maximum may lower \
                it [default: 64]"
    )]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub inflight: Option<u16>,

    /// Length of each measurement, such as 5s or 500ms [default: 2s]
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_time)]
    pub duration: Duration,

    /// Load before each measurement that is not counted in rates and latencies
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = parse_time)]
    pub warmup: Duration,

    /// How long to wait for messages still on the way after the last was sent [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub drain: Option<Duration>,

    /// Measurements of each kind; the median is shown with the spread [default: 3]
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100))]
    pub runs: Option<u32>,

    /// Threads that make the load [default: half of the cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,

    /// Seed of everything that is left to chance
    #[arg(long, value_name = "NUMBER", default_value_t = 42)]
    pub seed: u64,
}

/// What holds where nothing was said.
impl Load {
    pub fn levels(&self) -> &[u8] {
        match self.qos.as_slice() {
            [] => &[0, 1, 2],
            said => said,
        }
    }

    pub fn sizes(&self) -> (usize, usize) {
        self.payload.unwrap_or((64, 64))
    }

    pub fn window(&self) -> u32 {
        self.window.unwrap_or(1_000)
    }

    pub fn inflight(&self) -> u16 {
        self.inflight.unwrap_or(64)
    }

    pub fn drain(&self) -> Duration {
        self.drain.unwrap_or(Duration::from_secs(5))
    }

    pub fn runs(&self) -> u32 {
        self.runs.unwrap_or(3)
    }
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Report")]
pub struct Report {
    /// Write the whole report as JSON; - is standard output, here and below
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Write one line of figures a measurement as CSV
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,

    /// Write a table and the verdicts as Markdown
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,

    /// Write the verdicts as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,

    /// Write a page with charts, in one file that needs no network
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// Write the chart that says most, alone
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,

    /// Write each latency's distribution for HdrHistogram's plotter, a file a measurement
    #[arg(long, value_name = "PREFIX")]
    pub hdr: Option<String>,

    #[arg(
        long,
        value_name = "CONDITION",
        help = "Fail with 99 unless this holds, repeatable: 'e2e.p99<5ms', 'lost=0', 'rate[q1]>=100k', \
                of one step 'e2e.p99[@20k]<5ms', of a search 'found>=50k'"
    )]
    pub threshold: Vec<String>,

    /// An earlier --json, for thresholds such as 'vs.baseline.rate>=95%' and a comparison
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,

    /// Serve the newest figures to Prometheus at ADDRESS:PORT while it runs
    #[arg(long, value_name = "ADDRESS")]
    pub prometheus: Option<String>,

    /// How to show how it goes [default: bar on a terminal, else line]
    #[arg(long, value_enum, value_name = "HOW", conflicts_with = "quiet")]
    pub progress: Option<ProgressWord>,

    /// Fail with 82 when the generator itself may have been the limit, or late
    #[arg(long)]
    pub strict: bool,

    /// No progress, no table: only files, errors and the exit status
    #[arg(long)]
    pub quiet: bool,
}

/// More than this many clients have no room in one process.
fn clients() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=60_000)
}

/// Rates from the first to the last, evenly apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steps {
    pub from: f64,
    pub to: f64,
    pub count: u32,
}

/// A rate that rises, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    pub from: f64,
    pub to: f64,
    pub time: Duration,
}

/// `mqttx bench agent`.
#[derive(Args, Clone, Debug)]
pub struct Agent {
    #[arg(short = 'h', long, value_name = "HOST", default_value = "localhost")]
    #[arg(help_heading = "Connection")]
    #[arg(
        help = "Broker over which it is told what to do: the one that is loaded, or that of --via"
    )]
    pub host: String,

    #[command(flatten)]
    pub way: Way,

    /// Local address to connect from
    #[arg(short = 'A', long, value_name = "ADDRESS", help_heading = "Connection")]
    pub bind_address: Option<String>,

    #[command(flatten)]
    pub tls: Tls,

    /// By which name --agents calls it [default: the host's]
    #[arg(long, value_name = "NAME", help_heading = "Several machines")]
    pub name: Option<String>,
}

/// `mqttx bench compare`.
#[derive(Args, Clone, Debug)]
pub struct Compare {
    /// Reports written by --json; the first is what the others are compared with
    #[arg(value_name = "FILE", num_args = 2.., required = true)]
    pub files: Vec<PathBuf>,

    /// Print the table as Markdown
    #[arg(long)]
    pub markdown: bool,
}

/// `mqttx bench report`.
#[derive(Args, Clone, Debug)]
pub struct Redraw {
    /// A report written by --json
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Where to write the page [default: standard output, where --svg is not asked for either]
    #[arg(short = 'o', long = "html", value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// Write the chart that says most, alone
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// How messages follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ArrivalWord {
    Uniform,
    Poisson,
}

/// What stands on standard error meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressWord {
    /// Nothing
    None,
    /// A line a second, and one a run
    Line,
    /// Rates, latencies and this tool's own health, drawn again and again
    Bar,
}

/// The end of `mqttx bench agent --help`.
pub const AGENT_EXAMPLES: &str = "\
Examples:
  mqttx bench agent -h broker                 on each machine that is to make load
  mqttx bench -h broker --agents left,right   on any machine: the load, and one report of all
  mqttx bench agent -h office --name left     where it is told what to do over another broker,
  mqttx bench -h broker --agents left --via office:1883

It serves one bench after the other until its connection ends for good or it is stopped. How the
loaded broker is reached, with which password and over which transport, comes with each bench; what
is said here is for the way to the broker over which it is told. Whoever may publish below
mqttx-bench-agents/ there commands it: use a broker that asks who they are.";

/// The end of `mqttx bench compare --help`.
pub const COMPARE_EXAMPLES: &str = "\
Examples:
  mqttx bench --json new.json --runs 5 && mqttx bench compare old.json new.json
  mqttx bench compare --markdown old.json new.json >> pull-request.md

Only like is compared with like: the same kind, QoS, clients and payload, and rates of which one is
at most half as high again as the other. What the runs of each differ among themselves decides:
where the two overlap, there is no difference. One run only is no verdict.";

/// The end of `mqttx bench report --help`.
pub const REDRAW_EXAMPLES: &str = "\
Examples:
  mqttx bench report run.json -o run.html
  mqttx bench report run.json --svg run.svg";

/// The end of `mqttx bench --help`.
pub const EXAMPLES: &str = "\
Examples:
  mqttx bench                                 how fast is the broker here, and how late are messages
  mqttx bench -h broker -q 1 --rate 5k --duration 30s
  mqttx bench fanout --subs 100 -q 0 --max
  mqttx bench -q 1 --rate 20k --threshold 'e2e.p99<5ms' --threshold lost=0
  mqttx bench -q 0 --steps 10k..200k:8
  mqttx bench --json new.json --runs 5 && mqttx bench compare old.json new.json
  mqttx bench -q 1 --steps 5k..80k:8 --html run.html

Besides:
  mqttx bench compare OLD.json NEW.json …     what differs, and whether it is more than chance
  mqttx bench report RUN.json -o RUN.html     the page of a report that was kept
  mqttx bench agent -h BROKER                 waits there for --agents of a bench on another machine
  mqttx bench schema                          what --json looks like, as a JSON Schema

Latency counts from the moment a message was due, so waiting for a stalled broker is part of it.
Every message is checked: lost, duplicated, reordered, corrupt.
With --agents the clocks are compared by round trips over the broker. Where messages pass from one
agent to another (fanin, fanout, shared; pairs stay together) latencies are known only as well as
two clocks are, which the report tells; the members of a shared subscription are all on the first
agent, since only who sees all of them can tell whether two got the same message. With --max nothing
then holds publishers back at QoS 0 but the connection: what was received is the broker's rate, and
what was lost is told.

Exit status:
  0 measured · 1 wrong words, no broker, or stopped · 7 connections lost or, in churn, not let in
  81 the broker lost, doubled, reordered or changed what it must not, where no --threshold says
  what must hold · 82 with --strict: the generator was the limit · 99 a threshold was not met
  128-162 refused, a connection, a subscription or a message, with the broker's Reason Code
  (version 3: 1-5)";
