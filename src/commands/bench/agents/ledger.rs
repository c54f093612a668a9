//! A [`Tally`] on its way from an agent: counts as numbers, histograms as pairs of value and count,
//! which add up to what they were. What comes in is another program's word: nothing in it is
//! believed that cannot be. Pure.

use hdrhistogram::{Counter, Histogram};
use serde_json::{Value, json};

use crate::commands::bench::load::board::PHASES;
use crate::commands::bench::load::track::Seen;
use crate::commands::bench::load::{Apart, Heard, Published};
use crate::commands::bench::plan::Shape;
use crate::commands::bench::progress::Now;
use crate::commands::bench::stats::{LATENCY_MAX, Latency, POINTS_MAX, Tally, course};

/// More samples than this nobody has taken.
const SAMPLES_MAX: u64 = 1 << 50;

/// Pairs of a histogram with three digits, at most.
const PAIRS_MAX: usize = 100_000;

pub(super) fn write(tally: &Tally) -> Value {
    let points: Vec<Value> = tally
        .points
        .iter()
        .map(|point| json!([point.sent, point.received, pairs(&point.e2e)]))
        .collect();
    let mut copy = tally.clone();
    let counts: Vec<u64> = counts(&mut copy).iter().map(|count| **count).collect();
    let latencies: Vec<Value> = latencies(&mut copy)
        .iter()
        .map(|latency| pairs(&latency.histogram))
        .collect();
    let refused: Vec<Value> = tally
        .refused
        .iter()
        .map(|(code, n)| json!([code, n]))
        .collect();
    json!({ "counts": counts, "latencies": latencies, "refused": refused, "points": points })
}

/// None for what no honest agent says.
pub(super) fn read(value: &Value) -> Option<Tally> {
    let mut tally = Tally::new();
    let numbers = value["counts"].as_array()?;
    let mut places = counts(&mut tally);
    if numbers.len() != places.len() {
        return None;
    }
    for (place, number) in places.iter_mut().zip(numbers) {
        **place = number.as_u64().filter(|&number| number <= SAMPLES_MAX)?;
    }
    let histograms = value["latencies"].as_array()?;
    let mut places = latencies(&mut tally);
    if histograms.len() != places.len() {
        return None;
    }
    for (place, pairs) in places.iter_mut().zip(histograms) {
        fill(pairs, |value, count| {
            place.histogram.saturating_record_n(value, count);
            Some(())
        })?;
    }
    for pair in value["refused"].as_array()? {
        let code = u8::try_from(pair[0].as_u64()?).ok()?;
        let count = pair[1].as_u64().filter(|&count| count <= SAMPLES_MAX)?;
        tally.refused.insert(code, count);
    }
    let points = value["points"].as_array()?;
    if points.len() > POINTS_MAX as usize + 1 {
        return None;
    }
    for (at, saved) in points.iter().enumerate() {
        let point = tally.point(at);
        point.sent = saved[0].as_u64().filter(|&count| count <= SAMPLES_MAX)?;
        point.received = saved[1].as_u64().filter(|&count| count <= SAMPLES_MAX)?;
        fill(&saved[2], |value, count| {
            point
                .e2e
                .saturating_record_n(value, u32::try_from(count).ok()?);
            Some(())
        })?;
    }
    is_plausible(&tally).then_some(tally)
}

/// What has to be put together with others' before it says what was lost.
pub(super) fn write_apart(apart: &Apart) -> Value {
    let published = apart.published.iter();
    let published: Vec<Value> = published
        .map(|one| json!([one.publisher, one.sent, one.refused]))
        .collect();
    let heard = apart.heard.iter().map(|one| {
        let unique: Vec<u64> = one.seen.iter().map(|seen| seen.unique).collect();
        json!([one.wanted, unique])
    });
    json!({ "published": published, "heard": heard.collect::<Vec<_>>() })
}

