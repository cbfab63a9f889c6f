//! The login machine, driven by hand.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::Command;
use crate::code::Code;
use crate::login::{
    Action, CallId, Credential, Identity, Input, Login, LoginEvent, LoginOptions, Phase,
    StepContext,
};
use jobs_core::Secret;

use super::answer;

const SECRET_NO: &str = "00112233445566778899aabbccddeeff";

/// A machine, the time, and everything it asked for.
struct Bench {
    login: Login,
    now: Duration,
    /// The device's clock at `now` zero.
    unix: u64,
    random: u64,
    actions: Vec<Action>,
}

impl Bench {
    fn new(identity: Identity) -> Self {
        Self::with_options(identity, LoginOptions::new("1.0"))
    }

    fn with_options(identity: Identity, options: LoginOptions) -> Self {
        Self {
            login: Login::new(identity, options).unwrap(),
            now: Duration::from_secs(1000),
            unix: 1_700_000_000,
            random: 1 << 63,
            actions: Vec::new(),
        }
    }

    fn give(&mut self, input: Input) {
        let given = StepContext {
            now: self.now,
            unix: self.unix + self.now.as_secs() - 1000,
            random: self.random,
        };
        let (login, actions) = self.login.clone().step(given, input);
        self.login = login;
        self.actions.extend(actions);
    }

    /// Connected, with the first request of the connection still unanswered.
    fn connected(identity: Identity) -> Self {
        let mut bench = Self::new(identity);
        bench.give(Input::Start);
        assert_eq!(bench.count(|action| matches!(action, Action::Connect)), 1);
        bench.give(Input::Connected);
        bench
    }

    fn online() -> Self {
        let mut bench = Self::connected(own());
        bench.log_in();
        bench
    }

    fn log_in(&mut self) {
        self.reply(Command::Register, REGISTERED);
        self.reply(Command::Active, ACTIVE);
        self.reply(Command::SubscribeCorp, OK);
        assert_eq!(self.login.phase(), Phase::Online);
        self.actions.clear();
    }

    /// Closes the connection that was hung up and opens the next one as soon as that is due.
    fn reconnect(&mut self) -> Duration {
        let closed_at = self.now;
        self.give(Input::Disconnected);
        if let Some(due) = self.login.wake_at() {
            self.now = due;
            self.give(Input::Wake);
        }
        assert_eq!(self.login.phase(), Phase::Connecting);
        self.actions.clear();
        self.give(Input::Connected);
        self.now - closed_at
    }

    /// Answers the last request, which must be this one.
    fn reply(&mut self, command: Command, json: &str) {
        let (call, sent, _) = self.sent().pop().expect("nothing sent");
        assert_eq!(sent, command);
        self.give(Input::Answered {
            call,
            answer: answer(json),
        });
    }

    fn refuse(&mut self, command: Command, code: i64) {
        let text = json!({"errcode": code, "errmsg": "no, hint: [17_1_ab]"}).to_string();
        self.reply(command, &text);
    }

    /// What was sent since the actions were last cleared.
    fn sent(&self) -> Vec<(CallId, Command, Value)> {
        let mut sent = Vec::new();
        for action in &self.actions {
            if let Action::Send { call, request } = action {
                let text = request.encode("r").unwrap();
                sent.push((
                    *call,
                    request.command(),
                    serde_json::from_str(&text).unwrap(),
                ));
            }
        }
        sent
    }

    fn commands(&self) -> Vec<Command> {
        self.sent()
            .into_iter()
            .map(|(_, command, _)| command)
            .collect()
    }

    fn last_body(&self) -> Value {
        self.sent().pop().expect("nothing sent").2["body"].clone()
    }

    fn count(&self, which: impl Fn(&Action) -> bool) -> usize {
        self.actions.iter().filter(|action| which(action)).count()
    }

    fn told(&self, notice: &LoginEvent) -> usize {
        self.count(|action| matches!(action, Action::Tell(told) if told == notice))
    }

    fn hung_up(&self) -> bool {
        self.count(|action| matches!(action, Action::Close)) == 1
            && self.count(|action| matches!(action, Action::FailOpenRequests)) == 1
    }

    fn erased_binding(&self) -> usize {
        self.count(|action| matches!(action, Action::EraseBinding))
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.give(Input::Wake);
    }

    /// Runs timers only, for so long.
    fn idle(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while let Some(due) = self.login.wake_at().filter(|due| *due <= end) {
            self.now = due.max(self.now);
            self.give(Input::Wake);
        }
        self.now = end;
    }
}

