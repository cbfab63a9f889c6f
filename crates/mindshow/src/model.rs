//! Model calls: a topic becomes an outline, an outline becomes a text.
//!
//! Both can be watched while they are written, and the vendor streams them in opposite ways: an outline in increments to be
//! appended, a text as a whole that replaces the one before. They are different types here.

use std::time::SystemTime;

use bytes::Bytes;
use jobs_core::http::{Response, StreamingResponse};
use jobs_core::vendor::{Delivery, retry};
use jobs_core::{Error, ErrorKind, LostSubmit, SubmitError};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::Api;
use crate::client::Client;
use crate::code::VENDOR;
use crate::envelope;
use crate::generated::types::{
    ContentData, ContentRequest, FinishReason, OutlineData, OutlineRequest,
};
use crate::operation::{GEN_CONTENT, GEN_OUTLINE, Operation};
use crate::request::Input;
use crate::sse::Events;

/// A finished outline.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Outline {
    /// Markdown with heading levels.
    pub text: String,
    /// What the next step wants to be given back. Opaque.
    pub content_ex_info: Option<Value>,
}

/// A finished text.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Content {
    /// The whole Markdown.
    pub text: String,
    /// What the next step wants to be given back. Opaque.
    pub content_ex_info: Option<Value>,
}

/// A piece of an outline, to be appended to those before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Increment(Box<str>);

impl Increment {
    /// The piece.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Appends it.
    pub fn append_to(&self, text: &mut String) {
        text.push_str(&self.0);
    }
}

/// A text as far as it is written, which replaces the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FullText {
    /// All of it so far.
    pub text: Box<str>,
    /// Per cent done.
    pub percent: Option<u8>,
}

impl FullText {
    /// Replaces what was there.
    pub fn replace_in(&self, text: &mut String) {
        text.clear();
        text.push_str(&self.text);
    }
}

/// An outline while it is written. Dropping it gives the outline up, but not the credit.
#[derive(Debug)]
pub struct OutlineStream {
    call: Call,
    text: String,
    done: Option<Outline>,
}

/// A text while it is written. Dropping it gives the text up, but not the credit.
#[derive(Debug)]
pub struct ContentStream {
    call: Call,
    text: String,
    done: Option<Content>,
}

impl Client {
    /// Makes an outline. **1 credit** a call, and the result is stored nowhere: keep it.
    ///
    /// Repeated by itself only without a connection.
    ///
    /// # Errors
    /// [`SubmitError`], which says whether the credit may have been spent. A topic that the vendor does not take is refused
    /// with kind [`InvalidInput`](ErrorKind::InvalidInput) and the vendor's word as code; whether that costs the credit is not documented.
    pub async fn outline(&self, request: &OutlineRequest) -> Result<Outline, SubmitError> {
        let mut request = request.clone();
        request.stream = Some(false);
        let call = self.model(GEN_OUTLINE, &request).await?;
        OutlineStream::new(call).finish().await
    }

    /// The same while it is written.
    ///
    /// # Errors
    /// As [`outline`](Self::outline), up to the beginning of the answer.
    pub async fn stream_outline(
        &self,
        request: &OutlineRequest,
    ) -> Result<OutlineStream, SubmitError> {
        let mut request = request.clone();
        request.stream = Some(true);
        let call = self.model(GEN_OUTLINE, &request).await?;
        Ok(OutlineStream::new(call))
    }

    /// Makes the text of an outline. **1 credit** a call, and the result is stored nowhere: keep it.
    ///
    /// # Errors
    /// As [`outline`](Self::outline).
    pub async fn content(&self, request: &ContentRequest) -> Result<Content, SubmitError> {
        let mut request = request.clone();
        request.stream = Some(false);
        let call = self.model(GEN_CONTENT, &request).await?;
        ContentStream::new(call).finish().await
    }

