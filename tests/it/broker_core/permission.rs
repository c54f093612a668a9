//! Who may do what, by the rules of an ACL file: publishing, receiving on every way a message can
//! take, subscribing, and what new rules do to those who are connected.

use std::sync::Arc;

use mqttx::broker::access::rules::{Rules, SubscribeCheck};
use mqttx::broker::access::{Access, Revoked, Whom};
use mqttx::broker::limits::Limits;
use mqttx::broker::listener::ListenerRules;
use mqttx::broker::{Cause, What};
use mqttx::daemon::auth::acl_file;
use mqttx::mqtt::property::{PropertyId, Value};
use mqttx::mqtt::{Reason, Version};

use crate::support::core::{Core, LinkId};
use crate::support::packets::{Hello, publish, retained, subscribe, unsubscribe};

const FILE: &str = "\
topic read open/#
user bob
topic readwrite a/#
topic deny a/secret
user amy
topic read a/b
topic write w/#
user eve
topic readwrite e/#
pattern readwrite own/%c/#
";

fn rules(text: &str) -> Rules {
    acl_file::parse(text.as_bytes()).unwrap()
}

fn access(rules: Rules) -> Access {
    Access {
        anonymous: true,
        rules: Some(Arc::new(rules)),
        ..Access::default()
    }
}

fn core(workers: u16) -> Core {
    Core::with_access(workers, Limits::default(), &access(rules(FILE)))
}

fn join(core: &mut Core, worker: usize, user: &str) -> LinkId {
    core.join(worker, &Hello::new(&format!("{user}-id")).user(user))
}

#[test]
fn a_refused_publish_is_told_to_v5_and_only_acknowledged_before() {
    let mut core = core(1);
    let watcher = join(&mut core, 0, "bob");
    core.subscribe(watcher, "#", 0);
    let amy = join(&mut core, 0, "amy");
    core.publish(amy, "a/b", "no", 0, 0);
    core.publish(amy, "a/b", "no", 1, 1);
    core.publish(amy, "a/b", "no", 2, 2);
    assert_eq!(core.take(amy), ["PUBACK #1 0x87", "PUBREC #2 0x87"]);
    let old = Hello::new("old").user("amy").version(Version::V311);
    let old = core.join(0, &old);
    core.publish(old, "a/b", "no", 1, 1);
    core.publish(old, "a/b", "no", 2, 2);
    assert_eq!(core.take(old), ["PUBACK #1", "PUBREC #2"]);
    assert_eq!(core.take(watcher), [""; 0]);
    assert_eq!(core.stats().dropped_denied, 5);
    let told = core.events.iter().filter_map(|event| match &event.what {
        What::Denied(denied) => Some((&*denied.topic, denied.qos.bits(), denied.packet_id)),
        _ => None,
    });
    let told: Vec<_> = told.collect();
    assert_eq!(told[..3], [("a/b", 0, 0), ("a/b", 1, 1), ("a/b", 2, 2)]);
}

#[test]
fn topics_in_turn_are_each_judged_for_themselves() {
    let mut core = core(1);
    let watcher = join(&mut core, 0, "bob");
    core.subscribe(watcher, "#", 0);
    let bob = core.join(0, &Hello::new("bob-2").user("bob"));
    for round in 0..3 {
        core.publish(bob, "a/x", &round.to_string(), 0, 0);
        core.publish(bob, "a/secret", "no", 0, 0);
        core.publish(bob, "b", "no", 0, 0);
    }
    let got = core.take(watcher);
    assert_eq!(got.len(), 3, "{got:?}");
    assert!(got.iter().all(|packet| packet.contains("a/x")), "{got:?}");
}

#[test]
fn nobody_is_told_in_thousands_of_lines() {
    let mut core = core(1);
    let amy = join(&mut core, 0, "amy");
    for n in 0..1_000 {
        core.publish(amy, &format!("x/{n}"), "no", 0, 0);
    }
    let told = core.events.iter();
    let told = told.filter(|event| matches!(event.what, What::Denied(_)));
    assert!(told.count() <= 8);
    assert_eq!(core.stats().dropped_denied, 1_000);
}

