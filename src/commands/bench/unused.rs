//! Words that would change nothing beside the others: a misunderstanding, told before anything is
//! sent. One row an option; what excludes each other whatever the kind is a matter of the words
//! themselves (`cli/args/bench.rs`). Pure.

use crate::cli::args::bench::{Bench, Kind};
use crate::cli::property::Target as Packet;
use crate::commands::bench::plan::Mode;

/// An option, whether it was said, and why it would be in vain, if it would.
struct Row {
    option: &'static str,
    is_said: fn(&Bench) -> bool,
    why: fn(&Said<'_>) -> Option<&'static str>,
}

/// What the rows look at.
struct Said<'a> {
    args: &'a Bench,
    kind: Kind,
    mode: Mode,
    is_verified: bool,
}

/// The first option that was said in vain, in one sentence.
pub(super) fn refuse(args: &Bench, mode: Mode, is_verified: bool) -> Result<(), String> {
    let said = Said {
        args,
        kind: args.load.kind,
        mode,
        is_verified,
    };
    let mut asked = ROWS.iter().filter(|row| (row.is_said)(args));
    match asked.find_map(|row| Some((row.option, (row.why)(&said)?))) {
        Some((option, why)) => Err(format!("{option}: {why}")),
        None => Ok(()),
    }
}

const fn row(
    option: &'static str,
    is_said: fn(&Bench) -> bool,
    why: fn(&Said<'_>) -> Option<&'static str>,
) -> Row {
    Row {
        option,
        is_said,
        why,
    }
}

const ROWS: [Row; 21] = [
    row("--max", |args| args.load.max, silent),
    row("--retain", |args| args.load.retain, silent),
    row("--file", |args| args.load.file.is_some(), silent),
    row("--template", |args| args.load.template.is_some(), silent),
    row("--no-verify", |args| args.load.no_verify, silent),
    row("--payload", |args| args.load.payload.is_some(), silent),
    row("--drain", |args| args.load.drain.is_some(), silent),
    row(
        "-D publish",
        |args| decorates(args, &[Packet::Publish]),
        silent,
    ),
    row(
        "-D subscribe",
        |args| decorates(args, &[Packet::Subscribe]),
        deaf,
    ),
    row("-D", |args| decorates(args, &UNSENT), |_| Some(ONLY)),
    row("-t", |args| args.load.topic.is_some(), coming),
    row("--topics", |args| args.load.topics.is_some(), own_topics),
    row("--qos", |args| !args.load.qos.is_empty(), qos),
    row("--window", |args| args.load.window.is_some(), window),
    row("--inflight", |args| args.load.inflight.is_some(), inflight),
    row("--arrival", |args| args.load.arrival.is_some(), arrival),
    row("--runs", |args| args.load.runs.is_some(), runs),
    row(
        "--conn-rate",
        |args| args.load.conn_rate.is_some(),
        conn_rate,
    ),
    row("--reconnect", |args| args.load.reconnect, coming_back),
    row("--hdr", |args| args.report.hdr.is_some(), latencies),
    row(
        "--baseline",
        |args| args.report.baseline.is_some(),
        baseline,
    ),
];

/// Packets a client of a bench never sends with properties.
const UNSENT: [Packet; 3] = [Packet::Unsubscribe, Packet::Disconnect, Packet::Will];

const ONLY: &str = "connect, publish and subscribe are all a bench sends properties with";

fn decorates(args: &Bench, packets: &[Packet]) -> bool {
    let mut properties = args.target.property.iter();
    properties.any(|property| packets.contains(&property.target))
}

fn silent(said: &Said<'_>) -> Option<&'static str> {
    matches!(said.kind, Kind::Sub | Kind::Conn | Kind::Churn)
        .then_some("this kind publishes nothing")
}

fn deaf(said: &Said<'_>) -> Option<&'static str> {
    matches!(said.kind, Kind::Pub | Kind::Churn).then_some("this kind subscribes to nothing")
}

fn coming(said: &Said<'_>) -> Option<&'static str> {
    (said.kind == Kind::Churn).then_some("connections that come and go have no topics")
}

fn own_topics(said: &Said<'_>) -> Option<&'static str> {
    matches!(said.kind, Kind::Sub | Kind::Churn | Kind::Conn | Kind::Rr)
        .then_some("this kind has its own")
}

fn qos(said: &Said<'_>) -> Option<&'static str> {
    match said.kind {
        Kind::Churn => Some("connections that come and go have none"),
        Kind::Conn if said.args.load.qos.len() > 1 => Some("idle subscriptions need only one"),
        _ => None,
    }
}

/// Deliveries are waited for only where messages go as fast as they can and are known again.
fn window(said: &Said<'_>) -> Option<&'static str> {
    silent(said).or(match (said.kind, said.mode) {
        (Kind::Pub, _) => Some("nobody receives here what it would wait for; --inflight bounds it"),
        (_, Mode::RateOnly(_) | Mode::Ramp(_) | Mode::Steps(_)) => {
            Some("what has its time waits for nothing; say --max")
        }
        _ if !said.is_verified => Some("payloads without a head cannot be waited for"),
        _ => None,
    })
}

fn inflight(said: &Said<'_>) -> Option<&'static str> {
    let qos = &said.args.load.qos;
    let is_all_zero = !qos.is_empty() && qos.iter().all(|&digit| digit == 0);
    silent(said).or_else(|| is_all_zero.then_some("QoS 0 is never acknowledged"))
}

fn arrival(said: &Said<'_>) -> Option<&'static str> {
    (said.mode == Mode::MaxOnly).then_some("only messages of a rate arrive by it; say --rate")
}

fn runs(said: &Said<'_>) -> Option<&'static str> {
    let is_more = said.args.load.runs.is_some_and(|runs| runs > 1);
    (said.mode == Mode::FindMax && is_more).then_some("a search tries each rate once")
}

/// Of connections, --rate is the same.
fn conn_rate(said: &Said<'_>) -> Option<&'static str> {
    let is_twice = said.args.load.rate.is_some() && said.args.load.kind.is_connects();
    is_twice.then_some("for connections --rate says the same")
}

fn coming_back(said: &Said<'_>) -> Option<&'static str> {
    (said.kind == Kind::Churn).then_some("connections that come and go do so anyway")
}

fn latencies(said: &Said<'_>) -> Option<&'static str> {
    match (said.kind, said.mode) {
        (Kind::Pub, _) => Some("nobody receives here, so nothing is timed from end to end"),
        (_, Mode::MaxOnly) => Some("latency is not measured as fast as possible; say --rate"),
        _ => None,
    }
}

/// Unseen, a comparison is for conditions only.
fn baseline(said: &Said<'_>) -> Option<&'static str> {
    let report = &said.args.report;
    let is_seen = !report.quiet || report.threshold.iter().any(|text| text.starts_with("vs."));
    (!is_seen).then_some("with --quiet only conditions see it, such as 'vs.baseline.rate>=95%'")
}