const OK: &str = r#"{"errcode":0,"errmsg":"ok"}"#;
const REGISTERED: &str = r#"{"errcode":0,"errmsg":"ok","body":{"active_code":"code-1"}}"#;
const ACTIVE: &str = r#"{"errcode":0,"errmsg":"ok","body":{"secret":"secret-1"}}"#;

fn own() -> Identity {
    Identity::with_secret_no("TEST-SN-0001", Secret::new(SECRET_NO).unwrap())
}

fn bound() -> Identity {
    let mut identity = own();
    identity.active_code = Some(Secret::new("code-0").unwrap());
    identity.secret = Some(Secret::new("secret-0").unwrap());
    identity
}

fn seeded() -> Identity {
    Identity::with_seed("TEST-SN-0001", Secret::new(SECRET_NO).unwrap())
}

fn secret_of(action: &Action) -> Option<(&'static str, String)> {
    match action {
        Action::Store(Credential::SecretNo(it)) => Some(("secret_no", it.expose().to_owned())),
        Action::Store(Credential::ActiveCode(it)) => Some(("active_code", it.expose().to_owned())),
        Action::Store(Credential::Secret(it)) => Some(("secret", it.expose().to_owned())),
        _ => None,
    }
}

#[test]
fn login_goes_through_register_active_subscribe() {
    let mut bench = Bench::connected(own());
    bench.random = 7;
    assert_eq!(bench.last_body()["sn"], "TEST-SN-0001");
    assert_eq!(bench.last_body()["timestamp"], 1_700_000_000);
    assert!(!bench.login.allows(Command::GetJobList));
    bench.reply(Command::Register, REGISTERED);
    assert_eq!(bench.last_body(), json!({"active_code": "code-1"}));
    bench.reply(Command::Active, ACTIVE);
    assert_eq!(
        bench.last_body(),
        json!({"secret": "secret-1", "firmware_version": "1.0"})
    );
    assert_eq!(bench.login.phase(), Phase::LoggingIn);
    bench.reply(Command::SubscribeCorp, OK);
    assert_eq!(bench.login.phase(), Phase::Online);
    assert_eq!(bench.told(&LoginEvent::Online), 1);
    assert!(bench.login.allows(Command::GetJobList));
    assert!(!bench.login.allows(Command::Register));
    assert_eq!(
        bench.commands(),
        [Command::Register, Command::Active, Command::SubscribeCorp]
    );
    let stored: Vec<_> = bench.actions.iter().filter_map(secret_of).collect();
    assert_eq!(
        stored,
        [
            ("active_code", "code-1".to_owned()),
            ("secret", "secret-1".to_owned())
        ]
    );
}

#[test]
fn signature_is_made_of_the_given_time_and_random_number() {
    let mut bench = Bench::new(own());
    bench.random = 987_654_321;
    bench.give(Input::Start);
    bench.give(Input::Connected);
    let body = bench.last_body();
    assert_eq!(body["nonce"], 987_654_321);
    assert_eq!(
        body["device_signature"],
        "54565649e5712308cca224166aecd589deedb899"
    );
}

#[test]
fn seed_is_exchanged_once_before_register() {
    let mut bench = Bench::connected(seeded());
    assert_eq!(bench.commands(), [Command::GetSecretNo]);
    bench.reply(
        Command::GetSecretNo,
        r#"{"errcode":0,"body":{"secret_no":"ffff"}}"#,
    );
    assert_eq!(bench.commands(), [Command::GetSecretNo, Command::Register]);
    let stored: Vec<_> = bench.actions.iter().filter_map(secret_of).collect();
    assert_eq!(stored, [("secret_no", "ffff".to_owned())]);
    bench.give(Input::Disconnected);
    bench.actions.clear();
    bench.idle(2);
    bench.give(Input::Connected);
    assert_eq!(bench.commands(), [Command::Register]);
}

#[test]
fn empty_secret_no_is_not_kept() {
    let mut bench = Bench::connected(seeded());
    bench.reply(
        Command::GetSecretNo,
        r#"{"errcode":0,"body":{"secret_no":""}}"#,
    );
    assert!(bench.hung_up());
    assert!(
        bench
            .actions
            .iter()
            .all(|action| secret_of(action).is_none())
    );
}

