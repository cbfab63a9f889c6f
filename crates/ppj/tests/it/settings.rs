//! Settings: from variables, and refused where they cannot work.

use jobs_core::testing::ManualClock;
use jobs_core::vendor::{Env, JobKind as _};
use jobs_core::{Error, ErrorKind};
use ppj::{Client, ClientBuilder};

fn from(variables: &[(&str, &str)]) -> Result<ClientBuilder, Error> {
    let lookup = |name: &str| {
        variables
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| (*value).to_owned())
    };
    Client::builder_from(&Env::new("ppj", &lookup))
}

#[test]
fn the_variables_decide_which_api_is_spoken() {
    for (variables, kind, origin) in [
        (
            &[("PPJ_ACCESS_KEY", "k")][..],
            "convert",
            "https://ppj.io/api/",
        ),
        (
            &[("PPJ_APP_ID", "a"), ("PPJ_APP_SECRET", "s")],
            "convert-signed",
            "https://api.ppj.io/",
        ),
        (
            &[
                ("PPJ_ACCESS_KEY", "k"),
                ("PPJ_APP_ID", "a"),
                ("PPJ_APP_SECRET", "s"),
            ],
            "convert",
            "https://ppj.io/api/",
        ),
        (
            &[("PPJ_ACCESS_KEY", "k"), ("PPJ_BASE_URL", ppj::SANDBOX)],
            "convert",
            "https://sandbox.ppj.io/api/",
        ),
    ] {
        let client = from(variables).unwrap().build().unwrap();
        assert_eq!(
            (
                client.kind().name(),
                format!("{}{}/", client.origin(), client.origin().prefix()).as_str()
            ),
            (kind, origin)
        );
    }
}

#[test]
fn a_missing_or_unusable_variable_is_named() {
    for (variables, text) in [
        (
            &[][..],
            "PPJ_ACCESS_KEY is not set; set PPJ_ACCESS_KEY, or PPJ_APP_ID and PPJ_APP_SECRET",
        ),
        (&[("PPJ_APP_ID", "a")], "PPJ_APP_SECRET is not set"),
        (&[("PPJ_APP_SECRET", "s")], "PPJ_APP_ID is not set"),
        (
            &[("PPJ_ACCESS_KEY", " k")],
            "PPJ_ACCESS_KEY begins or ends with a blank",
        ),
    ] {
        let error = from(variables).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn plain_http_to_another_machine_is_refused() {
    let error = crate::client("http://ppj.io", &ManualClock::new())
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("PPJ_BASE_URL"), "{error}");
}

#[test]
fn nothing_secret_is_printed_by_settings_or_client() {
    let clock = ManualClock::new();
    for builder in [
        crate::client("http://127.0.0.1:9", &clock),
        crate::signed_client("http://127.0.0.1:9", &clock),
    ] {
        let settings = format!("{builder:?}");
        let printed = format!("{settings} {:?}", builder.build().unwrap());
        for secret in [crate::KEY, crate::APP_ID, crate::APP_SECRET] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }
}
