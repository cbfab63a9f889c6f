//! The model calls: outline and content, in one piece or as an event stream.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};

use super::answer::{Refusal, failure, new_id, respond};
use super::arguments::Arguments;
use super::content;
use super::create::{LANGUAGES, MODELS, lines_of};
use super::options::StreamOptions;
use super::state::State;
use super::{Shared, success};
use crate::clock::{VirtualClock, seconds};
use crate::lock::lock;

const STOP: &str = "stop";

/// What a call produces, piece by piece.
#[derive(Debug, PartialEq, Eq)]
struct Generation {
    text: String,
    /// Handed to the next call, so that it need not be told everything again.
    info: String,
    reason: String,
    /// Pieces are appended (outline) or replace what came before (content).
    appended: bool,
}

pub(crate) async fn answer(
    shared: &Shared,
    operation: &str,
    sent: &Arguments,
) -> Result<Response<Body>, Refusal> {
    let streamed = sent.flag("stream", false)?;
    let now = shared.now();
    let (generation, options) = {
        let mut state = lock(&shared.state);
        let generation = match operation {
            "gen_outline_by_topic" => outline(sent, &mut state, now),
            _ => full_content(sent, &mut state),
        };
        let charged = generation.and_then(|generation| {
            let title = if generation.appended {
                "生成大纲"
            } else {
                "生成内容"
            };
            state.model_call(title, generation.reason != STOP, now)?;
            Ok(generation)
        });
        match charged {
            Ok(generation) => (generation, state.options.clone()),
            Err(refusal) => {
                let as_event = streamed && state.options.stream.refusals_as_events;
                if !as_event {
                    return Err(refusal);
                }
                let code = refusal.code(&state.options);
                let envelope = failure(&json!(code), &refusal.info);
                let frames = frames(&[envelope], &state.options.stream);
                return Ok(event_stream(
                    &shared.common.clock,
                    frames,
                    &state.options.stream,
                ));
            }
        }
    };
    if !streamed {
        shared
            .common
            .clock
            .sleep(seconds(options.model_seconds))
            .await;
        return Ok(respond(200, &success(generation.whole())));
    }
    let id = new_id();
    let envelopes: Vec<Value> = generation
        .events(options.stream.letters)
        .into_iter()
        .map(|data| json!({"code": 0, "info": "succ", "request_id": id, "data": data}))
        .collect();
    let frames = frames(&envelopes, &options.stream);
    Ok(event_stream(&shared.common.clock, frames, &options.stream))
}

fn outline(sent: &Arguments, state: &mut State, now: Duration) -> Result<Generation, Refusal> {
    let topic = sent.text("topic")?;
    let pages = sent.number("page_count", 0)?;
    let language = sent.word("language", &LANGUAGES)?;
    sent.word("model", &MODELS)?;
    let mut lines = Vec::new();
    let mut dead = false;
    let resources = sent.texts("resource_id_list")?;
    for id in &resources {
        match state.resource(id, now) {
            Ok(resource) => lines.extend(lines_of(&resource)),
            Err(_) => dead = true,
        }
    }
    let nothing = topic.trim().is_empty() && resources.is_empty();
    if dead || nothing {
        return Ok(Generation::invalid(
            "topic_or_resource_id_list_invalid",
            true,
        ));
    }
    Ok(Generation {
        text: content::outline(topic, pages, language, &lines),
        info: STANDARD.encode(json!({"topic": topic, "language": language}).to_string()),
        reason: reason(state, topic),
        appended: true,
    })
}

fn full_content(sent: &Arguments, state: &mut State) -> Result<Generation, Refusal> {
    let outline = sent.text("outline")?;
    sent.word("model", &MODELS)?;
    let info = sent.text("content_ex_info")?;
    if !content::is_outline(outline) {
        return Ok(Generation::invalid("outline_invalid", false));
    }
    Ok(Generation {
        text: content::full_text(outline),
        info: info.to_owned(),
        reason: reason(state, outline.lines().next().unwrap_or_default()),
        appended: false,
    })
}

