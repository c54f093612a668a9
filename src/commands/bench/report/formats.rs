//! The report in the formats other programs read: CSV, Markdown, JUnit, and the text of
//! HdrHistogram's plotter. Pure.

use crate::commands::bench::report::compare::markdown as pipes;
use crate::commands::bench::report::json::PERCENTILES;
use crate::commands::bench::report::text;
use crate::commands::bench::report::{Report, Row, row_name};
use crate::commands::bench::stats::Latency;

/// One line a row, times in microseconds; what is not known is empty.
pub(in crate::commands::bench) fn csv(report: &Report) -> String {
    let mut out = "qos,mode,kind,pubs,subs,sent_per_s,received_per_s,spread,bytes_per_s,sent,\
                   expected,unique,lost,duplicates,reordered,corrupt,unsent"
        .to_owned();
    for latency in ["e2e", "service", "ack", "lag"] {
        for (name, _) in PERCENTILES {
            out.push_str(&format!(",{latency}_{name}_us"));
        }
        out.push_str(&format!(",{latency}_max_us"));
    }
    out.push_str(",tool_cores,target_cores,target_rss_bytes\n");
    for row in &report.rows {
        out.push_str(&csv_row(row, report.is_checked()));
    }
    out
}

fn csv_row(row: &Row, is_checked: bool) -> String {
    let (stage, all, rates) = (&row.stage, &row.all, row.rates());
    let mode = if stage.is_open() { "open" } else { "closed" };
    let mut cells = vec![
        stage.qos.bits().to_string(),
        mode.to_owned(),
        format!("{:?}", stage.shape.kind).to_lowercase(),
        stage.shape.pubs.to_string(),
        stage.shape.subs.to_string(),
        number(rates.sent),
        number(rates.received),
        rates
            .spread
            .map_or_else(String::new, |share| format!("{share:.4}")),
        number(rates.bytes),
    ];
    let counts = [
        (all.sent, true),
        (all.expected, true),
        (all.seen.unique, is_checked),
        (all.lost, is_checked),
        (all.seen.duplicates, is_checked),
        (all.seen.reordered, is_checked),
        (all.corrupt, is_checked),
        (all.unsent, true),
    ];
    cells.extend(counts.map(|(count, is_known)| match is_known {
        true => count.to_string(),
        false => String::new(),
    }));
    for latency in [&all.e2e, &all.service, &all.ack, &all.lag] {
        let us = |value: Option<u64>| number(value.map(|value| value as f64 / 1e3));
        cells.extend(PERCENTILES.map(|(_, share)| us(latency.percentile(share))));
        cells.push(us(latency.max()));
    }
    cells.push(
        row.tool_cores()
            .map_or_else(String::new, |cores| format!("{cores:.3}")),
    );
    cells.push(
        row.target_cores()
            .map_or_else(String::new, |cores| format!("{cores:.3}")),
    );
    cells.push(
        row.target_rss()
            .map_or_else(String::new, |bytes| bytes.to_string()),
    );
    cells.join(",") + "\n"
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{value:.1}"))
}

