//! One word for one thing: names and phrases that the field's terms have replaced do not come back.

use super::Violation;

/// Names of items that meant something of their own here, and what the field calls it.
const NAMES: &[(&str, &str)] = &[
    ("Facts", "KindPolicy"),
    ("Pacing", "PollSchedule"),
    ("Patience", "WaitOptions"),
    ("Unwatched", "WatchError"),
    ("ForeignTicket", "ResumeError"),
    ("FleetSettings", "FleetConfig"),
    ("Lane", "KindHandle"),
    ("Reach", "SsrfGuard"),
    ("Beat", "ScriptStep"),
    ("Play", "Script"),
    ("Subject", "KindUnderTest"),
    ("Quota", "RateLimiter"),
    ("Submission", "Result<Job<K>, SubmitError>"),
    ("NotTaken", "SubmitError"),
    ("Settle", "ClaimUpdate"),
    ("Taking", "ClaimOutcome"),
    ("Keeper", "LeaseHeartbeat"),
    ("Paces", "PollModels"),
    ("Lesson", "PollModel"),
    ("Shift", "Worker"),
    ("Todo", "WorkItem"),
    ("Errand", "WorkClass"),
    ("Hands", "WorkerContext"),
    ("Bring", "FetchTask"),
    ("Desk", "DynHandler"),
    ("Press", "PrintRunner"),
    ("Halt", "ShutdownSignal"),
    ("Wishes", "WaitArgs"),
    ("Carrier", "JobRunner"),
    ("Brought", "FetchedResult"),
    ("Shelf", "TestLedger"),
    ("Shot", "KillPoint"),
    ("Twins", "SameInput"),
    ("Crowd", "ManyJobs"),
    ("Fate", "Disposition"),
    ("Looks", "PollResults"),
    ("nudge", "poll_soon"),
    ("carry_on", "continue_from"),
    ("give_to_a_person", "park_for_review"),
    ("push_hint", "record_webhook"),
    ("take_in", "import"),
    ("first_look", "initial_delay"),
    ("look_timeout", "poll_timeout"),
    ("desk", "account"),
    ("turnstile", "fair_lock"),
    ("yard", "fake_vendor"),
    ("backlog", "event_queue"),
    ("flights", "in_flight"),
    ("outlines", "snapshot_interner"),
];

/// The same for names inside `jobs-core`, where the words have their other meaning nowhere.
const CORE_NAMES: &[(&str, &str)] = &[
    ("look", "poll"),
    ("looks", "polls"),
    ("looked", "polled"),
    ("lane", "kind"),
    ("gate", "limit"),
    ("patience", "options"),
    ("facts", "policy"),
    ("quota", "limiter"),
    ("outlook", "forecast"),
    ("aloft", "batch"),
    ("landed", "finished"),
    ("insist", "enforce"),
    ("blind", "unreachable"),
    ("verdict", "retry::decide"),
];

/// Phrases in comments, messages and pages.
const PHRASES: &[(&str, &str)] = &[
    ("vendor in trouble", "service unavailable"),
    ("local trouble", "local I/O error"),
    ("brought home", "fetched"),
    ("gone on with", "continued"),
    ("how-manieth", "generation"),
    ("left to a person", "needs attention"),
    ("riding along", "coalesced"),
];

/// Every old word in a file.
pub(crate) fn check(path: &str, text: &str) -> Vec<Violation> {
    let is_source = path.ends_with(".rs") && path.contains("/src/");
    if path.ends_with("tidy/vocabulary.rs") || !(is_source || path.ends_with(".md")) {
        return Vec::new();
    }
    let is_core = path.starts_with("crates/jobs-core/src/");
    let core = CORE_NAMES.iter().filter(|_| is_core);
    let names: Vec<_> = NAMES.iter().chain(core).filter(|_| is_source).collect();
    let mut violations = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut found = |old: &str, new: &str| {
            let message = format!("`{old}` is called `{new}`");
            violations.push(Violation::new(path, number + 1, message));
        };
        let lower = line.to_lowercase();
        for (old, new) in PHRASES.iter().filter(|(old, _)| lower.contains(old)) {
            found(old, new);
        }
        for word in words_of_code(line) {
            for (old, new) in names.iter().filter(|(old, _)| *old == word) {
                found(old, new);
            }
        }
    }
    violations
}

/// The identifiers of a line, without remarks and literal texts.
fn words_of_code(line: &str) -> impl Iterator<Item = &str> {
    // Every second piece between quotes is a text; an escaped quote in one only hides or shows a few words too many.
    let code = line.split("//").next().unwrap_or_default();
    let pieces = code.split('"').step_by(2);
    pieces.flat_map(|piece| piece.split(|it: char| !it.is_alphanumeric() && it != '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [usize; 0] = [];

    fn found(path: &str, text: &str) -> Vec<usize> {
        let violations = check(path, text);
        violations.iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn an_old_name_is_found_in_code_and_only_there() {
        let text = "struct Quota;\n// A Quota of one's own.\nlet said = \"the Quota\";\nlet a = Quota::new(desk);\n";
        assert_eq!(found("crates/a/src/b.rs", text), [1, 4, 4]);
        assert_eq!(found("crates/a/tests/b.rs", text), NONE);
        assert_eq!(found("README.md", text), NONE);
    }

    #[test]
    fn a_word_with_two_meanings_is_banned_where_it_has_only_the_old_one() {
        let text = "let look = gate.open();\n";
        assert_eq!(found("crates/jobs-core/src/fleet/a.rs", text), [1, 1]);
        assert_eq!(found("crates/vendor-sim/src/a.rs", text), NONE);
    }

    #[test]
    fn an_old_phrase_is_found_wherever_people_read() {
        for path in ["crates/a/src/b.rs", "docs/a.md", "README.md"] {
            assert_eq!(
                found(path, "//! The file is Brought Home.\n"),
                [1],
                "{path}"
            );
        }
    }
}
