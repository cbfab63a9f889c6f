//! Files on their way to disk: complete and at their names, or not at all.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use jobs_core::ErrorKind;
use jobs_core::testing::ManualClock;
use jobs_core::vendor::Delivery;
use printer_jobs::{
    Destination, Device, ListQuery, ListedJob, PageFetch, PrintOutcome, StatusFilter, Transfer,
};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::cloud::{Cloud, Say, Seen, drive, layout_a, online, pdf, slice};

/// A job as the cloud would list it.
fn listed(item: Value) -> ListedJob {
    ListedJob::from_json(&item.to_string()).unwrap()
}

fn pdf_job(size: usize) -> ListedJob {
    listed(json!({"jobid": "job-1", "doc_name": "../../etc/passwd\u{0}.docx", "doc_size": size}))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn in_chunks(bytes: u32) -> Transfer {
    Transfer::Chunks(bytes.try_into().unwrap())
}

/// A cloud that serves `file` for every download, except as `odd` says.
async fn serving(
    file: Vec<u8>,
    mut odd: impl FnMut(&Seen, usize) -> Option<Say> + Send + 'static,
) -> Cloud {
    let mut downloads = 0;
    Cloud::start(move |seen| match seen.cmd.as_str() {
        "printer/download_file" => {
            downloads += 1;
            odd(seen, downloads).unwrap_or_else(|| Say::File(slice(&file, &seen.body)))
        }
        _ => Say::Usual,
    })
    .await
}

fn offsets(cloud: &Cloud) -> Vec<(usize, u64)> {
    cloud
        .asked("printer/download_file")
        .iter()
        .map(|it| {
            (
                it.connection,
                it.body["offset"].as_u64().unwrap_or(u64::MAX),
            )
        })
        .collect()
}

struct Outcome {
    folder: tempfile::TempDir,
    result: Result<printer_jobs::Downloaded, jobs_core::Error>,
}

async fn fetch(clock: &ManualClock, device: &Device, job: &ListedJob) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let place = Destination::for_job(folder.path(), job);
    let result = drive(clock, device, device.download(job, &place)).await;
    Outcome { folder, result }
}

#[tokio::test]
async fn chunks_make_the_file_and_the_document_name_plays_no_part() {
    let (clock, file) = (ManualClock::new(), pdf(2500));
    let cloud = serving(file.clone(), |_, _| None).await;
    let device = online(cloud.device(&clock).with_transfer(in_chunks(1000))).await;
    let outcome = fetch(&clock, &device, &pdf_job(2500)).await;
    let downloaded = outcome.result.unwrap();
    assert_eq!(downloaded.bytes, 2500);
    assert_eq!(downloaded.files, [outcome.folder.path().join("job-1.pdf")]);
    assert_eq!(fs::read(&downloaded.files[0]).unwrap(), file);
    assert_eq!(names(outcome.folder.path()), ["job-1.pdf"]);
    assert_eq!(offsets(&cloud), [(1, 0), (1, 1000), (1, 2000)]);
}

#[tokio::test]
async fn download_resumes_from_the_last_good_byte_after_a_drop() {
    for headerless in [false, true] {
        let (clock, file) = (ManualClock::new(), pdf(3000));
        let cloud = serving(file.clone(), |_, n| (n == 2).then_some(Say::Cut)).await;
        cloud.state().headerless = headerless;
        let device = online(cloud.device(&clock).with_transfer(in_chunks(1000))).await;
        let outcome = fetch(&clock, &device, &pdf_job(3000)).await;
        let downloaded = outcome.result.unwrap();
        assert_eq!(fs::read(&downloaded.files[0]).unwrap(), file);
        assert_eq!(offsets(&cloud), [(1, 0), (1, 1000), (2, 1000), (2, 2000)]);
    }
}

