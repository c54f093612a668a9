//! One hash of a password, made, written and read as mosquitto does: `$7$iterations$salt$hash`
//! (PBKDF2 with SHA-512), `$6$salt$hash` (SHA-512 of password and salt), both parts in base64, or
//! `$argon2id$v=19$m=47104,t=1,p=1$salt$hash`. Of our own is `$scram-sha-256$iterations$salt$keys`.
//!
//! Pure: salts come from the caller. Both sizes of salt in use, 12 bytes and 64, are read.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::Digest;
use sha2::Sha512;

use crate::mqtt::scram::{ITERATIONS_MIN, KEY_LEN, Keys};

/// What mosquitto 2.1 makes, for salt and hash alike.
pub const HASH_LEN: usize = 64;

/// What mosquitto 2.0 makes, and the only salt it reads.
pub const SHORT_SALT_LEN: usize = 12;

/// Rounds of PBKDF2 where nothing else is asked for: mosquitto 2.1's.
pub const ITERATIONS: u32 = 1000;

/// More would let one login keep the thread busy for minutes.
pub const ITERATIONS_MAX: u32 = 10_000_000;

/// The name of SCRAM's keys, in front of them.
const SCRAM: &str = "scram-sha-256";

/// Memory one login may take, in KiB; mosquitto asks for 46 MiB.
const ARGON2_MEMORY_MAX: u32 = 256 * 1024;
/// Passes over that memory, for the same reason as [`ITERATIONS_MAX`].
const ARGON2_PASSES_MAX: u32 = 64;
const ARGON2_LANES_MAX: u32 = 16;
/// Of other programs' argon2 hashes, the shortest that still means something.
const ARGON2_HASH_MIN: usize = 16;

/// How a password is hashed, and at what cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// One round of SHA-512.
    Sha512,
    Pbkdf2 {
        iterations: u32,
    },
    Argon2id {
        /// In KiB.
        memory: u32,
        passes: u32,
        lanes: u32,
    },
    /// The keys of SCRAM-SHA-256, which its Authentication Method needs.
    Scram {
        iterations: u32,
    },
}

/// Rounds of SCRAM-SHA-256 where nothing else is asked for; the clients do them.
pub const SCRAM_ITERATIONS: u32 = 15_000;

impl Method {
    /// argon2id at mosquitto's cost.
    pub const ARGON2ID: Self = Self::Argon2id {
        memory: 47_104,
        passes: 1,
        lanes: 1,
    };

    /// None: argon2 takes no such cost, or has not the memory.
    fn digest(self, password: &[u8], salt: &[u8], out: &mut [u8]) -> Option<()> {
        match self {
            Self::Sha512 => {
                let mut hasher = Sha512::new();
                hasher.update(password);
                hasher.update(salt);
                out.copy_from_slice(&hasher.finalize());
            }
            Self::Pbkdf2 { iterations } => {
                pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, iterations, out);
            }
            Self::Argon2id {
                memory,
                passes,
                lanes,
            } => {
                let params = Params::new(memory, passes, lanes, Some(out.len())).ok()?;
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(password, salt, out)
                    .ok()?;
            }
            Self::Scram { iterations } => {
                let keys = Keys::of(password, salt, iterations);
                out.copy_from_slice(&[keys.stored, keys.server].concat());
            }
        }
        Some(())
    }
}

/// A hash with all that is needed to try a password against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hash {
    method: Method,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Hash {
    /// Hashes a password. None: there is not the memory for it.
    pub fn new(method: Method, salt: &[u8], password: &[u8]) -> Option<Self> {
        let mut hash = vec![0; HASH_LEN];
        method.digest(password, salt, &mut hash)?;
        Some(Self {
            method,
            salt: salt.to_vec(),
            hash,
        })
    }

    /// Reads the text behind a user's name.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let parts: Vec<&str> = text.split('$').collect();
        let (method, salt, hash) = match parts[..] {
            ["", "6", salt, hash] => (Method::Sha512, decode(salt)?, decode(hash)?),
            ["", "7", iterations, salt, hash] => {
                let iterations = iterations
                    .parse()
                    .ok()
                    .filter(|count| (1..=ITERATIONS_MAX).contains(count))
                    .ok_or("iterations out of range")?;
                (Method::Pbkdf2 { iterations }, decode(salt)?, decode(hash)?)
            }
            ["", "argon2id", "v=19", costs, salt, hash] => {
                let method = argon2_costs(costs).ok_or("costs of argon2id out of range")?;
                (method, decode_bare(salt)?, decode_bare(hash)?)
            }
            ["", SCRAM, iterations, salt, hash] => {
                let iterations = iterations
                    .parse()
                    .ok()
                    .filter(|count| (ITERATIONS_MIN..=ITERATIONS_MAX).contains(count))
                    .ok_or("iterations out of range")?;
                (Method::Scram { iterations }, decode(salt)?, decode(hash)?)
            }
            _ => {
                return Err(
                    "a hash of no known kind: mosquitto_passwd writes $7$, $6$ and $argon2id$",
                );
            }
        };
        let lengths = match method {
            Method::Argon2id { .. } => ARGON2_HASH_MIN..=HASH_LEN,
            Method::Sha512 | Method::Pbkdf2 { .. } | Method::Scram { .. } => HASH_LEN..=HASH_LEN,
        };
        if !lengths.contains(&hash.len()) {
            return Err("a hash of the wrong length");
        }
        if matches!(method, Method::Argon2id { .. }) && salt.len() < argon2::MIN_SALT_LEN {
            return Err("a salt too short for argon2id");
        }
        Ok(Self { method, salt, hash })
    }

    /// What SCRAM-SHA-256 asks for, where it was made for that.
    pub fn scram(&self) -> Option<Keys> {
        let Method::Scram { iterations } = self.method else {
            return None;
        };
        let (stored, server) = self.hash.split_at_checked(KEY_LEN)?;
        Some(Keys {
            iterations,
            salt: self.salt.clone(),
            stored: stored.try_into().ok()?,
            server: server.try_into().ok()?,
        })
    }

    /// Whether this is the password.
    pub fn matches(&self, password: &[u8]) -> bool {
        let mut found = vec![0; self.hash.len()];
        let made = self.method.digest(password, &self.salt, &mut found);
        // No early end: how long it takes must not tell how much was right.
        let differ = found
            .iter()
            .zip(&self.hash)
            .fold(0, |differ, (a, b)| differ | (a ^ b));
        made.is_some() && differ == 0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let engine = match self.method {
            Method::Sha512 => {
                f.write_str("$6$")?;
                STANDARD
            }
            Method::Pbkdf2 { iterations } => {
                write!(f, "$7${iterations}$")?;
                STANDARD
            }
            Method::Scram { iterations } => {
                write!(f, "${SCRAM}${iterations}$")?;
                STANDARD
            }
            Method::Argon2id {
                memory,
                passes,
                lanes,
            } => {
                write!(f, "$argon2id$v=19$m={memory},t={passes},p={lanes}$")?;
                STANDARD_NO_PAD
            }
        };
        let (salt, hash) = (engine.encode(&self.salt), engine.encode(&self.hash));
        write!(f, "{salt}${hash}")
    }
}