#[test]
fn incomplete_identity_is_refused() {
    let options = || LoginOptions::new("1.0");
    let mut nothing = own();
    nothing.secret_no = None;
    assert!(Login::new(nothing, options()).is_err());
    let mut forbidden = seeded();
    forbidden.active_code = Some(Secret::new("code").unwrap());
    assert!(Login::new(forbidden, options()).is_err());
    assert!(
        Login::new(
            Identity::with_seed("", Secret::new("x").unwrap()),
            options()
        )
        .is_err()
    );
    assert!(Login::new(own(), LoginOptions::new("")).is_err());
}

#[test]
fn unbound_device_asks_every_five_seconds() {
    let mut bench = Bench::connected(own());
    bench.reply(Command::Register, REGISTERED);
    for round in 1..=4 {
        bench.refuse(Command::Active, 600_004);
        assert_eq!(bench.login.phase(), Phase::AwaitingBinding);
        assert_eq!(
            bench.login.wake_at(),
            Some(bench.now + Duration::from_secs(5))
        );
        bench.pass(4);
        assert_eq!(bench.commands().len(), 1 + round, "not before five seconds");
        bench.pass(1);
        assert_eq!(bench.commands().len(), 2 + round);
    }
    assert_eq!(bench.told(&LoginEvent::AwaitingBinding), 1);
    assert_eq!(bench.erased_binding(), 1, "erased once, not at each look");
    bench.reply(Command::Active, ACTIVE);
    bench.reply(Command::SubscribeCorp, OK);
    assert_eq!(bench.login.phase(), Phase::Online);
    assert_eq!(
        bench
            .commands()
            .iter()
            .filter(|it| **it == Command::Register)
            .count(),
        1
    );
}

#[test]
fn bind_push_makes_the_device_ask_at_once() {
    let mut bench = Bench::connected(own());
    bench.reply(Command::Register, REGISTERED);
    bench.refuse(Command::Active, 600_004);
    bench.pass(1);
    let before = bench.commands().len();
    bench.give(Input::Bound);
    bench.give(Input::Bound);
    assert_eq!(bench.commands().len(), before + 1, "one at a time");
    bench.reply(Command::Active, ACTIVE);
    bench.reply(Command::SubscribeCorp, OK);
    assert_eq!(bench.login.phase(), Phase::Online);
}

#[test]
fn busy_answer_of_an_unbound_device_is_asked_again_without_end() {
    let mut bench = Bench::connected(own());
    bench.reply(Command::Register, REGISTERED);
    for _ in 0..10 {
        bench.reply(
            Command::Active,
            r#"{"errcode":-1,"errmsg":"system error","body":{"secret":""}}"#,
        );
        assert_eq!(bench.count(|it| matches!(it, Action::Close)), 0);
        bench.pass(5);
    }
    assert_eq!(bench.commands().len(), 1 + 11);
    assert!(
        bench
            .actions
            .iter()
            .filter_map(secret_of)
            .all(|(kind, _)| kind != "secret")
    );
}

#[test]
fn busy_answer_of_a_bound_device_is_repeated_three_times() {
    let mut bench = Bench::connected(bound());
    bench.reply(Command::Register, REGISTERED);
    for _ in 0..3 {
        bench.refuse(Command::Active, -1);
        assert!(!bench.hung_up());
        bench.pass(5);
    }
    bench.refuse(Command::Active, -1);
    assert!(bench.hung_up());
}

#[test]
fn busy_subscribe_is_repeated_with_doubling_delays() {
    let mut bench = Bench::connected(own());
    bench.reply(Command::Register, REGISTERED);
    bench.reply(Command::Active, ACTIVE);
    for delay in [1, 2, 4] {
        bench.refuse(Command::SubscribeCorp, -1);
        assert_eq!(
            bench.login.wake_at(),
            Some(bench.now + Duration::from_secs(delay))
        );
        bench.pass(delay);
    }
    bench.refuse(Command::SubscribeCorp, -1);
    assert!(bench.hung_up());
}

#[test]
fn already_subscribed_is_success() {
    for code in [600_045, 600_054] {
        let mut bench = Bench::connected(own());
        bench.reply(Command::Register, REGISTERED);
        bench.reply(Command::Active, ACTIVE);
        bench.refuse(Command::SubscribeCorp, code);
        assert_eq!(bench.login.phase(), Phase::Online, "{code}");
        assert_eq!(bench.told(&LoginEvent::Online), 1);
        let refused = bench.count(|it| matches!(it, Action::Tell(LoginEvent::StepRefused(_))));
        assert_eq!(refused, 0, "{code}");
    }
}

