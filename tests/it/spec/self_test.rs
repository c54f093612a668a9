//! The runner itself: a wrong script fails, and says where and why; a script that makes no sense is refused.

use crate::spec::core::Core;
use crate::spec::run;
use crate::spec::run::Outcome;
use crate::spec::script;

/// Runs the only case of `steps` against the core: the text of its failure, if it failed.
fn failure(steps: &str) -> Option<String> {
    let text = format!("versions v5\ncase MQTT-0 a case\n{steps}");
    let cases = script::parse("self.txt", &text).unwrap();
    let case = &cases[0];
    let mut world = Core::new(1, usize::MAX, None).unwrap();
    match run::run(&mut world, case, case.versions[0], &case.rows[0], "ns") {
        Outcome::Passed => None,
        Outcome::Failed(text) => Some(text),
        Outcome::Skipped(why) => Some(format!("skipped: {why}")),
    }
}

#[track_caller]
fn check(steps: &str, expected: &str) {
    let text = failure(steps).unwrap_or_else(|| panic!("passes:\n{steps}"));
    assert!(text.contains(expected), "no {expected:?} in:\n{text}");
}

/// Two clients and one message, then the step in question.
const TALK: &str = "\
b connect
b subscribe ~/t qos=1
a connect
a publish topic=~/t payload=hi qos=1 .content-type=c
";

#[test]
fn a_right_script_passes() {
    let steps =
        format!("{TALK}b receive topic=~/t payload=hi qos=1 .content-type=c\nb expect nothing");
    assert_eq!(failure(&steps), None);
}

#[test]
fn every_difference_in_a_message_is_seen() {
    for (step, why) in [
        (
            "b expect publish topic=~/u payload=hi qos=1 .content-type=c",
            "topic is ns/t, not ns/u",
        ),
        (
            "b expect publish topic=~/t payload=ho qos=1 .content-type=c",
            "payload is hi, not ho",
        ),
        (
            "b expect publish topic=~/t payload=hi .content-type=c",
            "qos is 1, not 0",
        ),
        (
            "b expect publish topic=~/t payload=hi qos=1 retain=1 .content-type=c",
            "retain is 0, not 1",
        ),
        (
            "b expect publish topic=~/t payload=hi qos=1 dup=1 .content-type=c",
            "dup is 0, not 1",
        ),
        (
            "b expect publish topic=~/t payload=hi qos=1",
            "content-type is [c], not []",
        ),
        (
            "b expect publish qos=1 .content-type=d",
            "content-type is [c], not [d]",
        ),
        (
            "b expect publish qos=1 .content-type=c .user-property=a:b",
            "user-property is [], not [a:b]",
        ),
        (
            "b expect publish qos=1 .. !.content-type",
            "content-type is there",
        ),
        (
            "b expect publish qos=1 id=2..9 .content-type=c",
            "id is 1, not 2..9",
        ),
        ("b expect pingresp", "not a pingresp"),
        ("b expect nothing", "expected: nothing"),
        ("b closes", "expected: the end"),
        ("b closes 0x82", "expected: disconnect 0x82"),
        ("b received 2..", "expected: 2.. messages"),
        ("a expect publish", "came:     nothing"),
    ] {
        check(&format!("{TALK}{step}"), why);
    }
}

#[test]
fn ends_are_told_apart() {
    let second_connect = "a connect\na send connect\n";
    assert_eq!(failure(&format!("{second_connect}a closes 0x82")), None);
    assert_eq!(failure(&format!("{second_connect}a closes")), None);
    check(
        &format!("{second_connect}a closes 0x81"),
        "came:     disconnect reason=130",
    );
    check(&format!("{second_connect}a closes silently"), "came:");
    check("a connect\na send pingreq\na closes", "came:     pingresp");
}

#[test]
fn a_failure_tells_its_place_and_its_story() {
    let text = failure("a connect\na send pingreq\na expect suback codes=0").unwrap();
    for part in [
        "self.txt:2 MQTT-0 [v5] a case",
        "line 5: a expect suback",
        "expected: suback codes=0",
        "a → c0 00",
        "a ← d0 00",
    ] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn any_order_takes_each_once() {
    let two = "b connect\nb subscribe ~/+\na connect\na publish topic=~/1\na publish topic=~/2\n";
    let both =
        "any-order\nb expect publish topic=~/2\nb expect publish topic=~/1\nend\nb expect nothing";
    assert_eq!(failure(&format!("{two}{both}")), None);
    let twice = "any-order\nb expect publish topic=~/1\nb expect publish topic=~/1\nend";
    check(&format!("{two}{twice}"), "came:");
}

#[test]
fn nonsense_is_refused_with_its_line() {
    for (text, why) in [
        ("versions v9", "f:1: unknown version"),
        ("a connect", "f:1: neither `case` nor `versions`"),
        ("versions v5\ncase MQTT-1", "f:2: no title"),
        ("versions v5\ncase MQTT-1 x\n", "f:2: a case needs"),
        ("versions v5\ncase MQTT-1 x\n  a shout", "f:3: no verb"),
        (
            "versions v5\ncase MQTT-1 x\n  after long",
            "f:3: after wants",
        ),
        (
            "versions v5\ncase MQTT-1 x\n  repeat 3 i\n  a ping",
            "a block without `end`",
        ),
        (
            "versions v5\ncase MQTT-1 x\n  a send publish topic=\"t",
            "f:3: an open quote",
        ),
        (
            "versions v5\ncase MQTT-1 x\n  a send publish topic={",
            "f:3: what is",
        ),
    ] {
        let found = script::parse("f", text)
            .err()
            .unwrap_or_else(|| panic!("taken: {text}"));
        assert!(found.contains(why), "{text}: {found}");
    }
    check("a connect\na send publish tpoic=x", "no field tpoic");
    check("a connect\na send publish .colour=x", "no property colour");
    check(
        "a connect\na send publish topic={unset}",
        "no variable unset",
    );
    check("b ping", "b is not connected");
}
