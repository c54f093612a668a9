//! The normative statements of the standards by number (Appendix B of 5.0, Appendix A of 3.1.1), so that a
//! case can name no rule that does not exist, and no rule a server can break is without a case.

/// A section and how many statements it has.
type Sections = &'static [(&'static str, u32)];

#[rustfmt::skip]
const V5: Sections = &[
    ("1.5.4", 3), ("1.5.5", 1), ("1.5.7", 1), ("2.1.3", 1), ("2.2.1", 6), ("2.2.2", 1),
    ("3.1.0", 2), ("3.1.2", 30), ("3.1.3", 12), ("3.1.4", 6), ("3.2.0", 2), ("3.2.2", 22),
    ("3.3.1", 13), ("3.3.2", 20), ("3.3.4", 10), ("3.4.2", 3), ("3.5.2", 3), ("3.6.1", 1),
    ("3.6.2", 3), ("3.7.2", 3), ("3.8.1", 1), ("3.8.3", 5), ("3.8.4", 8), ("3.9.2", 2),
    ("3.9.3", 2), ("3.10.1", 1), ("3.10.3", 2), ("3.10.4", 6), ("3.11.2", 2), ("3.11.3", 2),
    ("3.12.4", 1), ("3.14.0", 1), ("3.14.1", 1), ("3.14.2", 4), ("3.14.4", 3), ("3.15.1", 1),
    ("3.15.2", 3), ("4.1.0", 2), ("4.2.0", 1), ("4.3.1", 1), ("4.3.2", 5), ("4.3.3", 13),
    ("4.4.0", 2), ("4.5.0", 2), ("4.6.0", 6), ("4.7.0", 1), ("4.7.1", 2), ("4.7.2", 1),
    ("4.7.3", 4), ("4.8.2", 6), ("4.9.0", 3), ("4.12.0", 7), ("4.12.1", 2), ("4.13.1", 1),
    ("4.13.2", 1),
];

#[rustfmt::skip]
const V311: Sections = &[
    ("1.5.3", 3), ("2.2.2", 2), ("2.3.1", 7), ("3.1.0", 2), ("3.1.2", 24), ("3.1.3", 11),
    ("3.1.4", 5), ("3.2.0", 1), ("3.2.2", 6), ("3.3.1", 12), ("3.3.2", 3), ("3.3.4", 1),
    ("3.3.5", 2), ("3.6.1", 1), ("3.8.1", 1), ("3.8.3", 4), ("3.8.4", 6), ("3.9.3", 2),
    ("3.10.1", 1), ("3.10.3", 2), ("3.10.4", 6), ("3.12.4", 1), ("3.14.1", 1), ("3.14.4", 3),
    ("4.1.0", 2), ("4.3.1", 1), ("4.3.2", 2), ("4.3.3", 2), ("4.4.0", 1), ("4.5.0", 2),
    ("4.6.0", 6), ("4.7.1", 3), ("4.7.2", 1), ("4.7.3", 4), ("4.8.0", 2),
];

const CLIENT: &str = "for clients";
const EVERYWHERE: &str = "held against every packet of every case, by decode or watch";
const NO_EXPLANATIONS: &str = "these packets of ours explain nothing; watch holds their size";

