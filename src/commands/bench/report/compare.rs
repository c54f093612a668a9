//! `mqttx bench compare A.json B.json …`: the same figure of two or more reports side by side, with
//! what the runs of each differ among themselves. A difference inside that spread is none. Pure but
//! for the reading of the files in `mod.rs`.

use serde_json::Value;

use crate::commands::bench::report::json::SCHEMA;
use crate::commands::bench::report::text::{self, aligned};
use crate::commands::bench::report::threshold::found_in;
use crate::commands::bench::stats::median;
use crate::mqtt::QoS;

/// One figure of a report that is worth comparing.
struct Figure {
    name: &'static str,
    mode: &'static str,
    more_is_better: bool,
    of: fn(&Value) -> Option<f64>,
    shown: fn(f64) -> String,
}

const FIGURES: [Figure; 6] = [
    Figure {
        name: "connects",
        mode: "connects",
        more_is_better: true,
        of: |run| run["connects_per_s"].as_f64(),
        shown: |rate| text::rate(Some(rate)),
    },
    Figure {
        name: "connect p99",
        mode: "connects",
        more_is_better: false,
        of: |run| run["connect_us"]["p99"].as_f64(),
        shown: in_ms,
    },
    Figure {
        name: "rate",
        mode: "closed",
        more_is_better: true,
        of: |run| {
            run["rate"]["received"]
                .as_f64()
                .or_else(|| run["rate"]["sent"].as_f64())
        },
        shown: |rate| text::rate(Some(rate)),
    },
    Figure {
        name: "e2e p50",
        mode: "open",
        more_is_better: false,
        of: |run| run["e2e_us"]["p50"].as_f64(),
        shown: in_ms,
    },
    Figure {
        name: "e2e p99",
        mode: "open",
        more_is_better: false,
        of: |run| run["e2e_us"]["p99"].as_f64(),
        shown: in_ms,
    },
    Figure {
        name: "e2e p99.9",
        mode: "open",
        more_is_better: false,
        of: |run| run["e2e_us"]["p999"].as_f64(),
        shown: in_ms,
    },
];

fn in_ms(us: f64) -> String {
    format!("{} ms", text::significant(us / 1e3))
}

/// What makes two results alike, besides their rate. What only one kind of result has is null in both.
const ALIKE: [&str; 10] = [
    "qos",
    "kind",
    "mode",
    "pubs",
    "subs",
    "topics",
    "clients",
    "payload_bytes",
    "ramp_from",
    "arrival",
];

/// The rate of one is at most so many times the other's: where nobody names one it is derived from the
/// highest, which is never twice the same.
const RATES_APART_MAX: f64 = 1.5;

/// Below this they are not told apart.
const RATES_APART_TOLD: f64 = 1.01;

/// Least, middle and most over the runs.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Range {
    least: f64,
    middle: f64,
    most: f64,
    runs: usize,
}

impl Range {
    fn of(values: &[f64]) -> Option<Self> {
        Some(Self {
            least: values.iter().copied().min_by(f64::total_cmp)?,
            middle: median(values)?,
            most: values.iter().copied().max_by(f64::total_cmp)?,
            runs: values.len(),
        })
    }

    fn overlaps(self, other: Self) -> bool {
        self.least <= other.most && other.least <= self.most
    }

    /// Half the width as a share of the middle.
    fn spread(self) -> f64 {
        (self.most - self.least) / 2.0 / self.middle
    }
}

/// What comparing the first with another came to.
#[derive(Clone, Debug, PartialEq)]
struct Finding {
    words: String,
    is_worse: bool,
}

/// Refuses what is no report of ours.
pub(in crate::commands::bench) fn read(name: &str, text: &str) -> Result<Value, String> {
    let report: Value =
        serde_json::from_str(text).map_err(|error| format!("{name} is no JSON: {error}"))?;
    match report["schema"].as_str() {
        Some(SCHEMA) => Ok(report),
        Some(other) => Err(format!("{name} has schema {other}; {SCHEMA} is wanted")),
        None => Err(format!("{name} is no report of mqttx bench")),
    }
}

