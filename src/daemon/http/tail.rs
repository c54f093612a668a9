//! The last lines of the log.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::daemon::http::answer::{Answer, Json};
use crate::daemon::http::app::App;
use crate::daemon::http::query::Query;
use crate::daemon::http::sample::time;
use crate::daemon::log::tail::{KEPT_MAX, Kept};

/// The largest number that all programs read from JSON as it is.
const SEQ_MAX: u64 = 9_007_199_254_740_991;

pub(super) async fn log(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::read(query.as_deref(), &["after", "limit"])?;
    let after = match query.one("after")? {
        Some(_) => Some(query.number("after", 0..=SEQ_MAX, 0)?),
        None => None,
    };
    let limit = query.number("limit", 1..=KEPT_MAX, 200)?;
    let part = app.log().tail(after, limit);
    Ok(Json(json!({
        "next": part.last,
        "lost": part.lost,
        "lines": part.lines.iter().map(line).collect::<Vec<Value>>(),
    })))
}

fn line(kept: &Kept) -> Value {
    json!({
        "seq": kept.number,
        "at": Timestamp::try_from(kept.at).ok().map(time),
        "level": kept.kind.name(),
        "text": kept.text,
    })
}
