//! Scripts as text, in `tests/mosquitto`: a file for each configuration, a line for each step. How they
//! are written stands in its README.

use std::path::Path;
use std::time::Duration;

use crate::compare_broker::Rule;
use crate::compare_broker::player::Player;

/// All scripts for one configuration.
pub(crate) struct Set {
    pub(crate) name: String,
    /// Lines of mosquitto.conf; `{1}` stands for the port of the first listener.
    pub(crate) conf: String,
    /// Whether mosquitto 2.0 has no such directives.
    pub(crate) only_21: bool,
    pub(crate) scripts: Vec<WrittenScript>,
}

pub(crate) struct WrittenScript {
    pub(crate) name: String,
    pub(crate) rule: Rule,
    /// What `%` in the name and the steps stands for, one script each.
    each: Vec<String>,
    /// Lines, with where they stand.
    lines: Vec<(String, String)>,
    steps: Vec<(String, Step)>,
}

enum Step {
    /// Which listener it opens connections to.
    At(usize),
    Opens(Vec<u8>),
    Sends(Vec<u8>),
    Writes(Vec<u8>),
    Takes,
    Cut,
    Pause(Duration),
}

/// What is written often; `$1` is the first word behind the name.
const WORDS: &[(&str, &str)] = &[
    ("v31", r#"10[ "MQIsdp" 03 02 003c "$1" ]"#),
    ("v3", r#"10[ "MQTT" 04 02 003c "$1" ]"#),
    ("v5", r#"10[ "MQTT" 05 02 003c () "$1" ]"#),
    ("kept3", r#"10[ "MQTT" 04 00 003c "$1" ]"#),
    ("kept5", r#"10[ "MQTT" 05 00 003c ( 11 ffffffff ) "$1" ]"#),
    ("sub3", r#"82[ $1 "$2" $3 ]"#),
    ("sub5", r#"82[ $1 () "$2" $3 ]"#),
    ("unsub3", r#"a2[ $1 "$2" ]"#),
    ("unsub5", r#"a2[ $1 () "$2" ]"#),
    ("pub3", r#"30[ "$1" '$2' ]"#),
    ("pub3q1", r#"32[ "$2" $1 '$3' ]"#),
    ("pub3q2", r#"34[ "$2" $1 '$3' ]"#),
    ("pub5", r#"30[ "$1" () '$2' ]"#),
    ("pub5q1", r#"32[ "$2" $1 () '$3' ]"#),
    ("pub5q2", r#"34[ "$2" $1 () '$3' ]"#),
    ("puback", "40[ $1 ]"),
    ("pubrec", "50[ $1 ]"),
    ("pubrel", "62[ $1 ]"),
    ("pubcomp", "70[ $1 ]"),
];

/// All sets there are, in the order of their names.
pub(crate) fn sets() -> Vec<Set> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mosquitto");
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        Set::read(name, &std::fs::read_to_string(path).unwrap())
    };
    paths.iter().map(read).collect()
}

impl Set {
    fn read(name: String, text: &str) -> Self {
        let mut set = Self {
            name,
            conf: String::new(),
            only_21: false,
            scripts: Vec::new(),
        };
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                let place = format!("{}.txt:{number}", set.name);
                set.line(line, &place);
            }
        }
        let scripts = set.scripts.into_iter();
        set.scripts = scripts.flat_map(WrittenScript::expanded).collect();
        if !set.conf.contains("listener ") {
            set.conf.insert_str(0, "listener {1} 127.0.0.1\n");
        }
        set
    }

    fn line(&mut self, line: &str, place: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "conf" => self.conf += &format!("{rest}\n"),
            "only" => self.only_21 = rest == "2.1",
            "=" => self.scripts.push(WrittenScript {
                name: rest.to_owned(),
                rule: Rule::Same,
                each: Vec::new(),
                lines: Vec::new(),
                steps: Vec::new(),
            }),
            _ => {
                let script = self.scripts.last_mut();
                let script = script.expect("a script has a name");
                match word {
                    "each" => script.each.extend(rest.split(' ').map(str::to_owned)),
                    _ => script.lines.push((line.to_owned(), place.to_owned())),
                }
            }
        }
    }
}

impl WrittenScript {
    /// A script for each of the words that `%` stands for.
    fn expanded(self) -> Vec<Self> {
        let once = [String::new()];
        let words = match self.each.is_empty() {
            true => &once[..],
            false => &self.each,
        };
        let script = |word: &String| {
            let mut script = Self {
                name: self.name.replace('%', word),
                rule: Rule::Same,
                each: Vec::new(),
                lines: Vec::new(),
                steps: Vec::new(),
            };
            for (line, place) in &self.lines {
                let line = line.replace('%', word);
                let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
                script.line(word, rest, place);
            }
            script
        };
        words.iter().map(script).collect()
    }

    fn line(&mut self, word: &str, rest: &str, place: &str) {
        // The reasons live as long as the tests do.
        let reason = || -> &'static str { Box::leak(rest.to_owned().into_boxed_str()) };
        let (verb, words) = rest.split_once(' ').unwrap_or((rest, ""));
        let step = match (word, verb) {
            ("since21", _) => return self.rule = Rule::Since21(reason()),
            ("choice", _) => return self.rule = Rule::Choice(reason()),
            ("standard", _) => return self.rule = Rule::Standard(reason()),
            ("pause", seconds) => Step::Pause(Duration::from_secs_f32(seconds.parse().unwrap())),
            (_, "at") => Step::At(words.parse::<usize>().unwrap() - 1),
            (_, "opens") => Step::Opens(bytes(words, place)),
            (_, "sends") => Step::Sends(bytes(words, place)),
            (_, "writes") => Step::Writes(bytes(words, place)),
            (_, "takes") => Step::Takes,
            (_, "cut") => Step::Cut,
            _ => panic!("{place}: {verb:?} is no step"),
        };
        self.steps.push((word.to_owned(), step));
    }

    pub(crate) fn play(&self, player: &mut Player) {
        for (name, step) in &self.steps {
            match step {
                Step::At(listener) => player.listener = *listener,
                Step::Opens(bytes) => player.connect(name, bytes),
                Step::Sends(bytes) => player.send(name, bytes),
                Step::Writes(bytes) => player.write(name, bytes),
                Step::Takes => player.take(name),
                Step::Cut => player.cut(name),
                Step::Pause(time) => std::thread::sleep(*time),
            }
        }
    }
}

fn bytes(text: &str, place: &str) -> Vec<u8> {
    let mut words = String::new();
    for word in text.split(' ') {
        words += &match word.strip_prefix('@') {
            Some(call) => expanded(call, place),
            None => word.to_owned(),
        };
        words.push(' ');
    }
    let mut rest = words.as_str();
    let out = group(&mut rest, place);
    assert!(rest.is_empty(), "{place}: {rest:?} is left over");
    out
}

fn expanded(call: &str, place: &str) -> String {
    let mut parts = call.split(':');
    let name = parts.next().unwrap_or_default();
    let found = WORDS.iter().find(|(known, _)| *known == name);
    let (_, pattern) = found.unwrap_or_else(|| panic!("{place}: no word {name:?}"));
    let filled = (1..)
        .zip(parts)
        .fold((*pattern).to_owned(), |text, (number, part)| {
            text.replace(&format!("${number}"), part)
        });
    assert!(
        !filled.contains("$1") && !filled.contains("$2"),
        "{place}: {filled}"
    );
    filled
}

/// Bytes up to the bracket that closes, or to the end.
fn group(rest: &mut &str, place: &str) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        *rest = rest.trim_start();
        let Some(first) = rest.chars().next() else {
            return out;
        };
        let item = match first {
            ']' | ')' | '}' => return out,
            '[' | '(' | '{' => {
                *rest = &rest[1..];
                let inner = group(rest, place);
                *rest = &rest[1..];
                let mut item = Vec::new();
                match first {
                    '{' => item.extend((inner.len() as u16).to_be_bytes()),
                    _ => mqttx::mqtt::wire::put_variable(inner.len() as u32, &mut item),
                }
                item.extend(inner);
                item
            }
            '"' | '\'' => {
                let (text, behind) = rest[1..].split_once(first).expect("a closing quote");
                *rest = behind;
                let mut item = Vec::new();
                if first == '"' {
                    item.extend((text.len() as u16).to_be_bytes());
                }
                item.extend(text.as_bytes());
                item
            }
            _ => {
                let (pair, behind) = rest.split_at_checked(2).expect("two digits");
                *rest = behind;
                let byte = u8::from_str_radix(pair, 16);
                vec![byte.unwrap_or_else(|_| panic!("{place}: {pair:?} is no byte"))]
            }
        };
        let times = match rest.strip_prefix('*') {
            Some(behind) => {
                let end = behind.find(|c: char| !c.is_ascii_digit());
                let (digits, behind) = behind.split_at(end.unwrap_or(behind.len()));
                *rest = behind;
                digits.parse().unwrap()
            }
            None => 1,
        };
        out.extend(item.repeat(times));
    }
}

#[test]
fn bytes_are_written_as_they_are_meant() {
    let check = |text, expected: &[u8]| assert_eq!(bytes(text, "here"), expected, "{text}");
    check("10 0f", &[0x10, 0x0f]);
    check("30[ \"a\" 'x'*3 ]", b"\x30\x06\0\x01axxx");
    check("30[ {61 'b'*2} ( 01 00 ) ]", b"\x30\x08\0\x03abb\x02\x01\0");
    check("@sub3:0001:a/#:01", b"\x82\x08\0\x01\0\x03a/#\x01");
}
