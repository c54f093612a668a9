//! Numbers the standard fixes, each with its section. What an operator may choose is not here.

/// The largest Remaining Length, four bytes of seven bits (section 1.5.5).
pub const REMAINING_LENGTH_MAX: usize = 268_435_455;

/// The longest fixed header: the first byte and four bytes of Remaining Length (section 2.1).
pub const HEAD_LEN_MAX: usize = 5;

/// The largest packet, fixed header included (section 2.1).
pub const PACKET_SIZE_MAX: usize = HEAD_LEN_MAX + REMAINING_LENGTH_MAX;

/// The longest UTF-8 Encoded String or Binary Data, in bytes (sections 1.5.4 and 1.5.6).
pub const STRING_MAX: usize = 65_535;

/// The largest value of a Variable Byte Integer (section 1.5.5).
pub const VARIABLE_MAX: u32 = 268_435_455;

/// Receive Maximum where none was sent (sections 3.1.2.11.3 and 3.2.2.3.3).
pub const RECEIVE_MAX_DEFAULT: u16 = 65_535;

/// A Session Expiry Interval that never ends (section 3.1.2.11.2).
pub const SESSION_EXPIRY_NEVER: u32 = u32::MAX;

const _: () = assert!(REMAINING_LENGTH_MAX == (1 << 28) - 1);
const _: () = assert!(VARIABLE_MAX as usize == REMAINING_LENGTH_MAX);
