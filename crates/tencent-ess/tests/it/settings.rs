//! Settings from variables.

use jobs_core::ErrorKind;
use jobs_core::vendor::{Env, JobKind as _};
use tencent_ess::{Client, Environment};

const FULL: [(&str, &str); 5] = [
    ("TENCENTCLOUD_SECRET_ID", "AKIDx"),
    ("TENCENTCLOUD_SECRET_KEY", "s3cret"),
    ("TENCENT_ESS_APP_ID", "app"),
    ("TENCENT_ESS_ORG_OPEN_ID", "org"),
    ("TENCENT_ESS_OPERATOR_OPEN_ID", "open"),
];

/// A client from the full set of variables with these changes.
fn client(changes: &[(&str, &str)]) -> Result<Client, jobs_core::Error> {
    let lookup = |name: &str| {
        let all = changes.iter().chain(&FULL);
        let (_, value) = all.into_iter().find(|(known, _)| *known == name)?;
        Some((*value).to_owned())
    };
    Client::builder_from(&Env::new("tencent-ess", &lookup))?.build()
}

#[test]
fn the_default_is_production_by_the_current_operations() {
    let client = client(&[]).unwrap();
    assert_eq!(client.kind().name(), "convert");
    let printed = format!("{client:?}");
    assert!(
        printed.contains("https://essbasic.tencentcloudapi.com,"),
        "{printed}"
    );
    assert!(
        printed.contains("https://file.ess.tencent.cn,"),
        "{printed}"
    );
    assert!(!printed.contains("AKIDx") && !printed.contains("s3cret"));
}

#[test]
fn both_hosts_and_the_pair_of_operations_can_be_set() {
    let client = client(&[
        ("TENCENT_ESS_ENDPOINT", "http://127.0.0.1:8001"),
        ("TENCENT_ESS_UPLOAD_ENDPOINT", "file.test.ess.tencent.cn"),
        ("TENCENT_ESS_API", "legacy"),
        ("TENCENTCLOUD_SESSION_TOKEN", "t0ken"),
    ])
    .unwrap();
    assert_eq!(client.kind().name(), "convert-legacy");
    let printed = format!("{client:?}");
    assert!(printed.contains("http://127.0.0.1:8001,"), "{printed}");
    assert!(
        printed.contains("https://file.test.ess.tencent.cn,"),
        "{printed}"
    );
    assert!(!printed.contains("t0ken"));
}

#[test]
fn a_missing_or_unusable_variable_is_named() {
    for (name, _) in FULL {
        let error = client(&[(name, "")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(name), "{error}");
    }
    for (name, value) in [
        ("TENCENTCLOUD_SECRET_KEY", " s3cret"),
        ("TENCENTCLOUD_SESSION_TOKEN", "t0ken\n"),
        ("TENCENT_ESS_APP_ID", "app "),
        ("TENCENT_ESS_ENDPOINT", "http://ess.example"),
        ("TENCENT_ESS_API", "newest"),
    ] {
        let error = client(&[
            (name, value),
            ("TENCENT_ESS_ENDPOINT", "h"),
            ("TENCENT_ESS_UPLOAD_ENDPOINT", "h"),
        ])
        .unwrap_err();
        let line = error.to_string();
        assert!(
            error.kind() == ErrorKind::InvalidInput && line.contains(name),
            "{line}"
        );
        assert!(
            !line.contains("s3cret") && !line.contains("t0ken"),
            "{line}"
        );
    }
}

#[test]
fn half_a_pair_of_hosts_is_refused() {
    let error = client(&[("TENCENT_ESS_ENDPOINT", "https://127.0.0.1")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tencent-ess configure: bad input: the variable TENCENT_ESS_UPLOAD_ENDPOINT is not set, and both hosts must belong together; set TENCENT_ESS_UPLOAD_ENDPOINT too"
    );
    assert!(client(&[("TENCENT_ESS_ENDPOINT", "essbasic.test.ess.tencent.cn")]).is_ok());
}

#[test]
fn an_environment_fixes_both_hosts() {
    let clock = jobs_core::testing::ManualClock::new();
    let builder = crate::client("https://h", "https://h", &clock);
    let client = builder.with_environment(Environment::Test).build().unwrap();
    let printed = format!("{client:?}");
    assert!(
        printed.contains("https://essbasic.test.ess.tencent.cn,"),
        "{printed}"
    );
    assert!(
        printed.contains("https://file.test.ess.tencent.cn,"),
        "{printed}"
    );
}
