//! What a rule names: a Topic Filter in which `%c` stands for the Client Identifier and `%u` for
//! the user name, or a text that is to be met letter by letter (§4.7).
//!
//! Besides Topic Names a pattern is held against Topic Filters: whether it covers all of one, and
//! whether it meets any of it. Who may do what follows from that in `rules.rs`.

use std::borrow::Cow;

use crate::mqtt::topic;

/// Whom a rule is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// Client Identifier.
    pub client_id: &'a str,
    /// User name, if there is one.
    pub user_name: Option<&'a str>,
}

impl Who<'_> {
    /// Whether a name would turn into a wildcard where a pattern puts it in.
    pub(crate) fn is_wild(&self) -> bool {
        let wild = |name: &str| name.contains(['+', '#']);
        wild(self.client_id) || self.user_name.is_some_and(wild)
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
    client_id: bool,
    user_name: bool,
    literal: bool,
}

impl Pattern {
    /// A Topic Filter as it stands.
    pub fn filter(text: &str) -> Self {
        Self {
            text: text.into(),
            client_id: false,
            user_name: false,
            literal: false,
        }
    }

    /// A Topic Filter with `%c` and `%u` in it.
    pub fn with_names(text: &str) -> Self {
        Self {
            client_id: text.contains("%c"),
            user_name: text.contains("%u"),
            ..Self::filter(text)
        }
    }

    /// A text that stands for itself only.
    pub fn literal(text: &str) -> Self {
        Self {
            literal: true,
            ..Self::filter(text)
        }
    }

    /// The text as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn has_names(&self) -> bool {
        self.client_id || self.user_name
    }

    /// The filter for one client. None: it names the user, and there is none.
    fn of(&self, who: Who<'_>) -> Option<Cow<'_, str>> {
        if !self.has_names() {
            return Some(Cow::Borrowed(&self.text));
        }
        if self.user_name && who.user_name.is_none() {
            return None;
        }
        // In one pass: what a name holds is never taken for a placeholder.
        let mut made = String::with_capacity(self.text.len() + who.client_id.len());
        let mut rest = &*self.text;
        while let Some(at) = rest.find('%') {
            let (before, from) = rest.split_at(at);
            made.push_str(before);
            let (name, taken) = match from.as_bytes() {
                [_, b'c', ..] => (who.client_id, 2),
                [_, b'u', ..] => (who.user_name.unwrap_or_default(), 2),
                _ => ("%", 1),
            };
            made.push_str(name);
            rest = &from[taken..];
        }
        made.push_str(rest);
        Some(Cow::Owned(made))
    }

    /// Whether it matches a Topic Name.
    pub(crate) fn matches(&self, topic: &str, who: Who<'_>) -> bool {
        if self.literal {
            return *self.text == *topic;
        }
        // Topics of the broker's own are only met by filters that say so.
        if topic.starts_with('$') && !self.text.starts_with('$') {
            return false;
        }
        self.of(who)
            .is_some_and(|filter| topic::matches(&filter, topic))
    }

    /// Whether it matches every Topic Name that `filter` matches.
    pub(crate) fn covers(&self, filter: &str, who: Who<'_>) -> bool {
        if self.literal {
            return *self.text == *filter;
        }
        if filter.starts_with('$') && !self.text.starts_with('$') {
            return false;
        }
        self.of(who).is_some_and(|own| covers(&own, filter))
    }

    /// Whether it matches any Topic Name that `filter` matches.
    pub(crate) fn meets(&self, filter: &str, who: Who<'_>) -> bool {
        if self.literal {
            return topic::matches(filter, &self.text);
        }
        if filter.starts_with('$') && !self.text.starts_with('$') {
            return false;
        }
        self.of(who).is_some_and(|own| meets(&own, filter))
    }
}

/// Whether wildcards at the first level of `wild` have nothing to say about `named`.
fn hidden(wild: &str, named: &str) -> bool {
    wild.starts_with(['+', '#']) && named.starts_with('$')
}