#[test]
fn already_activated_goes_on_to_subscribe_with_the_stored_secret() {
    let mut bench = Bench::connected(bound());
    bench.reply(Command::Register, REGISTERED);
    bench.refuse(Command::Active, 600_053);
    assert_eq!(bench.last_body()["secret"], "secret-0");
    bench.reply(Command::SubscribeCorp, OK);
    assert_eq!(bench.login.phase(), Phase::Online);

    let mut bench = Bench::connected(own());
    bench.reply(Command::Register, REGISTERED);
    bench.refuse(Command::Active, 600_053);
    assert!(
        bench.hung_up(),
        "without a secret only a new connection helps"
    );
}

#[test]
fn already_registered_goes_on_to_active_with_the_stored_code() {
    for code in [600_002, 600_012] {
        let mut bench = Bench::connected(bound());
        bench.refuse(Command::Register, code);
        assert_eq!(
            bench.last_body(),
            json!({"active_code": "code-0"}),
            "{code}"
        );
        bench.reply(Command::Active, ACTIVE);
        bench.reply(Command::SubscribeCorp, OK);
        assert_eq!(bench.login.phase(), Phase::Online);
    }
}

#[test]
fn already_registered_without_a_code_stays_away_until_the_old_connection_times_out() {
    let mut bench = Bench::connected(own());
    bench.refuse(Command::Register, 600_002);
    assert!(bench.hung_up());
    assert!(bench.reconnect() >= Duration::from_secs(100));
    bench.log_in();
}

#[test]
fn held_device_that_cannot_activate_stays_away_too() {
    let mut bench = Bench::connected(bound());
    bench.refuse(Command::Register, 600_002);
    bench.refuse(Command::Active, 600_014);
    assert!(bench.hung_up());
    assert!(bench.reconnect() >= Duration::from_secs(100));
}

