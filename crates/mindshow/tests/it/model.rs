//! Outlines and texts, whole and while they are written.

use jobs_core::testing::ManualClock;
use jobs_core::vendor::Delivery;
use jobs_core::{ErrorKind, SubmitError};
use mindshow::types::{ContentRequest, OutlineRequest};
use mindshow::{Client, Outline};

use crate::vendor::{Say, Vendor};
use crate::{failure, success};

async fn client(say: impl Fn() -> Say + Send + Sync + 'static) -> (Vendor, Client) {
    let vendor = Vendor::start(move |_| say()).await;
    let client = crate::client(&vendor.url(), &ManualClock::new())
        .build()
        .unwrap();
    (vendor, client)
}

fn event(data: &str) -> String {
    format!("data: {}\n\n", success(data))
}

fn outline_stream() -> String {
    [
        ": hello\n\n".to_owned(),
        event(r##"{"content":"# 茶","finish_reason":null}"##),
        "event: ping\n\n".to_owned(),
        event(r###"{"content":"\n## 历史","finish_reason":null}"###),
        event(
            r###"{"content":"","all_content":"# 茶\n## 历史","content_ex_info":{"k":1},"finish_reason":"stop"}"###,
        ),
    ]
    .concat()
}

fn content_stream() -> String {
    [
        event(r##"{"content":"# 茶","progress_percent":40,"finish_reason":null}"##),
        event(r###"{"content":"# 茶\n## 历史","progress_percent":90,"finish_reason":null}"###),
        event(
            r###"{"content":"# 茶\n## 历史\n### 唐","progress_percent":100,"content_ex_info":"x","finish_reason":"stop"}"###,
        ),
    ]
    .concat()
}

fn pieces(stream: &str, size: usize) -> Vec<Vec<u8>> {
    stream.as_bytes().chunks(size).map(<[u8]>::to_vec).collect()
}

async fn outlined(client: &Client) -> Result<(Vec<String>, Outline), SubmitError> {
    let mut stream = client.stream_outline(&OutlineRequest::about("茶")).await?;
    let (mut increments, mut text) = (Vec::new(), String::new());
    while let Some(increment) = stream.next().await? {
        increments.push(increment.as_str().to_owned());
        increment.append_to(&mut text);
    }
    let outline = stream.finish().await?;
    assert_eq!(text, outline.text);
    Ok((increments, outline))
}

#[tokio::test]
async fn an_outline_comes_in_increments_however_it_is_cut() {
    for size in [1, 2, 7, 100, 10_000] {
        let (vendor, client) = client(move || Say::Pieces(pieces(&outline_stream(), size))).await;
        let (increments, outline) = outlined(&client).await.unwrap();
        assert_eq!(increments, ["# 茶", "\n## 历史"], "{size}");
        assert_eq!(outline.text, "# 茶\n## 历史");
        assert_eq!(outline.content_ex_info, Some(serde_json::json!({"k": 1})));
        assert_eq!(
            vendor.seen()[0].json(),
            serde_json::json!({"topic": "茶", "stream": true})
        );
        assert_eq!(vendor.seen().len(), 1);
    }
}

#[tokio::test]
async fn the_whole_outline_at_the_end_is_believed_over_its_pieces() {
    let (_vendor, client) = client(|| {
        Say::Pieces(vec![
            event(r##"{"content":"# draft","finish_reason":null}"##).into_bytes(),
            event(r##"{"content":"","all_content":"# final","finish_reason":"stop"}"##)
                .into_bytes(),
        ])
    })
    .await;
    let stream = client.stream_outline(&OutlineRequest::about("A")).await;
    assert_eq!(stream.unwrap().finish().await.unwrap().text, "# final");
}

#[tokio::test]
async fn a_text_comes_as_a_whole_each_time() {
    for size in [1, 5, 10_000] {
        let (_vendor, client) = client(move || Say::Pieces(pieces(&content_stream(), size))).await;
        let mut stream = client
            .stream_content(&ContentRequest::new("# 茶".to_owned()))
            .await
            .unwrap();
        let (mut percents, mut text) = (Vec::new(), String::new());
        while let Some(full) = stream.next().await.unwrap() {
            percents.push(full.percent);
            full.replace_in(&mut text);
        }
        let content = stream.finish().await.unwrap();
        assert_eq!(percents, [Some(40), Some(90), Some(100)], "{size}");
        assert_eq!(
            (text.as_str(), content.text.as_str()),
            ("# 茶\n## 历史\n### 唐", text.as_str())
        );
    }
}

#[tokio::test]
async fn plain_json_is_taken_whether_or_not_a_stream_was_asked_for() {
    for data in [
        r###"{"content":"# A\n## B","finish_reason":"stop"}"###,
        r###"{"content":"# A\n## B"}"###,
        r###"{"content":"# A\n## B","finish_reason":""}"###,
    ] {
        let (vendor, client) = client(move || Say::json(success(data))).await;
        let whole = client.outline(&OutlineRequest::about("A")).await.unwrap();
        assert_eq!(whole.text, "# A\n## B", "{data}");
        let (increments, _) = outlined(&client).await.unwrap();
        assert_eq!(increments, ["# A\n## B"]);
        let request = ContentRequest::new("# A".to_owned());
        assert_eq!(client.content(&request).await.unwrap().text, "# A\n## B");
        let asked: Vec<_> = vendor
            .seen()
            .iter()
            .map(|seen| seen.json()["stream"].clone())
            .collect();
        assert_eq!(asked, [false, true, false]);
    }
}

#[tokio::test]
async fn a_stream_cut_anywhere_is_unknown_and_never_an_outline() {
    let whole = outline_stream();
    let end = whole.rfind("data:").unwrap();
    for cut in [0, 1, 9, 40, end / 2, end, end + 20, whole.len() - 4] {
        for is_clean in [true, false] {
            let (vendor, client) = client(move || {
                let pieces = pieces(&outline_stream()[..floor(&outline_stream(), cut)], 64);
                if is_clean {
                    Say::Pieces(pieces)
                } else {
                    Say::Cut(pieces)
                }
            })
            .await;
            let Err(SubmitError::OutcomeUnknown(lost)) = outlined(&client).await else {
                panic!("cut at {cut}, clean {is_clean}")
            };
            assert_eq!(lost.error.delivery(), Delivery::MaybeSent);
            assert_eq!(vendor.seen().len(), 1);
        }
    }
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

#[tokio::test]
async fn every_reason_to_finish_has_its_outcome() {
    for (word, refused) in [
        ("topic_invalid", true),
        ("outline_invalid", true),
        ("topic_or_resource_id_list_invalid", true),
        ("content_inappropriate", true),
        ("system_error", false),
        ("tired", false),
    ] {
        let (vendor, client) = client(move || {
            Say::Pieces(vec![
                event(r#"{"content":"a","finish_reason":null}"#).into_bytes(),
                event(&format!(r#"{{"content":"","finish_reason":"{word}"}}"#)).into_bytes(),
            ])
        })
        .await;
        let error = match outlined(&client).await.unwrap_err() {
            SubmitError::Rejected(error) if refused => error,
            SubmitError::OutcomeUnknown(lost) if !refused => lost.error,
            other => panic!("{word}: {other:?}"),
        };
        assert_eq!(error.code(), Some(word));
        assert_eq!(error.kind() == ErrorKind::InvalidInput, refused, "{word}");
        assert_eq!(vendor.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_failure_is_read_in_every_form() {
    for say in [
        || Say::json(failure(5, "no credits")),
        || {
            Say::Pieces(vec![
                format!("data: {}\n\n", failure(5, "no credits")).into_bytes(),
            ])
        },
        || Say::Reply(403, failure(5, "no credits").into_bytes()),
    ] {
        let (_vendor, client) = client(say).await;
        let SubmitError::Rejected(error) = outlined(&client).await.unwrap_err() else {
            panic!("not refused")
        };
        assert_eq!(
            (error.code(), error.message()),
            (Some("5"), Some("no credits"))
        );
    }
    for say in [
        || Say::Hangup,
        || Say::Reply(502, b"<html>".to_vec()),
        || Say::Reply(200, b"<html>".to_vec()),
        || Say::json(success("{}")),
        || Say::json(""),
    ] {
        let (vendor, client) = client(say).await;
        let error = outlined(&client).await.unwrap_err();
        assert!(matches!(error, SubmitError::OutcomeUnknown(_)), "{error:?}");
        assert_eq!(vendor.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_stream_that_failed_stays_failed() {
    let (_vendor, client) = client(|| {
        Say::Pieces(vec![
            event(r#"{"content":"a","finish_reason":"topic_invalid"}"#).into_bytes(),
        ])
    })
    .await;
    let mut stream = client
        .stream_outline(&OutlineRequest::about("A"))
        .await
        .unwrap();
    assert!(stream.next().await.is_err());
    assert!(stream.next().await.is_err());
    assert!(stream.finish().await.is_err());
}

#[tokio::test]
async fn an_outline_without_a_topic_is_not_asked_for() {
    let (vendor, client) = client(|| Say::Hangup).await;
    let error = client
        .outline(&OutlineRequest::default())
        .await
        .unwrap_err();
    assert!(
        matches!(error, SubmitError::Rejected(error) if error.kind() == ErrorKind::InvalidInput)
    );
    assert_eq!(vendor.seen().len(), 0);
}
