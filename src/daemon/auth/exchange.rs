//! The broker's side of SCRAM-SHA-256 (§4.12): exchanges that are under way, by their connections.
//! What a step means is `mqtt::scram`'s business; users and their keys are those of the password
//! file.
//!
//! An unknown user is asked for a proof like a known one, with a salt that stays the same, so that
//! nobody learns who is known.

use std::collections::HashMap;
use std::time::Duration;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;
use sha2::Sha256;

use crate::broker::ConnectionId;
use crate::broker::access::{Identity, Verdict};
use crate::daemon::auth::hash::SCRAM_ITERATIONS;
use crate::daemon::auth::password_file::PasswordFile;
use crate::mqtt::Reason;
use crate::mqtt::scram;
use crate::mqtt::scram::{Challenge, Fault, Hello, KEY_LEN, Keys};

/// A proof that takes longer comes too late.
const TIME: Duration = Duration::from_secs(60);

/// Exchanges at a time. Beyond it those that are too old go, and then new ones are refused.
const OPEN_MAX: usize = 16_384;

/// Bytes of an unknown user's salt, and of the broker's part of a nonce.
const SALT_LEN: usize = 16;

struct Open {
    challenge: Challenge,
    since: Instant,
}

/// See the module.
pub(super) struct Exchanges {
    open: HashMap<(usize, ConnectionId), Open>,
    /// Nobody else knows it.
    secret: [u8; KEY_LEN],
}

/// A step as it came.
pub(super) struct Asking<'a> {
    pub(super) worker: usize,
    pub(super) connection: ConnectionId,
    pub(super) data: &'a [u8],
    /// Who the client is already, when it authenticates anew; it cannot become somebody else.
    pub(super) who: Option<Option<&'a str>>,
}

impl Exchanges {
    pub(super) fn new() -> Result<Self, String> {
        let mut secret = [0; KEY_LEN];
        getrandom::fill(&mut secret).map_err(|error| format!("no random bytes: {error}"))?;
        Ok(Self {
            open: HashMap::new(),
            secret,
        })
    }

    /// The next step of an exchange, or its first.
    pub(super) fn step(&mut self, file: &PasswordFile, asking: &Asking<'_>) -> Verdict {
        let now = Instant::now();
        let place = (asking.worker, asking.connection);
        let verdict = match self.open.remove(&place) {
            Some(open) if now.saturating_duration_since(open.since) < TIME => {
                finish(open.challenge, asking.data)
            }
            // What is left of an exchange that took too long is followed by nothing sensible.
            _ => self.begin(file, asking, now),
        };
        verdict.unwrap_or_else(|refused| refused)
    }

    fn begin(
        &mut self,
        file: &PasswordFile,
        asking: &Asking<'_>,
        now: Instant,
    ) -> Result<Verdict, Verdict> {
        let hello = Hello::read(asking.data).map_err(refused)?;
        if asking
            .who
            .is_some_and(|who| who != Some(hello.user_name.as_str()))
        {
            return Err(Verdict::refuse(Reason::NOT_AUTHORIZED));
        }
        if self.open.len() >= OPEN_MAX {
            self.open
                .retain(|_, open| now.saturating_duration_since(open.since) < TIME);
        }
        if self.open.len() >= OPEN_MAX {
            return Err(Verdict::refuse(Reason::SERVER_BUSY));
        }
        let keys = file.scram(&hello.user_name);
        let keys = keys.unwrap_or_else(|| self.nobodys(&hello.user_name));
        let mut nonce = [0; SALT_LEN];
        getrandom::fill(&mut nonce).map_err(|_| Verdict::refuse(Reason::SERVER_UNAVAILABLE))?;
        let (data, challenge) = hello.answer(keys, &STANDARD.encode(nonce));
        let place = (asking.worker, asking.connection);
        self.open.insert(
            place,
            Open {
                challenge,
                since: now,
            },
        );
        Ok(Verdict::Continue(data.into()))
    }

    /// Keys that no password has.
    fn nobodys(&self, user_name: &str) -> Keys {
        let drawn = |what: &[u8]| -> [u8; KEY_LEN] {
            let mut hasher = Sha256::new();
            hasher.update(self.secret);
            hasher.update(what);
            hasher.update(user_name);
            hasher.finalize().into()
        };
        Keys {
            iterations: SCRAM_ITERATIONS,
            salt: drawn(b"salt")[..SALT_LEN].to_vec(),
            stored: drawn(b"stored"),
            server: drawn(b"server"),
        }
    }
}

fn finish(challenge: Challenge, data: &[u8]) -> Result<Verdict, Verdict> {
    let user_name = challenge.user_name.clone();
    let data = challenge.finish(data).map_err(refused)?;
    Ok(Verdict::AcceptAs(Box::new(Identity {
        data: data.into(),
        user_name: Some(user_name.into()),
        rules: None,
    })))
}

fn refused(fault: Fault) -> Verdict {
    match fault {
        Fault::Malformed(_) => Verdict::refuse(Reason::PROTOCOL_ERROR),
        Fault::NotProved => Verdict::refuse(Reason::NOT_AUTHORIZED),
        Fault::Binding => Verdict::Refuse {
            reason: Reason::BAD_AUTHENTICATION_METHOD,
            server_reference: None,
            data: scram::NO_BINDING.into(),
        },
    }
}
