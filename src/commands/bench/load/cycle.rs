//! One client that comes and goes, again and again: connect, CONNECT, CONNACK, DISCONNECT, close, with
//! as few calls as that takes. The first time is `client::Session`'s (`churner`), which can say what
//! is wrong; here it is only right or not.
//!
//! The broker hangs up, as §3.14.4 has it do, and we close after it: the other way round the port would
//! rest for a minute on this machine, and 28,000 of them are all there are towards one broker. Who
//! does not hang up is not waited for again.

use std::cell::Cell;
use std::io::{Error, ErrorKind, Result};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::client::{Engine, Event, Handler, Options};
use crate::mqtt::connack::Connack;
use crate::mqtt::frame::{Scan, scan};
use crate::mqtt::{Reason, Version};
use crate::net::{Dial, Stream};

/// From connect() to CONNACK.
const WELCOME_PATIENCE: Duration = Duration::from_secs(30);

/// From DISCONNECT to the broker's close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// A CONNACK beyond this is not believed.
const CONNACK_MAX: usize = 4_096;

const DISCONNECT: [u8; 2] = [0xE0, 0];

pub(super) struct Cycle {
    dial: Dial,
    version: Version,
    /// The same each time.
    connect: Vec<u8>,
    /// The broker closes after DISCONNECT.
    hangs_up: Cell<bool>,
}

impl Cycle {
    pub(super) fn new(options: &Options) -> Self {
        let mut engine = Engine::new(options.clone());
        engine.open(&mut Nobody);
        let mut dial = options.dial.clone();
        // Each of our packets answers one of the broker's, so nothing waits to be collected.
        dial.nodelay = false;
        Self {
            dial,
            version: options.version,
            connect: engine.pending().to_vec(),
            hangs_up: Cell::new(true),
        }
    }

    /// Comes, calls `welcomed`, and goes.
    pub(super) async fn run(&self, welcomed: impl FnOnce()) -> Result<()> {
        let mut stream = match timeout(WELCOME_PATIENCE, self.come()).await {
            Ok(stream) => stream?,
            Err(_) => return Err(ErrorKind::TimedOut.into()),
        };
        welcomed();
        stream.write_all(&DISCONNECT).await?;
        stream.flush().await?;
        if self.hangs_up.get() {
            let end =
                async { while stream.read(&mut [0; 64]).await.is_ok_and(|count| count > 0) {} };
            self.hangs_up
                .set(timeout(CLOSE_PATIENCE, end).await.is_ok());
        }
        Ok(())
    }

    async fn come(&self) -> Result<Stream> {
        let mut stream = self.dial.walk().await?;
        stream.write_all(&self.connect).await?;
        stream.flush().await?;
        let mut held = [0; 256];
        let count = stream.read(&mut held).await?;
        if let Some(reason) = self.answer(&held[..count])? {
            return welcome(reason, stream);
        }
        let mut held = held[..count].to_vec();
        while held.len() < CONNACK_MAX && stream.read_buf(&mut held).await? > 0 {
            if let Some(reason) = self.answer(&held)? {
                return welcome(reason, stream);
            }
        }
        Err(ErrorKind::InvalidData.into())
    }

    /// None when there is more to come.
    fn answer(&self, held: &[u8]) -> Result<Option<Reason>> {
        let wrong = |_| Error::from(ErrorKind::InvalidData);
        match scan(held, CONNACK_MAX).map_err(wrong)? {
            Scan::Head(head) if held.len() >= head.total() => {
                let body = &held[head.head_len..head.total()];
                let connack = Connack::decode(head.first, body, self.version).map_err(wrong)?;
                Ok(Some(connack.reason))
            }
            _ if held.is_empty() => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(None),
        }
    }
}

fn welcome(reason: Reason, stream: Stream) -> Result<Stream> {
    match reason {
        Reason::SUCCESS => Ok(stream),
        _ => Err(ErrorKind::ConnectionRefused.into()),
    }
}

struct Nobody;

impl Handler for Nobody {
    fn handle(&mut self, _: Event<'_>, _: &mut Engine) {}
}
