//! What was charged, what may have been, what was spared: by day, vendor and account, each number with the list behind it.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use jobs_core::vendor::Account;
use jobs_ledger::{Budget, BudgetPeriod, DayMoney, MoneyInDoubt};

use super::budget_routes::{VENDORS, period};
use super::form::Form;
use super::jobs_view::short;
use super::language::Words;
use super::page::{Page, see_other, shown};
use super::problem::Problem;
use super::state::ServeState;
use crate::budget_author;
use crate::moment::rfc3339;

/// How many days are shown.
const DAYS: u32 = 30;

struct Total {
    number: String,
    name: &'static str,
    link: String,
}

struct MoneyRow {
    day: String,
    vendor: String,
    account: String,
    charged: String,
    in_doubt: String,
    link: String,
    in_doubt_link: String,
}

struct Bar {
    class: &'static str,
    x: usize,
    y: i64,
    width: usize,
    height: i64,
    label: String,
    link: String,
}

struct Plot {
    title: String,
    summary: String,
    width: usize,
    height: i64,
    bars: Vec<Bar>,
}

struct BudgetRow {
    vendor: String,
    limit: u64,
    per: &'static str,
    spent: u64,
    reserved: u64,
    resets_at: String,
    changed: String,
}

impl BudgetRow {
    fn of(budget: &Budget, author: Option<String>, page: &Page) -> Self {
        Self {
            vendor: budget.vendor.clone(),
            limit: budget.limit,
            per: match budget.per {
                BudgetPeriod::Day => page.w.per_day,
                BudgetPeriod::Month => page.w.per_month,
                _ => page.w.per_total,
            },
            spent: budget.spent,
            reserved: budget.reserved,
            resets_at: budget
                .resets_at
                .map(|at| short(&rfc3339(at)))
                .unwrap_or_default(),
            changed: author.unwrap_or_default(),
        }
    }
}

#[derive(Template)]
#[template(path = "money.html")]
struct MoneyPage {
    page: Page,
    done: Option<&'static str>,
    totals: Vec<Total>,
    plots: Vec<Plot>,
    rows: Vec<MoneyRow>,
    budgets: Vec<BudgetRow>,
    vendors: Vec<&'static str>,
}

/// `GET /money`
pub(super) async fn show(State(state): State<Arc<ServeState>>, request: Request) -> Response {
    let page = Page::of(&request, "/money");
    let done = page.w.done_word(request.uri().query());
    let read = async {
        let days = state.ledger.money(DAYS).await?;
        let in_doubt = state.ledger.money_in_doubt().await?;
        let mut budgets = Vec::new();
        for budget in state.ledger.budgets().await? {
            let author = budget_author::of(&state.ledger, &budget.vendor).await?;
            budgets.push((budget, author));
        }
        Ok::<_, Problem>((days, in_doubt, budgets))
    };
    shown(match read.await {
        Ok((days, in_doubt, budgets)) => {
            let mut shown = make(&state, page, done, &days, &in_doubt);
            shown.budgets = budgets
                .into_iter()
                .map(|(budget, author)| BudgetRow::of(&budget, author, &shown.page))
                .collect();
            Ok(shown)
        }
        Err(problem) => Err((page, problem)),
    })
}

/// `POST /money/budget`
pub(super) async fn change_budget(
    State(state): State<Arc<ServeState>>,
    request: Request,
) -> Response {
    let page = Page::of(&request, "/money");
    match changed(&state, request).await {
        Ok(()) => see_other("/money?done=budget"),
        Err(problem) => page.problem(&problem),
    }
}

async fn changed(state: &ServeState, request: Request) -> Result<(), Problem> {
    let (form, caller) = Form::of_change(request).await?;
    let vendor = form.get("vendor").unwrap_or_default();
    if !VENDORS.contains(&vendor) {
        return Err(Problem::bad_request("there is no such vendor"));
    }
    if form.get("action") == Some("clear") {
        state.ledger.clear_budget(vendor).await?;
        budget_author::record(&state.ledger, vendor, &caller.as_word()).await?;
        return Ok(());
    }
    let limit = form.get("limit").unwrap_or_default().trim().parse();
    let limit = limit.map_err(|_| Problem::bad_request("the limit is a whole number from 0"))?;
    let period = period(form.get("per").unwrap_or_default())?;
    state
        .ledger
        .set_budget(vendor, limit, period, false)
        .await?;
    budget_author::record(&state.ledger, vendor, &caller.as_word()).await?;
    Ok(())
}

fn make(
    state: &ServeState,
    page: Page,
    done: Option<&'static str>,
    days: &[DayMoney],
    in_doubt: &[MoneyInDoubt],
) -> MoneyPage {
    let w = page.w;
    let unit = |vendor: &str| unit_of(state, vendor);
    let rows = by_day(days, in_doubt).into_iter().map(|row| MoneyRow {
        link: row.day.as_deref().map_or_else(
            || format!("/?vendor={}", row.vendor),
            |day| of_day(&row.vendor, day),
        ),
        day: row.day.unwrap_or_else(|| w.earlier.to_owned()),
        account: row.account.to_string(),
        charged: w.amount(row.charged, unit(&row.vendor)),
        in_doubt: w.amount(row.in_doubt, unit(&row.vendor)),
        in_doubt_link: format!("/?stage=in_doubt&vendor={}", row.vendor),
        vendor: row.vendor,
    });
    MoneyPage {
        done,
        totals: totals(w, days, in_doubt, unit),
        plots: plots(w, days, unit),
        rows: rows.collect(),
        budgets: Vec::new(),
        vendors: VENDORS.to_vec(),
        page,
    }
}

