//! The command line of the rig and the order of its runs: scenario by scenario, round by round, broker by broker, so
//! that whatever the machine does meanwhile falls on all of them alike.
#![expect(clippy::print_stdout, reason = "the table is the product")]

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;

use crate::instructions;
use crate::plots;
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
    #[arg(global = true, long, value_delimiter = ',')]
    only: Vec<String>,
    /// Which of mqttx, mosquitto, relay take part.
    #[arg(
        global = true,
        long,
        value_delimiter = ',',
        default_value = "mqttx,mosquitto,relay"
    )]
    brokers: Vec<String>,
    /// One more broker: NAME=COMMAND with {port}, or {ready} for a ready file, and {conf}, {dir}.
    #[arg(global = true, long, value_name = "NAME=COMMAND")]
    broker: Vec<String>,
    /// Columns for mqttx with so many workers each, and for the relay with as many threads.
    #[arg(global = true, long, value_delimiter = ',')]
    workers: Vec<u32>,
    /// Under a minute: short runs, small sizes.
    #[arg(global = true, long)]
    quick: bool,
    /// Rounds; the best figure of all counts.
    #[arg(global = true, long)]
    rounds: Option<u32>,
    /// Milliseconds measured a run.
    #[arg(global = true, long)]
    span: Option<u64>,
    /// Keep the generator on the first core and brokers on the others.
    #[arg(global = true, long)]
    pin: bool,
    /// Seconds to wait before a run for the rest of the machine to be quiet.
    #[arg(global = true, long, default_value_t = 1)]
    wait: u64,
    /// Keep the figures.
    #[arg(global = true, long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Show the ratio to kept figures.
    #[arg(global = true, long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// End with the whole as a Markdown table.
    #[arg(global = true, long)]
    markdown: bool,
}

#[derive(clap::Subcommand)]
enum Mode {
    /// Copy bytes from socket to socket: the limit.
    Relay {
        #[arg(long)]
        ready_file: PathBuf,
        #[arg(long, default_value_t = 1)]
        threads: u32,
    },
    /// Draw how cost grows with size, as SVG in a folder.
    Plots {
        folder: PathBuf,
        /// Draw the figures kept there, and measure nothing.
        #[arg(long)]
        drawn_again: bool,
    },
    /// Count instructions a message, under valgrind.
    Instructions,
    /// Name the scenarios.
    List,
}

pub(crate) fn main() -> Result<()> {
    let args = Args::parse();
    raise_descriptors();
    match &args.mode {
        Some(Mode::Relay {
            ready_file,
            threads,
        }) => relay::run(ready_file, *threads),
        Some(Mode::List) => {
            for row in SCENARIOS {
                println!("{:<16}{}", row.name, row.about);
            }
            Ok(())
        }
        Some(Mode::Plots {
            folder,
            drawn_again: true,
        }) => plots::draw(folder),
        Some(Mode::Plots { folder, .. }) => plots::measure(
            folder,
            &contenders(&args)?,
            effort(&args),
            args.rounds.unwrap_or(2),
        ),
        Some(Mode::Instructions) => {
            for (name, broker, count) in instructions::count(&contenders(&args)?)? {
                println!(
                    "{name:<16}{broker:<20}{count:>10.0} instructions a message outside the kernel"
                );
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

fn effort(args: &Args) -> Effort {
    let span = Duration::from_millis(args.span.unwrap_or(if args.quick { 300 } else { 1_000 }));
    Effort {
        span,
        divisor: if args.quick { 10 } else { 1 },
    }
}

/// A fresh broker a run: no scenario inherits another's memory.
fn run_once(row: &Scenario, contender: &Contender, effort: Effort, report: &mut Report) {
    let outcome = contender
        .start(row.layered)
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
            "relay" => all.push(Contender::relay(1)?),
            "none" => {}
            other => bail!("unknown broker {other}: give its command with --broker"),
        }
    }
    for &count in &args.workers {
        if count > 1 && args.brokers.iter().any(|name| name == "relay") {
            all.push(Contender::relay(count)?);
        }
        all.push(Contender::mqttx(
            &format!("mqttx-w{count}"),
            &format!("--workers {count}"),
        )?);
    }
    for text in &args.broker {
        let (name, command) = text.split_once('=').context("--broker NAME=COMMAND")?;
        all.push(Contender::new(name, command));
    }
    if args.pin {
        all = all.iter().map(Contender::pinned).collect();
        process::pin_self()?;
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
