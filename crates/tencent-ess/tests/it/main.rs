//! Tests of `tencent-ess` from outside: raw JSON in the vendor's words over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod clock;
mod contract;
mod settings;
mod signature;
mod submit;
mod upload;
mod wire;

use httpmock::MockServer;
use jobs_core::Secret;
use jobs_core::testing::ManualClock;
use tencent_ess::{Agent, Client, ClientBuilder, Environment, Product};

const SECRET_ID: &str = "AKIDone-secret-id";
const SECRET_KEY: &str = "one-secret-key";
const AGENT: &str =
    r#"{"AppId":"yDapp","ProxyOrganizationOpenId":"org_demo","ProxyOperator":{"OpenId":"n9527"}}"#;

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

fn platform() -> Product {
    Agent::new("yDapp", "org_demo", "n9527").into()
}

/// A client of servers on this machine.
fn client(general: &str, upload: &str, clock: &ManualClock) -> ClientBuilder {
    client_of(platform(), general, upload, clock)
}

fn client_of(product: Product, general: &str, upload: &str, clock: &ManualClock) -> ClientBuilder {
    Client::builder(secret(SECRET_ID), secret(SECRET_KEY), product)
        .with_environment(Environment::custom(general, upload))
        .with_config(|config| config.with_clock(clock.shared()))
}

/// Both hosts, and a client of them.
struct Scene {
    general: MockServer,
    upload: MockServer,
    clock: ManualClock,
    client: Client,
}

impl Scene {
    async fn new() -> Self {
        Self::with(platform(), |builder| builder).await
    }

    async fn with(product: Product, change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Self {
        let (general, upload) = (
            MockServer::start_async().await,
            MockServer::start_async().await,
        );
        let clock = ManualClock::new();
        let builder = client_of(product, &general.base_url(), &upload.base_url(), &clock);
        Self {
            client: change(builder).build().unwrap(),
            general,
            upload,
            clock,
        }
    }
}
