//! Random ACL files and topics against a model that is as simple as the manual's words: denials
//! first, then the others in their order, the first that fits answers, and else nothing.

use std::fmt::Write as _;
use std::sync::Arc;

use mqttx::daemon::auth::acl_file;

use crate::support::chance::Chance;

#[derive(Clone)]
struct Line {
    /// Before the first user; of a user; for all.
    of: Of,
    access: &'static str,
    filter: String,
}

#[derive(Clone, PartialEq)]
enum Of {
    Nobody,
    User(&'static str),
    All,
}

const USERS: [&str; 3] = ["bob", "amy", "c1"];
const IDS: [&str; 3] = ["c1", "c2", "a"];
const ACCESS: [&str; 5] = ["read", "write", "readwrite", "deny", ""];
const LEVELS: [&str; 7] = ["a", "b", "", "c1", "bob", "$SYS", "long-level"];

fn pick<'a>(chance: &mut Chance, list: &[&'a str]) -> &'a str {
    list[chance.below(list.len())]
}

fn topic(chance: &mut Chance) -> String {
    let mut levels = Vec::new();
    for _ in 0..=chance.below(4) {
        levels.push(pick(chance, &LEVELS));
    }
    let topic = levels.join("/");
    if topic.is_empty() {
        "a".to_owned()
    } else {
        topic
    }
}

fn filter(chance: &mut Chance, names: bool) -> String {
    let mut levels: Vec<&str> = Vec::new();
    for _ in 0..=chance.below(4) {
        levels.push(match chance.below(6) {
            0 => "+",
            1 if names => "%c",
            2 if names => "%u",
            _ => pick(chance, &LEVELS),
        });
    }
    if chance.below(4) == 0 {
        levels.push("#");
    }
    let filter = levels.join("/");
    if filter.trim().is_empty() {
        "a".to_owned()
    } else {
        filter
    }
}

fn lines(chance: &mut Chance) -> Vec<Line> {
    (0..chance.below(9))
        .map(|_| {
            let of = match chance.below(4) {
                0 => Of::Nobody,
                1 => Of::All,
                _ => Of::User(USERS[chance.below(2)]),
            };
            let filter = filter(chance, of == Of::All);
            let access = pick(chance, &ACCESS);
            Line { of, access, filter }
        })
        .collect()
}

/// The file: lines of nobody first, since a user once named stays.
fn text(lines: &[Line]) -> String {
    let mut out = String::new();
    let mut put = |word: &str, line: &Line| {
        let _ = writeln!(out, "{word} {} {}", line.access, line.filter);
    };
    for line in lines.iter().filter(|line| line.of == Of::Nobody) {
        put("topic", line);
    }
    for line in lines {
        match line.of {
            Of::Nobody => {}
            Of::All => put("pattern", line),
            Of::User(user) => put(&format!("user {user}\ntopic"), line),
        }
    }
    out
}

/// Level by level, as §4.7 has it.
fn fits(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) => true,
        ([], []) => true,
        (["+", filter @ ..], [_, topic @ ..]) => fits(filter, topic),
        ([one, filter @ ..], [other, topic @ ..]) => one == other && fits(filter, topic),
        _ => false,
    }
}

fn model(lines: &[Line], id: &str, user: Option<&str>, topic: &str, word: &str) -> bool {
    let meets = |line: &&Line| {
        let own = match &line.of {
            Of::Nobody => user.is_none(),
            Of::User(name) => user == Some(name),
            Of::All => !line.filter.contains("%u") || user.is_some(),
        };
        let filter = match line.of {
            Of::All => {
                let filter = line.filter.replace("%c", id);
                filter.replace("%u", user.unwrap_or_default())
            }
            _ => line.filter.clone(),
        };
        let levels: Vec<&str> = filter.split('/').collect();
        let named: Vec<&str> = topic.split('/').collect();
        // What a name brings in is no `$` of the rule's own.
        let hidden = topic.starts_with('$') && !line.filter.starts_with('$');
        own && !hidden && fits(&levels, &named)
    };
    // The lists in their order: one's own, then those of all.
    for all in [false, true] {
        let list: Vec<&Line> = lines
            .iter()
            .filter(|line| (line.of == Of::All) == all)
            .collect();
        if list.iter().any(|line| line.access == "deny" && meets(line)) {
            return false;
        }
        let grants = |line: &&&Line| {
            line.access.is_empty() || line.access == "readwrite" || line.access == word
        };
        if list.iter().filter(grants).any(&meets) {
            return true;
        }
    }
    false
}

#[test]
fn random_rules_answer_as_the_manual_says() {
    let mut granted = 0;
    for seed in 0..3_000 {
        let mut chance = Chance::new(seed);
        let lines = lines(&mut chance);
        let file = text(&lines);
        let rules = Arc::new(
            acl_file::parse(file.as_bytes()).unwrap_or_else(|bad| panic!("{bad}: {file}")),
        );
        for _ in 0..20 {
            let id: Arc<str> = pick(&mut chance, &IDS).into();
            let user = match chance.below(4) {
                0 => None,
                n => Some(USERS[n - 1]),
            };
            let name = user.map(Arc::from);
            let rights = rules.rights(&id, name.as_ref(), None);
            let topic = topic(&mut chance);
            let told = format!("seed {seed}: {user:?} {id} {topic:?}\n{file}");
            let may = model(&lines, &id, user, &topic, "write");
            assert_eq!(rights.may_publish(&topic), may, "write, {told}");
            granted += usize::from(may);
            let may = model(&lines, &id, user, &topic, "read");
            assert_eq!(rights.may_receive(&topic), may, "read, {told}");
        }
    }
    assert!(
        granted > 1_000,
        "{granted}: the model says no to everything"
    );
}
