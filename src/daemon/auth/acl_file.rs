//! mosquitto's ACL file: `user NAME`, `topic [read|write|readwrite|deny] FILTER` for that user (or,
//! before the first, for clients without a name), `pattern …` with `%c` and `%u` for everybody.
//!
//! Denials are tried first, then the others in their order; where none fits, a message is neither
//! taken nor delivered. Subscribing is never refused by the file itself.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::broker::access::pattern::Pattern;
use crate::broker::access::rules::{Actions, Rule, RuleList, Rules};
use crate::mqtt::topic;

/// A line that cannot be read, in mosquitto's words.
#[derive(Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Counted from one.
    pub line: usize,
    /// What is wrong.
    pub fault: Fault,
}

/// See [`BadLine`].
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// `topic` or `pattern` with nothing behind it.
    EmptyTopic,
    /// Not one of the four words for access.
    Access(String),
    /// No Topic Filter.
    Topic(String),
    /// `user` with nothing behind it.
    EmptyUser,
    /// Begins with no known word.
    Line(String),
    /// Not UTF-8.
    Encoding,
}

impl BadLine {
    /// mosquitto's sentence about it.
    pub fn sentence(&self, file: &str) -> String {
        match &self.fault {
            Fault::EmptyTopic => format!("Empty topic in acl_file \"{file}\"."),
            Fault::Access(word) => {
                format!("Invalid topic access type \"{word}\" in acl_file \"{file}\".")
            }
            Fault::Topic(topic) => format!("Invalid ACL topic \"{topic}\" in acl_file \"{file}\"."),
            Fault::EmptyUser => format!("Missing username in acl_file \"{file}\"."),
            Fault::Line(line) => format!("Invalid line in acl_file \"{file}\": {line}."),
            Fault::Encoding => format!("Invalid UTF-8 in acl_file \"{file}\"."),
        }
    }
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match &self.fault {
            Fault::EmptyTopic => "no topic filter",
            Fault::Access(word) => {
                return write!(
                    f,
                    "line {}: {word:?} is none of read, write, readwrite and deny",
                    self.line
                );
            }
            Fault::Topic(topic) => {
                let why = topic::check_filter(topic).err().unwrap_or("no filter");
                return write!(f, "line {}: {why}: {topic:?}", self.line);
            }
            Fault::EmptyUser => "no user name",
            Fault::Line(_) => "a line begins with user, topic or pattern",
            Fault::Encoding => "not UTF-8",
        };
        write!(f, "line {}: {what}", self.line)
    }
}

#[derive(Default)]
struct Section {
    denied: Vec<Rule>,
    rest: Vec<Rule>,
}

impl Section {
    fn add(&mut self, rule: Rule) {
        if rule.allow {
            self.rest.push(rule);
        } else {
            self.denied.push(rule);
        }
    }

    fn into_list(self, tame_names_only: bool) -> Vec<Arc<RuleList>> {
        let rules = [self.denied, self.rest].concat();
        if rules.is_empty() {
            return Vec::new();
        }
        vec![Arc::new(RuleList {
            rules,
            tame_names_only,
            ..RuleList::default()
        })]
    }
}

/// Reads the bytes of an ACL file.
pub fn parse(bytes: &[u8]) -> Result<Rules, BadLine> {
    let mut users: HashMap<Box<str>, Section> = HashMap::new();
    let (mut nobody, mut everybody) = (Section::default(), Section::default());
    let mut user: Option<Box<str>> = None;
    for (number, row) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let bad = |fault| BadLine {
            line: number + 1,
            fault,
        };
        let row = std::str::from_utf8(row).map_err(|_| bad(Fault::Encoding))?;
        if row.starts_with('#') {
            continue;
        }
        let row = row.trim();
        if row.is_empty() {
            continue;
        }
        let (word, rest) = row.split_once(' ').unwrap_or((row, ""));
        match word {
            "topic" => {
                let rule = rule(rest, Pattern::filter).map_err(bad)?;
                match &user {
                    Some(user) => users.entry(user.clone()).or_default().add(rule),
                    None => nobody.add(rule),
                }
            }
            "pattern" => everybody.add(rule(rest, Pattern::with_names).map_err(bad)?),
            "user" if rest.trim().is_empty() => return Err(bad(Fault::EmptyUser)),
            "user" => user = Some(rest.trim().into()),
            _ => return Err(bad(Fault::Line(row.to_owned()))),
        }
    }
    let users = users.into_iter();
    Ok(Rules {
        users: users
            .map(|(user, section)| (user, section.into_list(false)))
            .collect(),
        nobody: nobody.into_list(false),
        everybody: everybody.into_list(true),
        otherwise: Actions::ASKING,
        strangers: Actions::ASKING,
        ..Rules::default()
    })
}

