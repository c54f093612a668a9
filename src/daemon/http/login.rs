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
use std::sync::Weak;
use tokio::sync::{OnceCell, oneshot, watch};
use tokio::time::sleep;
use zeroize::Zeroizing;

use crate::daemon::auth::{Login, Standing};
use crate::daemon::http::answer::{Fault, Kind};
use crate::daemon::http::asked::Asked;
use crate::daemon::http::serve::Arrival;

/// How long an answer is good.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// Answers that are kept.
const KEPT_MAX: usize = 256;

/// How long an answer may take: wrong passwords wait.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// Between two questions about somebody who was here, while there is too much to do.
const AGAIN_PAUSE: Duration = Duration::from_millis(200);

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

/// What stands for a login: who, with which password, at which kind of door.
type Key = [u8; 32];

/// An answer that several wait for, who all asked the same.
type Shared = OnceCell<Result<Standing, Fault>>;

/// Hands a login to who judges it. False: there is too much to do.
type Judge = Box<dyn Fn(Login) -> bool + Send + Sync>;

pub(super) struct Logins {
    judge: Judge,
    asked: watch::Receiver<Arc<Asked>>,
    /// Makes the keys worthless elsewhere.
    salt: [u8; 32],
    kept: Mutex<HashMap<Key, (Instant, Visitor)>>,
    /// Questions on their way; one is gone with the last who waits for it.
    open: Mutex<HashMap<Key, Weak<Shared>>>,
}

impl Logins {
    pub(super) fn new(
        judge: impl Fn(Login) -> bool + Send + Sync + 'static,
        asked: watch::Receiver<Arc<Asked>>,
        salt: [u8; 32],
    ) -> Self {
        Self {
            judge: Box::new(judge),
            asked,
            salt,
            kept: Mutex::default(),
            open: Mutex::default(),
        }
    }

    /// Who asks. `None`: the request shows nobody, and somebody is wanted.
    pub(super) async fn visitor(
        &self,
        headers: &HeaderMap,
        arrival: &Arrival,
    ) -> Result<Visitor, Fault> {
        let shown = shown(headers)?;
        let (user, password) = match &shown {
            Shown::Token(token) => match self.of_token(token) {
                Some(visitor) => return Ok(visitor),
                // It counts as a wrong password does.
                None => {
                    self.ask(arrival, &shown, None).await?;
                    return Err(Fault::busy());
                }
            },
            Shown::Nothing if arrival.door.is_open() => {
                return Err(wanted("a user of the broker or a token is wanted"));
            }
            Shown::Nothing => (None, None),
            Shown::User(user, password) => (Some(user.as_str()), Some(password.as_slice())),
        };
        let edition = self.asked.borrow().edition;
        let key = self.key(edition, arrival, user, password);
        if let Some((at, visitor)) = self.kept().get(&key)
            && at.elapsed() < GOOD_FOR
        {
            return Ok(visitor.clone());
        }
        let shared = self.shared(key);
        let ask = || self.ask(arrival, &shown, None);
        let standing = shared.get_or_init(ask).await.clone()?;
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

    /// What `visitor` says to somebody who came before, as soon as it can say it; `None`: that he
    /// may not be here.
    pub(super) async fn again(&self, headers: &HeaderMap, arrival: &Arrival) -> Option<Visitor> {
        // One that was right is no guess.
        if let Ok(Shown::Token(token)) = shown(headers) {
            return self.of_token(token);
        }
        loop {
            let door = self.asked.borrow().door_like(&arrival.door)?;
            let arrival = Arrival {
                door,
                from: arrival.from,
            };
            match self.visitor(headers, &arrival).await {
                Ok(visitor) => return Some(visitor),
                Err(fault) if fault.is_about_haste() => sleep(AGAIN_PAUSE).await,
                Err(_) => return None,
            }
        }
    }

    /// The question about a login, which is asked once however many wait for its answer.
    fn shared(&self, key: Key) -> Arc<Shared> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = open.get(&key).and_then(Weak::upgrade) {
            return shared;
        }
        open.retain(|_, shared| shared.strong_count() > 0);
        let shared = Arc::new(Shared::new());
        open.insert(key, Arc::downgrade(&shared));
        shared
    }

    fn of_token(&self, token: &str) -> Option<Visitor> {
        let asked = self.asked.borrow();
        // Comparing digests tells nothing about the token, however long it takes.
        match &asked.token {
            Some(own) if Sha256::digest(own.text()) == Sha256::digest(token) => Some(Visitor {
                user: None,
                password: None,
                by_token: true,
                is_admin: true,
                edition: asked.edition,
            }),
            _ => None,
        }
    }

