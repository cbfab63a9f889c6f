//! The catalogue of templates: some public ones, one shared, and those that jobs have made.

use std::time::Duration;

use serde_json::{Value, json};

use super::answer::{Reason, Refusal};
use super::arguments::Arguments;
use super::cursor;
use super::state::State;

const PUBLIC: u64 = 24;
const COLOURS: [(u64, &str, &str); 3] = [
    (1, "红", "#C00000"),
    (2, "绿", "#00B050"),
    (3, "蓝", "#0070C0"),
];
const SCENES: [(u64, &str); 2] = [(1, "教育"), (2, "商务")];

struct Template {
    id: String,
    title: String,
    kind: &'static str,
    colour: u64,
    scene: u64,
    vip: bool,
}

fn catalogue(state: &State, now: Duration) -> Vec<Template> {
    let public = (1..=PUBLIC).map(|number| Template {
        id: format!("tpl-public-{number}"),
        title: format!("公共模板 {number}"),
        kind: "public",
        colour: number % 3 + 1,
        scene: number % 2 + 1,
        vip: number % 5 == 0,
    });
    let shared = std::iter::once(Template {
        id: "tpl-share-1".to_owned(),
        title: "共享模板 1".to_owned(),
        kind: "share",
        colour: 1,
        scene: 1,
        vip: false,
    });
    let (_, jobs) = state.newest_first();
    let private = jobs
        .into_iter()
        .filter(|job| job.work.succeeded(now))
        .filter_map(|job| {
            Some(Template {
                id: job.template_id.clone()?,
                title: job.plan.title.clone(),
                kind: "private",
                colour: 0,
                scene: 0,
                vip: false,
            })
        });
    public.chain(shared).chain(private).collect()
}

/// Whether a create call may name it.
pub(crate) fn exists(state: &State, id: &str, now: Duration) -> bool {
    catalogue(state, now)
        .iter()
        .any(|template| template.id == id)
}

pub(crate) fn list(state: &State, sent: &Arguments, now: Duration) -> Result<Value, Refusal> {
    let kind = sent.word("type", &["public", "private", "share"])?;
    let (colour, scene) = (sent.number("color", 0)?, sent.number("scene", 0)?);
    let text = sent.text("query_text")?;
    let found: Vec<Template> = catalogue(state, now)
        .into_iter()
        .filter(|template| template.kind == kind && template.title.contains(text))
        .filter(|template| [0, template.colour].contains(&colour))
        .filter(|template| [0, template.scene].contains(&scene))
        .collect();
    let places: Vec<u64> = (0..found.len() as u64).rev().collect();
    let limit = super::limit_of(&state.options, sent)?;
    let (range, after) = cursor::page(&places, sent.text("after")?, limit, false)
        .ok_or_else(|| Refusal::parameter("after is not a cursor"))?;
    let list: Vec<Value> = found
        .get(range)
        .unwrap_or_default()
        .iter()
        .map(item)
        .collect();
    Ok(json!({"list": list, "after": after}))
}

pub(crate) fn get(state: &State, sent: &Arguments, now: Duration) -> Result<Value, Refusal> {
    let id = sent.filled("template_id")?;
    let all = catalogue(state, now);
    let found = all.iter().find(|template| template.id == id);
    let found = found.ok_or_else(|| Refusal::new(Reason::NotFound, "template not found"))?;
    Ok(json!({ "item": item(found) }))
}

pub(crate) fn tags() -> Value {
    let colours: Vec<Value> = COLOURS
        .iter()
        .map(|(id, label, colour)| json!({"id": id, "label": label, "color": colour}))
        .collect();
    let scenes: Vec<Value> = SCENES
        .iter()
        .map(|(id, label)| json!({"id": id, "label": label, "color": ""}))
        .collect();
    json!({"color_list": colours, "scene_list": scenes})
}

fn item(template: &Template) -> Value {
    json!({
        "template_id": template.id,
        "title": template.title,
        "from_type": "default",
        "type": template.kind,
        "vip_flag": template.vip,
        "preview_img_list": [],
    })
}
