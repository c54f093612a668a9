//! What stands in each payload, and on which topic: worked out before anything is sent, the same
//! for the publisher who writes it and the subscriber who checks it. Pure.

use crate::commands::bench::load::head::{WRITTEN_LEN, filler};
use crate::commands::bench::load::pace::Chance;
use crate::mqtt::limits::STRING_MAX;

/// Different lengths of a payload whose size is a range, and variants of a template that leaves
/// something to chance.
const VARIANTS: usize = 16;

/// All payloads of a template together may have so many bytes.
const TEMPLATES_BYTES_MAX: usize = 256 << 20;

/// What the user wants to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::commands::bench) enum Payload {
    /// Letters, of a length between these two.
    Sizes(usize, usize),
    /// These in turn.
    Parts(Vec<Vec<u8>>),
    /// This, with its placeholders filled in for each publisher.
    Template(String),
}

/// The payloads of a run: message `n` of publisher `p` has one that both sides know.
#[derive(Debug)]
pub(in crate::commands::bench) struct Bodies {
    all: Vec<Vec<u8>>,
    variants: usize,
    is_by_publisher: bool,
    /// Where in each of them its message's number stands; nothing at all where none has one.
    places: Vec<Vec<usize>>,
}

/// Digits of a message's number in a template: as many as it can ever have.
const NUMBER_LEN: usize = 10;

impl Payload {
    /// The least and the most bytes of a payload, its head included. Of a template about so many.
    pub(in crate::commands::bench) fn sizes(&self, is_verified: bool) -> (usize, usize) {
        let head = if is_verified { WRITTEN_LEN } else { 0 };
        match self {
            Self::Sizes(least, most) => (*least, *most),
            Self::Parts(parts) => {
                let lengths = || parts.iter().map(|part| head + part.len());
                (lengths().min().unwrap_or(0), lengths().max().unwrap_or(0))
            }
            Self::Template(text) => (head + text.len(), head + text.len()),
        }
    }

    /// What one publisher holds of it, at most.
    pub(in crate::commands::bench) fn bytes(&self, is_verified: bool) -> u64 {
        let (least, most) = self.sizes(is_verified);
        let variants = match self {
            Self::Sizes(..) if least == most => 1,
            Self::Sizes(..) => VARIANTS,
            Self::Parts(parts) => parts.len(),
            Self::Template(text) if text.contains("%rand_") => VARIANTS,
            Self::Template(_) => 1,
        };
        most as u64 * variants as u64
    }

    /// The head stands before what the user gave, so nothing of it is overwritten.
    pub(in crate::commands::bench) fn bodies(
        &self,
        publishers: u32,
        is_verified: bool,
        seed: u64,
    ) -> Result<Bodies, String> {
        let mut chance = Chance::new(seed);
        let headed = |content: &[u8]| {
            let mut body = if is_verified {
                filler(WRITTEN_LEN)
            } else {
                Vec::new()
            };
            body.extend_from_slice(content);
            body
        };
        let mut places = Vec::new();
        let (all, variants, is_by_publisher) = match self {
            Self::Sizes(least, most) if least == most => (vec![filler(*least)], 1, false),
            Self::Sizes(least, most) => {
                let range = (most - least + 1) as u64;
                let size = |chance: &mut Chance| least + (chance.next() % range) as usize;
                let all = (0..VARIANTS).map(|_| filler(size(&mut chance))).collect();
                (all, VARIANTS, false)
            }
            Self::Parts(parts) => {
                let all = parts.iter().map(|part| headed(part)).collect();
                (all, parts.len(), false)
            }
            Self::Template(text) => {
                let variants = if text.contains("%rand_") { VARIANTS } else { 1 };
                if text.len() * variants * publishers as usize > TEMPLATES_BYTES_MAX {
                    return Err("the template times the publishers is too large".to_owned());
                }
                let mut all = Vec::new();
                for publisher in 0..publishers {
                    for _ in 0..variants {
                        let mut numbers = Vec::new();
                        let content = expand(text, publisher, &mut chance, Some(&mut numbers))?;
                        let body = headed(content.as_bytes());
                        let head = body.len() - content.len();
                        if !numbers.is_empty() {
                            places.push(numbers.iter().map(|at| head + at).collect());
                        }
                        all.push(body);
                    }
                }
                (all, variants, true)
            }
        };
        Ok(Bodies {
            all,
            variants,
            is_by_publisher,
            places,
        })
    }
}

