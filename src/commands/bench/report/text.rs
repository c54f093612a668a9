//! The report as tables for people.

use crate::cli::args::bench::Kind;
use crate::commands::bench::plan::Load;
use crate::commands::bench::report::{Report, Row};
use crate::commands::bench::stats::Latency;
use crate::mqtt::Version;

/// All of it, last newline included.
pub(in crate::commands::bench) fn render(report: &Report) -> String {
    let mut out = head(report);
    out.push_str(&agents(report));
    let (rates, latencies): (Vec<&Row>, Vec<&Row>) =
        report.rows.iter().partition(|row| !row.stage.is_open());
    if let Some(row) = rates.first()
        && row.stage.shape.is_connects()
    {
        out.push_str(&connections(row));
    } else if let Some(row) = rates.first() {
        out.push_str(&rates_head(report, row));
        out.push_str(&rates_table(report, &rates));
    }
    if let Some(row) = latencies.first() {
        out.push_str(&latencies_head(row));
        out.push_str(&latencies_table(report, &latencies));
    }
    for (qos, rate_found) in &report.found {
        out.push_str(&match rate_found {
            Some(found) => format!(
                "\n  → QoS {}: {} messages/s are the most at which everything holds",
                qos.bits(),
                rate(Some(*found))
            ),
            None => format!("\n  → QoS {}: not even the lowest rate held", qos.bits()),
        });
    }
    for verdict in &report.verdicts {
        let mark = if verdict.holds { '✓' } else { '✗' };
        let value = verdict
            .value
            .as_deref()
            .unwrap_or("not measured, or too few samples");
        out.push_str(&format!(
            "\n  {mark} {} ({}): {value}",
            verdict.text, verdict.row
        ));
    }
    for fault in report.faults() {
        out.push_str(&format!("\n  ✗ {fault}"));
    }
    for doubt in report.doubts() {
        out.push_str(&format!("\n  ! {doubt}"));
    }
    if let Some(trouble) = &report.trouble {
        out.push_str(&format!("\n  ✗ not finished: {}", trouble.sentence));
    }
    if report.faults().is_empty() && report.trouble.is_none() && report.is_verified {
        let unique: u64 = report.rows.iter().map(|row| row.all.seen.unique).sum();
        if unique > 0 {
            let unique = count(unique);
            out.push_str(&format!(
                "\n  ✓ {unique} deliveries checked: run, publisher, number, time, content"
            ));
        }
    }
    out.push('\n');
    out
}

/// Who made the load, and how well their clocks are known.
fn agents(report: &Report) -> String {
    let mut out = String::new();
    for agent in &report.agents {
        out.push_str(&format!(
            "  agent {}: {} cores, clock known to {} ms\n",
            agent.name,
            agent.cores,
            significant(agent.clock_error_us() / 1e3)
        ));
    }
    if let Some(error) = report.latency_error_us() {
        out.push_str(&format!(
            "  messages pass between agents: latencies are known to ± {} ms\n",
            significant(error / 1e3)
        ));
    }
    out
}

pub(in crate::commands::bench) fn head(report: &Report) -> String {
    let target = &report.target;
    let process = match &target.process {
        Some(name) => format!("{name} at "),
        None => String::new(),
    };
    let version = match target.version {
        Version::V31 => "3.1",
        Version::V311 => "3.1.1",
        Version::V5 => "5",
    };
    let mut out = format!(
        "{process}{}:{} · MQTT {version} · {}",
        target.host,
        target.port,
        shape(report)
    );
    if let Some(row) = report.rows.first() {
        let stage = &row.stage;
        let size = match stage.sizes {
            _ if stage.shape.is_connects() => String::new(),
            (least, most) if least == most => format!(" · {least} B"),
            (least, most) => format!(" · {least} to {most} B"),
        };
        let runs = match row.runs.len() {
            1 => "1 run".to_owned(),
            more => format!("{more} runs, median shown"),
        };
        out.push_str(&format!(
            "{size} · {} s warm-up + {} s · {runs}",
            stage.warmup.as_secs_f64(),
            stage.duration.as_secs_f64(),
        ));
    }
    out.push('\n');
    out
}

