//! Which machines a result link may lead to: none inside a private network, unless the API is inside one too.

use std::collections::HashSet;
use std::error::Error as StdError;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::http::origin::{InvalidAddress, Origin};

/// The rule for one API. Clones share what they remember.
///
/// A name is judged where it is resolved for the connection itself: there is no time between the check and the use in
/// which it could come to mean another address. Names that were never in a link are left alone, because the same
/// resolver also finds proxies, and those are often inside. With a proxy, names in links are resolved by the proxy, and
/// its rules hold; addresses in links are judged here all the same.
#[derive(Clone)]
pub(crate) struct Reach(Arc<Inner>);

struct Inner {
    api: Host<String>,
    resolver: Arc<dyn Resolve>,
    judged: Mutex<Judged>,
}

/// The names whose addresses are judged.
enum Judged {
    These(HashSet<Box<str>>),
    /// There were too many to remember.
    All,
}

/// A vendor that serves each result from a name of its own must not fill the memory.
const MOST_NAMES: usize = 4096;

impl Reach {
    /// The rule for links given by the API at `origin`. Names are resolved by `resolver`, or else by the system.
    pub(crate) fn new(origin: &Origin, resolver: Option<Arc<dyn Resolve>>) -> Self {
        Self(Arc::new(Inner {
            api: origin.name(),
            resolver: resolver.unwrap_or_else(|| Arc::new(System)),
            judged: Mutex::new(Judged::These(HashSet::new())),
        }))
    }

    /// Whether a link may be followed: at once for an address, later, when it is connected to, for a name.
    ///
    /// # Errors
    /// [`InvalidAddress::Private`] for an address inside, while the API is outside.
    pub(crate) async fn check(&self, url: &Url) -> Result<(), InvalidAddress> {
        let inner = &*self.0;
        if is_inside(&inner.api) == Some(true) {
            return Ok(());
        }
        let Some(host) = url.host().map(|host| host.to_owned()) else {
            return Ok(());
        };
        match (is_inside(&host), host) {
            (Some(true), host) if !inner.api_is_inside().await => {
                Err(InvalidAddress::Private(host.to_string().into()))
            }
            (None, Host::Domain(name)) => {
                let mut judged = inner.judged.lock().unwrap_or_else(PoisonError::into_inner);
                judged.add(name);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Inner {
    /// Whether the API's name leads inside: then it is somebody's own installation, and so are its result hosts.
    async fn api_is_inside(&self) -> bool {
        match &self.api {
            Host::Domain(name) => match self.addresses(name).await {
                Ok(addresses) => {
                    !addresses.is_empty() && addresses.iter().all(|to| is_private(to.ip()))
                }
                // Who cannot find the API cannot say that it is inside.
                Err(_) => false,
            },
            api => is_inside(api) == Some(true),
        }
    }

    async fn addresses(
        &self,
        name: &str,
    ) -> Result<Vec<SocketAddr>, Box<dyn StdError + Send + Sync>> {
        Ok(self.resolver.resolve(name.parse()?).await?.collect())
    }

    fn judges(&self, name: &str) -> bool {
        let judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        match &*judged {
            Judged::These(names) => names.contains(name),
            Judged::All => true,
        }
    }
}

impl Judged {
    fn add(&mut self, name: String) {
        if let Self::These(names) = self {
            names.insert(name.into());
            if names.len() > MOST_NAMES {
                *self = Self::All;
            }
        }
    }
}

impl Resolve for Reach {
    /// The addresses to connect to: of a name in a link, only those that it may lead to.
    fn resolve(&self, name: Name) -> Resolving {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let mut addresses = inner.addresses(name.as_str()).await?;
            if inner.judges(name.as_str()) {
                let outside = |to: &SocketAddr| !is_private(to.ip());
                if addresses.iter().any(outside) {
                    addresses.retain(outside);
                } else if let Some(first) = addresses.first()
                    && !inner.api_is_inside().await
                {
                    let found = format!("{} ({})", first.ip(), name.as_str());
                    return Err(InvalidAddress::Private(found.into()).into());
                }
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reach")
            .field("api", &self.0.api)
            .finish_non_exhaustive()
    }
}

/// What the machine itself uses for names.
struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The port is filled in by whoever connects.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(Box::new(found.collect::<Vec<_>>().into_iter()) as Addrs)
        })
    }
}

/// Whether a host is inside a private network or this machine; `None` for a name, which only resolving can tell.
fn is_inside(host: &Host<String>) -> Option<bool> {
    match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            (name == "localhost" || name.ends_with(".localhost")).then_some(true)
        }
        Host::Ipv4(ip) => Some(is_private(IpAddr::V4(*ip))),
        Host::Ipv6(ip) => Some(is_private(IpAddr::V6(*ip))),
    }
}