/// Every way a message takes: the same worker, another one, a run, a single packet, retained, a
/// Shared Subscription, a Session that is away.
#[test]
fn nobody_gets_what_the_rules_do_not_give() {
    for workers in [1, 3] {
        let mut core = core(workers);
        let last = usize::from(workers) - 1;
        let bob = join(&mut core, 0, "bob");
        let amy = join(&mut core, last, "amy");
        let eve = core.join(last, &Hello::new("eve-id").user("eve").kept());
        for link in [amy, eve] {
            core.subscribe(link, "#", 2);
        }
        for qos in 0..3 {
            core.publish(bob, "a/b", "yes", qos, 1 + u16::from(qos));
            core.publish(bob, "a/c", "no", qos, 4 + u16::from(qos));
        }
        let got = core.take(amy);
        assert_eq!(got.len(), 3, "{got:?}");
        assert!(got.iter().all(|packet| packet.contains("a/b")), "{got:?}");
        assert_eq!(core.take(eve), [""; 0]);
        core.cut(eve);
        core.publish(bob, "a/b", "no", 1, 7);
        let eve = core.connect(last, &Hello::new("eve-id").user("eve").kept());
        let got = core.take(eve);
        assert_eq!(got.len(), 1, "{got:?}");
    }
}

#[test]
fn retained_messages_are_judged_one_by_one() {
    let mut core = core(1);
    let bob = join(&mut core, 0, "bob");
    for topic in ["a/b", "a/c", "a/d"] {
        core.send(
            bob,
            &retained(publish(Version::V5, topic, "kept", 0, 0, &[])),
        );
    }
    let amy = join(&mut core, 0, "amy");
    core.send(amy, &subscribe(Version::V5, 1, "a/#", 0, &[]));
    let got = core.take(amy);
    assert_eq!(got.len(), 2, "{got:?}");
    assert!(got[1].contains("a/b"), "{got:?}");
}

#[test]
fn a_share_goes_to_members_who_may_have_it() {
    for workers in [1, 2] {
        let mut core = core(workers);
        let last = usize::from(workers) - 1;
        let bob = join(&mut core, 0, "bob");
        let amy = join(&mut core, last, "amy");
        let eve = join(&mut core, last, "eve");
        for link in [amy, eve] {
            core.subscribe(link, "$share/g/a/#", 1);
        }
        for id in 1..=4 {
            core.publish(bob, "a/b", "x", 1, id);
        }
        assert_eq!(core.take(amy).len(), 4);
        core.publish(bob, "a/c", "x", 1, 9);
        assert_eq!(core.take(amy), [""; 0]);
        assert_eq!(core.take(eve), [""; 0]);
    }
}

#[test]
fn a_will_is_judged_when_it_is_sent() {
    let mut core = core(1);
    let bob = join(&mut core, 0, "bob");
    core.subscribe(bob, "#", 0);
    for (user, topic) in [("amy", "a/b"), ("bob", "a/w"), ("bob", "a/secret")] {
        let hello = Hello::new("dying").user(user).will(topic, "gone", 0, false);
        let link = core.join(0, &hello);
        core.cut(link);
    }
    let got = core.take(bob);
    assert_eq!(got.len(), 1, "{got:?}");
    assert!(got[0].contains("a/w"), "{got:?}");
}

#[test]
fn subscribe_is_refused_where_the_operator_wants_it() {
    let check = |check: SubscribeCheck, expected: [&str; 3]| {
        let rules = Rules {
            subscribe_check: check,
            ..rules(FILE)
        };
        let mut core = Core::with_access(1, Limits::default(), &access(rules));
        let amy = join(&mut core, 0, "amy");
        for (filter, expected) in ["a/b", "a/#", "e/#"].into_iter().zip(expected) {
            core.send(amy, &subscribe(Version::V5, 1, filter, 0, &[]));
            assert_eq!(
                core.take(amy),
                [format!("SUBACK #1 [{expected}]")],
                "{filter}"
            );
        }
        // Before v5 there is one code for all refusals.
        let old = Hello::new("old").user("amy").version(Version::V311);
        let old = core.join(0, &old);
        core.send(old, &subscribe(Version::V311, 1, "e/#", 0, &[]));
        let code = if expected[2] == "0" { "0" } else { "128" };
        assert_eq!(core.take(old), [format!("SUBACK #1 [{code}]")]);
    };
    check(SubscribeCheck::Never, ["0", "0", "0"]);
    check(SubscribeCheck::Nothing, ["0", "0", "135"]);
    check(SubscribeCheck::Partly, ["0", "135", "135"]);
}

#[test]
fn new_rules_hold_for_those_who_are_connected() {
    for workers in [1, 2] {
        let mut core = core(workers);
        let last = usize::from(workers) - 1;
        let bob = join(&mut core, 0, "bob");
        let amy = join(&mut core, last, "amy");
        core.subscribe(amy, "#", 0);
        core.publish(bob, "a/b", "1", 0, 0);
        assert_eq!(core.take(amy).len(), 1);
        let stricter = access(rules("user bob\ntopic write a/#\nuser amy\ntopic read c"));
        core.set_access(&stricter, &Revoked::default());
        core.publish(bob, "a/b", "2", 0, 0);
        core.publish(bob, "c", "2", 0, 0);
        assert_eq!(core.take(amy), [""; 0]);
        let none = Access {
            anonymous: true,
            ..Access::default()
        };
        core.set_access(&none, &Revoked::default());
        core.publish(bob, "c", "3", 0, 0);
        assert_eq!(core.take(amy).len(), 1);
    }
}