fn covers(all: &str, filter: &str) -> bool {
    if hidden(all, filter) {
        return false;
    }
    // Of every topic the first level is there, so this is all of them.
    let all = if all == "+/#" { "#" } else { all };
    let (mut all, mut part) = (all.split('/'), filter.split('/'));
    loop {
        match (all.next(), part.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(level)) if level != "#" => {}
            (Some(own), Some(level)) if own == level => {}
            _ => return false,
        }
    }
}

fn meets(one: &str, other: &str) -> bool {
    if hidden(one, other) || hidden(other, one) {
        return false;
    }
    let (mut one, mut other) = (one.split('/'), other.split('/'));
    loop {
        match (one.next(), other.next()) {
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some("+"), Some(_)) | (Some(_), Some("+")) => {}
            (Some(own), Some(level)) if own == level => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOB: Who<'_> = Who {
        client_id: "c1",
        user_name: Some("bob"),
    };

    /// Every filter of up to three levels from these, and every topic of up to three names.
    fn texts(levels: &[&str]) -> Vec<String> {
        let mut all: Vec<String> = levels.iter().map(|level| (*level).to_owned()).collect();
        for _ in 0..2 {
            let longer = all.iter().filter(|text| !text.ends_with('#'));
            let longer: Vec<String> = longer
                .flat_map(|text| levels.iter().map(move |level| format!("{text}/{level}")))
                .collect();
            all.extend(longer);
        }
        all.sort();
        all.dedup();
        all
    }

    /// Both are held against their meaning: what the topics say that each filter matches.
    #[test]
    fn covering_and_meeting_are_what_the_topics_say() {
        let filters = texts(&["a", "+", "#", "$x"]);
        // One name more than any filter has stands for all the others.
        let mut topics = texts(&["a", "z", "$x"]);
        let longer = topics.iter().filter(|text| text.matches('/').count() == 2);
        let longer: Vec<String> = longer.map(|text| format!("{text}/z")).collect();
        topics.extend(longer);
        for one in &filters {
            let mine: Vec<bool> = topics
                .iter()
                .map(|name| topic::matches(one, name))
                .collect();
            for other in &filters {
                let theirs = topics.iter().map(|name| topic::matches(other, name));
                let pairs: Vec<(bool, bool)> = mine.iter().copied().zip(theirs).collect();
                let all = pairs.iter().all(|&(own, asked)| own || !asked);
                let any = pairs.iter().any(|&(own, asked)| own && asked);
                let pattern = Pattern::filter(one);
                assert_eq!(pattern.covers(other, BOB), all, "{one} covers {other}");
                assert_eq!(pattern.meets(other, BOB), any, "{one} meets {other}");
            }
        }
    }

    #[test]
    fn names_take_the_place_of_their_marks_once() {
        let check = |pattern: &str, topic: &str, expected: bool| {
            let found = Pattern::with_names(pattern).matches(topic, BOB);
            assert_eq!(found, expected, "{pattern} and {topic}");
        };
        check("d/%c/%u/#", "d/c1/bob/x/y", true);
        check("d/%c/%u/#", "d/c2/bob/x/y", false);
        check("d/x%cx", "d/xc1x", true);
        check("d/%x/%", "d/%x/%", true);
        check("d/%", "d/%", true);
        let odd = Who {
            client_id: "%u",
            user_name: Some("bob"),
        };
        assert!(Pattern::with_names("%c/%u").matches("%u/bob", odd));
        let nobody = Who {
            client_id: "c1",
            user_name: None,
        };
        assert!(!Pattern::with_names("%u/x").matches("/x", nobody));
        assert!(Pattern::with_names("%c/x").matches("c1/x", nobody));
    }

    #[test]
    fn a_literal_is_met_letter_by_letter() {
        let literal = Pattern::literal("a/+");
        assert!(literal.covers("a/+", BOB));
        assert!(!literal.covers("a/b", BOB));
        assert!(!literal.matches("a/b", BOB));
    }
}
