//! JSON Web Tokens (RFC 7519) in place of passwords: signed by RS256, ES256 or HS256, the name in
//! `sub`, what the client may publish and receive in `publ` and `subs`, valid from `nbf` to `exp`.
//!
//! A token says by which algorithm it was signed, and is believed nothing but that: the key decides
//! which one counts, so that a public key never passes for a secret. Time is given.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::{hmac, signature};
use serde_json::Value;

use crate::broker::access::pattern::Pattern;
use crate::broker::access::rules::{Actions, Rule, RuleList};
use crate::mqtt::topic;

/// Longer tokens are refused unread; CONNECT holds no more than a password's 64 KiB anyway.
const TOKEN_MAX: usize = 16_384;

/// Filters of one token.
const FILTERS_MAX: usize = 1_000;

/// Clocks differ by so many seconds.
const LEEWAY: i64 = 30;

/// A secret for HS256 may not be shorter (RFC 7518, section 3.2).
const SECRET_MIN: usize = 32;

/// What tokens are checked with.
pub struct Jwt {
    key: Key,
}

enum Key {
    Hs256(hmac::Key),
    Rs256(Vec<u8>),
    Es256(Vec<u8>),
}

/// What a good token says.
#[derive(Debug, PartialEq, Eq)]
pub struct Claims {
    /// `sub`.
    pub user_name: Box<str>,
    /// From `publ` and `subs`; `None` when it says nothing of topics.
    pub rules: Option<Arc<RuleList>>,
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.key {
            Key::Hs256(_) => "Jwt(HS256)",
            Key::Rs256(_) => "Jwt(RS256)",
            Key::Es256(_) => "Jwt(ES256)",
        })
    }
}

/// The algorithm identifiers inside a SubjectPublicKeyInfo (RFC 5280), up to the key.
const RSA: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];
const P256: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x03, 0x01, 0x07,
];

/// What keys in PEM begin with.
const PEM: &str = "-----BEGIN ";

impl Jwt {
    /// Whether a key file holds a secret, and not a public key.
    pub fn is_secret(file: &Path) -> bool {
        let public = |file: &[u8]| file.windows(PEM.len()).any(|part| part == PEM.as_bytes());
        std::fs::read(file).is_ok_and(|file| !public(&file))
    }

    /// Reads a key file: a public key in PEM, or else a secret as it stands.
    pub fn of_key_file(file: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(file).unwrap_or_default();
        if !text.contains(PEM) {
            let secret = file.trim_ascii_end();
            if secret.len() < SECRET_MIN {
                return Err("a secret for HS256 has 32 bytes or more");
            }
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            return Ok(Self {
                key: Key::Hs256(key),
            });
        }
        if text.contains("PRIVATE KEY") {
            return Err("a private key: the broker is given the public one");
        }
        let body = between(
            text,
            "-----BEGIN PUBLIC KEY-----",
            "-----END PUBLIC KEY-----",
        );
        let body = body.ok_or("no PUBLIC KEY in it: openssl pkey -pubout makes one")?;
        let body: String = body.split_whitespace().collect();
        let der = STANDARD
            .decode(body)
            .map_err(|_| "PEM that is not base64")?;
        let key = |algorithm: &[u8]| {
            let at = der
                .windows(algorithm.len())
                .position(|part| part == algorithm)?;
            bit_string(&der[at + algorithm.len()..])
        };
        if let Some(key) = key(RSA) {
            return Ok(Self {
                key: Key::Rs256(key.to_vec()),
            });
        }
        let key = key(P256).ok_or("neither an RSA key nor one of the curve P-256")?;
        Ok(Self {
            key: Key::Es256(key.to_vec()),
        })
    }

    /// Reads a token, `now` being seconds since 1970.
    pub fn check(&self, token: &[u8], now: i64) -> Result<Claims, &'static str> {
        if token.len() > TOKEN_MAX {
            return Err("longer than a token may be");
        }
        let token = std::str::from_utf8(token).map_err(|_| "not UTF-8")?;
        let parts: Vec<&str> = token.split('.').collect();
        let [head, body, signed] = parts[..] else {
            return Err("not three parts");
        };
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| "not base64url");
        let header = json(&decode(head)?)?;
        if header.get("alg").and_then(Value::as_str) != Some(self.name()) {
            return Err("signed by another algorithm");
        }
        if header.get("crit").is_some() {
            return Err("asks for extensions");
        }
        let message = &token[..head.len() + 1 + body.len()];
        if !self.verify(message.as_bytes(), &decode(signed)?) {
            return Err("a signature that is not this key's");
        }
        claims(&json(&decode(body)?)?, now)
    }

    fn name(&self) -> &'static str {
        match self.key {
            Key::Hs256(_) => "HS256",
            Key::Rs256(_) => "RS256",
            Key::Es256(_) => "ES256",
        }
    }

    fn verify(&self, message: &[u8], signed: &[u8]) -> bool {
        let public = |algorithm: &'static dyn signature::VerificationAlgorithm, key: &[u8]| {
            let key = signature::UnparsedPublicKey::new(algorithm, key);
            key.verify(message, signed).is_ok()
        };
        match &self.key {
            Key::Hs256(key) => hmac::verify(key, message, signed).is_ok(),
            Key::Rs256(key) => public(&signature::RSA_PKCS1_2048_8192_SHA256, key),
            Key::Es256(key) => public(&signature::ECDSA_P256_SHA256_FIXED, key),
        }
    }
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(from)?;
    rest.split_once(to).map(|(body, _)| body)
}