fn rule(text: &str, pattern: fn(&str) -> Pattern) -> Result<Rule, Fault> {
    let text = text.trim();
    let (access, filter) = match text.split_once(' ') {
        Some((access, filter)) => (access, filter.trim()),
        None => ("readwrite", text),
    };
    let both = Actions::PUBLISH | Actions::RECEIVE;
    let (actions, allow) = match access {
        "read" => (Actions::RECEIVE, true),
        "write" => (Actions::PUBLISH, true),
        "readwrite" => (both, true),
        "deny" => (both, false),
        _ => return Err(Fault::Access(access.to_owned())),
    };
    if filter.is_empty() {
        return Err(Fault::EmptyTopic);
    }
    if topic::check_filter(filter).is_err() {
        return Err(Fault::Topic(filter.to_owned()));
    }
    Ok(Rule {
        actions,
        allow,
        pattern: pattern(filter),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# before any user: clients without a name
topic read news/#
topic deny news/secret

user bob
topic readwrite a/#
topic write b/two words
topic deny a/x
  topic read c
user amy
user bob
topic read d

pattern write dev/%c/up
pattern read dev/%u/+/down
pattern deny dev/%c/up/never
";

    fn may(user: Option<&str>, id: &str, topic: &str) -> (bool, bool) {
        let rules = Arc::new(parse(FILE.as_bytes()).unwrap());
        let user = user.map(Arc::from);
        let rights = rules.rights(&id.into(), user.as_ref(), None);
        (rights.may_publish(topic), rights.may_receive(topic))
    }

    #[test]
    fn everybody_has_what_the_file_gives() {
        let check = |user, id: &str, topic: &str, write: bool, read: bool| {
            assert_eq!(may(user, id, topic), (write, read), "{user:?} {id} {topic}");
        };
        check(None, "c1", "news/today", false, true);
        check(None, "c1", "news/secret", false, false);
        check(None, "c1", "a/b", false, false);
        check(None, "c1", "dev/c1/up", true, false);
        check(None, "c1", "dev/c2/up", false, false);
        // %u means nothing without a user name.
        check(None, "c1", "dev//x/down", false, false);
        check(Some("bob"), "c1", "a/b", true, true);
        check(Some("bob"), "c1", "a/x", false, false);
        check(Some("bob"), "c1", "b/two words", true, false);
        check(Some("bob"), "c1", "c", false, true);
        check(Some("bob"), "c1", "d", false, true);
        check(Some("bob"), "c1", "news/today", false, false);
        check(Some("bob"), "c1", "dev/bob/1/down", false, true);
        check(Some("bob"), "c1", "dev/amy/1/down", false, false);
        check(Some("amy"), "c1", "a/b", false, false);
        check(Some("eve"), "c1", "a/b", false, false);
        check(Some("eve"), "c1", "dev/c1/up", true, false);
        // A name with a wildcard in it: no pattern holds, the section of its own does.
        check(Some("bob"), "+", "dev/+/up", false, false);
        check(Some("bob"), "+", "a/b", true, true);
        check(Some("#"), "c1", "dev/c1/up", false, false);
        check(Some("bob"), "c1", "$SYS/broker/uptime", false, false);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_in_mosquittos_words() {
        let check = |text: &str, line: usize, sentence: &str| {
            let bad = parse(text.as_bytes()).unwrap_err();
            assert_eq!((bad.line, bad.sentence("F").as_str()), (line, sentence));
            assert!(bad.to_string().starts_with(&format!("line {line}: ")));
        };
        check("topic", 1, "Empty topic in acl_file \"F\".");
        check("#\n\npattern   ", 3, "Empty topic in acl_file \"F\".");
        check(
            "topic r a",
            1,
            "Invalid topic access type \"r\" in acl_file \"F\".",
        );
        check(
            "pattern Read a",
            1,
            "Invalid topic access type \"Read\" in acl_file \"F\".",
        );
        check(
            "topic two words",
            1,
            "Invalid topic access type \"two\" in acl_file \"F\".",
        );
        check(
            "topic a/#/b",
            1,
            "Invalid ACL topic \"a/#/b\" in acl_file \"F\".",
        );
        check(
            "topic read a+",
            1,
            "Invalid ACL topic \"a+\" in acl_file \"F\".",
        );
        check(
            "topic deny #x",
            1,
            "Invalid ACL topic \"#x\" in acl_file \"F\".",
        );
        check(
            "pattern $share/g",
            1,
            "Invalid ACL topic \"$share/g\" in acl_file \"F\".",
        );
        check("user", 1, "Missing username in acl_file \"F\".");
        check("user   ", 1, "Missing username in acl_file \"F\".");
        check("users bob", 1, "Invalid line in acl_file \"F\": users bob.");
        check("Topic a", 1, "Invalid line in acl_file \"F\": Topic a.");
        check("topic\ta", 1, "Invalid line in acl_file \"F\": topic\ta.");
        let bad = parse(b"user bob\ntopic \xff").unwrap_err();
        assert_eq!((bad.line, bad.fault), (2, Fault::Encoding));
    }
}
