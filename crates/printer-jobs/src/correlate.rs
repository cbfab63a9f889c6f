//! Finds the request that an answer belongs to.
//!
//! Answers normally echo the request id. Those of `printer/*` commands, and some errors, were seen
//! without it, so open requests are kept in the order of sending: one connection was measured to
//! answer strictly in that order. A request given up by its caller leaves a tombstone in the queue,
//! so that its late answer is not taken for the answer to the next request.

use std::collections::VecDeque;
use std::fmt;

use crate::envelope::{Answer, check_req_id};
use crate::{Command, ProtocolError, RecentIds};

/// Rules of matching and bounds of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) struct CorrelatorOptions {
    /// Refuse answers without a request id instead of matching them by order. Off by default.
    pub strict: bool,
    /// How many requests, given up ones included, may be queued. 256 by default.
    pub capacity: usize,
    /// How many `printer/*` requests may wait at once. 1 by default, which leaves no doubt about
    /// the owner of an answer without a request id.
    pub printer_in_flight: usize,
}

impl Default for CorrelatorOptions {
    fn default() -> Self {
        Self {
            strict: false,
            capacity: 256,
            printer_in_flight: 1,
        }
    }
}

/// Where an answer goes.
#[derive(Debug)]
pub(crate) enum Match<W> {
    /// To this request, which is no longer open now.
    Owner(Owner<W>),
    /// To nobody: its request was given up before.
    Late {
        /// The request given up.
        req_id: String,
        /// Its command.
        command: Command,
    },
    /// To nobody: no open request can own it.
    Nobody,
    /// It has no request id and strict matching is on; a protocol error.
    Headerless,
}

/// A request that got its answer.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) struct Owner<W> {
    /// Its request id.
    pub req_id: String,
    /// Its command.
    pub command: Command,
    /// Who waits.
    pub waiter: W,
    /// How it was found.
    pub by: MatchedBy,
}

/// How the owner of an answer was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum MatchedBy {
    /// By the request id.
    ReqId,
    /// By the request id inside the error message.
    Message,
    /// By order and shape.
    Order,
}

/// The open requests of one connection. `W` is whatever wakes the caller.
pub(crate) struct Correlator<W> {
    options: CorrelatorOptions,
    queue: VecDeque<Entry<W>>,
    settled: RecentIds,
}

struct Entry<W> {
    req_id: String,
    command: Command,
    /// `None` marks a tombstone.
    waiter: Option<W>,
}

impl<W> Entry<W> {
    fn is_tombstone(&self) -> bool {
        self.waiter.is_none()
    }
}

impl<W> Correlator<W> {
    /// An empty queue.
    pub(crate) fn new(options: CorrelatorOptions) -> Self {
        Self {
            options,
            queue: VecDeque::new(),
            settled: RecentIds::new(64),
        }
    }

    /// Whether a request with this command may be sent now.
    ///
    /// # Errors
    ///
    /// The limit that stands against it.
    pub(crate) fn has_room(&self, command: Command) -> Result<(), ProtocolError> {
        let printer_limit = self.options.printer_in_flight;
        if command.is_printer() && self.printer_waiting() >= printer_limit {
            return Err(ProtocolError::Busy {
                limit: printer_limit,
            });
        }
        if self.queue.len() >= self.options.capacity {
            return Err(ProtocolError::Busy {
                limit: self.options.capacity,
            });
        }
        Ok(())
    }

    /// Notes a request; call it right before the message is handed to the socket.
    ///
    /// # Errors
    ///
    /// A limit is reached, or the request id is unusable or taken. The waiter is dropped then.
    pub(crate) fn sent(
        &mut self,
        req_id: &str,
        command: Command,
        waiter: W,
    ) -> Result<(), ProtocolError> {
        check_req_id(req_id)?;
        self.has_room(command)?;
        if self.position(req_id).is_some() || self.settled.contains(req_id) {
            return Err(ProtocolError::DuplicateRequest);
        }
        self.queue.push_back(Entry {
            req_id: req_id.to_owned(),
            command,
            waiter: Some(waiter),
        });
        Ok(())
    }

