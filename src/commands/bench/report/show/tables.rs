//! The figures of a report as HTML: a tile for each QoS, tables of latencies and counts, the
//! environment. From JSON, so everything may be missing. Pure.

use serde_json::Value;

use crate::commands::bench::report::compare::is_try;
use crate::commands::bench::report::formats::escaped;
use crate::commands::bench::report::show::figures::{hue, name};
use crate::commands::bench::report::text;

/// What nobody knows where messages are not checked on arrival.
const CHECKED: [&str; 6] = [
    "unique",
    "lost",
    "duplicates",
    "reordered",
    "corrupt",
    "misrouted",
];

/// What must be nought for a broker to have kept its word; at QoS 0 it may lose.
const FAULTS: [&str; 5] = ["lost", "duplicates", "reordered", "corrupt", "misrouted"];

/// Figures at the foot of a tile: what, and how much.
type Pairs = Vec<(String, String)>;

fn results(report: &Value) -> impl Iterator<Item = &Value> {
    report["results"].as_array().into_iter().flatten()
}

fn ms(latency: &Value, field: &str) -> String {
    dash(
        latency[field]
            .as_f64()
            .map(|us| text::significant(us / 1e3)),
    )
}

fn dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}

/// A tile for each QoS, or for the connections.
pub(super) fn tiles(report: &Value) -> String {
    let mut out = String::new();
    for result in results(report) {
        let kind = result["stage"]["kind"].as_str().unwrap_or("");
        if ["conn", "churn"].contains(&kind) {
            out.push_str(&connects(result));
        }
    }
    for qos in 0..3 {
        let own: Vec<&Value> = results(report)
            .filter(|result| hue(result) == qos && !result["rate"].is_null())
            .collect();
        out.push_str(&tile_of(report, qos, &own));
    }
    if out.is_empty() {
        return out;
    }
    format!("<section class=\"tiles\" aria-label=\"In short\">\n{out}</section>\n")
}

fn tile(hue: usize, title: &str, big: &str, unit: &str, what: &str, pairs: &Pairs) -> String {
    let pairs: String = pairs
        .iter()
        .map(|(name, value)| format!("<div><dt>{}</dt><dd>{value}</dd></div>", escaped(name)))
        .collect();
    format!(
        "<article class=\"tile h{hue}\"><h3>{title}</h3><p class=\"big\">{big}<small>{unit}</small></p>\
         <p class=\"what\">{}</p><dl class=\"pairs\">{pairs}</dl></article>\n",
        escaped(what)
    )
}

fn connects(result: &Value) -> String {
    let connect = &result["connect_us"];
    let bytes = &result["bytes_a_client"]["target"];
    let mut pairs = vec![
        ("p50 ms".to_owned(), ms(connect, "p50")),
        ("p99 ms".to_owned(), ms(connect, "p99")),
        ("max ms".to_owned(), ms(connect, "max")),
    ];
    if result["lag_us"]["p99"].is_number() {
        pairs.push(("own lag p99 ms".to_owned(), ms(&result["lag_us"], "p99")));
    }
    if let Some(bytes) = bytes.as_f64().filter(|_| result["stage"]["kind"] == "conn") {
        let bytes = text::count(bytes as u64);
        pairs.push(("bytes a client, broker".to_owned(), bytes));
    }
    let rate = text::rate(result["connects_per_s"].as_f64());
    let counts = &result["counts"];
    let what = format!(
        "{} connected, {} failed",
        text::count(counts["connects"].as_u64().unwrap_or(0)),
        text::count(counts["connect_errors"].as_u64().unwrap_or(0)),
    );
    tile(0, "Connections", &rate, "connects/s", &what, &pairs)
}

