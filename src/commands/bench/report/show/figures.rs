//! Which charts a report has, and what is in them. From JSON, so everything may be missing. Pure.

use serde_json::Value;

use crate::commands::bench::report::compare::is_try;
use crate::commands::bench::report::json::{BUCKET_GROWTH, PERCENTILES};
use crate::commands::bench::report::show::axis::{Axis, short, tail, trimmed};
use crate::commands::bench::report::show::chart::{Chart, Line, Stroke};
use crate::commands::bench::report::text;

/// From this many rates of one QoS on there is a curve of latency against load.
const CURVE_LEAST: usize = 3;

pub(super) struct Figure {
    /// Also its anchor in the page.
    pub(super) key: &'static str,
    /// How to read it.
    pub(super) note: &'static str,
    pub(super) chart: Chart,
}

/// All that this report has something for, in the order of the page.
pub(super) fn all(report: &Value) -> Vec<Figure> {
    let results: Vec<&Value> = report["results"].as_array().into_iter().flatten().collect();
    let mode = |mode: &str| -> Vec<&Value> {
        let is_it = |result: &&&Value| result["stage"]["mode"] == mode;
        results.iter().filter(is_it).copied().collect()
    };
    let (closed, open) = (mode("closed"), mode("open"));
    let is_settled = |result: &&&Value| !is_try(report, &result["stage"]);
    let settled: Vec<&Value> = open.iter().filter(is_settled).copied().collect();
    // Of a search what it found; where nothing held, how far it went.
    let open_told = if settled.is_empty() { &open } else { &settled };
    let shown = highest_of_each(open_told);
    [
        load(&open),
        rate(if closed.is_empty() { &shown } else { &closed }),
        tails(open_told),
        over_time(&shown),
        spread(&shown),
        connects(&results),
    ]
    .into_iter()
    .flatten()
    .collect()
}

pub(super) fn name(result: &Value) -> String {
    result["name"].as_str().unwrap_or("unnamed").to_owned()
}

/// Colours belong to a QoS throughout the page.
pub(super) fn hue(result: &Value) -> usize {
    result["stage"]["qos"].as_u64().unwrap_or(3).min(3) as usize
}

/// Of several rates of one QoS only the highest: more lines than that nobody can read.
fn highest_of_each<'a>(open: &[&'a Value]) -> Vec<&'a Value> {
    let mut shown: Vec<&Value> = Vec::new();
    for &result in open {
        match shown.iter_mut().find(|other| hue(other) == hue(result)) {
            Some(other) if asked(result) >= asked(other) => *other = result,
            Some(_) => {}
            None => shown.push(result),
        }
    }
    shown
}

/// Of many rates of one QoS the lowest, the middle and the highest, in this order.
fn some_of_each<'a>(open: &[&'a Value]) -> Vec<&'a Value> {
    let mut some = Vec::new();
    for color in 0..4 {
        let mut of: Vec<&Value> = open
            .iter()
            .filter(|row| hue(row) == color)
            .copied()
            .collect();
        of.sort_by(|one, other| asked(one).total_cmp(&asked(other)));
        match of.len() {
            0..=CURVE_LEAST => some.extend(of),
            many => some.extend([of[0], of[many / 2], of[many - 1]]),
        }
    }
    some
}

/// Messages a second that were due.
fn asked(result: &Value) -> f64 {
    result["stage"]["target_rate"].as_f64().unwrap_or(0.0)
}

fn runs(result: &Value) -> impl Iterator<Item = &Value> {
    result["runs"].as_array().into_iter().flatten()
}

/// One field of each point of a run over its time.
fn course(run: &Value, field: &str, factor: f64) -> Vec<(f64, f64)> {
    let points = run["points"].as_array().into_iter().flatten();
    let each = points.filter_map(|point| {
        let value = point[field].as_f64()? * factor;
        Some((point["t"].as_f64()?, value))
    });
    each.collect()
}

/// Without the last point: it begins when the load has ended.
fn loaded(result: &Value, mut points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let stage = &result["stage"];
    if let (Some(warmup), Some(duration)) =
        (stage["warmup_s"].as_f64(), stage["duration_s"].as_f64())
    {
        points.retain(|(t, _)| *t < warmup + duration - 1e-6);
    }
    points
}

fn most(lines: &[Line], of: fn(&(f64, f64)) -> f64) -> f64 {
    let points = lines.iter().flat_map(|line| &line.points);
    points.map(of).fold(0.0, f64::max)
}

fn least_above_zero(lines: &[Line]) -> f64 {
    let points = lines.iter().flat_map(|line| &line.points);
    let least = points
        .map(|point| point.1)
        .filter(|&y| y > 0.0)
        .fold(f64::INFINITY, f64::min);
    if least.is_finite() { least } else { 1.0 }
}

fn ms_axis(lines: &[Line]) -> Axis {
    Axis::log(
        least_above_zero(lines),
        most(lines, |point| point.1),
        trimmed,
    )
}

