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
        let mut file = Self::default();
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
            if !file.add(user, hash) {
                bad.what = TWICE;
                return Err(bad);
            }
        }
        Ok(file)
    }

    /// False: somebody has the name already, as it is written or as clients of SCRAM prepare it.
    fn add(&mut self, user: &str, hash: Hash) -> bool {
        if hash.scram().is_some() {
            let other = scram::prepared(user).filter(|name| name != user);
            let own = |name: &str| {
                self.users
                    .get(name)
                    .is_some_and(|hash| hash.scram().is_some())
            };
            if self.prepared.contains_key(user) || other.as_deref().is_some_and(own) {
                return false;
            }
            let before = other.and_then(|name| self.prepared.insert(name.into(), user.into()));
            if before.is_some() {
                return false;
            }
        }
        self.users.insert(user.into(), hash).is_none()
    }

    /// Names by which clients may be here whose password is another in `new`, or that nobody has
    /// in it: those that are written, and what clients of SCRAM make of them.
    pub(crate) fn lost(&self, new: &Self) -> Vec<Box<str>> {
        let names = self.users.keys().chain(self.prepared.keys());
        let lost = names.filter(|name| self.hash(name) != new.hash(name));
        lost.cloned().collect()
    }

    /// What SCRAM-SHA-256 asks of a user; `None`: this one has no such keys.
    pub fn scram(&self, user: &str) -> Option<Keys> {
        self.hash(user)?.scram()
    }

    /// Of who is written so, or else of whose name is prepared so.
    fn hash(&self, name: &str) -> Option<&Hash> {
        let prepared = || self.users.get(self.prepared.get(name)?);
        self.users.get(name).or_else(prepared)
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
    use std::slice::from_ref;

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

    /// A line of somebody who may prove his password, or who sends it.
    fn line(user: &str, password: &str, proves: bool) -> String {
        let iterations = 4_096;
        let method = match proves {
            true => Method::Scram { iterations },
            false => Method::Pbkdf2 { iterations: 101 },
        };
        let salt = password.as_bytes().repeat(HASH_LEN);
        let hash = Hash::new(method, &salt[..HASH_LEN], password.as_bytes()).unwrap();
        format!("{user}:{hash}\n")
    }

    /// One character that clients of SCRAM write as two.
    const ROMAN: &str = "\u{2168}";

    #[test]
    fn a_name_that_is_prepared_is_nobody_elses() {
        let second = |lines: &[String]| {
            let bad = PasswordFile::parse(&lines.concat()).unwrap_err();
            assert_eq!((bad.line, bad.what), (2, TWICE));
            bad.user.unwrap()
        };
        let (roman, plain) = (line(ROMAN, "a", true), line("IX", "b", true));
        let soft = line("I\u{ad}X", "c", true);
        assert_eq!(&*second(&[roman.clone(), plain.clone()]), "IX");
        assert_eq!(&*second(&[plain, roman.clone()]), ROMAN);
        assert_eq!(&*second(&[roman.clone(), soft]), "I\u{ad}X");
        assert_eq!(&*second(&[roman.clone(), roman]), ROMAN);
    }

    #[test]
    fn who_is_written_so_comes_before_who_is_prepared_so() {
        let (roman, plain) = (line(ROMAN, "a", true), line("IX", "b", false));
        for lines in [[&*roman, &plain].concat(), [&*plain, &roman].concat()] {
            let file = PasswordFile::parse(&lines).unwrap();
            assert!(file.scram("IX").is_none(), "{ROMAN} would be IX");
            assert!(file.scram(ROMAN).is_some());
        }
        assert!(PasswordFile::parse(&roman).unwrap().scram("IX").is_some());
    }

    #[test]
    fn who_is_lost_goes_by_the_prepared_name_too() {
        let file = |lines: &[String]| PasswordFile::parse(&lines.concat()).unwrap();
        let (roman, other) = (line(ROMAN, "a", true), line(ROMAN, "b", true));
        let (plain, joe) = (line("IX", "c", false), line("joe", "d", false));
        let lost = |old: &[String], new: &[String]| {
            let mut lost = file(old).lost(&file(new));
            lost.sort();
            lost
        };
        let both = ["IX".into(), ROMAN.into()];
        let old = [roman.clone(), joe.clone()];
        assert_eq!(lost(&old, from_ref(&joe)), both);
        assert_eq!(lost(&old, &[other, joe.clone()]), both);
        assert_eq!(lost(&old, &[line(ROMAN, "a", false), joe.clone()]), both);
        assert_eq!(lost(&old, &[joe.clone(), roman.clone()]), []);
        // Somebody else is called that now.
        assert_eq!(lost(&old, &[roman, plain, joe]), both[..1]);
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
