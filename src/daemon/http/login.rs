//! Who asks, and what that lets them do. Users are the broker's own: their names and passwords are
//! judged where those of clients are, with the same patience for wrong ones. An answer is good for
//! some seconds, so that a page with many requests does not ask for each.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use axum::http::HeaderMap;
use axum::http::header;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::sync::{oneshot, watch};
use zeroize::Zeroizing;

use crate::daemon::auth::{Authenticator, Login, Standing};
use crate::daemon::http::answer::{Fault, Kind};
use crate::daemon::http::asked::Asked;
use crate::daemon::http::serve::Arrival;

/// How long an answer is good.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// Answers that are kept.
const KEPT_MAX: usize = 256;

/// How long an answer may take: wrong passwords wait.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// Somebody who may be here.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    /// A user of the broker; nobody in particular on a broker that is open.
    pub(super) user: Option<Arc<str>>,
    /// What was shown, for a connection in the user's name.
    pub(super) password: Option<Arc<[u8]>>,
    /// It was the token.
    pub(super) by_token: bool,
    /// May do everything there is here.
    pub(super) is_admin: bool,
    /// Of what was asked for when that was found out.
    pub(super) edition: u64,
}

/// What a request shows.
enum Shown<'a> {
    Nothing,
    User(String, Vec<u8>),
    Token(&'a str),
}

pub(super) struct Logins {
    authenticator: Authenticator,
    asked: watch::Receiver<Arc<Asked>>,
    /// Makes the keys of `kept` worthless elsewhere.
    salt: [u8; 32],
    kept: Mutex<HashMap<[u8; 32], (Instant, Visitor)>>,
}

impl Logins {
    pub(super) fn new(
        authenticator: Authenticator,
        asked: watch::Receiver<Arc<Asked>>,
        salt: [u8; 32],
    ) -> Self {
        Self {
            authenticator,
            asked,
            salt,
            kept: Mutex::default(),
        }
    }

    /// Who asks. `None`: the request shows nobody, and somebody is wanted.
    pub(super) async fn visitor(
        &self,
        headers: &HeaderMap,
        arrival: &Arrival,
    ) -> Result<Visitor, Fault> {
        let (user, password) = match shown(headers)? {
            Shown::Token(token) => return self.of_token(token),
            Shown::Nothing if arrival.door.is_open() => {
                return Err(wanted("a user of the broker or a token is wanted"));
            }
            Shown::Nothing => (None, None),
            Shown::User(user, password) => (Some(user), Some(password)),
        };
        let edition = self.asked.borrow().edition;
        let key = self.key(edition, arrival, user.as_deref(), password.as_deref());
        if let Some((at, visitor)) = self.kept().get(&key)
            && at.elapsed() < GOOD_FOR
        {
            return Ok(visitor.clone());
        }
        let standing = self
            .ask(arrival, user.as_deref(), password.as_deref(), None)
            .await?;
        let visitor = Visitor {
            user: user.map(Into::into),
            password: password.map(Into::into),
            by_token: false,
            is_admin: standing.is_admin,
            edition,
        };
        let mut kept = self.kept();
        kept.retain(|_, (at, _)| at.elapsed() < GOOD_FOR);
        if kept.len() < KEPT_MAX {
            kept.insert(key, (Instant::now(), visitor.clone()));
        }
        Ok(visitor)
    }

    /// What `visitor` would say to somebody who came before; `None`: that he may not be here.
    pub(super) async fn again(&self, shown: &HeaderMap, arrival: &Arrival) -> Option<Visitor> {
        let door = self.asked.borrow().door_like(&arrival.door)?;
        let arrival = Arrival {
            door,
            from: arrival.from,
        };
        self.visitor(shown, &arrival).await.ok()
    }

    fn of_token(&self, token: &str) -> Result<Visitor, Fault> {
        let asked = self.asked.borrow();
        // Comparing digests tells nothing about the token, however long it takes.
        match &asked.token {
            Some(own) if Sha256::digest(own.text()) == Sha256::digest(token) => Ok(Visitor {
                user: None,
                password: None,
                by_token: true,
                is_admin: true,
                edition: asked.edition,
            }),
            _ => Err(wanted("the token is not the right one")),
        }
    }