fn warmup(results: &[&Value]) -> Option<f64> {
    let first = results.first()?["stage"]["warmup_s"].as_f64()?;
    (first > 0.0).then_some(first)
}

fn rate(results: &[&Value]) -> Option<Figure> {
    let mut lines = Vec::new();
    let is_received = results
        .iter()
        .any(|result| !result["rate"]["received"].is_null());
    let field = if is_received { "received" } else { "sent" };
    for result in results {
        for (number, run) in runs(result).enumerate() {
            lines.push(Line {
                name: name(result),
                hue: hue(result),
                stroke: if number == 0 {
                    Stroke::Solid
                } else {
                    Stroke::Thin
                },
                strength: 1.0,
                points: loaded(result, course(run, field, 1.0)),
                tip: |t, rate| format!("{}/s at {} s", text::rate(Some(rate)), trimmed(t)),
            });
        }
    }
    let top = most(&lines, |point| point.1);
    if top <= 0.0 {
        return None;
    }
    let chart = Chart {
        title: format!("Messages {field} over time"),
        told: format!("up to {} a second", short(top)),
        x: Axis::between(0.0, most(&lines, |point| point.0), trimmed),
        y: Axis::from_zero(top, short),
        x_name: "seconds",
        y_name: "messages/s",
        lines,
        bars: Vec::new(),
        warmup: warmup(results),
        has_marks: true,
    };
    Some(Figure {
        key: "rate",
        note: "The first run; thin lines are the others. A level line is a rate that lasts.",
        chart,
    })
}

fn over_time(results: &[&Value]) -> Option<Figure> {
    let mut lines = Vec::new();
    for result in results {
        let Some(run) = runs(result).next() else {
            continue;
        };
        for (field, percentile, stroke) in [
            ("e2e_p99_us", "p99", Stroke::Dashed),
            ("e2e_p50_us", "p50", Stroke::Solid),
        ] {
            lines.push(Line {
                name: format!("{} {percentile}", name(result)),
                hue: hue(result),
                stroke,
                strength: 1.0,
                points: loaded(result, course(run, field, 1e-3)),
                tip: |t, ms| format!("{} ms at {} s", trimmed(ms), trimmed(t)),
            });
        }
    }
    let top = most(&lines, |point| point.1);
    if top <= 0.0 {
        return None;
    }
    let chart = Chart {
        title: "Latency over time".to_owned(),
        told: format!("p99 up to {} ms", trimmed(top)),
        x: Axis::between(0.0, most(&lines, |point| point.0), trimmed),
        y: ms_axis(&lines),
        x_name: "seconds",
        y_name: "ms",
        lines,
        bars: Vec::new(),
        warmup: warmup(results),
        has_marks: true,
    };
    Some(Figure {
        key: "latency",
        note: "Solid p50, dashed p99, from when each message was due. Logarithmic.",
        chart,
    })
}

/// Pairs of share and milliseconds; of older reports the few percentiles they name.
fn curve(latency: &Value) -> Vec<(f64, f64)> {
    let pairs = latency["curve"].as_array();
    let mut points: Vec<(f64, f64)> = pairs
        .into_iter()
        .flatten()
        .filter_map(|pair| Some((pair[0].as_f64()?, pair[1].as_f64()? / 1e3)))
        .collect();
    if points.is_empty() {
        let each = PERCENTILES.iter();
        points.extend(
            each.filter_map(|(name, share)| Some((*share, latency[*name].as_f64()? / 1e3))),
        );
    }
    for point in &mut points {
        point.0 = tail(point.0);
    }
    points
}

fn tip_of_tail(nines: f64, ms: f64) -> String {
    let share = 100.0 * (1.0 - 10f64.powf(-nines));
    format!("{} ms at {share:.4} %", trimmed(ms))
}

fn tails(open: &[&Value]) -> Option<Figure> {
    let mut lines = Vec::new();
    let open = some_of_each(open);
    for (number, result) in open.iter().enumerate() {
        let alike = open
            .iter()
            .filter(|other| hue(other) == hue(result))
            .count();
        let before = open[..number]
            .iter()
            .filter(|other| hue(other) == hue(result));
        // Higher rates are drawn stronger.
        let strength = (before.count() + 1) as f64 / alike as f64;
        let of = |latency: &Value, stroke| Line {
            name: name(result),
            hue: hue(result),
            stroke,
            strength: 0.35 + 0.65 * strength,
            points: curve(latency),
            tip: tip_of_tail,
        };
        if alike < CURVE_LEAST {
            lines.extend(runs(result).map(|run| of(&run["e2e_us"], Stroke::Thin)));
        }
        lines.push(of(&result["e2e_us"], Stroke::Solid));
    }
    let chart = tail_chart("Latency by percentile", "e2e", lines)?;
    Some(Figure {
        key: "tail",
        note: "All runs together; thin lines are single runs. Each nine to the right is ten times \
               rarer. Drawn as far as ten samples lie beyond.",
        chart,
    })
}