#[test]
fn invalid_active_code_is_erased_and_register_runs_on_a_new_connection() {
    let mut bench = Bench::connected(bound());
    bench.reply(Command::Register, r#"{"errcode":0,"body":{}}"#);
    assert_eq!(bench.last_body(), json!({"active_code": "code-0"}));
    bench.refuse(Command::Active, 600_003);
    assert_eq!(bench.count(|it| matches!(it, Action::EraseActiveCode)), 1);
    assert!(bench.hung_up());
    bench.reconnect();
    assert_eq!(bench.commands(), [Command::Register]);
}

#[test]
fn invalid_secret_is_erased_and_activated_again() {
    let mut bench = Bench::connected(bound());
    bench.reply(Command::Register, REGISTERED);
    bench.refuse(Command::Active, 600_053);
    bench.refuse(Command::SubscribeCorp, 600_005);
    assert_eq!(bench.count(|it| matches!(it, Action::EraseSecret)), 1);
    bench.pass(5);
    bench.reply(Command::Active, ACTIVE);
    assert_eq!(bench.last_body()["secret"], "secret-1");
}

#[test]
fn secret_refused_again_and_again_is_no_hot_loop() {
    let mut bench = Bench::connected(own());
    bench.reply(Command::Register, REGISTERED);
    let begin = bench.now;
    for _ in 0..5 {
        bench.reply(Command::Active, ACTIVE);
        bench.refuse(Command::SubscribeCorp, 600_005);
        bench.idle(5);
    }
    let asked = bench
        .commands()
        .iter()
        .filter(|it| **it == Command::Active)
        .count();
    assert_eq!(asked, 6);
    assert_eq!(bench.now - begin, Duration::from_secs(25));
}

#[test]
fn wrong_clock_is_corrected_by_the_clouds_and_tried_once_more() {
    for code in [600_023, 600_011] {
        let mut bench = Bench::connected(own());
        bench.unix = 1_600_000_000;
        bench.refuse(Command::Register, code);
        assert!(bench.hung_up(), "register runs once per connection");
        bench.reconnect();
        assert_eq!(bench.commands(), [Command::GetTimestamp]);
        bench.reply(
            Command::GetTimestamp,
            r#"{"errcode":0,"body":{"timestamp":1700000500}}"#,
        );
        assert_eq!(bench.last_body()["timestamp"], 1_700_000_500, "{code}");
        assert_eq!(bench.login.cloud_time(1_600_000_000) / 1000, 1_700_000);
        bench.refuse(Command::Register, code);
        assert_eq!(bench.login.phase(), Phase::GaveUp, "{code}");
    }
}

#[test]
fn accepted_signature_allows_another_clock_sync_later() {
    let mut bench = Bench::connected(own());
    for _ in 0..3 {
        bench.refuse(Command::Register, 600_023);
        bench.reconnect();
        bench.reply(
            Command::GetTimestamp,
            r#"{"errcode":0,"body":{"timestamp":"1700000500"}}"#,
        );
        bench.log_in();
        bench.give(Input::Disconnected);
        bench.reconnect();
    }
}

#[test]
fn clock_sync_without_answer_does_not_stop_the_login() {
    let mut bench = Bench::connected(own());
    bench.refuse(Command::Register, 600_023);
    bench.reconnect();
    bench.pass(15);
    assert_eq!(bench.commands(), [Command::GetTimestamp, Command::Register]);
    let mut bench = Bench::connected(own());
    bench.refuse(Command::Register, 600_023);
    bench.reconnect();
    bench.refuse(Command::GetTimestamp, 600_020);
    assert_eq!(bench.commands(), [Command::GetTimestamp, Command::Register]);
}

#[test]
fn clock_can_be_synced_on_every_connection() {
    let mut options = LoginOptions::new("1.0");
    options.always_sync_clock = true;
    let mut bench = Bench::with_options(own(), options);
    bench.give(Input::Start);
    bench.give(Input::Connected);
    assert_eq!(bench.commands(), [Command::GetTimestamp]);
}

#[test]
fn fatal_codes_stop_the_machine_until_it_is_started_again() {
    for code in [
        600_001, 600_007, 600_008, 600_009, 600_010, 600_021, 600_036, 600_039, 600_051,
    ] {
        let mut bench = Bench::connected(own());
        bench.refuse(Command::Register, code);
        assert_eq!(bench.login.phase(), Phase::GaveUp, "{code}");
        assert!(bench.hung_up());
        let setback = bench.actions.iter().find_map(|it| match it {
            Action::Tell(LoginEvent::GaveUp(setback)) => Some(setback.clone()),
            _ => None,
        });
        let setback = setback.unwrap();
        assert_eq!(
            (setback.command, setback.code),
            (Command::Register, Code::new(code))
        );
        assert_eq!(setback.message, "no, hint: [17_1_ab]");
        assert_eq!(bench.login.wake_at(), None);
        bench.give(Input::Disconnected);
        bench.idle(1000);
        assert_eq!(bench.count(|it| matches!(it, Action::Connect)), 1);
        bench.give(Input::Start);
        assert_eq!(bench.count(|it| matches!(it, Action::Connect)), 2);
    }
    for (active, subscribe) in [(600_013, None), (0, Some(600_015)), (0, Some(600_030))] {
        let mut bench = Bench::connected(own());
        bench.reply(Command::Register, REGISTERED);
        match subscribe {
            None => bench.refuse(Command::Active, active),
            Some(code) => {
                bench.reply(Command::Active, ACTIVE);
                bench.refuse(Command::SubscribeCorp, code);
            }
        }
        assert_eq!(bench.login.phase(), Phase::GaveUp);
    }
}

#[test]
fn illegal_secret_no_status_runs_the_exchange_once_if_there_is_a_seed() {
    let mut identity = seeded();
    identity.secret_no = Some(Secret::new("ffff").unwrap());
    let mut bench = Bench::connected(identity);
    bench.refuse(Command::Register, 600_047);
    assert!(bench.hung_up());
    bench.reconnect();
    assert_eq!(bench.commands(), [Command::GetSecretNo]);
    bench.refuse(Command::GetSecretNo, 600_047);
    assert_eq!(bench.login.phase(), Phase::GaveUp);

    let mut bench = Bench::connected(own());
    bench.refuse(Command::Register, 600_047);
    assert_eq!(bench.login.phase(), Phase::GaveUp, "nothing to exchange");
}

#[test]
fn unknown_code_costs_a_connection_but_not_the_login() {
    let mut bench = Bench::connected(own());
    bench.refuse(Command::Register, 699_999);
    assert!(bench.hung_up());
    assert_eq!(bench.login.phase(), Phase::BackingOff);
    bench.reconnect();
    bench.log_in();
}

#[test]
fn unanswered_step_costs_the_connection() {
    let mut bench = Bench::connected(own());
    bench.pass(14);
    assert!(!bench.hung_up());
    bench.pass(1);
    assert!(bench.hung_up());
    let late = bench.sent()[0].0;
    bench.give(Input::Answered {
        call: late,
        answer: answer(REGISTERED),
    });
    assert_eq!(bench.commands().len(), 1, "a late answer moves nothing");
}

#[test]
fn connection_that_never_opens_is_given_up() {
    let mut bench = Bench::new(own());
    bench.give(Input::Start);
    bench.pass(30);
    assert!(bench.hung_up());
    bench.give(Input::Connected);
    assert!(bench.sent().is_empty(), "too late: it is being closed");
}

#[test]
fn ping_goes_out_every_thirty_seconds_and_answers_keep_the_link() {
    let mut bench = Bench::online();
    for _ in 0..10 {
        bench.pass(30);
        bench.reply(Command::Ping, OK);
    }
    assert_eq!(bench.commands(), [Command::Ping; 10]);
    assert!(!bench.hung_up());
}

#[test]
fn ping_interval_is_jittered_inside_the_vendors_bounds() {
    for (random, seconds) in [(0, 27), (1 << 63, 30), (u64::MAX, 32)] {
        let mut bench = Bench::connected(own());
        bench.random = random;
        bench.log_in();
        let wait = bench.login.wake_at().unwrap() - bench.now;
        assert_eq!(wait.as_secs(), seconds);
    }
}

#[test]
fn two_missed_pings_end_the_connection() {
    let mut bench = Bench::online();
    let online_at = bench.now;
    while !bench.hung_up() {
        bench.now = bench.login.wake_at().unwrap();
        bench.give(Input::Wake);
    }
    assert_eq!(bench.commands(), [Command::Ping; 2]);
    assert_eq!(bench.now - online_at, Duration::from_secs(75));
    assert_eq!(bench.told(&LoginEvent::Offline), 1);
}

#[test]
fn seventy_five_seconds_of_silence_end_the_connection_whatever_the_pings_say() {
    let mut options = LoginOptions::new("1.0");
    options.times.missed_pings = 100;
    let mut bench = Bench::with_options(own(), options);
    bench.give(Input::Start);
    bench.give(Input::Connected);
    bench.log_in();
    bench.idle(74);
    assert!(!bench.hung_up());
    bench.idle(1);
    assert!(bench.hung_up());
}

#[test]
fn link_that_is_heard_is_not_dead_though_pings_stand_in_the_queue() {
    let mut bench = Bench::online();
    for _ in 0..30 {
        bench.idle(10);
        bench.give(Input::Heard);
    }
    assert!(!bench.hung_up());
}

#[test]
fn lost_connection_fails_open_requests_before_the_next_connection() {
    let mut bench = Bench::online();
    bench.give(Input::Disconnected);
    assert!(matches!(
        bench.actions[..],
        [Action::Tell(LoginEvent::Offline), Action::FailOpenRequests]
    ));
    assert!(!bench.login.allows(Command::GetJobList));
    bench.idle(1);
    assert!(matches!(bench.actions[2..], [Action::Connect]));
}

#[test]
fn reconnects_back_off_and_a_healthy_login_resets_that() {
    let mut bench = Bench::new(own());
    bench.random = u64::MAX;
    bench.give(Input::Start);
    let mut delays = Vec::new();
    for _ in 0..8 {
        bench.give(Input::Disconnected);
        let due = bench.login.wake_at().unwrap();
        delays.push((due - bench.now).as_secs_f64().round());
        bench.now = due;
        bench.give(Input::Wake);
    }
    assert_eq!(delays, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]);
    bench.give(Input::Connected);
    bench.log_in();
    bench.now += Duration::from_secs(59);
    bench.give(Input::Disconnected);
    let due = bench.login.wake_at().unwrap();
    assert!(
        due - bench.now > Duration::from_secs(59),
        "not healthy for long enough"
    );
    bench.now = due;
    bench.give(Input::Wake);
    bench.give(Input::Connected);
    bench.log_in();
    bench.now += Duration::from_secs(60);
    bench.give(Input::Disconnected);
    assert!(bench.login.wake_at().unwrap() - bench.now <= Duration::from_secs(1));
}

