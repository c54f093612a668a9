//! Examples of the README, of `--help` and so of the man pages: each is understood by the program
//! itself, and those of the README that end by themselves are run. A line is taken apart as a shell
//! would; what is no command of ours is passed over.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use mqttx::cli;
use mqttx::cli::args::passwd;
use mqttx::cli::layers::Sources;
use mqttx::cli::{Caller, Manner, Request, operator};
use mqttx::commands::COMMANDS;

use crate::support::broker_process::BrokerProcess;
use crate::support::programs::Program;

/// The commands of a line, each as its words; redirections and comments are left out.
fn commands_of(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut is_file = false;
    let mut letters = line.chars().peekable();
    let close = |word: &mut Option<String>, is_file: &mut bool, all: &mut Vec<Vec<String>>| {
        if let Some(word) = word.take()
            && !std::mem::take(is_file)
            && let Some(last) = all.last_mut()
        {
            last.push(word);
        }
    };
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(end), letter) if letter == end => quote = None,
            (Some(_), letter) => word.get_or_insert_default().push(letter),
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ') => {
                close(&mut word, &mut is_file, &mut commands);
                // In help, what an example does stands behind it.
                let rest: String = letters.clone().take(2).collect();
                if letters.peek() == Some(&'#') || rest == "  " {
                    break;
                }
            }
            (None, '<' | '>') => {
                close(&mut word, &mut is_file, &mut commands);
                is_file = true;
            }
            (None, '|' | ';' | '&' | '(' | ')') => {
                close(&mut word, &mut is_file, &mut commands);
                commands.push(Vec::new());
            }
            (None, letter) => word.get_or_insert_default().push(letter),
        }
    }
    close(&mut word, &mut is_file, &mut commands);
    commands.retain(|words| !words.is_empty());
    commands
}

/// Whether the program takes these words, `mqttx` left out; else why not.
fn understood(words: &[String]) -> Result<(), String> {
    let (name, rest) = words.split_first().ok_or("no command")?;
    if ["--version", "--help", "help"].contains(&&**name) {
        return Ok(());
    }
    let command = COMMANDS
        .iter()
        .find(|command| command.name == name)
        .ok_or_else(|| format!("no command {name}"))?;
    let words: Vec<OsString> = rest.iter().map(OsString::from).collect();
    let program = cli::Program::ALL
        .into_iter()
        .find(|program| program.subcommand() == name);
    if let Some(program) = program {
        let caller = Caller {
            program,
            manner: Manner::Mqttx,
        };
        let request = cli::parse(caller, &words, &Sources::default())
            .map_err(|error| error.render(caller))?;
        return match request {
            Request::Ctrl(asked) => operated(&asked.words),
            _ => Ok(()),
        };
    }
    if name == "passwd" {
        let read = passwd::parse(Manner::Mqttx, &words);
        return read.map(drop).map_err(|refusal| format!("{refusal:?}"));
    }
    let tree = match (&**name, rest.first().map(String::as_str)) {
        // These two take files by their names, and read them before anything else is looked at.
        ("bench", Some("compare" | "report")) => {
            let left = Program::mqttx().args(["bench"]).args(&words).run();
            let is_read = left.err().contains("cannot read");
            return is_read.then_some(()).ok_or_else(|| left.err());
        }
        ("bench", Some("schema")) => return Ok(()),
        _ => (command.tree)(),
    };
    let all = std::iter::once(OsString::from(name)).chain(words);
    let read = tree.try_get_matches_from(all);
    read.map(drop).map_err(|error| error.to_string())
}

/// The words behind `mqttx ctrl`; modules have their own, which the broker knows.
fn operated(words: &[OsString]) -> Result<(), String> {
    let words: Vec<String> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let (name, rest) = words.split_first().ok_or("ctrl without a command")?;
    match operator::WORDS.iter().find(|word| word.name == name) {
        Some(word) => word.read(rest).map(drop),
        None if ["broker", "dynsec"].contains(&&**name) => Ok(()),
        None => Err(format!("no command {name}")),
    }
}

/// Checks every command of a line that is ours; the answer is how many there were.
fn check(line: &str, wrong: &mut Vec<String>) -> usize {
    let mut count = 0;
    let known = line
        .replace("$MQTTX_PORT", "1883")
        .replace("$MQTTX_HOST", "127.0.0.1");
    for words in commands_of(&known) {
        // A line of output begins with the name and the version.
        let is_told = words.get(1).is_some_and(|word| word.starts_with("0."));
        if words.first().is_some_and(|word| word == "mqttx") && !is_told {
            count += 1;
            if let Err(why) = understood(&words[1..]) {
                wrong.push(format!("{line}\n    {why}"));
            }
        }
        if let Some(at) = words.iter().position(|word| word == "--") {
            let inner = &words[at + 1..];
            match inner {
                [shell, dash_c, line] if shell == "sh" && dash_c == "-c" => {
                    count += check(line, wrong);
                }
                [own, rest @ ..] if own == "mqttx" => {
                    count += 1;
                    if let Err(why) = understood(rest) {
                        wrong.push(format!("{line}\n    {why}"));
                    }
                }
                _ => {}
            }
        }
    }
    count
}

