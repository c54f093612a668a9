//! What a user types: formats of `-F`, paths of `--select`, templates of `pub`.

use mqttx::cli::format::{Arrival, Moment, Output, Template};
use mqttx::cli::select;
use mqttx::commands::template::Template as Pattern;
use mqttx::mqtt::property::{PropertiesBuf, PropertyId, Value};

/// The first line is a format, the rest the payload of a message with all properties a format
/// can ask for.
pub fn format(data: &[u8]) {
    let end = data.iter().position(|&byte| byte == b'\n');
    let (words, payload) = data.split_at(end.unwrap_or(data.len()));
    let Ok(words) = std::str::from_utf8(words) else {
        return;
    };
    selected(words, payload);
    let Ok(template) = Template::parse(words) else {
        return;
    };
    let mut properties = PropertiesBuf::new();
    properties.push(PropertyId::ContentType, Value::String("text/plain"));
    properties.push(PropertyId::CorrelationData, Value::Binary(payload));
    properties.push(PropertyId::UserProperty, Value::Pair("a", "b"));
    let arrival = Arrival {
        topic: "a/\u{1b}b",
        payload,
        qos: 1,
        retain: true,
        packet_id: 7,
        properties: properties.properties(),
    };
    let moment = Moment::new(1_700_000_000, 123_456_789, &jiff::tz::TimeZone::UTC);
    for shape in 0..8 {
        let output = Output {
            verbose: shape & 1 != 0,
            pretty: shape & 2 != 0,
            escape_controls: shape & 4 != 0,
            template: Some(template.clone()),
            ..Output::default()
        };
        let mut out = Vec::new();
        output.write(&arrival, Some(&moment), &mut out);
        assert_eq!(out.last(), Some(&b'\n'));
    }
}

fn selected(words: &str, payload: &[u8]) {
    if let Ok(path) = select::Path::parse(words)
        && let Ok(json) = serde_json::from_slice(payload)
        && let Some(found) = path.find(&json)
    {
        let _ = select::plain(found);
    }
}

/// A template of `pub`. Whoever writes one may ask for a loop without end or for gigabytes; what
/// could is left out.
pub fn template(data: &[u8]) {
    const SIZE_MAX: usize = 200;
    const DIGITS_MAX: usize = 4;
    const OTHERS: [&[u8]; 3] = [b"{%", b"*", b"csv"];
    let is_asked = |word: &&[u8]| data.windows(word.len()).any(|part| part == *word);
    let large = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    if data.len() > SIZE_MAX
        || OTHERS.iter().any(is_asked)
        || data.windows(DIGITS_MAX + 1).any(large)
    {
        return;
    }
    let path = std::env::temp_dir().join(format!("mqttx-fuzz-{}.template", std::process::id()));
    std::fs::write(&path, data).unwrap();
    let made = || {
        let mut template = Pattern::load(path.to_str().unwrap(), Some(7), "me", "a/b")?;
        Ok::<_, String>([template.make()?, template.make()?])
    };
    let moves = [&b"now"[..], b"time", b"elapsed", b"wave"];
    match made() {
        Ok(_) if moves.iter().any(is_asked) => {}
        Ok(payloads) => assert_eq!(made(), Ok(payloads), "the seed decides"),
        Err(told) => assert!(!told.is_empty()),
    }
    let _ = std::fs::remove_file(&path);
}
