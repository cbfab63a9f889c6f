//! Matching answers to requests, against a model of the cloud: one queue, answered in order.

use std::collections::VecDeque;

use proptest::prelude::*;
use serde_json::json;

use crate::Command;
use crate::correlate::{Correlator, CorrelatorOptions, Match};

use super::answer;

/// How the model of the cloud answers the oldest request.
#[derive(Debug, Clone, Copy)]
enum Style {
    Echo,
    Suffix,
    Headerless,
    Lost,
}

#[derive(Debug, Clone)]
enum Move {
    Send(Command),
    Answer { style: Style, good: bool },
    GiveUp,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let command = prop::sample::select(vec![
        Command::GetJobList,
        Command::DownloadFile,
        Command::ReportJobStatus,
        Command::UploadScanFile,
        Command::GenQrcode,
        Command::Ping,
    ]);
    let style = prop::sample::select(vec![
        Style::Echo,
        Style::Suffix,
        Style::Headerless,
        Style::Headerless,
        Style::Lost,
    ]);
    let one = prop_oneof![
        3 => command.prop_map(Move::Send),
        3 => (style, any::<bool>()).prop_map(|(style, good)| Move::Answer { style, good }),
        1 => Just(Move::GiveUp),
    ];
    prop::collection::vec(one, 0..120)
}

/// Delivers one answer and returns who got it.
fn deliver(
    correlator: &mut Correlator<u64>,
    id: u64,
    command: Command,
    style: Style,
    good: bool,
) -> Option<u64> {
    let req_id = id.to_string();
    let found = if good && command.answers_with_file() {
        correlator.answered_with_file(&req_id)
    } else {
        let mut message = json!({"errcode": 0, "errmsg": "ok"});
        if !good {
            message = json!({"errcode": -1, "errmsg": "system error, hint: [17_1_ab]"});
        } else if command == Command::GetJobList {
            message["body"] = json!({"printer_job_list": []});
        }
        match style {
            Style::Suffix if !good => {
                message["errmsg"] = json!(format!("system error, reqid: [{req_id}]"));
            }
            Style::Headerless if command.is_printer() => {}
            _ => message["headers"] = json!({"req_id": req_id}),
        }
        correlator.answered(&answer(&message.to_string()))
    };
    match found {
        Match::Owner(owner) => Some(owner.waiter),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn answer_is_never_handed_to_a_wrong_request(moves in moves()) {
        let mut correlator = Correlator::new(CorrelatorOptions::default());
        let mut cloud: VecDeque<(u64, Command)> = VecDeque::new();
        let mut open: Vec<u64> = Vec::new();
        let mut next = 0_u64;
        let mut lost = false;
        for it in moves {
            match it {
                Move::Send(command) => {
                    next += 1;
                    if correlator.sent(&next.to_string(), command, next).is_ok() {
                        cloud.push_back((next, command));
                        open.push(next);
                    }
                }
                Move::Answer { style, good } => {
                    let Some((id, command)) = cloud.pop_front() else { continue };
                    if matches!(style, Style::Lost) {
                        lost = true;
                        continue;
                    }
                    let waited = open.contains(&id);
                    match deliver(&mut correlator, id, command, style, good) {
                        Some(owner) => {
                            prop_assert_eq!(owner, id, "handed to a wrong request");
                            open.retain(|&other| other != owner);
                        }
                        // Only after a lost answer may one be withheld from its request.
                        None => prop_assert!(!waited || lost, "withheld without reason"),
                    }
                }
                Move::GiveUp => {
                    if let Some(id) = open.pop() {
                        prop_assert_eq!(correlator.cancel(&id.to_string()), Some(id));
                    }
                }
            }
            prop_assert_eq!(correlator.waiting(), open.len());
            prop_assert!(correlator.waiting() + correlator.tombstones() <= 256);
        }
        let mut left = correlator.clear();
        left.sort_unstable();
        open.sort_unstable();
        prop_assert_eq!(left, open, "somebody would wait for ever");
        prop_assert_eq!(correlator.tombstones(), 0);
    }

    #[test]
    fn nothing_is_left_when_everything_is_answered(commands in prop::collection::vec(0_usize..6, 1..40), give_up in any::<u64>()) {
        let kinds = [Command::GetJobList, Command::DownloadFile, Command::ReportJobStatus,
            Command::UploadScanFile, Command::GenQrcode, Command::Ping];
        let mut options = CorrelatorOptions::default();
        options.printer_in_flight = 1000;
        let mut correlator = Correlator::new(options);
        for (id, &kind) in (0_u64..).zip(&commands) {
            correlator.sent(&id.to_string(), kinds[kind], id).unwrap();
            if give_up >> (id % 64) & 1 == 1 {
                correlator.cancel(&id.to_string());
            }
        }
        for (id, &kind) in (0_u64..).zip(&commands) {
            deliver(&mut correlator, id, kinds[kind], Style::Echo, true);
        }
        prop_assert_eq!(correlator.waiting() + correlator.tombstones(), 0);
    }
}
