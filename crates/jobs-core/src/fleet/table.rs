//! The jobs that an account waits for, each in a compact entry.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, SystemTime};

use hashbrown::HashTable;

use crate::clock::Moment;
use crate::error::Error;
use crate::fleet::snapshot_interner::{NO_SNAPSHOT, SnapshotInterner, pack};
use crate::fleet::timer_wheel::{TimerNode, UNLINKED};
use crate::id::{Account, JobId};
use crate::poller::{WaitParams, WaitState};
use crate::status::Snapshot;
use crate::ticket::Ticket;

/// What one waiting job is to the scheduler. Its id lies beside, in the text of its chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) state: WaitState,
    /// In the wheel's list; of a free slot, the next one.
    position: u32,
    /// Seconds of the Unix epoch, for the ticket; 2106 stands for later.
    accepted: u32,
    snapshot: u32,
    progress: u32,
    /// While flying, the serial of the flight. While ready, the millisecond since when, cut to 32 bits.
    pub(super) since: u32,
    params: u16,
    text_at: u16,
    text_len: u8,
    pub(super) phase: Phase,
    flags: u8,
}

/// What an entry waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// For a job to take it.
    Free,
    /// For the moment of its next poll.
    Waiting,
    /// For its turn.
    Ready,
    /// For the answer of a poll in flight.
    Polling,
    /// Nobody waits for it any more; it is kept until the minimum interval has passed, should somebody watch it again.
    Cooldown,
}

const POLL_SOON: u8 = 1;
const POLL_FAILED: u8 = 2;

/// Whose job it is and by which rules it is waited for.
#[derive(Debug)]
pub(super) struct WatchParams {
    pub(super) kind: u16,
    pub(super) key: KindKey,
    pub(super) wait: WaitParams,
}

/// What names a kind's jobs beside their id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KindKey {
    pub(super) vendor: &'static str,
    pub(super) kind: &'static str,
    pub(super) account: Account,
}

/// Entries in a chunk: few enough that a small fleet is small and that a text of theirs has a 16-bit address.
const CHUNK: usize = 256;

#[derive(Debug)]
struct Chunk {
    entries: Box<[Entry]>,
    texts: String,
    /// How many bytes of the texts nobody needs any more.
    dead_bytes: usize,
}

/// Entries by slot, and by id.
#[derive(Debug)]
pub(super) struct JobTable {
    /// Chunks, so that growing moves no entry and doubles nothing.
    chunks: Vec<Chunk>,
    free: u32,
    occupied: usize,
    /// Slots by the hash of their kind and id; the ids stay in the chunks.
    index: HashTable<u32>,
    /// Where hashing begins: no vendor can know which ids share a place.
    seed: u64,
    params: Vec<WatchParams>,
    params_index: HashMap<(u16, Duration, Duration), u16>,
    snapshots: SnapshotInterner,
    /// The error of the last poll, of jobs whose last poll failed.
    errors: HashMap<u32, Error>,
}

impl Default for JobTable {
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

impl JobTable {
    /// The number for these terms; `None` when there are too many different ones.
    pub(super) fn params(
        &mut self,
        kind: u16,
        key: KindKey,
        params: impl FnOnce() -> WaitParams,
        options: (Duration, Duration),
    ) -> Option<u16> {
        let index_key = (kind, options.0, options.1);
        if let Some(number) = self.params_index.get(&index_key) {
            return Some(*number);
        }
        let number = u16::try_from(self.params.len()).ok()?;
        self.params.push(WatchParams {
            kind,
            key,
            wait: params(),
        });
        self.params_index.insert(index_key, number);
        Some(number)
    }

    /// The terms with this number.
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
    pub(super) fn add(
        &mut self,
        id: &JobId,
        params: u16,
        accepted: SystemTime,
        state: WaitState,
    ) -> Option<u32> {
        if self.free == UNLINKED {
            self.grow()?;
        }
        let slot = self.free;
        let text_at = self.write(slot, id.as_str())?;
        let text_len = u8::try_from(id.as_str().len()).ok()?;
        let accepted = accepted
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let entry = self.entry_mut(slot)?;
        let next = entry.position;
        *entry = Entry {
            state,
            position: UNLINKED,
            accepted: u32::try_from(accepted).unwrap_or(u32::MAX),
            snapshot: NO_SNAPSHOT,
            progress: 0,
            since: 0,
            params: params,
            text_at,
            text_len,
            phase: Phase::Waiting,
            flags: 0,
        };
        self.free = next;
        self.occupied += 1;
        let kind = self.params_of(slot)?.key.kind;
        let hash = self.hash(kind, id.as_str());
        let mut index = std::mem::take(&mut self.index);
        index.insert_unique(hash, slot, |slot| self.rehash(*slot));
        self.index = index;
        Some(slot)
    }