/// Statements without a case of their own, and why.
#[rustfmt::skip]
const V5_ELSEWHERE: &[(&str, &str)] = &[
    ("2.2.1-1", "the numbers begin at 2"), ("2.2.1-2", EVERYWHERE), ("3.1.2-20", CLIENT),
    ("3.1.2-21", CLIENT), ("3.1.3-8", "no client id is refused"), ("3.2.2-4", CLIENT),
    ("3.2.2-5", CLIENT), ("3.2.2-8", EVERYWHERE), ("3.2.2-10", "QoS 2 is always there"),
    ("3.2.2-11", CLIENT), ("3.2.2-12", "QoS 2 is always there"), ("3.2.2-14", CLIENT),
    ("3.2.2-17", CLIENT), ("3.3.2-10", CLIENT), ("3.3.4-5", "one copy is sent, see 3.3.4-4"),
    ("3.3.4-8", CLIENT), ("3.4.2-2", NO_EXPLANATIONS), ("3.4.2-3", NO_EXPLANATIONS),
    ("3.5.2-2", NO_EXPLANATIONS), ("3.5.2-3", NO_EXPLANATIONS), ("3.6.2-2", NO_EXPLANATIONS),
    ("3.6.2-3", NO_EXPLANATIONS), ("3.7.2-2", NO_EXPLANATIONS), ("3.7.2-3", NO_EXPLANATIONS),
    ("3.9.2-1", NO_EXPLANATIONS), ("3.9.2-2", NO_EXPLANATIONS), ("3.9.3-2", EVERYWHERE),
    ("3.11.2-1", NO_EXPLANATIONS), ("3.11.2-2", NO_EXPLANATIONS), ("3.14.2-4", NO_EXPLANATIONS),
    ("3.15.2-2", NO_EXPLANATIONS), ("3.15.2-3", NO_EXPLANATIONS), ("4.3.2-1", EVERYWHERE),
    ("4.3.2-3", "says what 4.4.0-1 says"), ("4.3.3-1", EVERYWHERE),
    ("4.3.3-9", "no PUBLISH is refused by PUBREC"), ("4.5.0-2", CLIENT), ("4.6.0-2", CLIENT),
    ("4.6.0-3", CLIENT), ("4.6.0-4", CLIENT),
];

#[rustfmt::skip]
const V311_ELSEWHERE: &[(&str, &str)] = &[
    ("2.2.2-1", EVERYWHERE), ("2.3.1-2", CLIENT), ("2.3.1-5", EVERYWHERE), ("3.1.2-23", CLIENT),
    ("3.1.3-7", CLIENT), ("3.1.3-9", "no client id of 3.1.1 is refused"),
    ("3.2.2-6", "for reasons that have no return code"), ("3.3.5-2", "every PUBLISH is authorized"),
    ("3.8.3-2", "wildcards are always there"), ("3.9.3-2", EVERYWHERE),
    ("4.1.0-2", "every case that stays connected shows it"), ("4.3.2-1", EVERYWHERE),
    ("4.3.3-1", EVERYWHERE), ("4.5.0-2", CLIENT), ("4.6.0-2", CLIENT), ("4.6.0-3", CLIENT),
    ("4.6.0-4", CLIENT), ("4.8.0-2", "about failures of the server itself"),
];

/// What is wrong with the names of cases: `named` are rules like `MQTT-3.1.2-4` from one folder of scripts.
pub(crate) fn faults(folder: &str, named: &[&str]) -> Vec<String> {
    let (sections, elsewhere) = match folder {
        "v5" => (V5, V5_ELSEWHERE),
        _ => (V311, V311_ELSEWHERE),
    };
    let all = sections
        .iter()
        .flat_map(|(section, count)| (1..=*count).map(move |n| format!("{section}-{n}")));
    let all: Vec<String> = all.collect();
    let cited: Vec<&str> = named
        .iter()
        .filter_map(|name| name.strip_prefix("MQTT-"))
        .collect();
    let mut faults = Vec::new();
    for name in &cited {
        // A section may be cited as a whole; a number must be one the standard has.
        if name.contains('-') && !all.iter().any(|rule| rule == name) {
            faults.push(format!("{folder}: the standard has no MQTT-{name}"));
        }
    }
    for rule in &all {
        let excused = elsewhere.iter().any(|(name, _)| name == rule);
        let has_case = cited.contains(&rule.as_str());
        if excused == has_case {
            faults.push(format!(
                "{folder}: MQTT-{rule} has a case: {has_case}, and an excuse: {excused}"
            ));
        }
    }
    faults
}
