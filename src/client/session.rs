//! A session over as many connections as it takes: connect, resume, try again, and one reason at
//! the end.

use std::time::{Duration, Instant};

use crate::client::backoff::Backoff;
use crate::client::end::End;
use crate::client::engine::Engine;
use crate::client::handler::Handler;
use crate::client::options::Options;
use crate::client::pump;

/// Pauses while a broker is waited for that is about to start.
const EAGER_FIRST: Duration = Duration::from_millis(50);
const EAGER_MOST: Duration = Duration::from_secs(1);

/// One client from its first attempt to its end.
#[derive(Debug)]
pub struct Session {
    engine: Engine,
}

impl Session {
    /// Refuses options that no broker could be asked, in one sentence.
    pub fn new(options: Options) -> Result<Self, &'static str> {
        options.check()?;
        Ok(Self {
            engine: Engine::new(options),
        })
    }

    /// Connects, lets `handler` work, and comes back for good. Whoever drops this future drops the
    /// connection without a DISCONNECT, so the broker publishes the Will.
    pub async fn run<H: Handler>(&mut self, handler: &mut H) -> End {
        let retry = self.engine.options().retry.clone();
        let mut backoff = retry.backoff;
        let (mut attempts, mut fruitless) = (0, 0);
        let begun = Instant::now();
        let mut eager = Backoff::new(EAGER_FIRST, EAGER_MOST);
        loop {
            let before = (self.engine.connections(), self.engine.settled());
            let end = self.connect_once(handler).await;
            if self.engine.connections() > before.0 {
                attempts = 0;
                if self.engine.settled() > before.1 || self.engine.unacknowledged() == 0 {
                    fruitless = 0;
                    backoff.succeeded();
                } else {
                    fruitless += 1;
                }
            }
            if self.engine.is_done() && self.engine.unwritten() == 0 && end.is_passing() {
                return if self.engine.unacknowledged() == 0 {
                    End::Finished
                } else {
                    end
                };
            }
            let left = retry.wait.map(|wait| wait.saturating_sub(begun.elapsed()));
            if self.engine.connections() == 0
                && !self.engine.is_done()
                && let Some(left) = left.filter(|left| !left.is_zero() && end.may_be_early())
            {
                let pause = eager.pause().min(left);
                handler.waiting(&end, pause);
                tokio::time::sleep(pause).await;
                continue;
            }
            let may_retry = if self.engine.connections() > 0 {
                retry.again
            } else {
                retry.first || (retry.unanswered && matches!(end, End::Unanswered))
            };
            attempts += 1;
            let is_last = retry.attempts_max.is_some_and(|most| attempts >= most)
                || retry.fruitless_max.is_some_and(|most| fruitless >= most);
            if self.engine.is_done() || !may_retry || is_last || !end.is_passing() {
                return end;
            }
            let pause = backoff.pause();
            handler.retry(&end, pause);
            tokio::time::sleep(pause).await;
        }
    }

    async fn connect_once<H: Handler>(&mut self, handler: &mut H) -> End {
        match self.engine.options().dial.connect().await {
            Ok(stream) => pump::run(&mut self.engine, stream, handler).await,
            Err(error) => End::Unreachable(error),
        }
    }

    /// What is left when all is over: the counts of what was not acknowledged and not written.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}
