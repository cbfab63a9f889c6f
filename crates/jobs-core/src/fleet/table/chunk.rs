//! 256 entries with their ids and tags: growing by a chunk moves nothing and doubles nothing.

use crate::fleet::table::entry::{Entry, Phase};

/// Entries in a chunk: few enough that a small fleet is small, and that an id has a 16-bit and a tag an 8-bit address.
pub(super) const CHUNK: usize = 256;

#[derive(Debug)]
pub(super) struct Chunk<T> {
    pub(super) entries: Box<[Entry]>,
    tags: Tags<T>,
    /// The ids, one after the other.
    ids: String,
    /// Bytes of ids that no entry has any more.
    dead_bytes: usize,
}

/// One tag for each watched entry, without gaps: an `Option` in each entry would double the size of a `u64`.
#[derive(Debug)]
struct Tags<T> {
    values: Vec<T>,
    /// The entry of each value, by its number in the chunk.
    owners: Vec<u8>,
}

impl<T> Chunk<T> {
    /// A chunk of these free entries.
    pub(super) fn new(entries: Box<[Entry]>) -> Self {
        Self {
            entries,
            tags: Tags {
                values: Vec::new(),
                owners: Vec::new(),
            },
            ids: String::new(),
            dead_bytes: 0,
        }
    }

    /// The id of the entry with this number.
    pub(super) fn id(&self, number: usize) -> Option<&str> {
        let entry = self.entries.get(number)?;
        let from = usize::from(entry.id_at);
        self.ids.get(from..from + usize::from(entry.id_len))
    }

    /// Puts `entry` with its id and its tag in the place of a free one. `None` when an id is too long.
    pub(super) fn set(&mut self, number: usize, mut entry: Entry, id: &str, tag: T) -> Option<()> {
        let id_len = u8::try_from(id.len()).ok()?;
        if self.ids.len() + id.len() > self.ids.capacity() {
            self.compact(id.len());
        }
        let id_at = u16::try_from(self.ids.len()).ok()?;
        let place = self.entries.get_mut(number)?;
        let tag_at = self.tags.push(u8::try_from(number).ok()?, tag)?;
        self.ids.push_str(id);
        (entry.id_at, entry.id_len, entry.tag_at) = (id_at, id_len, tag_at);
        *place = entry;
        Some(())
    }

    /// The tag of a watched entry.
    pub(super) fn tag(&self, number: usize) -> Option<&T> {
        let entry = self.entries.get(number)?;
        self.tags.get(entry.tag_at)
    }

    /// Takes the tag of a watched entry, which must be its last use.
    pub(super) fn take_tag(&mut self, number: usize) -> Option<T> {
        let tag_at = self.entries.get(number)?.tag_at;
        let (tag, moved) = self.tags.take(tag_at)?;
        if let Some(entry) = moved.and_then(|owner| self.entries.get_mut(usize::from(owner))) {
            entry.tag_at = tag_at;
        }
        Some(tag)
    }

    /// The entry with this number is free from now on and needs no id; `next` is the next free one.
    pub(super) fn free(&mut self, number: usize, next: u32) {
        let Some(entry) = self.entries.get_mut(number) else {
            return;
        };
        self.dead_bytes += usize::from(entry.id_len);
        *entry = Entry::free(next);
        if self.dead_bytes == self.ids.len() {
            self.ids = String::new();
            self.dead_bytes = 0;
        }
    }

    /// The bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.entries)
            + self.ids.capacity()
            + self.tags.values.capacity() * size_of::<T>()
            + self.tags.owners.capacity()
    }

    /// Makes room for `more` bytes: first for a whole chunk of such ids, later an eighth at a time.
    fn compact(&mut self, more: usize) {
        let living = self.ids.len() - self.dead_bytes;
        let room = if living == 0 {
            more * CHUNK
        } else {
            let wanted = living + more;
            if wanted <= self.ids.capacity() {
                self.ids.capacity()
            } else {
                wanted + wanted / 8
            }
        };
        let mut ids = String::with_capacity(room);
        for entry in &mut self.entries {
            if entry.phase() == Phase::Free {
                continue;
            }
            let from = usize::from(entry.id_at);
            let Some(id) = self.ids.get(from..from + usize::from(entry.id_len)) else {
                continue;
            };
            // At most 256 ids of at most 120 bytes.
            entry.id_at = u16::try_from(ids.len()).unwrap_or_default();
            ids.push_str(id);
        }
        self.ids = ids;
        self.dead_bytes = 0;
    }
}

