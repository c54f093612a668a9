//! The figures a condition can be about: their names, the values they are compared with, and where
//! they stand in a row measured now or in a report that was kept. Pure.

use serde_json::Value;

use crate::commands::bench::report::Row;
use crate::commands::bench::report::json::PERCENTILES;
use crate::commands::bench::stats::Latency;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Metric {
    Rate,
    /// The highest rate that holds, of a search.
    Found,
    Latency(Which, Point),
    Lost,
    Duplicates,
    Reordered,
    Corrupt,
    Refused,
    Errors,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    E2e,
    Service,
    Ack,
    Lag,
    Connect,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Point {
    Share(&'static str, f64),
    Min,
    Mean,
    Max,
}

impl Metric {
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "rate" => Self::Rate,
            "found" => Self::Found,
            "lost" => Self::Lost,
            "dup" | "duplicates" => Self::Duplicates,
            "reordered" => Self::Reordered,
            "corrupt" => Self::Corrupt,
            "refused" => Self::Refused,
            "errors" => Self::Errors,
            _ => {
                let (which, point) = name.split_once('.')?;
                let which = match which {
                    "e2e" => Which::E2e,
                    "service" => Which::Service,
                    "ack" => Which::Ack,
                    "lag" => Which::Lag,
                    "connect" => Which::Connect,
                    _ => return None,
                };
                let point = match point {
                    "min" => Point::Min,
                    "mean" => Point::Mean,
                    "max" => Point::Max,
                    share => {
                        let (name, share) = PERCENTILES.iter().find(|(name, _)| *name == share)?;
                        Point::Share(name, *share)
                    }
                };
                Self::Latency(which, point)
            }
        })
    }

    /// What a value of this looks like, where that is not plain.
    pub(super) fn hint(self) -> &'static str {
        match self {
            Self::Latency(..) => "; a time is, such as 5ms or 200us",
            Self::Rate | Self::Found => "; such are 500, 20k and 1.5M",
            _ => "",
        }
    }

    /// Latencies in nanoseconds, rates a second, the rest as counted, ratios as shares.
    pub(super) fn value(self, text: &str, is_relative: bool) -> Option<f64> {
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let number: f64 = text[..end].parse().ok()?;
        let factor = match (self, is_relative, text[end..].trim_end_matches("/s")) {
            (_, true, "") => 1.0,
            (_, true, "%") => 0.01,
            (Self::Latency(..), false, "ns") => 1.0,
            (Self::Latency(..), false, "us" | "µs") => 1e3,
            (Self::Latency(..), false, "ms") => 1e6,
            (Self::Latency(..), false, "s") => 1e9,
            (Self::Latency(..), ..) | (_, true, _) => return None,
            (_, false, "") => 1.0,
            (Self::Rate | Self::Found, false, "k") => 1e3,
            (Self::Rate | Self::Found, false, "M") => 1e6,
            _ => return None,
        };
        Some(number * factor)
    }

    pub(super) fn of(self, row: &Row) -> Option<f64> {
        let all = &row.all;
        match self {
            Self::Rate if row.stage.shape.is_connects() => row.connect_rate(),
            Self::Rate => {
                let rates = row.rates();
                rates.received.or(rates.sent)
            }
            // Of all rows of a search together, which `Threshold::judge` looks at.
            Self::Found => None,
            Self::Lost => Some(all.lost as f64),
            Self::Duplicates => Some(all.seen.duplicates as f64),
            Self::Reordered => Some(all.seen.reordered as f64),
            Self::Corrupt => Some((all.corrupt + all.misrouted) as f64),
            Self::Refused => Some(row.refused() as f64),
            Self::Errors => Some((row.refused() + all.connect_errors + all.disconnects) as f64),
            Self::Latency(which, point) => {
                let latency = match which {
                    Which::E2e => &all.e2e,
                    Which::Service => &all.service,
                    Which::Ack => &all.ack,
                    Which::Lag => &all.lag,
                    Which::Connect => &all.connect,
                };
                point.of(latency)
            }
        }
    }

    /// The same figure in a report read from JSON.
    pub(super) fn of_json(self, row: &Value) -> Option<f64> {
        let counts = &row["counts"];
        match self {
            Self::Rate => row["rate"]["received"]
                .as_f64()
                .or_else(|| row["rate"]["sent"].as_f64())
                .or_else(|| row["connects_per_s"].as_f64()),
            Self::Found => None,
            Self::Lost => counts["lost"].as_f64(),
            Self::Duplicates => counts["duplicates"].as_f64(),
            Self::Reordered => counts["reordered"].as_f64(),
            Self::Corrupt => Some(counts["corrupt"].as_f64()? + counts["misrouted"].as_f64()?),
            Self::Refused => refused_in(counts),
            Self::Errors => {
                let connections =
                    counts["connect_errors"].as_f64()? + counts["disconnects"].as_f64()?;
                Some(refused_in(counts)? + connections)
            }
            Self::Latency(which, point) => {
                let latencies = match which {
                    Which::E2e => "e2e_us",
                    Which::Service => "service_us",
                    Which::Ack => "ack_us",
                    Which::Lag => "lag_us",
                    Which::Connect => "connect_us",
                };
                let name = match point {
                    Point::Share(name, _) => name,
                    Point::Min => "min",
                    Point::Mean => "mean",
                    Point::Max => "max",
                };
                row[latencies][name].as_f64().map(|us| us * 1e3)
            }
        }
    }

    pub(super) fn shown(self, value: f64, is_relative: bool) -> String {
        match self {
            _ if is_relative => format!("{:.1} %", 100.0 * value),
            Self::Latency(..) => format!("{:.3} ms", value / 1e6),
            _ => format!("{value:.0}"),
        }
    }
}

fn refused_in(counts: &Value) -> Option<f64> {
    let by_reason = counts["refused"].as_object()?;
    Some(by_reason.values().filter_map(Value::as_f64).sum())
}

impl Point {
    fn of(self, latency: &Latency) -> Option<f64> {
        match self {
            Self::Share(_, share) => latency.percentile(share).map(|value| value as f64),
            Self::Min => latency.min().map(|value| value as f64),
            Self::Mean => latency.mean(),
            Self::Max => latency.max().map(|value| value as f64),
        }
    }
}
