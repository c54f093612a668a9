//! Who may do what with which topics: lists of rules, of which the first that fits answers.
//!
//! ```text
//! Rules   user name -> lists ┐
//!         nobody    -> lists ┼─> Rights of one client: lists, then those for everybody,
//!         everybody -> lists ┘                         then what holds where no rule fits
//! ```
//!
//! All of it is loaded whole and never changed: who changes a rule makes new [`Rules`]. Where they
//! come from, an ACL file, dynamic security or a token, is left to `daemon::auth`.

use std::collections::HashMap;
use std::ops::BitOr;
use std::sync::Arc;

use crate::broker::access::pattern::{Pattern, Who};
use crate::mqtt::topic;

/// A set of things a client does with topics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions(u8);

impl Actions {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// PUBLISH to it.
    pub const PUBLISH: Self = Self(1);
    /// Messages published to it.
    pub const RECEIVE: Self = Self(2);
    /// SUBSCRIBE to it.
    pub const SUBSCRIBE: Self = Self(4);
    /// UNSUBSCRIBE from it.
    pub const UNSUBSCRIBE: Self = Self(8);
    /// What is never refused where only messages are.
    pub const ASKING: Self = Self(12);
    /// All of them.
    pub const ALL: Self = Self(15);

    /// Whether all of `asked` are in it.
    pub fn has(self, asked: Self) -> bool {
        self.0 & asked.0 == asked.0
    }

    /// These without those.
    #[must_use]
    pub fn without(self, taken: Self) -> Self {
        Self(self.0 & !taken.0)
    }
}

impl BitOr for Actions {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it is about.
    pub actions: Actions,
    /// Whether that is allowed.
    pub allow: bool,
    /// With which topics.
    pub pattern: Pattern,
}

/// Rules in the order in which they are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleList {
    /// The rules.
    pub rules: Vec<Rule>,
    /// Clients with a wildcard in their Client Identifier or user name have no right that this
    /// list or a later one gives: such a name, put into a pattern, would match everything.
    pub tame_names_only: bool,
    /// SUBSCRIBE with a wildcard is refused where this list is asked.
    pub wildcards_refused: bool,
}

/// When SUBSCRIBE is refused for the messages that a client may not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SubscribeCheck {
    /// Never: messages are just not delivered, as mosquitto does.
    #[default]
    Never,
    /// When none of the filter's messages could be delivered.
    Nothing,
    /// When some of them could not be.
    Partly,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// For the user of each name.
    pub users: HashMap<Box<str>, Vec<Arc<RuleList>>>,
    /// For clients without a user name.
    pub nobody: Vec<Arc<RuleList>>,
    /// For all, behind their own.
    pub everybody: Vec<Arc<RuleList>>,
    /// What is allowed where no rule fits.
    pub otherwise: Actions,
    /// The same for users with no entry in `users`.
    pub strangers: Actions,
    /// See there.
    pub subscribe_check: SubscribeCheck,
}

impl Rules {
    /// What one client may do. `own` are rules it brought along, asked before all others.
    pub fn rights(
        self: &Arc<Self>,
        client_id: &Arc<str>,
        user_name: Option<&Arc<str>>,
        own: Option<&Arc<RuleList>>,
    ) -> Arc<Rights> {
        let entry = user_name.map(|name| self.users.get(&**name));
        let listed = match entry {
            None => self.nobody.as_slice(),
            Some(lists) => lists.map_or(&[][..], Vec::as_slice),
        };
        let stranger = matches!(entry, Some(None));
        Arc::new(Rights {
            client_id: Arc::clone(client_id),
            user_name: user_name.cloned(),
            rules: Arc::clone(self),
            own: own.cloned(),
            lists: own
                .into_iter()
                .chain(listed)
                .chain(&self.everybody)
                .cloned()
                .collect(),
            otherwise: if stranger {
                self.strangers
            } else {
                self.otherwise
            },
        })
    }
}

/// What one client may do.
#[derive(Debug)]
pub struct Rights {
    client_id: Arc<str>,
    user_name: Option<Arc<str>>,
    rules: Arc<Rules>,
    own: Option<Arc<RuleList>>,
    lists: Box<[Arc<RuleList>]>,
    otherwise: Actions,
}

