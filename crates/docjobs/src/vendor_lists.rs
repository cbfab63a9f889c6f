//! What vendors tell for free: balances and quotas, templates, and the jobs of an account.

use std::time::SystemTime;

use jobs_core::clock::bounded;
use jobs_core::{Error, ErrorKind};
use mindshow::Pages;
use mindshow::types::{JobInfo, ListRequest, Template, TemplateListRequest, TemplateType};
use ppj::ListFilter;
use ppj::types::JobState;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use crate::app::App;
use crate::args::{MindshowListArgs, PpjListArgs, TemplatesArgs};
use crate::exit::CommandError;
use crate::output::{print_json, print_line};
use crate::{clean, mindshow as mindshow_jobs, ppj as ppj_jobs};

/// A page of a list, which no vendor says the largest size of.
const PAGE: usize = 50;

/// `docjobs mindshow account`
pub(crate) async fn mindshow_account(app: &App) -> Result<(), CommandError> {
    let client = mindshow_jobs::client(app)?;
    let account = within_deadline(app, "mindshow", client.account_info()).await?;
    if app.report.is_json() {
        return print_json(&json!(account));
    }
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let vip = account.vip_type.as_ref().map(ToString::to_string);
    print_pairs(&[
        ("credits", account.score.to_string()),
        ("account", text(&account.id)),
        ("name", text(&account.name)),
        ("membership", text(&vip)),
        ("until", text(&account.vip_expiration_time)),
        ("created", text(&account.created_at)),
    ])
}

/// `docjobs mindshow templates`
pub(crate) async fn mindshow_templates(app: &App, args: TemplatesArgs) -> Result<(), CommandError> {
    let client = mindshow_jobs::client(app)?;
    let mut request = TemplateListRequest::default().with_limit(page_of(args.limit));
    if let Some(kind) = &args.kind {
        request = request.with_type(TemplateType::from_word(kind));
    }
    if let Some(text) = args.query {
        request = request.with_query_text(text);
    }
    if let Some(scene) = args.scene {
        request = request.with_scene(scene);
    }
    if let Some(color) = args.color {
        request = request.with_color(color);
    }
    let pages = client.template_pages(&request);
    let take = take(args.limit, pages);
    let (templates, has_more) = within_deadline(app, "mindshow", take).await?;
    if app.report.is_json() {
        return templates
            .iter()
            .try_for_each(|template| print_json(&json!(template)));
    }
    let row = |template: &Template| {
        let word = |word: Option<String>| word.unwrap_or_default();
        [
            template.template_id.clone(),
            word(template.type_.as_ref().map(ToString::to_string)),
            word(
                template
                    .vip_flag
                    .map(|vip| if vip { "members" } else { "all" }.to_owned()),
            ),
            word(template.title.clone()),
        ]
    };
    let rows = templates.iter().map(row).collect();
    print_table(app, ["TEMPLATE", "TYPE", "FOR", "TITLE"], rows, has_more)
}

/// `docjobs mindshow list`
pub(crate) async fn mindshow_list(app: &App, args: MindshowListArgs) -> Result<(), CommandError> {
    let client = mindshow_jobs::client(app)?;
    let request = ListRequest::default().with_limit(page_of(args.limit));
    let pages = client.job_pages(&request);
    let take = take(args.limit, pages);
    let (jobs, has_more) = within_deadline(app, "mindshow", take).await?;
    if app.report.is_json() {
        return jobs
            .iter()
            .map(job_as_json)
            .try_for_each(|job| print_json(&job));
    }
    let row = |job: &JobInfo| {
        [
            job.id.clone(),
            job.status.to_string(),
            job.created_at.clone().unwrap_or_default(),
            job.title.clone().unwrap_or_default(),
        ]
    };
    let rows = jobs.iter().map(row).collect();
    print_table(app, ["JOB", "STATUS", "CREATED", "TITLE"], rows, has_more)
}

