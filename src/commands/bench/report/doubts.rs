//! Whether the figures can be believed: what else may have been measured, a sentence each.

use crate::cli::args::bench::Kind;
use crate::commands::bench::load::head::HEAD_LEN;
use crate::commands::bench::plan::Load;
use crate::commands::bench::report::{Report, Row, row_name, text};

/// A generator that uses this share of its threads may be what was measured.
const BUSY: f64 = 0.85;

/// A load above this many times the cores, before ours begins, is somebody else's.
const BUSY_LOAD: f64 = 0.5;

/// Own lag above this share of the latency found spoils it.
const LAG_SHARE_MAX: f64 = 0.1;

/// Of the connections that were due, this share must have come to stand.
const SUSTAINED: f64 = 0.95;

/// Half of what `ip_local_port_range` usually holds: connect() looks through all of one parity first.
const PORTS_AT_ONCE: usize = 14_000;

impl Report {
    /// Whether the figures can be believed: a sentence for each reason to doubt them.
    pub(in crate::commands::bench) fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        let cores = self.machine.cores as f64;
        if let Some(load) = self.machine.load1.filter(|&load| load > BUSY_LOAD * cores) {
            doubts.push(format!(
                "This machine was busy before the start (load {load:.1} on {cores} cores): other \
                 programs are part of these figures."
            ));
        }
        doubts.extend(self.doubt_ports());
        self.doubt_search(&mut doubts);
        for row in self.rows.iter().filter(|row| self.is_result(row)) {
            let name = row_name(&row.stage);
            if row.stage.is_open() {
                self.doubt_latency(row, &name, &mut doubts);
            } else {
                if !row.stage.has_schedule() {
                    self.doubt_rate(row, &name, &mut doubts);
                }
                self.doubt_lag(row, &name, &mut doubts);
                doubt_connects(row, &name, &mut doubts);
                self.doubt_flood(row, &name, &mut doubts);
            }
            if row.all.stalls > 0 {
                doubts.push(format!(
                    "{name}: {} times nothing was delivered for a second although messages were \
                     on the way.",
                    row.all.stalls
                ));
            }
            if row.all.disconnects > 0 {
                doubts.push(format!(
                    "{name}: {} lost in the middle and {} came back: what was due meanwhile is late \
                     in these figures.",
                    match row.all.disconnects {
                        1 => "1 connection was".to_owned(),
                        many => format!("{} connections were", text::count(many)),
                    },
                    text::count(row.all.reconnects)
                ));
            }
            let is_short = row.runs.iter().any(|run| run.is_cut_short);
            if is_short && row.all.lost + row.unacknowledged() > 0 {
                doubts.push(format!(
                    "{name}: messages were on their way yet when patience ended (--drain): what is lost \
                     here may only be late."
                ));
            }
            if row.all.lowered > 0 {
                doubts.push(format!(
                    "{name}: {} granted a lower QoS than asked for: what it delivers is not of QoS {}.",
                    match row.all.lowered {
                        1 => "1 subscription was".to_owned(),
                        many => format!("{} subscriptions were", text::count(many)),
                    },
                    row.stage.qos.bits()
                ));
            }
            if row.all.strays > 0 {
                doubts.push(format!(
                    "{name}: {} messages were not of this run: somebody else publishes there.",
                    row.all.strays
                ));
            }
        }
        if !self.is_verified && self.shape.kind == Kind::Sub {
            doubts.push("Messages of others are counted, nothing is verified.".to_owned());
        } else if !self.is_verified {
            let least = self.rows.first().map_or(0, |row| row.stage.sizes.0);
            let why = match least < HEAD_LEN {
                true => "Payloads below 16 bytes carry no number and no time",
                false => "Payloads carry no number and no time (--no-verify)",
            };
            doubts.push(format!("{why}: messages are counted, nothing is verified."));
        }
        doubts
    }

    /// Ports are this machine's, not the broker's.
    fn doubt_ports(&self) -> Option<String> {
        let clients = (self.shape.pubs + self.shape.subs) as usize;
        let is_many = clients > PORTS_AT_ONCE * self.target.routes;
        let is_ours = self.agents.is_empty() && self.target.transport != "unix";
        (cfg!(target_os = "linux") && is_many && is_ours).then(|| {
            format!(
                "From one address Linux finds some {} ports at once and looks long for each one more, \
                 which is in these figures: -A names further addresses.",
                text::count(PORTS_AT_ONCE as u64)
            )
        })
    }

    /// Whether the generator may be what was measured.
    pub(super) fn is_limited(&self) -> bool {
        let mut doubts = Vec::new();
        self.doubt_search(&mut doubts);
        let mut results = self.rows.iter().filter(|row| self.is_result(row));
        !doubts.is_empty()
            || results.any(|row| {
                let mut doubts = Vec::new();
                if row.all.unsent > 0 {
                    return true;
                }
                self.doubt_lag(row, "", &mut doubts);
                if !row.stage.has_schedule() {
                    self.doubt_busy(row, "", &mut doubts);
                }
                !doubts.is_empty()
            })
    }

    /// A search ends below a rate that did not hold: where that was the generator's doing, the broker
    /// may hold more.
    fn doubt_search(&self, doubts: &mut Vec<String>) {
        for &(qos, found) in &self.found {
            let above = |row: &&Row| match row.stage.load {
                Load::Rate { rate, .. } => found.is_none_or(|found| rate > found),
                Load::Max { .. } => false,
            };
            let tried = self.rows.iter().filter(|row| row.stage.qos == qos);
            let late = tried.filter(above).filter(|row| {
                let mut late = Vec::new();
                self.doubt_lag(row, "", &mut late);
                row.all.unsent > 0 || !late.is_empty()
            });
            let rates: Vec<String> = late.map(|row| text::rate(row.stage.rate())).collect();
            if !rates.is_empty() {
                doubts.push(format!(
                    "QoS {}: where {}/s did not hold, the generator itself was late: the broker may \
                     hold more.",
                    qos.bits(),
                    rates.join(" · ")
                ));
            }
        }
    }

    /// The generator uses all it has; true when it was said.
    fn doubt_busy(&self, row: &Row, name: &str, doubts: &mut Vec<String>) -> bool {
        let threads = row.threads() as f64;
        let busy = row.tool_cores().filter(|&tool| tool >= BUSY * threads);
        if let Some(tool) = busy {
            doubts.push(format!(
                "{name}: the generator is the bottleneck ({tool:.2} of {threads} cores used): the \
                 broker may be faster; this is a lower bound."
            ));
        }
        busy.is_some()
    }

    fn doubt_rate(&self, row: &Row, name: &str, doubts: &mut Vec<String>) {
        if self.doubt_busy(row, name, doubts) {
            return;
        }
        let cores = self.machine.cores as f64;
        if let (Some(tool), Some(target)) = (row.tool_cores(), row.target_cores())
            && target > 0.0
            && tool + target >= 0.95 * cores
        {
            doubts.push(format!(
                "{name}: generator ({tool:.2}) and broker ({target:.2}) together fill all {cores} \
                 cores of this machine."
            ));
        }
    }

    /// Without a window and without acknowledgements the broker has no say in what it is sent.
    fn doubt_flood(&self, row: &Row, name: &str, doubts: &mut Vec<String>) {
        let lost = row.all.lost;
        if self.window(&row.stage).is_none() && !row.has_acks() && lost > 0 {
            let share = 100.0 * lost as f64 / row.all.expected.max(1) as f64;
            doubts.push(format!(
                "{name}: {} of {} deliveries never came ({} %): between agents nothing holds \
                 publishers back at QoS 0 but the connection, so only what was received is a rate \
                 of this broker.",
                text::count(lost),
                text::count(row.all.expected),
                text::significant(share)
            ));
        }
    }

    fn doubt_lag(&self, row: &Row, name: &str, doubts: &mut Vec<String>) {
        let lag = row.all.lag.percentile(0.99);
        let timed = match row.stage.shape.is_connects() {
            true => &row.all.connect,
            false => &row.all.e2e,
        };
        let p50 = timed.percentile(0.5);
        if let (Some(lag), Some(p50)) = (lag, p50)
            && lag as f64 > LAG_SHARE_MAX * p50 as f64
        {
            doubts.push(format!(
                "{name}: the generator itself was late by up to {:.3} ms (p99), which is in these \
                 latencies.",
                lag as f64 / 1e6
            ));
        }
    }

    fn doubt_latency(&self, row: &Row, name: &str, doubts: &mut Vec<String>) {
        self.doubt_lag(row, name, doubts);
        if let (Some(error), Some(p50)) = (self.latency_error_us(), row.all.e2e.percentile(0.5))
            && 1e3 * error > LAG_SHARE_MAX * p50 as f64
        {
            doubts.push(format!(
                "{name}: clocks of agents are known to ± {} ms together, which is much of these \
                 latencies.",
                text::significant(error / 1e3)
            ));
        }
        if row.all.unsent > 0 {
            let rates = row.rates();
            doubts.push(format!(
                "{name} is beyond reach: {}/s were sent, {} messages that were due were never sent; \
                 latencies are lower bounds.",
                text::rate(rates.sent),
                text::count(row.all.unsent)
            ));
        }
    }
}

/// Connections that were due, and neither begun nor finished in time.
fn doubt_connects(row: &Row, name: &str, doubts: &mut Vec<String>) {
    if let (Some(asked), Some(reached)) = (row.stage.connect_rate, row.connect_rate())
        && row.stage.shape.is_connects()
        && reached < SUSTAINED * asked
    {
        doubts.push(format!(
            "{name} is beyond reach: {}/s came to stand, {} clients at a time at most.",
            text::rate(Some(reached)),
            text::count(u64::from(row.stage.shape.pubs + row.stage.shape.subs))
        ));
    }
}