/// Whether an address belongs to this machine or to a private network.
///
/// Not among them is 198.18.0.0/15: resolvers of proxies in wide use hand out such addresses for every public name.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_private_v4(ip),
        IpAddr::V6(ip) => embedded_v4(ip).map_or_else(
            || {
                let site_local = ip.segments()[0] & 0xffc0 == 0xfec0;
                ip.is_loopback()
                    || ip.is_unspecified()
                    || ip.is_unique_local()
                    || ip.is_unicast_link_local()
                    || ip.is_multicast()
                    || site_local
            },
            is_private_v4,
        ),
    }
}

fn is_private_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let carrier_grade = a == 100 && (64..128).contains(&b);
    let protocol_assignments = (a, b, c) == (192, 0, 0);
    ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_broadcast()
        || ip.is_multicast()
        // "This network": connecting to it reaches this machine.
        || a == 0
        || carrier_grade
        || protocol_assignments
}

/// The IPv4 address that packets to `ip` reach in the end: mapped, compatible, behind NAT64, or 6to4.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d] = match ip.segments() {
        // The machine itself and the unspecified address are not IPv4 ones, although they look like it.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => return None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            [a, b, c, d]
        }
        _ => return None,
    };
    Some(Ipv4Addr::new(a, b, c, d))
}