/// The unit in which a vendor charges, where it is set up here.
pub(super) fn unit_of(state: &ServeState, vendor: &str) -> &'static str {
    let mut handlers = state.runner.handlers().iter();
    let found = handlers.find(|handler| handler.vendor() == vendor);
    found.map_or("", jobs_runner::DynHandler::unit)
}

/// The money of an account on a day.
pub(super) struct AccountDay {
    /// None where all that is in doubt was submitted before the days that are shown.
    pub(super) day: Option<String>,
    pub(super) vendor: String,
    pub(super) account: Account,
    pub(super) charged: i64,
    pub(super) in_doubt: i64,
}

/// What is in doubt belongs to no day: it stands once, at the newest day of its account.
pub(super) fn by_day(days: &[DayMoney], in_doubt: &[MoneyInDoubt]) -> Vec<AccountDay> {
    let mut rows: Vec<AccountDay> = days
        .iter()
        .map(|day| AccountDay {
            day: Some(day.day.clone()),
            vendor: day.vendor.clone(),
            account: day.account,
            charged: day.charged,
            in_doubt: 0,
        })
        .collect();
    for doubt in in_doubt {
        let of_account =
            |row: &&mut AccountDay| (&row.vendor, row.account) == (&doubt.vendor, doubt.account);
        match rows.iter_mut().find(of_account) {
            Some(newest) => newest.in_doubt = doubt.reserved,
            None => rows.push(AccountDay {
                day: None,
                vendor: doubt.vendor.clone(),
                account: doubt.account,
                charged: 0,
                in_doubt: doubt.reserved,
            }),
        }
    }
    rows
}

/// The jobs that were submitted on a day, which begins at midnight in Shanghai.
fn of_day(vendor: &str, day: &str) -> String {
    let next = day
        .parse::<chrono::NaiveDate>()
        .ok()
        .and_then(|day| day.succ_opt());
    let until = next.map_or_else(String::new, |next| {
        format!("&until={next}T00:00:00%2B08:00")
    });
    format!("/?vendor={vendor}&since={day}T00:00:00%2B08:00{until}")
}

fn totals(
    w: &'static Words,
    days: &[DayMoney],
    in_doubt: &[MoneyInDoubt],
    unit: impl Fn(&str) -> &'static str,
) -> Vec<Total> {
    let mut by_vendor: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for day in days {
        let sums = by_vendor.entry(&day.vendor).or_default();
        sums.0 += day.charged;
        sums.1 += day.spared;
    }
    let mut totals = Vec::new();
    for (vendor, (charged, spared)) in by_vendor {
        totals.push(Total {
            number: w.amount(charged, unit(vendor)),
            name: w.charged,
            link: format!("/?vendor={vendor}"),
        });
        if spared > 0 {
            totals.push(Total {
                number: w.amount(spared, unit(vendor)),
                name: w.spared,
                link: format!("/?vendor={vendor}"),
            });
        }
    }
    for one in in_doubt {
        totals.push(Total {
            number: w.amount(one.reserved, unit(&one.vendor)),
            name: w.in_doubt,
            link: "/in-doubt".to_owned(),
        });
    }
    totals
}

/// One plot for each vendor, since their units differ.
fn plots(w: &'static Words, days: &[DayMoney], unit: impl Fn(&str) -> &'static str) -> Vec<Plot> {
    const HEIGHT: i64 = 100;
    const STEP: usize = 20;
    let mut by_vendor: BTreeMap<&str, BTreeMap<&str, i64>> = BTreeMap::new();
    for day in days {
        let sums = by_vendor.entry(&day.vendor).or_default();
        *sums.entry(&day.day).or_default() += day.charged;
    }
    let plot = |(vendor, sums): (&str, BTreeMap<&str, i64>)| {
        let most = sums.values().copied().max().unwrap_or_default().max(1);
        let unit = unit(vendor);
        let total: i64 = sums.values().sum();
        let bars = sums.iter().enumerate().map(|(at, (day, charged))| {
            let height = (charged * (HEIGHT - 2) / most).clamp(1, HEIGHT);
            Bar {
                class: "bar",
                x: at * STEP,
                y: HEIGHT - height,
                width: STEP - 4,
                height,
                label: format!("{day}: {}", w.amount(*charged, unit)),
                link: of_day(vendor, day),
            }
        });
        let title = format!("{vendor}, {}", w.by_day);
        Plot {
            summary: format!("{title}: {}", w.amount(total, unit)),
            title,
            width: (DAYS as usize).max(sums.len()) * STEP,
            height: HEIGHT,
            bars: bars.collect(),
        }
    };
    by_vendor.into_iter().map(plot).collect()
}
