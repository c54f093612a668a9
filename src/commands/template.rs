//! Payloads from a template: minijinja, with a counter, clocks, chance and tables at hand.
//!
//! The same seed makes the same messages, but for the clocks. A few templates are built in, so that the
//! thermometer of every tutorial is one command.

mod csv;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value, context};

/// Templates by name.
const BUILT_IN: &[(&str, &str)] = &[
    // A day's wave, shortened to ten minutes so that something can be seen, and a bit of noise.
    (
        "temperature",
        "{{ (wave(20, 3, 600) + normal(0, 0.1)) | round(1) }}",
    ),
    (
        "weather",
        "{\"time\":\"{{ now }}\",\"temperature\":{{ (wave(14, 6, 600) + normal(0, 0.2)) | round(1) }},\
         \"humidity\":{{ (wave(60, -20, 600) + normal(0, 1)) | round | int }},\
         \"pressure\":{{ (1013 + wave(0, 8, 3600) + normal(0, 0.1)) | round(1) }},\
         \"wind\":{\"speed\":{{ (normal(4, 1.5) | abs) | round(1) }},\"direction\":{{ random(0, 359) }}}}",
    ),
    (
        "device",
        "{\"id\":\"{{ client }}\",\"seq\":{{ seq }},\"time\":\"{{ now }}\",\"uptime\":{{ elapsed | int }},\
         \"battery\":{{ [100 - seq / 1000, 1] | max | round(2) }},\
         \"rssi\":{{ normal(-67, 4) | round | int }},\
         \"state\":\"{{ pick('ok', 'ok', 'ok', 'ok', 'warning') }}\"}",
    ),
    ("counter", "{{ seq }}"),
];

/// The name under which the one template is kept.
const NAME: &str = "template";

pub struct Template {
    environment: Environment<'static>,
    chance: Arc<Mutex<Chance>>,
    begun: Instant,
    client_id: String,
    topic: String,
    seed: u64,
    /// Messages made.
    count: u64,
}

impl Template {
    /// Reads the template and tries it once, so that a mistake is told before anything is sent.
    pub fn load(
        named: &str,
        seed: Option<u64>,
        client_id: &str,
        topic: &str,
    ) -> Result<Self, String> {
        let source = match BUILT_IN.iter().find(|(name, _)| *name == named) {
            Some((_, source)) => (*source).to_owned(),
            None => read(named)?,
        };
        let seed = match seed {
            Some(seed) => seed,
            None => fresh_seed()?,
        };
        let chance = Arc::new(Mutex::new(Chance(seed)));
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        add_functions(&mut environment, &chance);
        environment
            .add_template_owned(NAME, source)
            .map_err(|error| told(&error))?;
        let mut template = Self {
            environment,
            chance,
            begun: Instant::now(),
            client_id: client_id.to_owned(),
            topic: topic.to_owned(),
            seed,
            count: 0,
        };
        template.make()?;
        template.begin_again();
        Ok(template)
    }

    /// As if nothing had been made yet.
    pub fn begin_again(&mut self) {
        self.count = 0;
        *self.chance.lock().expect("nobody panics inside") = Chance(self.seed);
    }

    /// The next payload.
    pub fn make(&mut self) -> Result<String, String> {
        self.count += 1;
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let moment =
            jiff::Timestamp::from_millisecond(since.as_millis() as i64).unwrap_or_default();
        let context = context! {
            seq => self.count,
            now => format!("{moment:.3}"),
            time => since.as_secs(),
            time_ms => since.as_millis() as u64,
            elapsed => self.begun.elapsed().as_secs_f64(),
            client => self.client_id.as_str(),
            topic => self.topic.as_str(),
        };
        let template = self
            .environment
            .get_template(NAME)
            .map_err(|error| told(&error))?;
        template.render(context).map_err(|error| told(&error))
    }
}

fn read(path: &str) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        format!("no template '{path}': {error} (built in are {names})")
    })?;
    // The newline with which editors end a file is not meant to be sent.
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

fn told(error: &Error) -> String {
    let mut text = error.to_string();
    if let Some(line) = error.line() {
        text = format!(
            "line {line}: {}",
            text.replace(&format!(" (in {NAME}:{line})"), "")
        );
    }
    text
}

fn add_functions(environment: &mut Environment<'static>, chance: &Arc<Mutex<Chance>>) {
    let begun = Instant::now();
    let with = |chance: &Arc<Mutex<Chance>>| {
        let chance = Arc::clone(chance);
        move || chance.lock().expect("nobody panics inside").next()
    };
    let next = with(chance);
    environment.add_function("random", move |least: Value, most: Value| {
        random(next(), &least, &most)
    });
    let (one, other) = (with(chance), with(chance));
    environment.add_function("normal", move |mean: f64, deviation: f64| {
        // Box and Muller.
        let radius = (-2.0 * (1.0 - fraction(one())).ln()).sqrt();
        mean + deviation * radius * (std::f64::consts::TAU * fraction(other())).cos()
    });
    let next = with(chance);
    environment.add_function("pick", move |words: minijinja::value::Rest<Value>| {
        let at = next() % (words.len() as u64).max(1);
        words
            .get(at as usize)
            .cloned()
            .ok_or_else(|| wrong("pick needs something to pick from"))
    });
    let next = with(chance);
    environment.add_function("uuid", move || uuid(next(), next()));
    environment.add_function("wave", move |mean: f64, amplitude: f64, seconds: f64| {
        mean + amplitude * (std::f64::consts::TAU * begun.elapsed().as_secs_f64() / seconds).sin()
    });
    let tables = Mutex::new(csv::Tables::default());
    environment.add_function(
        "csv",
        move |state: &minijinja::State<'_, '_>, path: String| {
            let seq = state
                .lookup("seq")
                .and_then(|seq| u64::try_from(seq).ok())
                .unwrap_or(1);
            let mut tables = tables.lock().expect("nobody panics inside");
            let row = tables
                .row(Path::new(&path), seq.saturating_sub(1))
                .map_err(wrong)?;
            Ok(Value::from_pairs(row))
        },
    );
}

