//! Addresses that try passwords, or connect too often: slowed down, then banned for a time.
//!
//! Pure: time is given. The table holds [`ADDRESSES_MAX`] addresses at most; where it is full,
//! those that were quiet longest make room, so that it cannot be used to fill memory. IPv6
//! addresses count by their /64, which is what one customer has.

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::time::Duration;
use std::time::Instant;

use crate::broker::limits::Limits;

/// See the module.
pub const ADDRESSES_MAX: usize = 65_536;

/// Failures before an address is slowed down: everybody mistypes.
const FREE_FAILURES: u32 = 2;

/// The longest wait for the answer to a wrong password.
const DELAY_MAX: Duration = Duration::from_secs(8);

/// What is known of one address.
struct Address {
    failures: u32,
    banned_until: Option<Instant>,
    /// Connections since `counted_from`.
    connections: u32,
    counted_from: Instant,
    last: Instant,
}

/// Whether a connection is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Yes.
    Welcome,
    /// No: banned for so many seconds more. True where this was not said before.
    Banned(u64, bool),
    /// No: more connections a second than `connection_rate_max`.
    TooFast(bool),
}

/// What a failed login leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Penalty {
    /// Its answer waits for so long.
    pub delay: Duration,
    /// Failures in a row, this one included.
    pub failures: u32,
    /// From now on the address is banned for so long.
    pub banned: Option<Duration>,
}

/// See the module.
pub struct Bans {
    addresses: HashMap<IpAddr, Address>,
    failures_max: u32,
    ban: Duration,
    loopback: bool,
    rate_max: u32,
    swept: Instant,
}

impl Bans {
    /// Nobody is known yet.
    pub fn new(limits: &Limits, now: Instant) -> Self {
        let mut bans = Self {
            addresses: HashMap::new(),
            failures_max: 0,
            ban: Duration::ZERO,
            loopback: false,
            rate_max: 0,
            swept: now,
        };
        bans.set_limits(limits);
        bans
    }

    /// The operator's numbers.
    pub fn set_limits(&mut self, limits: &Limits) {
        self.failures_max = limits.login_failures_max;
        self.ban = Duration::from_secs(u64::from(limits.login_ban_secs));
        self.loopback = limits.login_ban_loopback > 0;
        self.rate_max = limits.connection_rate_max;
    }

    fn counts(&self, address: IpAddr) -> bool {
        self.loopback || !address.to_canonical().is_loopback()
    }

    fn entry(&mut self, address: IpAddr, now: Instant) -> &mut Address {
        let key = network(address);
        if self.addresses.len() >= ADDRESSES_MAX && !self.addresses.contains_key(&key) {
            self.make_room(now);
        }
        let entry = self.addresses.entry(key).or_insert(Address {
            failures: 0,
            banned_until: None,
            connections: 0,
            counted_from: now,
            last: now,
        });
        entry.last = now;
        entry
    }

    /// The half that was quiet longest goes; who is banned stays, if anybody can.
    fn make_room(&mut self, now: Instant) {
        let banned = |entry: &Address| entry.banned_until.is_some_and(|until| until > now);
        let mut ages: Vec<(bool, Instant)> = self
            .addresses
            .values()
            .map(|entry| (banned(entry), entry.last))
            .collect();
        ages.sort_unstable();
        let Some(&middle) = ages.get(ages.len() / 2) else {
            return;
        };
        self.addresses
            .retain(|_, entry| (banned(entry), entry.last) > middle);
    }

    /// Somebody connects.
    pub fn arrives(&mut self, address: IpAddr, now: Instant) -> Arrival {
        if !self.counts(address) || (self.rate_max == 0 && self.addresses.is_empty()) {
            return Arrival::Welcome;
        }
        let rate_max = self.rate_max;
        if rate_max == 0 && !self.addresses.contains_key(&network(address)) {
            return Arrival::Welcome;
        }
        let entry = self.entry(address, now);
        if let Some(until) = entry.banned_until {
            if until > now {
                entry.connections = entry.connections.saturating_add(1);
                let left = until.saturating_duration_since(now).as_secs() + 1;
                return Arrival::Banned(left, entry.connections == 1);
            }
            entry.banned_until = None;
            entry.failures = 0;
            entry.connections = 0;
        }
        if now.saturating_duration_since(entry.counted_from) >= Duration::from_secs(1) {
            (entry.counted_from, entry.connections) = (now, 0);
        }
        entry.connections = entry.connections.saturating_add(1);
        if rate_max > 0 && entry.connections > rate_max {
            return Arrival::TooFast(entry.connections == rate_max + 1);
        }
        Arrival::Welcome
    }

