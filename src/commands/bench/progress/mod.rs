//! How it is going, on standard error: a picture on a terminal, plain lines elsewhere; and for
//! Prometheus, if it asks.

pub(super) mod glance;
pub(super) mod prometheus;

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use colored::Colorize;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::args::bench::ProgressWord;
use crate::commands::bench::health::own_seconds;
use crate::commands::bench::load::Tick;
use crate::commands::bench::load::board::Board;
use crate::commands::bench::progress::glance::{Glance, SPARKS};
use crate::commands::bench::progress::prometheus::Exporter;
use crate::commands::terminal;
use crate::mqtt::QoS;

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

    pub(super) fn tick(&mut self, tick: &Tick<'_>) {
        if matches!(self.style, Style::None) && self.exporter.is_none() {
            return;
        }
        let elapsed = self.since.at.elapsed();
        if elapsed < PERIOD {
            return;
        }
        self.look(tick, elapsed.as_secs_f64());
        if let Some(exporter) = &self.exporter {
            exporter.set(self.now.exposition());
        }
        match &self.style {
            Style::None => {}
            Style::Bar(bar) => {
                bar.set_position((tick.share * STEPS as f64) as u64);
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

    fn look(&mut self, tick: &Tick<'_>, seconds: f64) {
        let board: &Board = tick.board;
        let since = self.since;
        let now = &mut self.now;
        let next = Since::of(board);
        now.phase = Some(board.phase());
        now.share = tick.share;
        now.sent = next.sent;
        now.received = next.received;
        now.connects = next.connects;
        now.acked = board.acked();
        now.expected = board.expected();
        now.has_acks = board.stage.qos > QoS::AtMostOnce && !board.stage.shape.is_connects();
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        now.sent_rate = rate(next.sent, since.sent);
        now.received_rate = rate(next.received, since.received);
        now.connect_rate = rate(next.connects, since.connects);
        now.cores = next
            .cpu
            .zip(since.cpu)
            .map(|(now, before)| (now - before) / seconds);
        now.e2e = board.live.latencies();
        now.lag = board.live.take_lag();
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

    fn of(board: &Board) -> Self {
        Self {
            sent: board.sent(),
            received: board.received(),
            connects: board.live.connects(),
            ..Self::now()
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
