//! The choices that the standard leaves open, as values. Nothing else in the broker asks which
//! profile is in force.

/// How the standard's choices are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// What a Session with several matching Subscriptions gets (§3.3.4).
    pub overlap: Overlap,
    /// Whether a client that exceeds our Receive Maximum is disconnected (0x93), as the standard
    /// demands, or only counted.
    pub receive_max_enforced: bool,
    /// Whether version 3.1 clients may have Client Identifiers of more than 23 characters.
    pub long_v31_client_ids: bool,
    /// Whether PUBACK and PUBREC tell v5 publishers that nobody is subscribed (0x10).
    pub no_matching_subscribers_told: bool,
}

/// See [`Profile::overlap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// One copy at the highest QoS, with all Subscription Identifiers.
    Once,
    /// A copy for each Subscription.
    Each,
}

impl Profile {
    /// `mqttx broker`.
    pub const STANDARD: Self = Self {
        overlap: Overlap::Once,
        receive_max_enforced: true,
        long_v31_client_ids: false,
        no_matching_subscribers_told: true,
    };

    /// As mosquitto 2.1 chooses.
    pub const MOSQUITTO: Self = Self {
        overlap: Overlap::Each,
        receive_max_enforced: false,
        long_v31_client_ids: true,
        no_matching_subscribers_told: true,
    };
}

impl Default for Profile {
    fn default() -> Self {
        Self::STANDARD
    }
}