#[test]
fn those_go_who_may_no_longer_be_connected() {
    let mut core = core(2);
    let nobody = core.join(0, &Hello::new("nobody"));
    let bob = join(&mut core, 1, "bob");
    let amy = join(&mut core, 1, "amy");
    let asking = Access {
        passwords: true,
        ..access(rules(FILE))
    };
    core.set_access(&asking, &Revoked::default());
    let strict = Access {
        anonymous: false,
        ..asking
    };
    let revoked = Revoked {
        users: vec!["bob".into()],
        nobody: false,
    };
    core.set_access(&strict, &revoked);
    for link in [nobody, bob] {
        let got = core.take(link);
        assert_eq!(got, ["DISCONNECT 0x87"]);
        assert!(matches!(
            core.cause(link),
            Some(Cause::Dropped(Reason::NOT_AUTHORIZED, _))
        ));
    }
    assert!(core.is_open(amy));
}

#[test]
fn a_listener_that_wants_names_now_keeps_nobody_whenever_it_says_so() {
    // By the rules of its realm nobody goes, neither before nor behind.
    let lax = Access {
        anonymous: false,
        passwords: true,
        ..access(rules(FILE))
    };
    let asking = Access {
        passwords: true,
        ..access(rules(FILE))
    };
    for is_behind in [false, true] {
        let mut core = core(1);
        core.listen(ListenerRules {
            anonymous: Some(true),
            ..ListenerRules::default()
        });
        let nobody = core.join(0, &Hello::new("nobody"));
        let amy = join(&mut core, 0, "amy");
        core.set_access(&asking, &Revoked::default());
        if is_behind {
            core.set_access(&lax, &Revoked::default());
            assert!(core.is_open(nobody));
        }
        for link in [nobody, amy] {
            let (id, now) = (core.id_of(link), core.now);
            core.workers[0].set_anonymous(id, Some(false), now);
        }
        core.settle();
        assert_eq!(core.take(nobody), ["DISCONNECT 0x87"]);
        assert!(core.is_open(amy));
    }
}

#[test]
fn an_administrator_sends_clients_away_by_either_name() {
    let mut core = core(1);
    let bob = join(&mut core, 0, "bob");
    let amy = join(&mut core, 0, "amy");
    let nobody = core.join(0, &Hello::new("nobody"));
    assert_eq!(core.disconnect(Whom::User(Some("eve"))), 0);
    assert_eq!(core.disconnect(Whom::User(Some("bob"))), 1);
    assert_eq!(core.disconnect(Whom::Client("amy-id")), 1);
    assert_eq!(core.disconnect(Whom::User(None)), 1);
    for link in [bob, amy, nobody] {
        assert!(matches!(
            core.cause(link),
            Some(Cause::Dropped(Reason::ADMINISTRATIVE_ACTION, _))
        ));
    }
}

#[test]
fn client_identifiers_begin_as_the_operator_wants() {
    let prefixed = Access {
        anonymous: true,
        client_id_prefixes: vec!["dev-".into(), "app-".into()],
        ..Access::default()
    };
    let answer = |hello: &Hello| {
        let mut core = Core::with_access(1, Limits::default(), &prefixed);
        let link = core.connect(0, hello);
        core.take(link).remove(0)
    };
    assert!(answer(&Hello::new("app-1")).starts_with("CONNACK Success"));
    assert!(answer(&Hello::new("x")).starts_with("CONNACK Not authorized"));
    assert!(answer(&Hello::new("")).starts_with("CONNACK Not authorized"));
}

/// A kept Session that another user resumes has that user's rights from then on.
#[test]
fn rights_change_with_the_user_of_a_session() {
    let mut core = core(2);
    let bob = join(&mut core, 0, "bob");
    let hello = Hello::new("both").kept();
    let link = core.join(1, &hello.clone().user("amy"));
    core.subscribe(link, "#", 0);
    core.publish(bob, "a/c", "x", 0, 0);
    assert_eq!(core.take(link), [""; 0]);
    core.cut(link);
    let link = core.connect(1, &hello.user("bob"));
    core.take(link);
    core.publish(bob, "a/c", "x", 0, 0);
    assert_eq!(core.take(link).len(), 1);
    core.send(link, &unsubscribe(Version::V5, 2, "#"));
    assert_eq!(core.take(link), ["UNSUBACK #2 [0]"]);
    let expiry = Value::Four(1);
    let short = Hello::new("short").user("amy");
    let short = core.join(0, &short.with(PropertyId::SessionExpiryInterval, expiry));
    core.cut(short);
    core.advance_secs(2.0);
}

