//! Which addresses are inside: of this machine, of private networks, and those that nothing public has.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::env::Env;
use crate::error::Error;

/// Private networks that result links may lead to.
///
/// Storage inside a cloud often resolves to such addresses. What is listed nowhere stays refused, and the addresses under
/// which machines give out their secrets are refused whatever is listed.
///
/// ```
/// use jobs_core::http::ResultNetworks;
///
/// let networks: ResultNetworks = "169.254.0.0/24, fd12:3456::/32, 10.1.2.3".parse()?;
/// # Ok::<(), jobs_core::http::InvalidNetwork>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResultNetworks(Vec<(IpAddr, u8)>);

/// What is no network in a list of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network such as 10.0.0.0/8 or fd00::/8")]
pub struct InvalidNetwork(Box<str>);

impl ResultNetworks {
    /// The variable that [`Env::result_networks`](crate::env::Env::result_networks) reads.
    pub const VARIABLE: &'static str = "DOCJOBS_RESULT_NETS";

    /// Whether it lists the address. One that is an IPv4 address in the clothes of IPv6 is that.
    pub(crate) fn has(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|(net, bits)| match (net, ip) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let bits = 32_u32.saturating_sub((*bits).into());
                shifted(net.to_bits().into(), bits) == shifted(ip.to_bits().into(), bits)
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let bits = 128_u32.saturating_sub((*bits).into());
                shifted(net.to_bits(), bits) == shifted(ip.to_bits(), bits)
            }
            _ => false,
        })
    }
}

fn shifted(address: u128, bits: u32) -> u128 {
    address.checked_shr(bits).unwrap_or_default()
}

impl FromStr for ResultNetworks {
    type Err = InvalidNetwork;

    /// Reads networks and single addresses, separated by commas or spaces.
    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let names = text.split(|c: char| c == ',' || c == ';' || c.is_whitespace());
        let names = names.filter(|name| !name.is_empty());
        let networks = names.map(|name| network(name).ok_or_else(|| InvalidNetwork(name.into())));
        networks.collect::<Result<_, _>>().map(Self)
    }
}

fn network(name: &str) -> Option<(IpAddr, u8)> {
    let (ip, bits) = match name.split_once('/') {
        Some((ip, bits)) => (ip, Some(bits)),
        None => (name, None),
    };
    let ip: IpAddr = ip.parse().ok()?;
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        Some(bits) if bits.bytes().all(|digit| digit.is_ascii_digit()) => bits.parse().ok()?,
        Some(_) => return None,
        None => most,
    };
    let mapped = ip.to_canonical();
    match bits {
        // A mapped network is the one that it maps.
        96..=128 if ip != mapped => Some((mapped, bits - 96)),
        _ => (bits <= most).then_some((ip, bits)),
    }
}

/// Whether an address belongs to this machine, to a private network, or to a range that nothing public has.
///
/// Not among them is 198.18.0.0/15: resolvers of proxies in wide use hand out such addresses for every public name.
pub(crate) fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_private_v4(ip),
        IpAddr::V6(ip) => match embedded(ip).as_slice() {
            [] => is_private_v6(ip),
            inner => inner.iter().any(|ip| is_private_v4(*ip)) || is_local_translation(ip),
        },
    }
}

fn is_private_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let carrier_grade = a == 100 && (64..128).contains(&b);
    ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        // "This network": connecting to it reaches this machine.
        || a == 0
        // Reserved, with the broadcast address at its end.
        || a >= 240
        || carrier_grade
        // Assignments for protocols, and what were relays to IPv6.
        || matches!((a, b, c), (192, 0, 0) | (192, 88, 99))
}

fn is_private_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    let is_global = a & 0xe000 == 0x2000;
    // Protocols, among them Teredo; documentation.
    let is_reserved = (a == 0x2001 && (b < 0x200 || b == 0xdb8)) || (a == 0x3fff && b < 0x1000);
    !is_global || is_reserved
}

/// What a network translates by rules of its own: the same address may lead anywhere inside.
fn is_local_translation(ip: Ipv6Addr) -> bool {
    matches!(ip.segments(), [0x64, 0xff9b, 1, ..] | [0x2001, 0, ..])
        || is_tunnel(ip) && is_private_v6(ip)
}

/// Whether the lower half is that of ISATAP, which tunnels to the IPv4 address in it.
fn is_tunnel(ip: Ipv6Addr) -> bool {
    matches!(ip.segments(), [.., 0 | 0x200, 0x5efe, _, _])
}

