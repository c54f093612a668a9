//! All cases against one broker, many at a time, and what came of them.

use crate::spec::run;
use crate::spec::run::Outcome;
use crate::spec::script;
use crate::spec::script::Act;
use crate::spec::script::Case;
use crate::spec::script::Step;
use crate::spec::wire::Version;
use crate::spec::world::World;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Every script under `tests/spec`, in the order of their names.
pub(crate) fn read_all() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spec");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    assert!(!files.is_empty(), "no scripts in {}", root.display());
    let mut cases = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file
            .strip_prefix(root.parent().unwrap().parent().unwrap())
            .unwrap();
        match script::parse(&name.display().to_string(), &text) {
            Ok(list) => cases.extend(list),
            Err(why) => panic!("{why}"),
        }
    }
    cases
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "txt") {
            files.push(path);
        }
    }
}

/// What became of each run of each case.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) passed: Vec<String>,
    pub(crate) skipped: Vec<String>,
    pub(crate) failed: Vec<Failure>,
}

pub(crate) struct Failure {
    /// Its file and its title.
    pub(crate) script: (String, String),
    /// Why mosquitto is known to do something else here.
    pub(crate) noted: Option<String>,
    /// What our own broker is known to do wrong here.
    pub(crate) open: Option<String>,
    pub(crate) text: String,
}

impl Report {
    /// What every runner of our own broker demands: enough was run, and nothing failed.
    pub(crate) fn check(&self) {
        let ran = self.passed.len() + self.failed.len();
        assert!(ran >= 300 || !only().is_empty(), "only {ran} cases ran");
        let (open, new): (Vec<_>, Vec<_>) = self.failed.iter().partition(|f| f.open.is_some());
        for failure in open {
            println!("open: {}", failure.text.lines().next().unwrap_or_default());
        }
        let texts: Vec<&str> = new.iter().map(|f| f.text.as_str()).collect();
        assert!(
            texts.is_empty(),
            "{} cases failed:\n\n{}",
            texts.len(),
            texts.join("\n\n")
        );
    }

    pub(crate) fn summary(&self) -> String {
        let (passed, failed) = (self.passed.len(), self.failed.len());
        let mut text = format!(
            "{passed} passed, {failed} failed, {} skipped",
            self.skipped.len()
        );
        for line in &self.skipped {
            text += &format!("\nskipped: {line}");
        }
        text
    }
}

/// One case with one version and one row of its table.
struct Item<'a> {
    case: &'a Case,
    version: Version,
    row: &'a [(String, Vec<u8>)],
}

/// `world` makes a place for one case; `threads` of them run at a time.
pub(crate) fn run_all<W: World>(
    cases: &[Case],
    threads: usize,
    world: impl Fn(Option<&str>) -> Result<W, String> + Sync,
) -> Report {
    let only = only();
    let mut items: Vec<Item<'_>> = Vec::new();
    for case in cases {
        for version in &case.versions {
            let rows = case.rows.iter().map(|row| Item {
                case,
                version: *version,
                row,
            });
            items.extend(rows.filter(|item| item.name().contains(&only)));
        }
    }
    // The long ones first, so that none of them is left alone at the end.
    items.sort_by_key(|item| std::cmp::Reverse(waits(&item.case.steps)));
    let salt = std::process::id() % 46_656;
    let next = AtomicUsize::new(0);
    let report = Mutex::new(Report::default());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { return };
                    let namespace = format!("n{salt:x}x{index}y");
                    let outcome = item.run(&world, &namespace);
                    let mut report = report.lock().unwrap();
                    match outcome {
                        Outcome::Passed => {
                            if item.case.open.is_some() {
                                println!("no longer open: {}", item.name());
                            }
                            report.passed.push(item.name());
                        }
                        Outcome::Skipped(why) => {
                            report.skipped.push(format!("{}: {why}", item.name()));
                        }
                        Outcome::Failed(text) => {
                            report.failed.push(Failure {
                                script: (item.case.file.clone(), item.case.title.clone()),
                                noted: item.case.differs_mosquitto.clone(),
                                open: item.case.open.clone(),
                                text,
                            });
                        }
                    }
                }
            });
        }
    });
    let mut report = report.into_inner().unwrap();
    report.passed.sort();
    report.skipped.sort();
    report.failed.sort_by(|a, b| a.text.cmp(&b.text));
    report
}

impl Item<'_> {
    /// A panic of the broker's core is a failure of this case and of no other.
    fn run<W: World>(
        &self,
        world: &impl Fn(Option<&str>) -> Result<W, String>,
        namespace: &str,
    ) -> Outcome {
        let run = || match world(self.case.wants.as_deref()) {
            Ok(mut world) => run::run(&mut world, self.case, self.version, self.row, namespace),
            Err(why) => Outcome::Skipped(why),
        };
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or_else(|_| {
            Outcome::Failed(format!("{}\n  the broker panicked, see above", self.name()))
        })
    }

    fn name(&self) -> String {
        let case = self.case;
        format!(
            "{}:{} {} [{}] {}",
            case.file,
            case.line,
            case.rule,
            self.version.name(),
            case.title
        )
    }
}

fn waits(steps: &[Step]) -> Duration {
    let of_step = |step: &Step| match &step.act {
        Act::After(time) => *time,
        Act::Repeat { steps, .. } => waits(steps),
        _ => Duration::ZERO,
    };
    steps.iter().map(of_step).sum()
}

/// What the name of a case must contain to be run.
fn only() -> String {
    std::env::var("MQTTX_SPEC_ONLY").unwrap_or_default()
}
