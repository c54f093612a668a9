//! `completions/` and `man/` are what the program itself would write. `UPDATE=1` writes them anew.

use std::fs;
use std::path::Path;

use mqttx::commands::generate::{SHELLS, completions, man_pages};

use crate::support::programs::Program;

fn check(folder: &str, files: Vec<(String, Vec<u8>)>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let update = std::env::var_os("UPDATE").is_some_and(|value| value == "1");
    if update {
        fs::create_dir_all(&folder).unwrap();
    }
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for (name, text) in files {
        let path = folder.join(&name);
        if update {
            fs::write(&path, &text).unwrap();
        }
        let committed = fs::read(&path).unwrap_or_default();
        assert!(
            committed == text,
            "{} is out of date; UPDATE=1 writes it anew",
            path.display()
        );
        names.retain(|other| *other != name);
    }
    assert_eq!(names, [""; 0], "left over in {}", folder.display());
}

#[test]
fn committed_completions_are_the_programs_own() {
    let files = SHELLS
        .iter()
        .map(|(shell, name)| ((*name).to_owned(), completions(*shell)));
    check("completions", files.collect());
}

#[test]
fn committed_man_pages_are_the_programs_own() {
    check("man", man_pages().unwrap());
}

/// clap_complete knows options in fish, and no words.
#[test]
fn fish_completes_words_that_are_no_options() {
    let shell = SHELLS.iter().find(|(_, name)| *name == "mqttx.fish");
    let text = String::from_utf8(completions(shell.unwrap().0)).unwrap();
    for (command, word) in [("ctrl", "kick"), ("man", "conf"), ("completions", "zsh")] {
        let known = format!("__fish_mqttx_using_subcommand {command}; and not");
        let line = text.lines().find(|line| line.contains(&known)).unwrap();
        let (condition, offered) = line.rsplit_once("-f -a ").unwrap();
        let (_, ended_by) = condition.split_once("and not ").unwrap();
        let mut ended_by = ended_by.split([' ', '"']);
        assert!(!ended_by.any(|other| other == command), "{line}");
        let mut words = offered.trim_matches('"').split(' ');
        assert!(words.any(|offered| offered == word), "{line}");
    }
}

/// Kinds of load stand behind `bench`, and not behind what is a command of its own there.
#[test]
fn fish_knows_where_a_kind_of_load_may_stand() {
    let shell = SHELLS.iter().find(|(_, name)| *name == "mqttx.fish");
    let text = String::from_utf8(completions(shell.unwrap().0)).unwrap();
    let mut lines = text.lines();
    let line =
        lines.find(|line| line.contains("using_subcommand bench;") && line.contains("fanout "));
    let (condition, offered) = line.unwrap().rsplit_once("-f -a ").unwrap();
    for word in ["agent", "compare", "report", "schema"] {
        assert!(condition.contains(&format!(" {word}")), "{condition}");
        assert!(!offered.contains(word), "{offered}");
    }
    assert!(
        text.contains("__fish_seen_subcommand_from agent"),
        "its options"
    );
}

/// What is a command of its own below another has help and a page of its own.
#[test]
fn what_stands_below_a_command_tells_its_own_words() {
    for (words, own, others) in [
        ("bench agent", "--name", "--pubs"),
        ("bench compare", "--markdown", "--threshold"),
        ("bench report", "--svg", "--threshold"),
        ("bench schema", "mqttx bench schema", "--threshold"),
    ] {
        let left = Program::mqttx().words(&format!("{words} --help")).run();
        let page = Program::mqttx()
            .words(&format!("man {}", words.replace(' ', "-")))
            .run();
        for told in [left.out(), page.out().replace("\\-", "-")] {
            assert!(told.contains(own) && !told.contains(others), "{told}");
        }
        let begins = left.out().lines().next().unwrap().to_owned();
        assert!(!begins.contains("mqttx"), "{begins}");
    }
}

/// man looks for a page in the folder of its section.
#[test]
fn man_finds_what_was_written_into_a_folder_of_man() {
    let home = tempfile::tempdir().unwrap();
    let man = home.path().join("share/man");
    let left = Program::mqttx()
        .words("man --dir")
        .args([man.join("man1")])
        .run();
    assert_eq!((left.status, left.err().as_str()), (0, ""), "{left:?}");
    let flat = home.path().join("all");
    let left = Program::mqttx().words("man --dir").args([&flat]).run();
    assert_eq!((left.status, left.err().as_str()), (0, ""), "{left:?}");
    for (page, section) in [
        ("mqttx-sub.1", "man1"),
        ("mqttx.conf.5", "man5"),
        ("mqttx-format.7", "man7"),
    ] {
        assert!(man.join(section).join(page).exists(), "{page}");
        assert!(flat.join(page).exists(), "{page}");
    }
    assert!(!man.join("man1/mqttx.conf.5").exists());
}
