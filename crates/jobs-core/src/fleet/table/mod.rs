//! The jobs of an account by slot and by id, each in a compact entry.

mod chunk;
mod entry;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, SystemTime};

use hashbrown::HashTable;

use self::chunk::{CHUNK, Chunk};
pub(super) use self::entry::{Entry, KindKey, Phase, WatchParams};
use crate::clock::Moment;
use crate::error::Error;
use crate::fleet::snapshot_interner::{NO_SNAPSHOT, SnapshotInterner, pack};
use crate::fleet::timer_wheel::{TimerNode, UNLINKED};
use crate::id::JobId;
use crate::poller::{WaitOptions, WaitParams, WaitState};
use crate::status::Snapshot;
use crate::ticket::Ticket;

/// Entries by slot, and by id. `T` is the caller's tag on each job.
#[derive(Debug)]
pub(super) struct JobTable<T> {
    chunks: Vec<Chunk<T>>,
    free: u32,
    occupied: usize,
    /// Slots by the hash of their kind and id; the ids stay in the chunks.
    index: HashTable<u32>,
    /// Where hashing begins: no vendor can know which ids collide.
    seed: u64,
    params: Vec<WatchParams>,
    params_index: HashMap<(u16, Duration, Duration), u16>,
    snapshots: SnapshotInterner,
    /// The error of the last poll, of jobs whose last poll failed.
    errors: HashMap<u32, Error>,
}

/// A job that is to be watched.
pub(super) struct NewJob<'a, T> {
    pub(super) id: &'a JobId,
    pub(super) tag: T,
    /// The number of its params.
    pub(super) params: u16,
    pub(super) accepted: SystemTime,
    pub(super) state: WaitState,
}

impl<T> Default for JobTable<T> {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            free: UNLINKED,
            occupied: 0,
            index: HashTable::new(),
            seed: RandomState::new().hash_one(()),
            params: Vec::new(),
            params_index: HashMap::new(),
            snapshots: SnapshotInterner::default(),
            errors: HashMap::new(),
        }
    }
}

impl<T> JobTable<T> {
    /// The number for the params of such a wait; `None` when there are too many different ones.
    pub(super) fn params(
        &mut self,
        kind: u16,
        key: KindKey,
        options: WaitOptions,
        params: impl FnOnce() -> WaitParams,
    ) -> Option<u16> {
        let tolerance = (kind, options.max_unreachable, options.max_unknown_status);
        if let Some(number) = self.params_index.get(&tolerance) {
            return Some(*number);
        }
        let number = u16::try_from(self.params.len()).ok()?;
        self.params.push(WatchParams {
            kind,
            key,
            wait: params(),
        });
        self.params_index.insert(tolerance, number);
        Some(number)
    }

    /// The params with this number.
    pub(super) fn wait_params(&self, params: u16) -> Option<&WaitParams> {
        self.params
            .get(usize::from(params))
            .map(|params| &params.wait)
    }

    /// The slot of a job.
    pub(super) fn find(&self, kind: &str, id: &str) -> Option<u32> {
        let hash = self.hash(kind, id);
        let found = self.index.find(hash, |&slot| {
            self.text(slot) == id
                && self
                    .params_of(slot)
                    .is_some_and(|params| params.key.kind == kind)
        });
        found.copied()
    }

    /// Takes a job that it does not have; in no list of the wheel yet. `None` when 32 bits of slots are used up.
    pub(super) fn add(&mut self, job: NewJob<'_, T>) -> Option<u32> {
        if self.free == UNLINKED {
            self.grow()?;
        }
        let slot = self.free;
        let next = self.entry(slot)?.position;
        let accepted = job
            .accepted
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let accepted = u32::try_from(accepted).unwrap_or(u32::MAX);
        let entry = Entry::waiting(job.state, job.params, accepted);
        let (chunk, number) = self.place_mut(slot)?;
        chunk.set(number, entry, job.id.as_str(), job.tag)?;
        self.free = next;
        self.occupied += 1;
        let hash = self.rehash(slot);
        let mut index = std::mem::take(&mut self.index);
        index.insert_unique(hash, slot, |slot| self.rehash(*slot));
        self.index = index;
        Some(slot)
    }

