//! A timer wheel: a waiting job costs it four bytes in a list, and four in its entry to be found there.

use crate::clock::Moment;

/// What the wheel keeps: slots with a moment and a position.
pub(super) trait TimerNode {
    /// When `slot` is due.
    fn at(&self, slot: u32) -> Moment;
    /// Its place in its list; [`UNLINKED`] in no list.
    fn position(&self, slot: u32) -> u32;
    /// Sets its place.
    fn set_position(&mut self, slot: u32, place: u32);
}

/// In no list.
pub(super) const UNLINKED: u32 = u32::MAX;

/// The lowest level has 8192 lists, so that pauses of seconds mostly go there at once: each move down is a visit to an
/// entry that has long left the processor's caches.
const LOW: u32 = 13;
/// Each level above has 64.
const HIGH: u32 = 6;
/// With six of them, 17 000 years of milliseconds: more than a [`Moment`] can name.
const LEVELS: usize = 6;
const NANOS: u64 = 1_000_000;

/// Lists by due millisecond: 8192 of one millisecond each, then 64 of 8192 ms, and so on.
///
/// An entry of a list above the lowest level moves down when its list's time begins. The lists are apart from the entries,
/// so that the processor can fetch many entries at once: one that has waited has long left its caches.
#[derive(Debug)]
pub(super) struct TimerWheel {
    /// Everything due in an earlier millisecond was taken out.
    now: u64,
    low: Level,
    high: Box<[Level]>,
    /// The earliest nanosecond in each list of the lowest level. Too early after a removal, which costs a vain look
    /// at the list.
    firsts: Box<[u64]>,
}

#[derive(Debug, Clone)]
struct Level {
    /// A bit for each list that is not empty.
    filled: Box<[u64]>,
    /// A bit for each word of `filled` that is not zero.
    words: u128,
    lists: Box<[Vec<u32>]>,
}

impl Level {
    fn new(bits: u32) -> Self {
        let lists = 1usize << bits;
        Self {
            filled: vec![0; lists / 64].into(),
            words: 0,
            lists: vec![Vec::new(); lists].into(),
        }
    }

    fn is_empty(&self) -> bool {
        self.words == 0
    }

    /// The first list that is not empty.
    fn first(&self) -> Option<usize> {
        self.from(0)
    }

    /// The first list from `list` on that is not empty.
    fn from(&self, list: usize) -> Option<usize> {
        let word = list / 64;
        let here = self.filled.get(word)? & (u64::MAX << (list % 64));
        if here != 0 {
            return Some(word * 64 + here.trailing_zeros() as usize);
        }
        let later = self.words.checked_shr(u32::try_from(word).ok()? + 1)?;
        if later == 0 {
            return None;
        }
        let word = word + 1 + later.trailing_zeros() as usize;
        let filled = self.filled.get(word)?;
        Some(word * 64 + filled.trailing_zeros() as usize)
    }

    /// Puts `slot` into a list; its place.
    fn push(&mut self, list: usize, slot: u32) -> u32 {
        let (Some(slots), Some(filled)) =
            (self.lists.get_mut(list), self.filled.get_mut(list / 64))
        else {
            return UNLINKED;
        };
        *filled |= 1 << (list % 64);
        self.words |= 1 << (list / 64);
        slots.push(slot);
        u32::try_from(slots.len() - 1).unwrap_or(UNLINKED)
    }

    /// Takes `slot` out of a list, if it is at this place there: who takes the place, [`UNLINKED`] if nobody does.
    fn pull(&mut self, list: usize, place: u32, slot: u32) -> Option<u32> {
        let slots = self.lists.get_mut(list)?;
        let place = place as usize;
        if slots.get(place) != Some(&slot) {
            return None;
        }
        slots.swap_remove(place);
        let moved = slots.get(place).copied().unwrap_or(UNLINKED);
        if slots.is_empty() {
            *slots = Vec::new();
            self.empty(list);
        }
        Some(moved)
    }

    /// Takes a list out.
    fn take(&mut self, list: usize) -> Vec<u32> {
        self.empty(list);
        self.lists
            .get_mut(list)
            .map(std::mem::take)
            .unwrap_or_default()
    }

    fn empty(&mut self, list: usize) {
        if let Some(filled) = self.filled.get_mut(list / 64) {
            *filled &= !(1 << (list % 64));
            if *filled == 0 {
                self.words &= !(1 << (list / 64));
            }
        }
    }
}

impl Default for TimerWheel {
    fn default() -> Self {
        Self {
            now: 0,
            low: Level::new(LOW),
            high: vec![Level::new(HIGH); LEVELS].into(),
            firsts: vec![u64::MAX; 1 << LOW].into(),
        }
    }
}

impl TimerWheel {
    /// Puts `slot`, which is in no list, into that of its moment.
    pub(super) fn insert(&mut self, entries: &mut impl TimerNode, slot: u32) {
        let nanos = entries.at(slot).nanos();
        // What is overdue goes to the list that is emptied next.
        let tick = (nanos / NANOS).max(self.now);
        let depth = depth(tick ^ self.now);
        let list = digit(tick, depth);
        if depth == 0
            && let Some(first) = self.firsts.get_mut(list)
        {
            *first = (*first).min(nanos);
        }
        let Some(level) = self.level(depth) else {
            return;
        };
        let place = level.push(list, slot);
        entries.set_position(slot, place);
    }

