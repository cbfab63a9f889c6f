//! `docjobs budget`: what may be spent at each vendor.

use jobs_ledger::Budget;

use crate::app::App;
use crate::args::{BudgetArgs, BudgetCommand};
use crate::budget_author;
use crate::clean::count;
use crate::exit::CommandError;
use crate::output::{print_json, print_line};

/// Who changes a budget by this command.
const COMMAND_LINE: &str = "by the command line";

/// Each vendor, and the unit in which it charges.
const UNITS: [(&str, &str); 4] = [
    ("mindshow", "credit"),
    ("ppj", "project"),
    ("tencent-ess", "conversion"),
    ("textin", "page"),
];

pub(crate) async fn run(app: &App, args: BudgetArgs) -> Result<(), CommandError> {
    match args.command {
        None => {
            let ledger = app.ledger().await?;
            let budgets = ledger.budgets().await?;
            if budgets.is_empty() && !app.report.is_json() {
                app.report.say(
                    "no budget is set, so nothing limits what is spent: docjobs budget set VENDOR N --per day sets one",
                );
            }
            budgets.iter().try_for_each(|budget| show(app, budget))
        }
        Some(BudgetCommand::Set {
            vendor,
            limit,
            per,
            strict,
        }) => {
            let unit = unit(&vendor)?;
            let limit = limit_of(&limit, unit)?;
            let ledger = app.ledger().await?;
            let budget = ledger.set_budget(&vendor, limit, per, strict).await?;
            budget_author::record(&ledger, &vendor, COMMAND_LINE).await?;
            show(app, &budget)
        }
        Some(BudgetCommand::Clear { vendor }) => {
            unit(&vendor)?;
            let ledger = app.ledger().await?;
            let had = ledger.clear_budget(&vendor).await?;
            budget_author::record(&ledger, &vendor, COMMAND_LINE).await?;
            let line = if had {
                format!("{vendor} has no budget any more")
            } else {
                format!("{vendor} had no budget")
            };
            app.report.say(&line);
            Ok(())
        }
    }
}

fn unit(vendor: &str) -> Result<&'static str, CommandError> {
    let known = UNITS.iter().find(|(known, _)| *known == vendor);
    known.map(|(_, unit)| *unit).ok_or_else(|| {
        let names = UNITS.map(|(vendor, _)| vendor).join(", ");
        CommandError::invalid_input(format!(
            "{vendor:?} is no vendor that charges; those are {names}"
        ))
    })
}

fn limit_of(text: &str, unit: &str) -> Result<u64, CommandError> {
    match text.parse() {
        Ok(limit) if limit > 0 && i64::try_from(limit).is_ok() => Ok(limit),
        _ => Err(CommandError::invalid_input(format!(
            "a budget is a whole number of {unit}s from 1, and {text:?} is none; docjobs budget clear takes a budget away"
        ))),
    }
}

fn show(app: &App, budget: &Budget) -> Result<(), CommandError> {
    if app.report.is_json() {
        let value = serde_json::to_value(budget)
            .map_err(|problem| CommandError::unexpected(problem.to_string()))?;
        return print_json(&value);
    }
    print_line(&line(budget))
}

fn line(budget: &Budget) -> String {
    let unit = unit(&budget.vendor).unwrap_or("unit");
    let per = match budget.per.as_str() {
        "total" => "in all".to_owned(),
        per => format!("per {per}"),
    };
    let mut line = format!(
        "{}: {} {per}, {} spent, {} reserved, {} left",
        budget.vendor,
        count(budget.limit, unit),
        budget.spent,
        budget.reserved,
        budget.left()
    );
    if let Some(at) = budget.resets_at {
        let at: chrono::DateTime<chrono::Utc> = at.into();
        line.push_str(&format!(
            "; begins anew at {}",
            at.format("%Y-%m-%d %H:%M UTC")
        ));
    }
    if budget.strict {
        line.push_str("; what cannot be estimated is refused");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_whole_number_of_the_vendors_unit() {
        assert_eq!(limit_of("1000", "page").ok(), Some(1000));
        for wrong in [
            "0",
            "-1",
            "1.5",
            "1000 pages",
            "1k",
            "",
            "18446744073709551615",
        ] {
            let refused = limit_of(wrong, "page").unwrap_err();
            assert!(refused.line.contains("pages"), "{}", refused.line);
        }
        assert!(unit("textln").unwrap_err().line.contains("textin"));
    }
}
