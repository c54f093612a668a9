//! How it is going, on standard error: a picture on a terminal, plain lines elsewhere; and for
//! Prometheus, if it asks.

pub(super) mod glance;
pub(super) mod prometheus;

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use colored::Colorize;
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::args::bench::ProgressWord;
use crate::commands::bench::health::own_seconds;
use crate::commands::bench::load::board::Phase;
use crate::commands::bench::progress::glance::{Glance, Latencies, SPARKS};
use crate::commands::bench::progress::prometheus::Exporter;
use crate::commands::terminal;

/// Between two drawings.
const PERIOD: Duration = Duration::from_millis(100);

/// Between two lines.
const LINE_PERIOD: Duration = Duration::from_secs(1);

/// Length of the bar in steps.
const STEPS: u64 = 1_000;

pub(super) struct Progress {
    style: Style,
    exporter: Option<Exporter>,
    threads: usize,
    now: Glance,
    since: Since,
    sent: Vec<f64>,
    received: Vec<f64>,
    told: Instant,
}

/// How a run is going: of one process, or of all agents together.
#[derive(Clone, Debug, Default)]
pub(super) struct Now {
    pub(super) phase: Option<Phase>,
    /// Of warm-up and measurement together, 0 to 1.
    pub(super) share: f64,
    pub(super) sent: u64,
    pub(super) acked: u64,
    pub(super) received: u64,
    pub(super) expected: u64,
    pub(super) connects: u64,
    pub(super) has_acks: bool,
    /// What is offered is due at its time.
    pub(super) has_schedule: bool,
    /// Seconds of CPU used so far.
    pub(super) cpu: Option<f64>,
    /// The worst lateness of our own since the last look, in nanoseconds.
    pub(super) lag: Option<u64>,
    /// Of the stretches that are over.
    pub(super) e2e: Option<Histogram<u32>>,
}

/// What rates are counted from.
#[derive(Clone, Copy)]
struct Since {
    at: Instant,
    sent: u64,
    received: u64,
    connects: u64,
    cpu: Option<f64>,
}

enum Style {
    None,
    Lines,
    Bar(ProgressBar),
}

impl Progress {
    pub(super) fn new(
        asked: Option<ProgressWord>,
        is_quiet: bool,
        exporter: Option<Exporter>,
        threads: usize,
    ) -> Self {
        let usual = if std::io::stderr().is_terminal() {
            ProgressWord::Bar
        } else {
            ProgressWord::Line
        };
        let style = match asked.unwrap_or(usual) {
            _ if is_quiet => Style::None,
            ProgressWord::None => Style::None,
            ProgressWord::Line => Style::Lines,
            ProgressWord::Bar => {
                let bar = ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stderr());
                let template = "{prefix} [{bar:30}] {percent:>3} %  {msg}";
                bar.set_style(
                    ProgressStyle::with_template(template)
                        .expect("a template of our own")
                        .progress_chars("█▌ "),
                );
                Style::Bar(bar)
            }
        };
        Self {
            style,
            exporter,
            threads,
            now: Glance::default(),
            since: Since::now(),
            sent: Vec::new(),
            received: Vec::new(),
            told: Instant::now(),
        }
    }

    /// `run` is which one of `runs`.
    pub(super) fn begin(&mut self, name: String, run: u32, runs: u32) {
        if let Style::Bar(bar) = &self.style {
            bar.set_position(0);
            bar.set_prefix(format!("{name} ({run}/{runs})"));
        }
        self.now = Glance {
            name,
            run,
            threads: self.threads,
            ..Glance::default()
        };
        self.since = Since::now();
        self.told = Instant::now();
        self.sent.clear();
        self.received.clear();
    }

    /// `now` is asked only when it is time to show something.
    pub(super) fn tick(&mut self, now: &dyn Fn() -> Now) {
        if matches!(self.style, Style::None) && self.exporter.is_none() {
            return;
        }
        let elapsed = self.since.at.elapsed();
        if elapsed < PERIOD {
            return;
        }
        let now = now();
        let share = now.share;
        self.look(now, elapsed.as_secs_f64());
        if let Some(exporter) = &self.exporter {
            exporter.set(self.now.exposition());
        }
        match &self.style {
            Style::None => {}
            Style::Bar(bar) => {
                bar.set_position((share * STEPS as f64) as u64);
                let lines = self.now.lines(&self.sent, &self.received);
                let doubt = match self.now.doubt() {
                    Some(doubt) => format!("   {}", format!("! {doubt}").yellow()),
                    None => String::new(),
                };
                bar.set_message(format!("{}\n{lines}{doubt}", self.now.phase_name()));
            }
            Style::Lines => {
                if self.told.elapsed() >= LINE_PERIOD {
                    self.told = Instant::now();
                    let name = self.label();
                    terminal::print_err(&format!("{name}: {}\n", self.now.line()));
                }
            }
        }
    }

    fn label(&self) -> String {
        format!("{} ({})", self.now.name, self.now.run)
    }

    fn look(&mut self, seen: Now, seconds: f64) {
        let since = self.since;
        let next = Since {
            at: Instant::now(),
            sent: seen.sent,
            received: seen.received,
            connects: seen.connects,
            cpu: seen.cpu,
        };
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let now = &mut self.now;
        now.phase = seen.phase;
        now.share = seen.share;
        now.sent = seen.sent;
        now.received = seen.received;
        now.connects = seen.connects;
        now.acked = seen.acked;
        now.expected = seen.expected;
        now.has_acks = seen.has_acks;
        now.has_schedule = seen.has_schedule;
        now.sent_rate = rate(next.sent, since.sent);
        now.received_rate = rate(next.received, since.received);
        now.connect_rate = rate(next.connects, since.connects);
        let cpu = next.cpu.zip(since.cpu);
        now.cores = cpu.map(|(now, before)| (now - before).max(0.0) / seconds);
        now.e2e = seen.e2e.as_ref().map(Latencies::of);
        now.lag = seen.lag;
        for (rates, rate) in [
            (&mut self.sent, now.sent_rate),
            (&mut self.received, now.received_rate),
        ] {
            if rates.len() == SPARKS {
                rates.remove(0);
            }
            rates.push(rate);
        }
        self.since = next;
    }

    /// One run is over; `what` is its result in a few words.
    pub(super) fn end(&self, what: &str, runs: u32) {
        if let Style::Lines = self.style {
            let Glance { name, run, .. } = &self.now;
            terminal::print_err(&format!("{name} ({run}/{runs}): {what}\n"));
        }
    }
}

impl Since {
    fn now() -> Self {
        Self {
            at: Instant::now(),
            sent: 0,
            received: 0,
            connects: 0,
            cpu: own_seconds(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Style::Bar(bar) = &self.style {
            bar.finish_and_clear();
        }
    }
}