    /// Whether somebody may read what is at a path, by rules that speak of paths as of topics.
    pub(super) async fn may_read(
        &self,
        headers: &HeaderMap,
        arrival: &Arrival,
        path: &str,
    ) -> Result<bool, Fault> {
        let (user, password) = match shown(headers)? {
            Shown::Token(_) => return Ok(false),
            Shown::Nothing => (None, None),
            Shown::User(user, password) => (Some(user), Some(password)),
        };
        let standing = self.ask(arrival, user.as_deref(), password.as_deref(), Some(path));
        Ok(standing.await?.may_read)
    }

    async fn ask(
        &self,
        arrival: &Arrival,
        user: Option<&str>,
        password: Option<&[u8]>,
        reads: Option<&str>,
    ) -> Result<Standing, Fault> {
        let (reply, answer) = oneshot::channel();
        let rules = &arrival.door.endpoint.rules;
        let login = Login {
            realm: rules.realm,
            anonymous: rules.anonymous,
            user: user.map(Into::into),
            password: Zeroizing::new(password.unwrap_or_default().into()),
            address: arrival.from.map(|address| address.ip()),
            reads: reads.map(Into::into),
            reply: Box::new(move |standing| {
                // Who asked may be gone.
                let _ = reply.send(standing);
            }),
        };
        if !self.authenticator.log_in(login) {
            return Err(Fault::busy());
        }
        let standing = tokio::time::timeout(ANSWER_TIME, answer).await;
        let standing = standing.ok().and_then(Result::ok).ok_or_else(Fault::busy)?;
        tokio::time::sleep(standing.delay).await;
        if !standing.accepted {
            return Err(wanted(match user {
                Some(_) => "the user name or the password is wrong",
                None => "a user of the broker or a token is wanted",
            }));
        }
        Ok(standing)
    }

    fn key(
        &self,
        edition: u64,
        arrival: &Arrival,
        user: Option<&str>,
        password: Option<&[u8]>,
    ) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.salt);
        digest.update(edition.to_be_bytes());
        let rules = &arrival.door.endpoint.rules;
        digest.update(rules.realm.to_be_bytes());
        // Nobody in particular may be welcome at one door and not at the other, and without rules
        // who is on this machine may do more.
        let local = |from: SocketAddr| from.ip().to_canonical().is_loopback();
        let anonymous = rules.anonymous.map_or(2, u8::from);
        digest.update([anonymous, arrival.from.is_none_or(local).into()]);
        for part in [user.map(str::as_bytes), password] {
            let length = part.map_or(u64::MAX, |part| part.len() as u64);
            digest.update(length.to_be_bytes());
            digest.update(part.unwrap_or_default());
        }
        digest.finalize().into()
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], (Instant, Visitor)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of a request's headers, what it shows of who asks: for as long as a stream goes on.
pub(super) fn only(headers: &HeaderMap) -> HeaderMap {
    let shown = headers.get(header::AUTHORIZATION).cloned();
    shown
        .map(|value| (header::AUTHORIZATION, value))
        .into_iter()
        .collect()
}

fn wanted(what: &str) -> Fault {
    Fault::new(Kind::LoginWanted, what)
}

fn shown(headers: &HeaderMap) -> Result<Shown<'_>, Fault> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(Shown::Nothing);
    };
    let unread = || Fault::bad("Authorization: Basic or Bearer is wanted");
    let text = value.to_str().map_err(|_| unread())?;
    let (scheme, rest) = text.split_once(' ').ok_or_else(unread)?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Shown::Token(rest));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(unread());
    }
    let decoded = BASE64_STANDARD.decode(rest).map_err(|_| unread())?;
    let colon = decoded.iter().position(|&byte| byte == b':');
    let (user, password) = decoded.split_at(colon.ok_or_else(unread)?);
    let user = String::from_utf8(user.to_vec()).map_err(|_| unread())?;
    Ok(Shown::User(user, password[1..].to_vec()))
}
