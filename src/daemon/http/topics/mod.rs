//! Topics that messages are published to, a level at a time. Nobody keeps such a list for the broker
//! itself: while pages ask, one Subscription to everything feeds a tree of a bounded size, and some
//! seconds after the last question both are gone.

mod level;
mod tree;
mod watch;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Instant;

use axum::extract::{RawQuery, State};
use serde_json::{Value, json};

use crate::daemon::http::answer::Fault;
use crate::daemon::http::app::App;
use crate::daemon::http::payload;
use crate::daemon::http::query::Query;
use crate::daemon::http::rows::{Listed, Object, Rows};
use crate::daemon::http::sample::rounded;
use crate::daemon::http::topics::tree::{Part, Row, Tree};

/// Topics there can be, whatever is asked: the most that `http_topics_max` can be.
const OFFSET_MAX: usize = 10_000_000;

/// Rows of an answer.
const ROWS_MAX: usize = 5_000;

/// Bytes of a payload in a row: all that is kept.
const SHOWN_MAX: usize = 256;

/// What is seen while pages ask.
#[derive(Default)]
pub(super) struct Topics(Mutex<Option<Watched>>);

pub(super) struct Watched {
    tree: Tree,
    since: Instant,
    /// When a page asked last.
    asked: Instant,
    /// Only a part of each second is looked at.
    sampled: bool,
}

impl Topics {
    fn lock(&self) -> MutexGuard<'_, Option<Watched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn topics(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
) -> Result<Listed, Fault> {
    let query = Query::read(query.as_deref(), &["under", "q", "offset", "limit"])?;
    let under = query.one("under")?.filter(|under| !under.is_empty());
    let text = query.one("q")?.map(str::to_lowercase);
    let part = Part {
        offset: query.number("offset", 0..=OFFSET_MAX, 0)?,
        limit: query.number("limit", 1..=ROWS_MAX, 1_000)?,
    };
    let mut watched = app.topics.lock();
    let now = Instant::now();
    let watched = watched.get_or_insert_with(|| {
        tokio::spawn(watch::run(Arc::clone(&app)));
        Watched {
            tree: Tree::new(app.asked().limits.http_topics_max),
            since: now,
            asked: now,
            sampled: false,
        }
    });
    watched.asked = now;
    let tree = &watched.tree;
    let (rows, matched) = match &text {
        Some(text) => tree.search(text, under, &part),
        None => tree.below(under, &part),
    };
    let mut written = Rows::default();
    for row in &rows {
        written.add(|all| put(all, row));
    }
    Ok(Listed {
        about: json!({
            "under": under.unwrap_or_default(),
            "watching": true,
            "observed_s": rounded(watched.since.elapsed().as_secs_f64()),
            "sampled": watched.sampled,
            "topics_known": tree.len(),
            "topics_max": tree.most,
            "full": tree.full,
            "matched": matched,
            "offset": part.offset,
            "truncated": part.offset + rows.len() < matched,
        }),
        name: "topics",
        rows: written,
    })
}

fn put(all: &mut Object<'_>, row: &Row<'_>) {
    all.text("level", row.level);
    all.text("topic", &row.topic);
    all.value("children", &json!(row.children));
    all.value("topics", &json!(row.topics));
    all.value("messages", &json!(row.messages));
    all.value("rate", &json!(rounded(row.rate)));
    match row.last {
        None => all.value("last", &Value::Null),
        Some(last) => all.object("last", |all| {
            payload::write(all, &last.payload, last.size, SHOWN_MAX);
            all.value("qos", &json!(last.qos.bits()));
            all.value("retain", &json!(last.retain));
            all.time_or_null("at", Some(last.at));
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::limits::ROWS;

    #[test]
    fn each_topic_there_can_be_can_be_asked_for() {
        let mut rows = ROWS.iter();
        let row = rows.find(|row| row.name == "http_topics_max").unwrap();
        assert_eq!(row.most, OFFSET_MAX as u64);
        let text = include_str!("../openapi.json");
        let document: Value = serde_json::from_str(text).unwrap();
        let asked = document["paths"]["/api/v1/topics"]["get"]["parameters"].as_array();
        let mut asked = asked.unwrap().iter();
        let offset = asked.find(|one| one["name"] == "offset").unwrap();
        assert_eq!(offset["schema"]["maximum"], OFFSET_MAX);
    }
}