#[test]
fn next_connection_waits_until_the_old_one_is_closed() {
    let mut bench = Bench::online();
    bench.give(Input::Refused(Code::new(600_020)));
    assert!(bench.hung_up());
    bench.idle(500);
    assert_eq!(bench.count(|it| matches!(it, Action::Connect)), 0);
    bench.give(Input::Disconnected);
    assert_eq!(bench.count(|it| matches!(it, Action::Connect)), 1);
}

#[test]
fn unbind_push_erases_everything_and_waits_for_the_next_binding() {
    let mut bench = Bench::online();
    bench.pass(10);
    bench.give(Input::Unbound);
    assert_eq!(bench.erased_binding(), 1);
    assert_eq!(bench.told(&LoginEvent::Offline), 1);
    assert_eq!(bench.told(&LoginEvent::AwaitingBinding), 1);
    assert!(!bench.login.allows(Command::GetJobList));
    assert!(!bench.hung_up());
    bench.refuse(Command::Active, 600_004);
    assert_eq!(bench.login.phase(), Phase::AwaitingBinding);
    bench.pass(5);
    bench.reply(
        Command::Active,
        r#"{"errcode":0,"body":{"secret":"secret-2"}}"#,
    );
    assert_eq!(bench.last_body()["secret"], "secret-2");
    bench.reply(Command::SubscribeCorp, OK);
    assert_eq!(bench.login.phase(), Phase::Online);
    bench.pass(10);
    bench.give(Input::Unbound);
    assert_eq!(bench.erased_binding(), 2);
}