    /// Gives a request up, on a time-out too. Its place in the order stays taken until it is answered.
    pub(crate) fn cancel(&mut self, req_id: &str) -> Option<W> {
        let index = self.position(req_id)?;
        self.queue.get_mut(index)?.waiter.take()
    }

    /// Gives up every request whose waiter is chosen; their places stay taken like after [`cancel`](Self::cancel).
    pub(crate) fn cancel_where(&mut self, chosen: impl Fn(&W) -> bool) -> Vec<W> {
        self.queue
            .iter_mut()
            .filter_map(|entry| entry.waiter.take_if(|waiter| chosen(waiter)))
            .collect()
    }

    /// Finds the owner of a text answer.
    pub(crate) fn answered(&mut self, answer: &Answer) -> Match<W> {
        if let Some(req_id) = answer.req_id() {
            return match self.position(req_id) {
                Some(index) => self.settle(index, MatchedBy::ReqId),
                None => Match::Nobody,
            };
        }
        if self.options.strict {
            return Match::Headerless;
        }
        if let Some(req_id) = answer.req_id_in_message() {
            if let Some(index) = self.position(req_id) {
                return self.settle(index, MatchedBy::Message);
            }
            // A second answer to something settled must not be matched by order. An id that was never
            // ours may: nothing proves that the suffix always repeats the caller's id.
            if self.settled.contains(req_id) {
                return Match::Nobody;
            }
        }
        let owner = self
            .queue
            .iter()
            .position(|entry| may_own(entry.command, answer));
        match owner {
            Some(index) => self.settle(index, MatchedBy::Order),
            None => Match::Nobody,
        }
    }

    /// Finds the owner of a binary answer by the request id inside it.
    pub(crate) fn answered_with_file(&mut self, req_id: &str) -> Match<W> {
        match self.position(req_id) {
            Some(index) => self.settle(index, MatchedBy::ReqId),
            None => Match::Nobody,
        }
    }

    /// Empties the queue when the connection is lost and returns everybody who still waits.
    pub(crate) fn clear(&mut self) -> Vec<W> {
        self.queue
            .drain(..)
            .filter_map(|entry| entry.waiter)
            .collect()
    }

    /// How many requests wait for an answer.
    pub(crate) fn waiting(&self) -> usize {
        self.queue
            .iter()
            .filter(|entry| !entry.is_tombstone())
            .count()
    }

    /// How many given-up requests still hold a place.
    pub(crate) fn tombstones(&self) -> usize {
        self.queue.len() - self.waiting()
    }

    /// Whether a given-up printer request stands before a waiting one.
    ///
    /// If its answer never comes, the answer to the waiting one may be taken for it. So a time-out
    /// while this holds is best followed by a new connection, which starts with an empty queue.
    pub(crate) fn in_doubt(&self) -> bool {
        self.queue
            .iter()
            .filter(|entry| entry.command.is_printer())
            .skip_while(|entry| !entry.is_tombstone())
            .any(|entry| !entry.is_tombstone())
    }

    fn printer_waiting(&self) -> usize {
        self.queue
            .iter()
            .filter(|entry| entry.command.is_printer() && !entry.is_tombstone())
            .count()
    }

    fn position(&self, req_id: &str) -> Option<usize> {
        self.queue.iter().position(|entry| entry.req_id == req_id)
    }

    fn settle(&mut self, index: usize, by: MatchedBy) -> Match<W> {
        let Some(entry) = self.queue.remove(index) else {
            return Match::Nobody;
        };
        if entry.command.is_printer() {
            self.bury_before(index);
        }
        self.settled.insert(&entry.req_id);
        match entry.waiter {
            Some(waiter) => Match::Owner(Owner {
                req_id: entry.req_id,
                command: entry.command,
                waiter,
                by,
            }),
            None => Match::Late {
                req_id: entry.req_id,
                command: entry.command,
            },
        }
    }

    /// Answers to printer commands come in order, so older tombstones wait for nothing any more.
    fn bury_before(&mut self, end: usize) {
        let mut index = 0;
        let settled = &mut self.settled;
        self.queue.retain(|entry| {
            let buried = index < end && entry.command.is_printer() && entry.is_tombstone();
            index += 1;
            if buried {
                settled.insert(&entry.req_id);
            }
            !buried
        });
    }
}