impl Bodies {
    /// The variants of one publisher; its message `n` has number `n` modulo their count.
    pub(in crate::commands::bench) fn of_publisher(&self, publisher: u32) -> &[Vec<u8>] {
        let at = self.first(publisher);
        self.all.get(at..at + self.variants).unwrap_or_default()
    }

    /// None for a publisher there is not.
    #[inline]
    pub(in crate::commands::bench) fn of(&self, publisher: u32, sequence: u32) -> Option<&[u8]> {
        self.all
            .get(self.at(publisher, sequence))
            .map(Vec::as_slice)
    }

    /// Whether payloads carry the number of their message.
    #[inline]
    pub(in crate::commands::bench) fn has_numbers(&self) -> bool {
        !self.places.is_empty()
    }

    /// Writes the message's number wherever this payload wants it.
    pub(in crate::commands::bench) fn put_number(
        &self,
        publisher: u32,
        sequence: u32,
        payload: &mut [u8],
    ) {
        let places = self.places.get(self.at(publisher, sequence));
        let text = format!("{sequence:>NUMBER_LEN$}");
        for &at in places.into_iter().flatten() {
            if let Some(place) = payload.get_mut(at..at + NUMBER_LEN) {
                place.copy_from_slice(text.as_bytes());
            }
        }
    }

    #[inline]
    fn at(&self, publisher: u32, sequence: u32) -> usize {
        let variant = match self.variants {
            1 => 0,
            many => sequence as usize % many,
        };
        self.first(publisher) + variant
    }

    #[inline]
    fn first(&self, publisher: u32) -> usize {
        if self.is_by_publisher {
            publisher as usize * self.variants
        } else {
            0
        }
    }
}