#[test]
fn secret_that_arrives_after_the_unbind_push_is_not_kept() {
    let mut bench = Bench::connected(bound());
    bench.reply(Command::Register, REGISTERED);
    let stale = bench.sent().pop().unwrap().0;
    bench.give(Input::Unbound);
    bench.actions.clear();
    bench.give(Input::Answered {
        call: stale,
        answer: answer(ACTIVE),
    });
    assert!(bench.actions.is_empty(), "{:?}", bench.actions);
}

#[test]
fn secret_of_the_old_company_is_not_used_after_unbinding() {
    let mut bench = Bench::online();
    bench.pass(10);
    bench.give(Input::Unbound);
    bench.refuse(Command::Active, 600_053);
    assert!(bench.hung_up(), "there is nothing to subscribe with");
    assert_eq!(bench.commands(), [Command::Active]);
}

#[test]
fn refused_business_command_restarts_what_is_needed() {
    for (code, erased, closed, next) in [
        (600_004, true, false, Some(Command::Active)),
        (600_005, false, false, Some(Command::Active)),
        (600_016, false, false, Some(Command::Active)),
        (600_014, false, true, None),
        (600_020, false, true, None),
    ] {
        let mut bench = Bench::online();
        bench.pass(10);
        bench.actions.clear();
        bench.give(Input::Refused(Code::new(code)));
        assert_eq!(bench.erased_binding() == 1, erased, "{code}");
        assert_eq!(bench.hung_up(), closed, "{code}");
        assert_eq!(bench.commands().first().copied(), next, "{code}");
        assert_eq!(bench.told(&LoginEvent::Offline), 1, "{code}");
    }
    for code in [0, -1, 600_040, 600_041, 600_012, 600_001, 699_999] {
        let mut bench = Bench::online();
        bench.give(Input::Refused(Code::new(code)));
        assert!(
            bench.actions.is_empty(),
            "{code} concerns the request alone"
        );
    }
}

#[test]
fn stop_hangs_up_for_good() {
    let mut bench = Bench::online();
    bench.give(Input::Stop);
    assert!(bench.hung_up());
    bench.give(Input::Disconnected);
    bench.idle(1000);
    assert_eq!(bench.count(|it| matches!(it, Action::Connect)), 0);
    assert_eq!(bench.login.phase(), Phase::Stopped);
}

#[test]
fn no_secret_shows_in_debug() {
    let mut bench = Bench::connected(bound());
    bench.reply(Command::Register, REGISTERED);
    bench.reply(Command::Active, ACTIVE);
    let text = format!("{:?} {:?}", bench.login, bench.actions);
    for secret in [SECRET_NO, "code-0", "code-1", "secret-0", "secret-1"] {
        assert!(!text.contains(secret), "{secret}");
    }
    let signature = bench.sent()[0].2["body"]["device_signature"].clone();
    assert!(!text.contains(signature.as_str().unwrap()));
}

