//! The API origin: every operation is a POST with a bearer token, answered in the envelope.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::http::header::AUTHORIZATION;
use axum::http::{Method, Request, Response};
use chrono::{DateTime, FixedOffset};
use serde_json::{Value, json};

use super::answer::{Reason, Refusal, failure, new_id, respond, scripted_error};
use super::arguments::Arguments;
use super::files::{self, Kind};
use super::options::AbsentTime;
use super::state::{Advanced, Job};
use super::timeline::Timeline;
use super::{Shared, create, cursor, limit_of, model, success, templates, upload};
use crate::clock::seconds;
use crate::fault::{Dialect, read_away};
use crate::lock::lock;

const BODY_LIMIT: usize = 8 << 20;
const JOB_DIALECT: Dialect = Dialect {
    error: scripted_error,
    state_field: "/data/job/status",
};
const PDF_DIALECT: Dialect = Dialect {
    error: scripted_error,
    state_field: "/data/status",
};

/// Paths below `/v1/` and the operation names of faults, which are their last words where these are unique.
pub(crate) const PATHS: &[(&str, &str)] = &[
    ("account/info", "account_info"),
    ("account/score_log", "score_log"),
    ("template/list", "template_list"),
    ("template/get", "template_get"),
    ("template/tag_cfg", "tag_cfg"),
    ("advance_template/add", "advance_template_add"),
    ("advance_template/list", "advance_template_list"),
    ("advance_template/get", "advance_template_get"),
    ("advance_template/set", "advance_template_set"),
    ("advance_template/del", "advance_template_del"),
    ("resource/upload", "upload"),
    ("gpt/gen_outline_by_topic", "gen_outline_by_topic"),
    ("gpt/gen_content_by_outline", "gen_content_by_outline"),
    ("job/ppt_create_by_json", "ppt_create_by_json"),
    ("job/ppt_create_by_markdown", "ppt_create_by_markdown"),
    ("job/ppt_create_by_gpt", "ppt_create_by_gpt"),
    ("job/ppt_create_by_ppt", "ppt_create_by_ppt"),
    ("job/template_create_by_ppt", "template_create_by_ppt"),
    ("job/list", "job_list"),
    ("job/get", "job_get"),
    ("job/get_quality_check_data", "get_quality_check_data"),
    ("job/get_pdf", "get_pdf"),
    ("job/get_jump_link", "get_jump_link"),
    ("job/del", "job_del"),
];

pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let shared = Arc::clone(shared);
    let handle = move |request: Request<Body>| {
        let shared = Arc::clone(&shared);
        async move { dispatch(shared, request).await }
    };
    Router::new()
        .fallback(handle)
        // The limit of uploads is an option, enforced while the file streams in.
        .layer(DefaultBodyLimit::disable())
}

async fn dispatch(shared: Arc<Shared>, request: Request<Body>) -> Response<Body> {
    let path = request.uri().path();
    let named = path.strip_prefix("/v1/").and_then(|path| {
        let found = PATHS.iter().find(|(known, _)| *known == path);
        found.map(|(_, operation)| *operation)
    });
    let Some(operation) = named.filter(|_| request.method() == Method::POST) else {
        let status = if named.is_some() { 405 } else { 404 };
        read_away(request.into_body(), None).await;
        return refused(
            &shared,
            status,
            &Refusal::new(Reason::NotFound, "no such operation"),
        );
    };
    let dialect = match operation {
        "get_pdf" => PDF_DIALECT,
        _ => JOB_DIALECT,
    };
    let inner = Arc::clone(&shared);
    let work = |request| async move { serve(&inner, operation, request).await };
    shared
        .common
        .faults
        .run(operation, &dialect, request, work)
        .await
}

async fn serve(shared: &Shared, operation: &'static str, request: Request<Body>) -> Response<Body> {
    if let Err(refusal) = check_token(shared, &request) {
        read_away(request.into_body(), None).await;
        let status = shared.rule(|options| options.token_http_status);
        return refused(shared, status, &refusal);
    }
    match perform(shared, operation, request).await {
        Ok(response) => response,
        Err(refusal) => refused(shared, 200, &refusal),
    }
}

fn check_token(shared: &Shared, request: &Request<Body>) -> Result<(), Refusal> {
    let sent = request.headers().get(AUTHORIZATION);
    let sent = sent.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    match shared.rule(|options| sent == Some(options.api_key.as_str())) {
        true => Ok(()),
        false => Err(Refusal::new(Reason::Token, "token invalid")),
    }
}

