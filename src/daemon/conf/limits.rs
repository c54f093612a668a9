//! From the numbers of the settings to the limits of [`Conf`].

use crate::broker::limits::Limits;
use crate::daemon::conf::Conf;
use crate::daemon::conf::parse::Fault;
use crate::daemon::conf::settings::Settings;

/// Bytes of CONNECT, SUBSCRIBE, UNSUBSCRIBE and AUTH that mosquitto reads.
const CONTROL_SIZE_MAX: usize = 100_000;

/// Two hundred slashes part so many levels.
const TOPIC_LEVELS_MAX: usize = 201;

/// Minutes of `retain_expiry_interval` at most: nineteen years.
const RETAIN_MINUTES_MAX: i64 = 10_000_000;

/// Puts the numbers into `conf`.
pub(crate) fn apply(settings: &Settings, conf: &mut Conf) -> Result<(), Fault> {
    let globals = &settings.globals;
    let defaults = Limits::default();
    let limits = &mut conf.limits;
    limits.packet_size_max = count(*globals.max_packet_size, defaults.packet_size_max);
    limits.control_size_max = CONTROL_SIZE_MAX;
    limits.connect_size_max = CONTROL_SIZE_MAX;
    limits.topic_levels_max = TOPIC_LEVELS_MAX;
    let inflight = positive(*globals.max_inflight_messages, u16::MAX);
    limits.inflight_max = inflight;
    limits.receive_max = inflight;
    let queued = positive(*globals.max_queued_messages, defaults.session_messages_max);
    limits.session_messages_max = queued.saturating_add(usize::from(inflight));
    limits.session_bytes_max = positive(*globals.max_queued_bytes, defaults.session_bytes_max);
    limits.keep_alive_max = positive(*globals.max_keepalive, u16::MAX);
    limits.connections_max = positive(*globals.global_max_connections, defaults.connections_max);
    limits.sessions_max = positive(*globals.global_max_clients, defaults.sessions_max);
    limits.inflight_bytes_max = positive(*globals.max_inflight_bytes, usize::MAX);
    limits.payload_size_max = positive(*globals.message_size_limit, defaults.payload_size_max);
    limits.session_expiry_max = match *globals.persistent_client_expiration {
        Some(time) => u32::try_from(time.as_secs()).unwrap_or(u32::MAX),
        None => u32::MAX,
    };
    if let Some(minutes) = *globals.retain_expiry_interval {
        let seconds = minutes.min(RETAIN_MINUTES_MAX) * 60;
        limits.retained_expiry_s = u32::try_from(seconds).unwrap_or(u32::MAX);
    }
    limits.byte_rate_max = u64::try_from(*globals.max_byte_rate).unwrap_or(0);
    limits.message_rate_max = u32::try_from(*globals.max_message_rate).unwrap_or(0);
    limits.connection_rate_max = u32::try_from(*globals.max_connection_rate).unwrap_or(0);
    let profile = &mut conf.profile;
    profile.retain_available = *globals.retain_available;
    profile.qos0_queued = *globals.queue_qos0_messages;
    profile.qos_raised = *globals.upgrade_outgoing_qos;
    profile.v3_once = !*globals.allow_duplicate_messages;
    if let Some(memory) = usize::try_from(*globals.memory_limit)
        .ok()
        .filter(|&most| most > 0)
    {
        // What clients can fill: messages that wait, and those that are retained.
        limits.queued_bytes_total_max = memory;
        limits.retained_bytes_max = memory;
        limits.unfinished_bytes_max = memory.max(65_536);
    }
    Ok(())
}

/// A number of the file where anything below one means that there is no limit.
fn positive<T: TryFrom<i64>>(value: i64, unlimited: T) -> T {
    let value = Some(value).filter(|&value| value > 0);
    let number = value.and_then(|value| T::try_from(value).ok());
    number.unwrap_or(unlimited)
}

fn count(value: i64, most: usize) -> usize {
    usize::try_from(value).unwrap_or(0).min(most)
}
