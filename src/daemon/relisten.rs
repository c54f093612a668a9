//! Listeners that change while clients are there: new ones are opened, those that are no longer
//! asked for are closed together with their clients, and the others go on with what is said about
//! them now. Clients whose certificate does not count any more have to go; nobody else notices.

use std::sync::Arc;

use mio::Token;

use crate::broker::ConnectionId;
use crate::broker::listener;
use crate::daemon::conf::{Conf, Endpoint, Place};
use crate::daemon::http::{self, Http, Opened};
use crate::daemon::listener::Listener;
use crate::daemon::opening;
use crate::daemon::peer::Peer;
use crate::daemon::worker::{LISTENERS_FROM, Worker};
use crate::daemon::workers::Workers;
use crate::daemon::{Daemon, Error, Listening};
use crate::mqtt::Reason;
use crate::net::tls::session::Server;

/// A listener that stands, for workers that look after its clients.
#[derive(Clone)]
pub(crate) struct Standing {
    pub(crate) listener: Arc<listener::Listener>,
    pub(crate) tls: Option<Server>,
}

impl Daemon {
    /// Listens on these from now on. An error leaves all as it was.
    /// Places of visitors are only opened: see [`reload_http`](Self::reload_http).
    pub(crate) fn relisten(&mut self, conf: &Conf) -> Result<(Opened, Vec<Standing>), Error> {
        let opened = match &self.http {
            Some(http) => http.open(&conf.http)?,
            None => http::open_all(&conf.http, &[])?,
        };
        let workers = Workers::new(&self.mailboxes);
        let wanted = conf.listeners.clone();
        // The first worker accepts.
        let changed = workers.ask(0, move |worker| worker.relisten(&wanted));
        let (listening, standing) = changed.unwrap_or_else(|| Ok(Default::default()))?;
        // Those of visitors change later, and say so.
        let before = std::mem::replace(&mut self.listening, listening);
        let mqtt = before.into_iter().filter(|one| !one.is_http());
        opening::changed(&self.log, &mqtt.collect::<Vec<_>>(), &self.listening);
        Ok((opened, standing))
    }

    /// Reads the files of all TLS listeners again. What fails is told, and stays as it was.
    pub(crate) fn reload_certificates(&self) {
        let workers = Workers::new(&self.mailboxes);
        let mut standing = workers
            .ask(0, |worker| worker.standing())
            .unwrap_or_default();
        let own = standing.iter().filter_map(|one| one.tls.as_ref());
        let visited = self.http.iter().flat_map(Http::servers).collect::<Vec<_>>();
        for server in own.chain(&visited) {
            if let Err(fault) = server.reload() {
                self.log.line(&format!("Error: {fault}"));
            }
        }
        standing.extend(self.http.iter().flat_map(Http::standing));
        workers.ask_all(move |worker| worker.review(&standing));
    }

    /// Visitors come in where it says now, and nobody else stays; without a place there is no
    /// thread for them. After the rules, since who is there is asked again who he is.
    pub(crate) fn reload_http(
        &mut self,
        conf: &Conf,
        (opened, mut standing): (Opened, Vec<Standing>),
    ) {
        let visited = |http: &Option<Http>| -> Vec<Listening> {
            http.iter().flat_map(Http::listening).collect()
        };
        let before = visited(&self.http);
        self.replace_http(conf, opened);
        let now = visited(&self.http);
        opening::changed(&self.log, &before, &now);
        self.listening.extend(now);
        standing.extend(self.http.iter().flat_map(Http::standing));
        let workers = Workers::new(&self.mailboxes);
        workers.ask_all(move |worker| worker.review(&standing));
    }

    fn replace_http(&mut self, conf: &Conf, opened: Opened) {
        let Some(http) = self.http.take() else {
            if let Err(error) = self.start_http(conf, opened) {
                self.log.line(&format!("Error: {error}"));
            }
            return;
        };
        if opened.doors.is_empty() {
            return http.stop();
        }
        http.reload(conf, opened);
        self.http = Some(http);
    }

    /// Reads the token of visitors again.
    pub(crate) fn reload_token(&self) {
        if let Some(Err(what)) = self.http.as_ref().map(Http::reload_token) {
            self.log
                .line(&format!("Error: the token stays as it was: {what}"));
        }
    }
}

