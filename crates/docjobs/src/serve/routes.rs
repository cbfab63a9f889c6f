//! Which path leads where, on the main listener.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::page::{Page, wants_page};
use super::problem::Problem;
use super::state::ServeState;
use super::{
    action_routes, assets, budget_routes, bulk_routes, export_routes, guard, hook_list, hooks_view,
    in_doubt_view, job_view, jobs_view, login, metrics, money_view, openapi, page, page_actions,
    parse_route, rates_view, read_routes, result_routes, submission_form, submit_routes,
    summary_routes, workers_view,
};

/// Every route, still without the guard.
pub(super) fn router(state: Arc<ServeState>) -> Router {
    let access = Arc::clone(&state.access);
    let uploads = DefaultBodyLimit::max(submission_form::longest_body(state.max_upload));
    let log_in = Router::new()
        .route("/login", get(login::show).post(login::log_in))
        .with_state(access);
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/assets/{name}", get(assets::serve))
        .route("/logout", post(login::log_out))
        .route("/language", get(page::switch_language))
        .route(
            "/v1/jobs",
            get(read_routes::list)
                .post(submit_routes::submit)
                .layer(uploads),
        )
        .route("/v1/jobs/{id}", get(read_routes::show))
        .route("/v1/jobs/{id}/events", get(read_routes::history))
        .route("/v1/jobs/{id}/result", get(result_routes::serve))
        .route("/v1/jobs/{id}/adopt", post(action_routes::adopt))
        .route("/v1/jobs/{id}/abandon", post(action_routes::abandon))
        .route("/v1/jobs/{id}/poll", post(action_routes::poll))
        .route("/v1/jobs/{id}/fetch", post(action_routes::fetch))
        .route(
            "/v1/budgets/{vendor}",
            get(budget_routes::show)
                .put(budget_routes::set)
                .delete(budget_routes::clear),
        )
        .route("/v1/bulk", post(bulk_routes::bulk))
        .route("/v1/hooks", get(hook_list::list))
        .route("/v1/events", get(read_routes::events))
        .route("/v1/summary", get(summary_routes::summary))
        .route("/v1/parse", post(parse_route::parse).layer(uploads))
        .route("/v1/openapi.json", get(openapi::serve))
        .route("/", get(jobs_view::show))
        .route("/jobs/{id}", get(job_view::show))
        .route(
            "/jobs/{id}/adopt",
            get(page_actions::ask_adopt).post(page_actions::adopt),
        )
        .route(
            "/jobs/{id}/abandon",
            get(page_actions::ask_abandon).post(page_actions::abandon),
        )
        .route("/jobs/{id}/poll", post(page_actions::poll))
        .route("/jobs/{id}/fetch", post(page_actions::fetch))
        .route("/bulk", post(bulk_routes::form))
        .route("/rates", get(rates_view::show))
        .route("/hooks", get(hooks_view::show))
        .route("/workers", get(workers_view::show))
        .route("/metrics", get(metrics::serve))
        .route("/jobs.csv", get(export_routes::csv))
        .route("/jobs.jsonl", get(export_routes::json_lines))
        .route("/money", get(money_view::show))
        .route("/money/budget", post(money_view::change_budget))
        .route("/in-doubt", get(in_doubt_view::show))
        .with_state(state)
        .merge(log_in)
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
}

/// The routes behind the guard.
pub(super) fn guarded(routes: Router, state: &ServeState) -> Router {
    let access = Arc::clone(&state.access);
    routes.layer(middleware::from_fn_with_state(access, guard::check))
}

/// `GET /readyz`: whether the ledger answers.
async fn ready(State(state): State<Arc<ServeState>>) -> Response {
    let one = jobs_ledger::JobFilter::all().with_limit(1);
    match state.ledger.list(&one).await {
        Ok(_) => "ok\n".into_response(),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            [("retry-after", "5")],
            "no ledger\n",
        )
            .into_response(),
    }
}

async fn not_found(request: Request) -> Response {
    let problem =
        Problem::not_found("there is no such address; GET /v1/openapi.json lists those of the API");
    if wants_page(&request) {
        return Page::of(&request, "/").problem(&problem);
    }
    problem.into_response()
}

async fn not_allowed() -> Response {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "Method not allowed",
        "this address is not called by that method; GET /v1/openapi.json tells by which",
    )
    .into_response()
}