    /// A login failed.
    pub fn failed(&mut self, address: IpAddr, now: Instant) -> Penalty {
        let mut penalty = Penalty {
            delay: Duration::ZERO,
            failures: 1,
            banned: None,
        };
        if !self.counts(address) || self.failures_max == 0 {
            return penalty;
        }
        let (most, ban) = (self.failures_max, self.ban);
        let entry = self.entry(address, now);
        entry.failures = entry.failures.saturating_add(1);
        penalty.failures = entry.failures;
        if entry.failures > FREE_FAILURES {
            let doublings = (entry.failures - FREE_FAILURES - 1).min(10);
            penalty.delay = (Duration::from_millis(250) * (1 << doublings)).min(DELAY_MAX);
        }
        if entry.failures >= most && !ban.is_zero() {
            entry.banned_until = Some(now + ban);
            entry.connections = 0;
            penalty.banned = Some(ban);
        }
        self.sweep(now);
        penalty
    }

    /// A login went well: the failures before it were slips.
    pub fn succeeded(&mut self, address: IpAddr) {
        if let Some(entry) = self.addresses.get_mut(&network(address)) {
            entry.failures = 0;
        }
    }

    /// Forgets who has been quiet for as long as a ban takes.
    fn sweep(&mut self, now: Instant) {
        let age = self.ban.max(Duration::from_secs(60));
        if now.saturating_duration_since(self.swept) < age {
            return;
        }
        self.swept = now;
        self.addresses
            .retain(|_, entry| now.saturating_duration_since(entry.last) < age);
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "192.0.2.1";

    fn bans(rate: u32) -> (Bans, Instant) {
        let limits = Limits {
            login_failures_max: 5,
            login_ban_secs: 60,
            connection_rate_max: rate,
            ..Limits::default()
        };
        let now = Instant::now();
        (Bans::new(&limits, now), now)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn failures_slow_an_address_down_and_then_ban_it_for_a_time() {
        let (mut bans, now) = bans(0);
        let delays: Vec<u128> = (0..5)
            .map(|_| bans.failed(ip(ONE), now).delay.as_millis())
            .collect();
        assert_eq!(delays, [0, 0, 250, 500, 1_000]);
        assert_eq!(bans.arrives(ip(ONE), now), Arrival::Banned(61, true));
        assert_eq!(bans.arrives(ip(ONE), now), Arrival::Banned(61, false));
        assert_eq!(bans.arrives(ip("192.0.2.2"), now), Arrival::Welcome);
        let later = now + Duration::from_secs(61);
        assert_eq!(bans.arrives(ip(ONE), later), Arrival::Welcome);
        assert_eq!(bans.failed(ip(ONE), later).delay, Duration::ZERO);
    }

    #[test]
    fn a_login_that_goes_well_forgives() {
        let (mut bans, now) = bans(0);
        for _ in 0..20 {
            for _ in 0..4 {
                assert_eq!(bans.failed(ip(ONE), now).banned, None);
            }
            bans.succeeded(ip(ONE));
        }
    }

    #[test]
    fn this_machine_is_not_banned_and_a_customer_of_ipv6_is_one() {
        let (mut bans, now) = bans(0);
        for n in 0..100 {
            assert_eq!(bans.failed(ip("127.0.0.1"), now).banned, None);
            assert_eq!(bans.failed(ip("::1"), now).banned, None);
            bans.failed(ip(&format!("2001:db8::{n:x}")), now);
        }
        assert!(matches!(
            bans.arrives(ip("2001:db8::ffff"), now),
            Arrival::Banned(..)
        ));
        assert_eq!(bans.arrives(ip("2001:db8:0:1::1"), now), Arrival::Welcome);
        for _ in 0..5 {
            bans.failed(ip("::ffff:192.0.2.9"), now);
        }
        assert!(matches!(
            bans.arrives(ip("192.0.2.9"), now),
            Arrival::Banned(..)
        ));
    }

    #[test]
    fn connections_are_counted_by_the_second() {
        let (mut bans, now) = bans(3);
        for _ in 0..3 {
            assert_eq!(bans.arrives(ip(ONE), now), Arrival::Welcome);
        }
        assert_eq!(bans.arrives(ip(ONE), now), Arrival::TooFast(true));
        assert_eq!(bans.arrives(ip(ONE), now), Arrival::TooFast(false));
        let later = now + Duration::from_secs(1);
        assert_eq!(bans.arrives(ip(ONE), later), Arrival::Welcome);
    }

    #[test]
    fn a_million_addresses_take_no_more_than_the_table() {
        let (mut bans, now) = bans(0);
        for _ in 0..5 {
            bans.failed(ip(ONE), now);
        }
        for n in 0..200_000_u32 {
            let address = IpAddr::V4((0x0a00_0000 + n).into());
            bans.failed(address, now + Duration::from_millis(u64::from(n) / 100));
            assert!(bans.addresses.len() <= ADDRESSES_MAX);
        }
        let soon = now + Duration::from_secs(2);
        assert!(matches!(bans.arrives(ip(ONE), soon), Arrival::Banned(..)));
    }
}
