//! All simulators together, and the environment that points our command line at them.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use crate::clock::VirtualClock;
use crate::mindshow::{MindShow, MindShowHandle, MindShowOptions};
use crate::ppj::{Ppj, PpjHandle, PpjOptions};
use crate::server::Site;
use crate::tencent::{Tencent, TencentHandle, TencentOptions};
use crate::textin::{TextIn, TextInHandle, TextInOptions};
use crate::wecom::{WeCom, WeComHandle, WeComOptions};

/// How to start them.
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// Address to listen on; each origin takes a free port.
    pub listen: IpAddr,
    /// Virtual seconds in a real one.
    pub speed: f64,
    /// Listen on an address that others can reach although there is no password.
    pub allow_non_loopback: bool,
    /// Rules of MindShow.
    pub mindshow: MindShowOptions,
    /// Rules of PPJ.
    pub ppj: PpjOptions,
    /// Rules of Tencent e-sign.
    pub tencent: TencentOptions,
    /// Rules of TextIn.
    pub textin: TextInOptions,
    /// Rules of the WeCom printer.
    pub wecom: WeComOptions,
}

impl Default for SimOptions {
    fn default() -> Self {
        Self {
            listen: Ipv4Addr::LOCALHOST.into(),
            speed: 1.0,
            allow_non_loopback: false,
            mindshow: MindShowOptions::default(),
            ppj: PpjOptions::default(),
            tencent: TencentOptions::default(),
            textin: TextInOptions::default(),
            wecom: WeComOptions::default(),
        }
    }
}

/// Running simulators; dropping them stops them.
#[derive(Debug)]
pub struct Simulators {
    clock: VirtualClock,
    mindshow: MindShowHandle,
    ppj: PpjHandle,
    tencent: TencentHandle,
    textin: TextInHandle,
    wecom: WeComHandle,
}

impl Simulators {
    /// Starts every vendor there is.
    ///
    /// # Errors
    ///
    /// The address is not loopback and that was not asked for, or the system refuses a socket.
    pub async fn start(options: SimOptions) -> io::Result<Self> {
        let clock = VirtualClock::real(options.speed);
        let site = Site {
            listen: options.listen,
            clock: clock.clone(),
            allow_non_loopback: options.allow_non_loopback,
        };
        let mindshow = MindShow::start_at(&site, options.mindshow).await?;
        let ppj = Ppj::start_at(&site, options.ppj).await?;
        let tencent = Tencent::start_at(&site, options.tencent).await?;
        let textin = TextIn::start_at(&site, options.textin).await?;
        let wecom = WeCom::start_at(&site, options.wecom).await?;
        Ok(Self {
            clock,
            mindshow,
            ppj,
            tencent,
            textin,
            wecom,
        })
    }

    /// Names and values of the environment variables that point a client at these simulators.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        let mut env = self.textin.env();
        env.extend(self.tencent.env());
        env.extend(self.wecom.env());
        env.extend(self.mindshow.env());
        env.extend(self.ppj.env());
        env.push((
            "DOCJOBS_TIME_SCALE".to_owned(),
            self.clock.speed().to_string(),
        ));
        env
    }

    /// The time of all of them.
    #[must_use]
    pub fn clock(&self) -> &VirtualClock {
        &self.clock
    }

    /// MindShow.
    #[must_use]
    pub fn mindshow(&self) -> &MindShowHandle {
        &self.mindshow
    }

    /// PPJ.
    #[must_use]
    pub fn ppj(&self) -> &PpjHandle {
        &self.ppj
    }

    /// TextIn.
    #[must_use]
    pub fn textin(&self) -> &TextInHandle {
        &self.textin
    }

    /// Tencent e-sign.
    #[must_use]
    pub fn tencent(&self) -> &TencentHandle {
        &self.tencent
    }

    /// The WeCom printer.
    #[must_use]
    pub fn wecom(&self) -> &WeComHandle {
        &self.wecom
    }

    /// Stops them and waits for the connections to end.
    pub async fn stop(self) {
        self.mindshow.stop().await;
        self.ppj.stop().await;
        self.tencent.stop().await;
        self.textin.stop().await;
        self.wecom.stop().await;
    }
}
