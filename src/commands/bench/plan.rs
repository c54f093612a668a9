//! What will be measured, worked out before anything is sent: pure, from the words to stages.
//!
//! A [`Plan`] is a list of QoS; each is measured by one or two [`Stage`]s (as fast as the window
//! allows, then at a rate below that), each of which is run several times. What contradicts itself
//! is refused here.

use std::time::Duration;

use crate::cli::args::bench::{ArrivalWord, Bench, Kind, Ramp, Steps};
use crate::commands::bench::load::body::{Payload, topics};
use crate::commands::bench::load::head::{HEAD_LEN, WRITTEN_LEN};
use crate::commands::bench::load::pace::Arrival;
use crate::commands::bench::part::Part;
use crate::commands::bench::strangers;
use crate::commands::bench::unused;
use crate::mqtt::QoS;
use crate::mqtt::topic::{check_filter, check_name};

/// Latency is measured at this rate, or at half of the highest where that is less: below
/// capacity, and low enough that the generator is surely not what is measured.
const LATENCY_RATE_MAX: f64 = 10_000.0;

/// Who publishes where, and who subscribes to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) kind: Kind,
    pub(super) pubs: u32,
    pub(super) subs: u32,
    pub(super) topics: u32,
}

impl Shape {
    /// The topic a publisher publishes to.
    pub(super) fn topic_of(&self, publisher: u32) -> u32 {
        publisher % self.topics
    }

    /// What a subscriber asks for: one topic, or none for all of them.
    pub(super) fn wanted_by(&self, subscriber: u32) -> Option<u32> {
        match self.kind {
            Kind::Fanin | Kind::Shared | Kind::Sub => None,
            _ => Some(subscriber % self.topics),
        }
    }

    /// How many subscribers should get each message of this publisher.
    pub(super) fn copies(&self, publisher: u32) -> u32 {
        match self.kind {
            Kind::Pub | Kind::Sub | Kind::Conn | Kind::Churn => 0,
            Kind::Shared | Kind::Rr => 1,
            Kind::Fanin => self.subs,
            _ => {
                let topic = self.topic_of(publisher);
                self.subs / self.topics + u32::from(topic < self.subs % self.topics)
            }
        }
    }

    /// How many of them a message has, over all publishers.
    pub(super) fn copies_each(&self) -> f64 {
        let copies: u64 = (0..self.pubs).map(|one| u64::from(self.copies(one))).sum();
        copies as f64 / f64::from(self.pubs)
    }

    /// How many publishers a subscriber of this topic (or of all) hears.
    pub(super) fn heard(&self, wanted: Option<u32>) -> u32 {
        match wanted {
            None => self.pubs,
            Some(topic) => self.pubs / self.topics + u32::from(topic < self.pubs % self.topics),
        }
    }

    /// Nothing but connections: no message is sent.
    pub(super) fn is_connects(&self) -> bool {
        self.kind.is_connects()
    }

    /// The place of a publisher among those a subscriber hears; none when it should not.
    #[inline]
    pub(super) fn place(&self, publisher: u32, wanted: Option<u32>) -> Option<usize> {
        if publisher >= self.pubs {
            return None;
        }
        match wanted {
            None => Some(publisher as usize),
            Some(topic) if publisher % self.topics == topic => {
                Some((publisher / self.topics) as usize)
            }
            Some(_) => None,
        }
    }
}

/// How hard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Load {
    /// As fast as this many undelivered messages a publisher allow: closed loop.
    Max { window: u32 },
    /// This many messages a second in all, when they are due: open loop.
    Rate {
        rate: f64,
        arrival: Arrival,
        /// It begins with this rate and rises evenly until its end.
        ramp_from: Option<f64>,
    },
}

/// One measurement, run several times.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stage {
    pub(super) shape: Shape,
    /// Which of its clients are made here.
    pub(super) part: Part,
    pub(super) qos: QoS,
    pub(super) load: Load,
    pub(super) sizes: (usize, usize),
    pub(super) inflight: u16,
    pub(super) warmup: Duration,
    pub(super) duration: Duration,
    pub(super) drain: Duration,
    /// Connections opened a second, each when it is due; none for as fast as others come to stand.
    pub(super) connect_rate: Option<f64>,
    pub(super) seed: u64,
}

