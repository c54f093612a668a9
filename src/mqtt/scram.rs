//! SCRAM-SHA-256 (RFC 5802, RFC 7677), the Authentication Method of §4.12 that proves a password
//! to both sides without sending it. Bytes in, bytes out: nonces come from the caller, and what is
//! done with a verdict is the broker's or the client's business.
//!
//! ```text
//! client  n,,n=USER,r=NONCE                     CONNECT, or AUTH 0x19 to authenticate anew
//! broker  r=NONCE+MORE,s=SALT,i=ITERATIONS      AUTH 0x18
//! client  c=biws,r=NONCE+MORE,p=PROOF           AUTH 0x18
//! broker  v=SIGNATURE                           CONNACK, or AUTH 0x00
//! ```
//!
//! Names and passwords are prepared (SASLprep, RFC 4013), so that one is the same from every
//! keyboard; a stored password that cannot be is taken as the bytes it is. Channel binding there is
//! not: what lies below MQTT is the listener's business.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pbkdf2::hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Digest as _;
use sha2::Sha256;

/// Its name as an Authentication Method.
pub const METHOD: &str = "SCRAM-SHA-256";

/// The broker's last word to who wants the channel bound (RFC 5802, §7).
pub const NO_BINDING: &[u8] = b"e=channel-binding-not-supported";

/// Bytes of a key.
pub const KEY_LEN: usize = 32;

/// The fewest iterations a broker may ask for, so that what it learns is not worth much.
pub const ITERATIONS_MIN: u32 = 4_096;

/// The most: a broker could keep a client busy for minutes.
pub const ITERATIONS_MAX: u32 = 10_000_000;

type Key = [u8; KEY_LEN];

/// What a broker keeps in place of a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// How often the password was hashed.
    pub iterations: u32,
    /// What it was hashed with.
    pub salt: Vec<u8>,
    /// Proves that a client knows the password.
    pub stored: Key,
    /// Proves the same of a broker.
    pub server: Key,
}

/// What is wrong with a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is none of this method, or not in its place.
    Malformed(&'static str),
    /// It is well-formed, and proves nothing.
    NotProved,
    /// The client wants the channel bound to it.
    Binding,
}

use Fault::{Malformed, NotProved};

impl Keys {
    /// The keys of a password.
    pub fn of(password: &[u8], salt: &[u8], iterations: u32) -> Self {
        let salted = salted(password, salt, iterations);
        Self {
            iterations,
            salt: salt.to_vec(),
            stored: hash(&hmac(&salted, b"Client Key")),
            server: hmac(&salted, b"Server Key"),
        }
    }
}

/// A name or a password as both sides hash it; none where it has what nobody can type.
pub fn prepared(text: &str) -> Option<String> {
    stringprep::saslprep(text).ok().map(Cow::into_owned)
}

fn salted(password: &[u8], salt: &[u8], iterations: u32) -> Key {
    let mut salted = [0; KEY_LEN];
    let text = std::str::from_utf8(password).ok().and_then(prepared);
    let password = text.as_ref().map_or(password, |text| text.as_bytes());
    pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut salted);
    salted
}

