//! The page: one file without script, fonts or anything from elsewhere, light and dark as the
//! reader's system is. Pure.

use serde_json::Value;

use crate::commands::bench::report::formats::escaped;
use crate::commands::bench::report::show::axis::trimmed;
use crate::commands::bench::report::show::chart::{Dress, STYLE};
use crate::commands::bench::report::show::figures::{self, Figure};
use crate::commands::bench::report::show::tables;
use crate::commands::bench::report::text;

const PAGE_STYLE: &str = include_str!("page.css");

/// Three bars that rise.
const MARK: &str = "<svg viewBox=\"0 0 24 24\" aria-hidden=\"true\"><g fill=\"var(--h0)\">\
    <rect x=\"2\" y=\"13\" width=\"5\" height=\"9\" rx=\"1.5\"/>\
    <rect x=\"9.5\" y=\"7\" width=\"5\" height=\"15\" rx=\"1.5\" fill=\"var(--h1)\"/>\
    <rect x=\"17\" y=\"2\" width=\"5\" height=\"20\" rx=\"1.5\" fill=\"var(--h2)\"/></g></svg>";

/// All of it.
pub(in crate::commands::bench) fn page(report: &Value) -> String {
    let title = escaped(&title(report));
    let mut main = tables::tiles(report);
    let figures = figures::all(report);
    if !figures.is_empty() {
        let cards: String = figures.iter().map(card).collect();
        main.push_str(&section(
            "Charts",
            &format!("<div class=\"charts\">\n{cards}</div>\n"),
        ));
    }
    let parts = [
        ("Conditions", tables::thresholds(report)),
        (
            "Latency in milliseconds, from when each message was due",
            tables::latencies(report),
        ),
        ("Counts", tables::counts(report)),
        ("Environment", Some(tables::environment(report))),
    ];
    for (name, part) in parts {
        if let Some(part) = part {
            main.push_str(&section(name, &part));
        }
    }
    let started = report["started"].as_str().unwrap_or("");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} · mqttx bench</title>\n<style>\n{STYLE}{PAGE_STYLE}</style>\n</head>\n<body>\n\
         <header>\n<p class=\"mark\">{MARK}mqttx bench<time>{}</time></p>\n<h1>{title}</h1>\n\
         <p class=\"lead\">{}</p>\n{}{}</header>\n<main>\n{main}</main>\n<footer>{}</footer>\n\
         </body>\n</html>\n",
        escaped(&day(started)),
        escaped(&lead(report)),
        verdict(report),
        command(report),
        "Latency counts from the moment a message was due, so waiting for a stalled broker is part \
         of it. A percentile stands here only with ten samples beyond it.",
    )
}

/// What was measured, and where.
pub(super) fn title(report: &Value) -> String {
    let target = &report["target"];
    let place = match (target["host"].as_str(), target["port"].as_u64()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        _ => "unknown broker".to_owned(),
    };
    match target["process"].as_str() {
        Some(process) => format!("{process} at {place}"),
        None => place,
    }
}

/// 2026-11-20T21:33:22.104Z to the minute.
fn day(started: &str) -> String {
    match started.split_once('T') {
        Some((day, time)) => format!("{day} {} UTC", time.get(..5).unwrap_or(time)),
        None => started.to_owned(),
    }
}

fn section(name: &str, inside: &str) -> String {
    format!("<section>\n<h2>{name}</h2>\n{inside}</section>\n")
}

fn lead(report: &Value) -> String {
    let stage = &report["results"][0]["stage"];
    let count = |field: &str| stage[field].as_u64().filter(|&count| count > 0);
    let noun = |count: u64, noun: &str| {
        let s = if count == 1 { "" } else { "s" };
        format!("{} {noun}{s}", text::count(count))
    };
    let mut parts = Vec::new();
    parts.extend(
        report["target"]["version"]
            .as_str()
            .map(|version| format!("MQTT {version}")),
    );
    parts.extend(stage["kind"].as_str().map(str::to_owned));
    parts.extend(count("pubs").map(|count| noun(count, "publisher")));
    parts.extend(count("subs").map(|count| noun(count, "subscriber")));
    parts.extend(count("topics").map(|count| noun(count, "topic")));
    let seconds = |field: &str| stage[field].as_f64().map(trimmed);
    if let Some(duration) = seconds("duration_s") {
        let warmup = seconds("warmup_s").unwrap_or_default();
        parts.push(format!("{warmup} s warm-up and {duration} s measured"));
    }
    let runs = report["results"][0]["runs"].as_array().map_or(0, Vec::len) as u64;
    parts.extend((runs > 0).then(|| noun(runs, "run")));
    parts.join(" · ")
}