/// A table and the verdicts, for a pull request or a job's summary.
pub(in crate::commands::bench) fn markdown(report: &Report) -> String {
    let mut table = vec![
        [
            "QoS",
            "mode",
            "rate/s",
            "spread",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "max ms",
            "lost",
            "dup",
            "reordered",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for row in &report.rows {
        let (all, rates) = (&row.all, row.rates());
        table.push(vec![
            row.stage.qos.bits().to_string(),
            if row.stage.is_open() {
                "open"
            } else {
                "closed"
            }
            .to_owned(),
            text::rate(rates.received.or(rates.sent)),
            text::share(rates.spread),
            text::ms(all.e2e.percentile(0.5)),
            text::ms(all.e2e.percentile(0.99)),
            text::ms(all.e2e.percentile(0.999)),
            text::ms(all.e2e.max()),
            text::checked(report, all.lost),
            text::checked(report, all.seen.duplicates),
            text::checked(report, all.seen.reordered),
        ]);
    }
    let mut out = format!("### mqttx bench: {}\n\n", text::head(report).trim_end());
    out.push_str(&pipes(&table));
    out.push('\n');
    for verdict in &report.verdicts {
        let mark = if verdict.holds { "✅" } else { "❌" };
        let value = verdict.value.as_deref().unwrap_or("not measured");
        out.push_str(&format!(
            "- {mark} `{}` ({}): {value}\n",
            verdict.text, verdict.row
        ));
    }
    for fault in report.faults() {
        out.push_str(&format!("- ❌ {fault}\n"));
    }
    for doubt in report.doubts() {
        out.push_str(&format!("- ⚠️ {doubt}\n"));
    }
    if let Some(trouble) = &report.trouble {
        out.push_str(&format!("- ❌ not finished: {}\n", trouble.sentence));
    }
    out
}

/// A test case for each threshold, each row's promises, and the bench as a whole.
pub(in crate::commands::bench) fn junit(report: &Report) -> String {
    let mut cases = Vec::new();
    for verdict in &report.verdicts {
        let value = verdict.value.as_deref().unwrap_or("not measured");
        let failure = (!verdict.holds).then(|| format!("{value}, wanted {}", verdict.text));
        cases.push((format!("{} ({})", verdict.text, verdict.row), failure));
    }
    let faults = report.faults();
    for row in &report.rows {
        let name = row_name(&row.stage);
        let own: Vec<&str> = faults
            .iter()
            .filter(|fault| fault.starts_with(&format!("{name}: ")))
            .map(String::as_str)
            .collect();
        let failure = (!own.is_empty()).then(|| own.join("; "));
        cases.push((format!("{name}: delivery"), failure));
    }
    let trouble = report
        .trouble
        .as_ref()
        .map(|trouble| trouble.sentence.clone());
    cases.push(("finished".to_owned(), trouble));
    let failed = cases
        .iter()
        .filter(|(_, failure)| failure.is_some())
        .count();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuite name=\"mqttx bench\" tests=\"{}\" failures=\"{failed}\">\n",
        cases.len()
    );
    for (name, failure) in cases {
        let name = escaped(&name);
        match failure {
            None => out.push_str(&format!("  <testcase name=\"{name}\"/>\n")),
            Some(why) => out.push_str(&format!(
                "  <testcase name=\"{name}\"><failure message=\"{}\"/></testcase>\n",
                escaped(&why)
            )),
        }
    }
    out.push_str("</testsuite>\n");
    out
}

/// For XML and HTML, in text and in attributes.
pub(in crate::commands::bench) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(letter),
        }
    }
    out
}

/// Value, percentile, count and 1/(1−percentile), as HdrHistogram's plotter reads them; values in
/// milliseconds.
pub(in crate::commands::bench) fn hgrm(latency: &Latency) -> String {
    let mut out = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut total = 0;
    for step in latency.histogram.iter_quantiles(5) {
        total += step.count_since_last_iteration();
        let value = step.value_iterated_to() as f64 / 1e6;
        let share = step.quantile_iterated_to();
        if share < 1.0 {
            let tail = 1.0 / (1.0 - share);
            out.push_str(&format!(
                "{value:>12.6} {share:>14.12} {total:>10} {tail:>14.2}\n"
            ));
        } else {
            out.push_str(&format!("{value:>12.6} {share:>14.12} {total:>10}\n"));
        }
    }
    let ms = |value: f64| value / 1e6;
    out.push_str(&format!(
        "#[Mean    = {:>12.6}, StdDeviation   = {:>12.6}]\n#[Max     = {:>12.6}, Total count    = {:>12}]\n",
        ms(latency.mean().unwrap_or(0.0)),
        ms(latency.stdev().unwrap_or(0.0)),
        ms(latency.max().unwrap_or(0) as f64),
        latency.len(),
    ));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_takes_for_itself_is_escaped() {
        assert_eq!(escaped("a<b & \"c\""), "a&lt;b &amp; &quot;c&quot;");
    }

    #[test]
    fn the_plotter_gets_rising_values_and_all_samples() {
        let mut latency = Latency::new();
        for value in 1..=1_000 {
            latency.record(value * 1_000);
        }
        let text = hgrm(&latency);
        let last = text.lines().rfind(|line| !line.starts_with('#')).unwrap();
        assert!(last.contains("1000"), "{text}");
        assert!(text.contains("Total count    =         1000"), "{text}");
    }
}