/// Lines of blocks that are indented by four blanks.
fn readme() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("    "));
    lines.map(str::to_owned).collect()
}

#[test]
fn the_readme_is_understood() {
    let mut wrong = Vec::new();
    let count: usize = readme().iter().map(|line| check(line, &mut wrong)).sum();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 40, "only {count} examples were found");
}

/// What stands below the options of every command, and of those below it that have any.
fn helps() -> Vec<(String, String)> {
    let help = |tree: &clap::Command| tree.get_after_help().map(ToString::to_string);
    let mut helps = Vec::new();
    for command in COMMANDS {
        let tree = (command.tree)();
        helps.push((command.name.to_owned(), help(&tree).unwrap_or_default()));
        for below in tree.get_subcommands() {
            let name = format!("{} {}", command.name, below.get_name());
            helps.extend(help(below).map(|help| (name, help)));
        }
    }
    helps
}

#[test]
fn the_examples_of_help_are_understood() {
    let mut wrong = Vec::new();
    for (name, help) in helps() {
        let lines = help.lines().map(str::trim_start);
        // A prompt or a pipe may stand before; prose may not.
        let examples = lines.filter(|line| line.starts_with("mqttx ") || line.contains("| mqttx "));
        let count: usize = examples.map(|line| check(line, &mut wrong)).sum();
        assert!(count > 0, "{name} has no example in its help");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is longer than a line of help would be folded a second time.
#[test]
fn no_line_below_the_options_is_folded() {
    for (name, help) in helps() {
        for line in help.lines() {
            let length = line.chars().count();
            assert!(length <= 100, "{name}: {length} letters: {line}");
        }
    }
}

/// Each line is in the README as it is here, and ends with this status.
const RUN: &[(&str, i32)] = &[
    ("mqttx pub -t home/hall/lamp -m on", 0),
    ("mqttx pub -t home/hall/lamp -m on -q 1 -r", 0),
    ("sensors | mqttx pub -t log -q 1 -l", 0),
    ("mqttx pub -t firmware -f image.bin -q 2", 0),
    ("mqttx pub --topic-from-line < readings.tsv", 0),
    ("mqttx pub -t raw -m '01 ff 7e' --format hex", 0),
    (
        "mqttx replay -f morning.jsonl --speed 10x --map home=test/home",
        0,
    ),
    ("mqttx ls --tree -v", 0),
    ("mqttx ctrl clients", 0),
    ("mqttx ctrl kick alpha", 1),
    ("mqttx ctrl retained --delete 'old/#'", 0),
    ("mqttx ping --wait 30s -c 1 --quiet && make test", 0),
    (
        "mqttx broker --port 0 -- sh -c 'mqttx pub -h $MQTTX_HOST -p $MQTTX_PORT -t temp -m 21'",
        0,
    ),
    ("mqttx passwd -c users ann", 0),
    ("source <(mqttx completions bash)", 0),
    ("mqttx man conf", 0),
];

#[test]
fn what_ends_by_itself_does_what_it_says() {
    let lines = readme();
    let broker = BrokerProcess::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    fs::write(place("image.bin"), [0, 255, 10, 13]).unwrap();
    fs::write(place("readings.tsv"), "a/b\t1\na/c\t2\n").unwrap();
    let recorded = r#"{"at":0.0,"topic":"home/x","payload":"1","qos":1,"retain":true}"#;
    fs::write(place("morning.jsonl"), format!("{recorded}\n")).unwrap();
    for (name, text) in [("sensors", "echo 1; echo 2"), ("make", "echo made")] {
        fs::write(place(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(place(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let own = Path::new(env!("CARGO_BIN_EXE_mqttx")).parent().unwrap();
    let path = format!(
        "{}:{}:/usr/bin:/bin",
        folder.path().display(),
        own.display()
    );
    for (line, status) in RUN {
        let is_there = |known: &String| {
            let known = known.split("  ").next().unwrap_or_default();
            known.trim_end() == *line
        };
        assert!(lines.iter().any(is_there), "not in the README: {line}");
        let script = format!("cd {} && {line}", folder.path().display());
        let left = Program::new("bash")
            .args(["-c", &script])
            .env("PATH", &path)
            .env("MQTTX_HOST", "127.0.0.1")
            .env("MQTTX_PORT", broker.port.to_string())
            .input("secret\nsecret\n")
            .run();
        assert_eq!(left.status, *status, "{line}: {left:?}");
    }
    let left = Program::mqttx()
        .words(&format!("ls -h 127.0.0.1 -p {} -v", broker.port))
        .run();
    assert_eq!(
        left.out(),
        "home/hall/lamp  on\ntest/home/x  1\n",
        "{left:?}"
    );
    assert!(
        fs::read_to_string(place("users"))
            .unwrap()
            .starts_with("ann:$7$")
    );
}
