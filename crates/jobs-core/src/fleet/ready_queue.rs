//! The due jobs of one kind in the order in which they are polled; pure.

use std::collections::VecDeque;

use crate::fleet::priority::CLASSES;

/// Due jobs by [class](crate::fleet::priority::class): within a class, the order of coming is the order of gain.
pub(super) struct ReadyQueue {
    /// Slots. One that is no longer ready is passed over.
    classes: [VecDeque<u32>; CLASSES],
    /// A bit for each class that is not empty.
    filled: u32,
}

impl Default for ReadyQueue {
    fn default() -> Self {
        Self {
            classes: std::array::from_fn(|_| VecDeque::new()),
            filled: 0,
        }
    }
}

impl ReadyQueue {
    pub(super) fn push(&mut self, class: usize, slot: u32) {
        if let Some(slots) = self.classes.get_mut(class) {
            slots.push_back(slot);
            self.filled |= 1 << class;
        }
    }

    /// Whether nothing was put in that was not taken out; what is in may be stale.
    pub(super) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// The highest gain. `gain` is `None` for a stale slot, which is dropped.
    pub(super) fn best_gain(&mut self, mut gain: impl FnMut(u32) -> Option<f64>) -> Option<f64> {
        self.best(|slot, _| gain(slot)).map(|(_, gain)| gain)
    }

    /// Takes out the slot with the highest gain. `gain` is told whether its number decides anything: it does not while all slots
    /// are in one class.
    pub(super) fn pop(&mut self, gain: impl FnMut(u32, bool) -> Option<f64>) -> Option<u32> {
        let (class, _) = self.best(gain)?;
        self.classes.get_mut(class)?.pop_front()
    }

    pub(super) fn clear(&mut self) {
        self.classes.iter_mut().for_each(VecDeque::clear);
        self.filled = 0;
    }

    fn best(&mut self, mut gain: impl FnMut(u32, bool) -> Option<f64>) -> Option<(usize, f64)> {
        let has_choice = self.filled.count_ones() > 1;
        let mut best: Option<(usize, f64)> = None;
        let mut filled = self.filled;
        while filled != 0 {
            let class = filled.trailing_zeros() as usize;
            filled &= filled - 1;
            let Some(slots) = self.classes.get_mut(class) else {
                continue;
            };
            while let Some(slot) = slots.front().copied() {
                let Some(gain) = gain(slot, has_choice) else {
                    slots.pop_front();
                    continue;
                };
                if best.is_none_or(|(_, most)| gain > most) {
                    best = Some((class, gain));
                }
                break;
            }
            if slots.is_empty() {
                self.filled &= !(1 << class);
                // A burst may have made it long; that room is not kept for the next one.
                slots.shrink_to(64);
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_gain_comes_first_and_what_is_stale_never() {
        let mut ready = ReadyQueue::default();
        for (class, slot) in [(3, 30), (3, 31), (0, 1), (7, 70), (7, 71)] {
            ready.push(class, slot);
        }
        let gain = |slot| (slot != 70).then_some(f64::from(slot % 40));
        assert_eq!(ready.best_gain(gain), Some(31.0));
        let order: Vec<u32> = std::iter::from_fn(|| ready.pop(|slot, _| gain(slot))).collect();
        assert_eq!(order, [71, 30, 31, 1]);
        assert!(ready.is_empty());
    }
}