impl Rights {
    /// The rules it follows from.
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// Whose it is, without the Client Identifier.
    pub fn user_name(&self) -> Option<&str> {
        self.user_name.as_deref()
    }

    /// The rules the client brought along.
    pub fn own(&self) -> Option<&Arc<RuleList>> {
        self.own.as_ref()
    }

    /// Whether it may publish to a topic.
    pub fn may_publish(&self, topic: &str) -> bool {
        self.may(Actions::PUBLISH, |pattern, who| pattern.matches(topic, who))
    }

    /// Whether it may have the messages of a topic.
    pub fn may_receive(&self, topic: &str) -> bool {
        self.may(Actions::RECEIVE, |pattern, who| pattern.matches(topic, who))
    }

    /// Whether SUBSCRIBE to this filter is granted.
    pub fn may_subscribe(&self, filter: &str) -> bool {
        self.may_ask(Actions::SUBSCRIBE, filter) && self.would_receive(filter)
    }

    /// Whether UNSUBSCRIBE from this filter is granted.
    pub fn may_unsubscribe(&self, filter: &str) -> bool {
        self.may_ask(Actions::UNSUBSCRIBE, filter)
    }

    /// Asks the rules in their order.
    fn may(&self, action: Actions, fits: impl Fn(&Pattern, Who<'_>) -> bool) -> bool {
        self.ask(action, false, |rule, who| {
            fits(&rule.pattern, who).then_some(rule.allow)
        })
    }

    fn ask(
        &self,
        action: Actions,
        wild: bool,
        answer: impl Fn(&Rule, Who<'_>) -> Option<bool>,
    ) -> bool {
        let who = Who {
            client_id: &self.client_id,
            user_name: self.user_name.as_deref(),
        };
        for list in &self.lists {
            if (list.tame_names_only && who.is_wild()) || (wild && list.wildcards_refused) {
                return false;
            }
            for rule in list.rules.iter().filter(|rule| rule.actions.has(action)) {
                if rule.pattern.has_names() && who.is_wild() {
                    return false;
                }
                if let Some(allow) = answer(rule, who) {
                    return allow;
                }
            }
        }
        self.otherwise.has(action)
    }

    /// Rules about a Shared Subscription name it whole, or the filter in it.
    fn may_ask(&self, action: Actions, filter: &str) -> bool {
        let inner = inner(filter);
        let wild = action == Actions::SUBSCRIBE && inner.contains(['+', '#']);
        self.ask(action, wild, |rule, who| {
            let whole = rule.pattern.text().starts_with("$share/");
            let covers = rule.pattern.covers(if whole { filter } else { inner }, who);
            covers.then_some(rule.allow)
        })
    }

    /// What `subscribe_check` asks of the messages that a filter stands for.
    fn would_receive(&self, filter: &str) -> bool {
        let filter = inner(filter);
        match self.rules.subscribe_check {
            SubscribeCheck::Never => true,
            SubscribeCheck::Nothing => self.ask(Actions::RECEIVE, false, |rule, who| {
                let fits = match rule.allow {
                    true => rule.pattern.meets(filter, who),
                    false => rule.pattern.covers(filter, who),
                };
                fits.then_some(rule.allow)
            }),
            SubscribeCheck::Partly => self.ask(Actions::RECEIVE, false, |rule, who| {
                let fits = match rule.allow {
                    true => rule.pattern.covers(filter, who),
                    false => rule.pattern.meets(filter, who),
                };
                fits.then_some(rule.allow)
            }),
        }
    }
}

fn inner(filter: &str) -> &str {
    topic::split_share(filter).map_or(filter, |(_, filter)| filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(actions: Actions, allow: bool, filter: &str) -> Rule {
        Rule {
            actions,
            allow,
            pattern: Pattern::with_names(filter),
        }
    }

    fn rights(rules: Vec<Rule>, check: SubscribeCheck, otherwise: Actions) -> Arc<Rights> {
        let list = RuleList {
            rules,
            ..RuleList::default()
        };
        let rules = Arc::new(Rules {
            nobody: vec![Arc::new(list)],
            otherwise,
            subscribe_check: check,
            ..Rules::default()
        });
        rules.rights(&"c1".into(), None, None)
    }

    #[test]
    fn the_first_rule_that_fits_answers() {
        let rights = rights(
            vec![
                rule(Actions::ALL, false, "a/secret/#"),
                rule(Actions::PUBLISH, true, "a/#"),
                rule(Actions::RECEIVE, true, "+/b"),
            ],
            SubscribeCheck::Never,
            Actions::ASKING,
        );
        assert!(rights.may_publish("a/b"));
        assert!(!rights.may_publish("a/secret/b"));
        assert!(!rights.may_publish("x/b"));
        assert!(rights.may_receive("x/b"));
        assert!(!rights.may_receive("a/c"));
        assert!(rights.may_subscribe("a/secret/#") == rights.may_unsubscribe("a/secret/#"));
        assert!(rights.may_subscribe("x/#"));
    }

    #[test]
    fn subscribe_is_refused_for_nothing_or_for_a_part() {
        let rules = vec![
            rule(Actions::RECEIVE, false, "a/secret/#"),
            rule(Actions::RECEIVE, true, "a/#"),
        ];
        let nothing = rights(rules.clone(), SubscribeCheck::Nothing, Actions::ASKING);
        let partly = rights(rules, SubscribeCheck::Partly, Actions::ASKING);
        let check = |filter: &str, some: bool, all: bool| {
            assert_eq!(nothing.may_subscribe(filter), some, "{filter}");
            assert_eq!(partly.may_subscribe(filter), all, "{filter}");
        };
        check("#", true, false);
        check("a/#", true, false);
        check("a/b/#", true, true);
        check("a/+", true, false);
        check("a/secret", false, false);
        check("a/secret/+", false, false);
        check("b/#", false, false);
        check("$share/g/a/b", true, true);
        check("$share/g/b", false, false);
        check("$SYS/#", false, false);
    }

    #[test]
    fn rules_for_subscribing_cover_the_filter() {
        let rights = rights(
            vec![
                rule(Actions::SUBSCRIBE, true, "a/+"),
                rule(Actions::SUBSCRIBE, true, "$share/g/#"),
                rule(Actions::UNSUBSCRIBE, false, "keep/#"),
            ],
            SubscribeCheck::Never,
            Actions::UNSUBSCRIBE,
        );
        assert!(rights.may_subscribe("a/b"));
        assert!(rights.may_subscribe("a/+"));
        assert!(!rights.may_subscribe("a/#"));
        assert!(rights.may_subscribe("$share/x/a/b"));
        assert!(rights.may_subscribe("$share/g/z"));
        assert!(!rights.may_subscribe("$share/h/z"));
        assert!(!rights.may_unsubscribe("keep/x"));
        assert!(rights.may_unsubscribe("x"));
    }

    #[test]
    fn a_wildcard_in_a_name_gives_nothing() {
        let list = RuleList {
            rules: vec![rule(Actions::ALL, true, "d/%c/#")],
            ..RuleList::default()
        };
        let rules = Arc::new(Rules {
            everybody: vec![Arc::new(list)],
            ..Rules::default()
        });
        for (id, expected) in [("c1", true), ("+", false), ("c1/#", false)] {
            let rights = rules.rights(&id.into(), None, None);
            assert_eq!(rights.may_publish("d/c1/x"), expected, "{id}");
            assert_eq!(rights.may_subscribe("d/c1/x"), expected, "{id}");
        }
    }

    #[test]
    fn strangers_have_what_is_left_to_them() {
        let rules = Arc::new(Rules {
            users: HashMap::from([("bob".into(), Vec::new())]),
            otherwise: Actions::ALL,
            strangers: Actions::NONE,
            ..Rules::default()
        });
        let may = |name: Option<&str>| {
            let name = name.map(Arc::from);
            rules
                .rights(&"c".into(), name.as_ref(), None)
                .may_publish("a")
        };
        assert!(may(None));
        assert!(may(Some("bob")));
        assert!(!may(Some("eve")));
    }
}
