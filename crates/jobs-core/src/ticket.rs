//! Text with which any process can resume a wait.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::id::{Account, JobId};

/// All that another process needs to resume the wait for a job, as one short line of text.
///
/// `docjobs1.VENDOR.KIND.ACCOUNT.ACCEPTED.CHECK.ID`: at most 200 bytes, no secret, and read without a request.
/// `ACCEPTED` is in Unix seconds, `CHECK` notices a ticket that was cut or mistyped, and `ID` stands last
/// so that it needs no escaping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    vendor: Box<str>,
    kind: Box<str>,
    account: Account,
    accepted: u64,
    id: JobId,
}

/// Why a text is no ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTicket {
    /// It does not begin like a ticket of any version.
    #[error("this is not a ticket: tickets begin with docjobs1")]
    NotATicket,
    /// A ticket of a later version of this software.
    #[error("this ticket was made by a newer version of docjobs")]
    Newer,
    /// Cut or mistyped.
    #[error("this ticket is damaged: copy the whole line again")]
    Damaged,
}

impl Ticket {
    /// The longest ticket, in bytes.
    pub const MAX_LEN: usize = 200;
    const FORMAT: &str = "docjobs1";
    const NAME_MAX: usize = 20;

    /// A ticket for a job of `kind` at `vendor`, accepted at `accepted` by the account.
    ///
    /// # Errors
    /// [`InvalidTicket::Damaged`] when a name is not of at most 20 lower-case letters, digits and hyphens.
    pub fn new(
        vendor: &str,
        kind: &str,
        account: Account,
        accepted: SystemTime,
        id: JobId,
    ) -> Result<Self, InvalidTicket> {
        if !is_name(vendor) || !is_name(kind) {
            return Err(InvalidTicket::Damaged);
        }
        Ok(Self::always(vendor, kind, account, accepted, id))
    }

    /// A ticket also for a kind with an unusable name: it keeps the id, under a name that every reader refuses
    /// politely.
    pub(crate) fn always(
        vendor: &str,
        kind: &str,
        account: Account,
        accepted: SystemTime,
        id: JobId,
    ) -> Self {
        let (vendor, kind) = if is_name(vendor) && is_name(kind) {
            (vendor, kind)
        } else {
            ("unknown", "unknown")
        };
        let accepted = accepted
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs()
            .min(LATEST);
        Self {
            vendor: vendor.into(),
            kind: kind.into(),
            account,
            accepted,
            id,
        }
    }

    /// The vendor's name, as in the name of its crate.
    pub fn vendor(&self) -> &str {
        &self.vendor
    }

    /// The kind of job at that vendor.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The account that submitted the job.
    pub fn account(&self) -> Account {
        self.account
    }

    /// When the vendor accepted the job, to the second.
    pub fn accepted(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_secs(self.accepted))
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// The vendor's id of the job.
    pub fn id(&self) -> &JobId {
        &self.id
    }

    fn head(&self) -> String {
        format!(
            "{}.{}.{}.{}.{:x}",
            Self::FORMAT,
            self.vendor,
            self.kind,
            self.account,
            self.accepted
        )
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = self.head();
        write!(f, "{head}.{}.{}", check(&head, self.id.as_str()), self.id)
    }
}

impl FromStr for Ticket {
    type Err = InvalidTicket;

    fn from_str(text: &str) -> Result<Self, InvalidTicket> {
        let text = text.trim();
        let (format, rest) = text.split_once('.').ok_or(InvalidTicket::NotATicket)?;
        match format.strip_prefix("docjobs") {
            Some("1") => {}
            Some(version) if version.parse::<u32>().is_ok_and(|v| v > 1) => {
                return Err(InvalidTicket::Newer);
            }
            _ => return Err(InvalidTicket::NotATicket),
        }
        if text.len() > Self::MAX_LEN {
            return Err(InvalidTicket::Damaged);
        }
        let mut parts = rest.splitn(6, '.');
        let mut part = || parts.next().ok_or(InvalidTicket::Damaged);
        let (vendor, kind, account, accepted, sum, id) =
            (part()?, part()?, part()?, part()?, part()?, part()?);
        let ticket = Self {
            vendor: vendor.into(),
            kind: kind.into(),
            account: Account::parse(account).ok_or(InvalidTicket::Damaged)?,
            accepted: u64::from_str_radix(accepted, 16).map_err(|_| InvalidTicket::Damaged)?,
            id: JobId::new(id).map_err(|_| InvalidTicket::Damaged)?,
        };
        let intact = is_name(vendor) && is_name(kind) && sum == check(&ticket.head(), id);
        if intact {
            Ok(ticket)
        } else {
            Err(InvalidTicket::Damaged)
        }
    }
}

/// The year 36 812: later times are cut to it, so that they fit.
const LATEST: u64 = (1 << 40) - 1;

fn is_name(text: &str) -> bool {
    (1..=Ticket::NAME_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// 24 bits of a digest over all of it: a cut or mistyped ticket passes once in sixteen million times. It protects against
/// accidents, not forgery.
fn check(head: &str, id: &str) -> String {
    let digest = Sha256::new()
        .chain_update(head)
        .chain_update([0])
        .chain_update(id)
        .finalize();
    digest
        .iter()
        .take(3)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ticket(id: &str) -> Ticket {
        let accepted = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        Ticket::new(
            "acme",
            "parse",
            Account::of("acme", "a"),
            accepted,
            JobId::new(id).unwrap(),
        )
        .unwrap()
    }

    #[test]
    fn the_longest_names_and_id_fit_the_limit() {
        let name = "x".repeat(Ticket::NAME_MAX);
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::MAX >> 2);
        let id = JobId::new("y".repeat(JobId::MAX_LEN)).unwrap();
        let ticket = Ticket::new(&name, &name, Account::of("v", "a"), far, id).unwrap();
        let text = ticket.to_string();
        assert!(text.len() <= Ticket::MAX_LEN, "{}", text.len());
        assert_eq!(text.parse::<Ticket>().unwrap(), ticket);
    }

    #[test]
    fn every_cut_ticket_is_noticed() {
        let text = ticket("c020a1f03c994091a94d6763cdbe0684").to_string();
        for end in 0..text.len() {
            assert!(text[..end].parse::<Ticket>().is_err(), "{}", &text[..end]);
        }
    }

    #[test]
    fn other_texts_are_told_apart() {
        for (text, problem) in [
            (
                "c020a1f03c994091a94d6763cdbe0684",
                InvalidTicket::NotATicket,
            ),
            ("docjobs2.acme.anything", InvalidTicket::Newer),
            ("docjobs0.acme.anything", InvalidTicket::NotATicket),
            ("docjobs1.acme.parse", InvalidTicket::Damaged),
        ] {
            assert_eq!(text.parse::<Ticket>().unwrap_err(), problem, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_id_comes_back(id in "[!-~]{0,100}x") {
            let ticket = ticket(&id);
            prop_assert_eq!(ticket.to_string().parse::<Ticket>().unwrap(), ticket);
        }

        #[test]
        fn any_text_is_read_without_panic(text in "(docjobs1\\.)?.{0,220}") {
            let _ = text.parse::<Ticket>();
        }
    }
}
