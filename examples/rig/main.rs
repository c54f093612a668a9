//! The rig: how fast brokers are, measured side by side on this machine, and how far that is from the limit.
//!
//! `cargo run --release --example rig` starts mqttx, every peer that is installed, and the relay (which copies bytes
//! and knows no MQTT), runs each scenario against all of them in turn, and prints delivered messages a second, broker
//! CPU a message, latency, memory, and the ratios that survive a noisy machine. `benches/README.md` tells the rest.
#[cfg(target_os = "linux")]
mod cell;
#[cfg(target_os = "linux")]
mod crowd;
#[cfg(target_os = "linux")]
mod instructions;
#[cfg(target_os = "linux")]
mod layered;
#[cfg(target_os = "linux")]
mod link;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod plots;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod relay;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod scale;
#[cfg(target_os = "linux")]
mod scenario;
#[cfg(target_os = "linux")]
mod sealed;
#[cfg(target_os = "linux")]
mod svg;
#[cfg(target_os = "linux")]
mod table;
#[cfg(target_os = "linux")]
mod wire;

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    table::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("the rig reads the books of Linux's scheduler and runs there only");
    std::process::exit(1);
}