impl<W> fmt::Debug for Correlator<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Correlator")
            .field("options", &self.options)
            .field("waiting", &self.waiting())
            .field("tombstones", &self.tombstones())
            .finish_non_exhaustive()
    }
}

/// Whether an answer without a request id can be meant for a request with this command.
///
/// Only printer commands were seen to be answered so. A job list answers a list request; bare success
/// cannot answer a command whose success is a file; bare failure can answer any of them. An answer
/// with neither code nor list answers nothing.
fn may_own(command: Command, answer: &Answer) -> bool {
    if answer.has_job_list() {
        return command == Command::GetJobList;
    }
    match answer.code() {
        Some(code) if code.is_ok() => command.is_printer() && !command.answers_with_file(),
        Some(_) => command.is_printer(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{Incoming, decode};

    fn answer(json: &str) -> Answer {
        match decode(json.as_bytes(), 4096).unwrap() {
            Incoming::Answer(answer) => answer,
            Incoming::Push(push) => panic!("push {push:?}"),
        }
    }

    fn correlator() -> Correlator<u32> {
        Correlator::new(CorrelatorOptions::default())
    }

    fn wide() -> Correlator<u32> {
        Correlator::new(CorrelatorOptions {
            printer_in_flight: 10,
            ..CorrelatorOptions::default()
        })
    }

    #[track_caller]
    fn owner(found: Match<u32>) -> (u32, MatchedBy) {
        match found {
            Match::Owner(owner) => (owner.waiter, owner.by),
            other => panic!("no owner: {other:?}"),
        }
    }

    const LIST: &str = r#"{"body":{"printer_job_list":[]},"errcode":0,"errmsg":"ok"}"#;
    const BARE_OK: &str = r#"{"errcode":0,"errmsg":"ok"}"#;
    const BARE_ERROR: &str = r#"{"errcode":-1,"errmsg":"system error, hint: [1700000000_1_ab]"}"#;

    #[test]
    fn request_id_wins_over_order() {
        let mut it = wide();
        it.sent("a", Command::GetJobList, 1).unwrap();
        it.sent("b", Command::ReportJobStatus, 2).unwrap();
        let found = it.answered(&answer(r#"{"headers":{"req_id":"b"},"errcode":0}"#));
        assert_eq!(owner(found), (2, MatchedBy::ReqId));
        assert_eq!(it.waiting(), 1);
    }

    #[test]
    fn request_id_in_the_message_is_the_second_choice() {
        let mut it = wide();
        it.sent("a", Command::DownloadFile, 1).unwrap();
        it.sent("b", Command::DownloadFile, 2).unwrap();
        let text = r#"{"errcode":600040,"errmsg":"no job, hint: [17_1_ab], reqid: [b]"}"#;
        assert_eq!(owner(it.answered(&answer(text))), (2, MatchedBy::Message));
    }

    #[test]
    fn headerless_answers_go_by_order_and_shape() {
        let mut it = wide();
        it.sent("ping", Command::Ping, 0).unwrap();
        it.sent("file", Command::DownloadFile, 1).unwrap();
        it.sent("report", Command::ReportJobStatus, 2).unwrap();
        it.sent("list", Command::GetJobList, 3).unwrap();
        assert_eq!(owner(it.answered(&answer(LIST))).0, 3);
        assert_eq!(
            owner(it.answered(&answer(BARE_OK))).0,
            2,
            "a file is never bare ok"
        );
        assert_eq!(owner(it.answered(&answer(BARE_ERROR))).0, 1);
        assert!(matches!(it.answered(&answer(BARE_ERROR)), Match::Nobody));
        assert_eq!(it.waiting(), 1, "ping always echoes its id");
    }

    #[test]
    fn late_answer_is_not_given_to_the_next_request() {
        let mut it = correlator();
        it.sent("a", Command::DownloadFile, 1).unwrap();
        assert_eq!(it.cancel("a"), Some(1));
        it.sent("b", Command::ReportJobStatus, 2).unwrap();
        assert!(it.in_doubt());
        assert!(matches!(
            it.answered(&answer(BARE_ERROR)),
            Match::Late { req_id, command: Command::DownloadFile } if req_id == "a"
        ));
        assert!(!it.in_doubt());
        assert_eq!(owner(it.answered(&answer(BARE_OK))), (2, MatchedBy::Order));
        assert_eq!(it.tombstones(), 0);
    }

    #[test]
    fn chosen_requests_become_tombstones() {
        let mut it = wide();
        it.sent("a", Command::ReportJobStatus, 1).unwrap();
        it.sent("b", Command::ReportJobStatus, 2).unwrap();
        assert_eq!(it.cancel_where(|waiter| *waiter == 1), [1]);
        assert!(matches!(it.answered(&answer(BARE_OK)), Match::Late { .. }));
        assert_eq!(owner(it.answered(&answer(BARE_OK))).0, 2);
    }

    #[test]
    fn late_file_is_not_given_to_anybody() {
        let mut it = correlator();
        it.sent("a", Command::DownloadFile, 1).unwrap();
        it.cancel("a");
        it.sent("b", Command::DownloadFile, 2).unwrap();
        assert!(matches!(it.answered_with_file("a"), Match::Late { .. }));
        assert!(matches!(it.answered_with_file("a"), Match::Nobody));
        assert_eq!(owner(it.answered_with_file("b")).0, 2);
    }

    #[test]
    fn tombstone_without_answer_is_buried_by_a_younger_answer() {
        let mut it = correlator();
        it.sent("a", Command::ReportJobStatus, 1).unwrap();
        it.cancel("a");
        it.sent("b", Command::GetJobList, 2).unwrap();
        assert_eq!(owner(it.answered(&answer(LIST))).0, 2);
        assert_eq!(it.tombstones(), 0);
        it.sent("c", Command::ReportJobStatus, 3).unwrap();
        assert_eq!(owner(it.answered(&answer(BARE_OK))).0, 3);
    }

    #[test]
    fn second_answer_by_message_is_not_matched_by_order() {
        let mut it = correlator();
        let text = r#"{"errcode":-1,"errmsg":"system error, reqid: [a]"}"#;
        it.sent("a", Command::DownloadFile, 1).unwrap();
        assert_eq!(owner(it.answered(&answer(text))).0, 1);
        it.sent("b", Command::DownloadFile, 2).unwrap();
        assert!(matches!(it.answered(&answer(text)), Match::Nobody));
        assert_eq!(it.waiting(), 1);
    }

    #[test]
    fn strict_mode_refuses_answers_without_id() {
        let mut it = Correlator::new(CorrelatorOptions {
            strict: true,
            ..CorrelatorOptions::default()
        });
        it.sent("a", Command::GetJobList, 1).unwrap();
        assert!(matches!(it.answered(&answer(LIST)), Match::Headerless));
        assert_eq!(it.waiting(), 1);
    }

    #[test]
    fn answer_with_neither_code_nor_list_belongs_to_nobody() {
        let mut it = correlator();
        it.sent("a", Command::ReportJobStatus, 1).unwrap();
        assert!(matches!(it.answered(&answer("{}")), Match::Nobody));
        let echoed = answer(r#"{"headers":{"req_id":"a"}}"#);
        assert_eq!(owner(it.answered(&echoed)).0, 1, "an id is enough");
    }

    #[test]
    fn queue_is_bounded_and_ids_are_unique() {
        let mut it = Correlator::new(CorrelatorOptions {
            capacity: 2,
            ..CorrelatorOptions::default()
        });
        it.sent("a", Command::GetJobList, 1).unwrap();
        let second = it.sent("b", Command::GetJobList, 2);
        assert!(matches!(second, Err(ProtocolError::Busy { limit: 1 })));
        let same = it.sent("a", Command::Ping, 2);
        assert!(matches!(same, Err(ProtocolError::DuplicateRequest)));
        it.sent("b", Command::Ping, 2).unwrap();
        it.cancel("b");
        let third = it.sent("c", Command::Ping, 3);
        assert!(matches!(third, Err(ProtocolError::Busy { limit: 2 })));
    }

    #[test]
    fn lost_connection_wakes_everybody_who_waits() {
        let mut it = wide();
        it.sent("a", Command::GetJobList, 1).unwrap();
        it.sent("b", Command::Ping, 2).unwrap();
        it.cancel("a");
        assert_eq!(it.clear(), [2]);
        assert_eq!((it.waiting(), it.tombstones()), (0, 0));
    }
}