fn reason(state: &mut State, key: &str) -> String {
    let chosen = state.options.finish_reasons.get(key).cloned();
    let scripted = state.next_finish_reasons.pop_front();
    scripted.or(chosen).unwrap_or_else(|| STOP.to_owned())
}

impl Generation {
    fn invalid(reason: &str, appended: bool) -> Self {
        Self {
            text: String::new(),
            info: String::new(),
            reason: reason.to_owned(),
            appended,
        }
    }

    /// Without streaming.
    fn whole(&self) -> Value {
        let mut data = self.last();
        if let Some(fields) = data.as_object_mut() {
            let content = if self.reason == STOP {
                self.text.as_str()
            } else {
                ""
            };
            fields.insert("content".to_owned(), json!(content));
            fields.remove("all_content");
        }
        data
    }

    /// The pieces and the end. What does not stop as it should breaks off half-way.
    fn events(&self, letters: usize) -> Vec<Value> {
        let all: Vec<char> = self.text.chars().collect();
        let pieces: Vec<String> = all
            .chunks(letters.max(1))
            .map(|piece| piece.iter().collect())
            .collect();
        let shown = if self.reason == STOP {
            pieces.len()
        } else {
            pieces.len() / 2
        };
        let mut so_far = String::new();
        let mut events = Vec::new();
        for (number, piece) in (1_usize..).zip(pieces.iter().take(shown)) {
            so_far.push_str(piece);
            events.push(if self.appended {
                json!({"content": piece, "finish_reason": null})
            } else {
                let percent = (number * 100 / pieces.len().max(1)).min(99);
                json!({"content": so_far, "progress_percent": percent, "finish_reason": null})
            });
        }
        events.push(self.last());
        events
    }

    fn last(&self) -> Value {
        let mut data = json!({"finish_reason": self.reason});
        let Some(fields) = data.as_object_mut() else {
            return data;
        };
        let done = self.reason == STOP;
        if done {
            fields.insert("content_ex_info".to_owned(), json!(self.info));
        }
        if self.appended {
            fields.insert("content".to_owned(), json!(""));
            if done {
                fields.insert("all_content".to_owned(), json!(self.text));
            }
        } else {
            let (text, percent) = if done {
                (self.text.as_str(), 100)
            } else {
                ("", 0)
            };
            fields.insert("content".to_owned(), json!(text));
            fields.insert("progress_percent".to_owned(), json!(percent));
        }
        data
    }
}

/// The bytes of each event.
fn frames(envelopes: &[Value], options: &StreamOptions) -> Vec<Bytes> {
    let end = if options.crlf { "\r\n" } else { "\n" };
    let shown = options.end_after.unwrap_or(usize::MAX);
    let comment = if options.comments {
        format!(": ping{end}")
    } else {
        String::new()
    };
    let mut frames: Vec<Bytes> = envelopes
        .iter()
        .take(shown)
        .map(|envelope| format!("{comment}data: {envelope}{end}{end}").into())
        .collect();
    if let Some(sentinel) = &options.sentinel
        && options.end_after.is_none()
    {
        frames.push(format!("data: {sentinel}{end}{end}").into());
    }
    frames
}

