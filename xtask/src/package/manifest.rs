//! Manifests under other names. What is edited is text: entries stand on one line each, which tidy holds.

use anyhow::{Result, bail};

use super::plan::{Crate, Plan};

/// The root manifest: published members only, siblings under their publish names.
pub(super) fn of_workspace(text: &str, plan: &Plan) -> Result<String> {
    let mut out = String::new();
    let mut renamed = 0;
    for (section, line) in lines(text) {
        let key = key(line);
        if section == "[workspace]" && key == "members" {
            let places: Vec<String> = plan
                .crates
                .iter()
                .map(|one| format!("{:?}", one.place))
                .collect();
            out.push_str(&format!("members = [{}]\n", places.join(", ")));
        } else if section == "[workspace]" && key == "exclude" {
        } else if section == "[workspace.dependencies]" && line.contains("path = ") {
            // The others are used by nobody who is published.
            if let Some(one) = plan.find(key) {
                renamed += usize::from(one.is_renamed());
                push(&mut out, &with_package(line, one));
            }
        } else {
            push(&mut out, line);
        }
    }
    let wanted = plan.crates.iter().filter(|one| one.is_renamed()).count();
    if renamed != wanted {
        bail!(
            "the root manifest names {renamed} of {wanted} crates that are published under another name"
        );
    }
    Ok(out)
}

/// A member's manifest: the publish name, and the library name that code knows.
pub(super) fn of_member(text: &str, one: &Crate) -> Result<String> {
    if !one.is_renamed() {
        return Ok(text.to_owned());
    }
    if text.lines().any(|line| line.trim() == "[lib]") {
        bail!("{}: a `[lib]` section would be written twice", one.name);
    }
    let mut out = String::new();
    let mut named = false;
    for (section, line) in lines(text) {
        if section == "[package]" && key(line) == "name" {
            named = true;
            out.push_str(&format!("name = {:?}\n", one.publish_name));
        } else if section.ends_with("dependencies]") && key(line) == one.name {
            push(&mut out, &with_package(line, one));
        } else {
            push(&mut out, line);
        }
    }
    if !named {
        bail!("{}: the manifest has no name", one.name);
    }
    out.push_str(&format!("\n[lib]\nname = {:?}\n", one.library()));
    Ok(out)
}

/// What cargo wrote into the archive: the right name, and siblings by version only.
pub(super) fn check_packed(text: &str, one: &Crate, plan: &Plan) -> Result<()> {
    let name = lines(text).find(|(section, line)| *section == "[package]" && key(line) == "name");
    if name.is_none_or(|(_, line)| line != format!("name = {:?}", one.publish_name)) {
        bail!("{} is not packed as {}", one.name, one.publish_name);
    }
    for (section, line) in lines(text) {
        if section.contains("dependencies") && key(line) == "path" {
            bail!("{}: {section} still has a path", one.publish_name);
        }
    }
    for need in &one.needs {
        let Some(sibling) = plan.find(need) else {
            continue;
        };
        let table = format!("[dependencies.{need}]");
        let entries: Vec<&str> = lines(text)
            .filter(|(section, _)| *section == table)
            .map(|(_, line)| line)
            .collect();
        let is_named = entries.contains(&format!("package = {:?}", sibling.publish_name).as_str());
        if entries.is_empty() || is_named != sibling.is_renamed() {
            bail!(
                "{} does not ask for {}",
                one.publish_name,
                sibling.publish_name
            );
        }
    }
    Ok(())
}

/// `a = { path = "x" }` asks for a package called otherwise.
fn with_package(line: &str, one: &Crate) -> String {
    if !one.is_renamed() {
        return line.to_owned();
    }
    line.replacen("{ ", &format!("{{ package = {:?}, ", one.publish_name), 1)
}

fn push(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

fn key(line: &str) -> &str {
    line.split(['=', '.']).next().unwrap_or_default().trim()
}

/// Every line with the section it stands in.
fn lines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut section = "";
    text.lines().map(move |line| {
        if line.starts_with('[') && line.ends_with(']') {
            section = line;
        }
        (section, line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let one = |name: &str, publish_name: &str, needs: &[&str]| Crate {
            name: name.to_owned(),
            publish_name: publish_name.to_owned(),
            version: "0.1.0".to_owned(),
            place: format!("crates/{name}"),
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
            brings: Vec::new(),
            is_program: false,
        };
        Plan {
            crates: vec![one("core", "our-core", &[]), one("a", "a", &["core"])],
        }
    }

    const ROOT: &str = "\
[workspace]
members = [\"crates/*\", \"xtask\"]
exclude = [\"x\"]

[workspace.dependencies]
core = { path = \"crates/core\", version = \"0.1.0\" }
a = { path = \"crates/a\", version = \"0.1.0\" }
hidden = { path = \"crates/hidden\" }
serde = \"1\"
";

    #[test]
    fn the_root_keeps_what_is_published_and_renames_what_is_called_otherwise() {
        assert_eq!(
            of_workspace(ROOT, &plan()).unwrap(),
            "\
[workspace]
members = [\"crates/core\", \"crates/a\"]

[workspace.dependencies]
core = { package = \"our-core\", path = \"crates/core\", version = \"0.1.0\" }
a = { path = \"crates/a\", version = \"0.1.0\" }
serde = \"1\"
"
        );
        let without = ROOT.replace("core = {", "other = {");
        assert!(of_workspace(&without, &plan()).is_err());
    }

    #[test]
    fn a_member_gets_its_publish_name_and_keeps_its_library() {
        let text = "[package]\nname = \"core\"\n\n[dev-dependencies]\ncore = { path = \".\", features = [\"t\"] }\n";
        let plan = plan();
        assert_eq!(
            of_member(text, &plan.crates[0]).unwrap(),
            "[package]\nname = \"our-core\"\n\n[dev-dependencies]\n\
             core = { package = \"our-core\", path = \".\", features = [\"t\"] }\n\n[lib]\nname = \"core\"\n"
        );
        assert_eq!(of_member(text, &plan.crates[1]).unwrap(), text);
        assert!(of_member(&format!("{text}[lib]\n"), &plan.crates[0]).is_err());
        assert!(of_member("[package]\n", &plan.crates[0]).is_err());
    }

    #[test]
    fn an_archive_with_a_wrong_name_a_path_or_the_wrong_sibling_is_refused() {
        let good = "[package]\nname = \"a\"\n\n[dependencies.core]\nversion = \"0.1.0\"\npackage = \"our-core\"\n";
        let plan = plan();
        let check = |text: &str| check_packed(text, &plan.crates[1], &plan);
        check(good).unwrap();
        for (from, to) in [
            ("name = \"a\"", "name = \"b\""),
            ("version", "path = \"../core\"\nversion"),
            ("package = \"our-core\"\n", ""),
            ("package = \"our-core\"", "package = \"core\""),
            ("[dependencies.core]", "[dependencies.kore]"),
        ] {
            assert!(check(&good.replace(from, to)).is_err(), "{from} {to}");
        }
    }
}
