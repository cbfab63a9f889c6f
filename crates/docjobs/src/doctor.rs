//! `docjobs doctor`: is everything set up? Never makes a charged call.

use std::time::{Duration, SystemTime};

use chrono::DateTime;
use jobs_core::http::{HttpClientBuilder, Origin, Request};
use jobs_core::{Error, ErrorKind};
use serde_json::json;

use crate::app::App;
use crate::clean::count;
use crate::exit::{CommandError, ExitCode};
use crate::output::print_line;
use crate::{mindshow, ppj, printer, tencent, textin};

/// A clock that is further off than this breaks signatures, and links that expire. Answers tell the time in whole seconds.
const CLOCK_TOLERANCE: u64 = 60;
/// How long an address is tried for its clock alone.
const CLOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a database that is busy is tried.
const LEDGER_DEADLINE: Duration = Duration::from_secs(5);

/// How one thing was found.
enum Checkup {
    /// Not set up; the first variable that is missing.
    Absent(&'static str),
    Good(String),
    /// In use, but something will go wrong one day.
    Odd(String),
    Bad(CommandError),
}

pub(crate) async fn run(app: &App) -> Result<(), CommandError> {
    // To look is not worth a long wait, neither here nor in the clients, which share their rate through the ledger.
    let app = &app.with_ledger_deadline(LEDGER_DEADLINE);
    let about = format!(
        "docjobs {} for {} on {}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    print_line_of(app, "version", &Checkup::Good(about))?;
    let ledger = check_ledger(app).await;
    print_line_of(app, "ledger", &ledger)?;
    let is_ledger_bad = matches!(ledger, Checkup::Bad(_));
    let app = &if is_ledger_bad {
        app.with_ledger_deadline(Duration::ZERO)
    } else {
        app.clone()
    };
    let (textin, ppj, mindshow, tencent, printer) = tokio::join!(
        check_textin(app),
        check_ppj(app),
        check_mindshow(app),
        check_tencent(app),
        check_printer(app)
    );
    let vendors = [
        (textin::VENDOR, textin),
        (ppj::VENDOR, ppj),
        (mindshow::VENDOR, mindshow),
        (tencent::VENDOR, tencent),
        (printer::VENDOR, printer),
    ];
    for (name, checkup) in &vendors {
        print_line_of(app, name, checkup)?;
    }
    if !is_ledger_bad
        && let Ok(ledger) = app.ledger().await
        && let Ok(warnings) = crate::accounts::warnings(app, &ledger).await
    {
        for warning in warnings {
            print_line_of(app, "account", &Checkup::Odd(warning))?;
        }
    }
    let nothing_set_up = vendors
        .iter()
        .all(|(_, checkup)| matches!(checkup, Checkup::Absent(_)));
    let bad = [ledger]
        .into_iter()
        .chain(vendors.into_iter().map(|(_, checkup)| checkup))
        .find_map(|checkup| match checkup {
            Checkup::Bad(stop) => Some(stop.exit),
            Checkup::Absent(_) | Checkup::Good(_) | Checkup::Odd(_) => None,
        });
    match bad {
        Some(exit) => Err(CommandError::new(exit, "not everything is in order")),
        None if nothing_set_up => Err(CommandError::new(
            ExitCode::InvalidInput,
            "no vendor is set up; see the README for the variables",
        )),
        None => Ok(()),
    }
}

fn print_line_of(app: &App, name: &str, checkup: &Checkup) -> Result<(), CommandError> {
    let (state, line) = match checkup {
        Checkup::Absent(variable) => ("absent", format!("not set up: {variable} is not set")),
        Checkup::Good(line) => ("good", line.clone()),
        Checkup::Odd(line) => ("odd", line.clone()),
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
    // To write without changing anything is what tells whether a job could be written down.
    if let Err(error) = ledger.check_writable().await {
        return Checkup::Bad(CommandError::ledger(&error));
    }
    let check = match ledger.check().await {
        Ok(check) => check,
        Err(error) => return Checkup::Bad(CommandError::ledger(&error)),
    };
    let line = format!(
        "ready: {}, layout {}, can be written; {}, {} of them unfinished",
        check.store,
        check.schema,
        count(check.jobs, "job"),
        check.unfinished
    );
    let mut odd = ledger.warnings().to_vec();
    if check.plain_text {
        odd.push(
            "what is written goes to another machine in plain text: add sslmode=verify-full to its address".to_owned(),
        );
    }
    if let Some(off) = check
        .clock_off
        .filter(|off| off.as_secs() > CLOCK_TOLERANCE)
    {
        odd.push(format!(
            "its server's clock and the one of this machine are {} s apart: set them",
            off.as_secs()
        ));
    }
    if odd.is_empty() {
        return Checkup::Good(line);
    }
    Checkup::Odd(format!("{line}; {}", odd.join("; ")))
}

async fn check_textin(app: &App) -> Checkup {
    const FIRST: &str = "TEXTIN_APP_ID";
    if app.env(textin::VENDOR).optional(FIRST).is_none() {
        return Checkup::Absent(FIRST);
    }
    match textin::client(app) {
        Ok(client) => judge(client.check_credentials().await, client.origin()).await,
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
        Ok(client) => judge(client.check_credentials().await, client.origin()).await,
        Err(stop) => Checkup::Bad(stop),
    }
}

async fn check_mindshow(app: &App) -> Checkup {
    const FIRST: &str = "MINDSHOW_API_KEY";
    if app.env(mindshow::VENDOR).optional(FIRST).is_none() {
        return Checkup::Absent(FIRST);
    }
    match mindshow::client(app) {
        Ok(client) => judge(client.account_info().await.map(drop), client.origin()).await,
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
            judge(client.check_credentials().await, general).await
        }
        Err(stop) => Checkup::Bad(stop),
    }
}

/// To come online is free, and ends with a good-bye; another process that is this printer would be in the way.
async fn check_printer(app: &App) -> Checkup {
    const FIRST: &str = "WECOM_PRINTER_SN";
    if app.env(printer::VENDOR).optional(FIRST).is_none() {
        return Checkup::Absent(FIRST);
    }
    match printer::check(app).await {
        Ok(line) => Checkup::Good(line),
        Err(stop) => Checkup::Bad(stop),
    }
}

async fn judge(outcome: Result<(), Error>, origin: &Origin) -> Checkup {
    match outcome {
        Ok(()) => {
            let line = format!("ready: {origin} accepts the credentials");
            match clock_off(origin).await {
                Some(off) if is_off(off) => Checkup::Odd(format!("{line}; {}", told(off))),
                Some(_) => Checkup::Good(format!("{line}, and its clock agrees")),
                None => Checkup::Good(line),
            }
        }
        Err(error) => {
            let mut stop = CommandError::rejected(&error);
            // Where there is no connection, the line says why and what to set.
            if error.kind() != ErrorKind::Unreachable
                && let Some(off) = clock_off(origin).await.filter(|off| is_off(*off))
            {
                stop.line.push_str(&format!("; {}", told(off)));
            }
            Checkup::Bad(stop)
        }
    }
}

/// How many seconds the clock of this machine is ahead of the vendor's, by an answer to a request without credentials;
/// nothing where there is no answer or it has no date.
async fn clock_off(origin: &Origin) -> Option<i64> {
    let transport = HttpClientBuilder::new("doctor", origin.clone())
        .build()
        .ok()?;
    let request = Request::get("look at the clock", &[]).with_timeout(CLOCK_TIMEOUT);
    let answer = transport.send(request).await.ok()?;
    seconds_ahead(transport.clock().wall(), answer.header("date")?)
}

fn seconds_ahead(ours: SystemTime, date: &str) -> Option<i64> {
    let theirs = DateTime::parse_from_rfc2822(date).ok()?;
    Some((DateTime::<chrono::Utc>::from(ours) - theirs.to_utc()).num_seconds())
}

fn is_off(seconds: i64) -> bool {
    seconds.unsigned_abs() > CLOCK_TOLERANCE
}

fn told(seconds: i64) -> String {
    let word = if seconds > 0 { "ahead of" } else { "behind" };
    let seconds = seconds.unsigned_abs();
    format!(
        "the clock of this machine is {seconds} s {word} the vendor's: set it, since signatures and links depend on it"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_compared_with_the_date_of_an_answer() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let at = |offset: i64| {
            let seconds = 784_111_777 + offset;
            SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())
        };
        for offset in [0, 61, -3600] {
            assert_eq!(seconds_ahead(at(offset), date), Some(offset));
        }
        assert_eq!(seconds_ahead(at(0), "yesterday"), None);
    }

    #[test]
    fn a_minute_is_let_pass_and_more_is_told_with_its_direction() {
        assert!(!is_off(60) && !is_off(-60));
        assert!(is_off(61) && is_off(-61));
        assert!(told(90).contains("90 s ahead of"));
        assert!(told(-90).contains("90 s behind"));
    }
}
