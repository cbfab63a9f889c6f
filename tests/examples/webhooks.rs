//! Webhooks of two vendors in axum. They are never believed: each only brings the next poll of the job that it names forward.
//! `webhooks SECRET`, where SECRET is the unguessable part of TextIn's path; PP匠's are signed with `PPJ_APP_SECRET`.

#![allow(clippy::print_stdout, reason = "an example speaks to its user")]

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::routing::{any, post};
use jobs_core::fleet::{Fleet, FleetConfig, FleetHandle};
use ppj::webhook::{WebhookEvent, WebhookKey, WebhookRequest};
use ppj::{Env, JobId};

#[derive(Clone)]
struct App {
    fleet: FleetHandle<(), JobId>,
    key: WebhookKey,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = std::env::args().nth(1).ok_or("name a secret")?;
    // Watch your jobs here; a job that nobody watches is no error.
    let fleet = Fleet::new(FleetConfig::default());
    let app = App {
        fleet: fleet.handle(),
        key: WebhookKey::new(Env::of_process("ppj").secret("PPJ_APP_SECRET")?),
    };
    let routes = Router::new()
        .route(&format!("/textin/{secret}"), post(textin))
        .route("/ppj", any(ppj));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    Ok(axum::serve(listener, routes.with_state(app)).await?)
}

async fn textin(State(app): State<App>, body: Bytes) -> Result<&'static str, StatusCode> {
    let job = textin::webhook::parse(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    println!("textin {job}");
    app.fleet.poll_soon("textin", &job);
    Ok("{}")
}

async fn ppj(State(app): State<App>, request: Request) -> Result<String, StatusCode> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await;
    let body = body.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
    let target = head.uri.path_and_query().map_or("/", |it| it.as_str());
    let header = |name: &str| head.headers.get(name).and_then(|it| it.to_str().ok());
    let mut call = match head.method.as_str() {
        "POST" => WebhookRequest::post(target, &body),
        _ => WebhookRequest::get(target),
    };
    if let (Some(time), Some(signature)) = (header("x-ppj-timestamp"), header("x-ppj-signature")) {
        call = call.with_signature(time, signature);
    }
    let event = ppj::webhook::parse(&call, Some(&app.key)).map_err(|_| StatusCode::FORBIDDEN)?;
    if let WebhookEvent::JobChanged(job) = &event {
        println!("ppj {job}");
        app.fleet.poll_soon("ppj", job);
    }
    Ok(event.answer())
}