/// The highest rate found, and the latency at the highest rate it was measured at.
fn tile_of(report: &Value, qos: usize, own: &[&Value]) -> String {
    let closed = own.iter().find(|row| row["stage"]["mode"] == "closed");
    let asked = |row: &Value| row["stage"]["target_rate"].as_f64().unwrap_or(0.0);
    // Of a search what it found; where nothing held, how far it went.
    let is_settled = |row: &&Value| !is_try(report, &row["stage"]);
    let open = own
        .iter()
        .filter(|row| row["stage"]["mode"] == "open")
        .max_by(|one, other| {
            let rank = |row: &Value| (is_settled(&row), asked(row));
            let (one, other) = (rank(one), rank(other));
            one.0.cmp(&other.0).then(one.1.total_cmp(&other.1))
        });
    let Some(main) = closed.or(open) else {
        return String::new();
    };
    let found = report["found"].as_array().into_iter().flatten();
    let found = found
        .filter(|found| found["qos"] == qos)
        .find_map(|found| found["rate"].as_f64());
    let rates = &main["rate"];
    let (rate, word) = match rates["received"].as_f64() {
        Some(rate) => (Some(rate), "received"),
        None => (rates["sent"].as_f64(), "sent"),
    };
    let what = match (found, closed, rates["spread"].as_f64()) {
        (Some(_), ..) => "the most at which everything holds".to_owned(),
        (_, Some(_), Some(spread)) => {
            format!("{word} as fast as it goes, {}", text::share(Some(spread)))
        }
        (_, Some(_), None) => format!("{word} as fast as it goes"),
        (_, None, _) => format!("{word}, of {} asked for", text::rate(Some(asked(main)))),
    };
    let lost: u64 = own
        .iter()
        .filter(|row| is_settled(row))
        .filter_map(|row| row["counts"]["lost"].as_u64())
        .sum();
    let mut pairs = Vec::new();
    if let Some(open) = open {
        let at = text::rate(Some(asked(open)));
        pairs.push((format!("p50 ms at {at}/s"), ms(&open["e2e_us"], "p50")));
        pairs.push(("p99 ms".to_owned(), ms(&open["e2e_us"], "p99")));
    } else if qos > 0 {
        pairs.push(("ack p50 ms".to_owned(), ms(&main["ack_us"], "p50")));
        pairs.push(("ack p99 ms".to_owned(), ms(&main["ack_us"], "p99")));
    }
    if is_checked(report, main) {
        pairs.push(("lost".to_owned(), text::count(lost)));
    }
    let big = text::rate(found.or(rate));
    tile(
        qos,
        &format!("QoS {qos}"),
        &big,
        "messages/s",
        &what,
        &pairs,
    )
}

/// A table that may be wider than the page scrolls by itself.
fn table(label: &str, heads: &[&str], rows: &[Vec<String>]) -> String {
    let heads: String = heads
        .iter()
        .map(|head| format!("<th scope=\"col\">{head}</th>"))
        .collect();
    let rows: String = rows
        .iter()
        .map(|cells| format!("<tr>{}</tr>\n", cells.concat()))
        .collect();
    format!(
        "<div class=\"card\"><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{label}\">\
         <table><thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody></table></div></div>\n"
    )
}

fn row_head(result: &Value) -> String {
    format!("<th scope=\"row\">{}</th>", escaped(&name(result)))
}

fn cell(text: &str) -> String {
    format!("<td>{text}</td>")
}

/// None when nothing was timed.
pub(super) fn latencies(report: &Value) -> Option<String> {
    const FIELDS: [&str; 7] = ["p50", "p90", "p99", "p999", "p9999", "max", "mean"];
    let rows: Vec<Vec<String>> = results(report)
        .filter(|result| result["e2e_us"]["n"].as_u64().unwrap_or(0) > 0)
        .map(|result| {
            let e2e = &result["e2e_us"];
            let mut cells = vec![row_head(result)];
            cells.extend(FIELDS.map(|field| cell(&ms(e2e, field))));
            cells.push(cell(&ms(&result["service_us"], "p99")));
            cells.push(cell(&ms(&result["ack_us"], "p50")));
            cells.push(cell(&ms(&result["ack_us"], "p99")));
            cells.push(cell(&ms(&result["lag_us"], "p99")));
            cells
        })
        .collect();
    let heads = [
        "",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "p99.99",
        "max",
        "mean",
        "service p99",
        "ack p50",
        "ack p99",
        "own lag p99",
    ];
    (!rows.is_empty()).then(|| table("Latencies in milliseconds", &heads, &rows))
}

/// Somebody received what was sent, and knew it again.
fn is_checked(report: &Value, result: &Value) -> bool {
    let kind = result["stage"]["kind"].as_str();
    report["verified"] != false && !matches!(kind, Some("pub" | "sub"))
}