/// `docjobs ppj list`
pub(crate) async fn ppj_list(app: &App, args: PpjListArgs) -> Result<(), CommandError> {
    let client = ppj_jobs::client(app)?;
    let mut filter = ListFilter::new();
    if let Some(age) = args.since {
        let since = app.clock()?.wall().checked_sub(age);
        filter = filter.with_created_from(since.unwrap_or(SystemTime::UNIX_EPOCH));
    }
    if let Some(state) = &args.state {
        filter = filter.with_state(JobState::from_word(state));
    }
    let list = async {
        let mut ids = client.list(&filter).await?;
        let has_more = ids.len() > args.limit;
        ids.truncate(args.limit);
        let mut jobs = Vec::with_capacity(ids.len());
        for id in ids {
            let job = if args.details {
                Some(client.show(&id).await?)
            } else {
                None
            };
            jobs.push((id, job));
        }
        Ok((jobs, has_more))
    };
    let (jobs, has_more) = within_deadline(app, "ppj", list).await?;
    if app.report.is_json() {
        return jobs.iter().try_for_each(|(id, job)| {
            let mut shown = job.as_ref().map_or_else(|| json!({}), |job| json!(job));
            if let Value::Object(keys) = &mut shown {
                keys.insert("token".to_owned(), id.as_str().into());
            }
            print_json(&shown)
        });
    }
    if !args.details {
        jobs.iter()
            .try_for_each(|(id, _)| print_line(id.as_str()))?;
        return tell_of_more(app, has_more);
    }
    let row = |(id, job): (_, Option<ppj::types::Job>)| {
        let job = job.unwrap_or_default();
        let state = job.state.map(|state| state.to_string());
        let pages = job.total_pages.map(|pages| pages.to_string());
        [
            ppj::JobId::to_string(&id),
            state.unwrap_or_default(),
            job.created_at.unwrap_or_default(),
            pages.unwrap_or_default(),
            job.source_filename.or(job.name).unwrap_or_default(),
        ]
    };
    let headings = ["JOB", "STATE", "CREATED", "PAGES", "DOCUMENT"];
    print_table(app, headings, jobs.into_iter().map(row).collect(), has_more)
}

/// `docjobs ppj quota`
pub(crate) async fn ppj_quota(app: &App) -> Result<(), CommandError> {
    let client = ppj_jobs::client(app)?;
    let quotas = within_deadline(app, "ppj", client.quotas()).await?;
    if app.report.is_json() {
        return print_json(&json!(quotas));
    }
    let number =
        |number: Option<i64>| number.map_or_else(|| "unknown".to_owned(), |n| n.to_string());
    print_pairs(&[
        ("projects left", number(quotas.permanents_left)),
        ("projects in all", number(quotas.permanents)),
    ])
}

/// A free call, until the deadline of the command.
async fn within_deadline<T>(
    app: &App,
    vendor: &'static str,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, CommandError> {
    let clock = app.clock()?;
    let deadline = clock.now() + app.options.deadline;
    let outcome = bounded(&*clock, deadline, call).await;
    let too_late = || {
        Error::new(ErrorKind::Timeout, vendor, "list")
            .with_message("no whole answer by the deadline")
            .with_help("allow more time with --deadline")
    };
    outcome
        .unwrap_or_else(|| Err(too_late()))
        .map_err(|error| CommandError::rejected(&error))
}

/// The first `limit` entries of a list, page by page, and whether there are more.
async fn take<T: DeserializeOwned>(
    limit: usize,
    mut pages: Pages<T>,
) -> Result<(Vec<T>, bool), Error> {
    let mut entries = Vec::new();
    while let Some(page) = pages.next().await {
        entries.extend(page?);
        if entries.len() > limit {
            entries.truncate(limit);
            return Ok((entries, true));
        }
    }
    Ok((entries, false))
}

/// One more than is shown tells whether there are more.
fn page_of(limit: usize) -> i64 {
    i64::try_from(limit.saturating_add(1).min(PAGE)).unwrap_or(1)
}

/// Without the deck's link, which opens it for anybody.
fn job_as_json(job: &JobInfo) -> Value {
    let mut shown = json!(job);
    if let Value::Object(keys) = &mut shown {
        let link = keys.remove("ppt_url");
        keys.remove("preview_img_list");
        let has_deck = link.and_then(|link| link.as_str().map(|link| !link.is_empty()));
        keys.insert("has_deck".to_owned(), has_deck.unwrap_or_default().into());
    }
    shown
}

fn print_pairs(pairs: &[(&str, String)]) -> Result<(), CommandError> {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let known = pairs.iter().filter(|(_, value)| !value.is_empty());
    known
        .map(|(name, value)| format!("{name:width$}  {value}"))
        .try_for_each(|line| print_line(&line))
}

/// Aligned below headings.
fn print_table<const N: usize>(
    app: &App,
    headings: [&str; N],
    rows: Vec<[String; N]>,
    has_more: bool,
) -> Result<(), CommandError> {
    if rows.is_empty() {
        app.report.say("there are none");
        return Ok(());
    }
    let clean = |row: [String; N]| row.map(|cell| clean::line(&cell).into_owned());
    let rows: Vec<[String; N]> = std::iter::once(headings.map(str::to_owned))
        .chain(rows.into_iter().map(clean))
        .collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let space = " ".repeat(width.saturating_sub(cell.width()) + 2);
            line.extend([cell.as_str(), &space]);
        }
        print_line(line.trim_end())?;
    }
    tell_of_more(app, has_more)
}

fn tell_of_more(app: &App, has_more: bool) -> Result<(), CommandError> {
    if has_more {
        app.report
            .say("there are more; --limit N shows more of them");
    }
    Ok(())
}
