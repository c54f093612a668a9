//! Where the payloads of `pub` come from: words, a file, standard input, a template.

use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::cli::args::message::Source;
use crate::cli::args::publish::Publish;
use crate::cli::encoding::Format;
use crate::cli::error::{Error, Kind};
use crate::commands::lines::Lines;
use crate::commands::making::{Maker, digits};
use crate::commands::template::Template;
use crate::mqtt::limits;
use crate::net::system_words;

/// Where the payloads come from.
pub(crate) enum Feeding {
    Repeat {
        payload: Vec<u8>,
        left: u32,
        delay: Duration,
        next: Option<Instant>,
    },
    Lines {
        lines: Lines,
        number: u64,
        /// None where a line is just a payload.
        maker: Option<Maker>,
    },
    Template {
        template: Box<Template>,
        format: Option<Format>,
        /// None: for ever.
        left: Option<u32>,
    },
}

impl Feeding {
    /// In place of the one that is just in use.
    pub(crate) const NOTHING: Self = Self::Repeat {
        payload: Vec::new(),
        left: 0,
        delay: Duration::ZERO,
        next: None,
    };
}

pub(crate) fn feeding(args: &Publish) -> Result<Option<Feeding>, Error> {
    let making = &args.beyond.making;
    let mut payload = match args.source() {
        None => return Ok(None),
        Some(Source::Lines) => {
            let lines = Lines::new(std::io::stdin());
            return Ok(Some(Feeding::Lines {
                lines,
                number: 0,
                maker: Maker::new(making),
            }));
        }
        Some(Source::Template(named)) => return template(args, &named).map(Some),
        Some(Source::Size(bytes)) => digits(bytes),
        Some(Source::Words(words)) => words.as_encoded_bytes().to_vec(),
        Some(Source::Empty) => Vec::new(),
        Some(Source::File(path)) => read_file(&path)?,
        Some(Source::Stdin) => read_stdin()?,
    };
    if let Some(format) = making.format {
        payload = format.encode(&payload).map_err(|told| {
            let told = format!("The payload is not what --format says: {told}");
            Error::new(Kind::Data, told)
        })?;
    }
    let once = if args.is_endless() { u32::MAX } else { 1 };
    let delay = args.repeat_delay.unwrap_or_default();
    Ok(Some(Feeding::Repeat {
        payload,
        left: args.repeat.unwrap_or(once),
        delay,
        next: None,
    }))
}

fn template(args: &Publish, named: &str) -> Result<Feeding, Error> {
    let making = &args.beyond.making;
    let connection = &args.connection;
    let prefixed = |prefix: &String| format!("{prefix}{}", std::process::id());
    let client_id = connection
        .id
        .clone()
        .or_else(|| connection.id_prefix.as_ref().map(prefixed))
        .unwrap_or_else(|| "mqttx".to_owned());
    let topic = args.topic.as_deref().unwrap_or_default();
    let broken = |told: String| Error::new(Kind::Data, format!("--template: {told}"));
    let mut template = Template::load(named, making.seed, &client_id, topic).map_err(broken)?;
    if let Some(format) = making.format {
        let text = template.make().map_err(broken)?;
        format.encode(text.as_bytes()).map_err(broken)?;
        template.begin_again();
    }
    let once = if args.is_endless() { None } else { Some(1) };
    Ok(Feeding::Template {
        template: Box::new(template),
        format: making.format,
        left: args.repeat.or(once),
    })
}

pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| {
        let shown = path.display();
        let words = system_words(&error);
        Error::new(
            Kind::Failed,
            format!(
                "Unable to read file \"{shown}\": {words}.\nError loading input file \"{shown}\"."
            ),
        )
    })
}

pub(crate) fn read_stdin() -> Result<Vec<u8>, Error> {
    let failed = |told: &str| {
        Error::new(
            Kind::Failed,
            format!("{told}\nError loading input from stdin."),
        )
    };
    let mut payload = Vec::new();
    let most = limits::PACKET_SIZE_MAX as u64;
    std::io::stdin()
        .lock()
        .take(most)
        .read_to_end(&mut payload)
        .map_err(|error| failed(&system_words(&error)))?;
    if payload.is_empty() {
        return Err(failed("Zero length input."));
    }
    Ok(payload)
}