fn refused(shared: &Shared, status: u16, refusal: &Refusal) -> Response<Body> {
    let mut state = lock(&shared.state);
    let code = refusal.code(&state.options);
    *state.counters.refusals.entry(code).or_default() += 1;
    drop(state);
    respond(status, &failure(&json!(code), &refusal.info))
}

async fn perform(
    shared: &Shared,
    operation: &'static str,
    request: Request<Body>,
) -> Result<Response<Body>, Refusal> {
    if operation == "upload" {
        let options = shared.rule(Clone::clone);
        let resource = upload::receive(request, &options, shared.now()).await?;
        let id = format!("res-{}", new_id());
        lock(&shared.state).upload(id.clone(), resource);
        return Ok(respond(200, &success(json!({ "resource_id": id }))));
    }
    let sent = arguments(request).await?;
    match operation {
        "gen_outline_by_topic" | "gen_content_by_outline" => {
            model::answer(shared, operation, &sent).await
        }
        "get_pdf" => Ok(respond(200, &success(get_pdf(shared, &sent).await?))),
        _ => Ok(respond(200, &success(data(shared, operation, &sent)?))),
    }
}

async fn arguments(request: Request<Body>) -> Result<Arguments, Refusal> {
    let bytes = axum::body::to_bytes(request.into_body(), BODY_LIMIT)
        .await
        .map_err(|_| Refusal::parameter("body is broken or too long"))?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(fields)) => Ok(Arguments(fields)),
        _ => Err(Refusal::parameter("body is not a JSON object")),
    }
}

fn data(shared: &Shared, operation: &'static str, sent: &Arguments) -> Result<Value, Refusal> {
    let now = shared.now();
    match operation {
        "account_info" => Ok(account(shared, now)),
        "score_log" => score_log(shared, sent, now),
        "template_list" => templates::list(&lock(&shared.state), sent, now),
        "template_get" => templates::get(&lock(&shared.state), sent, now),
        "tag_cfg" => Ok(templates::tags()),
        "job_list" => job_list(shared, sent, now),
        "job_get" => {
            let job = lock(&shared.state).poll(sent.filled("id")?, now)?;
            Ok(json!({ "job": job_object(shared, &job, now, false) }))
        }
        "job_del" => {
            lock(&shared.state).delete(sent.filled("id")?)?;
            Ok(json!({}))
        }
        "get_quality_check_data" => {
            let job = known(shared, sent)?;
            let pages = job.plan.deck.slides.iter().map(|slide| {
                let title = std::iter::once(slide.title.as_str());
                let lines = title.chain(slide.lines.iter().map(String::as_str));
                json!({"text": lines.collect::<Vec<_>>().join("\n"), "img_list": []})
            });
            Ok(json!({ "page_list": pages.collect::<Vec<_>>() }))
        }
        "get_jump_link" => {
            let job = known(shared, sent)?;
            sent.word("theme", &["light", "dark"])?;
            sent.flag("mobile_flag", false)?;
            let expires = now + seconds(shared.rule(|options| options.link_seconds));
            Ok(json!({ "url": files::link(shared, Kind::Page, &job.id, &job.plan.title, expires) }))
        }
        "advance_template_add"
        | "advance_template_list"
        | "advance_template_get"
        | "advance_template_set"
        | "advance_template_del" => advanced(shared, operation, sent, now),
        _ => create_job(shared, operation, sent, now),
    }
}

fn known(shared: &Shared, sent: &Arguments) -> Result<Job, Refusal> {
    lock(&shared.state).known(sent.filled("id")?).cloned()
}

fn account(shared: &Shared, now: Duration) -> Value {
    let mut state = lock(&shared.state);
    state.settle(now);
    json!({
        "id": "sim-account",
        "name": "simulator",
        "score": state.balance(),
        "created_at": "2025-01-01T00:00:00+08:00",
        "vip_type": state.options.vip_type,
        "vip_expiration_time": "2099-12-31T23:59:59+08:00",
    })
}

fn score_log(shared: &Shared, sent: &Arguments, now: Duration) -> Result<Value, Refusal> {
    let mut state = lock(&shared.state);
    let limit = limit_of(&state.options, sent)?;
    let (by_offset, positive) = (
        state.options.offset_cursors,
        state.options.positive_spending,
    );
    let entries = state.entries(now);
    let places: Vec<u64> = (0..entries.len() as u64).rev().collect();
    let (range, after) = page(&places, sent, limit, by_offset)?;
    let list: Vec<Value> = entries
        .iter()
        .rev()
        .skip(range.start)
        .take(range.len())
        .map(|(at, entry)| {
            let change = entry.final_score - entry.original_score;
            json!({
                "title": entry.title,
                "log_time": time(shared.common.clock.wall_of(*at)),
                "original_score": entry.original_score,
                "modified_score": if positive { -change } else { change },
                "final_score": entry.final_score,
            })
        })
        .collect();
    Ok(json!({"list": list, "after": after}))
}

