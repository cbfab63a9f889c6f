//! Model calls of the MindShow simulator, streamed: what really comes over the wire.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use vendor_sim::mindshow::StreamOptions;
use vendor_sim::{Fault, MindShowHandle, MindShowOptions};

use crate::mindshow::still;

fn quick(stream: StreamOptions) -> MindShowOptions {
    MindShowOptions {
        model_seconds: 0.0,
        stream: StreamOptions {
            step_seconds: 0.0,
            ..stream
        },
        ..MindShowOptions::default()
    }
}

/// Head, chunks as they were framed, and whether the stream ended in good order.
async fn raw(sim: &MindShowHandle, operation: &str, body: Value) -> (String, Vec<Vec<u8>>, bool) {
    let base = sim.api_url();
    let host = base.strip_prefix("http://").unwrap();
    let body = body.to_string();
    let request = format!(
        "POST /v1/gpt/{operation} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
        sim.api_key(),
        body.len()
    );
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let end = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut rest = &bytes[end + 4..];
    if !head.contains("transfer-encoding: chunked") {
        return (head, vec![rest.to_vec()], true);
    }
    let mut chunks = Vec::new();
    while let Some(line) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return (head, chunks, true);
        }
        let start = line + 2;
        let stop = (start + size).min(rest.len());
        chunks.push(rest[start..stop].to_vec());
        rest = rest.get(stop + 2..).unwrap_or_default();
    }
    (head, chunks, false)
}

fn events(chunks: &[Vec<u8>]) -> Vec<Value> {
    let text = String::from_utf8(chunks.concat()).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn outline() -> Value {
    json!({"topic": "春天的花", "page_count": 3, "stream": true})
}

#[tokio::test]
async fn outline_streams_envelopes_whose_increments_add_up_to_the_whole() {
    let sim = still(quick(StreamOptions::default())).await;
    let (head, chunks, complete) = raw(&sim, "gen_outline_by_topic", outline()).await;
    assert!(head.contains("content-type: text/event-stream") && complete);
    let events = events(&chunks);
    assert!(events.len() > 2);
    assert!(
        events
            .iter()
            .all(|event| event["code"] == 0 && event["request_id"] == events[0]["request_id"])
    );
    let joined: String = events
        .iter()
        .map(|event| event["data"]["content"].as_str().unwrap())
        .collect();
    let last = &events.last().unwrap()["data"];
    assert_eq!(
        (last["all_content"].as_str(), &last["finish_reason"]),
        (Some(joined.as_str()), &json!("stop"))
    );
    assert!(joined.starts_with("# 春天的花\n"));
    assert_eq!(sim.charges().len(), 1);
    // The same without streaming.
    let (_, plain, _) = raw(
        &sim,
        "gen_outline_by_topic",
        json!({"topic": "春天的花", "page_count": 3}),
    )
    .await;
    let plain: Value = serde_json::from_slice(&plain.concat()).unwrap();
    assert_eq!(plain["data"]["content"], joined.as_str());

    let request =
        json!({"outline": joined, "content_ex_info": last["content_ex_info"], "stream": true});
    let (_, chunks, _) = raw(&sim, "gen_content_by_outline", request).await;
    let snapshots = self::events(&chunks);
    let text = |event: &Value| event["data"]["content"].as_str().unwrap().to_owned();
    let grown = snapshots
        .windows(2)
        .all(|two| text(&two[1]).starts_with(&text(&two[0])));
    assert!(grown && text(snapshots.last().unwrap()).contains("####"));
    assert_eq!(snapshots.last().unwrap()["data"]["progress_percent"], 100);
    assert_eq!(sim.charges().len(), 3);
}

#[tokio::test]
async fn letters_are_split_between_chunks_and_comments_stand_between_events() {
    let sim = still(quick(StreamOptions {
        chunk_bytes: Some(7),
        comments: true,
        crlf: true,
        sentinel: Some("[DONE]".to_owned()),
        ..StreamOptions::default()
    }))
    .await;
    let (_, chunks, complete) = raw(&sim, "gen_outline_by_topic", outline()).await;
    assert!(complete && chunks.iter().all(|chunk| chunk.len() <= 7));
    assert!(
        chunks
            .iter()
            .any(|chunk| std::str::from_utf8(chunk).is_err())
    );
    let text = String::from_utf8(chunks.concat()).unwrap();
    assert!(text.starts_with(": ping\r\ndata: {"));
    assert!(text.ends_with("data: [DONE]\r\n\r\n"));
}

#[tokio::test]
async fn stream_can_break_off_in_disorder_or_in_good_order() {
    let sim = still(quick(StreamOptions::default())).await;
    sim.set_fault("gen_outline_by_topic", Fault::CutBody { at: 200 });
    let (_, chunks, complete) = raw(&sim, "gen_outline_by_topic", outline()).await;
    assert_eq!((chunks.concat().len(), complete), (200, false));
    sim.change_options(|options| options.stream.end_after = Some(2));
    let (_, chunks, complete) = raw(&sim, "gen_outline_by_topic", outline()).await;
    let events = events(&chunks);
    assert_eq!((events.len(), complete), (2, true));
    assert!(events[1]["data"]["finish_reason"].is_null());
    // Both calls were charged all the same.
    assert_eq!(sim.charges().len(), 2);
}

#[tokio::test]
async fn every_finish_reason_can_be_had_and_refusals_come_plain_or_as_event() {
    let sim = still(quick(StreamOptions::default())).await;
    let reason = async |operation: &str, body: Value| {
        let (_, chunks, _) = raw(&sim, operation, body).await;
        events(&chunks).last().unwrap()["data"]["finish_reason"].clone()
    };
    assert_eq!(
        reason("gen_outline_by_topic", json!({"stream": true})).await,
        "topic_or_resource_id_list_invalid"
    );
    let unknown = json!({"topic": "x", "resource_id_list": ["none"], "stream": true});
    assert_eq!(
        reason("gen_outline_by_topic", unknown).await,
        "topic_or_resource_id_list_invalid"
    );
    let no_outline = json!({"outline": "just text", "stream": true});
    assert_eq!(
        reason("gen_content_by_outline", no_outline).await,
        "outline_invalid"
    );
    for word in ["topic_invalid", "content_inappropriate", "system_error"] {
        sim.next_finish_reason(word);
        assert_eq!(reason("gen_outline_by_topic", outline()).await, word);
    }
    sim.change_options(|options| {
        options
            .finish_reasons
            .insert("春天的花".to_owned(), "topic_invalid".to_owned());
    });
    assert_eq!(
        reason("gen_outline_by_topic", outline()).await,
        "topic_invalid"
    );

    sim.change_options(|options| options.score = 0);
    let (head, body, _) = raw(&sim, "gen_outline_by_topic", outline()).await;
    let refusal: Value = serde_json::from_slice(&body.concat()).unwrap();
    assert!(head.contains("application/json"));
    assert_eq!(
        (&refusal["code"], refusal.get("data")),
        (&json!(10_004), None)
    );
    sim.change_options(|options| options.stream.refusals_as_events = true);
    let (head, body, _) = raw(&sim, "gen_outline_by_topic", outline()).await;
    assert!(head.contains("text/event-stream"));
    assert_eq!(events(&body)[0]["code"], 10_004);
}
