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
mod asked;
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
mod refusals;
mod retained;
mod rows;
mod sample;
mod seats;
mod serve;
mod stream;
mod subscribe;
mod tail;
mod topics;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread::JoinHandle;

use std::path::Path;

use tokio::sync::watch;

use crate::daemon::Error;
use crate::daemon::Listening;
use crate::daemon::conf::{Conf, Endpoint};
use crate::daemon::http::app::App;
pub(crate) use crate::daemon::http::app::Core;
pub(crate) use crate::daemon::http::asked::Asked;
use crate::daemon::http::listening::Bound;
pub(crate) use crate::daemon::http::listening::{Opened, open_all};
use crate::daemon::relisten::Standing;
use crate::net::system_words;
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
pub struct Token {
    text: String,
    file: PathBuf,
}

/// Turns of visitors between two looks at the sockets and at what workers have answered: many readers
/// of many messages have long ones, and a question takes some looks.
const LOOK_EVERY: u32 = 4;

/// Letters of a token: fewer could be guessed.
const TOKEN_LEN_MIN: usize = 16;

impl Token {
    /// Reads the only line of a file.
    pub fn read(file: &Path) -> Result<Self, String> {
        let shown = file.display();
        let failed = |error| format!("{shown}: {}", system_words(&error));
        let text = std::fs::read_to_string(file).map_err(failed)?;
        Self::of_text(&text, file).map_err(|what| format!("{shown}: {what}"))
    }

    /// The only line of a token file.
    pub fn of_text(text: &str, file: &Path) -> Result<Self, String> {
        let token = text.trim_end_matches(['\r', '\n']);
        let visible = token.bytes().all(|byte| byte.is_ascii_graphic());
        if token.len() < TOKEN_LEN_MIN || !visible {
            return Err(format!(
                "one line of at least {TOKEN_LEN_MIN} letters is wanted, without spaces"
            ));
        }
        Ok(Self {
            text: token.to_owned(),
            file: file.to_owned(),
        })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
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
    asked: watch::Sender<Arc<Asked>>,
    /// Opened, and not taken yet by the thread.
    opened: Arc<Mutex<Vec<Bound>>>,
    thread: JoinHandle<()>,
}

impl Http {
    /// Serves what was opened.
    pub(crate) fn start(core: Core, asked: Asked, bound: Vec<Bound>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .event_interval(LOOK_EVERY)
            .global_queue_interval(LOOK_EVERY)
            .build()?;
        let (stop, stopping) = watch::channel(false);
        let (asked, changes) = watch::channel(Arc::new(asked));
        let opened = Arc::new(Mutex::new(bound));
        let to_come = Arc::clone(&opened);
        core.log.keep_tail();
        let thread = std::thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    let app = Arc::new(App::new(core, changes, stopping.clone()));
                    serve::run(&app, &to_come, stopping).await;
                });
            })?;
        Ok(Self {
            stop,
            asked,
            opened,
            thread,
        })
    }

    /// Opens what is asked for and not open yet. Nothing has changed before [`reload`](Self::reload).
    pub(crate) fn open(&self, listeners: &[HttpListener]) -> Result<Opened, Error> {
        open_all(listeners, &self.asked.borrow().doors)
    }

    /// The configuration was read again: doors that are not among these are closed.
    pub(crate) fn reload(&self, conf: &Conf, opened: Opened) {
        let mut to_come = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        to_come.extend(opened.bound);
        // Who takes a place finds it among those that are asked for, or closes it for good.
        self.replace(Asked::new(conf, opened.doors));
    }

    /// Reads the token again, where nothing else is read.
    pub(crate) fn reload_token(&self) -> Result<(), String> {
        let mut asked = Asked::clone(&self.asked.borrow());
        if let Some(token) = &asked.token {
            asked.token = Some(Token::read(&token.file)?);
        }
        self.replace(asked);
        Ok(())
    }

    fn replace(&self, asked: Asked) {
        self.asked
            .send_modify(|before| *before = Arc::new(asked.after(before)));
    }

    /// Where clients come in here. Their TLS has ended before.
    pub(crate) fn standing(&self) -> Vec<Standing> {
        let asked = self.asked.borrow();
        let standing = asked.doors.iter().map(|door| Standing {
            listener: Arc::clone(&door.rules),
            tls: None,
        });
        standing.collect()
    }

    /// Where visitors come in.
    pub(crate) fn listening(&self) -> Vec<Listening> {
        let asked = self.asked.borrow();
        asked.doors.iter().map(|door| door.listening()).collect()
    }

    /// What has a certificate.
    pub(crate) fn servers(&self) -> Vec<Server> {
        let asked = self.asked.borrow();
        asked
            .doors
            .iter()
            .filter_map(|door| door.tls.clone())
            .collect()
    }

    /// Ends streams and connections.
    pub(crate) fn stop(self) {
        self.stop.send_replace(true);
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::conf::Place;
    use std::slice::from_ref;

    #[test]
    fn a_place_that_is_taken_is_asked_for() {
        const RELOADS: usize = 500;
        let conf = Conf::default();
        let none = Arc::new(Asked::new(&conf, Vec::new()));
        let ((asked, seen), (stop, _)) = (watch::channel(none), watch::channel(false));
        let opened = Arc::new(Mutex::new(Vec::new()));
        let to_come: Arc<Mutex<Vec<Bound>>> = Arc::clone(&opened);
        let thread = std::thread::spawn(move || {
            let mut taken = 0;
            while taken < RELOADS {
                let new = std::mem::take(&mut *to_come.lock().unwrap());
                for bound in &new {
                    assert!(seen.borrow().door_like(&bound.door).is_some());
                }
                taken += new.len();
            }
        });
        let http = Http {
            stop,
            asked,
            opened,
            thread,
        };
        let listener = HttpListener {
            endpoint: Endpoint::plain(Place::Tcp(([127, 0, 0, 1], 0).into())),
            service: Service::Whole,
        };
        let mut doors = Vec::new();
        for _ in 0..RELOADS {
            let Opened { doors: new, bound } = open_all(from_ref(&listener), &[]).unwrap();
            doors.extend(new);
            let doors = doors.clone();
            http.reload(&conf, Opened { doors, bound });
            if http.thread.is_finished() {
                break;
            }
        }
        http.stop();
    }
}