impl<T> Tags<T> {
    /// All tags without a size are alike, so it does not matter which is whose.
    const HAS_OWNERS: bool = size_of::<T>() > 0;

    /// Takes a tag for the entry `owner`; where it is.
    fn push(&mut self, owner: u8, tag: T) -> Option<u8> {
        let at = u8::try_from(self.values.len()).ok()?;
        if self.values.is_empty() {
            // For all of the chunk at once: doubling would leave up to half of it unused.
            self.values.reserve_exact(CHUNK);
        }
        self.values.push(tag);
        if Self::HAS_OWNERS {
            if self.owners.is_empty() {
                self.owners.reserve_exact(CHUNK);
            }
            self.owners.push(owner);
        }
        Some(at)
    }

    fn get(&self, at: u8) -> Option<&T> {
        if Self::HAS_OWNERS {
            self.values.get(usize::from(at))
        } else {
            self.values.first()
        }
    }

    /// Gives a tag out, and the owner of the one that took its place.
    fn take(&mut self, at: u8) -> Option<(T, Option<u8>)> {
        let at = usize::from(at);
        if !Self::HAS_OWNERS {
            return Some((self.values.pop()?, None));
        }
        if at >= self.values.len() {
            return None;
        }
        let tag = self.values.swap_remove(at);
        self.owners.swap_remove(at);
        let moved = self.owners.get(at).copied();
        if self.values.is_empty() {
            self.owners = Vec::new();
            self.values = Vec::new();
        }
        Some((tag, moved))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poller::WaitState;

    #[test]
    fn tags_without_a_size_cost_nothing_and_are_there_for_every_entry() {
        let mut chunk = Chunk::new((0..CHUNK).map(|_| Entry::free(0)).collect());
        for number in 0..CHUNK {
            let entry = Entry::waiting(WaitState::blank(), 0, 0);
            chunk.set(number, entry, "id", ()).unwrap();
        }
        assert_eq!(chunk.bytes(), CHUNK * (size_of::<Entry>() + 2));
        for number in 0..CHUNK {
            assert_eq!(chunk.take_tag(number), Some(()));
            chunk.free(number, 0);
            let last = CHUNK - 1;
            assert_eq!(chunk.tag(last).is_some(), number != last, "{number}");
        }
    }

    fn chunk() -> Chunk<String> {
        Chunk::new((0..CHUNK).map(|_| Entry::free(0)).collect())
    }

    fn watch(chunk: &mut Chunk<String>, number: usize) {
        let entry = Entry::waiting(WaitState::blank(), 0, 0);
        let id = format!("id-{number}");
        chunk
            .set(number, entry, &id, format!("tag-{number}"))
            .unwrap();
    }

    #[test]
    fn every_entry_keeps_its_id_and_its_tag_while_others_come_and_go() {
        let mut chunk = chunk();
        (0..CHUNK).for_each(|number| watch(&mut chunk, number));
        for round in 0..5 {
            for number in (round..CHUNK).step_by(3) {
                assert_eq!(chunk.take_tag(number).unwrap(), format!("tag-{number}"));
                chunk.free(number, 0);
            }
            for number in (round..CHUNK).step_by(3) {
                watch(&mut chunk, number);
            }
            for number in 0..CHUNK {
                assert_eq!(chunk.id(number).unwrap(), format!("id-{number}"));
                assert_eq!(chunk.tag(number).unwrap(), &format!("tag-{number}"));
            }
        }
        for number in 0..CHUNK {
            chunk.take_tag(number).unwrap();
            chunk.free(number, 0);
        }
        assert_eq!(chunk.bytes(), CHUNK * size_of::<Entry>());
    }
}
