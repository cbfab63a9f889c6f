//! Which machines a result link may lead to: none inside a private network, unless the API is inside one too.

use std::collections::HashSet;
use std::error::Error as StdError;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::http::networks::{ResultNetworks, is_metadata, is_private};
use crate::http::origin::{InvalidAddress, Origin};

/// The rule for one API. Clones share what they remember.
///
/// A name is judged where it is resolved for the connection itself: there is no time between the check and the use in
/// which it could come to mean another address. Names that were never in a link are left alone, because the same
/// resolver also finds proxies, and those are often inside. With a proxy, names in links are resolved by the proxy, and
/// its rules hold; addresses in links are judged here all the same.
#[derive(Clone)]
pub(crate) struct SsrfGuard(Arc<Inner>);

struct Inner {
    api: Host<String>,
    networks: ResultNetworks,
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

impl SsrfGuard {
    /// The rule for links given by the API at `origin`. Names are resolved by `resolver`, or else by the system.
    /// They may lead into `networks`, too.
    pub(crate) fn new(
        origin: &Origin,
        networks: ResultNetworks,
        resolver: Option<Arc<dyn Resolve>>,
    ) -> Self {
        Self(Arc::new(Inner {
            api: origin.name(),
            networks,
            resolver: resolver.unwrap_or_else(|| Arc::new(System)),
            judged: Mutex::new(Judged::These(HashSet::new())),
        }))
    }

    /// Whether a link may be followed: at once for an address, later, when it is connected to, for a name.
    ///
    /// # Errors
    /// [`InvalidAddress::Private`] for an address inside that is not listed, while the API is outside;
    /// [`InvalidAddress::Metadata`] wherever the API is.
    pub(crate) async fn check(&self, url: &Url) -> Result<(), InvalidAddress> {
        let inner = &*self.0;
        let Some(host) = url.host().map(|host| host.to_owned()) else {
            return Ok(());
        };
        let ip = address(&host);
        if ip.is_some_and(is_metadata) {
            return Err(InvalidAddress::Metadata(host.to_string().into()));
        }
        if ip.is_some_and(|ip| inner.networks.has(ip)) {
            return Ok(());
        }
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
            api if is_inside(api) == Some(true) => true,
            Host::Domain(name) => match self.addresses(name).await {
                Ok(addresses) => {
                    !addresses.is_empty() && addresses.iter().all(|to| is_private(to.ip()))
                }
                // Who cannot find the API cannot say that it is inside.
                Err(_) => false,
            },
            _ => false,
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

impl Resolve for SsrfGuard {
    /// The addresses to connect to: of a name in a link, only those that it may lead to.
    fn resolve(&self, name: Name) -> Resolving {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let mut addresses = inner.addresses(name.as_str()).await?;
            if inner.judges(name.as_str()) {
                let found = |to: &SocketAddr| format!("{} ({})", to.ip(), name.as_str()).into();
                let secret = addresses.iter().find(|to| is_metadata(to.ip())).map(found);
                addresses.retain(|to| !is_metadata(to.ip()));
                if let (Some(secret), []) = (secret, addresses.as_slice()) {
                    return Err(InvalidAddress::Metadata(secret).into());
                }
                let may = |to: &SocketAddr| !is_private(to.ip()) || inner.networks.has(to.ip());
                if addresses.iter().any(may) {
                    addresses.retain(may);
                } else if let Some(first) = addresses.first()
                    && !inner.api_is_inside().await
                {
                    return Err(InvalidAddress::Private(found(first)).into());
                }
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

impl fmt::Debug for SsrfGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reach")
            .field("api", &self.0.api)
            .finish_non_exhaustive()
    }
}

/// What the machine itself uses for names.
pub(crate) struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The port is filled in by whoever connects.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(Box::new(found.collect::<Vec<_>>().into_iter()) as Addrs)
        })
    }
}

