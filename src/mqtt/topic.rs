//! Topic Names and Topic Filters (section 4.7), Shared Subscriptions (section 4.8.2).
//!
//! Whoever decodes a packet has checked its topics with [`check_name`] and [`check_filter`], so what comes
//! behind takes them as they are. Who may use them is left to the broker.

use crate::mqtt::limits::STRING_MAX;

/// What a Shared Subscription begins with.
const SHARE_PREFIX: &str = "$share/";

/// Checks the form of a Topic Name.
#[inline]
pub fn check_name(name: &str) -> Result<(), &'static str> {
    // [MQTT-4.7.3-1]
    if name.is_empty() {
        return Err("an empty Topic Name");
    }
    // [MQTT-4.7.3-3]
    if name.len() > STRING_MAX {
        return Err("a Topic Name longer than 65535 bytes");
    }
    if has_nul_or_wildcard(name) {
        return Err("U+0000 or a wildcard in a Topic Name");
    }
    Ok(())
}

/// One pass without a branch per byte: a topic is nearly always right.
#[inline]
pub(crate) fn has_nul_or_wildcard(name: &str) -> bool {
    // [MQTT-4.7.1-1] [MQTT-4.7.3-2]
    name.bytes().fold(false, |found, byte| {
        found | (byte == 0) | (byte == b'+') | (byte == b'#')
    })
}

/// Checks the form of a Topic Filter, Shared Subscriptions included.
pub fn check_filter(filter: &str) -> Result<(), &'static str> {
    if filter.len() > STRING_MAX {
        return Err("a Topic Filter longer than 65535 bytes");
    }
    if filter.is_empty() {
        return Err("an empty Topic Filter");
    }
    let bytes = filter.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let begins_level = at == 0 || bytes[at - 1] == b'/';
        let is_last = at + 1 == bytes.len();
        match byte {
            // [MQTT-4.7.1-2]
            b'#' if !begins_level || !is_last => {
                return Err("# that is not the last level alone");
            }
            b'+' if !begins_level || !(is_last || bytes[at + 1] == b'/') => {
                return Err("+ that is not alone in its level");
            }
            0 => return Err("U+0000 in a Topic Filter"),
            _ => {}
        }
    }
    filter
        .strip_prefix(SHARE_PREFIX)
        .map_or(Ok(()), check_share)
}

/// Checks what follows `$share/`.
fn check_share(shared: &str) -> Result<(), &'static str> {
    // [MQTT-4.8.2-2]
    let Some((share, 1..)) = shared
        .split_once('/')
        .map(|(share, rest)| (share, rest.len()))
    else {
        return Err("a Shared Subscription without a Topic Filter");
    };
    // [MQTT-4.8.2-1]
    if share.is_empty() {
        return Err("an empty Share Name");
    }
    if has_nul_or_wildcard(share) {
        return Err("a wildcard in a Share Name");
    }
    Ok(())
}

/// The Share Name and the Topic Filter of a Shared Subscription.
pub fn split_share(filter: &str) -> Option<(&str, &str)> {
    filter.strip_prefix(SHARE_PREFIX)?.split_once('/')
}

/// Whether a Topic Filter (the one inside, for a Shared Subscription) matches a Topic Name.
///
/// Total: of texts that are no filter or no name, wildcards that are not alone in their level
/// stand for themselves.
pub fn matches(filter: &str, topic: &str) -> bool {
    // [MQTT-4.7.2-1]
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    // Separators and wildcards are ASCII, so bytes are as good as characters.
    let (mut filter, mut topic) = (filter.as_bytes(), topic.as_bytes());
    loop {
        // Both stand at the beginning of a level, and step to its end.
        match filter {
            b"#" => return true,
            b"+" | [b'+', b'/', ..] => {
                filter = &filter[1..];
                let end = topic
                    .iter()
                    .position(|&byte| byte == b'/')
                    .unwrap_or(topic.len());
                topic = &topic[end..];
            }
            _ => {
                while let [byte, rest @ ..] = filter {
                    if *byte == b'/' {
                        break;
                    }
                    let Some(topic_rest) = topic.strip_prefix(&[*byte]) else {
                        return false;
                    };
                    (filter, topic) = (rest, topic_rest);
                }
            }
        }
        match (filter, topic) {
            ([], []) => return true,
            ([_, filter_rest @ ..], [b'/', topic_rest @ ..]) => {
                (filter, topic) = (filter_rest, topic_rest);
            }
            // `a/#` matches the parent `a` too.
            (rest, []) => return rest == b"/#",
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        fn check(name: &str, expected: bool) {
            assert_eq!(check_name(name).is_ok(), expected, "{name:?}");
        }
        check("a", true);
        check("/", true);
        check("//a/ b/\u{e9}", true);
        check("$SYS/x", true);
        check("", false);
        check("a/+", false);
        check("a#", false);
        check("a\0b", false);
        check(&"a".repeat(65_535), true);
        check(&"a".repeat(65_536), false);
    }

    #[test]
    fn filters() {
        fn check(filter: &str, expected: bool) {
            assert_eq!(check_filter(filter).is_ok(), expected, "{filter:?}");
        }
        for filter in [
            "a", "#", "+", "/", "/+", "+/+", "a/+/b", "a/#", "+/#", "/#", "$SYS/#",
        ] {
            check(filter, true);
        }
        for filter in [
            "", "a#", "a/b#", "#/a", "a/#/b", "a+", "+a", "a/+b/c", "##", "++", "a\0",
        ] {
            check(filter, false);
        }
        check("$share/g/a", true);
        check("$share/g//", true);
        check("$share/g/#", true);
        check("$share/g/a/+/b", true);
        check("$share", true);
        check("$shared/x#", false);
        check("$share/", false);
        check("$share/g", false);
        check("$share/g/", false);
        check("$share//a", false);
        check("$share/g+/a", false);
        check("$share/#/a", false);
        check("$share/g/a#", false);
        check(&"a".repeat(65_536), false);
    }

    #[test]
    fn a_share_is_split_from_its_filter() {
        assert_eq!(split_share("$share/g/a/b"), Some(("g", "a/b")));
        assert_eq!(split_share("$share/g//b"), Some(("g", "/b")));
        assert_eq!(split_share("$share/g"), None);
        assert_eq!(split_share("a/b"), None);
    }

    #[test]
    fn matching() {
        fn check(filter: &str, topic: &str, expected: bool) {
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        }
        check("a/b", "a/b", true);
        check("a/b", "a/b/", false);
        check("a/b", "a", false);
        check("a", "A", false);
        check("a/#", "a", true);
        check("a/#", "a/", true);
        check("a/#", "a/b/c", true);
        check("a/#", "ab", false);
        check("#", "a/b", true);
        check("#", "/", true);
        check("+", "a", true);
        check("+", "/a", false);
        check("+/+", "/a", true);
        check("/+", "/a", true);
        check("a/+", "a", false);
        check("a/+", "a/", true);
        check("a/+/c", "a/b/c", true);
        check("a/+/c", "a/b/d", false);
        check("+/#", "a", true);
        check("a/+/#", "a", false);
        check("#", "$SYS/a", false);
        check("+/a", "$SYS/a", false);
        check("+", "$SYS", false);
        check("$SYS/#", "$SYS/a", true);
        check("$SYS/+", "$SYS/a", true);
        check("a/+", "a/$b", true);
        check("\u{e9}/+", "\u{e9}/x", true);
        check("+/x", "\u{e9}/x", true);
    }
}
