//! mosquitto's password file: a line `user:hash` each, as `hash.rs` reads them.

use std::collections::HashMap;
use std::fmt;

use crate::daemon::auth::hash::Hash;
use crate::mqtt::scram::Keys;

/// Users and what their passwords hash to.
#[derive(Debug, Default)]
pub struct PasswordFile {
    users: HashMap<Box<str>, Hash>,
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

    /// Users whose password is another in `new`, or who are not in it.
    pub(crate) fn lost(&self, new: &Self) -> Vec<Box<str>> {
        let users = self.users.iter();
        let lost = users.filter(|(user, hash)| new.users.get(*user) != Some(*hash));
        lost.map(|(user, _)| user.clone()).collect()
    }

    /// What SCRAM-SHA-256 asks of a user; `None`: this one has no such keys.
    pub fn scram(&self, user: &str) -> Option<Keys> {
        self.users.get(user)?.scram()
    }

    /// Whether anybody has such keys.
    pub fn has_scram(&self) -> bool {
        self.users.values().any(|hash| hash.scram().is_some())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::auth::hash::{HASH_LEN, Method};

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
    fn every_kind_of_hash_is_verified() {
        let salt = [b's'; HASH_LEN];
        let line = |user: &str, method| {
            let hash = Hash::new(method, &salt, b"pw").unwrap();
            format!("{user}:{hash}\n")
        };
        let cheap = Method::Argon2id {
            memory: 64,
            passes: 1,
            lanes: 1,
        };
        let text = line("bob", Method::Pbkdf2 { iterations: 101 })
            + &line("amy", Method::Sha512)
            + &line("joe", cheap);
        let file = PasswordFile::parse(&text).unwrap();
        for user in ["bob", "amy", "joe"] {
            assert!(file.verify(user, b"pw"));
            assert!(!file.verify(user, b"pW"));
        }
        assert!(!file.verify("eve", b"pw"));
    }
}