fn job_list(shared: &Shared, sent: &Arguments, now: Duration) -> Result<Value, Refusal> {
    let jobs: Vec<Job>;
    let after;
    {
        let state = lock(&shared.state);
        let limit = limit_of(&state.options, sent)?;
        let (places, all) = state.newest_first();
        let (range, next) = page(&places, sent, limit, state.options.offset_cursors)?;
        let shown = all.get(range).unwrap_or_default();
        jobs = shown.iter().map(|job| (*job).clone()).collect();
        after = next;
    }
    let list: Vec<Value> = jobs
        .iter()
        .map(|job| job_object(shared, job, now, true))
        .collect();
    Ok(json!({"list": list, "after": after}))
}

fn page(
    places: &[u64],
    sent: &Arguments,
    limit: usize,
    by_offset: bool,
) -> Result<(std::ops::Range<usize>, String), Refusal> {
    cursor::page(places, sent.text("after")?, limit, by_offset)
        .ok_or_else(|| Refusal::parameter("after is not a cursor"))
}

fn create_job(
    shared: &Shared,
    operation: &'static str,
    sent: &Arguments,
    now: Duration,
) -> Result<Value, Refusal> {
    let job = {
        let mut state = lock(&shared.state);
        let plan = create::plan(operation, sent, &state, now)?;
        state.create(new_id(), plan, now)?
    };
    let mut data = json!({ "job": job_object(shared, &job, now, false) });
    if matches!(operation, "ppt_create_by_gpt" | "ppt_create_by_ppt")
        && let Some(fields) = data.as_object_mut()
    {
        let wanted = sent.flag("with_create_log_flag", false)?;
        let expires = now + seconds(shared.rule(|options| options.link_seconds));
        let url = if wanted {
            files::link(shared, Kind::CreateLog, &job.id, &job.plan.title, expires)
        } else {
            String::new()
        };
        fields.insert("create_log_url".to_owned(), json!(url));
    }
    Ok(data)
}

async fn get_pdf(shared: &Shared, sent: &Arguments) -> Result<Value, Refusal> {
    let id = sent.filled("id")?;
    let in_background = sent.required_flag("async_flag")?;
    let work = lock(&shared.state).pdf(id, shared.now())?;
    if !in_background {
        match work.end() {
            Some(end) => shared.common.clock.sleep_until(end).await,
            None => std::future::pending().await,
        }
        if work.succeeded(shared.now()) {
            lock(&shared.state).pdf_handed_out(id);
        }
    }
    let job = lock(&shared.state).known(id)?.clone();
    let now = shared.now();
    let life = shared.rule(|options| options.pdf_link_seconds);
    let url = match link_expiry(shared, &work, life, now) {
        Some(expires) => files::link(shared, Kind::Pdf, id, &job.plan.title, expires),
        None => String::new(),
    };
    let mut data = json!({"pdf_url": url});
    put_work(shared, &mut data, &work, now);
    Ok(data)
}

fn job_object(shared: &Shared, job: &Job, now: Duration, listed: bool) -> Value {
    let (life, extra) = shared.rule(|options| (options.link_seconds, options.extra_fields));
    let expiry = link_expiry(shared, &job.work, life, now);
    let title = &job.plan.title;
    let ppt_url = expiry
        .filter(|_| job.plan.makes_deck)
        .map(|expires| files::link(shared, Kind::Deck, &job.id, title, expires));
    let previews: Vec<String> = expiry
        .into_iter()
        .flat_map(|expires| {
            (1..=job.plan.previews).map(move |number| {
                files::link(
                    shared,
                    Kind::Preview,
                    &format!("{}-{number}", job.id),
                    title,
                    expires,
                )
            })
        })
        .collect();
    let template = job
        .template_id
        .as_deref()
        .filter(|_| job.work.succeeded(now));
    let mut value = json!({
        "id": job.id,
        "title": title,
        "ppt_url": ppt_url.unwrap_or_default(),
        "template_id": template.unwrap_or_default(),
        "preview_img_list": previews,
        "error": job.work.error(now).unwrap_or_default(),
    });
    put_work(shared, &mut value, &job.work, now);
    if let Some(fields) = value.as_object_mut() {
        if listed {
            fields.remove("queue_wait_count");
            fields.remove("preview_img_list");
        }
        if extra {
            fields.insert(
                "trace_info".to_owned(),
                json!({"region": "sim", "tags": []}),
            );
        }
    }
    value
}

