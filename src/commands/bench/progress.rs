//! How it is going, on standard error: a bar on a terminal, a line for each run elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::commands::bench::board::Phase;
use crate::commands::bench::load::Tick;
use crate::commands::bench::text;
use crate::commands::terminal;

/// Between two drawings.
const PERIOD: Duration = Duration::from_millis(100);

/// Length of the bar in steps.
const STEPS: u64 = 1_000;

/// Rates shown as a row of little bars.
const SPARKS: usize = 24;

const SPARK: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

pub(super) struct Progress {
    style: Style,
    name: String,
    last: (Instant, u64),
    rates: Vec<f64>,
}

enum Style {
    None,
    Lines,
    Bar(ProgressBar),
}

impl Progress {
    pub(super) fn new(is_quiet: bool) -> Self {
        let style = if is_quiet {
            Style::None
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stderr());
            let template = "{prefix} [{bar:30}] {percent:>3} %  {msg}";
            bar.set_style(
                ProgressStyle::with_template(template)
                    .expect("a template of our own")
                    .progress_chars("█▌ "),
            );
            Style::Bar(bar)
        } else {
            Style::Lines
        };
        Self {
            style,
            name: String::new(),
            last: (Instant::now(), 0),
            rates: Vec::new(),
        }
    }

    pub(super) fn begin(&mut self, name: String) {
        if let Style::Bar(bar) = &self.style {
            bar.set_position(0);
            bar.set_prefix(name.clone());
        }
        self.name = name;
        self.last = (Instant::now(), 0);
        self.rates.clear();
    }

    pub(super) fn tick(&mut self, tick: &Tick) {
        let Style::Bar(bar) = &self.style else {
            return;
        };
        let elapsed = self.last.0.elapsed();
        if elapsed < PERIOD {
            return;
        }
        let moved = tick.sent.max(tick.received);
        let rate = moved.saturating_sub(self.last.1) as f64 / elapsed.as_secs_f64();
        self.last = (Instant::now(), moved);
        self.rates.push(rate);
        let from = self.rates.len().saturating_sub(SPARKS);
        bar.set_position((tick.share * STEPS as f64) as u64);
        bar.set_message(match tick.phase {
            Phase::Connect => "connecting".to_owned(),
            Phase::Sentinel => "waiting for every route".to_owned(),
            Phase::Load => format!(
                "{}/s {}",
                text::rate(Some(rate)),
                sparks(&self.rates[from..])
            ),
            Phase::Drain | Phase::Leave => "draining".to_owned(),
        });
    }

    /// One run is over; `what` is its result in a few words.
    pub(super) fn end(&self, what: &str) {
        if let Style::Lines = self.style {
            terminal::print_err(&format!("{}: {what}\n", self.name));
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

/// Each rate as a little bar, the highest one full.
fn sparks(rates: &[f64]) -> String {
    let most = rates.iter().copied().fold(0.0, f64::max);
    rates
        .iter()
        .map(|rate| {
            let level = if most > 0.0 { rate / most * 7.0 } else { 0.0 };
            SPARK[(level as usize).min(SPARK.len() - 1)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_rate_is_a_full_bar() {
        assert_eq!(sparks(&[0.0, 50.0, 100.0]), "▁▄█");
        assert_eq!(sparks(&[0.0]), "▁");
    }
}