impl Stage {
    /// A second of such a load, as tests of reports want it.
    #[cfg(test)]
    pub(super) fn of_a_second(shape: Shape, load: Load) -> Self {
        Self {
            shape,
            part: Part::WHOLE,
            qos: QoS::AtMostOnce,
            load,
            sizes: (64, 64),
            inflight: 1,
            warmup: Duration::ZERO,
            duration: Duration::from_secs(1),
            drain: Duration::ZERO,
            connect_rate: None,
            seed: 1,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.load, Load::Rate { .. })
    }

    /// What is offered at its end.
    pub(super) fn rate(&self) -> Option<f64> {
        match self.load {
            Load::Rate { rate, .. } => Some(rate),
            Load::Max { .. } => None,
        }
    }

    /// What is offered is due at its time, so a thread that waits for it is busy and no bottleneck.
    pub(super) fn has_schedule(&self) -> bool {
        self.is_open() || self.shape.is_connects() && self.connect_rate.is_some()
    }

    /// Messages are sent, and acknowledged.
    pub(super) fn has_acks(&self) -> bool {
        self.qos > QoS::AtMostOnce && !self.shape.is_connects()
    }
}

/// What was asked for, without contradictions.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) shape: Shape,
    pub(super) qos: Vec<QoS>,
    pub(super) mode: Mode,
    pub(super) runs: u32,
    pub(super) threads: usize,
    /// Payloads carry a head and are checked.
    pub(super) is_verified: bool,
    base: Stage,
    window: u32,
    arrival: Arrival,
}

/// Which stages each QoS gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mode {
    /// The highest rate, then the latency at a rate below it.
    Both,
    MaxOnly,
    RateOnly(f64),
    /// A rate that rises.
    Ramp(Ramp),
    /// One rate after the other.
    Steps(Steps),
    /// Rates until the highest is found that holds.
    FindMax,
}

/// The rates of a series, evenly apart, both ends included.
pub(super) fn rates(steps: Steps) -> Vec<f64> {
    let gap = (steps.to - steps.from) / f64::from(steps.count - 1);
    (0..steps.count)
        .map(|at| (steps.from + gap * f64::from(at)).round())
        .collect()
}

impl Plan {
    /// Refuses what cannot be, in one sentence. `cores` are those of this machine.
    pub(super) fn new(args: &Bench, payload: &Payload, cores: usize) -> Result<Self, String> {
        let shape = shape(args)?;
        let mode = mode(args);
        strangers::allowed(args, mode, connect_rate(args))?;
        topic(args, &shape)?;
        if args.load.duration.is_zero() {
            return Err("--duration: a measurement takes some time".to_owned());
        }
        let has_rate = !matches!(mode, Mode::MaxOnly);
        if has_rate && matches!(args.load.kind, Kind::Sub | Kind::Conn | Kind::Churn) {
            return Err("such a rate is for kinds that publish".to_owned());
        }
        let is_verified = is_verified(args, payload, mode)?;
        unused::refuse(args, mode, is_verified)?;
        let mut qos: Vec<QoS> = Vec::new();
        // Idle connections and those that come and go have no QoS to speak of.
        let has_qos = !shape.is_connects();
        let all = args.load.levels().iter();
        for digit in all.take(if has_qos { usize::MAX } else { 1 }) {
            let level = QoS::from_bits(*digit).ok_or("--qos: 0, 1 and 2 are all there are")?;
            if !qos.contains(&level) {
                qos.push(level);
            }
        }
        Ok(Self {
            qos,
            mode,
            runs: args.load.runs(),
            threads: args
                .load
                .threads
                .map_or_else(|| (cores / 2).max(1), usize::from),
            is_verified,
            window: args.load.window(),
            arrival: match args.load.arrival {
                None | Some(ArrivalWord::Uniform) => Arrival::Uniform,
                Some(ArrivalWord::Poisson) => Arrival::Poisson,
            },
            base: Stage {
                shape: shape.clone(),
                part: Part::WHOLE,
                qos: QoS::AtMostOnce,
                load: Load::Max {
                    window: args.load.window(),
                },
                sizes: payload.sizes(is_verified),
                inflight: args.load.inflight(),
                warmup: args.load.warmup,
                duration: args.load.duration,
                drain: args.load.drain(),
                connect_rate: connect_rate(args),
                seed: args.load.seed,
            },
            shape,
        })
    }