/// The IPv4 addresses that packets to `ip` may reach in the end, or be sent by way of.
fn embedded(ip: Ipv6Addr) -> Vec<Ipv4Addr> {
    let octets = ip.octets();
    let at = |places: [usize; 4]| {
        let [a, b, c, d] = places.map(|place| octets.get(place).copied().unwrap_or_default());
        Ipv4Addr::new(a, b, c, d)
    };
    let last = at([12, 13, 14, 15]);
    match ip.segments() {
        // The machine itself and the unspecified address are not IPv4 ones, although they look like it.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Vec::new(),
        // Compatible, mapped, translated, and behind NAT64.
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _]
        | [0, 0, 0, 0, 0xffff, 0, _, _]
        | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => vec![last],
        // NAT64 of a network's own, whose addresses begin at places of its choice.
        [0x64, 0xff9b, 1, ..] => vec![
            at([6, 7, 9, 10]),
            at([7, 9, 10, 11]),
            at([9, 10, 11, 12]),
            last,
        ],
        // 6to4
        [0x2002, ..] => vec![at([2, 3, 4, 5])],
        // Teredo: its server, and its client turned over.
        [0x2001, 0, ..] => {
            let client = Ipv4Addr::from_bits(!last.to_bits());
            vec![at([4, 5, 6, 7]), client]
        }
        _ if is_tunnel(ip) => vec![last],
        _ => Vec::new(),
    }
}

/// Where clouds give out the secrets of a machine to whatever asks from it.
pub(crate) fn is_metadata(ip: IpAddr) -> bool {
    const V4: [Ipv4Addr; 3] = [
        Ipv4Addr::new(169, 254, 169, 254),
        Ipv4Addr::new(169, 254, 0, 23),
        Ipv4Addr::new(100, 100, 100, 200),
    ];
    const V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match ip {
        IpAddr::V4(ip) => V4.contains(&ip),
        IpAddr::V6(ip) => ip == V6 || embedded(ip).iter().any(|ip| V4.contains(ip)),
    }
}

impl Env<'_> {
    /// The private networks that result links may lead to, from the variable that lists them.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) that names the variable and what in it is no network.
    pub fn result_networks(&self) -> Result<ResultNetworks, Error> {
        let name = ResultNetworks::VARIABLE;
        let list = self.optional(name).unwrap_or_default();
        list.parse().map_err(|problem| {
            Error::invalid_input(
                self.vendor,
                "configure",
                format!("the variable {name} is unusable: {problem}"),
            )
            .with_help(format!("list networks in {name}, separated by commas"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            "192.0.2.1",
            "192.88.99.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:20::1",
            "2001:db8::1",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:0:10.0.0.1",
            "::10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::8.8.8.8",
            "64:ff9b:1:a00:0:100::",
            "2002:a00:1::",
            "2002:7f00:1::1",
            "2001:0:808:808::f5ff:fffe",
            "2606:4700::5efe:10.0.0.1",
            "fe80::5efe:8.8.8.8",
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
            "192.88.98.1",
            "198.18.0.1",
            "2001:200::1",
            "2606:4700::1",
            "3ffe::1",
            "::ffff:8.8.8.8",
            "::ffff:0:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2606:4700::5efe:8.8.8.8",
        ] {
            assert!(!is_private(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn the_addresses_that_give_out_secrets_are_known_in_every_spelling() {
        for never in [
            "169.254.169.254",
            "169.254.0.23",
            "100.100.100.200",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "::ffff:0:169.254.169.254",
            "::169.254.0.23",
            "64:ff9b::100.100.100.200",
            "64:ff9b:1::169.254.169.254",
            "64:ff9b:1:a9fe:a9:fe00::",
            "2002:a9fe:a9fe::1",
            "2001:0:808:808::5601:5601",
            "fe80::5efe:169.254.169.254",
        ] {
            assert!(is_metadata(never.parse().unwrap()), "{never}");
        }
        assert!(!is_metadata("169.254.0.47".parse().unwrap()));
        assert!(!is_metadata("fd00:ec2::253".parse().unwrap()));
    }

    #[test]
    fn a_list_has_what_it_says_and_nothing_else() {
        let nets: ResultNetworks =
            " 10.1.0.0/16,fd00::/8 192.168.1.5\n::ffff:172.16.0.0/108, ::/128 "
                .parse()
                .unwrap();
        for (ip, is_in) in [
            ("10.1.255.255", true),
            ("10.2.0.0", false),
            ("::ffff:10.1.2.3", true),
            ("fd12::1", true),
            ("fc12::1", false),
            ("192.168.1.5", true),
            ("192.168.1.6", false),
            ("172.31.0.1", true),
            ("172.32.0.1", false),
            ("::", true),
            ("::1", false),
        ] {
            assert_eq!(nets.has(ip.parse().unwrap()), is_in, "{ip}");
        }
        let all: ResultNetworks = "0.0.0.0/0,::/0".parse().unwrap();
        assert!(all.has("10.0.0.1".parse().unwrap()) && all.has("fd00::1".parse().unwrap()));
        let none: ResultNetworks = " , ".parse().unwrap();
        assert_eq!(none, ResultNetworks::default());
    }

    #[test]
    fn what_is_no_network_is_named() {
        for bad in [
            "10.0.0.0/33",
            "10.0.0/8",
            "fd00::/129",
            "nas.corp",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0-10.1.0.0",
        ] {
            let text = format!("10.0.0.0/8,{bad}");
            let problem = text.parse::<ResultNetworks>().unwrap_err();
            assert!(problem.to_string().contains(bad), "{problem}");
        }
    }
}