    /// The same while it is written.
    ///
    /// # Errors
    /// As [`outline`](Self::outline), up to the beginning of the answer.
    pub async fn stream_content(
        &self,
        request: &ContentRequest,
    ) -> Result<ContentStream, SubmitError> {
        let mut request = request.clone();
        request.stream = Some(true);
        let call = self.model(GEN_CONTENT, &request).await?;
        Ok(ContentStream::new(call))
    }

    async fn model<I: Input + serde::Serialize>(
        &self,
        operation: Operation,
        input: &I,
    ) -> Result<Call, SubmitError> {
        let checked = input
            .check()
            .map_err(|problem| Error::invalid_input(VENDOR, operation.name, problem));
        let body = checked
            .and_then(|()| operation.json(input))
            .map_err(SubmitError::Rejected)?;
        let sent_at = self.api.clock().wall();
        let what = input.what();
        let incoming = retry::non_idempotent(&**self.api.clock(), &what, async || {
            let incoming = self
                .api
                .stream(operation.with_json(&body).non_idempotent())
                .await?;
            if (200..300).contains(&incoming.status()) {
                return Ok(incoming);
            }
            let answer = incoming.into_response().await?;
            envelope::check(&answer, self.api.codes())?;
            Err(answer.unexpected("the answer is neither a success nor a failure"))
        })
        .await?;
        Ok(Call {
            api: self.api.clone(),
            incoming,
            events: Events::default(),
            is_over: false,
            what: what.into(),
            sent_at,
            failed: None,
        })
    }
}

impl OutlineStream {
    fn new(call: Call) -> Self {
        Self {
            call,
            text: String::new(),
            done: None,
        }
    }

    /// The next piece; `None` once the outline is whole. May be dropped and called again without losing a piece.
    ///
    /// # Errors
    /// As [`Client::outline`]; a stream that breaks off is [`SubmitError::OutcomeUnknown`], and is never resumed.
    pub async fn next(&mut self) -> Result<Option<Increment>, SubmitError> {
        while self.done.is_none() {
            let Some((answer, data)) = self.call.next::<OutlineData>().await? else {
                return Err(self.call.broken_off());
            };
            let piece = data.content.unwrap_or_default();
            self.text.push_str(&piece);
            if self.call.is_finished(&answer, data.finish_reason)? {
                let all = data.all_content.filter(|text| !text.is_empty());
                let text = all.unwrap_or_else(|| std::mem::take(&mut self.text));
                self.call.check_text(&answer, &text)?;
                self.done = Some(Outline {
                    text,
                    content_ex_info: data.content_ex_info,
                });
            }
            if !piece.is_empty() {
                return Ok(Some(Increment(piece.into())));
            }
        }
        Ok(None)
    }

    /// The whole outline, waiting for the rest of it.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn finish(mut self) -> Result<Outline, SubmitError> {
        while self.next().await?.is_some() {}
        self.done.ok_or_else(|| self.call.broken_off())
    }
}

impl ContentStream {
    fn new(call: Call) -> Self {
        Self {
            call,
            text: String::new(),
            done: None,
        }
    }

    /// The text so far, each time it has grown; `None` once it is whole. May be dropped and called again.
    ///
    /// # Errors
    /// As [`OutlineStream::next`].
    pub async fn next(&mut self) -> Result<Option<FullText>, SubmitError> {
        while self.done.is_none() {
            let Some((answer, data)) = self.call.next::<ContentData>().await? else {
                return Err(self.call.broken_off());
            };
            // An event without a text, such as a last one that only says how it ended, replaces nothing.
            let text = data.content.filter(|text| !text.is_empty());
            if let Some(text) = &text {
                self.text.clone_from(text);
            }
            if self.call.is_finished(&answer, data.finish_reason)? {
                self.call.check_text(&answer, &self.text)?;
                self.done = Some(Content {
                    text: self.text.clone(),
                    content_ex_info: data.content_ex_info,
                });
            }
            if let Some(text) = text {
                let percent = data.progress_percent.map(|percent| percent.clamp(0, 100));
                return Ok(Some(FullText {
                    text: text.into(),
                    percent: percent.and_then(|percent| u8::try_from(percent).ok()),
                }));
            }
        }
        Ok(None)
    }

