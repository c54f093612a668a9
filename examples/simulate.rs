//! Runs the simulation of the broker for many seeds:
//!
//! ```text
//! cargo run --release --example simulate -- --seeds 100000
//! cargo run --release --example simulate -- --seed 4711 --tell
//! cargo run --release --example simulate -- --seeds 100000 --engines
//! ```
//!
//! A world that breaks a promise is named with its seed, and the run ends with status 1. What is
//! promised, and how a world is made, lies with the tests (`tests/it/simulation`).

#![expect(
    clippy::unwrap_used,
    reason = "a world that cannot go on says so by a panic"
)]

use std::cell::Cell;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use clap::Parser;

#[path = "../tests/it/simulation/mod.rs"]
mod simulation;

#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../tests/it/support"]
mod support {
    pub(crate) mod chance;
    pub(crate) mod core;
    pub(crate) mod keeper;
    pub(crate) mod packets;
    pub(crate) mod teller;
}

/// Many clients, faulty links and a jumping clock against the broker's core, and a model that says
/// what must come of it.
#[derive(Parser)]
struct Args {
    /// Worlds to run, beginning with the first seed.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Only this one.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Write everything that happens in it to stderr.
    #[arg(long, requires = "seed")]
    tell: bool,
    /// Steps in each world.
    #[arg(long, default_value_t = 400)]
    steps: usize,
    /// The world in which the clients are the client engine.
    #[arg(long)]
    engines: bool,
    /// Go on after a world that breaks a promise.
    #[arg(long)]
    all: bool,
}

thread_local! {
    /// The world this thread is in.
    static SEED: Cell<u64> = const { Cell::new(0) };
}

/// Names the world whenever one breaks, also where a panic ends the program at once.
fn tell_seeds(steps: usize) {
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        told(panic);
        eprintln!("a promise is broken: --seed {} --steps {steps}", SEED.get());
    }));
}

fn main() -> ExitCode {
    let args = Args::parse();
    tell_seeds(args.steps);
    let (first, end) = match args.seed {
        Some(seed) => (seed, seed + 1),
        None => (args.from, args.from + args.seeds),
    };
    let run = |seed| match args.engines {
        true => simulation::engines::run(seed, args.steps, args.tell),
        false => simulation::run(seed, args.steps, args.tell),
    };
    let start = Instant::now();
    let next = AtomicU64::new(first);
    let [worlds, delivered, sessions, wills, broken] = [const { AtomicUsize::new(0) }; 5];
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let given_up = !args.all && broken.load(Ordering::Relaxed) > 0;
                    if seed >= end || given_up {
                        return;
                    }
                    SEED.set(seed);
                    match std::panic::catch_unwind(|| run(seed)) {
                        Ok(report) => {
                            worlds.fetch_add(1, Ordering::Relaxed);
                            delivered.fetch_add(report.delivered, Ordering::Relaxed);
                            sessions.fetch_add(report.sessions, Ordering::Relaxed);
                            wills.fetch_add(report.wills, Ordering::Relaxed);
                        }
                        Err(_) => {
                            broken.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let [worlds, delivered, sessions, wills, broken] =
        [worlds, delivered, sessions, wills, broken].map(AtomicUsize::into_inner);
    let said = writeln!(
        std::io::stdout(),
        "{worlds} worlds of {} steps in {:.1} s: {delivered} messages delivered, {sessions} Sessions, \
         {wills} wills; {broken} broken",
        args.steps,
        start.elapsed().as_secs_f64(),
    );
    ExitCode::from(u8::from(broken > 0 || said.is_err()))
}