    /// Whether somebody may read what is at a path, by rules that speak of paths as of topics.
    pub(super) async fn may_read(
        &self,
        headers: &HeaderMap,
        arrival: &Arrival,
        path: &str,
    ) -> Result<bool, Fault> {
        // What is no name and password says as much as nothing there.
        let shown = match shown(headers) {
            Ok(shown @ Shown::User(..)) => shown,
            Ok(Shown::Token(_) | Shown::Nothing) | Err(_) => Shown::Nothing,
        };
        Ok(self.ask(arrival, &shown, Some(path)).await?.may_read)
    }

    /// A token among what is shown is a wrong one.
    async fn ask(
        &self,
        arrival: &Arrival,
        shown: &Shown<'_>,
        reads: Option<&str>,
    ) -> Result<Standing, Fault> {
        let (user, password) = match shown {
            Shown::User(user, password) => (Some(user.as_str()), password.as_slice()),
            Shown::Token(_) | Shown::Nothing => (None, [].as_slice()),
        };
        let (reply, answer) = oneshot::channel();
        let rules = &arrival.door.endpoint.rules;
        let login = Login {
            realm: rules.realm,
            anonymous: rules.anonymous,
            user: user.map(Into::into),
            password: Zeroizing::new(password.into()),
            wrong_token: matches!(shown, Shown::Token(_)),
            address: arrival.from.map(|address| address.ip()),
            reads: reads.map(Into::into),
            reply: Box::new(move |standing| {
                // Who asked may be gone.
                let _ = reply.send(standing);
            }),
        };
        if !(self.judge)(login) {
            return Err(Fault::busy());
        }
        let standing = tokio::time::timeout(ANSWER_TIME, answer).await;
        let standing = standing.ok().and_then(Result::ok).ok_or_else(Fault::busy)?;
        sleep(standing.delay).await;
        if !standing.accepted {
            return Err(wanted(match shown {
                Shown::User(..) => "the user name or the password is wrong",
                Shown::Token(_) => "the token is not the right one",
                Shown::Nothing => "a user of the broker or a token is wanted",
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
    ) -> Key {
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

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<Key, (Instant, Visitor)>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::conf::{Conf, Endpoint, Place};
    use crate::daemon::http::listening::Door;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Logins that `judge` judges, by how often it was asked before; and a door.
    fn logins(
        judge: impl Fn(usize) -> Option<bool> + Send + Sync + 'static,
    ) -> (Logins, Arc<AtomicUsize>, Arrival) {
        let place = Place::Tcp(([127, 0, 0, 1], 0).into());
        let door = Door::closed(Endpoint::plain(place));
        let asked = Asked::new(&Conf::default(), vec![Arc::clone(&door)]);
        let (_, asked) = watch::channel(Arc::new(asked));
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let judge = move |login: Login| {
            let answer = judge(counted.fetch_add(1, Ordering::Relaxed));
            if let Some(accepted) = answer {
                let standing = Standing {
                    accepted,
                    is_admin: accepted,
                    may_read: accepted,
                    delay: Duration::ZERO,
                };
                // After all who are ready to ask have asked.
                tokio::spawn(async move { (login.reply)(standing) });
            }
            answer.is_some()
        };
        let logins = Logins::new(judge, asked, [0; 32]);
        (logins, count, Arrival { door, from: None })
    }

    fn bob() -> HeaderMap {
        let basic = header::HeaderValue::from_static("Basic Ym9iOnNlY3JldA==");
        [(header::AUTHORIZATION, basic)].into_iter().collect()
    }

    #[tokio::test]
    async fn who_was_here_stays_while_there_is_too_much_to_do() {
        let (logins, count, arrival) = logins(|before| (before > 1).then_some(true));
        let fault = logins.visitor(&bob(), &arrival).await.unwrap_err();
        assert!(fault.is_about_haste());
        assert!(logins.again(&bob(), &arrival).await.is_some());
        assert_eq!(count.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn who_is_wrong_is_not_asked_for_twice() {
        let (logins, count, arrival) = logins(|_| Some(false));
        assert!(logins.again(&bob(), &arrival).await.is_none());
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn one_answer_is_for_all_who_ask_the_same() {
        for accepted in [true, false] {
            let (logins, count, arrival) = logins(move |_| Some(accepted));
            let shown = bob();
            let again = || logins.again(&shown, &arrival);
            let (one, other, third) = tokio::join!(again(), again(), again());
            for visitor in [one, other, third] {
                assert_eq!(visitor.is_some(), accepted);
            }
            assert_eq!(count.load(Ordering::Relaxed), 1, "{accepted}");
        }
    }

    #[test]
    fn an_answer_for_this_machine_is_none_for_others() {
        let (logins, _, arrival) = logins(|_| Some(true));
        let key = |address: &str| {
            let from = Some(SocketAddr::new(address.parse().unwrap(), 1));
            let door = Arc::clone(&arrival.door);
            logins.key(0, &Arrival { door, from }, Some("bob"), Some(b"secret"))
        };
        assert_eq!(key("127.0.0.1"), key("::ffff:127.0.0.1"));
        assert_ne!(key("127.0.0.1"), key("192.0.2.1"));
    }
}