/// Below `$CONTROL` there are commands: for those who may give them, to those who answer.
#[test]
fn a_command_goes_to_whoever_answers_and_to_nobody_else() {
    let file =
        "user bob\ntopic readwrite $CONTROL/#\ntopic readwrite #\nuser amy\ntopic readwrite #";
    let access = Access {
        controls: vec!["$CONTROL/known/v1".into()],
        ..access(rules(file))
    };
    let mut core = Core::with_access(1, Limits::default(), &access);
    let bob = join(&mut core, 0, "bob");
    let amy = join(&mut core, 0, "amy");
    core.subscribe(bob, "$CONTROL/#", 0);
    core.publish(amy, "$CONTROL/known/v1", "x", 1, 1);
    assert_eq!(core.take(amy), ["PUBACK #1 0x87"]);
    core.publish(bob, "$CONTROL/unknown/v1", "x", 1, 1);
    core.publish(bob, "$CONTROL/known/v1/response", "forged", 1, 2);
    core.publish(bob, "$CONTROL/known/v1", "x", 1, 3);
    assert_eq!(
        core.take(bob),
        ["PUBACK #1 0x87", "PUBACK #2 0x87", "PUBACK #3"]
    );
    let effects = core.workers[0].effects();
    let [control] = &std::mem::take(&mut effects.controls)[..] else {
        panic!("one command");
    };
    assert_eq!(
        (&*control.client_id, &*control.payload),
        ("bob-id", &b"x"[..])
    );
    assert_eq!(control.user_name.as_deref(), Some("bob"));
    let dying = Hello::new("dying")
        .user("bob")
        .will("$CONTROL/known/v1", "x", 0, false);
    let dying = core.join(0, &dying);
    core.cut(dying);
    assert!(core.workers[0].effects().controls.is_empty());
    assert_eq!(core.take(bob), [""; 0]);
}

/// A listener may have rules of its own.
#[test]
fn each_realm_has_its_own_rules() {
    let own = access(rules("topic readwrite own/#"));
    let access = Access {
        realms: vec![own],
        ..access(rules("topic readwrite all/#"))
    };
    let mut core = Core::with_access(1, Limits::default(), &access);
    let mut links = Vec::new();
    for (realm, id) in [(0, "a"), (1, "b"), (9, "c")] {
        core.listen(ListenerRules {
            realm,
            ..ListenerRules::default()
        });
        links.push(core.join(0, &Hello::new(id)));
    }
    let check = |core: &mut Core| {
        for (link, topic, fine) in [(0, "all/x", true), (0, "own/x", false), (1, "own/x", true)]
            .into_iter()
            .chain([(1, "all/x", false), (2, "all/x", true)])
        {
            core.publish(links[link], topic, "x", 1, 1);
            let expected = if fine {
                "PUBACK #1 0x10"
            } else {
                "PUBACK #1 0x87"
            };
            assert_eq!(core.take(links[link]), [expected], "{link} {topic}");
        }
    };
    check(&mut core);
    core.set_access(&access, &Revoked::default());
    check(&mut core);
}

#[test]
fn a_retained_message_is_sent_only_while_its_publisher_might_publish_it() {
    let with = |text: &str, checked: bool| Access {
        retain_source_checked: checked,
        ..access(rules(text))
    };
    let before = "user amy\ntopic a/#\nuser bob\ntopic #\npattern write p/%c/#\n";
    let after = "user amy\ntopic a/1\nuser bob\ntopic #\n";
    for (checked, expected) in [(false, 4), (true, 2)] {
        let mut core = Core::with_access(2, Limits::default(), &with(before, checked));
        let amy = core.join(0, &Hello::new("amy").user("amy"));
        for topic in ["a/1", "a/2", "p/amy/x"] {
            let packet = retained(publish(Version::V5, topic, "held", 0, 0, &[]));
            core.send(amy, &packet);
        }
        let bob = core.join(1, &Hello::new("bob").user("bob"));
        core.send(bob, &retained(publish(Version::V5, "b", "held", 0, 0, &[])));
        core.set_access(&with(after, checked), &Revoked::default());
        // Gone or not: it is about whoever published it.
        core.send(amy, &[0xe0, 0]);
        let reader = core.join(1, &Hello::new("r").user("bob"));
        core.send(reader, &subscribe(Version::V5, 1, "#", 0, &[]));
        let got = core.take(reader);
        let topics: Vec<&str> = got
            .iter()
            .filter_map(|line| line.strip_prefix("PUBLISH ")?.split(' ').next())
            .collect();
        assert_eq!(topics.len(), expected, "{got:?}");
        assert!(topics.contains(&"a/1") && topics.contains(&"b"), "{got:?}");
    }
}
