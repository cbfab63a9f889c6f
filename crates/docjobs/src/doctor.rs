//! `docjobs doctor`: is everything set up? Never makes a charged call.

use jobs_core::{Error, ErrorKind};
use serde_json::json;

use crate::app::App;
use crate::exit::{Exit, Stop};
use crate::flow::print_line;
use crate::textin;

pub(crate) async fn run(app: &App) -> Result<(), Stop> {
    let checkup = check_textin(app).await;
    let (state, line) = match &checkup {
        Checkup::Absent(variable) => ("absent", format!("not set up: {variable} is not set")),
        Checkup::Good(origin) => ("good", format!("ready: {origin} accepts the credentials")),
        Checkup::Bad(stop) => ("bad", stop.line.clone()),
    };
    app.report.event(
        "checked",
        json!({ "vendor": textin::VENDOR, "state": state, "message": line }),
    );
    if !app.report.is_json() {
        print_line(&format!("{:<14} {line}", textin::VENDOR))?;
    }
    match checkup {
        Checkup::Bad(stop) => Err(Stop::new(stop.exit, "not everything is in order")),
        Checkup::Absent(_) => Err(Stop::new(
            Exit::BadInput,
            "no vendor is set up; see the README for the variables",
        )),
        Checkup::Good(_) => Ok(()),
    }
}

enum Checkup {
    Absent(&'static str),
    Good(String),
    Bad(Stop),
}

async fn check_textin(app: &App) -> Checkup {
    const FIRST: &str = "TEXTIN_APP_ID";
    if app.env(textin::VENDOR).optional(FIRST).is_none() {
        return Checkup::Absent(FIRST);
    }
    let client = match textin::client(app) {
        Ok(client) => client,
        Err(stop) => return Checkup::Bad(stop),
    };
    match client.check_credentials().await {
        Ok(()) => Checkup::Good(client.origin().to_string()),
        Err(error) => Checkup::Bad(explain(&error)),
    }
}

fn explain(error: &Error) -> Stop {
    let mut stop = Stop::before_acceptance(error);
    if error.kind() == ErrorKind::Unreachable {
        stop.line.push_str("; a proxy is taken from HTTPS_PROXY");
    }
    stop
}