fn tail_chart(title: &str, what: &str, lines: Vec<Line>) -> Option<Chart> {
    let far = most(&lines, |point| point.0);
    let top = most(&lines, |point| point.1);
    (top > 0.0).then(|| Chart {
        title: title.to_owned(),
        told: format!("{what} up to {} ms", trimmed(top)),
        x: Axis::tail(far),
        y: ms_axis(&lines),
        x_name: "share of all samples",
        y_name: "ms",
        lines,
        bars: Vec::new(),
        warmup: None,
        has_marks: false,
    })
}

fn connects(results: &[&Value]) -> Option<Figure> {
    let is_it = |result: &&&Value| {
        ["conn", "churn"].contains(&result["stage"]["kind"].as_str().unwrap_or(""))
    };
    let lines = results.iter().filter(is_it).map(|result| Line {
        name: name(result),
        hue: 0,
        stroke: Stroke::Solid,
        strength: 1.0,
        points: curve(&result["connect_us"]),
        tip: tip_of_tail,
    });
    Some(Figure {
        key: "connects",
        note: "From connect(), or when each was due, to CONNACK. Each nine is ten times rarer.",
        chart: tail_chart(
            "Time to connect by percentile",
            "connecting",
            lines.collect(),
        )?,
    })
}

/// How often which latency came.
fn spread(results: &[&Value]) -> Option<Figure> {
    let mut bars = Vec::new();
    for result in results {
        let latency = &result["e2e_us"];
        let all = latency["n"].as_f64().unwrap_or(0.0).max(1.0);
        let pairs = latency["buckets"].as_array().into_iter().flatten();
        let each = pairs
            .filter_map(|pair| Some((pair[0].as_f64()? / 1e3, 100.0 * pair[1].as_f64()? / all)));
        bars.push(Line {
            name: name(result),
            hue: hue(result),
            stroke: Stroke::Solid,
            strength: 1.0,
            points: each.collect(),
            tip: |_, _| String::new(),
        });
    }
    for bar in &mut bars {
        // Where the first bucket begins.
        if let Some(&(end, _)) = bar.points.first() {
            bar.points.insert(0, (end / BUCKET_GROWTH, 0.0));
        }
    }
    let top = most(&bars, |point| point.1);
    if top <= 0.0 {
        return None;
    }
    let ends = bars.iter().filter_map(|bar| bar.points.first());
    let least = ends.map(|point| point.0).fold(f64::INFINITY, f64::min);
    let chart = Chart {
        title: "How often which latency".to_owned(),
        told: format!("the commonest has {} % of all", trimmed(top)),
        x: Axis::log(least, most(&bars, |point| point.0), trimmed),
        y: Axis::from_zero(top, trimmed),
        x_name: "ms",
        y_name: "% of messages",
        lines: Vec::new(),
        bars,
        warmup: None,
        has_marks: false,
    };
    Some(Figure {
        key: "spread",
        note: "Each step is a quarter longer than the one before. Two hills are two ways through \
               the broker.",
        chart,
    })
}

/// The knee, not the peak, is the result.
fn load(open: &[&Value]) -> Option<Figure> {
    let mut lines = Vec::new();
    for color in 0..4 {
        let mut of: Vec<&Value> = open.iter().filter(|r| hue(r) == color).copied().collect();
        if of.len() < CURVE_LEAST {
            continue;
        }
        of.sort_by(|one, other| asked(one).total_cmp(&asked(other)));
        for (field, shown, stroke) in [
            ("p50", "p50", Stroke::Solid),
            ("p99", "p99", Stroke::Dashed),
            ("p999", "p99.9", Stroke::Dotted),
        ] {
            let each = of.iter().filter_map(|result| {
                Some((asked(result), result["e2e_us"][field].as_f64()? / 1e3))
            });
            lines.push(Line {
                name: format!("QoS {color} {shown}"),
                hue: color,
                stroke,
                strength: 1.0,
                points: each.collect(),
                tip: |rate, ms| format!("{} ms at {}/s", trimmed(ms), text::rate(Some(rate))),
            });
        }
    }
    lines.retain(|line| line.points.len() > 1);
    let top = most(&lines, |point| point.1);
    (top > 0.0).then(|| Figure {
        key: "load",
        note: "Where a line turns up the broker begins to queue: the knee is its capacity.",
        chart: Chart {
            title: "Latency against load".to_owned(),
            told: format!("up to {} ms", trimmed(top)),
            x: Axis::from_zero(most(&lines, |point| point.0), short),
            y: ms_axis(&lines),
            x_name: "messages/s asked for",
            y_name: "ms",
            lines,
            bars: Vec::new(),
            warmup: None,
            has_marks: true,
        },
    })
}