fn hmac(key: &[u8], text: &[u8]) -> Key {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length of key will do");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

fn hash(bytes: &[u8]) -> Key {
    Sha256::digest(bytes).into()
}

fn mixed(one: &Key, other: &Key) -> Key {
    std::array::from_fn(|at| one[at] ^ other[at])
}

/// No early end: how long it takes must not tell how much was right.
fn is_same(one: &Key, other: &Key) -> bool {
    let pairs = one.iter().zip(other);
    pairs.fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// A client's first message, as the broker reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Who it wants to be.
    pub user_name: String,
    /// `n,,` and what else stands before the name.
    header: String,
    /// The rest.
    bare: String,
    nonce: String,
}

impl Hello {
    /// Reads it.
    pub fn read(data: &[u8]) -> Result<Self, Fault> {
        let text = text(data)?;
        let mut parts = text.splitn(3, ',');
        let (Some(binding), Some(identity), Some(bare)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(Malformed("no SCRAM message"));
        };
        match binding {
            // Whoever could bind, and thinks we cannot, is right.
            "n" | "y" => {}
            _ if binding.starts_with("p=") => return Err(Fault::Binding),
            _ => return Err(Malformed("no SCRAM message")),
        }
        let mut attributes = bare.split(',');
        let user_name = attribute(attributes.next(), "n=")?;
        let user_name = name(user_name).and_then(|name| prepared(&name));
        let user_name = user_name.ok_or(Malformed("a user name that cannot be read"))?;
        let nonce = attribute(attributes.next(), "r=")?;
        if nonce.is_empty() || user_name.is_empty() {
            return Err(Malformed("no nonce or no user name"));
        }
        if let Some(other) = identity.strip_prefix("a=")
            && name(other).and_then(|name| prepared(&name)).as_ref() != Some(&user_name)
        {
            return Err(Malformed("nobody may act for somebody else"));
        }
        if !identity.is_empty() && !identity.starts_with("a=") {
            return Err(Malformed("no SCRAM message"));
        }
        Ok(Self {
            header: format!("{binding},{identity},"),
            nonce: nonce.to_owned(),
            bare: bare.to_owned(),
            user_name,
        })
    }

    /// The broker's answer, with its own part of the nonce.
    pub fn answer(self, keys: Keys, nonce: &str) -> (Vec<u8>, Challenge) {
        let nonce = format!("{}{nonce}", self.nonce);
        let (salt, iterations) = (STANDARD.encode(&keys.salt), keys.iterations);
        let first = format!("r={nonce},s={salt},i={iterations}");
        let challenge = Challenge {
            so_far: format!("{},{first}", self.bare),
            header: STANDARD.encode(&self.header),
            user_name: self.user_name,
            nonce,
            keys,
        };
        (first.into_bytes(), challenge)
    }
}

/// What the broker waits for a client's proof with.
#[derive(Debug)]
pub struct Challenge {
    /// Who it wants to be.
    pub user_name: String,
    so_far: String,
    header: String,
    nonce: String,
    keys: Keys,
}

impl Challenge {
    /// The broker's last word, for a client that has proved who it is.
    pub fn finish(self, data: &[u8]) -> Result<Vec<u8>, Fault> {
        let text = text(data)?;
        let (start, proof) = text.rsplit_once(",p=").ok_or(Malformed("no proof"))?;
        let mut attributes = start.split(',');
        let header = attribute(attributes.next(), "c=")?;
        let nonce = attribute(attributes.next(), "r=")?;
        if header != self.header || nonce != self.nonce {
            return Err(Malformed("an answer to something else"));
        }
        let proof = key(proof).ok_or(Malformed("a proof that cannot be read"))?;
        let all = format!("{},{start}", self.so_far);
        let client = mixed(&proof, &hmac(&self.keys.stored, all.as_bytes()));
        if !is_same(&hash(&client), &self.keys.stored) {
            return Err(NotProved);
        }
        let signature = hmac(&self.keys.server, all.as_bytes());
        Ok(format!("v={}", STANDARD.encode(signature)).into_bytes())
    }
}

/// A client on its way.
#[derive(Debug)]
pub struct Client {
    bare: String,
    nonce: String,
    /// The broker's last word must be this.
    expected: Option<Key>,
}

impl Client {
    /// The first message. A nonce is printable and has no comma; nobody can guess it.
    pub fn start(user_name: &str, nonce: &str) -> (Vec<u8>, Self) {
        let user_name = prepared(user_name).unwrap_or_else(|| user_name.to_owned());
        let name = user_name.replace('=', "=3D").replace(',', "=2C");
        let client = Self {
            bare: format!("n={name},r={nonce}"),
            nonce: nonce.to_owned(),
            expected: None,
        };
        (format!("n,,{}", client.bare).into_bytes(), client)
    }

    /// The proof, from the broker's salt.
    pub fn prove(&mut self, data: &[u8], password: &[u8]) -> Result<Vec<u8>, Fault> {
        let first = text(data)?;
        let mut attributes = first.split(',');
        let nonce = attribute(attributes.next(), "r=")?;
        let salt = attribute(attributes.next(), "s=")?;
        let salt = STANDARD.decode(salt).ok();
        let iterations = attribute(attributes.next(), "i=")?.parse::<u32>().ok();
        let (Some(salt), Some(iterations)) = (salt, iterations) else {
            return Err(Malformed("a salt or a count that cannot be read"));
        };
        if self.expected.is_some() || !nonce.starts_with(&self.nonce) || nonce == self.nonce {
            return Err(Malformed("an answer to something else"));
        }
        if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
            return Err(Malformed("iterations out of range"));
        }
        let salted = salted(password, &salt, iterations);
        let client = hmac(&salted, b"Client Key");
        let last = format!("c=biws,r={nonce}");
        let all = format!("{},{first},{last}", self.bare);
        let proof = mixed(&client, &hmac(&hash(&client), all.as_bytes()));
        self.expected = Some(hmac(&hmac(&salted, b"Server Key"), all.as_bytes()));
        Ok(format!("{last},p={}", STANDARD.encode(proof)).into_bytes())
    }

    /// Whether the broker knows the password, too.
    pub fn verify(&self, data: &[u8]) -> Result<(), Fault> {
        let text = text(data)?;
        let signature = attribute(text.split(',').next(), "v=")?;
        let signature = key(signature).ok_or(Malformed("a signature that cannot be read"))?;
        let known = self
            .expected
            .is_some_and(|expected| is_same(&expected, &signature));
        known.then_some(()).ok_or(NotProved)
    }
}

