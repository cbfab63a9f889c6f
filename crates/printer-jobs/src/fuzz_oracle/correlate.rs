//! Matching answers to requests, against a cloud that answers in order, echoes what it likes, and loses or doubles answers.
use std::collections::{BTreeSet, VecDeque};

use crate::Command;
use crate::correlate::{Correlator, CorrelatorOptions, Match, MatchedBy};
use crate::envelope::{Answer, Incoming, decode};
use serde_json::json;

/// One byte is one move, so that a short input is a long story.
#[derive(Debug)]
enum Move {
    Send(u8),
    /// The cloud answers the oldest request it has not answered.
    Answer(Style, Outcome),
    /// Its answer never comes.
    Lose,
    /// The answer that came last comes again.
    Again,
    /// An answer to what was never asked.
    Foreign(u8),
    GiveUp(u8),
    GiveUpWhere(u8),
    Reconnect,
}

#[derive(Debug, Clone, Copy)]
enum Style {
    Echo,
    Suffix,
    /// Only printer commands were seen to be answered so; others fall back to the echo.
    Headerless,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    Good,
    Refused,
    /// The code says success, the file or list is missing.
    Bare,
}

impl From<u8> for Move {
    fn from(byte: u8) -> Self {
        let choice = byte >> 3;
        match byte % 8 {
            0..=2 => Self::Send(choice),
            3 | 4 => Self::Answer(
                [Style::Echo, Style::Suffix, Style::Headerless][usize::from(choice % 3)],
                [Outcome::Good, Outcome::Refused, Outcome::Bare][usize::from(choice / 3 % 3)],
            ),
            5 => Self::GiveUp(choice),
            6 => Self::GiveUpWhere(choice),
            _ => match choice % 4 {
                0 => Self::Lose,
                1 => Self::Again,
                2 => Self::Foreign(choice),
                _ => Self::Reconnect,
            },
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Request {
    id: u64,
    command: Command,
}

struct World {
    correlator: Correlator<u64>,
    strict: bool,
    capacity: usize,
    /// What the cloud has still to answer.
    cloud: VecDeque<Request>,
    open: BTreeSet<u64>,
    answered: Option<Request>,
    next: u64,
    /// Whether an answer was withheld by the cloud or refused by strict mode on this connection.
    lost: bool,
}

/// A story of requests and answers, one byte a move.
pub fn correlate(bytes: &[u8]) {
    let Some((first, moves)) = bytes.split_first() else {
        return;
    };
    let mut options = CorrelatorOptions::default();
    options.strict = first % 4 == 1;
    if first % 4 > 1 {
        options.capacity = usize::from(first >> 2);
    }
    let mut world = World {
        correlator: Correlator::new(options),
        strict: options.strict,
        capacity: options.capacity,
        cloud: VecDeque::new(),
        open: BTreeSet::new(),
        answered: None,
        next: 0,
        lost: false,
    };
    for byte in moves {
        world.play(&Move::from(*byte));
        world.check();
    }
    world.reconnect();
    world.check();
}

impl World {
    fn play(&mut self, one: &Move) {
        match *one {
            Move::Send(choice) => self.send(Command::ALL[usize::from(choice) % 16]),
            Move::Answer(style, outcome) => self.answer(style, outcome),
            Move::Lose => self.lost |= self.cloud.pop_front().is_some(),
            Move::Again => self.again(),
            Move::Foreign(id) => self.foreign(id),
            Move::GiveUp(choice) => self.give_up(choice),
            Move::GiveUpWhere(bit) => self.give_up_where(bit),
            Move::Reconnect => self.reconnect(),
        }
    }

    fn send(&mut self, command: Command) {
        let room = self.correlator.has_room(command).is_ok();
        let id = self.next;
        let sent = self.correlator.sent(&name(id), command, id).is_ok();
        assert_eq!(sent, room, "has_room and sent disagree");
        if sent {
            self.next += 1;
            self.cloud.push_back(Request { id, command });
            self.open.insert(id);
            assert!(self.correlator.sent(&name(id), command, id).is_err());
        }
    }

    fn answer(&mut self, style: Style, outcome: Outcome) {
        let Some(request) = self.cloud.pop_front() else {
            return;
        };
        let waited = self.open.contains(&request.id);
        let found = deliver(&mut self.correlator, request, style, outcome);
        match found {
            Match::Owner(owner) => {
                assert_eq!(owner.waiter, request.id, "handed to a wrong request");
                assert_eq!(owner.req_id, name(request.id));
                assert_eq!(owner.command, request.command);
                assert!(!self.strict || owner.by == MatchedBy::ReqId);
                assert!(self.open.remove(&request.id), "handed over twice");
            }
            Match::Late { req_id, .. } => {
                // Only after a lost answer may one be withheld from its request, or credited to an older one.
                assert!(self.lost || (!waited && req_id == name(request.id)));
            }
            Match::Nobody => assert!(self.lost, "withheld without reason"),
            Match::Headerless => {
                assert!(self.strict);
                self.lost = true;
            }
        }
        self.answered = Some(request);
    }

    /// A second answer that names its request reaches nobody.
    fn again(&mut self) {
        let Some(request) = self.answered else { return };
        // Without a trace of the first answer, the request may still be open.
        if self.lost {
            return;
        }
        for style in [Style::Echo, Style::Suffix] {
            let found = deliver(&mut self.correlator, request, style, Outcome::Refused);
            assert!(matches!(found, Match::Nobody | Match::Headerless));
        }
    }

    fn foreign(&mut self, id: u8) {
        let req_id = format!("not ours {id}");
        let echo = answer(&json!({"headers": {"req_id": req_id}, "errcode": id}).to_string());
        assert!(matches!(self.correlator.answered(&echo), Match::Nobody));
        let file = self.correlator.answered_with_file(&req_id);
        assert!(matches!(file, Match::Nobody));
        let empty = self.correlator.answered(&answer("{}"));
        assert!(matches!(empty, Match::Nobody | Match::Headerless));
    }

    fn give_up(&mut self, choice: u8) {
        let place = usize::from(choice) % self.open.len().max(1);
        if let Some(id) = self.open.iter().nth(place).copied() {
            assert_eq!(self.correlator.cancel(&name(id)), Some(id));
            assert_eq!(self.correlator.cancel(&name(id)), None);
            self.open.remove(&id);
        }
    }

    fn give_up_where(&mut self, bit: u8) {
        let chosen = |id: &u64| id >> (bit % 8) & 1 == 1;
        let mut given_up = self.correlator.cancel_where(chosen);
        given_up.sort_unstable();
        let expected: Vec<u64> = self.open.iter().copied().filter(chosen).collect();
        assert_eq!(given_up, expected);
        self.open.retain(|id| !chosen(id));
    }

    fn reconnect(&mut self) {
        let mut left = self.correlator.clear();
        left.sort_unstable();
        let open: Vec<u64> = self.open.iter().copied().collect();
        assert_eq!(left, open, "somebody would wait for ever");
        assert_eq!(self.correlator.tombstones(), 0);
        self.open.clear();
        self.cloud.clear();
        self.answered = None;
        self.lost = false;
    }

    fn check(&self) {
        let (waiting, tombstones) = (self.correlator.waiting(), self.correlator.tombstones());
        assert_eq!(waiting, self.open.len());
        assert!(waiting + tombstones <= self.capacity);
        if !self.lost {
            assert_eq!(waiting + tombstones, self.cloud.len(), "a place leaks");
        }
        assert!(!self.correlator.in_doubt() || tombstones > 0 && waiting > 0);
    }
}

fn deliver(
    correlator: &mut Correlator<u64>,
    request: Request,
    style: Style,
    outcome: Outcome,
) -> Match<u64> {
    let Request { id, command } = request;
    if outcome == Outcome::Good && command.answers_with_file() {
        return correlator.answered_with_file(&name(id));
    }
    let mut message = json!({"errcode": 0, "errmsg": "ok"});
    match outcome {
        Outcome::Good if command == Command::GetJobList => {
            message["body"] = json!({"printer_job_list": []});
        }
        Outcome::Good | Outcome::Bare => {}
        Outcome::Refused => {
            message = json!({"errcode": -1, "errmsg": "system error, hint: [17_1_ab]"});
        }
    }
    // Nobody saw a success without its file; without an id too, it would look like the next request's answer.
    let fileless = outcome == Outcome::Bare && command.answers_with_file();
    match style {
        Style::Suffix if outcome == Outcome::Refused => {
            message["errmsg"] = json!(format!("system error, reqid: [{}]", name(id)));
        }
        Style::Headerless if command.is_printer() && !fileless => {}
        Style::Echo | Style::Suffix | Style::Headerless => {
            message["headers"] = json!({"req_id": name(id)});
        }
    }
    correlator.answered(&answer(&message.to_string()))
}

fn answer(text: &str) -> Answer {
    match decode(text.as_bytes(), 4096) {
        Ok(Incoming::Answer(answer)) => answer,
        other => panic!("{other:?}"),
    }
}

fn name(id: u64) -> String {
    format!("r-{id}")
}
