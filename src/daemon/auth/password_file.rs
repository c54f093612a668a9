//! mosquitto's password file: a line `user:hash` each, as `hash.rs` reads them.

use std::collections::HashMap;
use std::fmt;

use crate::daemon::auth::hash::Hash;
use crate::mqtt::scram::{self, Keys};

/// Users and what their passwords hash to.
#[derive(Debug, Default)]
pub struct PasswordFile {
    users: HashMap<Box<str>, Hash>,
    /// Names for SCRAM that are written otherwise than its clients prepare them, by what they say.
    prepared: HashMap<Box<str>, Box<str>>,
}

/// A line that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Counted from one.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
    /// Whose line it is, where it has got that far.
    pub user: Option<Box<str>>,
}

impl BadLine {
    /// The sentence mosquitto has for it.
    pub fn sentence(&self, file: &str) -> String {
        let start = "password-file: Error:";
        match (self.what, &self.user) {
            (EMPTY, _) => format!("{start} Empty username in password file '{file}'."),
            (TWICE, Some(user)) => {
                format!("{start} Duplicate user '{user}' in password file '{file}'.")
            }
            (what, _) => format!("{start} Invalid line in password file '{file}': {what}."),
        }
    }
}

const EMPTY: &str = "an empty user name";
const TWICE: &str = "a user name for the second time";

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl PasswordFile {
    /// Reads the text of a password file. Blank lines and those that begin with `#` are skipped.
    pub fn parse(text: &str) -> Result<Self, BadLine> {
        let (mut users, mut prepared) = (HashMap::new(), HashMap::new());
        for (number, row) in text.lines().enumerate() {
            let mut bad = BadLine {
                line: number + 1,
                what: "no ':' after the user name",
                user: None,
            };
            let row = row.trim();
            if row.is_empty() || row.starts_with('#') {
                continue;
            }
            let Some((user, hash)) = row.split_once(':') else {
                return Err(bad);
            };
            if user.is_empty() {
                bad.what = EMPTY;
                return Err(bad);
            }
            bad.user = Some(user.into());
            let hash = match Hash::parse(hash) {
                Ok(hash) => hash,
                Err(what) => {
                    bad.what = what;
                    return Err(bad);
                }
            };
            if hash.scram().is_some()
                && let Some(name) = scram::prepared(user).filter(|name| name != user)
            {
                prepared.insert(name.into(), user.into());
            }
            if users.insert(user.into(), hash).is_some() {
                bad.what = TWICE;
                return Err(bad);
            }
        }
        Ok(Self { users, prepared })
    }

    /// Users whose password is another in `new`, or who are not in it.
    pub(crate) fn lost(&self, new: &Self) -> Vec<Box<str>> {
        let users = self.users.iter();
        let lost = users.filter(|(user, hash)| new.users.get(*user) != Some(*hash));
        lost.map(|(user, _)| user.clone()).collect()
    }

    /// What SCRAM-SHA-256 asks of a user; `None`: this one has no such keys.
    pub fn scram(&self, user: &str) -> Option<Keys> {
        let written = self.prepared.get(user).map_or(user, |name| name);
        self.users.get(written)?.scram()
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