/// The refusal of a link in the causes of a failed connection.
pub(crate) fn refusal<'a>(cause: &'a (dyn StdError + 'static)) -> Option<&'a InvalidAddress> {
    let mut next = Some(cause);
    while let Some(error) = next {
        match error.downcast_ref() {
            Some(problem) => return Some(problem),
            None => next = error.source(),
        }
    }
    None
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A resolver that knows these names, and counts how often it is asked.
    pub(crate) struct Names {
        known: HashMap<&'static str, Vec<SocketAddr>>,
        pub(crate) asked: AtomicUsize,
    }

    impl Names {
        /// Each name with its addresses, separated by spaces; a port may stand behind each.
        pub(crate) fn new(names: &[(&'static str, &str)]) -> Arc<Self> {
            let known = names.iter().map(|(name, addresses)| {
                let addresses = addresses.split(' ').map(|text| {
                    text.parse()
                        .unwrap_or_else(|_| SocketAddr::new(text.parse().unwrap(), 0))
                });
                (*name, addresses.collect())
            });
            Arc::new(Self {
                known: known.collect(),
                asked: AtomicUsize::new(0),
            })
        }
    }

    impl Resolve for Names {
        fn resolve(&self, name: Name) -> Resolving {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let found = self.known.get(name.as_str()).cloned();
            Box::pin(async move {
                let found = found.ok_or("no such name")?;
                Ok(Box::new(found.into_iter()) as Addrs)
            })
        }
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn reach(api: &str, names: &[(&'static str, &str)]) -> Reach {
        Reach::new(&Origin::parse(api).unwrap(), Some(Names::new(names)))
    }

    /// Where a connection to the name in a link would go.
    async fn connects(reach: &Reach, name: &str) -> Result<String, InvalidAddress> {
        reach.check(&url(&format!("https://{name}/x"))).await?;
        resolved(reach, name).await
    }

    async fn resolved(reach: &Reach, name: &str) -> Result<String, InvalidAddress> {
        match reach.resolve(name.parse().unwrap()).await {
            Ok(found) => Ok(found.map(|to| to.ip().to_string() + " ").collect()),
            Err(cause) => Err(refusal(&*cause).unwrap().clone()),
        }
    }

    #[test]
    fn this_machine_is_known_by_its_names() {
        for name in [
            "localhost",
            "localhost.",
            "files.localhost",
            "files.localhost.",
        ] {
            assert_eq!(
                is_inside(&Host::Domain(name.to_owned())),
                Some(true),
                "{name}"
            );
        }
        assert_eq!(
            is_inside(&Host::Domain("localhost.example.com".to_owned())),
            None
        );
    }

    #[test]
    fn every_way_to_write_an_inner_address_is_known() {
        for inside in [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "0.0.0.0",
            "0.1.2.3",
            "192.0.0.8",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::10.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:a00:1::",
            "2002:7f00:1::1",
        ] {
            assert!(is_private(inside.parse().unwrap()), "{inside}");
        }
        for outside in [
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.0.1.1",
            "198.18.0.1",
            "2606:4700::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
        ] {
            assert!(!is_private(outside.parse().unwrap()), "{outside}");
        }
    }

    #[tokio::test]
    async fn an_inner_address_in_a_link_is_refused_however_it_is_written() {
        let reach = reach("https://api.example.com", &[("api.example.com", "8.8.8.8")]);
        for link in [
            "https://10.0.0.1/x",
            "https://0x7f.1/x",
            "https://2130706433/x",
            "https://127.0.0.1./x",
            "https://[::ffff:169.254.169.254]/x",
            "https://[fd00::1]/x",
            "https://localhost/x",
            "https://LOCALHOST:8443/x",
            "https://a.localhost/x",
        ] {
            let refused = reach.check(&url(link)).await;
            assert!(
                matches!(refused, Err(InvalidAddress::Private(_))),
                "{link}: {refused:?}"
            );
        }
        assert_eq!(reach.check(&url("https://8.8.4.4/x")).await, Ok(()));
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_an_inner_address_is_refused_where_it_is_resolved() {
        let reach = reach(
            "https://api.example.com",
            &[
                ("api.example.com", "8.8.8.8"),
                ("files.example.com", "9.9.9.9 2606:4700::1"),
                ("inside.example.com", "10.0.0.1 ::1"),
                ("mixed.example.com", "10.0.0.1 9.9.9.9 ::ffff:127.0.0.1"),
            ],
        );
        assert_eq!(
            connects(&reach, "files.example.com").await,
            Ok("9.9.9.9 2606:4700::1 ".to_owned())
        );
        assert_eq!(
            connects(&reach, "mixed.example.com").await,
            Ok("9.9.9.9 ".to_owned())
        );
        assert_eq!(
            connects(&reach, "inside.example.com").await,
            Err(InvalidAddress::Private(
                "10.0.0.1 (inside.example.com)".into()
            ))
        );
    }

    #[tokio::test]
    async fn a_name_that_was_in_no_link_such_as_that_of_a_proxy_is_left_alone() {
        let reach = reach(
            "https://api.example.com",
            &[("api.example.com", "8.8.8.8"), ("proxy.corp", "10.0.0.9")],
        );
        assert_eq!(
            resolved(&reach, "proxy.corp").await,
            Ok("10.0.0.9 ".to_owned())
        );
        for n in 0..=MOST_NAMES {
            let link = format!("https://r{n}.example.com/x");
            reach.check(&url(&link)).await.unwrap();
        }
        // Too many to remember: now every name is judged, rather than none.
        assert!(resolved(&reach, "proxy.corp").await.is_err());
    }

    #[tokio::test]
    async fn an_api_that_is_inside_itself_may_point_inside() {
        let names = [
            ("api.corp", "10.0.0.1"),
            ("files.corp", "10.0.0.2"),
            ("api.mixed", "10.0.0.1 8.8.8.8"),
        ];
        for api in [
            "https://api.corp",
            "https://10.0.0.1",
            "http://127.0.0.1:1",
            "http://localhost:1",
            "https://[fd00::1]",
        ] {
            let reach = reach(api, &names);
            assert_eq!(
                connects(&reach, "files.corp").await,
                Ok("10.0.0.2 ".to_owned()),
                "{api}"
            );
            assert_eq!(
                reach.check(&url("https://192.168.1.1/x")).await,
                Ok(()),
                "{api}"
            );
        }
        for api in [
            "https://8.8.8.8",
            "https://api.mixed",
            "https://unknown.corp",
        ] {
            let reach = reach(api, &names);
            assert!(connects(&reach, "files.corp").await.is_err(), "{api}");
            assert!(
                reach.check(&url("https://192.168.1.1/x")).await.is_err(),
                "{api}"
            );
        }
    }
}
