//! Golden pairs, one construct each: `tests/golden/NAME.json` renders to `NAME.rs`, or fails with `NAME.err`.
//!
//! `UPDATE_GOLDEN=1 cargo test -p xtask golden` writes them anew; read the difference before committing it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::render;

#[path = "../../tests/golden/additional_properties.rs"]
mod additional_properties;
#[path = "../../tests/golden/all_of.rs"]
mod all_of;
#[path = "../../tests/golden/default.rs"]
mod default;
#[path = "../../tests/golden/description.rs"]
mod description;
#[path = "../../tests/golden/inline_object.rs"]
mod inline_object;
#[path = "../../tests/golden/inlined_component.rs"]
mod inlined_component;
#[path = "../../tests/golden/lenient_number.rs"]
mod lenient_number;
#[path = "../../tests/golden/lenient_optional_integer.rs"]
mod lenient_optional_integer;
#[path = "../../tests/golden/nullable.rs"]
mod nullable;
#[path = "../../tests/golden/open_enum.rs"]
mod open_enum;
#[path = "../../tests/golden/operations.rs"]
mod operations;
#[path = "../../tests/golden/optional_unless_required.rs"]
mod optional_unless_required;
#[path = "../../tests/golden/recursive.rs"]
mod recursive;
#[path = "../../tests/golden/reserved_word.rs"]
mod reserved_word;
#[path = "../../tests/golden/rust_name.rs"]
mod rust_name;
#[path = "../../tests/golden/secret.rs"]
mod secret;
#[path = "../../tests/golden/setters.rs"]
mod setters;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn names(extension: &str) -> BTreeSet<String> {
    fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn golden_documents_render_to_their_pairs_twice() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut differing = Vec::new();
    for name in names("json") {
        let spec = fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
        let render = || render(&spec).map_err(|error| format!("{error:#}\n"));
        let (first, second) = (render(), render());
        assert_eq!(first, second, "{name} renders differently the second time");
        let (extension, other, text) = match first {
            Ok(rendered) => ("rs", "err", rendered.types),
            Err(text) => ("err", "rs", text),
        };
        let path = folder().join(format!("{name}.{extension}"));
        let unexpected = folder().join(format!("{name}.{other}"));
        if update {
            fs::write(&path, &text).unwrap();
            let _ = fs::remove_file(&unexpected);
        } else if fs::read_to_string(&path).unwrap_or_default() != text || unexpected.exists() {
            differing.push(format!("{name}.{extension}:\n{text}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn setters_and_options_of_a_request_render_to_their_pairs() {
    let spec = fs::read_to_string(folder().join("setters.json")).unwrap();
    let spec = spec.replace("\"x-rust-setters\": true", "\"x-rust-setters\": \"Order\"");
    let spec = spec.replace(
        "\"x-rust-setters\"",
        "\"x-rust-option-list\": true, \"x-rust-setters\"",
    );
    let rendered = render(&spec).unwrap();
    for (name, text) in [
        ("setters_of_a_request.txt", rendered.setters.unwrap()),
        ("options_of_a_request.txt", rendered.options.unwrap()),
    ] {
        let path = folder().join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &text).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap_or_default(), text);
    }
}

#[test]
fn a_setter_reaches_into_nested_options_and_leaves_the_others() {
    use setters::{Colour, Options};
    let options = Options::new("a".to_owned())
        .with_pages("1-5")
        .with_depth(2)
        .with_colour(Colour::Red)
        .with_key("hush")
        .with_tags(["x", "y"]);
    assert_eq!(
        serde_json::to_value(&options).unwrap(),
        json!({"id": "a", "pages": "1-5", "inner": {"depth": 2, "deeper": {"colour": "red"}}, "key": "hush", "tags": ["x", "y"]})
    );
}

#[test]
fn every_golden_file_has_its_document_and_is_compiled() {
    let documents = names("json");
    let outputs: BTreeSet<String> = names("rs").union(&names("err")).cloned().collect();
    assert_eq!(documents, outputs);
    for name in names("rs") {
        let module = format!("/golden/{name}.rs\"]");
        assert!(
            include_str!("golden.rs").contains(&module),
            "{name} is not compiled"
        );
    }
}

#[test]
fn every_unsupported_construct_is_refused_with_its_place() {
    let errors = names("err");
    assert!(errors.len() >= 25, "{}", errors.len());
    for name in errors {
        let text = fs::read_to_string(folder().join(format!("{name}.err"))).unwrap();
        assert!(name.starts_with("err_"), "{name} is refused");
        assert!(text.starts_with('#'), "{name}: {text}");
    }
}

#[test]
fn a_word_that_is_not_listed_is_kept_and_sent_back() {
    use open_enum::{Look, LookMode, State};
    let look: Look = serde_json::from_value(json!({"state": "melting", "mode": "fast"})).unwrap();
    assert_eq!(look.state, State::Other("melting".to_owned()));
    assert_eq!(look.mode, Some(LookMode::Fast));
    assert_eq!(look.state.to_string(), "melting");
    assert_eq!(
        serde_json::to_value(&look).unwrap(),
        json!({"state": "melting", "mode": "fast"})
    );
    for word in ["pending", "in_progress", "DONE", "done", "other"] {
        assert_eq!(State::from_word(word).as_str(), word);
        assert!(!matches!(State::from_word(word), State::Other(_)), "{word}");
    }
}

#[test]
fn a_lenient_number_is_read_from_number_and_text() {
    use lenient_number::Count;
    let expected: Count =
        serde_json::from_value(json!({"pages": 3, "size": 9, "price": 1.5, "angle": 90})).unwrap();
    assert_eq!((expected.pages, expected.size), (3, Some(9)));
    assert_eq!((expected.price, expected.angle), (1.5, Some(90.0)));
    for same in [
        json!({"pages": "3", "size": "9", "price": "1.5", "angle": "90"}),
        json!({"pages": 3.0, "size": " 9 ", "price": 1.5, "angle": "90.0"}),
        json!({"pages": "3.00", "size": 9, "price": "1.50", "angle": 90.0}),
    ] {
        assert_eq!(
            serde_json::from_value::<Count>(same.clone()).unwrap(),
            expected,
            "{same}"
        );
    }
    for empty in [
        json!({"pages": 3, "price": 1}),
        json!({"pages": 3, "price": 1, "size": null, "angle": ""}),
    ] {
        let count: Count = serde_json::from_value(empty).unwrap();
        assert_eq!((count.size, count.angle), (None, None));
    }
    for bad in [
        json!({"pages": "three", "price": 1}),
        json!({"pages": 3.5, "price": 1}),
        json!({"pages": 3_000_000_000_i64, "price": 1}),
        json!({"pages": "", "price": 1}),
        json!({"pages": 3, "price": "NaN"}),
        json!({"pages": 3, "price": "inf"}),
        json!({"pages": 3, "price": true}),
        json!({"pages": 3, "price": 1, "size": [9]}),
        json!({"pages": "."  , "price": 1}),
    ] {
        assert!(
            serde_json::from_value::<Count>(bad.clone()).is_err(),
            "{bad}"
        );
    }
    let pages: lenient_optional_integer::Count = serde_json::from_str(r#"{"pages":"12"}"#).unwrap();
    assert_eq!(serde_json::to_string(&pages).unwrap(), r#"{"pages":12}"#);
}

#[test]
fn a_secret_is_sent_but_never_printed() {
    use secret::{Login, SecretText};
    let mut login = Login::new(SecretText::new("t0ken"));
    login.user = Some("ann".to_owned());
    login.password = Some(SecretText::new("pa55"));
    login.old = Some(vec![SecretText::new("0ld")]);
    for shown in [format!("{login:?}"), format!("{login:#?}")] {
        assert!(shown.contains("ann"));
        for hidden in ["t0ken", "pa55", "0ld"] {
            assert!(!shown.contains(hidden), "{shown}");
        }
    }
    assert_eq!(
        serde_json::to_value(&login).unwrap(),
        json!({"user": "ann", "token": "t0ken", "password": "pa55", "old": ["0ld"]})
    );
    assert_eq!(login.token.expose(), "t0ken");
}

#[test]
fn null_and_absent_are_the_same_and_never_sent() {
    use nullable::Answer;
    let answer: Answer =
        serde_json::from_str(r#"{"data":null,"note":null,"row":[1,null]}"#).unwrap();
    assert_eq!((answer.data.clone(), answer.note.clone()), (None, None));
    assert_eq!(answer.row, Some(vec![Some(1.0), None]));
    assert_eq!(
        serde_json::from_str::<Answer>("{}").unwrap(),
        Answer::default()
    );
    assert_eq!(serde_json::to_string(&Answer::default()).unwrap(), "{}");
}

#[test]
fn unknown_keys_survive_only_where_the_document_says_so() {
    use additional_properties::{Bag, Part};
    let sent = json!({"id": "a", "new": {"deep": [1, null]}, "nothing": null});
    let part: Part = serde_json::from_value(sent.clone()).unwrap();
    assert_eq!(part.extra.len(), 2);
    assert_eq!(serde_json::to_value(&part).unwrap(), sent);
    let sent = json!({"sizes": {"x": 1}, "free": {"k": []}, "any": 7, "parts": {"p": {"id": "a", "b": 1}}});
    let bag: Bag = serde_json::from_value(sent.clone()).unwrap();
    assert_eq!(serde_json::to_value(&bag).unwrap(), sent);
    let look: open_enum::Look = serde_json::from_value(json!({"state": "done", "new": 1})).unwrap();
    assert_eq!(
        serde_json::to_value(&look).unwrap(),
        json!({"state": "done"})
    );
}

#[test]
fn what_is_required_must_be_there_and_what_is_not_may_be_absent() {
    use optional_unless_required::Job;
    let job: Job = serde_json::from_str(r#"{"id":"1"}"#).unwrap();
    assert_eq!(job, Job::new("1".to_owned()));
    assert_eq!(serde_json::to_string(&job).unwrap(), r#"{"id":"1"}"#);
    assert!(serde_json::from_str::<Job>(r#"{"pages":1}"#).is_err());
    let job: Job = serde_json::from_str(r#"{"id":"1","tags":[]}"#).unwrap();
    assert_eq!(
        serde_json::to_string(&job).unwrap(),
        r#"{"id":"1","tags":[]}"#
    );
}

#[test]
fn a_type_may_hold_itself() {
    use recursive::Node;
    let sent = json!({"title": "a", "next": {"children": [{"title": "b"}]}, "other": {"back": {}}});
    let node: Node = serde_json::from_value(sent.clone()).unwrap();
    assert_eq!(serde_json::to_value(&node).unwrap(), sent);
}

#[test]
fn merged_objects_carry_the_fields_of_all_members() {
    use all_of::Answer;
    let answer: Answer =
        serde_json::from_str(r#"{"code":1,"message":"m","data":{"id":"i","more":2}}"#).unwrap();
    assert_eq!((answer.code, answer.message.as_deref()), (1, Some("m")));
    assert_eq!(answer.data.unwrap().extra["more"], 2);
    assert!(serde_json::from_str::<Answer>(r#"{"data":{}}"#).is_err());
}

#[test]
fn a_default_is_read_but_not_sent() {
    use default::{Options, OptionsType, View};
    let mut options = Options::default();
    assert!(options.deep_or_default());
    assert_eq!(
        (options.level_or_default(), options.scale_or_default()),
        (-1, 0.5)
    );
    assert_eq!(options.name_or_default(), "a \"b\"");
    assert_eq!(options.view_or_default(), View::Html);
    assert_eq!(options.type_or_default(), OptionsType::X);
    assert_eq!(serde_json::to_string(&options).unwrap(), "{}");
    options.deep = Some(false);
    options.view = Some(View::Markdown);
    assert!(!options.deep_or_default());
    assert_eq!(
        serde_json::to_value(&options).unwrap(),
        json!({"deep": false, "view": "markdown"})
    );
}

#[test]
fn renamed_fields_keep_the_vendors_keys() {
    let item: reserved_word::Item =
        serde_json::from_str(r#"{"type":"t","self":"s","JobId":"j","x-trace":"x"}"#).unwrap();
    assert_eq!(
        (item.type_.as_deref(), item.self_.as_deref()),
        (Some("t"), Some("s"))
    );
    assert_eq!(
        (item.job_id.as_deref(), item.x_trace.as_deref()),
        (Some("j"), Some("x"))
    );
    let answer: rust_name::Answer = serde_json::from_str(r#"{"3d":"y","list":[{"x":1}]}"#).unwrap();
    assert_eq!(answer.three_d.as_deref(), Some("y"));
    assert_eq!(answer.list.unwrap()[0].x, Some(1.0));
}