/// What was sent, what came, and what did not as it should.
pub(super) fn counts(report: &Value) -> Option<String> {
    const FIELDS: [&str; 11] = [
        "sent",
        "acked",
        "expected",
        "unique",
        "lost",
        "duplicates",
        "reordered",
        "corrupt",
        "misrouted",
        "unsent",
        "disconnects",
    ];
    let rows: Vec<Vec<String>> = results(report)
        .filter(|result| result["counts"]["sent"].is_u64())
        .map(|result| {
            let may_lose = hue(result) == 0;
            let is_known = |field: &str| match field {
                "acked" => result["stage"]["qos"] != 0,
                _ => is_checked(report, result) || !CHECKED.contains(&field),
            };
            let counted = |field: &str| {
                let count = result["counts"][field].as_u64();
                let Some(count) = count.filter(|_| is_known(field)) else {
                    return cell("–");
                };
                let is_fault = FAULTS.contains(&field) && !(may_lose && field == "lost");
                match count {
                    0 => "<td class=\"nought\">0</td>".to_owned(),
                    _ if is_fault => format!("<td class=\"bad\">{}</td>", text::count(count)),
                    _ => cell(&text::count(count)),
                }
            };
            let mut cells = vec![row_head(result)];
            cells.extend(FIELDS.map(counted));
            let cores = |who: &str| {
                let used = result["cpu"][who].as_f64();
                cell(&dash(used.map(|cores| format!("{cores:.2}"))))
            };
            cells.push(cores("tool_cores"));
            cells.push(cores("target_cores"));
            cells
        })
        .collect();
    let heads = [
        "",
        "sent",
        "acknowledged",
        "expected",
        "arrived",
        "lost",
        "twice",
        "out of order",
        "corrupt",
        "misrouted",
        "unsent",
        "cut off",
        "cores here",
        "cores broker",
    ];
    (!rows.is_empty()).then(|| table("Counts", &heads, &rows))
}

/// Conditions, and what they came to.
pub(super) fn thresholds(report: &Value) -> Option<String> {
    let verdicts = report["thresholds"].as_array()?;
    let rows: String = verdicts
        .iter()
        .map(|verdict| {
            let (class, mark, said) = match verdict["ok"].as_bool() {
                Some(true) => ("yes", '✓', "holds"),
                _ => ("no", '✗', "does not hold"),
            };
            let text = |field: &str| escaped(verdict[field].as_str().unwrap_or("–"));
            format!(
                "<li><b class=\"{class}\" aria-label=\"{said}\">{mark}</b><code>{}</code>\
                 <span>{}</span><output>{}</output></li>\n",
                text("expr"),
                text("row"),
                text("value"),
            )
        })
        .collect();
    (!rows.is_empty())
        .then(|| format!("<div class=\"card\"><ul class=\"marks\">{rows}</ul></div>\n"))
}

/// Machine, target, settings, command.
pub(super) fn environment(report: &Value) -> String {
    let (host, target) = (&report["host"], &report["target"]);
    let said = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let stage = &report["results"][0]["stage"];
    let joined = |parts: [Option<String>; 2], between: &str| -> Option<String> {
        let [first, second] = parts;
        Some(format!("{}{between}{}", first?, second?))
    };
    let facts = [
        ("Broker", said(&target["process"])),
        (
            "Address",
            joined([said(&target["host"]), said(&target["port"])], ":"),
        ),
        ("Transport", said(&target["transport"])),
        ("MQTT", said(&target["version"])),
        ("System", said(&host["os"])),
        ("Processor", said(&host["cpu"])),
        ("Cores", said(&host["cores"])),
        ("Load before the start", said(&host["load1"])),
        ("Generator threads", said(&host["generator_threads"])),
        (
            "Payload",
            stage["payload_bytes"].as_array().map(|range| {
                let ends: Vec<String> = range.iter().map(Value::to_string).collect();
                match ends.as_slice() {
                    [least, most] if least == most => format!("{least} bytes"),
                    _ => format!("{} bytes", ends.join(" to ")),
                }
            }),
        ),
        ("Unacknowledged at most", said(&stage["inflight"])),
        ("Seed", said(&report["seed"])),
        (
            "Tool",
            joined(
                [
                    said(&report["tool"]["name"]),
                    said(&report["tool"]["version"]),
                ],
                " ",
            ),
        ),
    ];
    let facts: String = facts
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>\n", escaped(&value)))
        .collect();
    format!("<div class=\"card\"><dl class=\"facts\">\n{facts}</dl></div>\n")
}
