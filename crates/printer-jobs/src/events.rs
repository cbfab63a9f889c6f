//! What a device tells its owner, kept in bounded space: news is merged before any wake-up is lost.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use futures_util::Stream;

use crate::wire::Event;

/// Something that happened to the device.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum DeviceEvent {
    /// Commands work from now on. Pushes may have been missed meanwhile, so list the jobs.
    Online,
    /// Commands wait until the device is online again.
    Offline,
    /// No company has bound the device. Whatever is kept of an earlier company must be erased.
    NotBound,
    /// The device has stopped: a person must act. [`Device::online`](crate::Device::online) tells why.
    GaveUp,
    /// The cloud said something by itself.
    Pushed(Event),
    /// This many pieces of news were dropped because nobody fetched them. Never job pushes: those are merged.
    Lagged(u64),
}

/// News pieces held for a slow owner.
const HELD: usize = 64;
/// Ids held in one merged push. Beyond it only the wake-up is kept, which is all that a push is good for.
const IDS: usize = 1000;

/// The news of a device from the moment of asking on, as a stream that ends with the device.
#[derive(Debug)]
pub struct Events(Arc<Mutex<EventBuffer>>);

#[derive(Debug, Default)]
struct EventBuffer {
    held: VecDeque<DeviceEvent>,
    missed: u64,
    ended: bool,
    waker: Option<Waker>,
}

impl Events {
    /// The next piece of news; `None` when the device is closed. May be dropped at any await.
    pub async fn next(&mut self) -> Option<DeviceEvent> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<DeviceEvent>> {
        let mut mailbox = lock(&self.0);
        if mailbox.missed > 0 {
            return Poll::Ready(Some(DeviceEvent::Lagged(std::mem::take(
                &mut mailbox.missed,
            ))));
        }
        match mailbox.held.pop_front() {
            Some(news) => Poll::Ready(Some(news)),
            None if mailbox.ended => Poll::Ready(None),
            None => {
                mailbox.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Stream for Events {
    type Item = DeviceEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<DeviceEvent>> {
        self.poll(cx)
    }
}

/// Everybody who listens.
#[derive(Debug, Default)]
pub(crate) struct Readers(Mutex<Vec<Weak<Mutex<EventBuffer>>>>);

impl Readers {
    pub(crate) fn subscribe(&self) -> Events {
        let mailbox = Arc::default();
        let mut readers = lock(&self.0);
        readers.retain(|reader| reader.strong_count() > 0);
        readers.push(Arc::downgrade(&mailbox));
        Events(mailbox)
    }

    pub(crate) fn tell(&self, news: &DeviceEvent) {
        self.each(|mailbox| mailbox.put(news.clone()));
    }

    pub(crate) fn end(&self) {
        self.each(|mailbox| mailbox.ended = true);
    }

    fn each(&self, change: impl Fn(&mut EventBuffer)) {
        let readers = lock(&self.0);
        for mailbox in readers.iter().filter_map(Weak::upgrade) {
            let mut mailbox = lock(&mailbox);
            change(&mut mailbox);
            if let Some(waker) = mailbox.waker.take() {
                waker.wake();
            }
        }
    }
}

impl EventBuffer {
    fn put(&mut self, news: DeviceEvent) {
        let Some(news) = self.merge(news) else {
            return;
        };
        if self.held.len() >= HELD
            && let Some(oldest) = self.held.iter().position(|held| !is_jobs(held))
        {
            self.held.remove(oldest);
            self.missed = self.missed.saturating_add(1);
        }
        self.held.push_back(news);
    }

    /// Gives back what could not be merged into something held.
    fn merge(&mut self, news: DeviceEvent) -> Option<DeviceEvent> {
        for held in &mut self.held {
            match (held, &news) {
                (
                    DeviceEvent::Pushed(Event::JobsAvailable { ids: held }),
                    DeviceEvent::Pushed(Event::JobsAvailable { ids }),
                )
                | (
                    DeviceEvent::Pushed(Event::JobsDeleted { ids: held }),
                    DeviceEvent::Pushed(Event::JobsDeleted { ids }),
                ) => {
                    for id in ids {
                        if held.len() < IDS && !held.contains(id) {
                            held.push(id.clone());
                        }
                    }
                    return None;
                }
                _ => {}
            }
        }
        Some(news)
    }
}

fn is_jobs(news: &DeviceEvent) -> bool {
    matches!(
        news,
        DeviceEvent::Pushed(Event::JobsAvailable { .. } | Event::JobsDeleted { .. })
    )
}

fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs(ids: &[&str]) -> DeviceEvent {
        DeviceEvent::Pushed(Event::JobsAvailable {
            ids: ids.iter().map(|&id| id.to_owned()).collect(),
        })
    }

    fn drain(events: &Events) -> Vec<DeviceEvent> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut news = Vec::new();
        while let Poll::Ready(Some(piece)) = events.poll(&mut cx) {
            news.push(piece);
        }
        news
    }

    #[test]
    fn job_pushes_are_merged_into_one_wake_up() {
        let readers = Readers::default();
        let events = readers.subscribe();
        readers.tell(&jobs(&["a"]));
        readers.tell(&DeviceEvent::Offline);
        readers.tell(&jobs(&["b", "a"]));
        assert_eq!(drain(&events), [jobs(&["a", "b"]), DeviceEvent::Offline]);
        readers.tell(&jobs(&["c"]));
        assert_eq!(drain(&events), [jobs(&["c"])]);
    }

    #[test]
    fn flood_is_bounded_and_loses_no_wake_up() {
        let readers = Readers::default();
        let events = readers.subscribe();
        for n in 0..10_000 {
            readers.tell(&DeviceEvent::Pushed(Event::Restart));
            readers.tell(&jobs(&[&n.to_string()]));
        }
        let news = drain(&events);
        assert!(news.len() <= HELD + 1, "{}", news.len());
        assert_eq!(news[0], DeviceEvent::Lagged(10_000 - HELD as u64 + 1));
        let ids: Vec<usize> = news
            .iter()
            .filter_map(|piece| match piece {
                DeviceEvent::Pushed(Event::JobsAvailable { ids }) => Some(ids.len()),
                _ => None,
            })
            .collect();
        assert_eq!(ids, [IDS]);
    }

    #[test]
    fn every_reader_gets_all_and_the_end() {
        let readers = Readers::default();
        let (one, two) = (readers.subscribe(), readers.subscribe());
        readers.tell(&DeviceEvent::Online);
        readers.end();
        for events in [one, two] {
            assert_eq!(drain(&events), [DeviceEvent::Online]);
            let mut cx = Context::from_waker(Waker::noop());
            assert_eq!(events.poll(&mut cx), Poll::Ready(None));
        }
    }
}