fn text(data: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(data).map_err(|_| Malformed("no text"))
}

fn attribute<'a>(part: Option<&'a str>, name: &str) -> Result<&'a str, Fault> {
    let value = part.and_then(|part| part.strip_prefix(name));
    value.ok_or(Malformed("a part of the message is missing"))
}

fn key(text: &str) -> Option<Key> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// `=2C` is a comma and `=3D` an equals sign; nothing else begins so.
fn name(text: &str) -> Option<String> {
    let mut parts = text.split('=');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        if let Some(rest) = part.strip_prefix("2C") {
            name.push(',');
            name.push_str(rest);
        } else {
            name.push('=');
            name.push_str(part.strip_prefix("3D")?);
        }
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";
    const CLIENT: &str = "rOprNGfwEbeRWgbNEkqO";
    const SERVER: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const SECOND: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                          s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const THIRD: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                         p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const LAST: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn keys() -> Keys {
        Keys::of(b"pencil", &STANDARD.decode(SALT).unwrap(), 4_096)
    }

    fn challenge() -> Challenge {
        let hello = Hello::read(FIRST.as_bytes()).unwrap();
        hello.answer(keys(), SERVER).1
    }

    /// The example of RFC 7677, section 3, from both sides.
    #[test]
    fn the_example_of_the_rfc() {
        let (first, mut client) = Client::start("user", CLIENT);
        assert_eq!(first, FIRST.as_bytes());
        let hello = Hello::read(&first).unwrap();
        assert_eq!(hello.user_name, "user");
        let (second, challenge) = hello.answer(keys(), SERVER);
        assert_eq!(second, SECOND.as_bytes());
        let third = client.prove(&second, b"pencil").unwrap();
        assert_eq!(third, THIRD.as_bytes());
        let last = challenge.finish(&third).unwrap();
        assert_eq!(last, LAST.as_bytes());
        assert_eq!(client.verify(&last), Ok(()));
    }

    #[test]
    fn a_wrong_password_proves_nothing_to_either_side() {
        let (_, mut client) = Client::start("user", CLIENT);
        let third = client.prove(SECOND.as_bytes(), b"pencils").unwrap();
        assert_eq!(challenge().finish(&third), Err(NotProved));
        assert_eq!(client.verify(LAST.as_bytes()), Err(NotProved));
        let (_, unasked) = Client::start("user", CLIENT);
        assert_eq!(unasked.verify(LAST.as_bytes()), Err(NotProved));
    }

    /// The examples of RFC 4013, section 3.
    #[test]
    fn names_and_passwords_are_prepared() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(prepared(text).as_deref(), expected, "{text:?}");
        };
        check("I\u{ad}X", Some("IX"));
        check("user", Some("user"));
        check("USER", Some("USER"));
        check("\u{aa}", Some("a"));
        check("\u{2168}", Some("IX"));
        check("\u{7}", None);
        check("\u{627}\u{31}", None);
        let (first, _) = Client::start("Jose\u{301}", CLIENT);
        assert_eq!(Hello::read(&first).unwrap().user_name, "Jos\u{e9}");
        let keys = |password: &str| Keys::of(password.as_bytes(), b"salt", 1);
        assert_eq!(keys("pa\u{2168}"), keys("pa\u{ad}IX"));
        assert_ne!(keys("\u{7}"), keys("\u{8}"));
    }

    #[test]
    fn names_with_commas_and_equals_signs_come_through() {
        for user in ["a,b=c", "=", ",", "=2C", "\u{e9}"] {
            let (first, _) = Client::start(user, CLIENT);
            assert_eq!(Hello::read(&first).unwrap().user_name, user);
        }
    }

    #[test]
    fn what_is_no_first_message_is_refused() {
        let check = |text: &[u8]| assert!(Hello::read(text).is_err(), "{text:?}");
        check(b"");
        check(b"\xff");
        check(b"n,,");
        check(b"n,,n=user");
        check(b"n,,r=x,n=user");
        check(b"n,,n=,r=x");
        check(b"n,,n=user,r=");
        check(b"n,,n=us=er,r=x");
        check(b"n,,n=us=2Der,r=x");
        check(b"n,a=other,n=user,r=x");
        check(b"n,x,n=user,r=x");
        check(b"p=tls-unique,,n=user,r=x");
        check(b"q,,n=user,r=x");
        check(b"n,,n=us\x07er,r=x");
        check("n,,n=\u{627}1,r=x".as_bytes());
        let binding = Hello::read(b"p=tls-exporter,,n=user,r=x");
        assert_eq!(binding, Err(Fault::Binding));
        check(b"n,,m=ext,n=user,r=x");
        assert!(Hello::read(b"y,a=user,n=user,r=x").is_ok());
    }

    #[test]
    fn what_is_no_proof_is_refused() {
        let check = |text: &str| {
            let fault = challenge().finish(text.as_bytes()).unwrap_err();
            assert!(matches!(fault, Malformed(_)), "{text}");
        };
        check("");
        check(&THIRD.replace("c=biws", "c=eSws"));
        check(&THIRD.replace("%hv", "%hw"));
        check(&THIRD.replace(",p=", ",q="));
        check(&THIRD.replace("dHzb", "dHz"));
        check(FIRST);
    }

    #[test]
    fn a_broker_that_cheats_is_found_out() {
        let check = |text: &str| {
            let (_, mut client) = Client::start("user", CLIENT);
            let fault = client.prove(text.as_bytes(), b"pencil").unwrap_err();
            assert!(matches!(fault, Malformed(_)), "{text}");
        };
        check("");
        check(&SECOND.replace("r=rO", "r=rX"));
        check(&SECOND.replace(SERVER, ""));
        check(&SECOND.replace("i=4096", "i=1"));
        check(&SECOND.replace("i=4096", "i=4294967295"));
        check(&SECOND.replace("i=4096", "i=x"));
        check(&SECOND.replace("s=W", "s=!"));
        check("e=other-error");
    }
}