#[derive(Debug, Clone)]
enum Event {
    Plain(Input),
    /// Answers the last request: by success, or with a code.
    Answer(Option<i64>),
    /// Answers a request long gone.
    Stale(usize),
    Pass(u64),
    ToTimer,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let codes = prop::sample::select(vec![
        -1, 600_001, 600_002, 600_003, 600_004, 600_005, 600_007, 600_011, 600_012, 600_014,
        600_015, 600_016, 600_020, 600_023, 600_030, 600_039, 600_040, 600_045, 600_047, 600_051,
        600_053, 600_054, 123,
    ]);
    let event = prop_oneof![
        3 => Just(Event::Plain(Input::Start)),
        1 => Just(Event::Plain(Input::Stop)),
        8 => Just(Event::Plain(Input::Connected)),
        3 => Just(Event::Plain(Input::Disconnected)),
        2 => Just(Event::Plain(Input::Heard)),
        1 => Just(Event::Plain(Input::Bound)),
        1 => Just(Event::Plain(Input::Unbound)),
        1 => codes.clone().prop_map(|code| Event::Plain(Input::Refused(Code::new(code)))),
        16 => Just(Event::Answer(None)),
        6 => codes.prop_map(|code| Event::Answer(Some(code))),
        1 => any::<prop::sample::Index>().prop_map(|index| Event::Stale(index.index(50))),
        2 => (0_u64..200).prop_map(Event::Pass),
        6 => Just(Event::ToTimer),
    ];
    prop::collection::vec(event, 0..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn random_lives_break_no_rule(events in events(), random in any::<u64>(), with_seed in any::<bool>()) {
        let mut bench = Bench::new(if with_seed { seeded() } else { own() });
        bench.random = random;
        let (mut links, mut registers, mut seen) = (0_u32, 0_u32, 0);
        let mut announced = false;
        for event in events {
            let input = match event {
                Event::Plain(input) => input,
                Event::Pass(seconds) => {
                    bench.now += Duration::from_secs(seconds);
                    Input::Wake
                }
                Event::ToTimer => {
                    bench.now = bench.login.wake_at().unwrap_or(bench.now).max(bench.now);
                    Input::Wake
                }
                Event::Answer(code) => {
                    let Some((call, command, _)) = bench.sent().pop() else { continue };
                    let text = match (code, command) {
                        (Some(code), _) => json!({"errcode": code}).to_string(),
                        (None, Command::Register) => REGISTERED.to_owned(),
                        (None, Command::Active) => ACTIVE.to_owned(),
                        (None, Command::GetSecretNo) =>
                            r#"{"errcode":0,"body":{"secret_no":"ffff"}}"#.to_owned(),
                        (None, _) => OK.to_owned(),
                    };
                    Input::Answered { call, answer: answer(&text) }
                }
                Event::Stale(index) => {
                    let Some((call, ..)) = bench.sent().get(index).cloned() else { continue };
                    Input::Answered { call, answer: answer(ACTIVE) }
                }
            };
            match input {
                Input::Disconnected => links = 0,
                // One that nobody asked for, which the machine has to close.
                Input::Connected if links == 0 => links = 1,
                _ => {}
            }
            bench.give(input);
            for action in &bench.actions[seen..] {
                match action {
                    Action::Connect => {
                        prop_assert_eq!(links, 0, "a second connection");
                        links = 1;
                        registers = 0;
                    }
                    Action::Send { request, .. } => {
                        let command = request.command();
                        prop_assert!(!command.needs_login(), "{:?}", command);
                        prop_assert_eq!(links, 1, "sent without a connection");
                        prop_assert!(command != Command::Ping || announced, "ping before online");
                        if command == Command::Register {
                            registers += 1;
                            prop_assert_eq!(registers, 1, "registered twice");
                        }
                    }
                    Action::Tell(LoginEvent::Online) => {
                        prop_assert!(!announced);
                        announced = true;
                    }
                    Action::Tell(LoginEvent::Offline) => {
                        prop_assert!(announced);
                        announced = false;
                    }
                    _ => {}
                }
            }
            seen = bench.actions.len();
            let online = bench.login.phase() == Phase::Online;
            prop_assert_eq!(announced, online);
            for command in Command::ALL {
                prop_assert_eq!(bench.login.allows(command), online && command.needs_login());
            }
            // Whatever happened, something will move the machine again unless it is at rest.
            let resting = matches!(bench.login.phase(), Phase::Stopped | Phase::GaveUp);
            let closing = bench.login.phase() == Phase::BackingOff && links == 1;
            prop_assert!(resting || closing || bench.login.wake_at().is_some());
        }
    }
}