    pub(super) fn seed(&self) -> u64 {
        self.base.seed
    }

    /// Payloads say when they were handed over, so that `service` is known.
    pub(super) fn tells_written(&self) -> bool {
        self.is_verified && self.base.sizes.1 >= WRITTEN_LEN
    }

    pub(super) fn max_stage(&self, qos: QoS) -> Stage {
        Stage {
            qos,
            load: Load::Max {
                window: self.window,
            },
            ..self.base.clone()
        }
    }

    pub(super) fn rate_stage(&self, qos: QoS, rate: f64) -> Stage {
        Stage {
            qos,
            load: Load::Rate {
                rate,
                arrival: self.arrival,
                ramp_from: None,
            },
            ..self.base.clone()
        }
    }

    /// All of it is measured: there is nothing to warm up for.
    pub(super) fn ramp_stage(&self, qos: QoS, ramp: Ramp) -> Stage {
        Stage {
            qos,
            load: Load::Rate {
                rate: ramp.to,
                arrival: self.arrival,
                ramp_from: Some(ramp.from),
            },
            warmup: Duration::ZERO,
            duration: ramp.time,
            ..self.base.clone()
        }
    }

    /// The rate to measure latency at, where nobody named one.
    pub(super) fn latency_rate(highest: f64) -> f64 {
        (highest / 2.0).clamp(1.0, LATENCY_RATE_MAX)
    }
}

fn mode(args: &Bench) -> Mode {
    let load = &args.load;
    if let Some(rate) = load.rate.filter(|_| !load.kind.is_connects()) {
        Mode::RateOnly(rate)
    } else if let Some(ramp) = load.ramp {
        Mode::Ramp(ramp)
    } else if let Some(steps) = load.steps {
        Mode::Steps(steps)
    } else if load.find_max.is_some() {
        Mode::FindMax
    } else if load.max || matches!(load.kind, Kind::Pub | Kind::Sub | Kind::Conn | Kind::Churn) {
        Mode::MaxOnly
    } else {
        Mode::Both
    }
}

/// Whether payloads carry a head; without one nothing can be timed.
fn is_verified(args: &Bench, payload: &Payload, mode: Mode) -> Result<bool, String> {
    if args.load.kind == Kind::Sub {
        return Ok(false);
    }
    if args.load.no_verify {
        return match mode {
            Mode::MaxOnly => Ok(false),
            _ => Err("--no-verify: without a head nothing can be timed; say --max".to_owned()),
        };
    }
    let (least, _) = payload.sizes(true);
    if least < HEAD_LEN && mode != Mode::MaxOnly {
        return Err(format!(
            "--payload {least}: a message that carries its time has at least {HEAD_LEN} bytes; \
             with --max smaller ones are counted, unverified"
        ));
    }
    Ok(least >= HEAD_LEN)
}

/// What -t says must be a topic, or lead to some.
fn topic(args: &Bench, shape: &Shape) -> Result<(), String> {
    let Some(asked) = &args.load.topic else {
        return Ok(());
    };
    let wrong = |what: &str| format!("-t {asked}: {what}");
    if args.load.kind == Kind::Sub {
        return check_filter(asked).map_err(wrong);
    }
    if asked.starts_with('$') {
        return Err(wrong("topics that begin with $ are the broker's own"));
    }
    let topics = topics(asked, 0, shape.topics, args.load.seed).map_err(|what| wrong(&what))?;
    let mut each = topics.names.iter();
    each.try_for_each(|topic| check_name(topic).map_err(wrong))
}

