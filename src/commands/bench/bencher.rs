//! The order of the measurements: each QoS in turn, each stage as often as asked for, and the
//! search for the highest rate that holds.

use crate::commands::bench::agents::Lead;
use crate::commands::bench::health::Machine;
use crate::commands::bench::load::{self, Outcome, Setting};
use crate::commands::bench::plan::{Mode, Plan, Stage, rates};
use crate::commands::bench::progress::Progress;
use crate::commands::bench::report::text;
use crate::commands::bench::report::threshold::Threshold;
use crate::commands::bench::report::{Report, Row, Target, Trouble, row_name};
use crate::commands::bench::trouble::{plain, trouble, unstarted};
use crate::mqtt::QoS;

/// The search ends when what holds and what does not are this close.
const CLOSE: f64 = 0.05;

/// Rates tried by a search, at most.
const TRIES_MAX: u32 = 12;

/// A rate that holds where none is known to fail is followed by one so many times as high.
const LEAP: f64 = 1.3;

/// No rate that can be asked for is higher.
const RATE_MAX: f64 = 1e9;

/// Of the messages due, this share must have come in the seconds that count for a rate to be sustained.
const SUSTAINED: f64 = 0.98;

pub(super) struct Bencher<'a> {
    pub(super) plan: &'a Plan,
    pub(super) setting: &'a Setting,
    pub(super) progress: Progress,
    /// Others who make the load.
    pub(super) lead: Option<Lead>,
    /// Number of the next run.
    pub(super) run: u16,
    /// What --find-max wants.
    pub(super) wanted: Vec<Threshold>,
}

impl Bencher<'_> {
    /// Measures everything that was planned, into `report`; stops at the first trouble.
    pub(super) fn all(&mut self, report: &mut Report) {
        let plan = self.plan;
        for &qos in &plan.qos {
            let goes_on = match plan.mode {
                Mode::MaxOnly => self.row(plan.max_stage(qos), plan.runs, report),
                Mode::RateOnly(rate) => self.row(plan.rate_stage(qos, rate), plan.runs, report),
                Mode::Ramp(ramp) => self.row(plan.ramp_stage(qos, ramp), plan.runs, report),
                Mode::Both => self.both(qos, report),
                Mode::Steps(steps) => rates(steps)
                    .into_iter()
                    .all(|rate| self.row(plan.rate_stage(qos, rate), plan.runs, report)),
                Mode::FindMax => self.find(qos, report),
            };
            if !goes_on {
                return;
            }
        }
    }

    fn both(&mut self, qos: QoS, report: &mut Report) -> bool {
        let plan = self.plan;
        if !self.row(plan.max_stage(qos), plan.runs, report) {
            return false;
        }
        match report.rows.last().and_then(Row::highest) {
            Some(highest) => {
                let rate = Plan::latency_rate(highest);
                self.row(plan.rate_stage(qos, rate), plan.runs, report)
            }
            None => true,
        }
    }

    /// Searches between the highest rate that holds and the lowest that does not.
    fn find(&mut self, qos: QoS, report: &mut Report) -> bool {
        let plan = self.plan;
        if !self.row(plan.max_stage(qos), 1, report) {
            return false;
        }
        let Some(highest) = report.rows.last().and_then(Row::highest) else {
            return true;
        };
        let mut search = Search::new(highest);
        for _ in 0..TRIES_MAX {
            let Some(rate) = search.next() else {
                break;
            };
            if !self.row(plan.rate_stage(qos, rate), 1, report) {
                return false;
            }
            let holds = (report.rows.last()).is_some_and(|row| self.holds(row, rate));
            search.learn(rate, holds);
        }
        report.found.push((qos, search.good));
        true
    }

    /// Everything that was due came, in time, and the conditions are met.
    fn holds(&self, row: &Row, rate: f64) -> bool {
        sustains(row, rate) && self.wanted.iter().all(|threshold| threshold.holds(row))
    }

    fn cut(&self) -> Option<Trouble> {
        let is_asked = self.setting.stop.is_asked();
        is_asked.then(|| plain("stopped by a signal: what was measured until then is shown"))
    }

    /// Runs a stage as often as it was asked for; false when there is no point in going on.
    fn row(&mut self, stage: Stage, runs: u32, report: &mut Report) -> bool {
        let mut outcomes = Vec::new();
        for number in 1..=runs {
            self.progress.begin(row_name(&stage), number, runs);
            let progress = &mut self.progress;
            let clock = self.setting.clock;
            let measured = match &mut self.lead {
                Some(lead) => lead.measure(&stage, self.run, &mut |now| progress.tick(now)),
                None => load::measure(
                    &stage,
                    self.run,
                    self.setting,
                    &mut |_| Some(clock.now()),
                    &mut |tick| progress.tick(&|| tick.now()),
                )
                .map_err(|error| unstarted(&error)),
            };
            self.run = self.run.wrapping_add(1);
            match measured {
                Ok(outcome) => {
                    report.trouble = trouble(&outcome, &report.target).or_else(|| self.cut());
                    self.progress.end(&in_short(&outcome), runs);
                    outcomes.push(outcome);
                }
                Err(trouble) => report.trouble = Some(trouble),
            }
            if report.trouble.is_some() {
                break;
            }
        }
        report.rows.push(Row::new(stage, outcomes));
        report.trouble.is_none()
    }
}

