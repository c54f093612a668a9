//! The connection over which a bench and its agents speak: a thread of its own, so that neither the
//! load nor whoever waits for it ever blocks on it. What comes in is bounded: what nobody fetches is
//! dropped, and its sender waits in vain.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::mpsc;

use crate::client::{Engine, Event, Feed, Handler, Message, Options, Session};
use crate::mqtt::property::Properties;
use crate::mqtt::subscribe::SubscribeOptions;
use crate::mqtt::{QoS, Reason};

/// Messages in either direction that wait to be fetched.
const WAITING_MAX: usize = 256;

/// For the last words to leave.
const LEAVE_PATIENCE: Duration = Duration::from_secs(3);

/// One message in or out.
pub(super) struct Letter {
    pub(super) topic: String,
    pub(super) content: Value,
}

/// What happened on the connection.
pub(super) enum News {
    /// Connected and subscribed, also after an interruption.
    Up,
    /// A message; none for one that is no JSON.
    Letter(Option<Value>),
    /// It has ended for good, for this reason.
    Over(String),
}

pub(super) struct Link {
    out: Option<mpsc::Sender<Letter>>,
    news: Receiver<News>,
}

impl Link {
    pub(super) fn open(options: Options, filters: Vec<String>) -> std::io::Result<Self> {
        let (out, outgoing) = mpsc::channel(WAITING_MAX);
        let (sender, news) = sync_channel(WAITING_MAX);
        std::thread::Builder::new()
            .name("agents".to_owned())
            .spawn(move || run(options, filters, outgoing, &sender))?;
        Ok(Self {
            out: Some(out),
            news,
        })
    }

    /// False when nothing can be said any more, or too much waits to be said: nobody waits here for a
    /// connection that has gone.
    pub(super) fn send(&self, topic: &str, content: Value) -> bool {
        let letter = Letter {
            topic: topic.to_owned(),
            content,
        };
        self.out
            .as_ref()
            .is_some_and(|out| out.try_send(letter).is_ok())
    }

    /// None when nothing came in this time.
    pub(super) fn next(&self, patience: Duration) -> Option<News> {
        match self.news.recv_timeout(patience) {
            Ok(news) => Some(news),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(News::Over("it has ended".to_owned())),
        }
    }
}

/// What was said last is on its way yet.
impl Drop for Link {
    fn drop(&mut self) {
        self.out = None;
        let since = Instant::now();
        while let Some(left) = LEAVE_PATIENCE.checked_sub(since.elapsed()) {
            if !matches!(self.next(left), Some(News::Up | News::Letter(_))) {
                return;
            }
        }
    }
}

fn run(
    options: Options,
    filters: Vec<String>,
    outgoing: mpsc::Receiver<Letter>,
    news: &SyncSender<News>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let over = |why: String| {
        let _ = news.send(News::Over(why));
    };
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return over(error.to_string()),
    };
    let mut session = match Session::new(options) {
        Ok(session) => session,
        Err(what) => return over(what.to_owned()),
    };
    let mut speaker = Speaker {
        filters,
        outgoing,
        news: news.clone(),
    };
    let end = runtime.block_on(session.run(&mut speaker));
    over(end.to_string());
}

struct Speaker {
    filters: Vec<String>,
    outgoing: mpsc::Receiver<Letter>,
    news: SyncSender<News>,
}

impl Handler for Speaker {
    fn handle(&mut self, event: Event<'_>, client: &mut Engine) {
        match event {
            Event::Connack(connack) if connack.reason == Reason::SUCCESS => {
                let how = SubscribeOptions::with_qos(QoS::AtLeastOnce);
                let all: Vec<_> = self.filters.iter().map(|f| (f.as_str(), how)).collect();
                if client.subscribe(&all, Properties::EMPTY).is_err() {
                    client.disconnect(Reason::NORMAL_DISCONNECTION, Properties::EMPTY);
                }
            }
            Event::Suback(_) => {
                let _ = self.news.try_send(News::Up);
            }
            Event::Message(publish) => {
                let content = serde_json::from_slice(publish.payload).ok();
                let letter = News::Letter(content);
                let _ = self.news.try_send(letter);
            }
            _ => {}
        }
    }

    fn feed(&mut self, client: &mut Engine, cx: &mut Context<'_>) -> Feed {
        match self.outgoing.poll_recv(cx) {
            Poll::Ready(Some(letter)) => {
                let payload = letter.content.to_string();
                let message = Message::new(&letter.topic, payload.as_bytes());
                // What cannot be said is missed by whoever waits for it, who then says so.
                let _ = client.publish(&message.qos(QoS::AtLeastOnce));
                Feed::More
            }
            Poll::Ready(None) => Feed::End,
            Poll::Pending => Feed::Idle,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use serde_json::json;

    use super::*;
    use crate::net::Dial;
    use crate::net::address::Address;

    #[test]
    fn who_speaks_never_waits_for_a_broker_that_does_not_answer() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let options = Options::new(Dial::new(Address::tcp("127.0.0.1", port)));
        let link = Link::open(options, vec!["a".to_owned()]).unwrap();
        let taken = (0..2 * WAITING_MAX).filter(|_| link.send("b", json!({})));
        assert_eq!(taken.count(), WAITING_MAX);
        drop(silent);
    }
}