fn event_stream(
    clock: &VirtualClock,
    frames: Vec<Bytes>,
    options: &StreamOptions,
) -> Response<Body> {
    let (step, size) = (seconds(options.step_seconds), options.chunk_bytes);
    let pieces: Vec<(bool, Bytes)> = frames
        .into_iter()
        .flat_map(|frame| {
            let size = size.unwrap_or(frame.len()).max(1);
            let count = frame.len().div_ceil(size);
            (0..count).map(move |index| {
                let start = index * size;
                let end = (start + size).min(frame.len());
                (index == 0, frame.slice(start..end))
            })
        })
        .collect();
    let start = (pieces.into_iter(), clock.clone());
    let body = stream::unfold(start, move |(mut pieces, clock)| async move {
        let (first, piece) = pieces.next()?;
        if first {
            clock.sleep(step).await;
        } else {
            // Lets each piece leave as a chunk of its own.
            tokio::task::yield_now().await;
        }
        Some((Ok::<_, std::convert::Infallible>(piece), (pieces, clock)))
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation(appended: bool, reason: &str) -> Generation {
        Generation {
            text: "# 一二三\n四五六".to_owned(),
            info: "info".to_owned(),
            reason: reason.to_owned(),
            appended,
        }
    }

    fn contents(events: &[Value]) -> Vec<&str> {
        events
            .iter()
            .map(|event| event["content"].as_str().unwrap())
            .collect()
    }

    #[test]
    fn outline_comes_in_increments_and_is_repeated_whole_at_the_end_only() {
        let events = generation(true, STOP).events(4);
        assert_eq!(contents(&events), ["# 一二", "三\n四五", "六", ""]);
        let (last, before) = events.split_last().unwrap();
        assert!(before.iter().all(|event| event["finish_reason"].is_null()));
        assert!(
            before
                .iter()
                .all(|event| event.get("all_content").is_none())
        );
        assert_eq!(last["all_content"], "# 一二三\n四五六");
        assert_eq!(
            (&last["finish_reason"], &last["content_ex_info"]),
            (&json!("stop"), &json!("info"))
        );
        assert!(last.get("progress_percent").is_none());
    }

    #[test]
    fn content_comes_in_snapshots_with_rising_progress() {
        let events = generation(false, STOP).events(4);
        assert_eq!(
            contents(&events),
            [
                "# 一二",
                "# 一二三\n四五",
                "# 一二三\n四五六",
                "# 一二三\n四五六"
            ]
        );
        let progress: Vec<u64> = events
            .iter()
            .map(|event| event["progress_percent"].as_u64().unwrap())
            .collect();
        assert_eq!(progress, [33, 66, 99, 100]);
        assert!(
            events
                .iter()
                .all(|event| event.get("all_content").is_none())
        );
    }

    #[test]
    fn what_does_not_stop_as_it_should_breaks_off_without_a_whole_text() {
        let events = generation(true, "content_inappropriate").events(4);
        assert_eq!(contents(&events), ["# 一二", ""]);
        let last = &events[1];
        assert_eq!(last["finish_reason"], "content_inappropriate");
        assert!(last.get("all_content").is_none() && last.get("content_ex_info").is_none());
        assert_eq!(generation(false, "system_error").whole()["content"], "");
        assert_eq!(
            Generation::invalid("outline_invalid", false)
                .events(4)
                .len(),
            1
        );
    }

    #[test]
    fn comments_line_ends_sentinel_and_early_end_shape_the_stream() {
        let envelopes = [json!({"n": 1}), json!({"n": 2})];
        let text = |options: &StreamOptions| {
            let frames = frames(&envelopes, options);
            String::from_utf8(frames.concat()).unwrap()
        };
        let plain = StreamOptions::default();
        assert_eq!(text(&plain), "data: {\"n\":1}\n\ndata: {\"n\":2}\n\n");
        let odd = StreamOptions {
            comments: true,
            crlf: true,
            sentinel: Some("[DONE]".to_owned()),
            ..plain
        };
        assert_eq!(
            text(&odd),
            ": ping\r\ndata: {\"n\":1}\r\n\r\n: ping\r\ndata: {\"n\":2}\r\n\r\ndata: [DONE]\r\n\r\n"
        );
        let short = StreamOptions {
            end_after: Some(1),
            ..odd
        };
        assert_eq!(text(&short), ": ping\r\ndata: {\"n\":1}\r\n\r\n");
    }
}
