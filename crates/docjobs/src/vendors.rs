//! The handlers of the vendors whose variables are set.

use jobs_runner::Runner;
use tencent_ess::Family;

use crate::app::App;
use crate::exit::CommandError;
use crate::{mindshow, ppj, tencent, textin};

/// The vendors that have handlers.
pub(crate) const NAMES: [&str; 4] = [
    textin::VENDOR,
    ppj::VENDOR,
    mindshow::VENDOR,
    tencent::VENDOR,
];

/// The runner with the handlers of a vendor, if that is set up as it should be.
pub(crate) fn if_set_up(app: &App, runner: Runner, vendor: &'static str) -> Option<Runner> {
    is_set_up(app, vendor).then(|| of(app, runner, vendor).ok())?
}

/// Adds a handler for each kind of job of every vendor that is set up.
pub(crate) fn all(app: &App, mut runner: Runner) -> Result<Runner, CommandError> {
    for vendor in NAMES {
        if is_set_up(app, vendor) {
            runner = of(app, runner, vendor)?;
        }
    }
    Ok(runner)
}

/// Adds the handlers of one vendor.
///
/// # Errors
/// What is missing in the environment.
pub(crate) fn of(app: &App, runner: Runner, vendor: &str) -> Result<Runner, CommandError> {
    Ok(match vendor {
        textin::VENDOR => {
            let webhook = app.webhook.clone();
            let handler = ::textin::handler(textin::client(app)?);
            runner.with(handler.with_webhook(move || webhook.get()))
        }
        ppj::VENDOR => runner.with(::ppj::handler(ppj::client(app)?)),
        mindshow::VENDOR => {
            let client = mindshow::client(app)?;
            runner
                .with(::mindshow::handler(client.clone()))
                .with(::mindshow::pdf_handler(client))
        }
        tencent::VENDOR => {
            let client = tencent::client(app)?;
            let other = match client.kind() {
                kind if kind.family() == Family::Current => Family::Legacy,
                _ => Family::Current,
            };
            runner
                .with(tencent_ess::handler(client.clone()))
                .with(tencent_ess::handler_of(client, other))
        }
        _ => runner,
    })
}

fn is_set_up(app: &App, vendor: &'static str) -> bool {
    let variables: &[&str] = match vendor {
        textin::VENDOR => &["TEXTIN_APP_ID"],
        ppj::VENDOR => &["PPJ_ACCESS_KEY", "PPJ_APP_ID"],
        mindshow::VENDOR => &["MINDSHOW_API_KEY"],
        _ => &["TENCENTCLOUD_SECRET_ID"],
    };
    let env = app.env(vendor);
    variables.iter().any(|name| env.optional(name).is_some())
}