fn shape(report: &Report) -> String {
    let shape = &report.shape;
    let pubs = plural(shape.pubs, "publisher");
    let subs = plural(shape.subs, "subscriber");
    match shape.kind {
        Kind::Pub => format!("{pubs}, nobody subscribed"),
        Kind::Sub => format!("{subs} to what others publish"),
        Kind::Conn => format!("{} idle and subscribed", plural(shape.subs, "client")),
        Kind::Churn => format!("{} that come and go", plural(shape.pubs, "client")),
        Kind::Rr => format!("{} and their responders", plural(shape.pubs, "requester")),
        Kind::Shared => format!("{pubs} → {subs} sharing one subscription"),
        _ => format!("{pubs} → {subs}, {}", plural(shape.topics, "topic")),
    }
}

fn plural(count: u32, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

fn connections(row: &Row) -> String {
    let all = &row.all;
    let (own, target) = row.bytes_a_client();
    let bytes =
        |bytes: Option<f64>| bytes.map_or_else(|| "–".to_owned(), |bytes| format!("{bytes:.0} B"));
    let idle = row.stage.shape.kind == Kind::Conn;
    let table = vec![
        cells(&[
            "connects",
            "failed",
            "connects/s",
            "p50 ms",
            "p99 ms",
            "p99.9",
            "max",
            "lag p99",
            "a client here",
            "in the broker",
            "generator",
            "broker",
        ]),
        vec![
            count(all.connects),
            count(all.connect_errors),
            rate(row.connect_rate()),
            ms(all.connect.percentile(0.5)),
            ms(all.connect.percentile(0.99)),
            ms(all.connect.percentile(0.999)),
            ms(all.connect.max()),
            ms(all.lag.percentile(0.99)),
            bytes(own.filter(|_| idle)),
            bytes(target.filter(|_| idle)),
            cores(row.tool_cores()),
            broker(row),
        ],
    ];
    let from = match row.stage.connect_rate {
        Some(asked) => format!("from when each was due ({}/s)", rate(Some(asked))),
        None => "from connect()".to_owned(),
    };
    format!("\nConnections, {from} to CONNACK\n{}", aligned(&table))
}

fn rates_head(report: &Report, row: &Row) -> String {
    let window = match report.window(&row.stage) {
        _ if report.shape.kind == Kind::Sub => {
            return "\nAs fast as others publish\n".to_owned();
        }
        Some(window) => format!(
            "closed loop: {} undelivered a publisher",
            count(u64::from(window))
        ),
        None => "as fast as the broker reads".to_owned(),
    };
    format!(
        "\nHighest rate, {window}, {} unacknowledged at QoS 1 and 2\n",
        row.stage.inflight
    )
}

fn rates_table(report: &Report, rows: &[&Row]) -> String {
    let mut table = vec![cells(&[
        "QoS",
        "sent/s",
        "received/s",
        "spread",
        "MB/s",
        "ack p50",
        "p99 ms",
        "lost",
        "dup",
        "reord",
        "generator",
        "broker",
    ])];
    for row in rows {
        let rates = row.rates();
        let all = &row.all;
        table.push(vec![
            row.stage.qos.bits().to_string(),
            rate(rates.sent),
            rate(rates.received),
            share(rates.spread),
            rates
                .bytes
                .map_or_else(|| "–".to_owned(), |bytes| significant(bytes / 1e6)),
            ms(all.ack.percentile(0.5)),
            ms(all.ack.percentile(0.99)),
            checked(report, all.lost),
            checked(report, all.seen.duplicates),
            checked(report, all.seen.reordered),
            cores(row.tool_cores()),
            broker(row),
        ]);
    }
    aligned(&table)
}

fn latencies_head(row: &Row) -> String {
    let arrival = match row.stage.load {
        Load::Rate { arrival, .. } => format!("{arrival:?}").to_lowercase(),
        Load::Max { .. } => String::new(),
    };
    let to = match row.stage.shape.kind {
        Kind::Pub => {
            return format!(
                "\nAt a rate, open loop ({arrival}): only acknowledgements are timed, in ms\n"
            );
        }
        Kind::Rr => "the arrival of its reply",
        _ => "its arrival",
    };
    format!("\nLatency in ms, open loop: from when each message was due ({arrival}) to {to}\n")
}

fn latencies_table(report: &Report, rows: &[&Row]) -> String {
    let mut table = vec![cells(&[
        "QoS",
        "rate/s",
        "received/s",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "p99.99",
        "max",
        "mean±sd",
        "ack p50",
        "p99",
        "lost",
        "dup",
        "reord",
        "lag p99",
        "generator",
        "broker",
    ])];
    for row in rows {
        let all = &row.all;
        let asked = match row.stage.load {
            Load::Rate { rate, .. } => rate,
            Load::Max { .. } => 0.0,
        };
        table.push(vec![
            row.stage.qos.bits().to_string(),
            rate(Some(asked)),
            rate(row.rates().received),
            ms(all.e2e.percentile(0.5)),
            ms(all.e2e.percentile(0.9)),
            ms(all.e2e.percentile(0.99)),
            ms(all.e2e.percentile(0.999)),
            ms(all.e2e.percentile(0.9999)),
            ms(all.e2e.max()),
            mean(&all.e2e),
            ms(all.ack.percentile(0.5)),
            ms(all.ack.percentile(0.99)),
            checked(report, all.lost),
            checked(report, all.seen.duplicates),
            checked(report, all.seen.reordered),
            ms(all.lag.percentile(0.99)),
            cores(row.tool_cores()),
            broker(row),
        ]);
    }
    aligned(&table)
}

/// What nobody looked for was not found, which says nothing.
pub(in crate::commands::bench) fn checked(report: &Report, number: u64) -> String {
    match report.is_checked() {
        true => count(number),
        false => "–".to_owned(),
    }
}

fn broker(row: &Row) -> String {
    match (row.target_cores(), row.target_rss()) {
        (Some(used), Some(rss)) => format!("{used:.2} cores {} MB", rss / 1_000_000),
        (used, _) => cores(used),
    }
}

fn cores(used: Option<f64>) -> String {
    used.map_or_else(|| "–".to_owned(), |used| format!("{used:.2} cores"))
}

fn cells(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// Right-aligned columns, two spaces before each.
pub(in crate::commands::bench) fn aligned(table: &[Vec<String>]) -> String {
    let columns = table.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let of = |row: &Vec<String>| row.get(column).map_or(0, |cell| cell.chars().count());
        table.iter().map(of).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in table {
        for (cell, &width) in row.iter().zip(&widths) {
            out.push_str(&format!("  {cell:>width$}"));
        }
        out.push('\n');
    }
    out
}

/// 1,234,567.
pub(in crate::commands::bench) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

pub(in crate::commands::bench) fn rate(rate: Option<f64>) -> String {
    match rate {
        None => "–".to_owned(),
        Some(rate) if rate < 100.0 => significant(rate),
        Some(rate) => count(rate.round() as u64),
    }
}

pub(in crate::commands::bench) fn share(share: Option<f64>) -> String {
    share.map_or_else(
        || "–".to_owned(),
        |share| format!("±{:.1} %", 100.0 * share),
    )
}

/// Nanoseconds as milliseconds.
pub(in crate::commands::bench) fn ms(nanoseconds: Option<u64>) -> String {
    nanoseconds.map_or_else(|| "–".to_owned(), |value| significant(value as f64 / 1e6))
}

fn mean(latency: &Latency) -> String {
    match (latency.mean(), latency.stdev()) {
        (Some(mean), Some(sd)) => format!("{}±{}", significant(mean / 1e6), significant(sd / 1e6)),
        _ => "–".to_owned(),
    }
}

/// Three significant digits, without an exponent.
pub(in crate::commands::bench) fn significant(value: f64) -> String {
    if value <= 0.0 {
        return "0".to_owned();
    }
    let places = (2 - value.log10().floor() as i32).clamp(0, 4) as usize;
    format!("{value:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_readable() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(count(number), text);
        }
        for (value, text) in [
            (0.0, "0"),
            (0.01234, "0.0123"),
            (0.12345, "0.123"),
            (1.2345, "1.23"),
            (12.345, "12.3"),
            (1234.5, "1234"),
        ] {
            assert_eq!(significant(value), text);
        }
        assert_eq!(ms(None), "–");
        assert_eq!(rate(Some(12_345.4)), "12,345");
    }

    #[test]
    fn columns_are_aligned_by_what_is_seen() {
        let table = vec![cells(&["a", "±1"]), cells(&["100", "–"])];
        assert_eq!(aligned(&table), "    a  ±1\n  100   –\n");
    }
}
