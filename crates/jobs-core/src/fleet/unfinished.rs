//! The jobs that a fleet had not seen end when it was shut down.

use crate::fleet::table::JobTable;
use crate::ticket::Ticket;

/// The tags and tickets of the jobs that a fleet had not seen end when it was shut down.
#[derive(Debug)]
pub struct Unfinished<T = ()> {
    tables: Vec<JobTable<T>>,
    slot: u32,
}

impl<T> Unfinished<T> {
    pub(super) fn new(tables: Vec<JobTable<T>>) -> Self {
        Self { tables, slot: 0 }
    }

    /// How many jobs that are.
    pub(super) fn jobs(&self) -> usize {
        self.tables.iter().map(JobTable::watched_count).sum()
    }
}

impl<T> Iterator for Unfinished<T> {
    type Item = (T, Ticket);

    fn next(&mut self) -> Option<(T, Ticket)> {
        loop {
            let table = self.tables.last_mut()?;
            if self.slot >= table.slots() {
                self.tables.pop();
                self.slot = 0;
                continue;
            }
            let slot = self.slot;
            self.slot += 1;
            if table.is_watched(slot)
                && let (Some(ticket), Some(tag)) = (table.ticket(slot), table.take_tag(slot))
            {
                return Some((tag, ticket));
            }
        }
    }
}
