//! What a batch is about to do, in one line before anything is sent.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::clean::count;

/// What becomes of one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Disposition {
    /// It will be submitted, and paid for.
    New,
    /// Its job is completed and its result lies where it is wanted.
    AlreadyCompleted,
    /// Its job is completed; the result is copied or downloaded to another place.
    Delivered,
    /// Its job goes on, and is attached to.
    UnderWay,
    /// Its job failed at the vendor, or is gone there.
    FailedBefore,
    /// Its submit may have been charged; a person decides.
    InDoubt,
    /// Another document of the batch has the same content, and shares its job.
    SameContent,
    /// It is larger than so many bytes, which is all that the vendor takes.
    TooLarge(u64),
    Empty,
    Unreadable,
}

impl Disposition {
    /// As scripts read it.
    fn key(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::AlreadyCompleted => "already_completed",
            Self::Delivered => "delivered_again",
            Self::UnderWay => "under_way",
            Self::FailedBefore => "failed_before",
            Self::InDoubt => "in_doubt",
            Self::SameContent => "same_content",
            Self::TooLarge(_) | Self::Empty | Self::Unreadable => "skipped",
        }
    }

    fn words(self) -> String {
        match self {
            Self::New => "new".to_owned(),
            Self::AlreadyCompleted => "already completed".to_owned(),
            Self::Delivered => "completed before, wanted at another place".to_owned(),
            Self::UnderWay => "under way".to_owned(),
            Self::FailedBefore => "failed before".to_owned(),
            Self::InDoubt => "in doubt".to_owned(),
            Self::SameContent => "with the content of another".to_owned(),
            Self::TooLarge(largest) => format!("over {} (skipped)", size(largest)),
            Self::Empty => "empty (skipped)".to_owned(),
            Self::Unreadable => "unreadable (skipped)".to_owned(),
        }
    }
}

/// What new documents will cost, as far as it can be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Price {
    /// By the vendor's unit, such as pages.
    pub(crate) known: BTreeMap<&'static str, u64>,
    /// For how many documents it cannot be told.
    pub(crate) unknown: usize,
}

impl Price {
    pub(crate) fn add(&mut self, units: Option<(u64, &'static str)>) {
        match units {
            Some((units, unit)) => *self.known.entry(unit).or_default() += units,
            None => self.unknown += 1,
        }
    }
}

/// How many documents there are of each disposition.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outlook {
    counts: BTreeMap<Disposition, usize>,
    pub(crate) price: Option<Price>,
}

impl Outlook {
    pub(crate) fn add(&mut self, disposition: Disposition, number: usize) {
        if number > 0 {
            *self.counts.entry(disposition).or_default() += number;
        }
    }

    pub(crate) fn total(&self) -> usize {
        self.counts.values().sum()
    }

    /// `412 documents: 380 new, 30 already completed, 2 over 500 MB (skipped)`
    pub(crate) fn line(&self) -> String {
        let parts: Vec<String> = self
            .counts
            .iter()
            .map(|(disposition, number)| format!("{number} {}", disposition.words()))
            .collect();
        let mut line = format!("{}: {}", count(self.total(), "document"), parts.join(", "));
        if let Some(price) = &self.price {
            let costs: Vec<String> = price
                .known
                .iter()
                .map(|(unit, units)| count(units, unit))
                .collect();
            if !costs.is_empty() {
                line.push_str(&format!("; estimated cost: {}", costs.join(", ")));
            }
            if price.unknown > 0 {
                let of = count(price.unknown, "document");
                line.push_str(&format!("; the cost of {of} cannot be told before"));
            }
        }
        line
    }

    /// The same for scripts.
    pub(crate) fn fields(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("documents".to_owned(), self.total().into());
        for (disposition, number) in &self.counts {
            let before = fields
                .get(disposition.key())
                .and_then(Value::as_u64)
                .unwrap_or(0);
            fields.insert(
                disposition.key().to_owned(),
                (before + *number as u64).into(),
            );
        }
        if let Some(price) = &self.price {
            let cost = json!({ "known": price.known, "unknown": price.unknown });
            fields.insert("estimate".to_owned(), cost);
        }
        fields.into()
    }
}

/// Such as `500 MB`: in the units in which vendors state their limits.
fn size(bytes: u64) -> String {
    const KIB: u64 = 1 << 10;
    match bytes {
        bytes if bytes >= KIB * KIB && bytes.is_multiple_of(KIB * KIB) => {
            format!("{} MB", bytes / KIB / KIB)
        }
        bytes if bytes >= KIB && bytes.is_multiple_of(KIB) => format!("{} KB", bytes / KIB),
        bytes => count(bytes, "byte"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outlook(dispositions: &[(Disposition, usize)]) -> Outlook {
        let mut outlook = Outlook::default();
        for (disposition, number) in dispositions {
            outlook.add(*disposition, *number);
        }
        outlook
    }

    #[test]
    fn one_line_tells_what_is_to_happen() {
        let outlook = outlook(&[
            (Disposition::TooLarge(500 << 20), 2),
            (Disposition::New, 380),
            (Disposition::AlreadyCompleted, 30),
        ]);
        assert_eq!(
            outlook.line(),
            "412 documents: 380 new, 30 already completed, 2 over 500 MB (skipped)"
        );
    }

    #[test]
    fn every_fate_has_words_and_what_is_not_there_is_not_told() {
        let outlook = outlook(&[
            (Disposition::New, 1),
            (Disposition::New, 0),
            (Disposition::FailedBefore, 1),
            (Disposition::SameContent, 2),
            (Disposition::TooLarge(100 << 10), 1),
            (Disposition::TooLarge(10_000_001), 1),
            (Disposition::Empty, 1),
            (Disposition::Unreadable, 0),
        ]);
        assert_eq!(
            outlook.line(),
            "7 documents: 1 new, 1 failed before, 2 with the content of another, 1 over 100 KB (skipped), \
             1 over 10000001 bytes (skipped), 1 empty (skipped)"
        );
        let fields = json!({ "documents": 7, "new": 1, "failed_before": 1, "same_content": 2, "skipped": 3 });
        assert_eq!(outlook.fields(), fields);
    }

    #[test]
    fn the_price_is_told_as_far_as_it_is_known() {
        let mut outlook = outlook(&[(Disposition::New, 3)]);
        let mut price = Price::default();
        for units in [Some((7, "page")), Some((1, "page")), None] {
            price.add(units);
        }
        outlook.price = Some(price);
        assert_eq!(
            outlook.line(),
            "3 documents: 3 new; estimated cost: 8 pages; the cost of 1 document cannot be told before"
        );
        let estimate = json!({ "known": { "page": 8 }, "unknown": 1 });
        assert_eq!(outlook.fields()["estimate"], estimate);
    }
}
