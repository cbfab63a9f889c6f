//! A shared rate at a vendor whose clock runs faster than that of whoever keeps the rate.

use std::fmt;

use async_trait::async_trait;
use jobs_core::Error;
use jobs_core::vendor::{Account, Acquired, RateLimit, SharedRate};

/// Keeps a vendor's limits in seconds of the vendor, of which `scale` pass in one of `rate`; simulators run like that.
pub struct ScaledRate<R> {
    rate: R,
    scale: u32,
}

impl<R: SharedRate> ScaledRate<R> {
    /// The same rate where `scale` seconds of the vendor pass in one of `rate`.
    pub fn new(rate: R, scale: u32) -> Self {
        Self { rate, scale }
    }
}

#[async_trait]
impl<R: SharedRate> SharedRate for ScaledRate<R> {
    async fn acquire(
        &self,
        account: Account,
        action: &str,
        windows: &[RateLimit],
    ) -> Result<Acquired, Error> {
        let windows: Vec<RateLimit> = windows
            .iter()
            .map(|window| RateLimit {
                per: window.per / self.scale,
                ..*window
            })
            .collect();
        let acquired = self.rate.acquire(account, action, &windows).await?;
        Ok(match acquired {
            Acquired::Wait(pause) => Acquired::Wait(pause * self.scale),
            granted => granted,
        })
    }

    async fn record_response(&self, account: Account, action: &str, serial: u64) {
        self.rate.record_response(account, action, serial).await;
    }
}

impl<R> fmt::Debug for ScaledRate<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScaledRate")
            .field("scale", &self.scale)
            .finish_non_exhaustive()
    }
}