    /// Takes `slot` out, whose moment must still be that of its insertion. Nothing happens when it is in no list.
    pub(super) fn remove(&mut self, entries: &mut impl TimerNode, slot: u32) {
        let place = entries.position(slot);
        if place == UNLINKED {
            return;
        }
        let tick = (entries.at(slot).nanos() / NANOS).max(self.now);
        for depth in 0..=LEVELS {
            let list = digit(tick, depth);
            // A slot is in one list only, so this is it.
            if let Some(moved) = self.level(depth).and_then(|it| it.pull(list, place, slot)) {
                if moved != UNLINKED {
                    entries.set_position(moved, place);
                } else if depth == 0
                    && place == 0
                    && let Some(first) = self.firsts.get_mut(list)
                {
                    *first = u64::MAX;
                }
                break;
            }
        }
        entries.set_position(slot, UNLINKED);
    }

    /// Takes out what is due by `now`, at most about `limit` slots; the rest stays for the next call.
    pub(super) fn drain(
        &mut self,
        entries: &mut impl TimerNode,
        now: Moment,
        limit: usize,
        due: &mut Vec<u32>,
    ) {
        let now = now.nanos();
        let target = now / NANOS;
        while due.len() < limit {
            let Some((depth, list, tick)) = self.first_list() else {
                break;
            };
            if tick > target {
                break;
            }
            self.now = self.now.max(tick);
            for slot in self.take(depth, list) {
                entries.set_position(slot, UNLINKED);
                if depth == 0 && entries.at(slot).nanos() <= now {
                    due.push(slot);
                } else {
                    self.insert(entries, slot);
                }
            }
            if depth == 0 && tick == target {
                break;
            }
        }
        if due.len() < limit {
            // Nothing begins between here and there, so nothing is skipped.
            self.now = self.now.max(target);
        }
    }

    /// The moment at which [`drain`](Self::drain) next has something to do.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        let (depth, list, tick) = self.first_list()?;
        let at = match (depth, self.firsts.get(list)) {
            (0, Some(first)) => *first,
            _ => tick.saturating_mul(NANOS),
        };
        Some(Moment::after_nanos(at))
    }

    /// Visits slots in the order of their lists, which is about that of their moments, until `visit` says stop.
    pub(super) fn visit(&self, mut visit: impl FnMut(u32) -> bool) {
        for level in std::iter::once(&self.low).chain(&self.high) {
            let mut next = level.first();
            while let Some(list) = next {
                for slot in level.lists.get(list).into_iter().flatten() {
                    if !visit(*slot) {
                        return;
                    }
                }
                next = if list + 1 < level.lists.len() {
                    level.from(list + 1)
                } else {
                    None
                };
            }
        }
    }

    /// The level, number and first millisecond of the earliest list that is not empty.
    ///
    /// A level holds only what lies in the present list of the level above, so the lowest level comes first, and
    /// within a level nothing lies behind.
    fn first_list(&self) -> Option<(usize, usize, u64)> {
        let levels = std::iter::once(&self.low).chain(&self.high);
        let (depth, level) = levels.enumerate().find(|(_, level)| !level.is_empty())?;
        let list = level.first()?;
        let (shift, bits) = place(depth);
        let above = self.now.checked_shr(shift + bits).unwrap_or(0);
        let tick = ((above << bits) | list as u64) << shift;
        Some((depth, list, tick))
    }

    /// The bytes that its lists take.
    pub(super) fn bytes(&self) -> usize {
        let levels = std::iter::once(&self.low).chain(&self.high);
        let lists = levels.flat_map(|level| &level.lists);
        lists.map(|list| list.capacity() * size_of::<u32>()).sum()
    }

    fn take(&mut self, depth: usize, list: usize) -> Vec<u32> {
        if let (0, Some(first)) = (depth, self.firsts.get_mut(list)) {
            *first = u64::MAX;
        }
        self.level(depth)
            .map(|level| level.take(list))
            .unwrap_or_default()
    }

    fn level(&mut self, depth: usize) -> Option<&mut Level> {
        match depth.checked_sub(1) {
            None => Some(&mut self.low),
            Some(high) => self.high.get_mut(high),
        }
    }
}

/// The first bit of a level's digit, and how many it has.
fn place(depth: usize) -> (u32, u32) {
    match u32::try_from(depth) {
        Ok(0) => (0, LOW),
        Ok(depth) => (LOW + (depth - 1) * HIGH, HIGH),
        Err(_) => (u64::BITS, 0),
    }
}

/// The level whose digit is the highest in `differing`.
fn depth(differing: u64) -> usize {
    match (differing | 1).ilog2() {
        low if low < LOW => 0,
        high => ((high - LOW) / HIGH + 1) as usize,
    }
}

