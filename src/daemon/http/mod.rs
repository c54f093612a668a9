//! The broker over HTTP: the API that pages and programs use, figures for Prometheus, and the pages
//! themselves. One thread of its own serves all of it and asks the workers what it has to know;
//! without a listener there is no such thread.
//!
//! ```text
//!   listening ── serve ──┬── gate, login ── app ── overview, clients, … ── asking ⇄ workers
//!    (sockets)           └── /mqtt: the socket goes to a worker
//! ```
//!
//! Nothing here holds a lock of the broker while it waits for anybody, and everything that a
//! visitor can make grow has a limit here or in `broker::limits`.

mod answer;
mod app;
mod asking;
mod assets;
mod body;
mod bridges;
mod client;
mod clients;
mod counters;
mod events;
mod front;
mod gate;
mod inside;
mod latency;
mod line;
mod listeners;
mod listening;
mod login;
mod metrics;
mod mosquitto;
mod overview;
mod pages;
mod payload;
mod process;
mod publish;
mod query;
mod retained;
mod sample;
mod serve;
mod stream;
mod subscribe;
mod tail;
mod topics;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::daemon::bridge::conf::BridgeConf;
use crate::daemon::conf::{Conf, Endpoint};
use crate::daemon::http::app::App;
pub(crate) use crate::daemon::http::app::Core;
use crate::daemon::http::listening::Door;
pub(crate) use crate::daemon::http::listening::{Bound, bind_all};
use crate::daemon::relisten::Standing;
use crate::net::tls::session::Server;

/// A place where the broker answers over HTTP.
#[derive(Clone, Debug)]
pub struct HttpListener {
    /// Where, and under whose rules.
    pub endpoint: Endpoint,
    /// What is answered.
    pub service: Service,
}

/// See [`HttpListener`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// All of it.
    Whole,
    /// What mosquitto 2.1 answers on `protocol http_api`, and the files of a folder.
    Mosquitto(Option<PathBuf>),
}

/// The secret that stands for an administrator; not for logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// Letters of a token: fewer could be guessed.
const TOKEN_LEN_MIN: usize = 16;

impl Token {
    /// The only line of a token file.
    pub fn of_file(text: &str) -> Result<Self, String> {
        let token = text.trim_end_matches(['\r', '\n']);
        let visible = token.bytes().all(|byte| byte.is_ascii_graphic());
        if token.len() < TOKEN_LEN_MIN || !visible {
            return Err(format!(
                "one line of at least {TOKEN_LEN_MIN} letters is wanted, without spaces"
            ));
        }
        Ok(Self(token.to_owned()))
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// The thread, while there is one.
pub(crate) struct Http {
    stop: watch::Sender<bool>,
    bridges: watch::Sender<Arc<Vec<BridgeConf>>>,
    doors: Vec<Arc<Door>>,
    thread: JoinHandle<()>,
}

impl Http {
    /// Serves what was bound.
    pub(crate) fn start(
        core: Core,
        bound: Vec<Bound>,
        bridges: watch::Sender<Arc<Vec<BridgeConf>>>,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopping) = watch::channel(false);
        let doors = core.doors.clone();
        core.log.keep_tail();
        let thread = std::thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    let app = Arc::new(App::new(core, stopping.clone()));
                    serve::run(&app, bound, stopping).await;
                });
            })?;
        Ok(Self {
            stop,
            bridges,
            doors,
            thread,
        })
    }

    /// The configuration was read again. Where visitors come in stays as it was.
    pub(crate) fn reload(&self, conf: &Conf) {
        self.bridges.send_replace(Arc::new(conf.bridges.clone()));
    }

    /// Where clients come in here. Their TLS has ended before.
    pub(crate) fn standing(&self) -> impl Iterator<Item = Standing> {
        self.doors.iter().map(|door| Standing {
            listener: Arc::clone(&door.rules),
            tls: None,
        })
    }

    /// What has a certificate.
    pub(crate) fn servers(&self) -> impl Iterator<Item = &Server> {
        self.doors.iter().filter_map(|door| door.tls.as_ref())
    }

    /// Ends streams and connections.
    pub(crate) fn stop(self) {
        self.stop.send_replace(true);
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}