    /// Gives a slot back. It must be in no list.
    pub(super) fn free(&mut self, slot: u32) {
        let hash = self.rehash(slot);
        if let Ok(entry) = self.index.find_entry(hash, |held| *held == slot) {
            entry.remove();
        }
        if !self.errors.is_empty() {
            self.errors.remove(&slot);
        }
        let free = self.free;
        let Some(entry) = self.entry_mut(slot) else {
            return;
        };
        let (shared, length) = (entry.snapshot, usize::from(entry.text_len));
        entry.phase = Phase::Free;
        entry.position = free;
        entry.snapshot = NO_SNAPSHOT;
        self.free = slot;
        self.occupied -= 1;
        self.snapshots.release(shared);
        if let Some(chunk) = self.chunks.get_mut(slot as usize / CHUNK) {
            chunk.dead_bytes += length;
            if chunk.dead_bytes == chunk.texts.len() {
                chunk.texts = String::new();
                chunk.dead_bytes = 0;
            }
        }
        if self.occupied == 0 {
            // An account that has nothing to wait for holds no memory of having been busy.
            self.chunks = Vec::new();
            self.free = UNLINKED;
            self.index = HashTable::new();
            self.errors = HashMap::new();
        }
    }

    /// How many slots are taken.
    pub(super) fn len(&self) -> usize {
        self.occupied
    }

    pub(super) fn entry(&self, slot: u32) -> Option<&Entry> {
        let slot = slot as usize;
        self.chunks.get(slot / CHUNK)?.entries.get(slot % CHUNK)
    }

    pub(super) fn entry_mut(&mut self, slot: u32) -> Option<&mut Entry> {
        let slot = slot as usize;
        self.chunks
            .get_mut(slot / CHUNK)?
            .entries
            .get_mut(slot % CHUNK)
    }

    /// An entry beside the rules by which it is waited for.
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

    /// An entry beside the terms on which it is waited for.
    pub(super) fn entry_and_params(&self, slot: u32) -> Option<(&Entry, &WatchParams)> {
        let entry = self.entry(slot)?;
        Some((entry, self.params.get(usize::from(entry.params))?))
    }

    /// Has the processor fetch the ids in `slots`, all at once. Each for itself would be waited for at each poll.
    pub(super) fn prefetch_ids(&self, slots: &[u32]) {
        let texts = slots.iter().map(|slot| self.text(*slot).len());
        std::hint::black_box(texts.sum::<usize>());
    }

    /// Puts the ids in `slots` in the place of those that were in `ids`.
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

    /// A good poll, which the entry remembers.
    pub(super) fn record_snapshot<O>(&mut self, slot: u32, snapshot: &Snapshot<O>) {
        let at = slot as usize;
        let entry = self
            .chunks
            .get_mut(at / CHUNK)
            .and_then(|chunk| chunk.entries.get_mut(at % CHUNK));
        let Some(entry) = entry else { return };
        entry.snapshot = self.snapshots.replace(entry.snapshot, snapshot);
        entry.progress = pack(snapshot.progress);
        if entry.flags & POLL_FAILED != 0 {
            entry.flags &= !POLL_FAILED;
            self.errors.remove(&slot);
        }
    }

    /// A failed poll, which the entry remembers.
    pub(super) fn record_error(&mut self, slot: u32, error: Error) {
        if let Some(entry) = self.entry_mut(slot) {
            entry.flags |= POLL_FAILED;
            self.errors.insert(slot, error);
        }
    }

    /// What was last seen, and the error since.
    pub(super) fn last_observation(&self, slot: u32) -> (Option<Snapshot<()>>, Option<Error>) {
        let seen = self
            .entry(slot)
            .and_then(|entry| self.snapshots.snapshot(entry.snapshot, entry.progress));
        (seen, self.errors.get(&slot).cloned())
    }

    /// The text to go on with elsewhere.
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