/// When the links of succeeded work die.
fn link_expiry(shared: &Shared, work: &Timeline, life: f64, now: Duration) -> Option<Duration> {
    let end = work.end().filter(|_| work.succeeded(now))?;
    let from = if shared.rule(|options| options.links_renewed) {
        now
    } else {
        end
    };
    // Addresses carry whole seconds.
    Some(from + seconds(life))
}

/// The fields that jobs and exports have in common.
fn put_work(shared: &Shared, value: &mut Value, work: &Timeline, now: Duration) {
    let Some(fields) = value.as_object_mut() else {
        return;
    };
    let (misleading, absent) =
        shared.rule(|options| (options.misleading_progress, options.absent_times));
    let wall = |instant| json!(time(shared.common.clock.wall_of(instant)));
    fields.insert("status".to_owned(), json!(work.status(now)));
    fields.insert(
        "queue_wait_count".to_owned(),
        json!(work.queue_wait_count(now)),
    );
    fields.insert(
        "progress_percent".to_owned(),
        json!(work.progress_percent(now, misleading)),
    );
    fields.insert("created_at".to_owned(), wall(work.created));
    let finished = match (work.end().filter(|end| *end <= now), absent) {
        (Some(end), _) => Some(wall(end)),
        (None, AbsentTime::Empty) => Some(json!("")),
        (None, AbsentTime::Null) => Some(Value::Null),
        (None, AbsentTime::Missing) => None,
    };
    if let Some(finished) = finished {
        fields.insert("finished_at".to_owned(), finished);
    }
}

fn time(unix: Duration) -> String {
    let zone = FixedOffset::east_opt(8 * 3600);
    let utc = i64::try_from(unix.as_secs())
        .ok()
        .and_then(|secs| DateTime::from_timestamp(secs, 0));
    zone.zip(utc)
        .map(|(zone, utc)| utc.with_timezone(&zone).to_rfc3339())
        .unwrap_or_default()
}

fn advanced(
    shared: &Shared,
    operation: &str,
    sent: &Arguments,
    now: Duration,
) -> Result<Value, Refusal> {
    let mut state = lock(&shared.state);
    let show = |one: &Advanced| {
        json!({
            "id": one.id,
            "page_id": one.page_id,
            "title": one.title,
            "created_at": time(shared.common.clock.wall_of(one.created)),
            "updated_at": time(shared.common.clock.wall_of(one.updated)),
            "preview_img_url": "",
            // A document inside a string, as the vendor has it.
            "input_args": json!({"title": {"type": "string"}}).to_string(),
            "input_args_example": json!({"title": one.title}).to_string(),
        })
    };
    match operation {
        "advance_template_add" => {
            let sequence = state.sequence();
            let one = Advanced {
                id: format!("adv-{sequence}"),
                page_id: sent.filled("page_id")?.to_owned(),
                title: sent.filled("title")?.to_owned(),
                created: now,
                updated: now,
                sequence,
            };
            let item = show(&one);
            state.advanced.push(one);
            return Ok(json!({ "item": item }));
        }
        "advance_template_list" => {
            let limit = limit_of(&state.options, sent)?;
            let newest: Vec<&Advanced> = state.advanced.iter().rev().collect();
            let places: Vec<u64> = newest.iter().map(|one| one.sequence).collect();
            let (range, after) = page(&places, sent, limit, state.options.offset_cursors)?;
            let shown = newest.get(range).unwrap_or_default();
            let list: Vec<Value> = shown.iter().map(|one| show(one)).collect();
            return Ok(json!({"list": list, "after": after}));
        }
        _ => {}
    }
    let id = sent.filled("id")?;
    let missing = || Refusal::new(Reason::NotFound, "template not found");
    let place = state
        .advanced
        .iter()
        .position(|one| one.id == id)
        .ok_or_else(missing)?;
    if operation == "advance_template_del" {
        state.advanced.remove(place);
        return Ok(json!({}));
    }
    let one = state.advanced.get_mut(place).ok_or_else(missing)?;
    if operation == "advance_template_set" {
        one.title = sent.filled("title")?.to_owned();
        one.updated = now;
    }
    Ok(json!({ "item": show(one) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_carry_the_vendors_offset() {
        assert_eq!(
            time(Duration::from_secs(1_800_000_000)),
            "2027-01-15T16:00:00+08:00"
        );
    }

    #[test]
    fn every_operation_can_be_struck_by_a_fault() {
        assert_eq!(PATHS.len(), 24);
        for (_, operation) in PATHS {
            assert!(super::super::OPERATIONS.contains(operation), "{operation}");
        }
    }
}