/// The first thing to know: whether all is well, and how far to believe it.
fn verdict(report: &Value) -> String {
    let sentences = |field: &str| -> Vec<String> {
        let all = report[field].as_array().into_iter().flatten();
        all.filter_map(|one| Some(one.as_str()?.to_owned()))
            .collect()
    };
    let mut bad = sentences("faults");
    let missed = report["thresholds"].as_array().into_iter().flatten();
    let missed = missed.filter(|verdict| verdict["ok"] == false).count();
    let mut out = String::new();
    let unique: u64 = report["results"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|result| result["counts"]["unique"].as_u64())
        .sum();
    if let Some(trouble) = report["trouble"].as_str() {
        bad.insert(0, format!("Not finished: {trouble}"));
    }
    if missed > 0 {
        let all = report["thresholds"].as_array().map_or(0, Vec::len);
        bad.push(format!("{missed} of {all} conditions do not hold"));
    }
    if !bad.is_empty() {
        out.push_str(&banner("bad", "✗ Not as it should be", &bad));
    } else if unique > 0 {
        let said = format!(
            "✓ {} deliveries checked: sender, number, time, content",
            text::count(unique)
        );
        out.push_str(&banner("good", &said, &[]));
    } else if report["results"]
        .as_array()
        .is_some_and(|rows| !rows.is_empty())
    {
        out.push_str(&banner("good", "✓ Measured to the end", &[]));
    }
    let doubts = sentences("doubts");
    if !doubts.is_empty() {
        out.push_str(&banner("warn", "How far to believe it", &doubts));
    }
    out
}

/// Sentences shown before the reader has to ask for the rest.
const SENTENCES: usize = 4;

fn banner(class: &str, said: &str, sentences: &[String]) -> String {
    let list = |sentences: &[String]| -> String {
        let items: String = sentences
            .iter()
            .map(|sentence| format!("<li>{}</li>", escaped(sentence)))
            .collect();
        if items.is_empty() {
            items
        } else {
            format!("<ul>{items}</ul>")
        }
    };
    // A fold for one line saves nothing.
    let (first, rest) = match sentences.len() {
        many if many > SENTENCES + 1 => sentences.split_at(SENTENCES),
        few => sentences.split_at(few),
    };
    let rest = match rest.len() {
        0 => String::new(),
        more => format!(
            "<details><summary>{more} more</summary>{}</details>",
            list(rest)
        ),
    };
    format!(
        "<div class=\"verdict {class}\"><p>{}</p>{}{rest}</div>\n",
        escaped(said),
        list(first)
    )
}

fn command(report: &Value) -> String {
    let words: Vec<String> = report["command"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(quoted)
        .collect();
    if words.is_empty() {
        return String::new();
    }
    format!("<pre><code>{}</code></pre>\n", escaped(&words.join(" ")))
}

/// As a shell takes it back.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn card(figure: &Figure) -> String {
    let chart = &figure.chart;
    let legend: String = chart
        .legend()
        .map(|line| {
            format!(
                "<li><svg class=\"chart\" viewBox=\"0 0 24 10\" aria-hidden=\"true\">\
                 <path class=\"line {} h{}\" \
                 style=\"opacity:{:.2}\" d=\"M1 5h22\"/></svg>{}</li>",
                line.stroke.class(),
                line.hue,
                line.strength,
                escaped(&line.name)
            )
        })
        .collect();
    format!(
        "<figure class=\"card\" id=\"{}\"><figcaption><h3>{}</h3></figcaption>\n{}\
         <ul class=\"legend\">{legend}</ul><p class=\"note\">{}</p></figure>\n",
        figure.key,
        escaped(&chart.title),
        chart.svg(Dress::Page),
        escaped(figure.note)
    )
}