    /// A number that belongs to the job in `slot` for as long as it is there.
    pub(super) fn seed(slot: u32) -> u64 {
        u64::from(slot).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// How many slots there are, taken or not.
    pub(super) fn slots(&self) -> u32 {
        u32::try_from(self.chunks.len() * CHUNK).unwrap_or(UNLINKED)
    }

    /// Whether somebody waits for the job in `slot`.
    pub(super) fn is_watched(&self, slot: u32) -> bool {
        self.entry(slot)
            .is_some_and(|entry| !matches!(entry.phase, Phase::Free | Phase::Cooldown))
    }

    /// How many jobs somebody waits for.
    pub(super) fn watched_count(&self) -> usize {
        (0..self.slots())
            .filter(|slot| self.is_watched(*slot))
            .count()
    }

    /// The bytes on the heap for the entries, their ids and the table of them.
    pub(super) fn bytes(&self) -> usize {
        let chunk = |chunk: &Chunk| size_of_val(&*chunk.entries) + chunk.texts.capacity();
        self.chunks.iter().map(chunk).sum::<usize>()
            + self.chunks.capacity() * size_of::<Chunk>()
            + self.index.allocation_size()
    }

    fn grow(&mut self) -> Option<()> {
        let first = u32::try_from(self.chunks.len() * CHUNK).ok()?;
        let last = first.checked_add(u32::try_from(CHUNK).ok()?)?;
        if last == UNLINKED {
            return None;
        }
        let blank = |slot: u32| Entry {
            state: WaitState::blank(),
            position: if slot + 1 == last { UNLINKED } else { slot + 1 },
            accepted: 0,
            snapshot: NO_SNAPSHOT,
            progress: 0,
            since: 0,
            params: 0,
            text_at: 0,
            text_len: 0,
            phase: Phase::Free,
            flags: 0,
        };
        self.chunks.push(Chunk {
            entries: (first..last).map(blank).collect(),
            texts: String::new(),
            dead_bytes: 0,
        });
        self.free = first;
        Some(())
    }

    /// Puts an id's text into the slot's chunk; where it begins.
    fn write(&mut self, slot: u32, id: &str) -> Option<u16> {
        let chunk = self.chunks.get_mut(slot as usize / CHUNK)?;
        if chunk.texts.len() + id.len() > chunk.texts.capacity() {
            chunk.compact(id.len());
        }
        let at = u16::try_from(chunk.texts.len()).ok()?;
        chunk.texts.push_str(id);
        Some(at)
    }

    fn text(&self, slot: u32) -> &str {
        let at = slot as usize;
        self.chunks
            .get(at / CHUNK)
            .and_then(|chunk| chunk.text(chunk.entries.get(at % CHUNK)?))
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

impl Entry {
    pub(super) fn request_poll_soon(&mut self) {
        self.flags |= POLL_SOON;
    }

    /// Whether somebody nudged it while it was polled; told once.
    pub(super) fn take_poll_soon(&mut self) -> bool {
        let nudged = self.flags & POLL_SOON != 0;
        self.flags &= !POLL_SOON;
        nudged
    }
}

impl Chunk {
    fn text(&self, entry: &Entry) -> Option<&str> {
        let from = usize::from(entry.text_at);
        self.texts.get(from..from + usize::from(entry.text_len))
    }

    /// Makes room for `more` bytes: first for a whole chunk of such ids, later an eighth at a time.
    fn compact(&mut self, more: usize) {
        let living = self.texts.len() - self.dead_bytes;
        let room = if living == 0 {
            more * CHUNK
        } else {
            let wanted = living + more;
            if wanted <= self.texts.capacity() {
                self.texts.capacity()
            } else {
                wanted + wanted / 8
            }
        };
        let mut texts = String::with_capacity(room);
        for entry in &mut self.entries {
            if entry.phase == Phase::Free {
                continue;
            }
            let from = usize::from(entry.text_at);
            let Some(text) = self.texts.get(from..from + usize::from(entry.text_len)) else {
                continue;
            };
            // At most 256 ids of at most 120 bytes.
            entry.text_at = u16::try_from(texts.len()).unwrap_or_default();
            texts.push_str(text);
        }
        self.texts = texts;
        self.dead_bytes = 0;
    }
}

impl TimerNode for JobTable {
    fn at(&self, slot: u32) -> Moment {
        self.entry(slot)
            .map_or(Moment::START, |entry| entry.state.at())
    }

    fn position(&self, slot: u32) -> u32 {
        self.entry(slot).map_or(UNLINKED, |entry| entry.position)
    }

    fn set_position(&mut self, slot: u32, place: u32) {
        if let Some(entry) = self.entry_mut(slot) {
            entry.position = place;
        }
    }
}
