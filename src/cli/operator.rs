//! The words of `mqttx ctrl` that are about a running broker: clients, sessions, kick and so on. A
//! row each, from which reading them, help and the manual are derived. What a broker is asked, and
//! how its answers look, is left to `commands::ctrl`.

/// A word, and what may stand behind it.
#[derive(Debug)]
pub struct Word {
    /// The word itself.
    pub name: &'static str,
    /// The command of `$CONTROL/broker/v1` it stands for.
    pub command: &'static str,
    /// What one operand is.
    operand: Option<&'static str>,
    /// Operands at most.
    most: usize,
    /// Options besides `--json`.
    options: &'static [&'static str],
    /// What it does.
    pub about: &'static str,
}

/// An option behind a word.
struct Choice {
    name: &'static str,
    value: Option<&'static str>,
    about: &'static str,
}

const JSON: &str = "--json";
const DELETE: &str = "--delete";
const USER: &str = "--user";

const OPTIONS: &[Choice] = &[
    Choice {
        name: JSON,
        value: None,
        about: "a JSON object a line, as the broker tells it",
    },
    Choice {
        name: USER,
        value: Some("NAME"),
        about: "everybody who came by this user name",
    },
    Choice {
        name: DELETE,
        value: Some("FILTER"),
        about: "clear what is retained below this Topic Filter; subscribers are not told",
    },
];

/// All words, in the order help lists them.
pub const WORDS: &[Word] = &[
    Word {
        name: "clients",
        command: "listClients",
        operand: Some("CLIENTID"),
        most: usize::MAX,
        options: &[],
        about: "who is connected, or all about some of them",
    },
    Word {
        name: "sessions",
        command: "listSessions",
        operand: None,
        most: 0,
        options: &[],
        about: "Sessions, also those whose client is away",
    },
    Word {
        name: "kick",
        command: "kickClient",
        operand: Some("CLIENTID"),
        most: usize::MAX,
        options: &[USER],
        about: "end the connections of clients",
    },
    Word {
        name: "subscriptions",
        command: "listSubscriptions",
        operand: Some("CLIENTID"),
        most: usize::MAX,
        options: &[],
        about: "who is subscribed to what",
    },
    Word {
        name: "retained",
        command: "listRetained",
        operand: Some("FILTER"),
        most: 1,
        options: &[DELETE],
        about: "retained messages, all or those below a Topic Filter",
    },
    Word {
        name: "listeners",
        command: "listListeners",
        operand: None,
        most: 0,
        options: &[],
        about: "where the broker listens, and how many have come there",
    },
    Word {
        name: "plugins",
        command: "listPlugins",
        operand: None,
        most: 0,
        options: &[],
        about: "what is built in place of mosquitto's plugins, and in use",
    },
    Word {
        name: "stats",
        command: "getStats",
        operand: None,
        most: 0,
        options: &[],
        about: "totals and counters since the start",
    },
];

/// What was asked for.
#[derive(Debug)]
pub struct Wanted {
    /// The word.
    pub word: &'static Word,
    /// What stands behind it.
    pub operands: Vec<String>,
    /// `--json`
    pub json: bool,
    /// `--delete`
    pub delete: Option<String>,
    /// `--user`
    pub user: Option<String>,
}

/// The row of a word, or of its command.
pub fn find(name: &str) -> Option<&'static Word> {
    WORDS
        .iter()
        .find(|word| word.name == name || word.command.eq_ignore_ascii_case(name))
}

