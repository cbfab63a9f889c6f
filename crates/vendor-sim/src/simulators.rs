//! All simulators together, and the environment that points our command line at them.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use crate::clock::Clock;
use crate::server::Site;
use crate::textin::{TextIn, TextInHandle, TextInOptions};

/// How to start them.
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// Address to listen on; each origin takes a free port.
    pub listen: IpAddr,
    /// Virtual seconds in a real one.
    pub speed: f64,
    /// Listen on an address that others can reach although there is no password.
    pub allow_non_loopback: bool,
    /// Rules of TextIn.
    pub textin: TextInOptions,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self {
            listen: Ipv4Addr::LOCALHOST.into(),
            speed: 1.0,
            allow_non_loopback: false,
            textin: TextInOptions::default(),
        }
    }
}

/// Running simulators; dropping them stops them.
#[derive(Debug)]
pub struct Simulators {
    clock: Clock,
    textin: TextInHandle,
}

impl Simulators {
    /// Starts every vendor there is.
    ///
    /// # Errors
    ///
    /// The address is not loopback and that was not asked for, or the system refuses a socket.
    pub async fn start(options: SimOptions) -> io::Result<Self> {
        let clock = Clock::real(options.speed);
        let site = Site {
            listen: options.listen,
            clock: clock.clone(),
            allow_non_loopback: options.allow_non_loopback,
        };
        let textin = TextIn::start_at(&site, options.textin).await?;
        Ok(Self { clock, textin })
    }

    /// Names and values of the environment variables that point a client at these simulators.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        let mut env = self.textin.env();
        env.push((
            "DOCJOBS_TIME_SCALE".to_owned(),
            self.clock.speed().to_string(),
        ));
        env
    }

    /// The time of all of them.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// TextIn.
    #[must_use]
    pub fn textin(&self) -> &TextInHandle {
        &self.textin
    }

    /// Stops them and waits for the connections to end.
    pub async fn stop(self) {
        self.textin.stop().await;
    }
}