/// Fills in `%i` (a number), `%rand_N` (chance below N) and `%%`. Where `%n` may stand, room is left
/// for it, and `numbers` gets the places.
fn expand(
    text: &str,
    number: u32,
    chance: &mut Chance,
    mut numbers: Option<&mut Vec<usize>>,
) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix("rand_") {
            let end = after
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(after.len());
            let below: u64 = after[..end]
                .parse()
                .ok()
                .filter(|&below| below > 0)
                .ok_or("%rand_ wants a number above nought, such as %rand_100")?;
            out.push_str(&(chance.next() % below).to_string());
            rest = &after[end..];
        } else if let (Some(after), Some(numbers)) = (rest.strip_prefix('n'), &mut numbers) {
            numbers.push(out.len());
            out.push_str(&" ".repeat(NUMBER_LEN));
            rest = after;
        } else if let Some(after) = rest.strip_prefix('i') {
            out.push_str(&number.to_string());
            rest = after;
        } else if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
        } else {
            let n = if numbers.is_some() { "n, " } else { "" };
            return Err(format!("after % may stand i, {n}rand_N or another %"));
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// The topics of a run, and a filter that matches them all and little else.
pub(in crate::commands::bench) struct Topics {
    pub(in crate::commands::bench) names: Vec<String>,
    pub(in crate::commands::bench) filter: String,
}

/// `asked` with placeholders is a pattern; without, the beginning of every topic.
pub(in crate::commands::bench) fn topics(
    asked: &str,
    run: u16,
    count: u32,
    seed: u64,
) -> Result<Topics, String> {
    if !asked.contains('%') {
        return Ok(Topics {
            names: (0..count)
                .map(|topic| format!("{asked}/{run}/{topic}"))
                .collect(),
            filter: format!("{asked}/{run}/+"),
        });
    }
    let mut chance = Chance::new(seed);
    let mut names = Vec::with_capacity(count as usize);
    for topic in 0..count {
        names.push(expand(asked, topic, &mut chance, None)?);
    }
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() < names.len() {
        return Err("two topics would be the same; %i tells them apart".to_owned());
    }
    if names.iter().any(|name| name.len() > STRING_MAX) {
        return Err(format!("a topic has at most {STRING_MAX} bytes"));
    }
    let levels = asked.split('/');
    let wild = levels.map(|level| if level.contains('%') { "+" } else { level });
    Ok(Topics {
        names,
        filter: wild.collect::<Vec<_>>().join("/"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_know_every_payload() {
        let bodies = Payload::Template("{\"id\":%i,\"x\":%rand_9}".to_owned())
            .bodies(3, true, 7)
            .unwrap();
        for publisher in 0..3 {
            let own = bodies.of_publisher(publisher);
            assert_eq!(own.len(), VARIANTS);
            for sequence in 0..40 {
                let body = bodies.of(publisher, sequence).unwrap();
                assert_eq!(body, &own[sequence as usize % own.len()][..]);
                let content = std::str::from_utf8(&body[WRITTEN_LEN..]).unwrap();
                assert!(
                    content.starts_with(&format!("{{\"id\":{publisher},")),
                    "{content}"
                );
            }
        }
        assert_eq!(bodies.of(3, 0), None);
    }

    #[test]
    fn a_message_may_carry_its_number() {
        let text = "{\"n\":%n,\"again\":%n,\"i\":%i}";
        let bodies = Payload::Template(text.to_owned())
            .bodies(2, false, 7)
            .unwrap();
        assert!(bodies.has_numbers());
        let mut payload = bodies.of(1, 4_000_000_000).unwrap().to_vec();
        bodies.put_number(1, 4_000_000_000, &mut payload);
        assert_eq!(
            String::from_utf8(payload).unwrap(),
            "{\"n\":4000000000,\"again\":4000000000,\"i\":1}"
        );
        let mut payload = bodies.of(0, 7).unwrap().to_vec();
        bodies.put_number(0, 7, &mut payload);
        assert!(payload.starts_with(b"{\"n\":         7,"));
        // A payload that came shorter than it was sent.
        bodies.put_number(0, 7, &mut payload[..9]);
    }

    #[test]
    fn parts_take_turns_and_stay_exact_without_a_head() {
        let payload = Payload::Parts(vec![b"one".to_vec(), b"three".to_vec()]);
        assert_eq!(payload.sizes(false), (3, 5));
        assert_eq!(payload.sizes(true), (27, 29));
        let bodies = payload.bodies(2, false, 1).unwrap();
        assert_eq!(bodies.of(1, 2), Some(&b"one"[..]));
        assert_eq!(bodies.of(0, 3), Some(&b"three"[..]));
    }

    #[test]
    fn sizes_stay_in_their_range() {
        let bodies = Payload::Sizes(16, 90).bodies(1, true, 5).unwrap();
        assert!(
            bodies
                .all
                .iter()
                .all(|body| (16..=90).contains(&body.len()))
        );
    }

    #[test]
    fn topics_are_told_apart_and_found_by_one_filter() {
        let plain = topics("a", 7, 2, 1).unwrap();
        assert_eq!(plain.names, ["a/7/0", "a/7/1"]);
        assert_eq!(plain.filter, "a/7/+");
        let pattern = topics("site%rand_3/dev%i/t", 7, 2, 1).unwrap();
        assert!(pattern.names[1].ends_with("/dev1/t"), "{:?}", pattern.names);
        assert_eq!(pattern.filter, "+/+/t");
        assert!(topics("x/%rand_2", 0, 9, 1).is_err_and(|error| error.contains("%i")));
        assert!(topics("x/%q", 0, 9, 1).is_err());
        assert_eq!(
            expand("50%% %i", 3, &mut Chance::new(1), None).unwrap(),
            "50% 3"
        );
        assert!(topics("x/%i/%n", 0, 9, 1).is_err());
    }
}
