//! A web service that parses documents. Kill it at any instant: it buys nothing twice and loses nothing.
//! Then: `curl --data-binary @a.pdf ADDRESS/a.pdf` gives an id, and `curl ADDRESS/ID` the stage.
#![allow(clippy::print_stdout, reason = "an example speaks to its user")]

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Router, body::Bytes, routing::post};
use jobs_runner::{Runner, WorkerConfig};
use textin::{Client, Document, OutputPath};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let handler = textin::handler(Client::from_env()?);
    let runner = Runner::open("sqlite:ledger.db").await?.with(handler);
    let worker = runner.worker(WorkerConfig::default());
    tokio::spawn(worker.run(std::future::pending()));
    let routes = Router::new().route("/{name}", post(parse).get(stage));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    Ok(axum::serve(listener, routes.with_state(runner)).await?)
}

async fn parse(runner: State<Runner>, name: Path<String>, body: Bytes) -> Result<String, Failed> {
    let name = name.replace(['/', '\\'], "_");
    OutputPath::replacing(&name)?.write(&body)?;
    let document = textin::input(Document::open(&name)?);
    // The same document is the same job, however often it is posted.
    let job = runner.enqueue(document).output(format!("{name}.md"));
    Ok(job.await?.id.to_string())
}

async fn stage(runner: State<Runner>, id: Path<String>) -> Result<String, Failed> {
    let job = runner.job(id.parse()?).await?;
    Ok(format!("{} {:?}", job.stage, job.output))
}

struct Failed(Box<dyn std::error::Error>);

impl<E: Into<Box<dyn std::error::Error>>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (axum::http::StatusCode::BAD_REQUEST, self.0.to_string()).into_response()
    }
}
