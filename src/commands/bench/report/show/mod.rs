//! A report as a picture: one page that needs nothing but itself, and its charts alone.
//!
//! ```text
//!  report in JSON ─► figures (which charts there are) ─► axis, chart (SVG) ─► page (HTML)
//! ```
//!
//! Everything is drawn from the JSON, so a page can be made of any report that was kept; a field
//! that is missing there is a dash here, never an error.

mod axis;
mod chart;
mod figures;
mod page;
mod tables;

pub(in crate::commands::bench) use self::page::page;

use serde_json::Value;

use crate::commands::bench::report::show::chart::Dress;

/// The chart that says most about this report, alone: latency against load where several rates
/// were measured, else latency by percentile, else rates. None when nothing was measured.
pub(in crate::commands::bench) fn svg(report: &Value) -> Option<String> {
    let all = figures::all(report);
    let first = ["load", "tail", "connects", "rate"]
        .iter()
        .find_map(|key| all.iter().find(|figure| figure.key == *key))?;
    Some(first.chart.svg(Dress::Alone(&page::title(report))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_report_without_anything_is_still_a_page() {
        for report in [
            json!({}),
            json!([]),
            json!({ "results": [1, {}, { "runs": 7 }] }),
        ] {
            let page = page(&report);
            assert!(page.starts_with("<!doctype html>"), "{page}");
            assert!(page.ends_with("</html>\n"));
            assert_eq!(svg(&report), None);
        }
    }

    #[test]
    fn what_a_report_says_is_text_and_nothing_else() {
        let page = page(&json!({
            "target": { "host": "<script>", "port": 1 },
            "command": ["mqttx", "</code><img src=x>"],
            "trouble": "\"<b>",
        }));
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("<b>"));
        assert!(page.contains("&lt;script&gt;"));
    }
}
