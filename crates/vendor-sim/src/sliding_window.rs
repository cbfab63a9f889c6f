//! A vendor's rate: so many requests in any second.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::{VirtualClock, seconds};

const SECOND: Duration = Duration::from_secs(1);

/// When the requests of the last second came.
#[derive(Debug, Default)]
pub(crate) struct SlidingWindow(VecDeque<Duration>);

impl SlidingWindow {
    /// Counts a request, or says how many of the last second stand against it: refused ones do not count. `slack` is how
    /// much of a second the network may have squeezed out.
    pub(crate) fn admit(
        &mut self,
        now: Duration,
        slack: Duration,
        limit: u32,
    ) -> Result<(), usize> {
        let window = SECOND - slack.min(SECOND / 2);
        let is_over = |at: &Duration| now.saturating_sub(*at) >= window;
        while self.0.front().is_some_and(is_over) {
            self.0.pop_front();
        }
        if self.0.len() >= limit as usize {
            return Err(self.0.len());
        }
        self.0.push_back(now);
        Ok(())
    }
}

/// Of a real network, in the simulator's time.
pub(crate) fn slack(clock: &VirtualClock, milliseconds: f64) -> Duration {
    seconds(milliseconds / 1000.0 * clock.speed())
}
