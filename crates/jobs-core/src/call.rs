//! What a call is doing while it is waited for, and whether anything of it that costs money has left.
//!
//! The caller of a submit bounds it by dropping it: at a deadline, or when the process is asked to end. What that means
//! depends on how far the call was. A [`CallMonitor`] around it knows, because the request layer tells it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;

use crate::error::{Delivery, Error};

tokio::task_local! {
    static MONITOR: Monitor;
}

/// What the call of a task is told to.
#[derive(Debug, Clone)]
enum Monitor {
    Call(CallMonitor),
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "only the request layer knows addresses")
    )]
    Address(AddressMonitor),
}

/// What a call is doing.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Activity {
    /// Nothing that takes long.
    #[default]
    Preparing,
    /// Waiting for the account's rate.
    WaitingForRate,
    /// Resolving, connecting, shaking hands.
    Connecting {
        /// The address of the other side.
        to: Box<str>,
    },
    /// Sending the body of a request.
    Sending {
        /// How many bytes have left.
        sent: u64,
        /// How many there are, where that is known.
        total: Option<u64>,
    },
    /// Everything was sent, and no answer has begun.
    WaitingForAnswer,
    /// Waiting to try again.
    Retrying {
        /// For how long.
        pause: Duration,
        /// What went wrong.
        error: Error,
    },
}

/// Sees what a call is doing, and whether anything of it that costs money has left.
///
/// A submit is bounded by dropping it: at a deadline, or when the process is asked to end. What that means depends on how far
/// the call was; the request layer tells the monitor.
///
/// Clones see the same call. A call that is made in another task than the one that is watched is not seen.
#[derive(Debug, Clone)]
pub struct CallMonitor(Arc<watch::Sender<State>>);

#[derive(Debug, Clone, Default)]
struct State {
    activity: Activity,
    /// The address that was connected to last.
    address: Option<Box<str>>,
    /// A call that costs money is under way.
    is_paid: bool,
    sent: bool,
    /// Nothing more may begin to leave.
    closed: bool,
}

impl CallMonitor {
    /// One that has seen nothing yet.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::default()))
    }

    /// Runs `call` and watches it.
    pub async fn watch<F: Future>(&self, call: F) -> F::Output {
        MONITOR.scope(Monitor::Call(self.clone()), call).await
    }

    /// Whether a request that costs money has left: [`Delivery::NotSent`] as long as the call can be dropped without a charge.
    pub fn sent(&self) -> Delivery {
        if self.0.borrow().sent {
            Delivery::MaybeSent
        } else {
            Delivery::NotSent
        }
    }

    /// Gives the call up: what has not begun to leave never will. Says whether something that costs money had.
    ///
    /// Dropping the call alone does not tell: its connection belongs to another task, which may be about to send.
    pub fn give_up(&self) -> Delivery {
        self.0.send_modify(|state| state.closed = true);
        self.sent()
    }

    /// What the call is doing now.
    pub fn activity(&self) -> Activity {
        self.0.borrow().activity.clone()
    }

    /// The address of the other side, once it was tried.
    pub fn address(&self) -> Option<Box<str>> {
        self.0.borrow().address.clone()
    }

    /// The same as errors show it.
    pub(crate) fn host_and_port(&self) -> Option<Box<str>> {
        self.address().as_deref().map(host_and_port)
    }

    /// Every change of the activity or its progress from now on.
    pub fn changes(&self) -> CallChanges {
        CallChanges(self.0.subscribe())
    }

    /// The one that watches the call of this task, if there is one.
    #[cfg(feature = "http")]
    pub(crate) fn current() -> Option<Self> {
        let call = MONITOR.try_with(|monitor| match monitor {
            Monitor::Call(call) => Some(call.clone()),
            Monitor::Address(_) => None,
        });
        call.ok().flatten()
    }

    pub(crate) fn tell(activity: Activity) {
        Self::update(|state| state.activity = activity);
    }

    /// A request is about to go there.
    #[cfg(feature = "http")]
    pub(crate) fn connecting(to: impl FnOnce() -> Box<str>) {
        let _ = MONITOR.try_with(|monitor| match monitor {
            Monitor::Call(call) => call.0.send_modify(|state| {
                let to = to();
                state.address = Some(to.clone());
                state.activity = Activity::Connecting { to };
            }),
            Monitor::Address(address) => drop(address.0.get_or_init(to)),
        });
    }

    /// A try of a call that costs money begins: nothing of it has left.
    pub(crate) fn paid_try_begins() {
        Self::update(|state| (state.is_paid, state.sent) = (true, false));
    }

    /// A try has ended in an error, which knows whether anything of it may have been acted upon.
    pub(crate) fn paid_try_failed(error: &Error) {
        let may_have = error.delivery() == Delivery::MaybeSent;
        Self::update(|state| (state.is_paid, state.sent) = (false, may_have));
    }

    /// The try has ended well; until its outcome is handed over, it may have been charged.
    pub(crate) fn paid_try_succeeded() {
        Self::update(|state| (state.is_paid, state.sent) = (false, true));
    }

    fn update(change: impl FnOnce(&mut State)) {
        let _ = MONITOR.try_with(|monitor| match monitor {
            Monitor::Call(call) => call.0.send_modify(change),
            Monitor::Address(_) => {}
        });
    }

    #[cfg(feature = "http")]
    pub(crate) fn set(&self, activity: Activity) {
        self.0.send_modify(|state| state.activity = activity);
    }

    /// A request begins to leave. Says whether it may.
    #[cfg(feature = "http")]
    pub(crate) fn leaves(&self) -> bool {
        let mut may_leave = true;
        self.0.send_modify(|state| {
            may_leave = state.sent || !state.closed;
            state.sent |= state.is_paid && may_leave;
        });
        may_leave
    }
}