    /// Gives a slot back whose tag was taken. It must be in no list.
    pub(super) fn free(&mut self, slot: u32) {
        let hash = self.rehash(slot);
        if let Ok(found) = self.index.find_entry(hash, |held| *held == slot) {
            found.remove();
        }
        if !self.errors.is_empty() {
            self.errors.remove(&slot);
        }
        let next = self.free;
        let Some((chunk, number)) = self.place_mut(slot) else {
            return;
        };
        let snapshot = chunk
            .entries
            .get(number)
            .map_or(NO_SNAPSHOT, |entry| entry.snapshot);
        chunk.free(number, next);
        self.free = slot;
        self.occupied -= 1;
        self.snapshots.release(snapshot);
        if self.occupied == 0 {
            // An account that has nothing to wait for holds no memory of having been busy.
            self.chunks = Vec::new();
            self.free = UNLINKED;
            self.index = HashTable::new();
            self.errors = HashMap::new();
        }
    }

    /// How many slots are occupied.
    pub(super) fn len(&self) -> usize {
        self.occupied
    }

    pub(super) fn entry(&self, slot: u32) -> Option<&Entry> {
        let (chunk, number) = self.place(slot)?;
        chunk.entries.get(number)
    }

    pub(super) fn entry_mut(&mut self, slot: u32) -> Option<&mut Entry> {
        let (chunk, number) = self.place_mut(slot)?;
        chunk.entries.get_mut(number)
    }

    /// An entry beside the params by which it is waited for.
    pub(super) fn entry_and_wait_params(&mut self, slot: u32) -> Option<(&mut Entry, &WaitParams)> {
        let at = slot as usize;
        let entry = self
            .chunks
            .get_mut(at / CHUNK)?
            .entries
            .get_mut(at % CHUNK)?;
        let params = self.params.get(usize::from(entry.params))?;
        Some((entry, &params.wait))
    }

    pub(super) fn params_of(&self, slot: u32) -> Option<&WatchParams> {
        self.params.get(usize::from(self.entry(slot)?.params))
    }

    /// An entry beside the params that it shares with others.
    pub(super) fn entry_and_params(&self, slot: u32) -> Option<(&Entry, &WatchParams)> {
        let entry = self.entry(slot)?;
        Some((entry, self.params.get(usize::from(entry.params))?))
    }

    /// The tag of a watched job.
    pub(super) fn tag(&self, slot: u32) -> Option<&T> {
        let (chunk, number) = self.place(slot)?;
        chunk.tag(number)
    }

    /// Takes the tag of a watched job: nobody watches it any more.
    pub(super) fn take_tag(&mut self, slot: u32) -> Option<T> {
        let (chunk, number) = self.place_mut(slot)?;
        chunk.take_tag(number)
    }

    /// Has the processor fetch the ids in `slots`, all at once. One by one, each would be waited for at each poll.
    pub(super) fn prefetch_ids(&self, slots: &[u32]) {
        let texts = slots.iter().map(|slot| self.text(*slot).len());
        std::hint::black_box(texts.sum::<usize>());
    }

    /// Replaces what is in `ids` by the ids in `slots`.
    pub(super) fn ids(&self, slots: &[u32], ids: &mut Vec<JobId>) {
        ids.truncate(slots.len());
        let (before, more) = slots.split_at(ids.len());
        for (id, slot) in ids.iter_mut().zip(before) {
            id.replace(self.text(*slot));
        }
        ids.extend(more.iter().map(|slot| self.id(*slot)));
    }

    /// The id in `slot`.
    pub(super) fn id(&self, slot: u32) -> JobId {
        JobId::known(self.text(slot))
    }

    /// Records what a good poll saw.
    pub(super) fn record_snapshot<O>(&mut self, slot: u32, snapshot: &Snapshot<O>) {
        let at = slot as usize;
        let entry = self
            .chunks
            .get_mut(at / CHUNK)
            .and_then(|chunk| chunk.entries.get_mut(at % CHUNK));
        let Some(entry) = entry else { return };
        entry.snapshot = self.snapshots.replace(entry.snapshot, snapshot);
        entry.progress = pack(snapshot.progress);
        if entry.clear_failed() {
            self.errors.remove(&slot);
        }
    }

    /// Records why a poll failed.
    pub(super) fn record_error(&mut self, slot: u32, error: Error) {
        if let Some(entry) = self.entry_mut(slot) {
            entry.mark_failed();
            self.errors.insert(slot, error);
        }
    }

