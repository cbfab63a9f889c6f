//! Splits a page's text into the blocks that become elements: headings, list items, tables, code, paragraphs.

/// One block of text with its place on the page, counted in blocks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Block {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    pub(crate) page: u64,
    pub(crate) position: usize,
    pub(crate) of: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// 0 is the highest level.
    Title(usize),
    ListItem,
    Code,
    Paragraph,
    Table(Vec<Vec<String>>),
}

pub(crate) fn split(text: &str, page: u64) -> Vec<Block> {
    let mut found: Vec<(Kind, String)> = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let trimmed = line.trim();
        if trimmed.is_empty() {
            continue;
        }
        if trimmed.starts_with("```") {
            let code: Vec<&str> = lines
                .by_ref()
                .take_while(|line| !line.trim().starts_with("```"))
                .collect();
            found.push((Kind::Code, code.join("\n")));
        } else if trimmed.starts_with('|') {
            let mut rows = vec![cells(trimmed)];
            while let Some(next) = lines.next_if(|line| line.trim().starts_with('|')) {
                rows.push(cells(next.trim()));
            }
            rows.retain(|row| {
                !row.iter()
                    .all(|cell| !cell.is_empty() && cell.chars().all(|c| matches!(c, '-' | ':')))
            });
            found.push((Kind::Table(rows.clone()), table_html(&rows)));
        } else if let Some((level, title)) = heading(trimmed) {
            found.push((Kind::Title(level), title.to_owned()));
        } else if is_list_item(trimmed) {
            found.push((Kind::ListItem, trimmed.to_owned()));
        } else {
            let mut paragraph = trimmed.to_owned();
            while let Some(next) = lines.next_if(|line| is_plain(line.trim())) {
                paragraph.push('\n');
                paragraph.push_str(next.trim());
            }
            found.push((Kind::Paragraph, paragraph));
        }
    }
    let of = found.len();
    let place = |(position, (kind, text))| Block {
        kind,
        text,
        page,
        position,
        of,
    };
    found.into_iter().enumerate().map(place).collect()
}

pub(crate) fn table_html(rows: &[Vec<String>]) -> String {
    let mut html = String::from("<table>");
    for row in rows {
        html.push_str("<tr>");
        for cell in row {
            html.push_str("<td>");
            html.push_str(&cell.replace('&', "&amp;").replace('<', "&lt;"));
            html.push_str("</td>");
        }
        html.push_str("</tr>");
    }
    html.push_str("</table>");
    html
}

/// The text with its pipe tables written as HTML, everything else as it was.
pub(crate) fn tables_as_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut table = String::new();
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with('|') {
            table.push_str(line);
        } else {
            close(&mut table, &mut out);
            out.push_str(line);
        }
    }
    close(&mut table, &mut out);
    out
}

fn close(table: &mut String, out: &mut String) {
    if let Some(block) = split(table, 1).first() {
        out.push_str(&block.text);
        if table.ends_with('\n') {
            out.push('\n');
        }
    }
    table.clear();
}

fn cells(line: &str) -> Vec<String> {
    line.trim_matches('|')
        .split('|')
        .map(|cell| cell.trim().to_owned())
        .collect()
}

fn heading(line: &str) -> Option<(usize, &str)> {
    let title = line.trim_start_matches('#');
    let level = line.len() - title.len();
    (1..=6)
        .contains(&level)
        .then(|| {
            title
                .strip_prefix(' ')
                .map(|title| (level - 1, title.trim()))
        })
        .flatten()
}

fn is_list_item(line: &str) -> bool {
    let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    line.starts_with("- ")
        || line.starts_with("* ")
        || (number.len() < line.len() && number.starts_with(". "))
}

fn is_plain(line: &str) -> bool {
    !(line.is_empty()
        || line.starts_with('|')
        || line.starts_with("```")
        || heading(line).is_some()
        || is_list_item(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_falls_into_blocks_in_order() {
        let text = "# Head\n\none\ntwo\n- item\n2. second\n| a | b |\n|---|---|\n| 1 | 2 |\n```\nlet x;\n```\n#no heading";
        let blocks = split(text, 3);
        let kinds: Vec<(&Kind, &str)> = blocks
            .iter()
            .map(|block| (&block.kind, block.text.as_str()))
            .collect();
        let rows = vec![
            vec!["a".to_owned(), "b".to_owned()],
            vec!["1".to_owned(), "2".to_owned()],
        ];
        assert_eq!(
            kinds,
            [
                (&Kind::Title(0), "Head"),
                (&Kind::Paragraph, "one\ntwo"),
                (&Kind::ListItem, "- item"),
                (&Kind::ListItem, "2. second"),
                (
                    &Kind::Table(rows),
                    "<table><tr><td>a</td><td>b</td></tr><tr><td>1</td><td>2</td></tr></table>"
                ),
                (&Kind::Code, "let x;"),
                (&Kind::Paragraph, "#no heading"),
            ]
        );
        assert!(blocks.iter().all(|block| block.page == 3 && block.of == 7));
    }

    #[test]
    fn only_tables_change_when_written_as_html() {
        let text = "before\n| a |\n|---|\n| < |\nafter";
        assert_eq!(
            tables_as_html(text),
            "before\n<table><tr><td>a</td></tr><tr><td>&lt;</td></tr></table>\nafter"
        );
    }
}
