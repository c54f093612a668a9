//! mosquitto's password file: a line `user:hash` each, where the hash is
//! `$7$iterations$salt$hash` (PBKDF2 with SHA-512) or `$6$salt$hash` (SHA-512 of password and
//! salt), both parts in base64.

use std::collections::HashMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest;
use sha2::Sha512;

const HASH_LEN: usize = 64;

/// More would let one login keep the thread busy for minutes.
const ITERATIONS_MAX: u32 = 10_000_000;

/// Users and what their passwords hash to.
#[derive(Debug, Default)]
pub struct PasswordFile {
    users: HashMap<Box<str>, Hash>,
}

#[derive(Debug)]
struct Hash {
    /// `None` is one round of SHA-512.
    iterations: Option<u32>,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

/// A line that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Counted from one.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl PasswordFile {
    /// Reads the text of a password file. Blank lines and those that begin with `#` are skipped.
    pub fn parse(text: &str) -> Result<Self, BadLine> {
        let mut users = HashMap::new();
        for (number, row) in text.lines().enumerate() {
            let bad = |what| BadLine {
                line: number + 1,
                what,
            };
            let row = row.trim();
            if row.is_empty() || row.starts_with('#') {
                continue;
            }
            let (user, hash) = row
                .split_once(':')
                .ok_or_else(|| bad("no ':' after the user name"))?;
            if user.is_empty() {
                return Err(bad("an empty user name"));
            }
            if users
                .insert(user.into(), Hash::parse(hash).map_err(bad)?)
                .is_some()
            {
                return Err(bad("a user name for the second time"));
            }
        }
        Ok(Self { users })
    }

    /// Whether this is the user's password. An unknown user takes as long as a known one.
    pub fn verify(&self, user: &str, password: &[u8]) -> bool {
        match self.users.get(user) {
            Some(hash) => hash.matches(password),
            None => {
                if let Some(other) = self.users.values().next() {
                    let _ = other.matches(password);
                }
                false
            }
        }
    }
}

impl Hash {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let parts: Vec<&str> = text.split('$').collect();
        let decode = |part| {
            STANDARD
                .decode(part)
                .map_err(|_| "a hash that is not base64")
        };
        let (iterations, salt, hash) = match parts[..] {
            ["", "6", salt, hash] => (None, salt, hash),
            ["", "7", iterations, salt, hash] => {
                let count = iterations
                    .parse()
                    .ok()
                    .filter(|count| (1..=ITERATIONS_MAX).contains(count));
                (Some(count.ok_or("iterations out of range")?), salt, hash)
            }
            _ => return Err("a hash of no known kind: mosquitto_passwd writes $7$ and $6$"),
        };
        let hash = Self {
            iterations,
            salt: decode(salt)?,
            hash: decode(hash)?,
        };
        if hash.hash.len() == HASH_LEN {
            Ok(hash)
        } else {
            Err("a hash of the wrong length")
        }
    }

    fn matches(&self, password: &[u8]) -> bool {
        let mut found = [0; HASH_LEN];
        match self.iterations {
            Some(iterations) => {
                pbkdf2::pbkdf2_hmac::<Sha512>(password, &self.salt, iterations, &mut found);
            }
            None => {
                let mut hasher = Sha512::new();
                hasher.update(password);
                hasher.update(&self.salt);
                found.copy_from_slice(&hasher.finalize());
            }
        }
        // No early end: how long it takes must not tell how much was right.
        found
            .iter()
            .zip(&self.hash)
            .fold(0, |differ, (a, b)| differ | (a ^ b))
            == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        let check = |text: &str, line, what: &str| {
            let bad = PasswordFile::parse(text).unwrap_err();
            assert_eq!(bad.line, line);
            assert!(bad.what.contains(what), "{bad}");
        };
        check("# users\n\nbob", 3, "no ':'");
        check(":$6$aa$bb", 1, "empty user name");
        check("bob:secret", 1, "no known kind");
        check("bob:$7$0$YWJj$YWJj", 1, "iterations");
        check("bob:$6$YWJj$YWJj", 1, "wrong length");
        check("bob:$6$YWJj$!", 1, "base64");
    }

    #[test]
    fn both_kinds_of_hash_are_verified() {
        let mut hash = [0; HASH_LEN];
        pbkdf2::pbkdf2_hmac::<Sha512>(b"pw", b"salt", 101, &mut hash);
        let salt = STANDARD.encode(b"salt");
        let seven = format!("bob:$7$101${salt}${}", STANDARD.encode(hash));
        let six = STANDARD.encode(Sha512::digest(b"pwsalt"));
        let file = PasswordFile::parse(&format!("{seven}\namy:$6${salt}${six}\n")).unwrap();
        for user in ["bob", "amy"] {
            assert!(file.verify(user, b"pw"));
            assert!(!file.verify(user, b"pW"));
        }
        assert!(!file.verify("eve", b"pw"));
    }
}