    /// What the last good poll saw, and the error of a later one.
    pub(super) fn last_observation(&self, slot: u32) -> (Option<Snapshot<()>>, Option<Error>) {
        let snapshot = self
            .entry(slot)
            .and_then(|entry| self.snapshots.snapshot(entry.snapshot, entry.progress));
        (snapshot, self.errors.get(&slot).cloned())
    }

    /// The ticket with which any process can resume the job.
    pub(super) fn ticket(&self, slot: u32) -> Option<Ticket> {
        let key = self.params_of(slot)?.key;
        let seconds = u64::from(self.entry(slot)?.accepted);
        let accepted = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        Some(Ticket::always(
            key.vendor,
            key.kind,
            key.account,
            accepted,
            self.id(slot),
        ))
    }

    /// How many slots there are, occupied or not.
    pub(super) fn slots(&self) -> u32 {
        u32::try_from(self.chunks.len() * CHUNK).unwrap_or(UNLINKED)
    }

    /// Whether somebody waits for the job in `slot`.
    pub(super) fn is_watched(&self, slot: u32) -> bool {
        self.entry(slot).is_some_and(Entry::is_watched)
    }

    /// How many jobs somebody waits for.
    pub(super) fn watched_count(&self) -> usize {
        (0..self.slots())
            .filter(|slot| self.is_watched(*slot))
            .count()
    }

    /// The bytes on the heap for the entries, their ids, their tags and the index.
    pub(super) fn bytes(&self) -> usize {
        self.chunks.iter().map(Chunk::bytes).sum::<usize>()
            + self.chunks.capacity() * size_of::<Chunk<T>>()
            + self.index.allocation_size()
    }

    fn grow(&mut self) -> Option<()> {
        let first = u32::try_from(self.chunks.len() * CHUNK).ok()?;
        let last = first.checked_add(u32::try_from(CHUNK).ok()?)?;
        if last == UNLINKED {
            return None;
        }
        let entries = (first + 1..last).chain([UNLINKED]).map(Entry::free);
        self.chunks.push(Chunk::new(entries.collect()));
        self.free = first;
        Some(())
    }

    /// The chunk of a slot, and the entry's number in it.
    fn place(&self, slot: u32) -> Option<(&Chunk<T>, usize)> {
        let slot = slot as usize;
        Some((self.chunks.get(slot / CHUNK)?, slot % CHUNK))
    }

    fn place_mut(&mut self, slot: u32) -> Option<(&mut Chunk<T>, usize)> {
        let slot = slot as usize;
        Some((self.chunks.get_mut(slot / CHUNK)?, slot % CHUNK))
    }

    fn text(&self, slot: u32) -> &str {
        self.place(slot)
            .and_then(|(chunk, number)| chunk.id(number))
            .unwrap_or_default()
    }

    fn rehash(&self, slot: u32) -> u64 {
        let kind = self.params_of(slot).map_or("", |params| params.key.kind);
        self.hash(kind, self.text(slot))
    }

    fn hash(&self, kind: &str, id: &str) -> u64 {
        hash(self.seed, [kind, id])
    }
}

/// Eight bytes at a time, each multiplied into 128 bits and folded: a fraction of the time of the standard library's
/// hash, once for each job that comes or goes. Nobody outside sees the seed or the hashes.
fn hash(seed: u64, texts: [&str; 2]) -> u64 {
    #[allow(clippy::cast_possible_truncation, reason = "both halves are used")]
    let fold = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word) * 0x9E37_79B9_7F4A_7C15;
        product as u64 ^ (product >> 64) as u64
    };
    texts.iter().fold(seed, |hash, text| {
        let (words, rest) = text.as_bytes().as_chunks();
        let mut last = [0; 8];
        for (byte, from) in last.iter_mut().zip(rest) {
            *byte = *from;
        }
        let words = words
            .iter()
            .chain([&last])
            .map(|word| u64::from_le_bytes(*word));
        fold(words.fold(hash, fold), text.len() as u64)
    })
}

impl<T> TimerNode for JobTable<T> {
    fn at(&self, slot: u32) -> Moment {
        self.entry(slot)
            .map_or(Moment::START, |entry| entry.state.at())
    }

    fn position(&self, slot: u32) -> u32 {
        self.entry(slot).map_or(UNLINKED, |entry| entry.position)
    }

    fn set_position(&mut self, slot: u32, position: u32) {
        if let Some(entry) = self.entry_mut(slot) {
            entry.position = position;
        }
    }
}