    /// The whole text, waiting for the rest of it.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn finish(mut self) -> Result<Content, SubmitError> {
        while self.next().await?.is_some() {}
        self.done.ok_or_else(|| self.call.broken_off())
    }
}

/// A model call that is being answered.
#[derive(Debug)]
struct Call {
    api: Api,
    incoming: StreamingResponse,
    events: Events,
    is_over: bool,
    what: Box<str>,
    sent_at: SystemTime,
    failed: Option<SubmitError>,
}

impl Call {
    /// The content of the next event.
    async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<(Response, T)>, SubmitError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        loop {
            if let Some(event) = self.events.pop() {
                let answer = self.incoming.response(event);
                match self.content(&answer) {
                    Ok(Some(content)) => return Ok(Some((answer, content))),
                    // A sign of life.
                    Ok(None) => continue,
                    Err(error) => return Err(self.fail(error)),
                }
            }
            if self.is_over {
                return Ok(None);
            }
            match self.incoming.chunk().await {
                Ok(Some(bytes)) => self.events.feed(&bytes),
                Ok(None) => {
                    self.is_over = true;
                    self.events.finish();
                }
                Err(error) => return Err(self.fail(error)),
            }
        }
    }

    /// The content of one event: inside an envelope, as far as is known, or bare.
    fn content<T: DeserializeOwned>(&self, answer: &Response) -> Result<Option<T>, Error> {
        let json = answer.json();
        if json.get("code").is_some() {
            return envelope::open_if_any(answer, self.api.codes());
        }
        if !json.is_object() || !json.is_whole() {
            return Err(answer.foreign());
        }
        if !json.get("content").is_some() && !json.get("finish_reason").is_some() {
            return Ok(None);
        }
        let content = json.value().try_decode().map(Some);
        content.map_err(|cause| answer.unexpected_with("the content is not as documented", cause))
    }

    /// Whether the event is the last one, and a good one. A plain document is the last one whatever it says.
    fn is_finished(
        &mut self,
        answer: &Response,
        reason: Option<FinishReason>,
    ) -> Result<bool, SubmitError> {
        let (kind, sent) = match &reason {
            Some(FinishReason::Stop) => return Ok(true),
            None => return Ok(self.events.is_plain()),
            Some(reason) if reason.as_str().is_empty() => return Ok(self.events.is_plain()),
            Some(
                FinishReason::TopicInvalid
                | FinishReason::OutlineInvalid
                | FinishReason::TopicOrResourceIdListInvalid
                | FinishReason::ContentInappropriate,
            ) => (ErrorKind::InvalidInput, Delivery::Answered),
            Some(FinishReason::SystemError) => (ErrorKind::Unavailable, Delivery::MaybeSent),
            Some(FinishReason::Other(_)) => (ErrorKind::Refused, Delivery::MaybeSent),
        };
        let word = reason.as_ref().map_or("", FinishReason::as_str);
        let error = answer
            .error(kind)
            .with_delivery(sent)
            .with_code(word)
            .with_message("the model ended without a result");
        Err(self.fail(error))
    }

    fn check_text(&mut self, answer: &Response, text: &str) -> Result<(), SubmitError> {
        if text.trim().is_empty() {
            return Err(self.fail(answer.unexpected("the model ended without a text")));
        }
        Ok(())
    }

    fn broken_off(&mut self) -> SubmitError {
        let answer = self.incoming.response(Bytes::new());
        let error = answer.unexpected("the stream ended before the model said that it is done");
        self.fail(error)
    }

    fn fail(&mut self, error: Error) -> SubmitError {
        let failed = match error.delivery() {
            Delivery::MaybeSent => SubmitError::OutcomeUnknown(LostSubmit {
                summary: self.what.clone(),
                sent_at: self.sent_at,
                error,
            }),
            _ => SubmitError::Rejected(error),
        };
        self.failed = Some(failed.clone());
        failed
    }
}