#[tokio::test]
async fn a_torn_piece_is_asked_for_again_three_times() {
    // A length that lies, no length at all, and a text that ends too early: the last two cost the connection.
    let torn: [fn(&Seen) -> Say; 3] = [
        |seen| {
            Say::Raw(Message::binary(layout_a(
                &seen.req_id,
                &pdf(500),
                Some(1000),
            )))
        },
        |_| Say::Raw(Message::binary(vec![1, 0, 0, 0, 9])),
        |_| Say::Raw(Message::text("{\"errcode\":0,\"er")),
    ];
    for torn in torn {
        for (times, good) in [(3, true), (4, false)] {
            let (clock, file) = (ManualClock::new(), pdf(2000));
            let odd = move |seen: &Seen, n: usize| (2..2 + times).contains(&n).then(|| torn(seen));
            let cloud = serving(file.clone(), odd).await;
            let device = online(cloud.device(&clock).with_transfer(in_chunks(1000))).await;
            let outcome = fetch(&clock, &device, &pdf_job(2000)).await;
            // The first piece, four times the second at most.
            assert_eq!(offsets(&cloud).len(), 5);
            match outcome.result {
                Ok(downloaded) => assert_eq!(fs::read(&downloaded.files[0]).unwrap(), file),
                Err(error) => {
                    assert!(!good, "{error}");
                    assert_eq!(
                        (error.kind(), error.delivery()),
                        (ErrorKind::UnexpectedResponse, Delivery::MaybeSent)
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn a_connection_that_breaks_at_a_file_each_time_is_enough_after_four() {
    let clock = ManualClock::new();
    let cloud = serving(pdf(2000), |_, _| Some(Say::Cut)).await;
    let device = online(cloud.device(&clock)).await;
    let error = fetch(&clock, &device, &pdf_job(2000)).await.result;
    let error = error.unwrap_err();
    assert_eq!(
        (error.kind(), error.delivery()),
        (ErrorKind::Unreachable, Delivery::MaybeSent)
    );
    assert_eq!(offsets(&cloud).len(), 4);
}

#[tokio::test]
async fn whole_file_comes_in_one_message() {
    let (clock, file) = (ManualClock::new(), pdf(300_000));
    let cloud = serving(file.clone(), |_, _| None).await;
    let device = online(cloud.device(&clock).with_transfer(Transfer::Whole)).await;
    let outcome = fetch(&clock, &device, &pdf_job(300_000)).await;
    assert_eq!(fs::read(&outcome.result.unwrap().files[0]).unwrap(), file);
    let asked = cloud.asked("printer/download_file");
    assert_eq!(
        asked[0].body,
        json!({"jobid": "job-1", "format_version": 1})
    );
}

#[tokio::test]
async fn size_that_is_not_listed_is_found_by_the_short_chunk() {
    for (size, end) in [(2500, None), (2000, None), (2000, Some(600_041))] {
        let (clock, file) = (ManualClock::new(), pdf(size));
        let cloud = serving(file.clone(), move |seen, _| {
            let past = seen.body["offset"].as_u64().unwrap() >= size as u64;
            end.filter(|_| past)
                .map(|code| Say::Code(code, "bad offset"))
        })
        .await;
        let device = online(cloud.device(&clock).with_transfer(in_chunks(1000))).await;
        let job = listed(json!({"jobid": "job-1"}));
        let outcome = fetch(&clock, &device, &job).await;
        assert_eq!(fs::read(&outcome.result.unwrap().files[0]).unwrap(), file);
        assert_eq!(offsets(&cloud).len(), 3);
    }
}

#[tokio::test]
async fn lying_length_is_asked_for_again_and_costs_no_connection() {
    let (clock, file) = (ManualClock::new(), pdf(1500));
    let cloud = serving(file.clone(), |seen, n| {
        let lie = layout_a(&seen.req_id, b"%PDF", Some(u32::MAX));
        (n == 1).then(|| Say::Raw(Message::binary(lie)))
    })
    .await;
    let device = online(cloud.device(&clock).with_transfer(in_chunks(1000))).await;
    let outcome = fetch(&clock, &device, &pdf_job(1500)).await;
    assert_eq!(fs::read(&outcome.result.unwrap().files[0]).unwrap(), file);
    assert_eq!(offsets(&cloud), [(1, 0), (1, 0), (1, 1000)]);
}

#[tokio::test]
async fn wrong_files_leave_nothing_behind() {
    let longer = pdf(1600);
    let mut image = pdf(1500);
    image[..4].copy_from_slice(b"\xff\xd8\xff\xe0");
    for (file, kind, requests) in [
        (pdf(1400), ErrorKind::UnexpectedResponse, 3),
        (longer, ErrorKind::UnexpectedResponse, 1),
        (image, ErrorKind::UnexpectedResponse, 1),
        (Vec::new(), ErrorKind::UnexpectedResponse, 1),
    ] {
        let clock = ManualClock::new();
        let served = file.clone();
        // Ignores the limit when it has more than was listed.
        let cloud = serving(file, move |seen, _| {
            (served.len() > 1500)
                .then(|| Say::Raw(Message::binary(layout_a(&seen.req_id, &served, None))))
        })
        .await;
        let device = online(cloud.device(&clock).with_transfer(in_chunks(1000))).await;
        let outcome = fetch(&clock, &device, &pdf_job(1500)).await;
        let error = outcome.result.unwrap_err();
        assert_eq!(
            (error.kind(), error.delivery()),
            (kind, Delivery::Answered),
            "{error}"
        );
        assert_eq!(error.job().unwrap().as_str(), "job-1");
        assert!(names(outcome.folder.path()).is_empty());
        assert_eq!(offsets(&cloud).len(), requests);
    }
}

#[tokio::test]
async fn hopeless_jobs_are_refused_without_a_request() {
    let clock = ManualClock::new();
    let cloud = serving(Vec::new(), |_, _| None).await;
    let device = online(cloud.device(&clock)).await;
    let page = |idx: u32| json!({"idx": idx, "pic_size": 10});
    for (item, kind) in [
        (json!({"jobid": "a", "doc_size": 0}), ErrorKind::Refused),
        (
            json!({"jobid": "a", "doc_size": 30_000_000}),
            ErrorKind::TooLarge,
        ),
        (
            json!({"jobid": "a", "printer_format": "jpg"}),
            ErrorKind::Refused,
        ),
        (
            json!({"jobid": "a", "printer_format": "jpg", "pic_file_list": {"size": 3, "item": [page(0), page(2)]}}),
            ErrorKind::Refused,
        ),
    ] {
        let outcome = fetch(&clock, &device, &listed(item)).await;
        assert_eq!(outcome.result.unwrap_err().kind(), kind);
        assert!(names(outcome.folder.path()).is_empty());
    }
    assert!(offsets(&cloud).is_empty());
}

#[tokio::test]
async fn deleted_job_is_not_found_and_asked_for_once() {
    let clock = ManualClock::new();
    let cloud = serving(Vec::new(), |_, _| Some(Say::Code(600_040, "no job"))).await;
    cloud.state().headerless = true;
    let device = online(cloud.device(&clock)).await;
    let outcome = fetch(&clock, &device, &pdf_job(1500)).await;
    assert_eq!(outcome.result.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(offsets(&cloud).len(), 1);
}

#[tokio::test]
async fn refused_range_begins_anew_once_and_bad_chunk_is_repeated_once() {
    let (clock, file) = (ManualClock::new(), pdf(1500));
    let cloud = serving(file.clone(), |_, n| match n {
        2 => Some(Say::Code(600_052, "bad chunk")),
        3 => Some(Say::Code(600_041, "bad offset")),
        _ => None,
    })
    .await;
    let device = online(cloud.device(&clock).with_transfer(in_chunks(1000))).await;
    let outcome = fetch(&clock, &device, &pdf_job(1500)).await;
    assert_eq!(fs::read(&outcome.result.unwrap().files[0]).unwrap(), file);
    assert_eq!(
        offsets(&cloud),
        [(1, 0), (1, 1000), (1, 1000), (1, 0), (1, 1000)]
    );
}

#[tokio::test]
async fn existing_file_is_not_overwritten_whenever_it_appears() {
    let clock = ManualClock::new();
    let folder = tempfile::tempdir().unwrap();
    let job = pdf_job(1500);
    let place = Destination::for_job(folder.path(), &job);
    let path = place.files(&job).remove(0);
    let late = path.clone();
    let cloud = serving(pdf(1500), move |_, _| {
        fs::write(&late, "precious").unwrap();
        None
    })
    .await;
    let device = online(cloud.device(&clock)).await;
    for requests in [1, 1] {
        let error = drive(&clock, &device, device.download(&job, &place))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LocalIo, "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        assert_eq!(names(folder.path()), ["job-1.pdf"]);
        assert_eq!(offsets(&cloud).len(), requests);
    }
}

/// Three pages of 5, 7 and 600 bytes, and the job that lists them in disorder under a wrong number.
fn jpg_job() -> (Vec<Vec<u8>>, Value) {
    let pages: Vec<Vec<u8>> = [5, 7, 600]
        .iter()
        .map(|&size| {
            let mut page = vec![0xff, 0xd8];
            page.resize(size, 0x11);
            page
        })
        .collect();
    let item = |idx: usize| json!({"idx": idx, "pic_size": pages[idx].len()});
    let job = json!({
        "jobid": "job-2", "createtime": 3, "status": 0, "printer_format": "jpg",
        "pic_file_list": {"size": 6, "item": [item(2), item(0), item(1)]},
    });
    (pages, job)
}

#[tokio::test]
async fn jpg_job_becomes_one_file_a_page() {
    for strategy in [PageFetch::Joined, PageFetch::ByIndex] {
        let clock = ManualClock::new();
        let (pages, job) = jpg_job();
        let (joined, by_index) = (pages.concat(), pages.clone());
        let cloud = serving(joined, move |seen, _| {
            let index = seen.body.get("idx")?.as_u64()? as usize;
            Some(Say::File(slice(&by_index[index], &seen.body)))
        })
        .await;
        let device = online(
            cloud
                .device(&clock)
                .with_transfer(in_chunks(100))
                .with_page_fetch(strategy),
        )
        .await;
        let outcome = fetch(&clock, &device, &listed(job)).await;
        let downloaded = outcome.result.unwrap();
        assert_eq!(downloaded.bytes, 612);
        assert_eq!(
            names(outcome.folder.path()),
            ["job-2-001.jpg", "job-2-002.jpg", "job-2-003.jpg"]
        );
        for (path, page) in downloaded.files.iter().zip(&pages) {
            assert_eq!(&fs::read(path).unwrap(), page, "{strategy:?}");
        }
    }
}

#[tokio::test]
async fn unbinding_in_mid_job_ends_the_download_with_its_reason() {
    let clock = ManualClock::new();
    let cloud = serving(pdf(3000), |_, n| (n == 2).then_some(Say::Nothing)).await;
    let device = online(cloud.device(&clock).with_transfer(in_chunks(1000))).await;
    let job = pdf_job(3000);
    let fetching = fetch(&clock, &device, &job);
    let unbinding = async {
        cloud.has_seen("printer/download_file", 2).await;
        cloud.state().bound = false;
        cloud.push(Message::text(
            r#"{"cmd":"push_unbind_corp","headers":{"req_id":"17_ab"}}"#,
        ));
    };
    let (outcome, ()) = tokio::join!(fetching, unbinding);
    let error = outcome.result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error}");
    assert_eq!(
        (error.code(), error.delivery()),
        (Some("600004"), Delivery::MaybeSent)
    );
    let again = fetch(&clock, &device, &job).await.result.unwrap_err();
    assert_eq!(
        (again.code(), again.delivery()),
        (Some("600004"), Delivery::NotSent)
    );
    assert!(names(outcome.folder.path()).is_empty());
    assert_eq!(offsets(&cloud).len(), 2);
}

/// A cloud with three PDF jobs and a jpg job, whose list items are sparse as in 2019, or full.
async fn four_jobs(sparse: bool, headerless: bool) -> Cloud {
    let (pages, jpg) = jpg_job();
    let mut files: Vec<(String, Vec<u8>)> = (0..3)
        .map(|n| (format!("printer_job_170000000{n}_0f"), pdf(700 * (n + 1))))
        .collect();
    let mut items: Vec<Value> = files
        .iter()
        .enumerate()
        .map(|(n, (id, file))| {
            let mut item = json!({
                "userid": "mei", "createtime": n, "page_size": 0, "jobid": id, "doc_name": "plan.docx",
                "doc_size": file.len(), "setting_list": [{"key": "份数", "value": ["2"]}],
            });
            if !sparse {
                item["status"] = json!(0);
                item["printer_format"] = json!("pdf");
                item["errcode"] = json!("0");
                item["new_field"] = json!({"a": []});
            }
            item
        })
        .collect();
    files.push(("job-2".to_owned(), pages.concat()));
    items.push(jpg);
    let done = Arc::new(Mutex::new(Vec::<String>::new()));
    let cloud = Cloud::start(move |seen| {
        let id = seen.body["jobid"].as_str().unwrap_or_default().to_owned();
        match seen.cmd.as_str() {
            "printer/get_job_list" => {
                let done = done.lock().unwrap();
                let left: Vec<&Value> = items
                    .iter()
                    .filter(|item| !done.iter().any(|id| item["jobid"] == **id))
                    .collect();
                Say::Body(json!({"printer_job_list": left}))
            }
            "printer/download_file" => {
                let (_, file) = files.iter().find(|(known, _)| *known == id).unwrap();
                Say::File(slice(file, &seen.body))
            }
            "printer/report_job_status" => {
                done.lock().unwrap().push(id);
                Say::Usual
            }
            _ => Say::Usual,
        }
    })
    .await;
    cloud.state().headerless = headerless;
    cloud
}

#[tokio::test]
async fn four_jobs_end_complete_and_reported_once_in_every_mode() {
    for (sparse, headerless) in [(false, false), (false, true), (true, false), (true, true)] {
        let clock = ManualClock::new();
        let cloud = four_jobs(sparse, headerless).await;
        let device = online(cloud.device(&clock).with_transfer(in_chunks(512))).await;
        let folder = tempfile::tempdir().unwrap();
        let unprinted = || ListQuery::all().with_status(StatusFilter::Unprinted);
        let work = async {
            for job in device.jobs(unprinted()).await.unwrap() {
                let place = Destination::for_job(folder.path(), &job);
                device.download(&job, &place).await.unwrap();
                let id = job.job_id().unwrap();
                device.report(&id, &PrintOutcome::Succeeded).await.unwrap();
            }
            device.jobs(unprinted()).await.unwrap()
        };
        let left = drive(&clock, &device, work).await;
        assert!(left.is_empty());
        assert_eq!(names(folder.path()).len(), 6);
        let reports = cloud.asked("printer/report_job_status");
        assert_eq!(reports.len(), 4);
        assert!(reports.iter().all(|report| report.body["status"] == 2));
    }
}