/// The table, one line a figure and report; as Markdown with pipes. None where nothing was measured alike.
pub(in crate::commands::bench) fn render(
    reports: &[(String, Value)],
    is_markdown: bool,
) -> Option<String> {
    let ((first, base), others) = reports.split_first()?;
    let mut table = vec![
        ["QoS", "figure", first.as_str(), "other", "", "verdict"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for result in base["results"].as_array().into_iter().flatten() {
        let stage = &result["stage"];
        if is_try(base, stage) {
            continue;
        }
        for figure in FIGURES.iter().filter(|figure| stage["mode"] == figure.mode) {
            let Some(before) = range(result, figure) else {
                continue;
            };
            for (name, other) in others {
                let there = same(other, stage);
                let now = there.and_then(|result| range(result, figure));
                let mut finding = now.map_or_else(
                    || Finding {
                        words: "not measured".to_owned(),
                        is_worse: false,
                    },
                    |now| judge(before, now, figure.more_is_better),
                );
                if let Some(rate) = there.and_then(|there| other_rate(stage, &there["stage"])) {
                    finding.words.push_str(&format!(", there at {rate}"));
                }
                table.push(vec![
                    stage["qos"]
                        .as_u64()
                        .map_or_else(|| "–".to_owned(), |qos| qos.to_string()),
                    match rate_of(stage) {
                        Some(rate) => format!("{} at {}", figure.name, a_second(rate)),
                        None => figure.name.to_owned(),
                    },
                    (figure.shown)(before.middle),
                    now.map_or_else(|| "–".to_owned(), |now| (figure.shown)(now.middle)),
                    name.clone(),
                    finding.words,
                ]);
            }
        }
    }
    table.extend(others.iter().flat_map(|other| found(base, other)));
    let is_common = |row: &Vec<String>| row.get(3).is_some_and(|now| now != "–");
    let has_common = table.iter().skip(1).any(is_common);
    has_common.then(|| match is_markdown {
        true => markdown(&table),
        false => aligned(&table),
    })
}

/// A rate that a search tried on its way, and that is not what it found.
pub(in crate::commands::bench) fn is_try(report: &Value, stage: &Value) -> bool {
    let mut found = report["found"].as_array().into_iter().flatten();
    let of_stage = found.find(|one| one["qos"] == stage["qos"]);
    of_stage.is_some_and(|one| stage["mode"] == "open" && one["rate"] != stage["target_rate"])
}

/// What a search found in either, where both looked with the same load.
fn found(base: &Value, (name, other): &(String, Value)) -> Vec<Vec<String>> {
    let levels = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
    let line = |qos: QoS| {
        let before = found_in(base, qos)?;
        let mut results = base["results"].as_array()?.iter();
        let loaded = results.find(|result| result["stage"]["qos"] == qos.bits())?;
        let now = same(other, &loaded["stage"]).and_then(|_| found_in(other, qos));
        let words = match now {
            Some(now) => format!("{:.2} ×, one search only: no verdict", now / before),
            None => "not measured".to_owned(),
        };
        Some(vec![
            qos.bits().to_string(),
            "rate that holds".to_owned(),
            text::rate(Some(before)),
            text::rate(now),
            name.clone(),
            words,
        ])
    };
    levels.into_iter().filter_map(line).collect()
}

/// Every stage says how it was measured; only equals are compared, and of several rates the nearest.
pub(in crate::commands::bench) fn same<'a>(report: &'a Value, stage: &Value) -> Option<&'a Value> {
    let is_alike = |there: &Value| ALIKE.iter().all(|field| there[*field] == stage[*field]);
    let results = report["results"].as_array()?.iter();
    results
        .filter(|result| is_alike(&result["stage"]))
        .filter_map(|result| Some((rates_apart(stage, &result["stage"])?, result)))
        .filter(|(apart, _)| *apart <= RATES_APART_MAX)
        .min_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, result)| result)
}

/// The higher rate as a multiple of the lower; none where only one has a rate.
fn rates_apart(one: &Value, other: &Value) -> Option<f64> {
    match (one["target_rate"].as_f64(), other["target_rate"].as_f64()) {
        (None, None) => Some(1.0),
        (Some(one), Some(other)) => Some((one / other).max(other / one)),
        _ => None,
    }
}

/// The rate of the other one, where it is another.
fn other_rate(stage: &Value, there: &Value) -> Option<String> {
    let apart = rates_apart(stage, there)?;
    let rate = there["target_rate"].as_f64()?;
    (apart > RATES_APART_TOLD).then(|| a_second(rate))
}

/// What was offered, of a stage that has a rate.
fn rate_of(stage: &Value) -> Option<f64> {
    stage["target_rate"].as_f64()
}

fn a_second(rate: f64) -> String {
    format!("{}/s", text::rate(Some(rate)))
}

fn range(result: &Value, figure: &Figure) -> Option<Range> {
    let values: Vec<f64> = result["runs"]
        .as_array()?
        .iter()
        .filter_map(figure.of)
        .collect();
    Range::of(&values).filter(|range| range.middle > 0.0)
}

fn judge(before: Range, now: Range, more_is_better: bool) -> Finding {
    if before.runs < 2 || now.runs < 2 {
        let ratio = now.middle / before.middle;
        return Finding {
            words: format!("{ratio:.2} ×, one run only: no verdict"),
            is_worse: false,
        };
    }
    if before.overlaps(now) {
        return Finding {
            words: "no difference".to_owned(),
            is_worse: false,
        };
    }
    let rises = now.middle > before.middle;
    let ratio = if rises {
        now.middle / before.middle
    } else {
        before.middle / now.middle
    };
    let error = ratio * before.spread().hypot(now.spread());
    let word = match (more_is_better, rises) {
        (true, true) => "faster",
        (true, false) => "slower",
        (false, true) => "later",
        (false, false) => "sooner",
    };
    Finding {
        words: format!("{ratio:.2} ± {error:.2} × {word}"),
        is_worse: rises != more_is_better,
    }
}