impl Word {
    /// Reads what stands behind the word.
    pub fn read(&'static self, rest: &[String]) -> Result<Wanted, String> {
        let mut wanted = Wanted {
            word: self,
            operands: Vec::new(),
            json: false,
            delete: None,
            user: None,
        };
        let mut rest = rest.iter();
        while let Some(text) = rest.next() {
            if !text.starts_with('-') || text == "-" {
                wanted.operands.push(text.clone());
                continue;
            }
            if text == "--" {
                wanted.operands.extend(rest.by_ref().cloned());
                continue;
            }
            let (name, joined) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (text.as_str(), None),
            };
            let known = name == JSON || self.options.contains(&name);
            let choice = OPTIONS.iter().find(|choice| known && choice.name == name);
            let Some(choice) = choice else {
                return Err(format!("'{}' does not take '{text}'", self.name));
            };
            if choice.value.is_none() {
                wanted.json = true;
                continue;
            }
            let value = joined.or_else(|| rest.next().cloned());
            let value = value.ok_or_else(|| format!("{name} wants a value"))?;
            match name {
                USER => wanted.user = Some(value),
                _ => wanted.delete = Some(value),
            }
        }
        self.check(&wanted)?;
        Ok(wanted)
    }

    fn check(&self, wanted: &Wanted) -> Result<(), String> {
        let alone = wanted.delete.is_some() || wanted.user.is_some();
        if alone && !wanted.operands.is_empty() {
            return Err(format!("'{}': either an option or names", self.name));
        }
        if wanted.operands.len() > self.most {
            let extra = &wanted.operands[self.most];
            return Err(format!("'{}' does not take '{extra}'", self.name));
        }
        if self.name == "kick" && !alone && wanted.operands.is_empty() {
            return Err("'kick' wants a CLIENTID, or --user NAME".to_owned());
        }
        Ok(())
    }

    /// The word and what may stand behind it.
    fn synopsis(&self) -> String {
        let mut out = self.name.to_owned();
        if let Some(operand) = self.operand {
            let more = if self.most > 1 { "..." } else { "" };
            out += &format!(" [{operand}{more}]");
        }
        for choice in OPTIONS.iter().filter(|c| self.options.contains(&c.name)) {
            let value = choice.value.map(|value| format!(" {value}"));
            out += &format!(" [{}{}]", choice.name, value.unwrap_or_default());
        }
        out
    }
}

/// A line each, and the options.
pub fn help() -> String {
    let mut out = String::from("\nA running broker:\n");
    for word in WORDS {
        out += &format!("  {}\n      {}\n", word.synopsis(), word.about);
    }
    for choice in OPTIONS {
        let value = choice.value.map(|value| format!(" {value}"));
        let value = value.unwrap_or_default();
        out += &format!("  {}{value}\n      {}\n", choice.name, choice.about);
    }
    out += "  On a terminal there are tables; otherwise rows whose columns are parted by tabs.\n";
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Wanted, String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        find(&words[0]).unwrap().read(&words[1..])
    }

    #[test]
    fn words_and_options_are_read_in_any_order() {
        let wanted = read("kick a --json b -- --c").unwrap();
        assert_eq!(wanted.word.command, "kickClient");
        assert_eq!(wanted.operands, ["a", "b", "--c"]);
        assert!(wanted.json);
        let wanted = read("retained --delete=a/#").unwrap();
        assert_eq!(wanted.delete.as_deref(), Some("a/#"));
        let wanted = read("retained --delete a/#").unwrap();
        assert_eq!(wanted.delete.as_deref(), Some("a/#"));
        assert_eq!(read("LISTCLIENTS").unwrap().word.name, "clients");
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let check = |line: &str, expected: &str| assert_eq!(read(line).unwrap_err(), expected);
        check("kick", "'kick' wants a CLIENTID, or --user NAME");
        check("kick --user", "--user wants a value");
        check("kick a --user b", "'kick': either an option or names");
        check("sessions a", "'sessions' does not take 'a'");
        check("clients --delete #", "'clients' does not take '--delete'");
        check("retained a b", "'retained' does not take 'b'");
        check(
            "retained a --delete b",
            "'retained': either an option or names",
        );
        check("stats --jso", "'stats' does not take '--jso'");
    }

    #[test]
    fn help_names_every_word_and_option() {
        let help = help();
        for word in WORDS {
            assert!(help.contains(word.name) && help.contains(word.about));
        }
        assert!(help.contains("kick [CLIENTID...] [--user NAME]"), "{help}");
    }
}