/// A whole number between two whole ones, both included, else any between.
fn random(chance: u64, least: &Value, most: &Value) -> Result<Value, Error> {
    if least.is_integer()
        && most.is_integer()
        && let (Ok(least), Ok(most)) = (i64::try_from(least.clone()), i64::try_from(most.clone()))
        && least <= most
    {
        let span = most.abs_diff(least);
        let step = if span == u64::MAX {
            chance
        } else {
            chance % (span + 1)
        };
        return Ok(Value::from(least.wrapping_add_unsigned(step)));
    }
    let least = f64::try_from(least.clone())?;
    let most = f64::try_from(most.clone())?;
    Ok(Value::from(least + fraction(chance) * (most - least)))
}

fn wrong(told: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, told.into())
}

/// Version 4, of RFC 9562.
fn uuid(high: u64, low: u64) -> String {
    let high = high & !0xf000 | 0x4000;
    let low = low & !(3 << 62) | 1 << 63;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

fn fresh_seed() -> Result<u64, String> {
    getrandom::u64().map_err(|error| format!("the system has no chance to offer: {error}"))
}

/// From 0 up to, and without, 1.
fn fraction(chance: u64) -> f64 {
    (chance >> 11) as f64 / (1u64 << 53) as f64
}

/// splitmix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(source: &str, seed: u64, count: usize) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        std::fs::write(&path, source).unwrap();
        let mut template = Template::load(path.to_str().unwrap(), Some(seed), "me", "a/b").unwrap();
        (0..count).map(|_| template.make().unwrap()).collect()
    }

    #[test]
    fn what_a_template_knows() {
        assert_eq!(
            made("{{ seq }} {{ client }} {{ topic }}\n", 1, 2),
            ["1 me a/b", "2 me a/b"]
        );
        let chance = "{{ random(1, 6) }} {{ random(0.5, 0.75) }} {{ pick('a', 'b') }} \
                      {{ uuid() }} {{ normal(9, 1) }}";
        assert_eq!(made(chance, 7, 50), made(chance, 7, 50));
        assert_ne!(made(chance, 7, 50), made(chance, 8, 50));
        for text in made(chance, 3, 200) {
            let words: Vec<&str> = text.split(' ').collect();
            assert!(
                (1..=6).contains(&words[0].parse::<i32>().unwrap()),
                "{text}"
            );
            assert!(
                (0.5..0.75).contains(&words[1].parse::<f64>().unwrap()),
                "{text}"
            );
            assert!(matches!(words[2], "a" | "b"), "{text}");
            assert_eq!(words[3].len(), 36, "{text}");
            assert_eq!(&words[3][14..15], "4", "{text}");
            assert!(
                (1.0..17.0).contains(&words[4].parse::<f64>().unwrap()),
                "{text}"
            );
        }
    }

    #[test]
    fn a_seq_of_its_own_is_no_row_before_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("table");
        std::fs::write(&table, "a\n7\n").unwrap();
        let source = format!("{{% set seq = 0 %}}{{{{ csv('{}').a }}}}", table.display());
        assert_eq!(made(&source, 1, 1), ["7"]);
    }

    #[test]
    fn the_built_in_ones() {
        for (name, _) in BUILT_IN {
            let mut template = Template::load(name, Some(1), "me", "t").unwrap();
            for _ in 0..20 {
                let text = template.make().unwrap();
                serde_json::from_str::<serde_json::Value>(&text)
                    .unwrap_or_else(|error| panic!("{name}: {text}: {error}"));
            }
        }
    }

    #[test]
    fn mistakes_are_told_before_anything_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        for (source, told) in [
            ("a\n{{ seq ", "line 2: syntax error"),
            ("{{ nothing }}", "undefined"),
            ("{{ random(1) }}", "missing argument"),
            ("{{ pick() }}", "something to pick from"),
            ("{{ csv('/nonexistent').a }}", "/nonexistent"),
        ] {
            std::fs::write(&path, source).unwrap();
            let error = Template::load(path.to_str().unwrap(), None, "", "")
                .err()
                .unwrap();
            assert!(error.contains(told), "{source}: {error}");
        }
        let error = Template::load("/nonexistent", None, "", "").err().unwrap();
        assert!(
            error.contains("built in are temperature, weather"),
            "{error}"
        );
    }
}
