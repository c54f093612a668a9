//! What several tests need: peers whose every byte is in a test's hand.
#[cfg(target_os = "linux")]
pub(crate) mod broker_process;
pub(crate) mod certificates;
pub(crate) mod chance;
pub(crate) mod core;
pub(crate) mod keeper;
pub(crate) mod packets;
pub(crate) mod peers;
pub(crate) mod probe;
#[cfg(unix)]
pub(crate) mod programs;
#[cfg(target_os = "linux")]
pub(crate) mod raw_client;
pub(crate) mod scripted_broker;
pub(crate) mod sealer;
pub(crate) mod shim;
pub(crate) mod teller;
#[cfg(target_os = "linux")]
pub(crate) mod visitor;
