//! What every store must do, on each of them; what the log does when its disk fails; and the real
//! broker killed in the middle of its work.

#[cfg(target_os = "linux")]
pub(crate) mod crash;
#[cfg(target_os = "linux")]
mod device_error;
mod faults;
#[cfg(target_os = "linux")]
mod full_disk;
#[cfg(target_os = "linux")]
mod mosquitto;
#[cfg(all(feature = "sqlite", target_os = "linux"))]
mod sqlite;
mod suite;
