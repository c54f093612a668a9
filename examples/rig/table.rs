//! The command line of the rig and the order of its runs: scenario by scenario, round by round, broker by broker, so
//! that whatever the machine does meanwhile falls on all of them alike.
#![expect(clippy::print_stdout, reason = "the table is the product")]

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;

use crate::process;
use crate::process::Contender;
use crate::relay;
use crate::report::{Measure, Report};
use crate::scenario::{Effort, SCENARIOS, Scenario};

/// Measure brokers side by side.
#[derive(Parser)]
#[command(name = "rig")]
struct Args {
    #[command(subcommand)]
    mode: Option<Mode>,
    /// Only the scenarios whose names begin so.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Which of mqttx, mosquitto, relay take part.
    #[arg(long, value_delimiter = ',', default_value = "mqttx,mosquitto,relay")]
    brokers: Vec<String>,
    /// One more broker: NAME=COMMAND with {port}, or {ready} for a ready file, and {conf}, {dir}.
    #[arg(long, value_name = "NAME=COMMAND")]
    broker: Vec<String>,
    /// Columns for mqttx with so many workers each.
    #[arg(long, value_delimiter = ',')]
    workers: Vec<u32>,
    /// Under a minute: short runs, small sizes.
    #[arg(long)]
    quick: bool,
    /// Rounds; the best figure of all counts.
    #[arg(long)]
    rounds: Option<u32>,
    /// Milliseconds measured a run.
    #[arg(long)]
    span: Option<u64>,
    /// Seconds to wait before a run for the rest of the machine to be quiet.
    #[arg(long, default_value_t = 1)]
    wait: u64,
    /// Keep the figures.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Show the ratio to kept figures.
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// End with the whole as a Markdown table.
    #[arg(long)]
    markdown: bool,
}

#[derive(clap::Subcommand)]
enum Mode {
    /// Copy bytes from socket to socket: the limit.
    Relay {
        #[arg(long)]
        ready_file: PathBuf,
    },
    /// Name the scenarios.
    List,
}

pub(crate) fn main() -> Result<()> {
    let args = Args::parse();
    raise_descriptors();
    match &args.mode {
        Some(Mode::Relay { ready_file }) => relay::run(ready_file),
        Some(Mode::List) => {
            for row in SCENARIOS {
                println!("{:<16}{}", row.name, row.about);
            }
            Ok(())
        }
        None => measure(&args),
    }
}

fn measure(args: &Args) -> Result<()> {
    let contenders = contenders(args)?;
    let mut report = Report::default();
    report.brokers = contenders.iter().map(|one| one.name.clone()).collect();
    let span = Duration::from_millis(args.span.unwrap_or(if args.quick { 300 } else { 1_000 }));
    let effort = Effort {
        span,
        divisor: if args.quick { 10 } else { 1 },
    };
    let rounds = args.rounds.unwrap_or(if args.quick { 1 } else { 3 });
    let wanted = |row: &&Scenario| {
        args.only.is_empty()
            || args
                .only
                .iter()
                .any(|name| row.name.starts_with(name.as_str()))
    };
    for row in SCENARIOS.iter().filter(wanted) {
        let before = report.names().len();
        for _ in 0..rounds {
            for one in &contenders {
                if row.relays || !one.is_relay() {
                    process::await_quiet(Duration::from_secs(args.wait));
                    run_once(row, one, effort, &mut report);
                }
            }
        }
        println!("\n{}", row.about);
        for name in &report.names()[before..] {
            print!("{}", report.block(name).trim_start_matches('\n'));
        }
    }
    if report.names().is_empty() {
        bail!("no such scenario; `rig list` names them");
    }
    if args.markdown {
        println!("\n{}", report.markdown());
    }
    if let Some(path) = &args.json {
        report.save(path)?;
    }
    if let Some(path) = &args.compare {
        println!("{}", report.against(&Report::load(path)?));
    }
    Ok(())
}

/// A fresh broker a run: no scenario inherits another's memory.
fn run_once(row: &Scenario, contender: &Contender, effort: Effort, report: &mut Report) {
    let outcome = contender
        .start()
        .and_then(|broker| (row.run)(&broker, effort));
    match outcome {
        Ok(measures) => {
            for one in measures {
                report.add(&contender.name, one);
            }
        }
        Err(why) => report.add(&contender.name, Measure::failure(row.name, &why)),
    }
}

fn contenders(args: &Args) -> Result<Vec<Contender>> {
    let mut all = Vec::new();
    for name in &args.brokers {
        match name.as_str() {
            "mqttx" => {
                process::build_broker()?;
                all.push(Contender::mqttx("mqttx", "")?);
            }
            "mosquitto" => all.extend(Contender::mosquitto()),
            "relay" => all.push(Contender::relay()?),
            "none" => {}
            other => bail!("unknown broker {other}: give its command with --broker"),
        }
    }
    for count in &args.workers {
        all.push(Contender::mqttx(
            &format!("mqttx-w{count}"),
            &format!("--workers {count}"),
        )?);
    }
    for text in &args.broker {
        let (name, command) = text.split_once('=').context("--broker NAME=COMMAND")?;
        all.push(Contender::new(name, command));
    }
    Ok(all)
}

/// Ten thousand connections need as many descriptors; the brokers inherit the limit.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    // Without the right to do so the scenario of connections says what it lacks.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
}