fn shape(args: &Bench) -> Result<Shape, String> {
    let load = &args.load;
    let (pubs, subs) = clients(load.kind, load.pubs, load.subs)?;
    let usual = match load.kind {
        Kind::Fanin | Kind::Shared | Kind::Pub | Kind::Rr => pubs,
        Kind::Sub | Kind::Churn => 1,
        Kind::Conn => subs,
        Kind::Fanout => 1,
        Kind::Pubsub | Kind::Pairs => pubs.min(subs),
    };
    let topics = load.topics.unwrap_or(usual);
    let has_fixed = matches!(load.kind, Kind::Sub | Kind::Churn | Kind::Conn | Kind::Rr);
    if !has_fixed && topics > pubs {
        return Err(format!(
            "--topics {topics}: {pubs} publishers cannot fill more than {pubs} topics"
        ));
    }
    let by_topic = matches!(load.kind, Kind::Pubsub | Kind::Pairs | Kind::Fanout);
    if by_topic && topics > subs {
        return Err(format!(
            "--topics {topics}: with {subs} subscribers nobody would hear some of them"
        ));
    }
    if load.kind == Kind::Sub && load.topic.is_none() {
        return Err("sub: which topics? -t FILTER".to_owned());
    }
    Ok(Shape {
        kind: load.kind,
        pubs,
        subs,
        topics,
    })
}

/// How many publish and how many subscribe; a number of what a kind has none of is refused.
fn clients(kind: Kind, pubs: Option<u32>, subs: Option<u32>) -> Result<(u32, u32), String> {
    let only = |asked: Option<u32>, option: &str, other: &str| match asked {
        Some(_) => Err(format!("{option}: this kind has none, only {other}")),
        None => Ok(0),
    };
    Ok(match kind {
        Kind::Pubsub | Kind::Pairs => {
            let pubs = pubs.or(subs).unwrap_or(10);
            (pubs, subs.unwrap_or(pubs))
        }
        Kind::Fanin => (pubs.unwrap_or(10), subs.unwrap_or(1)),
        Kind::Fanout => (pubs.unwrap_or(1), subs.unwrap_or(10)),
        Kind::Shared => (pubs.unwrap_or(10), subs.unwrap_or(8)),
        Kind::Pub | Kind::Churn => (pubs.unwrap_or(10), only(subs, "--subs", "--pubs")?),
        Kind::Sub => (only(pubs, "--pubs", "--subs")?, subs.unwrap_or(1)),
        Kind::Conn => (only(pubs, "--pubs", "--subs")?, subs.unwrap_or(100)),
        Kind::Rr => {
            let pairs = pubs.or(subs).unwrap_or(10);
            if subs.is_some_and(|subs| subs != pairs) {
                return Err(
                    "rr: every requester has one responder; --pubs says how many".to_owned(),
                );
            }
            (pairs, pairs)
        }
    })
}

