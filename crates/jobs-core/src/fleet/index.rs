//! From a job's id to its slot: a table of slots, five bytes a place, that keeps no id of its own.

/// Open addressing with linear probing. The hash is the caller's; the table asks for it again when it grows.
#[derive(Debug, Default)]
pub(super) struct Index {
    slots: Vec<u32>,
    /// Eight bits of each hash, so that a look at a place hardly ever needs the id.
    tags: Vec<u8>,
    filled: usize,
    /// Places that somebody left.
    left: usize,
}

const EMPTY: u32 = u32::MAX;
const LEFT: u32 = u32::MAX - 1;
const SMALLEST: usize = 16;

impl Index {
    /// The slot with this hash for which `is_it` says yes.
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let (place, _) = self.place(hash, is_it)?;
        self.slots.get(place).copied()
    }

    /// Adds a slot that is not in it.
    pub(super) fn insert(&mut self, hash: u64, slot: u32, rehash: impl Fn(u32) -> u64) {
        if (self.filled + self.left + 1) * 4 > self.slots.len() * 3 {
            // Where it is the left places that fill it, as many places do.
            let places = if (self.filled + 1) * 2 > self.slots.len() {
                (self.slots.len() * 2).max(SMALLEST)
            } else {
                self.slots.len()
            };
            let old = std::mem::replace(&mut self.slots, vec![EMPTY; places]);
            self.tags = vec![0; places];
            self.left = 0;
            for moved in old.into_iter().filter(|slot| *slot < LEFT) {
                self.put(rehash(moved), moved);
            }
        }
        self.put(hash, slot);
        self.filled += 1;
    }

    /// Takes a slot out. Its place is marked as left, so that searches go on past it and nobody else has to move.
    pub(super) fn remove(&mut self, hash: u64, slot: u32) {
        let Some((mut place, mask)) = self.place(hash, |held| held == slot) else {
            return;
        };
        self.filled -= 1;
        self.left += 1;
        self.set(place, LEFT, 0);
        // Before an empty place, nothing needs to go on.
        if self.slots.get((place + 1) & mask) == Some(&EMPTY) {
            while self.slots.get(place) == Some(&LEFT) {
                self.set(place, EMPTY, 0);
                self.left -= 1;
                place = place.wrapping_sub(1) & mask;
            }
        }
    }

    fn put(&mut self, hash: u64, slot: u32) {
        let mask = self.slots.len() - 1;
        let (mut place, _) = split(hash, mask);
        while self.slots.get(place).is_some_and(|held| *held < LEFT) {
            place = (place + 1) & mask;
        }
        if self.slots.get(place) == Some(&LEFT) {
            self.left -= 1;
        }
        self.set(place, slot, hash);
    }

    fn set(&mut self, place: usize, slot: u32, hash: u64) {
        let (_, tag) = split(hash, 0);
        if let (Some(held), Some(held_tag)) = (self.slots.get_mut(place), self.tags.get_mut(place))
        {
            (*held, *held_tag) = (slot, tag);
        }
    }

    fn place(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<(usize, usize)> {
        let mask = self.slots.len().checked_sub(1)?;
        let (mut place, tag) = split(hash, mask);
        loop {
            let slot = *self.slots.get(place)?;
            if slot == EMPTY {
                return None;
            }
            if slot != LEFT && self.tags.get(place) == Some(&tag) && is_it(slot) {
                return Some((place, mask));
            }
            place = (place + 1) & mask;
        }
    }

    /// The bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u32>() + self.tags.capacity()
    }
}

/// The home of a hash, and its tag.
fn split(hash: u64, mask: usize) -> (usize, u8) {
    let [.., tag] = hash.to_le_bytes();
    #[allow(clippy::cast_possible_truncation, reason = "masked")]
    let home = hash as usize & mask;
    (home, tag)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_set_holds(
            moves in proptest::collection::vec((any::<bool>(), 0u32..80), 1..400),
            // Few different homes, so that many slots are pushed on.
            homes in 1u64..20,
        ) {
            let hash = |slot: u32| (u64::from(slot) % homes) | (u64::from(slot / 3) << 56);
            let (mut index, mut set) = (Index::default(), BTreeSet::new());
            for (add, slot) in moves {
                if add && set.insert(slot) {
                    index.insert(hash(slot), slot, hash);
                } else if !add && set.remove(&slot) {
                    index.remove(hash(slot), slot);
                }
                for slot in 0..80 {
                    let found = index.find(hash(slot), |held| held == slot);
                    prop_assert_eq!(found.is_some(), set.contains(&slot), "{}", slot);
                }
            }
        }
    }
}
