//! How messages are printed.

use clap::Args;

use crate::cli::format;
use crate::cli::format::Template;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Print the topic before each payload
    #[arg(short, long)]
    pub verbose: bool,

    /// Format of each message: %t topic, %p payload, %x hex, %j JSON, @Y-@m-@d times, \n newline …
    #[arg(short = 'F', long, value_name = "FORMAT", value_parser = Template::parse)]
    pub output_format: Option<Template>,

    /// No newline after each message
    #[arg(short = 'N', long)]
    pub no_newline: bool,

    /// Indent the JSON of %j and %J
    #[arg(long)]
    pub pretty: bool,
}

impl Output {
    /// `escape_controls`: a terminal looks on.
    pub fn render(&self, escape_controls: bool) -> format::Output {
        format::Output {
            verbose: self.verbose,
            no_newline: self.no_newline,
            pretty: self.pretty,
            escape_controls,
            template: self.output_format.clone(),
        }
    }
}