impl Worker {
    fn relisten(
        &mut self,
        endpoints: &[Endpoint],
    ) -> Result<(Vec<Listening>, Vec<Standing>), Error> {
        let mut before: Vec<Option<Listener>> = self.seat.listeners.drain(..).map(Some).collect();
        let mut after: Vec<(Listener, Option<Endpoint>)> = Vec::new();
        let mut fault = None;
        for endpoint in endpoints {
            let mut endpoint = endpoint.clone();
            let last = after.last().map(|(listener, _)| &listener.place);
            endpoint.take_port(last);
            let known = before.iter_mut().find(|place| {
                place
                    .as_ref()
                    .is_some_and(|listener| listener.is_at(&endpoint))
            });
            match known.and_then(Option::take) {
                Some(listener) => after.push((listener, Some(endpoint))),
                None => match self.open(&endpoint) {
                    Ok(new) => after.extend(new.map(|listener| (listener, None))),
                    Err(error) => {
                        fault = Some(error);
                        break;
                    }
                },
            }
        }
        if let Some(fault) = fault {
            // New ones go again; the others are as they were.
            let kept = after.into_iter().filter(|(_, change)| change.is_some());
            let kept = kept.map(|(listener, _)| listener);
            self.seat.listeners = before.into_iter().flatten().chain(kept).collect();
            return Err(fault);
        }
        for (mut listener, change) in after {
            if let Some(endpoint) = change {
                listener.change(&endpoint);
            }
            self.seat.listeners.push(listener);
        }
        self.accepting = true;
        let listening = self.seat.listeners.iter().map(Listening::of).collect();
        Ok((listening, self.standing()))
    }

    fn open(&mut self, endpoint: &Endpoint) -> Result<Option<Listener>, Error> {
        let Some(mut listener) = Listener::bind(endpoint)? else {
            return Ok(None);
        };
        let token = Token(LISTENERS_FROM);
        let registered = listener.register(self.seat.poll.registry(), token);
        registered.map_err(|error| Error::System("registering a listener", error))?;
        Ok(Some(listener))
    }

    fn standing(&self) -> Vec<Standing> {
        let listeners = self.seat.listeners.iter();
        let standing = listeners.map(|listener| Standing {
            listener: Arc::clone(&listener.rules),
            tls: listener.endpoint.tls.clone(),
        });
        standing.collect()
    }

    /// Ends connections that would not be let in today.
    fn review(&mut self, standing: &[Standing]) {
        // Ours came by no listener.
        let accepted = |peer: &&Peer| !peer.from.is_own();
        let peers = self.peers.iter().flatten().filter(accepted);
        let ids: Vec<ConnectionId> = peers.map(|peer| peer.id).collect();
        for id in ids {
            if let Some(why) = self.objection(id, standing) {
                let reason = Reason::ADMINISTRATIVE_ACTION;
                self.broker.drop_connection(id, reason, why, self.now);
            }
        }
        self.review_names(standing);
    }

    /// Tells the connections of these listeners whether they may be nobody.
    pub(crate) fn review_names(&mut self, standing: &[Standing]) {
        let peers = self.peers.iter().flatten();
        let ids: Vec<ConnectionId> = peers.map(|peer| peer.id).collect();
        for id in ids {
            if let Some((listener, _)) = self.broker.standing_of(id)
                && let Some(one) = standing.iter().find(|one| one.listener.is_same(&listener))
            {
                let anonymous = one.listener.rules.anonymous;
                self.broker.set_anonymous(id, anonymous, self.now);
            }
        }
    }

    fn objection(&self, id: ConnectionId, standing: &[Standing]) -> Option<&'static str> {
        let (listener, _) = self.broker.standing_of(id)?;
        let one = standing.iter().find(|one| one.listener.is_same(&listener));
        let Some(one) = one else {
            return Some("its listener is closed");
        };
        let layers = self.peer_ref(id)?.layers.as_ref();
        let refused = match (&one.tls, layers) {
            (Some(server), Some(layers)) => !layers.would_be_taken(server),
            // It came when that was not asked for, or is encrypted more than needed.
            _ => false,
        };
        refused.then_some("its certificate does not count any more")
    }
}

impl Endpoint {
    /// The port of the listener before, where that is what is wanted.
    pub(crate) fn take_port(&mut self, before: Option<&Place>) {
        if let (Place::Tcp(address), true, Some(Place::Tcp(before))) =
            (&mut self.place, self.same_port, before)
            && address.port() == 0
        {
            address.set_port(before.port());
        }
    }
}
