//! A bounded memory of ids, to recognise what came before.

use std::collections::VecDeque;

/// Remembers the last ids it was shown, up to a fixed number.
///
/// Used to drop a push that is delivered twice under one `req_id`.
#[derive(Debug, Clone)]
pub(crate) struct RecentIds {
    ids: VecDeque<String>,
    capacity: usize,
}

impl RecentIds {
    /// Remembers up to `capacity` ids.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            ids: VecDeque::new(),
            capacity,
        }
    }

    /// Remembers the id; `true` when it was not known.
    pub(crate) fn insert(&mut self, id: &str) -> bool {
        if self.contains(id) {
            return false;
        }
        self.ids.push_back(id.to_owned());
        while self.ids.len() > self.capacity {
            self.ids.pop_front();
        }
        true
    }

    /// Whether the id is remembered.
    pub(crate) fn contains(&self, id: &str) -> bool {
        self.ids.iter().any(|known| known == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_id_is_not_new_until_it_is_forgotten() {
        let mut recent = RecentIds::new(2);
        assert!(recent.insert("a"));
        assert!(!recent.insert("a"));
        assert!(recent.insert("b"));
        assert!(recent.insert("c"));
        assert!(recent.insert("a"), "a was pushed out by c");
    }
}
