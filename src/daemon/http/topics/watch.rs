//! Who looks at all messages while a page asks for topics, and at none otherwise. Where there are
//! too many to look at each, only the beginning of each second is looked at: the Subscription is
//! taken back until the next one.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use jiff::Timestamp;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::daemon::http::answer::Fault;
use crate::daemon::http::app::App;
use crate::daemon::http::line::{Line, VERSION, broken, own_id};
use crate::daemon::http::refusals::Refusals;
use crate::daemon::http::rows;
use crate::daemon::http::topics::Watched;
use crate::mqtt::Packet;
use crate::mqtt::QoS;
use crate::mqtt::property::Properties;
use crate::mqtt::publish::Publish;
use crate::mqtt::subscribe::{self, RetainHandling, SubscribeOptions};
use crate::mqtt::unsubscribe;

/// What is looked at: everything, and the broker's own topics.
const FILTERS: [&str; 2] = ["#", "$SYS/#"];

/// It ends when nobody has asked for so long.
const ASKED_TIME: Duration = Duration::from_secs(15);

/// Messages looked at in a second.
const SEEN_MAX: u64 = 4_000;

/// Retained messages that the tree begins with, at a time.
const RETAINED_PART: usize = 512;

/// Looks until nobody asks any more.
pub(super) async fn run(app: Arc<App>) {
    // Whether it ends because nobody asks or because the broker stops, it is over.
    let _ = look(&app).await;
    *app.topics.lock() = None;
}

async fn look(app: &Arc<App>) -> Result<(), Fault> {
    begin_with_retained(app).await;
    let mut watch = Watch {
        line: Line::trusted(app).await?,
        seen: 0,
        resting: true,
        since: Instant::now(),
    };
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stopping = app.stopping();
    let ended = tokio::select! {
        ended = watch.seconds(app, &mut seconds) => ended,
        _ = stopping.wait_for(|stop| *stop) => Ok(()),
    };
    watch.line.close().await;
    ended
}

/// There may be room for more topics now, or for fewer.
async fn follow_limit(app: &App) {
    let most = app.asked().limits.http_topics_max;
    let changed = {
        let mut watched = app.topics.lock();
        watched
            .as_mut()
            .is_some_and(|watched| watched.tree.set_most(most))
    };
    if changed {
        begin_with_retained(app).await;
    }
}

/// Fills the tree with what is there already.
async fn begin_with_retained(app: &App) {
    for filter in FILTERS {
        let mut next = Some(0);
        while let Some(from) = next {
            let now = Instant::now();
            let page = app
                .core
                .shared
                .retained_page(filter, from, RETAINED_PART, now);
            if let Some(watched) = &mut *app.topics.lock() {
                for (message, _) in &page.rows {
                    // What was published since is newer.
                    if watched.tree.knows(message.topic()) {
                        continue;
                    }
                    let publish = Publish {
                        dup: false,
                        qos: message.qos(),
                        retain: true,
                        topic: message.topic(),
                        packet_id: None,
                        properties: Properties::EMPTY,
                        payload: message.payload(),
                    };
                    watched.tree.note(&publish, Timestamp::now(), false);
                }
                if watched.tree.full {
                    return;
                }
            }
            next = page.next;
            rows::pause().await;
        }
    }
}

struct Watch {
    line: Line,
    /// Messages of this second.
    seen: u64,
    /// There is no Subscription at present.
    resting: bool,
    /// When the Subscription began, or this second did.
    since: Instant,
}

impl Watch {
    async fn seconds(&mut self, app: &Arc<App>, seconds: &mut Interval) -> Result<(), Fault> {
        let mut looked_at = 0.0;
        loop {
            tokio::select! {
                _ = seconds.tick() => {
                    if !self.resting {
                        looked_at += self.since.elapsed().as_secs_f64();
                    }
                    if self.is_over(app, looked_at) {
                        return Ok(());
                    }
                    follow_limit(app).await;
                    looked_at = 0.0;
                    self.seen = 0;
                    self.since = Instant::now();
                    if self.resting {
                        self.ask().await?;
                    }
                }
                filled = self.line.reader.fill() => {
                    filled.map_err(broken)?;
                    self.take(app)?;
                    if self.seen > SEEN_MAX && !self.resting {
                        looked_at += self.since.elapsed().as_secs_f64();
                        self.rest().await?;
                    }
                }
            }
        }
    }

    /// A second is over; whether all is.
    fn is_over(&self, app: &Arc<App>, looked_at: f64) -> bool {
        let mut watched = app.topics.lock();
        let Some(watched) = &mut *watched else {
            return true;
        };
        let unseen = std::mem::take(&mut watched.tree.unseen);
        if unseen > 0 {
            Refusals::note(app, |stats| stats.http_topics_unseen += unseen);
        }
        if looked_at > 0.0 {
            watched.tree.second(looked_at);
            watched.sampled = self.resting;
        }
        watched.asked.elapsed() > ASKED_TIME
    }

    fn take(&mut self, app: &App) -> Result<(), Fault> {
        let mut watched = app.topics.lock();
        let Some(Watched { tree, .. }) = &mut *watched else {
            return Ok(());
        };
        let (now, mut seen) = (Timestamp::now(), 0);
        let taken = self.line.reader.packets(|packet| {
            if let Packet::Publish(publish) = packet {
                tree.note(publish, now, true);
                seen += 1;
                app.own.note(publish);
            }
            true
        });
        self.seen += seen;
        taken.map_err(broken)
    }

    async fn ask(&mut self) -> Result<(), Fault> {
        let options = SubscribeOptions {
            qos: QoS::AtMostOnce,
            no_local: false,
            retain_as_published: true,
            retain_handling: RetainHandling::DoNotSend,
        };
        let filters = FILTERS.map(|filter| (filter, options));
        let mut bytes = Vec::new();
        subscribe::encode(own_id(), Properties::EMPTY, &filters, VERSION, &mut bytes);
        self.resting = false;
        self.line.writer.put(&bytes).await.map_err(broken)
    }

    async fn rest(&mut self) -> Result<(), Fault> {
        let mut bytes = Vec::new();
        unsubscribe::encode(own_id(), Properties::EMPTY, &FILTERS, VERSION, &mut bytes);
        self.resting = true;
        self.line.writer.put(&bytes).await.map_err(broken)
    }
}
