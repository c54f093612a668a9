//! The page and the chart of a bench: whole, without anything from elsewhere, and the same whether
//! they are drawn at once or from a report that was kept.

use std::process::{Command, Output};

use serde_json::Value;

use crate::commands_bench::{Broker, SHORT, bench};

fn redraw(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mqttx"))
        .args(["bench", "report"])
        .args(words)
        .output()
        .unwrap()
}

/// Every element that is opened is closed, in order; `void` ones have no end.
fn assert_balanced(markup: &str, void: &[&str]) {
    let mut open = Vec::new();
    let tags = markup
        .split('<')
        .skip(1)
        .map(|tag| tag.split_once('>').unwrap().0);
    for tag in tags.filter(|tag| !tag.starts_with(['!', '?'])) {
        let name = tag.split([' ', '/']).find(|name| !name.is_empty()).unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "</{name}>");
        } else if !tag.ends_with('/') && !void.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn a_page_is_whole_and_needs_no_network() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let words = format!(
        "--pubs 2 -q 0,1 {SHORT} --json {} --html {} --svg {} --threshold lost=0 --quiet",
        path("run.json"),
        path("run.html"),
        path("run.svg"),
    );
    let output = bench(broker.port, &words.replace("--json -", ""));
    assert_eq!(output.status.code(), Some(0), "{output:?}");

    let (page, chart) = (read("run.html"), read("run.svg"));
    assert_balanced(&page, &["meta", "br", "link", "img"]);
    assert_balanced(&chart, &[]);
    for markup in [&page, &chart] {
        let elsewhere = markup.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        for word in ["http:", "https:", "src=", "@import", "url(", "<script"] {
            assert!(!elsewhere.contains(word), "{word}");
        }
        assert!(markup.contains("prefers-color-scheme: dark"));
    }
    for heading in [
        "Latency by percentile",
        "over time",
        "Counts",
        "Environment",
    ] {
        assert!(page.contains(heading), "{heading}");
    }
    let report: Value = serde_json::from_str(&read("run.json")).unwrap();
    for result in report["results"].as_array().unwrap() {
        let name = result["name"].as_str().unwrap();
        assert!(
            page.contains(&format!("<th scope=\"row\">{name}</th>")),
            "{name}"
        );
        assert!(result["counts"]["sent"].as_u64().unwrap() > 0);
    }

    let again = redraw(&[&path("run.json")]);
    assert_eq!(String::from_utf8(again.stdout).unwrap(), page);
    let again = redraw(&[
        &path("run.json"),
        "-o",
        &path("again.html"),
        "--svg",
        &path("again.svg"),
    ]);
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    assert_eq!((read("again.html"), read("again.svg")), (page, chart));
}

#[test]
fn a_chart_of_steps_is_latency_against_load() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().unwrap();
    let chart = folder.path().join("steps.svg");
    let words = format!(
        "--pubs 1 -q 0 --steps 2k..8k:3 {SHORT} --svg {}",
        chart.display()
    );
    let output = bench(broker.port, &words);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = std::fs::read_to_string(&chart).unwrap();
    assert!(text.contains("aria-label=\"Latency against load"), "{text}");
    assert!(text.contains("at 8,000/s</title>"), "{text}");
}

#[test]
fn a_page_of_a_search_shows_what_it_found() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let words = "--pubs 1 -q 0 --find-max e2e.p50<60s --duration 200ms --warmup 50ms";
    let words = format!(
        "{words} --json {} --html {}",
        path("f.json"),
        path("f.html")
    );
    let output = bench(broker.port, &words);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = std::fs::read_to_string(path("f.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let found = &report["found"][0]["rate"];
    let results = report["results"].as_array().unwrap();
    let of_found = results
        .iter()
        .find(|result| result["stage"]["target_rate"] == *found);
    let name = of_found.unwrap()["name"].as_str().unwrap();
    let (_, rate) = name.split_once(" at ").unwrap();
    let page = std::fs::read_to_string(path("f.html")).unwrap();
    assert!(
        page.contains(&format!("<dt>p50 ms at {rate}</dt>")),
        "{rate}"
    );
    let shown = page.split_once("Latency over time").unwrap().1;
    let shown = shown.split_once("</figure>").unwrap().0;
    assert!(shown.contains(name), "{name} in {shown}");
}

/// A nought says that somebody looked and found none.
#[test]
fn what_nobody_has_looked_for_is_a_dash() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let counted = |words: &str| {
        let words = format!("{words} {SHORT} --html {}", page.display());
        let output = bench(broker.port, &words);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let text = std::fs::read_to_string(&page).unwrap();
        let (_, table) = text.split_once("aria-label=\"Counts\"").unwrap();
        let (_, row) = table.split_once("<tbody>").unwrap();
        let (row, _) = row.split_once("</tr>").unwrap();
        let cells = row.split("<td").skip(1);
        let cells = cells.map(|cell| cell.split(['>', '<']).nth(1).unwrap().to_owned());
        cells.collect::<Vec<_>>()
    };
    // sent, acknowledged, expected, arrived, lost, twice, out of order, changed, astray
    for (words, unknown) in [
        ("--pubs 1 -q 1 --rate 500", &[][..]),
        ("--pubs 1 -q 0 --rate 500", &[1]),
        ("--pubs 1 -q 0 --max -s 4", &[1, 3, 4, 5, 6, 7, 8]),
        ("pub --pubs 1 -q 1", &[3, 4, 5, 6, 7, 8]),
    ] {
        let cells = counted(words);
        for (at, cell) in cells.iter().enumerate().take(9) {
            assert_eq!(
                cell == "–",
                unknown.contains(&at),
                "{words}: {at} in {cells:?}"
            );
        }
    }
}

#[test]
fn what_is_no_report_is_not_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.json");
    for (content, told) in [
        ("{}", "no report"),
        ("{", "no JSON"),
        ("{\"schema\":\"mqttx-bench/1\"}", "nothing was measured"),
    ] {
        std::fs::write(&file, content).unwrap();
        let chart = folder.path().join("x.svg").display().to_string();
        let output = redraw(&[&file.display().to_string(), "--svg", &chart]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(told), "{stderr}");
    }
    let output = redraw(&["/nowhere/run.json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/run.json"));
}
