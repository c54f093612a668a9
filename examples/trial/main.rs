//! Trials of a broker as a process: peers that mean harm, and time.
//!
//! ```text
//! cargo run --release --example trial -- hostile              # each attack on mqttx and on mosquitto
//! cargo run --release --example trial -- soak --minutes 60    # mixed load, memory over time
//! cargo run --release --example trial -- http                 # what visitors cost clients
//! cargo run --release --example trial -- tabs                 # what ten tabs of Chromium cost them
//! cargo run --release --example trial -- paint                # when the dashboard paints first
//! ```
//!
//! All start the `mqttx` built beside this program, or what `--program` names, on a free port.

#![expect(
    clippy::unwrap_used,
    reason = "a trial that cannot go on says so by a panic"
)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod attacks;
mod handshakes;
mod hostile;
mod http;
mod process;
mod soak;
mod tabs;
mod visit;
mod wire;

#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../../tests/it/support"]
mod support {
    pub(crate) mod packets;
}

/// Peers that mean harm, and time, against a broker.
#[derive(Parser)]
struct Args {
    /// The mqttx to try, if not the one built beside this.
    #[arg(long, global = true)]
    program: Option<PathBuf>,
    #[command(subcommand)]
    trial: Trial,
}

#[derive(Subcommand)]
enum Trial {
    /// Each attack for some seconds, and what a well-behaved pair feels of it.
    Hostile {
        /// Seconds of each attack.
        #[arg(long, default_value_t = 6)]
        seconds: u64,
        /// Only attacks with this in their name.
        #[arg(long, default_value = "")]
        only: String,
        /// The mosquitto beside it.
        #[arg(long, default_value = "/usr/sbin/mosquitto")]
        mosquitto: PathBuf,
    },
    /// Mixed load at a low rate; ends with status 1 when memory keeps growing.
    Soak {
        #[arg(long, default_value_t = 60)]
        minutes: u64,
    },
    /// CPU a message with and without pages that look, and how late a pair is beside questions.
    Http {
        /// Only how late, and only beside questions with this in their name.
        #[arg(long)]
        only: Option<String>,
        /// Another mqttx, asked in turns with the first.
        #[arg(long)]
        beside: Option<PathBuf>,
    },
    /// CPU a message beside ten tabs of Chromium, whose own does not count.
    Tabs,
    /// When the dashboard paints first in Chromium: the median of ten visits.
    Paint,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let program = args.program.unwrap_or_else(process::beside);
    let good = match args.trial {
        Trial::Hostile {
            seconds,
            only,
            mosquitto,
        } => hostile::run(&program, &mosquitto, seconds, &only),
        Trial::Soak { minutes } => soak::run(&program, minutes),
        Trial::Http { only, beside } => {
            let programs: Vec<_> = std::iter::once(program).chain(beside).collect();
            http::run(&programs, only.as_deref())
        }
        Trial::Tabs => http::run_tabs(&program),
        Trial::Paint => tabs::run(&program),
    };
    ExitCode::from(u8::from(!good))
}
