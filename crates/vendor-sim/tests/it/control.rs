//! The control endpoint and the environment that all simulators hand out.

use serde_json::{Value, json};
use vendor_sim::{SimOptions, Simulators};

use crate::client::{Answer, Caller, ask, no_rate, still};

async fn call(method: &str, base: &str, path: &str, body: Value) -> Answer {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    ask(method, &format!("{base}/_sim/{path}"), &[], body.as_bytes())
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn state_and_requests_are_readable_and_reset_clears_them() {
    let sim = still(no_rate()).await;
    let base = sim.api_url();
    let job_id = Caller(&sim).submit("a.txt", "hello").await;
    assert_eq!(
        call("POST", &base, "advance", json!({"seconds": 60}))
            .await
            .status,
        200
    );
    let state = call("GET", &base, "state", Value::Null).await.json();
    assert_eq!(state["jobs"][0]["job_id"], job_id.as_str());
    assert_eq!(state["jobs"][0]["status"], "completed");
    assert_eq!(state["charges"][0]["pages"], 1);
    let requests = call("GET", &base, "requests", Value::Null).await.json();
    // The control endpoint's own requests are not recorded.
    assert_eq!(requests.as_array().unwrap().len(), 1);
    assert_eq!(requests[0]["path"], "/api/v1/xparse/parse/async");
    assert_eq!(requests[0]["answered"], 200);
    assert_eq!(call("POST", &base, "reset", Value::Null).await.status, 200);
    let state = call("GET", &base, "state", Value::Null).await.json();
    assert_eq!(
        (
            state["jobs"].as_array().unwrap().len(),
            state["requests"].as_u64()
        ),
        (0, Some(0))
    );
}

#[tokio::test]
async fn faults_are_set_and_cleared_and_mistakes_in_them_named() {
    let sim = still(no_rate()).await;
    let base = sim.api_url();
    let set = |operation: &str, times: Value, fault: Value| {
        let body = json!({"op": operation, "times": times, "fault": fault});
        let base = base.clone();
        async move { call("POST", &base, "fault", body).await }
    };
    let busy = json!({"kind": "code", "code": 40306});
    assert_eq!(set("poll", json!(2), busy.clone()).await.status, 200);
    let codes = async {
        let mut codes = Vec::new();
        for _ in 0..3 {
            codes.push(Caller(&sim).poll("x").await.code());
        }
        codes
    };
    assert_eq!(codes.await, [40306, 40306, 40004]);
    for (operation, times, fault) in [
        ("glance", json!(1), busy.clone()),
        ("poll", json!("sometimes"), busy.clone()),
        ("poll", json!(0), busy.clone()),
        ("poll", json!(1), json!({"kind": "nonsense"})),
    ] {
        let refused = set(operation, times, fault).await;
        assert_eq!(refused.status, 400);
        assert!(refused.json()["error"].as_str().unwrap().len() > 10);
    }
    assert_eq!(set("*", json!("always"), busy).await.status, 200);
    assert_eq!(
        call("DELETE", &base, "fault", Value::Null).await.status,
        200
    );
    assert_eq!(Caller(&sim).poll("x").await.code(), 40004);
}

#[tokio::test]
async fn options_are_patched_by_name_and_unknown_names_refused() {
    let sim = still(no_rate()).await;
    let base = sim.api_url();
    let patch = json!({
        "qps": 5, "result_access": "credentials", "webhook": {"late": {"seconds": 3.0}},
        "outcomes": {"x.pdf": {"status": "failed", "message": "no"}}
    });
    let options = call("POST", &base, "options", patch).await;
    assert_eq!(options.status, 200);
    assert_eq!(options.json()["qps"], 5);
    assert_eq!(sim.options().qps, Some(5));
    assert_eq!(options.json()["app_id"], "sim-app-id");
    assert_eq!(
        call("POST", &base, "options", json!({"qpss": 5}))
            .await
            .status,
        400
    );
    assert_eq!(call("POST", &base, "options", json!([])).await.status, 400);
    assert_eq!(
        ask("POST", &format!("{base}/_sim/options"), &[], b"{")
            .await
            .unwrap()
            .unwrap()
            .status,
        400
    );
}

#[tokio::test]
async fn environment_names_every_variable_and_the_time_scale() {
    let simulators = Simulators::start(SimOptions {
        speed: 50.0,
        ..SimOptions::default()
    })
    .await
    .unwrap();
    let env = simulators.env();
    let value = |name: &str| {
        env.iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(value("TEXTIN_APP_ID"), Some("sim-app-id"));
    assert_eq!(value("TEXTIN_SECRET_CODE"), Some("sim-secret-code"));
    assert_eq!(
        value("TEXTIN_SERVER_URL"),
        Some(simulators.textin().api_url().as_str())
    );
    assert_eq!(value("PPJ_ACCESS_KEY"), Some("sim-access-key"));
    let ppj = simulators.ppj();
    assert_eq!(value("PPJ_BASE_URL"), Some(ppj.api_url().as_str()));
    assert!(ppj.api_url().ends_with("/api/"));
    // One set of credentials is enough; both would leave the choice to the client.
    assert_eq!(value("PPJ_APP_ID"), None);
    assert_eq!(ppj.signed_env()[2].1, format!("{}/", ppj.origin_url()));
    let mindshow = simulators.mindshow();
    assert_eq!(value("MINDSHOW_API_KEY"), Some("sim-mindshow-key"));
    assert_eq!(
        value("MINDSHOW_BASE_URL"),
        Some(mindshow.api_url().as_str())
    );
    assert_eq!(value("DOCJOBS_TIME_SCALE"), Some("50"));
    simulators.stop().await;
}