/// A table for pull requests.
pub(in crate::commands::bench) fn markdown(table: &[Vec<String>]) -> String {
    let mut out = String::new();
    for (at, row) in table.iter().enumerate() {
        out.push_str(&format!("| {} |\n", row.join(" | ")));
        if at == 0 {
            out.push_str(&format!("|{}\n", "---:|".repeat(row.len())));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(rates: &[f64]) -> Value {
        let runs: Vec<Value> = rates
            .iter()
            .map(|rate| json!({ "rate": { "received": rate } }))
            .collect();
        let stage = json!({ "qos": 1, "kind": "pubsub", "mode": "closed", "pubs": 1 });
        json!({ "schema": SCHEMA, "results": [{ "stage": stage, "runs": runs }] })
    }

    fn verdict(before: &[f64], now: &[f64]) -> String {
        let table = render(
            &[
                ("a".to_owned(), report(before)),
                ("b".to_owned(), report(now)),
            ],
            false,
        )
        .unwrap();
        table.lines().last().unwrap().to_owned()
    }

    #[test]
    fn inside_the_spread_there_is_no_difference() {
        assert!(verdict(&[90.0, 100.0, 110.0], &[108.0, 115.0, 120.0]).contains("no difference"));
        assert!(verdict(&[100.0], &[200.0]).contains("no verdict"));
        let strange = json!({ "schema": SCHEMA, "results": [] });
        let pair = [("a".to_owned(), report(&[1.0])), ("b".to_owned(), strange)];
        assert_eq!(render(&pair, false), None);
    }

    #[test]
    fn outside_it_there_is_one() {
        let line = verdict(&[99.0, 100.0, 101.0], &[198.0, 200.0, 202.0]);
        assert!(line.contains("2.00 ± 0.03 × faster"), "{line}");
        let line = verdict(&[198.0, 200.0, 202.0], &[99.0, 100.0, 101.0]);
        assert!(line.contains("2.00 ± 0.03 × slower"), "{line}");
    }

    #[test]
    fn only_like_is_compared_with_like() {
        let step = |rate: f64, p99: f64| {
            let run = json!({ "e2e_us": { "p99": p99 } });
            let stage = json!({ "qos": 0, "mode": "open", "pubs": 2, "target_rate": rate });
            json!({ "stage": stage, "runs": [run, run] })
        };
        let steps = |all: &[(f64, f64)]| {
            let results: Vec<Value> = all.iter().map(|&(rate, p99)| step(rate, p99)).collect();
            json!({ "schema": SCHEMA, "results": results })
        };
        let before = steps(&[(1_000.0, 100.0), (8_000.0, 300.0), (50_000.0, 9_000.0)]);
        let now = steps(&[(1_000.0, 100.0), (8_400.0, 600.0)]);
        let table = render(&[("a".to_owned(), before), ("b".to_owned(), now)], false).unwrap();
        let lines: Vec<&str> = table.lines().skip(1).collect();
        assert!(lines[0].contains("e2e p99 at 1,000/s"), "{table}");
        assert!(lines[0].contains("no difference"), "{table}");
        assert!(
            lines[1].ends_with("2.00 ± 0.00 × later, there at 8,400/s"),
            "{table}"
        );
        assert!(lines[2].contains("not measured"), "{table}");
    }

    #[test]
    fn what_searches_found_stands_beside_each_other() {
        let search = |found: Value| {
            let mut report = report(&[100.0, 110.0]);
            let run = json!({ "e2e_us": { "p99": 1_000.0 } });
            let stage = json!({ "qos": 1, "mode": "open", "target_rate": 70_000.0 });
            let tried = json!({ "stage": stage, "runs": [run] });
            report["results"].as_array_mut().unwrap().push(tried);
            report["found"] = json!([{ "qos": 1, "rate": found }]);
            report
        };
        let line = |now: Value| {
            let pair = [
                ("a".to_owned(), search(json!(8_000.0))),
                ("b".to_owned(), search(now)),
            ];
            let table = render(&pair, false).unwrap();
            assert!(!table.contains("70,000"), "{table}");
            table.lines().last().unwrap().to_owned()
        };
        let told = line(json!(10_000.0));
        assert!(told.contains("rate that holds"), "{told}");
        assert!(told.contains("8,000") && told.contains("1.25 ×"), "{told}");
        assert!(line(Value::Null).contains("not measured"));
    }

    #[test]
    fn only_reports_are_read() {
        assert!(read("a", "{}").unwrap_err().contains("no report"));
        assert!(
            read("a", "{\"schema\":\"mqttx-bench/9\"}")
                .unwrap_err()
                .contains("mqttx-bench/9")
        );
        assert!(read("a", "x").unwrap_err().contains("no JSON"));
        assert!(read("a", &report(&[1.0]).to_string()).is_ok());
    }
}