#[allow(clippy::cast_possible_truncation, reason = "masked before")]
fn digit(tick: u64, depth: usize) -> usize {
    let (shift, bits) = place(depth);
    (tick.checked_shr(shift).unwrap_or(0) & ((1 << bits) - 1)) as usize
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Plain(Vec<(Moment, u32)>);

    impl TimerNode for Plain {
        fn at(&self, slot: u32) -> Moment {
            self.0[slot as usize].0
        }
        fn position(&self, slot: u32) -> u32 {
            self.0[slot as usize].1
        }
        fn set_position(&mut self, slot: u32, place: u32) {
            self.0[slot as usize].1 = place;
        }
    }

    fn at(nanos: u64) -> Moment {
        Moment::after_start(Duration::from_nanos(nanos))
    }

    fn plain(moments: &[u64]) -> (TimerWheel, Plain) {
        let mut wheel = TimerWheel::default();
        let mut plain = Plain(moments.iter().map(|n| (at(*n), UNLINKED)).collect());
        for slot in 0..moments.len() {
            wheel.insert(&mut plain, u32::try_from(slot).unwrap());
        }
        (wheel, plain)
    }

    #[test]
    fn what_is_due_within_a_millisecond_is_neither_early_nor_late() {
        let (mut wheel, mut plain) = plain(&[5_000_900, 5_000_100, 5_000_500]);
        let mut due = Vec::new();
        assert_eq!(wheel.next_deadline(), Some(at(5_000_100)));
        wheel.drain(&mut plain, at(5_000_500), 10, &mut due);
        due.sort_unstable();
        assert_eq!(due, [1, 2]);
        assert_eq!(wheel.next_deadline(), Some(at(5_000_900)));
    }

    #[test]
    fn the_end_of_time_has_a_place() {
        let (mut wheel, mut plain) = plain(&[u64::MAX, 0]);
        let mut due = Vec::new();
        wheel.drain(&mut plain, at(u64::MAX - 1), 10, &mut due);
        assert_eq!(due, [1]);
        wheel.drain(&mut plain, at(u64::MAX), 10, &mut due);
        assert_eq!(due, [1, 0]);
    }

    #[derive(Debug, Clone)]
    enum Move {
        Insert(u64),
        Remove(usize),
        Advance(u64),
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        // Spans of every level up to some months, so that lists are taken apart on the way.
        let span = (0u32..53).prop_flat_map(|bits| 0..(1u64 << bits));
        let one = prop_oneof![
            4 => span.clone().prop_map(Move::Insert),
            1 => any::<usize>().prop_map(Move::Remove),
            3 => span.prop_map(Move::Advance),
        ];
        proptest::collection::vec(one, 1..120)
    }

    proptest! {
        #[test]
        fn it_gives_what_a_sorted_list_gives(moves in moves()) {
            let (mut wheel, mut plain) = plain(&[]);
            let mut waiting: Vec<u32> = Vec::new();
            let mut now = 0u64;
            for one in moves {
                match one {
                    Move::Insert(span) => {
                        let slot = u32::try_from(plain.0.len()).unwrap();
                        plain.0.push((at(now + span), UNLINKED));
                        wheel.insert(&mut plain, slot);
                        waiting.push(slot);
                    }
                    Move::Remove(which) if !waiting.is_empty() => {
                        let slot = waiting.swap_remove(which % waiting.len());
                        wheel.remove(&mut plain, slot);
                        prop_assert_eq!(plain.position(slot), UNLINKED);
                    }
                    Move::Remove(_) => {}
                    Move::Advance(span) => {
                        now += span;
                        let mut due = Vec::new();
                        wheel.drain(&mut plain, at(now), usize::MAX, &mut due);
                        due.sort_unstable();
                        let (mut expected, rest): (Vec<u32>, Vec<u32>) =
                            waiting.iter().partition(|slot| plain.at(**slot) <= at(now));
                        expected.sort_unstable();
                        prop_assert_eq!(due, expected);
                        waiting = rest;
                    }
                }
                let first = waiting.iter().map(|slot| plain.at(*slot)).min();
                // It may want to wake earlier, to move a list down, but never later.
                prop_assert!(wheel.next_deadline() <= first && wheel.next_deadline().is_some() == first.is_some()
                    || first.is_some() && wheel.next_deadline() <= first);
                let mut seen = 0;
                wheel.visit(|_| { seen += 1; true });
                prop_assert_eq!(seen, waiting.len());
            }
        }

        #[test]
        fn a_limit_leaves_the_rest_for_later(spans in proptest::collection::vec(0u64..1 << 40, 1..60), limit in 1usize..10) {
            let (mut wheel, mut plain) = plain(&spans);
            let mut all = Vec::new();
            for _ in 0..=spans.len() {
                let mut due = Vec::new();
                wheel.drain(&mut plain, at(1 << 40), limit, &mut due);
                all.append(&mut due);
            }
            all.sort_unstable();
            prop_assert_eq!(all, (0..u32::try_from(spans.len()).unwrap()).collect::<Vec<_>>());
        }
    }
}
