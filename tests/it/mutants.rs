//! The deliberate bugs of `tests/mutants/list` still fit the code they are made for, so that
//! `tests/mutants/run` tries all of them. Whether the simulation finds them takes a build each.

use std::fs;
use std::path::Path;
use std::process::Command;

const BUGS_MIN: usize = 10;

#[test]
fn each_bug_fits_its_file_exactly_once() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = fs::read_to_string(root.join("tests/mutants/list")).unwrap();
    let bugs = list
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut count = 0;
    for bug in bugs {
        count += 1;
        let [name, file, script] = bug.splitn(3, " | ").collect::<Vec<_>>()[..] else {
            panic!("{bug:?} is not: name | file | sed script");
        };
        let whole = fs::read_to_string(root.join(file)).unwrap();
        let sed = Command::new("sed")
            .arg(script)
            .arg(root.join(file))
            .output()
            .unwrap();
        assert!(sed.status.success(), "{name}: sed does not understand it");
        let mutated = String::from_utf8(sed.stdout).unwrap();
        let changed = whole.lines().zip(mutated.lines());
        let changed = changed.filter(|(before, after)| before != after).count();
        assert_eq!(changed, 1, "{name}: lines of {file} that it changes");
    }
    assert!(count >= BUGS_MIN, "{count} bugs");
}