/// None for what does not fit the load.
pub(super) fn read_apart(value: &Value, shape: &Shape) -> Option<Apart> {
    let count = |value: &Value| value.as_u64().filter(|&count| count <= SAMPLES_MAX);
    let mut apart = Apart::default();
    for one in value["published"].as_array()? {
        apart.published.push(Published {
            publisher: u32::try_from(count(&one[0])?)
                .ok()
                .filter(|&publisher| publisher < shape.pubs)?,
            sent: count(&one[1])?,
            refused: count(&one[2])?,
        });
    }
    for one in value["heard"].as_array()? {
        let wanted = match &one[0] {
            Value::Null => None,
            topic => Some(u32::try_from(topic.as_u64()?).ok()),
        };
        let wanted = match wanted {
            None => None,
            Some(topic) => Some(topic.filter(|&topic| topic < shape.topics)?),
        };
        let unique = one[1].as_array()?;
        if unique.len() != shape.heard(wanted) as usize || apart.heard.len() >= shape.subs as usize
        {
            return None;
        }
        let seen: Option<Vec<Seen>> = unique
            .iter()
            .map(|unique| {
                Some(Seen {
                    unique: count(unique)?,
                    ..Seen::default()
                })
            })
            .collect();
        apart.heard.push(Heard {
            wanted,
            seen: seen?,
        });
    }
    Some(apart)
}

/// How it is going, for the picture on the bench's terminal.
pub(super) fn write_now(now: &Now) -> Value {
    json!({
        "phase": now.phase.map(|phase| phase as u8),
        "share": now.share,
        "counts": [now.sent, now.acked, now.received, now.expected, now.connects],
        "cpu": now.cpu,
        "lag": now.lag,
        "e2e": now.e2e.as_ref().map(pairs),
    })
}

/// What makes no sense is not shown; nothing is judged by it.
pub(super) fn read_now(value: &Value) -> Now {
    let count = |at: usize| {
        let count = value["counts"][at].as_u64();
        count.filter(|&count| count <= SAMPLES_MAX).unwrap_or(0)
    };
    let finite = |field: &str| value[field].as_f64().filter(|&number| number >= 0.0);
    let mut e2e = course();
    let is_sound = fill(&value["e2e"], |latency, count| {
        e2e.saturating_record_n(latency, u32::try_from(count).ok()?);
        Some(())
    });
    let phase = value["phase"]
        .as_u64()
        .and_then(|phase| usize::try_from(phase).ok());
    Now {
        phase: phase.and_then(|phase| PHASES.get(phase)).copied(),
        share: finite("share").unwrap_or(0.0).min(1.0),
        sent: count(0),
        acked: count(1),
        received: count(2),
        expected: count(3),
        connects: count(4),
        has_acks: false,
        has_schedule: false,
        cpu: finite("cpu"),
        lag: value["lag"].as_u64(),
        e2e: is_sound.map(|()| e2e).filter(|e2e| !e2e.is_empty()),
    }
}

/// Parts are no more than their wholes.
fn is_plausible(tally: &Tally) -> bool {
    let inside = &tally.inside;
    inside.sent <= tally.sent
        && inside.acked <= tally.acked
        && inside.connects <= tally.connects
        && tally.lost <= tally.expected
        && tally.seen.marked <= tally.seen.duplicates
        && tally.ack.len() <= tally.acked
        && tally.service.len() <= tally.seen.unique
        && tally.e2e.len() <= tally.seen.unique + tally.unsent
        && tally.lag.len() <= tally.sent.max(tally.connects)
        && tally.seen.unique + tally.lost <= tally.expected.max(tally.seen.unique)
}

/// Every count, always in this order.
fn counts(tally: &mut Tally) -> [&mut u64; 24] {
    [
        &mut tally.inside.sent,
        &mut tally.inside.acked,
        &mut tally.inside.received,
        &mut tally.inside.bytes,
        &mut tally.inside.connects,
        &mut tally.seen.unique,
        &mut tally.seen.duplicates,
        &mut tally.seen.marked,
        &mut tally.seen.reordered,
        &mut tally.seen.undecided,
        &mut tally.corrupt,
        &mut tally.misrouted,
        &mut tally.strays,
        &mut tally.sent,
        &mut tally.acked,
        &mut tally.unsent,
        &mut tally.expected,
        &mut tally.lost,
        &mut tally.stalls,
        &mut tally.connects,
        &mut tally.connect_errors,
        &mut tally.disconnects,
        &mut tally.reconnects,
        &mut tally.lowered,
    ]
}

