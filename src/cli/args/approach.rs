//! How a command comes to its broker: the groups that all those share whose words are ours alone.

use clap::Args;

use crate::cli::args::connection::Connection;
use crate::cli::args::reach::First;
use crate::cli::args::tls::Tls;
use crate::cli::args::will::Will;

#[derive(Args, Clone, Debug)]
pub struct Approach {
    #[command(flatten)]
    pub reach: First,

    #[command(flatten)]
    pub connection: Connection,

    #[command(flatten)]
    pub tls: Tls,

    #[command(flatten)]
    pub will: Will,
}