impl Default for CallMonitor {
    fn default() -> Self {
        Self::new()
    }
}

fn host_and_port(address: &str) -> Box<str> {
    address
        .split_once("://")
        .map_or(address, |(_, bare)| bare)
        .into()
}

/// Keeps the first address that calls go to, and nothing else of them: for polls, which cost nothing and are many.
#[derive(Debug, Clone, Default)]
pub(crate) struct AddressMonitor(Arc<OnceLock<Box<str>>>);

impl AddressMonitor {
    /// Runs `call` and keeps its address.
    pub(crate) async fn watch<F: Future>(&self, call: F) -> F::Output {
        MONITOR.scope(Monitor::Address(self.clone()), call).await
    }

    /// As errors show it.
    pub(crate) fn host_and_port(&self) -> Option<Box<str>> {
        self.0.get().map(|address| host_and_port(address))
    }
}

/// The changes of what a call is doing.
#[derive(Debug)]
pub struct CallChanges(watch::Receiver<State>);

impl CallChanges {
    /// The next activity; never returns once the monitor is gone.
    pub async fn next(&mut self) -> Activity {
        if self.0.changed().await.is_err() {
            return std::future::pending().await;
        }
        self.0.borrow_and_update().activity.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::error::{ErrorKind, Refusal};
    use crate::retry;
    use crate::testing::ManualClock;

    fn leaves() {
        if let Some(monitor) = CallMonitor::current() {
            monitor.leaves();
        }
    }

    #[tokio::test]
    async fn only_what_costs_money_counts_as_sent_and_only_until_it_was_refused() {
        let (clock, monitor) = (ManualClock::new(), CallMonitor::new());
        let seen = Mutex::new(Vec::new());
        let call = async {
            leaves();
            seen.lock().unwrap().push(monitor.sent());
            let outcome = retry::non_idempotent(&clock, "x", async || {
                seen.lock().unwrap().push(monitor.sent());
                leaves();
                seen.lock().unwrap().push(monitor.sent());
                Err::<(), _>(
                    Error::new(ErrorKind::RateLimited, "v", "submit")
                        .with_delivery(Delivery::Answered)
                        .with_refusal(Refusal::BeforeWork {
                            delay: Duration::from_secs(1),
                            times: 1,
                        }),
                )
            });
            assert!(outcome.await.is_err());
        };
        clock.run(monitor.watch(call)).await;
        use Delivery::{MaybeSent, NotSent};
        assert_eq!(
            *seen.lock().unwrap(),
            [NotSent, NotSent, MaybeSent, NotSent, MaybeSent],
            "an upload that is free, then each of two tries before and after it left"
        );
        assert_eq!(monitor.sent(), NotSent);
    }

    #[tokio::test]
    async fn a_call_that_ended_well_may_have_been_charged_until_its_outcome_is_there() {
        let (clock, monitor) = (ManualClock::new(), CallMonitor::new());
        let call = retry::non_idempotent(&clock, "x", async || {
            leaves();
            Ok(())
        });
        clock.run(monitor.watch(call)).await.unwrap();
        assert_eq!(monitor.sent(), Delivery::MaybeSent);
    }

    #[tokio::test]
    async fn what_was_given_up_before_it_left_never_leaves() {
        let (clock, monitor) = (ManualClock::new(), CallMonitor::new());
        let call = retry::non_idempotent(&clock, "x", async || {
            assert_eq!(monitor.give_up(), Delivery::NotSent);
            assert!(!monitor.leaves());
            Ok(monitor.sent())
        });
        assert_eq!(
            clock.run(monitor.watch(call)).await.unwrap(),
            Delivery::NotSent
        );
        // What is on its way goes on: the vendor has most of it.
        let monitor = CallMonitor::new();
        let call = retry::non_idempotent(&clock, "x", async || {
            assert!(monitor.leaves());
            Ok((monitor.give_up(), monitor.leaves()))
        });
        let (sent, goes_on) = clock.run(monitor.watch(call)).await.unwrap();
        assert_eq!((sent, goes_on), (Delivery::MaybeSent, true));
    }

    #[tokio::test]
    async fn a_pause_says_how_long_and_why() {
        let (clock, monitor) = (ManualClock::new(), CallMonitor::new());
        let mut changes = monitor.changes();
        let call = retry::idempotent(&clock, async || {
            Err::<(), _>(Error::new(ErrorKind::Unavailable, "v", "list"))
        });
        let call = monitor.watch(call);
        let mut call = std::pin::pin!(clock.run(call));
        let paused = async {
            loop {
                if let Activity::Retrying { pause, error } = changes.next().await {
                    return (pause, error.kind());
                }
            }
        };
        let (pause, kind) = tokio::select! {
            biased;
            paused = paused => paused,
            _ = &mut call => panic!("it pauses first"),
        };
        assert!(pause >= Duration::from_millis(500));
        assert_eq!(kind, ErrorKind::Unavailable);
    }
}