/// What was due left and came in the seconds that count: where less arrives than is sent, the rest piles
/// up somewhere, and where less is sent, here.
fn sustains(row: &Row, rate: f64) -> bool {
    let sent = row.rates().sent.unwrap_or(0.0);
    let came = row.highest().unwrap_or(0.0);
    row.all.unsent == 0 && row.all.refused.is_empty() && sent.min(came) >= SUSTAINED * rate
}

/// The search for the highest rate that holds. Pure.
struct Search {
    /// As fast as the window allowed, which on a long way is less than what a broker can do.
    highest: f64,
    good: Option<f64>,
    bad: Option<f64>,
}

impl Search {
    fn new(highest: f64) -> Self {
        Self {
            highest,
            good: None,
            bad: None,
        }
    }

    /// The next rate to try; none when what holds and what does not are close, or nothing holds.
    fn next(&self) -> Option<f64> {
        let rate = match (self.good, self.bad) {
            (None, None) => self.highest / 2.0,
            (None, Some(bad)) => bad / 2.0,
            (Some(good), Some(bad)) if bad - good <= CLOSE * bad => return None,
            (Some(good), Some(bad)) => f64::midpoint(good, bad),
            // Up to where the window reached by halves, from there on by leaps.
            (Some(good), None) if good * LEAP < self.highest => f64::midpoint(good, self.highest),
            (Some(good), None) => good * LEAP,
        };
        Some(rate.round()).filter(|rate| (1.0..=RATE_MAX).contains(rate))
    }

    fn learn(&mut self, rate: f64, holds: bool) {
        match holds {
            true => self.good = Some(rate),
            false => self.bad = Some(rate),
        }
    }
}

fn in_short(outcome: &Outcome) -> String {
    let Some(seconds) = outcome.seconds else {
        return "broke off".to_owned();
    };
    let tally = &outcome.tally;
    let rate = |count: u64| text::rate(Some(count as f64 / seconds));
    let mut out = format!(
        "sent={}/s received={}/s lost={}",
        rate(tally.inside.sent),
        rate(tally.inside.received),
        tally.lost
    );
    if let Some(p99) = tally.e2e.percentile(0.99) {
        out.push_str(&format!(" e2e_p99={}ms", text::ms(Some(p99))));
    }
    out
}

/// An empty report, to be filled.
pub(super) fn blank(plan: &Plan, machine: Machine, target: Target, command: Vec<String>) -> Report {
    Report {
        started: jiff::Timestamp::now().to_string(),
        command,
        seed: plan.seed(),
        machine,
        threads: plan.threads,
        target,
        shape: plan.shape.clone(),
        mode: plan.mode,
        is_verified: plan.is_verified,
        rows: Vec::new(),
        agents: Vec::new(),
        crosses: false,
        is_strict: false,
        verdicts: Vec::new(),
        found: Vec::new(),
        trouble: None::<Trouble>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::bench::Kind;
    use crate::commands::bench::health::Health;
    use crate::commands::bench::load::board::Failures;
    use crate::commands::bench::plan::{Load, Shape};
    use crate::commands::bench::stats::Tally;

    /// A second in which so many were sent, and came to two subscribers each.
    fn second(sent: u64, received: u64) -> Row {
        let shape = Shape {
            kind: Kind::Fanout,
            pubs: 1,
            subs: 2,
            topics: 1,
        };
        let stage = Stage::of_a_second(shape, Load::Max { window: 1 });
        let mut tally = Tally::new();
        (tally.inside.sent, tally.inside.received) = (sent, received);
        let run = Outcome {
            tally,
            seconds: Some(1.0),
            failures: Failures::default(),
            deaf: None,
            is_cut_short: false,
            health: Health::default(),
            threads: 1,
            connect_seconds: None,
            memory: None,
            warmup_points: 0,
            point_seconds: 1.0,
            apart: None,
        };
        Row::new(stage, vec![run])
    }

    #[test]
    fn a_rate_is_sustained_when_all_of_it_leaves_and_comes() {
        assert!(sustains(&second(1_000, 2_000), 1_000.0));
        assert!(sustains(&second(990, 1_980), 1_000.0));
        assert!(!sustains(&second(1_000, 1_600), 1_000.0));
        assert!(!sustains(&second(900, 1_800), 1_000.0));
    }

    fn found(highest: f64, limit: f64) -> (Option<f64>, u32) {
        let mut search = Search::new(highest);
        for tries in 0..TRIES_MAX {
            match search.next() {
                Some(rate) => search.learn(rate, rate <= limit),
                None => return (search.good, tries),
            }
        }
        (search.good, TRIES_MAX)
    }

    #[test]
    fn a_search_ends_close_to_the_limit_wherever_that_is() {
        for limit in [300.0, 5_100.0, 9_900.0, 10_000.0, 31_000.0] {
            let (good, tries) = found(10_000.0, limit);
            let good = good.unwrap();
            assert!(good <= limit && good >= 0.95 * limit, "{limit}: {good}");
            assert!(tries < TRIES_MAX, "{limit}: {tries}");
        }
        assert_eq!(found(10_000.0, 0.5).0, None);
    }
}