fn latencies(tally: &mut Tally) -> [&mut Latency; 5] {
    [
        &mut tally.e2e,
        &mut tally.service,
        &mut tally.ack,
        &mut tally.lag,
        &mut tally.connect,
    ]
}

fn pairs<T: Counter>(histogram: &Histogram<T>) -> Value {
    histogram
        .iter_recorded()
        .map(|step| json!([step.value_iterated_to(), step.count_since_last_iteration()]))
        .collect::<Vec<_>>()
        .into()
}

/// Gives each pair to `record`; none when they are no histogram.
fn fill(pairs: &Value, mut record: impl FnMut(u64, u64) -> Option<()>) -> Option<()> {
    let pairs = pairs.as_array().filter(|pairs| pairs.len() <= PAIRS_MAX)?;
    let mut all = 0_u64;
    for pair in pairs {
        // The last value a bucket stands for may lie a little above the highest one.
        let value = pair[0].as_u64()?.min(LATENCY_MAX);
        let count = pair[1].as_u64()?;
        all = all.checked_add(count).filter(|&all| all <= SAMPLES_MAX)?;
        record(value, count)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally() -> Tally {
        let mut tally = Tally::new();
        for value in 1..=1_000 {
            tally.e2e.record(value * 1_000);
            tally.point(3).e2e.saturating_record(value * 1_000);
        }
        (tally.sent, tally.expected, tally.seen.unique, tally.lost) = (1_100, 1_100, 1_090, 10);
        tally.inside.sent = 1_000;
        tally.refused.insert(0x97, 3);
        tally
    }

    #[test]
    fn what_is_written_is_read() {
        let tally = tally();
        let text = write(&tally).to_string();
        let back = read(&serde_json::from_str(&text).unwrap()).unwrap();
        assert_eq!((back.sent, back.lost, back.inside.sent), (1_100, 10, 1_000));
        assert_eq!(back.e2e.len(), 1_000);
        assert_eq!(back.e2e.percentile(0.99), tally.e2e.percentile(0.99));
        assert_eq!(back.points.len(), 4);
        assert_eq!(back.points[3].e2e.len(), 1_000);
        assert_eq!(back.refused, tally.refused);
    }

    #[test]
    fn the_picture_comes_across_and_nonsense_does_not() {
        let mut e2e = course();
        e2e.record_n(1_000_000, 7).unwrap();
        let now = Now {
            phase: Some(PHASES[2]),
            share: 0.5,
            sent: 9,
            cpu: Some(1.5),
            e2e: Some(e2e.clone()),
            ..Now::default()
        };
        let written = write_now(&now);
        let back = read_now(&written);
        assert_eq!((back.phase, back.sent, back.cpu), (now.phase, 9, Some(1.5)));
        assert_eq!(back.e2e, Some(e2e));
        let nonsense = json!({
            "phase": 9, "share": 7.0, "counts": [u64::MAX, "x"], "cpu": -1, "e2e": [[1, u64::MAX]],
        });
        let back = read_now(&nonsense);
        assert_eq!((back.phase, back.sent, back.share), (None, 0, 1.0));
        assert_eq!((back.cpu, back.e2e), (None, None));
    }

    #[test]
    fn what_cannot_be_is_not_believed() {
        let good = write(&tally());
        assert!(read(&good).is_some());
        for (pointer, lie) in [
            ("/counts", json!([])),
            ("/counts/0", json!(5_000)),
            ("/counts/13", json!(-1)),
            ("/counts/17", json!(9_999_999)),
            ("/latencies/0", json!([[1, u64::MAX], [2, u64::MAX]])),
            ("/latencies/0", json!([[1_000, 90_000]])),
            ("/latencies/2", json!([["x", 1]])),
            ("/points", json!(vec![json!([0, 0, []]); 700])),
            ("/refused", json!([[999, 1]])),
            ("/latencies", Value::Null),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).unwrap() = lie;
            assert!(read(&bad).is_none(), "{pointer}");
        }
        assert!(read(&json!("garbage")).is_none());
    }
}