const NO_BASE64: &str = "a hash that is not base64";

fn decode(part: &str) -> Result<Vec<u8>, &'static str> {
    STANDARD.decode(part).map_err(|_| NO_BASE64)
}

fn decode_bare(part: &str) -> Result<Vec<u8>, &'static str> {
    STANDARD_NO_PAD.decode(part).map_err(|_| NO_BASE64)
}

/// `m=47104,t=1,p=1`.
fn argon2_costs(text: &str) -> Option<Method> {
    let mut costs = text.split(',');
    let mut next = |name: &str, most: u32| -> Option<u32> {
        let value = costs.next()?.strip_prefix(name)?.strip_prefix('=')?;
        value.parse().ok().filter(|value| *value <= most)
    };
    let memory = next("m", ARGON2_MEMORY_MAX)?;
    let passes = next("t", ARGON2_PASSES_MAX)?;
    let lanes = next("p", ARGON2_LANES_MAX)?;
    if costs.next().is_some() || Params::new(memory, passes, lanes, None).is_err() {
        return None;
    }
    Some(Method::Argon2id {
        memory,
        passes,
        lanes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_comes_back_from_its_text() {
        let salt = [7; HASH_LEN];
        let cheap = Method::Argon2id {
            memory: 64,
            passes: 2,
            lanes: 1,
        };
        let scram = Method::Scram { iterations: 4_096 };
        for method in [
            Method::Sha512,
            Method::Pbkdf2 { iterations: 3 },
            cheap,
            scram,
        ] {
            let hash = Hash::new(method, &salt, b"pw").unwrap();
            let read = Hash::parse(&hash.to_string()).unwrap();
            assert_eq!(read, hash);
            assert!(read.matches(b"pw"));
            assert!(!read.matches(b"pW"));
        }
    }

    /// Made with the reference implementation's command, `argon2 somesalt -id -t 2 -k 256 -l 32`.
    #[test]
    fn a_foreign_argon2id_hash_is_verified() {
        let text = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$\
                    nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let hash = Hash::parse(text).unwrap();
        assert!(hash.matches(b"password"));
        assert!(!hash.matches(b"passwore"));
        assert_eq!(hash.to_string(), text);
    }

    #[test]
    fn a_text_that_costs_too_much_or_means_nothing_is_refused() {
        let check = |text: &str, what: &str| {
            let why = Hash::parse(text).unwrap_err();
            assert!(why.contains(what), "{text}: {why}");
        };
        let salt = "c29tZXNhbHQ";
        let hash = "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        check("secret", "no known kind");
        check("$5$YWJj$YWJj", "no known kind");
        check("$7$0$YWJj$YWJj", "iterations");
        check("$7$10000001$YWJj$YWJj", "iterations");
        check("$6$YWJj$YWJj", "wrong length");
        check("$6$YWJj$!", "base64");
        for costs in [
            "m=4294967295,t=1,p=1",
            "m=64,t=0,p=1",
            "m=64,t=65,p=1",
            "m=64,t=1,p=17",
            "m=64,t=1",
            "t=1,m=64,p=1",
            "m=64,t=1,p=1,x=1",
            "m=1,t=1,p=1",
        ] {
            check(&format!("$argon2id$v=19${costs}${salt}${hash}"), "costs");
        }
        check(
            &format!("$argon2id$v=16$m=64,t=1,p=1${salt}${hash}"),
            "no known kind",
        );
        check(&format!("$argon2id$v=19$m=64,t=1,p=1$YWJj${hash}"), "salt");
        check(
            &format!("$argon2id$v=19$m=64,t=1,p=1${salt}$YWJj"),
            "wrong length",
        );
    }
}
