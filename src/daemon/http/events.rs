//! The figures of each second, for everybody who looks: taken once, however many do, and not at all
//! when nobody does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{self, HeaderValue};
use axum::response::Response;
use serde_json::json;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::{MissedTickBehavior, interval};

use crate::daemon::http::answer::{Fault, Kind};
use crate::daemon::http::app::App;
use crate::daemon::http::login::{self, Visitor};
use crate::daemon::http::refusals::Refusals;
use crate::daemon::http::sample::Sample;
use crate::daemon::http::seats::Seat;
use crate::daemon::http::serve::Arrival;
use crate::daemon::http::stream::{self, Events};

/// Time between two samples.
const INTERVAL: Duration = Duration::from_secs(1);

/// Samples that are kept: five minutes.
const HISTORY_MAX: usize = 300;

/// Samples a slow reader may be behind.
const BEHIND_MAX: usize = 8;

/// The samples, and who is told of them.
pub(super) struct Sampler {
    told: broadcast::Sender<Arc<str>>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    history: VecDeque<Arc<str>>,
    running: bool,
}

impl Sampler {
    pub(super) fn new() -> Self {
        Self {
            told: broadcast::Sender::new(BEHIND_MAX),
            kept: Mutex::default(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on; somebody takes samples if nobody did.
    fn listen(app: &Arc<App>) -> broadcast::Receiver<Arc<str>> {
        let listener = app.sampler.told.subscribe();
        if !std::mem::replace(&mut app.sampler.kept().running, true) {
            tokio::spawn(Self::run(Arc::clone(app)));
        }
        listener
    }

    /// Takes samples as long as somebody listens.
    async fn run(app: Arc<App>) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let sampler = &app.sampler;
            {
                let mut kept = sampler.kept();
                if sampler.told.receiver_count() == 0 {
                    kept.running = false;
                    return;
                }
            }
            let Ok(sample) = Sample::take(&app).await else {
                continue;
            };
            let text: Arc<str> = sample.json().to_string().into();
            let mut kept = sampler.kept();
            if kept.history.len() >= HISTORY_MAX {
                kept.history.pop_front();
            }
            kept.history.push_back(Arc::clone(&text));
            drop(kept);
            // Nobody may be left to hear it.
            let _ = sampler.told.send(text);
        }
    }
}

pub(super) async fn events(
    State(app): State<Arc<App>>,
    Extension(arrival): Extension<Arrival>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let Some(seat) = app.watchers.take(app.asked().limits.http_watchers_max) else {
        Refusals::note(&app, |stats| stats.http_streams_refused += 1);
        return Err(Fault::new(Kind::TooMany, "too many pages look at once"));
    };
    let first = Sample::take(&app).await?;
    let listener = Sampler::listen(&app);
    let (events, response) = stream::open();
    let first = stream::text_event("sample", &with_lost(&first.json().to_string(), 0));
    // There is room in a queue that is new.
    let _ = events.try_send(first);
    let watcher = Watcher {
        app,
        shown: login::only(&headers),
        arrival,
        edition: visitor.edition,
        _seat: seat,
    };
    tokio::spawn(watcher.tell(listener, events));
    Ok(response)
}

/// Somebody who looks, and what that is owed to.
struct Watcher {
    app: Arc<App>,
    shown: HeaderMap,
    arrival: Arrival,
    edition: u64,
    _seat: Seat,
}

impl Watcher {
    async fn tell(self, mut listener: broadcast::Receiver<Arc<str>>, events: Events) {
        let (mut stopping, mut changes) =
            (self.app.stopping(), self.app.changes_since(self.edition));
        let mut lost = 0;
        loop {
            let sample = tokio::select! {
                sample = listener.recv() => Some(sample),
                _ = changes.changed() => None,
                _ = stopping.wait_for(|stop| *stop) => return,
            };
            let Some(sample) = sample else {
                let may_stay = tokio::select! {
                    may_stay = self.may_stay() => may_stay,
                    () = events.closed() => return,
                    _ = stopping.wait_for(|stop| *stop) => return,
                };
                if may_stay {
                    continue;
                }
                let why = json!({ "reason": "the login does not count any more" });
                // Who does not read it finds the stream ended.
                let _ = events.try_send(stream::event("end", &why));
                return;
            };
            match sample {
                Ok(text) => {
                    let event = stream::text_event("sample", &with_lost(&text, lost));
                    match events.try_send(event) {
                        Ok(()) => {}
                        Err(_) if events.is_closed() => return,
                        Err(_) => lost += 1,
                    }
                }
                Err(RecvError::Lagged(count)) => lost += count,
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn may_stay(&self) -> bool {
        let visitor = self.app.logins.again(&self.shown, &self.arrival).await;
        visitor.is_some_and(|visitor| visitor.is_admin)
    }
}

/// The sample all have, and what only this reader has missed.
fn with_lost(sample: &str, lost: u64) -> String {
    let open = sample.strip_suffix('}').unwrap_or(sample);
    format!("{open},\"lost\":{lost}}}")
}

pub(super) async fn history(State(app): State<Arc<App>>) -> Response {
    let samples = {
        let kept = app.sampler.kept();
        let samples: Vec<&str> = kept.history.iter().map(|text| &**text).collect();
        samples.join(",")
    };
    let text = format!(
        "{{\"interval_s\":{},\"samples\":[{samples}]}}\n",
        INTERVAL.as_secs()
    );
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
