//! The bounds of a fleet.

use crate::fleet::in_flight::MAX_IN_FLIGHT;

/// The bounds of a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FleetConfig {
    /// How many jobs may be watched at once; a million takes about 120 MB and their tags. A million unless set.
    pub capacity: usize,
    /// With so many events not yet taken, no further poll begins. Polls in flight still end, so that their events come on
    /// top. 1024 unless set.
    pub event_buffer: usize,
    /// How many polls of one account may be in flight, each of one batch; at most 64. 32 unless set.
    pub max_in_flight: u32,
    /// Where chance begins: the same seed spreads delays in the same way.
    pub seed: u64,
}

impl Default for FleetConfig {
    fn default() -> Self {
        Self {
            capacity: 1_000_000,
            event_buffer: 1024,
            max_in_flight: 32,
            seed: 0,
        }
    }
}

impl FleetConfig {
    /// Sets how many jobs may be watched at once.
    #[must_use]
    pub fn with_capacity(mut self, jobs: usize) -> Self {
        self.capacity = jobs;
        self
    }

    /// Sets how many events may wait for the consumer.
    #[must_use]
    pub fn with_event_buffer(mut self, events: usize) -> Self {
        self.event_buffer = events;
        self
    }

    /// Sets how many polls of one account may be in flight, 1 to 64.
    #[must_use]
    pub fn with_max_in_flight(mut self, polls: u32) -> Self {
        self.max_in_flight = polls.clamp(1, MAX_IN_FLIGHT);
        self
    }

    /// Sets where chance begins.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}
