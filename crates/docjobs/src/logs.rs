//! The log on stderr: our own warnings always, such as a retired operation; `-v` more, `-vv` requests, `-vvv` everything
//! and the libraries' words too; never secrets.

use std::env;
use std::fmt;
use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::clean;

const OURS: [&str; 9] = [
    "docjobs",
    "jobs_core",
    "jobs_ledger",
    "mindshow",
    "ppj",
    "printer_jobs",
    "tencent_ess",
    "textin",
    "vendor_sim",
];

pub(crate) fn start(verbose: u8) {
    let (ours, theirs) = levels(verbose);
    let filter = Targets::new()
        .with_targets(OURS.map(|name| (name, ours)))
        // Below this it writes whole messages, in which an address may open a document.
        .with_target("rmcp", theirs.min(LevelFilter::INFO))
        .with_default(theirs);
    let in_colour = in_colour(|name| env::var(name).ok(), io::stderr().is_terminal());
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(io::stderr)
        .event_format(CleanLines { in_colour });
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .init();
}

/// How much is logged of ourselves, and of libraries.
fn levels(verbose: u8) -> (LevelFilter, LevelFilter) {
    match verbose {
        0 => (LevelFilter::WARN, LevelFilter::OFF),
        1 => (LevelFilter::INFO, LevelFilter::WARN),
        2 => (LevelFilter::DEBUG, LevelFilter::DEBUG),
        _ => (LevelFilter::TRACE, LevelFilter::TRACE),
    }
}

/// Colours are for terminals; `NO_COLOR` takes them away, and `CLICOLOR_FORCE` gives them to anything else.
fn in_colour(variable: impl Fn(&str) -> Option<String>, is_terminal: bool) -> bool {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let forced = set("CLICOLOR_FORCE").is_some_and(|value| value != "0");
    let usual = is_terminal
        && set("CLICOLOR").is_none_or(|value| value != "0")
        && set("TERM").is_none_or(|value| value != "dumb");
    set("NO_COLOR").is_none() && (forced || usual)
}

/// One line an event, [cleaned](clean::line): it may hold what a vendor said.
struct CleanLines {
    in_colour: bool,
}

impl<S, N> FormatEvent<S, N> for CleanLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::new();
        for span in context
            .event_scope()
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            text.push_str(span.name());
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                text.push_str(&format!("{{{fields}}}"));
            }
            text.push_str(": ");
        }
        context.format_fields(Writer::new(&mut text), event)?;
        SystemTime.format_time(&mut writer)?;
        let level = *event.metadata().level();
        let (on, off) = if self.in_colour {
            (colour(level), "\u{1b}[0m")
        } else {
            ("", "")
        };
        writeln!(writer, " {on}{level:>5}{off} {}", clean::line(&text))
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\u{1b}[31m",
        Level::WARN => "\u{1b}[33m",
        Level::INFO => "\u{1b}[32m",
        _ => "\u{1b}[2m",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_unless_variables_say_otherwise() {
        for (variables, terminal, elsewhere) in [
            (&[][..], true, false),
            (&[("NO_COLOR", "1")], false, false),
            (&[("NO_COLOR", "")], true, false),
            (&[("CLICOLOR_FORCE", "1")], true, true),
            (&[("CLICOLOR_FORCE", "0")], true, false),
            (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false, false),
            (&[("CLICOLOR", "0")], false, false),
            (&[("TERM", "dumb")], false, false),
        ] {
            let variable = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(in_colour(variable, true), terminal, "{variables:?}");
            assert_eq!(in_colour(variable, false), elsewhere, "{variables:?}");
        }
    }

    #[test]
    fn libraries_are_silent_until_asked() {
        assert_eq!(levels(0), (LevelFilter::WARN, LevelFilter::OFF));
        assert_eq!(levels(1).1, LevelFilter::WARN);
        assert_eq!(levels(9).1, LevelFilter::TRACE);
    }
}