/// Connections opened a second, if they have a rate. Of kinds that only connect, it is *the* rate.
fn connect_rate(args: &Bench) -> Option<f64> {
    let of_kind = args.load.rate.filter(|_| args.load.kind.is_connects());
    args.load.conn_rate.or(of_kind)
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    fn plan(words: &str) -> Result<Plan, String> {
        let command = Bench::augment_args(clap::Command::new("bench").disable_help_flag(true));
        let words = std::iter::once("bench").chain(words.split_whitespace());
        let matches = command
            .try_get_matches_from(words)
            .map_err(|error| error.to_string())?;
        let args = Bench::from_arg_matches(&matches).unwrap();
        let (least, most) = args.load.sizes();
        Plan::new(&args, &Payload::Sizes(least, most), 8)
    }

    #[test]
    fn nothing_said_measures_everything() {
        let plan = plan("").unwrap();
        assert_eq!(plan.qos.len(), 3);
        assert_eq!(plan.mode, Mode::Both);
        assert_eq!((plan.shape.pubs, plan.shape.subs), (10, 10));
        assert_eq!(plan.threads, 4);
        assert_eq!(Plan::latency_rate(300.0), 150.0);
        assert_eq!(Plan::latency_rate(1e6), LATENCY_RATE_MAX);
    }

    #[test]
    fn shapes() {
        for (words, pubs, subs, topics) in [
            ("pubsub --pubs 3", 3, 3, 3),
            ("pairs --pubs 4 --subs 2", 4, 2, 2),
            ("fanin --pubs 100", 100, 1, 100),
            ("fanout --subs 100", 1, 100, 1),
            ("shared", 10, 8, 10),
            ("pub --pubs 5", 5, 0, 5),
            ("sub -t a/#", 0, 1, 1),
            ("rr --pubs 3", 3, 3, 3),
            ("conn --subs 50", 0, 50, 50),
            ("churn", 10, 0, 1),
        ] {
            let shape = plan(words).unwrap().shape;
            assert_eq!((shape.pubs, shape.subs, shape.topics), (pubs, subs, topics));
        }
    }

    #[test]
    fn every_copy_is_heard_exactly_once() {
        for words in [
            "--pubs 7 --subs 5 --topics 3",
            "--pubs 3 --subs 9",
            "fanin --pubs 6 --subs 2",
            "fanout --subs 5",
        ] {
            let shape = plan(words).unwrap().shape;
            let mut heard = 0;
            for subscriber in 0..shape.subs {
                let wanted = shape.wanted_by(subscriber);
                let places: Vec<usize> = (0..shape.pubs)
                    .filter_map(|publisher| shape.place(publisher, wanted))
                    .collect();
                assert_eq!(places.len(), shape.heard(wanted) as usize, "{words}");
                assert!(places.iter().enumerate().all(|(at, &place)| at == place));
                heard += places.len();
            }
            let copies: u32 = (0..shape.pubs).map(|p| shape.copies(p)).sum();
            assert_eq!(heard, copies as usize, "{words}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        for (words, told) in [
            ("--rate 5 --max", "cannot be used with"),
            ("pub --subs 3", "has none"),
            ("sub --pubs 3 -t a", "has none"),
            ("sub", "-t FILTER"),
            ("rr --pubs 3 --subs 2", "one responder"),
            ("sub -t a --rate 5", "kinds that publish"),
            ("churn --rate 5 --conn-rate 5", "says the same"),
            ("--topics 11", "11"),
            ("fanout --topics 2", "2"),
            ("-s 8", "16 bytes"),
            ("-t a/+", "-t a/+"),
            ("-t a/%x", "-t a/%x"),
            ("-t $SYS/a", "the broker's own"),
            ("-t a/%rand_1 --pubs 2", "%i tells them apart"),
            ("--no-verify", "say --max"),
            ("--ramp 0..9k:1s --rate 5", "cannot be used with"),
            ("--ramp 0..9k:1s --warmup 1s", "cannot be used with"),
            ("churn --ramp 0..9k:1s", "kinds that publish"),
            ("--file x --template y", "cannot be used with"),
            ("--split x", "--file"),
            ("--unix x -h y", "cannot be used with"),
            ("--duration 0s", "--duration"),
            ("-q 3", "3"),
        ] {
            let error = plan(words).unwrap_err();
            assert!(error.contains(told), "{words}: {error}");
        }
        let steps = plan("--steps 1k..2k:3").unwrap();
        let Mode::Steps(steps) = steps.mode else {
            panic!("{steps:?}");
        };
        assert_eq!(rates(steps), [1_000.0, 1_500.0, 2_000.0]);
        assert!(plan("-s 8 --max").is_ok_and(|plan| !plan.is_verified));
    }

    #[test]
    fn strangers_are_not_flooded() {
        assert!(plan("-h broker.example.com").is_err());
        assert!(plan("-h 8.8.8.8 --max").is_err());
        assert!(plan("-h 8.8.8.8 --rate 1k").is_ok());
        assert!(plan("-h 8.8.8.8 --yes").is_ok());
    }
}
