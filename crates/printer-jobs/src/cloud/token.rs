//! Access tokens: kept until shortly before they lapse, and fetched by one caller for all.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jobs_core::clock::{Clock, Moment};
use jobs_core::{Error, Secret};
use tokio::sync::Mutex;

/// Tokens live this long where the answer does not say it.
const LIFE: Duration = Duration::from_secs(7200);
/// A token is renewed this much before its end, or after nine tenths of a short life.
const MARGIN: Duration = Duration::from_secs(300);

/// A token as it was answered.
pub(crate) struct Fresh {
    pub(crate) token: Secret,
    pub(crate) life: Option<Duration>,
}

/// The place of one token.
#[derive(Default)]
pub(crate) struct Slot {
    /// How many requests for it have ended.
    ended: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    failed: Option<Error>,
}

struct Held {
    token: Secret,
    until: Moment,
}

impl Slot {
    /// The token, from `fetch` if there is none. Who waited while another one's request failed gets that failure.
    pub(crate) async fn get(
        &self,
        clock: &dyn Clock,
        fetch: impl Future<Output = Result<Fresh, Error>>,
    ) -> Result<Secret, Error> {
        let before = self.ended.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        if let Some(held) = state.held.as_ref().filter(|held| clock.now() < held.until) {
            return Ok(held.token.clone());
        }
        if let Some(error) = &state.failed
            && self.ended.load(Ordering::Acquire) != before
        {
            return Err(error.clone());
        }
        let asked = clock.now();
        let outcome = fetch.await;
        self.ended.fetch_add(1, Ordering::Release);
        match outcome {
            Ok(fresh) => {
                let token = fresh.token.clone();
                state.hold(fresh, asked);
                Ok(token)
            }
            Err(error) => {
                state.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Keeps a token that came with another answer.
    pub(crate) async fn put(&self, fresh: Fresh, asked: Moment) {
        self.state.lock().await.hold(fresh, asked);
    }

    /// Forgets `refused`, unless somebody has replaced it already.
    pub(crate) async fn discard(&self, refused: &Secret) {
        let mut state = self.state.lock().await;
        state
            .held
            .take_if(|held| held.token.expose() == refused.expose());
    }

    /// Forgets everything.
    pub(crate) async fn clear(&self) {
        *self.state.lock().await = State::default();
    }
}

impl State {
    fn hold(&mut self, fresh: Fresh, asked: Moment) {
        let life = fresh.life.unwrap_or(LIFE);
        self.failed = None;
        self.held = Some(Held {
            token: fresh.token,
            until: asked + (life - MARGIN.min(life / 10)),
        });
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot(***)")
    }
}
