//! The create calls: what a request asks for, what it costs, and the deck that will come of it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::answer::{Reason, Refusal};
use super::arguments::Arguments;
use super::content::{self, Deck};
use super::state::{Plan, Resource, State};
use super::templates;

pub(crate) const LANGUAGES: [&str; 5] = ["zh", "zh_hant", "en", "jp", "kr"];
pub(crate) const MODELS: [&str; 2] = ["ali", "deepseek"];

pub(crate) fn plan(
    operation: &'static str,
    sent: &Arguments,
    state: &State,
    now: Duration,
) -> Result<Plan, Refusal> {
    let options = &state.options;
    let template = sent.text("template_id")?;
    if !template.is_empty() && !templates::exists(state, template, now) {
        return Err(Refusal::new(Reason::NotFound, "template not found"));
    }
    sent.text("aigc_implicit_label")?;
    let previews = match sent.word("create_preview_image_type", &["null", "title", "top3"])? {
        "title" => 1,
        "top3" => 3,
        _ => 0,
    };
    let with_log = sent.flag("with_create_log_flag", false)?;
    let log = if with_log { options.cost_create_log } else { 0 };
    let request = Value::Object(sent.0.clone());
    let planned = |deck: Deck, credits: i64, working_seconds: f64| Plan {
        operation,
        title: deck.title.clone(),
        previews: previews.min(deck.slides.len()),
        deck: Arc::new(deck),
        makes_deck: true,
        makes_template: false,
        credits,
        working_seconds,
        request: request.clone(),
    };
    Ok(match operation {
        "ppt_create_by_json" => {
            let pages = sent.list("page_list")?;
            let deck = content::deck_of_pages(pages).map_err(Refusal::parameter)?;
            Plan {
                makes_deck: sent.flag("create_ppt_flag", false)?,
                previews: 0,
                ..planned(deck, options.cost_deck, options.plain_seconds)
            }
        }
        "ppt_create_by_markdown" => {
            let speaker = sent.required("speaker")?;
            let deck = content::deck_of_markdown(sent.filled("content")?, speaker);
            sent.word("use_img_mode", &["default", "self"])?;
            Plan {
                makes_deck: sent.flag("create_ppt_flag", true)?,
                ..planned(deck, options.cost_deck, options.plain_seconds)
            }
        }
        "ppt_create_by_gpt" => {
            let (deck, credits) = by_gpt(sent, state, now)?;
            Plan {
                makes_deck: sent.flag("create_ppt_flag", true)?,
                ..planned(deck, credits + log, options.gpt_seconds)
            }
        }
        "ppt_create_by_ppt" => {
            let resource = uploaded_deck(sent, state, now)?;
            sent.required_flag("ai_content_flag")?;
            planned(
                deck_of_upload(&resource),
                options.cost_by_ppt + log,
                options.gpt_seconds,
            )
        }
        _ => {
            let resource = uploaded_deck(sent, state, now)?;
            let deck = deck_of_upload(&resource);
            Plan {
                makes_deck: false,
                makes_template: true,
                previews: 0,
                ..planned(deck, options.cost_template, options.template_seconds)
            }
        }
    })
}

fn by_gpt(sent: &Arguments, state: &State, now: Duration) -> Result<(Deck, i64), Refusal> {
    let speaker = sent.required("speaker")?;
    let kind = sent.filled("type")?;
    let text = sent.filled("content")?;
    let language = sent.word("language", &LANGUAGES)?;
    sent.word("model", &MODELS)?;
    let pages = sent.number("page_count", 0)?;
    let mut lines = Vec::new();
    for id in sent.texts("resource_id_list")? {
        lines.extend(lines_of(&*state.resource(id, now)?));
    }
    match kind {
        "topic" => {
            let outline = content::outline(text, pages, language, &lines);
            let deck = content::deck_of_markdown(&content::full_text(&outline), speaker);
            Ok((deck, state.options.cost_gpt_topic))
        }
        "outline" => {
            let deck = content::deck_of_markdown(&content::full_text(text), speaker);
            Ok((deck, state.options.cost_gpt_outline))
        }
        _ => Err(Refusal::parameter(format!("type cannot be {kind:?}"))),
    }
}

/// What a model can take from an upload.
pub(crate) fn lines_of(resource: &Resource) -> Vec<String> {
    match &resource.slides {
        Some(slides) => slides.iter().map(|slide| slide.title.clone()).collect(),
        None if resource.lines.is_empty() => vec![bare_name(&resource.name).to_owned()],
        None => resource.lines.clone(),
    }
}

fn uploaded_deck(sent: &Arguments, state: &State, now: Duration) -> Result<Arc<Resource>, Refusal> {
    let resource = state.resource(sent.filled("resource_id")?, now)?;
    if !resource.is_deck() {
        return Err(Refusal::new(
            Reason::Resource,
            "resource is not a presentation",
        ));
    }
    Ok(resource)
}

fn deck_of_upload(resource: &Resource) -> Deck {
    let title = bare_name(&resource.name).to_owned();
    let slides = resource.slides.clone().unwrap_or_else(|| {
        vec![crate::deck::Slide {
            title: title.clone(),
            lines: vec![
                resource.name.clone(),
                format!("{} bytes", resource.size),
                format!("SHA-256 {}", resource.sha256),
            ],
        }]
    });
    Deck { title, slides }
}

fn bare_name(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(bare, _)| bare)
}