/// The bytes of a DER BIT STRING without unused bits.
fn bit_string(der: &[u8]) -> Option<&[u8]> {
    let (len, at): (usize, usize) = match *der {
        [0x03, len, ..] if len < 0x80 => (usize::from(len), 2),
        [0x03, 0x81, len, ..] => (usize::from(len), 3),
        [0x03, 0x82, high, low, ..] => (usize::from(high) << 8 | usize::from(low), 4),
        _ => return None,
    };
    let body = der.get(at..at.checked_add(len)?)?;
    body.strip_prefix(&[0])
}

fn json(bytes: &[u8]) -> Result<Value, &'static str> {
    let value: Value = serde_json::from_slice(bytes).map_err(|_| "not JSON")?;
    value
        .is_object()
        .then_some(value)
        .ok_or("not a JSON object")
}

fn claims(body: &Value, now: i64) -> Result<Claims, &'static str> {
    let time = |key: &str| match body.get(key) {
        None => Ok(None),
        Some(value) => match value.as_f64() {
            Some(seconds) if seconds.is_finite() => Ok(Some(seconds as i64)),
            _ => Err("a time that is no number"),
        },
    };
    let expires = time("exp")?.ok_or("without exp, it would be good for ever")?;
    if now >= expires.saturating_add(LEEWAY) {
        return Err("expired");
    }
    if time("nbf")?.is_some_and(|begins| now.saturating_add(LEEWAY) < begins) {
        return Err("not valid yet");
    }
    let user_name = body.get("sub").and_then(Value::as_str).unwrap_or_default();
    if user_name.is_empty() {
        return Err("without sub, nobody is named");
    }
    let mut rules = Vec::new();
    let mut said = false;
    for (key, actions) in [
        ("publ", Actions::PUBLISH),
        ("subs", Actions::RECEIVE | Actions::SUBSCRIBE),
    ] {
        let Some(filters) = body.get(key) else {
            continue;
        };
        said = true;
        let filters = filters.as_array().ok_or("filters that are no array")?;
        if filters.len() > FILTERS_MAX {
            return Err("too many filters");
        }
        for filter in filters {
            let filter = filter.as_str().ok_or("a filter that is no text")?;
            topic::check_filter(filter).map_err(|_| "a filter that is none")?;
            rules.push(Rule {
                actions,
                allow: true,
                pattern: Pattern::with_names(filter),
            });
        }
    }
    if said {
        // What it does not give it denies, whatever files say.
        for filter in ["#", "$SYS/#", "$CONTROL/#"] {
            rules.push(Rule {
                actions: Actions::PUBLISH | Actions::RECEIVE | Actions::SUBSCRIBE,
                allow: false,
                pattern: Pattern::filter(filter),
            });
        }
    }
    let list = RuleList {
        rules,
        ..RuleList::default()
    };
    Ok(Claims {
        user_name: user_name.into(),
        rules: said.then(|| Arc::new(list)),
    })
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    use serde_json::json;

    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
    const NOW: i64 = 1_800_000_000;

    fn part(json: &Value) -> String {
        URL_SAFE_NO_PAD.encode(json.to_string())
    }

    fn signed(header: &Value, body: &Value) -> String {
        let message = format!("{}.{}", part(header), part(body));
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
        let tag = hmac::sign(&key, message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    fn hs256(body: &Value) -> String {
        signed(&json!({ "alg": "HS256", "typ": "JWT" }), body)
    }

    fn good() -> Value {
        json!({ "sub": "bob", "exp": NOW + 60, "publ": ["a/%c"], "subs": ["a/#"] })
    }

    #[test]
    fn a_good_token_names_its_user_and_what_that_may_do() {
        let jwt = Jwt::of_key_file(SECRET).unwrap();
        let claims = jwt.check(hs256(&good()).as_bytes(), NOW).unwrap();
        assert_eq!(&*claims.user_name, "bob");
        let rules = crate::broker::access::rules::Rules {
            otherwise: Actions::ALL,
            strangers: Actions::ALL,
            ..Default::default()
        };
        let rights = Arc::new(rules).rights(&"c1".into(), None, claims.rules.as_ref());
        assert!(rights.may_publish("a/c1") && rights.may_receive("a/b"));
        assert!(!rights.may_publish("a/b") && !rights.may_receive("b"));
        assert!(!rights.may_publish("$SYS/x") && !rights.may_publish("$CONTROL/x/v1"));
        assert!(rights.may_subscribe("a/+") && !rights.may_subscribe("#"));
        let plain = json!({ "sub": "bob", "exp": NOW + 60 });
        assert_eq!(
            jwt.check(hs256(&plain).as_bytes(), NOW).unwrap().rules,
            None
        );
    }

    #[test]
    fn a_bad_token_is_refused_whatever_is_wrong_with_it() {
        let jwt = Jwt::of_key_file(SECRET).unwrap();
        let with = |key: &str, value: Value| {
            let mut body = good();
            body[key] = value;
            hs256(&body)
        };
        let without = |key: &str| {
            let mut body = good();
            body.as_object_mut().unwrap().remove(key);
            hs256(&body)
        };
        let fine = hs256(&good());
        let (start, _) = fine.rsplit_once('.').unwrap();
        let other = format!("{start}.{}", URL_SAFE_NO_PAD.encode([7; 32]));
        let none = signed(&json!({ "alg": "none" }), &good());
        let unsigned = format!("{}.{}.", part(&json!({ "alg": "none" })), part(&good()));
        let rows = [
            (String::new(), "not three parts"),
            ("a.b".to_owned(), "not three parts"),
            ("a.b.c.d".to_owned(), "not three parts"),
            ("!.b.c".to_owned(), "not base64url"),
            ("bm90.anNvbg.c2ln".to_owned(), "not JSON"),
            (format!("{}.x.y", part(&json!([]))), "not a JSON object"),
            (none, "another algorithm"),
            (unsigned, "another algorithm"),
            (
                signed(&json!({ "alg": "RS256" }), &good()),
                "another algorithm",
            ),
            (signed(&json!({}), &good()), "another algorithm"),
            (
                signed(&json!({ "alg": "HS256", "crit": ["x"] }), &good()),
                "extensions",
            ),
            (fine[..fine.len() - 2].to_owned(), "not base64url"),
            (other, "not this key's"),
            (fine.replace('.', "=."), "not base64url"),
            (with("exp", json!(NOW - 31)), "expired"),
            (with("exp", json!("soon")), "no number"),
            (with("exp", json!(null)), "no number"),
            (without("exp"), "for ever"),
            (with("nbf", json!(NOW + 31)), "not valid yet"),
            (with("nbf", json!([])), "no number"),
            (without("sub"), "nobody is named"),
            (with("sub", json!("")), "nobody is named"),
            (with("sub", json!(5)), "nobody is named"),
            (with("publ", json!("a")), "no array"),
            (with("subs", json!([5])), "no text"),
            (with("subs", json!(["a/#/b"])), "a filter that is none"),
            (with("publ", json!([""])), "a filter that is none"),
            (with("publ", json!(vec!["a"; 1_001])), "too many filters"),
            ("x".repeat(TOKEN_MAX + 1), "longer than"),
        ];
        for (token, expected) in rows {
            let found = jwt.check(token.as_bytes(), NOW).unwrap_err();
            assert!(found.contains(expected), "{token}: {found}");
        }
        assert!(jwt.check(b"\xff.\xff.\xff", NOW).is_err());
        let leeway = hs256(&json!({ "sub": "bob", "exp": NOW - 29, "nbf": NOW + 29 }));
        assert!(jwt.check(leeway.as_bytes(), NOW).is_ok());
    }

    #[test]
    fn a_key_of_the_curve_checks_what_it_signed() {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
        let public = signature::KeyPair::public_key(&pair).as_ref();
        let mut der = vec![0x30, 0x59];
        der.extend_from_slice(P256);
        der.extend_from_slice(&[0x03, 0x42, 0x00]);
        der.extend_from_slice(public);
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(&der)
        );
        let jwt = Jwt::of_key_file(pem.as_bytes()).unwrap();
        let message = format!("{}.{}", part(&json!({ "alg": "ES256" })), part(&good()));
        let tag = pair.sign(&random, message.as_bytes()).unwrap();
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag));
        assert!(jwt.check(token.as_bytes(), NOW).is_ok());
        // A public key is no secret: who has it cannot sign by it.
        let key = hmac::Key::new(hmac::HMAC_SHA256, pem.as_bytes());
        let message = format!("{}.{}", part(&json!({ "alg": "HS256" })), part(&good()));
        let forged = URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes()));
        assert!(
            jwt.check(format!("{message}.{forged}").as_bytes(), NOW)
                .is_err()
        );
    }

    #[test]
    fn a_file_without_a_key_is_refused() {
        for (file, expected) in [
            (&b""[..], "32 bytes"),
            (b"short", "32 bytes"),
            (b"-----BEGIN RSA PRIVATE KEY-----", "private key"),
            (b"-----BEGIN CERTIFICATE-----", "no PUBLIC KEY"),
            (
                b"-----BEGIN PUBLIC KEY-----\n!!\n-----END PUBLIC KEY-----",
                "not base64",
            ),
            (
                b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
                "neither",
            ),
        ] {
            let found = Jwt::of_key_file(file).unwrap_err();
            assert!(found.contains(expected), "{found}");
        }
    }
}