/// The address that a host is, if it is not a name.
fn address(host: &Host<String>) -> Option<IpAddr> {
    match host {
        Host::Domain(_) => None,
        Host::Ipv4(ip) => Some(IpAddr::V4(*ip)),
        Host::Ipv6(ip) => Some(IpAddr::V6(*ip)),
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

    fn guard(api: &str, names: &[(&'static str, &str)]) -> SsrfGuard {
        listing("", api, names)
    }

    fn listing(networks: &str, api: &str, names: &[(&'static str, &str)]) -> SsrfGuard {
        let origin = Origin::parse(api).unwrap();
        SsrfGuard::new(&origin, networks.parse().unwrap(), Some(Names::new(names)))
    }

    /// Where a connection to the name in a link would go.
    async fn connects(guard: &SsrfGuard, name: &str) -> Result<String, InvalidAddress> {
        guard.check(&url(&format!("https://{name}/x"))).await?;
        resolved(guard, name).await
    }

    async fn resolved(guard: &SsrfGuard, name: &str) -> Result<String, InvalidAddress> {
        match guard.resolve(name.parse().unwrap()).await {
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

    #[tokio::test]
    async fn an_inner_address_in_a_link_is_refused_however_it_is_written() {
        let guard = guard("https://api.example.com", &[("api.example.com", "8.8.8.8")]);
        for link in [
            "https://10.0.0.1/x",
            "https://0x7f.1/x",
            "https://2130706433/x",
            "https://127.0.0.1./x",
            "https://[fd00::1]/x",
            "https://localhost/x",
            "https://LOCALHOST:8443/x",
            "https://a.localhost/x",
        ] {
            let refused = guard.check(&url(link)).await;
            assert!(
                matches!(refused, Err(InvalidAddress::Private(_))),
                "{link}: {refused:?}"
            );
        }
        assert_eq!(guard.check(&url("https://8.8.4.4/x")).await, Ok(()));
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_an_inner_address_is_refused_where_it_is_resolved() {
        let guard = guard(
            "https://api.example.com",
            &[
                ("api.example.com", "8.8.8.8"),
                ("files.example.com", "9.9.9.9 2606:4700::1"),
                ("inside.example.com", "10.0.0.1 ::1"),
                ("mixed.example.com", "10.0.0.1 9.9.9.9 ::ffff:127.0.0.1"),
            ],
        );
        assert_eq!(
            connects(&guard, "files.example.com").await,
            Ok("9.9.9.9 2606:4700::1 ".to_owned())
        );
        assert_eq!(
            connects(&guard, "mixed.example.com").await,
            Ok("9.9.9.9 ".to_owned())
        );
        assert_eq!(
            connects(&guard, "inside.example.com").await,
            Err(InvalidAddress::Private(
                "10.0.0.1 (inside.example.com)".into()
            ))
        );
    }

    #[tokio::test]
    async fn a_listed_network_may_be_reached_and_none_beside_it() {
        let guard = listing(
            "169.254.0.0/24,fd00::/8",
            "https://api.example.com",
            &[
                ("api.example.com", "8.8.8.8"),
                ("cos.example.com", "169.254.0.47"),
                ("six.example.com", "fd00::7 10.0.0.1"),
                ("other.example.com", "169.254.1.47"),
                ("meta.example.com", "169.254.0.23 ::ffff:169.254.169.254"),
                ("mixed.example.com", "169.254.0.23 9.9.9.9"),
            ],
        );
        for (name, found) in [
            ("cos.example.com", "169.254.0.47 "),
            ("six.example.com", "fd00::7 "),
            ("mixed.example.com", "9.9.9.9 "),
        ] {
            assert_eq!(connects(&guard, name).await, Ok(found.to_owned()));
        }
        assert_eq!(
            connects(&guard, "other.example.com").await,
            Err(InvalidAddress::Private(
                "169.254.1.47 (other.example.com)".into()
            ))
        );
        assert_eq!(
            connects(&guard, "meta.example.com").await,
            Err(InvalidAddress::Metadata(
                "169.254.0.23 (meta.example.com)".into()
            ))
        );
        assert_eq!(guard.check(&url("https://169.254.0.47/x")).await, Ok(()));
        let beside = guard.check(&url("https://169.254.1.47/x")).await;
        assert!(matches!(beside, Err(InvalidAddress::Private(_))));
    }

    #[tokio::test]
    async fn what_gives_out_secrets_is_never_reached() {
        for api in ["https://api.example.com", "http://127.0.0.1:9000"] {
            let guard = listing(
                "0.0.0.0/0,::/0",
                api,
                &[
                    ("api.example.com", "10.0.0.1"),
                    ("m.corp", "100.100.100.200"),
                ],
            );
            for link in [
                "https://169.254.169.254/x",
                "https://0xa9fea9fe/x",
                "https://2852039166/x",
                "https://[::ffff:a9fe:a9fe]/x",
                "https://[64:ff9b::a9fe:a9fe]/x",
                "https://[fd00:ec2::254]/x",
            ] {
                let refused = guard.check(&url(link)).await;
                assert!(
                    matches!(refused, Err(InvalidAddress::Metadata(_))),
                    "{link}: {refused:?}"
                );
            }
            let refused = connects(&guard, "m.corp").await;
            assert!(matches!(refused, Err(InvalidAddress::Metadata(_))));
        }
    }

    #[tokio::test]
    async fn a_name_that_was_in_no_link_such_as_that_of_a_proxy_is_left_alone() {
        let guard = guard(
            "https://api.example.com",
            &[("api.example.com", "8.8.8.8"), ("proxy.corp", "10.0.0.9")],
        );
        assert_eq!(
            resolved(&guard, "proxy.corp").await,
            Ok("10.0.0.9 ".to_owned())
        );
        for n in 0..=MOST_NAMES {
            let link = format!("https://r{n}.example.com/x");
            guard.check(&url(&link)).await.unwrap();
        }
        // Too many to remember: now every name is judged, rather than none.
        assert!(resolved(&guard, "proxy.corp").await.is_err());
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
            let guard = guard(api, &names);
            assert_eq!(
                connects(&guard, "files.corp").await,
                Ok("10.0.0.2 ".to_owned()),
                "{api}"
            );
            assert_eq!(
                guard.check(&url("https://192.168.1.1/x")).await,
                Ok(()),
                "{api}"
            );
        }
        for api in [
            "https://8.8.8.8",
            "https://api.mixed",
            "https://unknown.corp",
        ] {
            let guard = guard(api, &names);
            assert!(connects(&guard, "files.corp").await.is_err(), "{api}");
            assert!(
                guard.check(&url("https://192.168.1.1/x")).await.is_err(),
                "{api}"
            );
        }
    }
}
