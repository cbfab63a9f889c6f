//! `docjobs doctor`: is everything set up? Never makes a charged call.

use jobs_core::{Error, ErrorKind};
use serde_json::json;

use crate::app::App;
use crate::exit::{Exit, Stop};
use crate::place::print_line;
use crate::{mindshow, ppj, tencent, textin};

/// How one thing was found.
enum Checkup {
    /// Not set up; the first variable that is missing.
    Absent(&'static str),
    Good(String),
    Bad(Stop),
}

pub(crate) async fn run(app: &App) -> Result<(), Stop> {
    let ledger = check_ledger(app).await;
    let vendors = [
        (textin::VENDOR, check_textin(app).await),
        (ppj::VENDOR, check_ppj(app).await),
        (mindshow::VENDOR, check_mindshow(app).await),
        (tencent::VENDOR, check_tencent(app).await),
    ];
    print_line_of(app, "ledger", &ledger)?;
    for (name, checkup) in &vendors {
        print_line_of(app, name, checkup)?;
    }
    let nothing_set_up = vendors
        .iter()
        .all(|(_, checkup)| matches!(checkup, Checkup::Absent(_)));
    let bad = [ledger]
        .into_iter()
        .chain(vendors.into_iter().map(|(_, checkup)| checkup))
        .find_map(|checkup| match checkup {
            Checkup::Bad(stop) => Some(stop.exit),
            Checkup::Absent(_) | Checkup::Good(_) => None,
        });
    match bad {
        Some(exit) => Err(Stop::new(exit, "not everything is in order")),
        None if nothing_set_up => Err(Stop::new(
            Exit::BadInput,
            "no vendor is set up; see the README for the variables",
        )),
        None => Ok(()),
    }
}

fn print_line_of(app: &App, name: &str, checkup: &Checkup) -> Result<(), Stop> {
    let (state, line) = match checkup {
        Checkup::Absent(variable) => ("absent", format!("not set up: {variable} is not set")),
        Checkup::Good(line) => ("good", line.clone()),
        Checkup::Bad(stop) => ("bad", stop.line.clone()),
    };
    app.report.event(
        "checked",
        json!({ "name": name, "state": state, "message": line }),
    );
    if app.report.is_json() {
        Ok(())
    } else {
        print_line(&format!("{name:<14} {line}"))
    }
}

async fn check_ledger(app: &App) -> Checkup {
    let ledger = match app.ledger().await {
        Ok(ledger) => ledger,
        Err(stop) => return Checkup::Bad(stop),
    };
    match ledger.check().await {
        Ok(check) => Checkup::Good(format!(
            "ready: {} with {} jobs, {} of them unfinished",
            check.store, check.jobs, check.unfinished
        )),
        Err(error) => Checkup::Bad(Stop::ledger(&error)),
    }
}

async fn check_textin(app: &App) -> Checkup {
    const FIRST: &str = "TEXTIN_APP_ID";
    if app.env(textin::VENDOR).optional(FIRST).is_none() {
        return Checkup::Absent(FIRST);
    }
    match textin::client(app) {
        Ok(client) => judge(
            client.check_credentials().await,
            &client.origin().to_string(),
        ),
        Err(stop) => Checkup::Bad(stop),
    }
}

async fn check_ppj(app: &App) -> Checkup {
    const FIRST: &str = "PPJ_ACCESS_KEY";
    let env = app.env(ppj::VENDOR);
    if env.optional(FIRST).is_none() && env.optional("PPJ_APP_ID").is_none() {
        return Checkup::Absent(FIRST);
    }
    match ppj::client(app) {
        Ok(client) => judge(
            client.check_credentials().await,
            &client.origin().to_string(),
        ),
        Err(stop) => Checkup::Bad(stop),
    }
}

async fn check_mindshow(app: &App) -> Checkup {
    const FIRST: &str = "MINDSHOW_API_KEY";
    if app.env(mindshow::VENDOR).optional(FIRST).is_none() {
        return Checkup::Absent(FIRST);
    }
    match mindshow::client(app) {
        Ok(client) => judge(
            client.account_info().await.map(drop),
            &client.origin().to_string(),
        ),
        Err(stop) => Checkup::Bad(stop),
    }
}

async fn check_tencent(app: &App) -> Checkup {
    const FIRST: &str = "TENCENTCLOUD_SECRET_ID";
    if app.env(tencent::VENDOR).optional(FIRST).is_none() {
        return Checkup::Absent(FIRST);
    }
    match tencent::client(app) {
        Ok(client) => {
            let [general, _] = client.origins();
            judge(client.check_credentials().await, &general.to_string())
        }
        Err(stop) => Checkup::Bad(stop),
    }
}

fn judge(outcome: Result<(), Error>, origin: &str) -> Checkup {
    match outcome {
        Ok(()) => Checkup::Good(format!("ready: {origin} accepts the credentials")),
        Err(error) => {
            let mut stop = Stop::before_acceptance(&error);
            if error.kind() == ErrorKind::Unreachable {
                stop.line.push_str("; a proxy is taken from HTTPS_PROXY");
            }
            Checkup::Bad(stop)
        }
    }
}
