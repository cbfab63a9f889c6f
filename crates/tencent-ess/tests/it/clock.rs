//! A wrong clock is corrected once, by the vendor's.

use std::sync::{Arc, Mutex};

use httpmock::{HttpMockRequest, HttpMockResponse};
use jobs_core::vendor::JobKind as _;
use jobs_core::{ErrorKind, Job, SubmitError};
use tencent_ess::types::ResourceType;
use tencent_ess::{Conversion, ConvertRequest, ResourceId};

use crate::Scene;
use crate::signature::is_signed;

/// A server whose clock shows `time`, and the timestamps of the requests to it.
async fn server(scene: &Scene, time: i64, message: &'static str) -> Arc<Mutex<Vec<i64>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&seen);
    scene
        .general
        .mock_async(|when, then| {
            when.path("/").is_true(|request| is_signed(request, "essbasic"));
            then.respond_with(move |request: &HttpMockRequest| {
                let stamp: i64 = request.headers()["x-tc-timestamp"].to_str().unwrap().parse().unwrap();
                record.lock().unwrap().push(stamp);
                let body = if (time - stamp).abs() > 300 {
                    format!(
                        r#"{{"Response":{{"Error":{{"Code":"AuthFailure.SignatureExpire","Message":"{message}"}},"RequestId":"r"}}}}"#
                    )
                } else {
                    r#"{"Response":{"TaskId":"t1","TaskStatus":4,"RequestId":"r"}}"#.to_owned()
                };
                HttpMockResponse::builder().status(200).body(body).build()
            });
        })
        .await;
    seen
}

async fn create(scene: &Scene) -> Result<Job<Conversion>, SubmitError> {
    let id = ResourceId::new("yDRS").unwrap();
    let create = scene
        .client
        .convert(ConvertRequest::uploaded(
            id.clone(),
            ResourceType::Docx,
            "a.docx",
        ))
        .submit();
    scene.clock.run(create).await
}

const OURS: i64 = 1_767_225_600;

#[tokio::test]
async fn the_correction_is_signed_anew_and_kept_for_later_calls() {
    let scene = Scene::new().await;
    let theirs = OURS + 4000;
    let message = "signature expired, server time 1767229600";
    let seen = server(&scene, theirs, message).await;
    let Ok(job) = create(&scene).await else {
        panic!()
    };
    let polls = scene
        .client
        .kind()
        .poll(std::slice::from_ref(job.id()))
        .await;
    assert!(polls.into_vec().remove(0).is_ok());
    assert_eq!(*seen.lock().unwrap(), [OURS, theirs, theirs]);
}

#[tokio::test]
async fn a_correction_that_does_not_help_is_the_only_one() {
    let scene = Scene::new().await;
    let seen = server(&scene, OURS + 4000, "server time 1767999999").await;
    let Err(SubmitError::Rejected(error)) = create(&scene).await else {
        panic!()
    };
    assert_eq!(
        (error.kind(), error.code()),
        (
            ErrorKind::Unauthenticated,
            Some("AuthFailure.SignatureExpire")
        )
    );
    assert_eq!(*seen.lock().unwrap(), [OURS, 1_767_999_999]);
}
