//! Bars as SVG.

/// A group of bars under one name.
pub(super) struct Group {
    pub(super) name: String,
    /// The name of each bar and its length.
    pub(super) bars: Vec<(String, f64)>,
}

const WIDTH: f64 = 760.0;
const NAMES: f64 = 190.0;
const VALUES: f64 = 70.0;
const BAR: f64 = 18.0;
const GAP: f64 = 34.0;
const COLOURS: [&str; 4] = ["#1b6ca8", "#b0b7bf", "#cfd4d9", "#e3e6e9"];

/// One bar below the other; the first of each group is ours and stands out.
pub(super) fn bars(title: &str, unit: &str, groups: &[Group]) -> String {
    let longest = groups.iter().flat_map(|group| &group.bars);
    let longest = longest
        .map(|(_, value)| *value)
        .fold(f64::MIN_POSITIVE, f64::max);
    let (mut y, mut body) = (52.0, String::new());
    for group in groups {
        body.push_str(&format!(
            "<text x=\"8\" y=\"{y:.0}\" font-weight=\"bold\">{}</text>\n",
            escaped(&group.name)
        ));
        y += 8.0;
        for (at, (name, value)) in group.bars.iter().enumerate() {
            let colour = COLOURS
                .get(at)
                .or(COLOURS.last())
                .copied()
                .unwrap_or("gray");
            let width = (WIDTH - NAMES - VALUES) * value / longest;
            let (base, after) = (y + 13.0, NAMES + width + 6.0);
            body.push_str(&format!(
                "<text x=\"16\" y=\"{base:.0}\">{}</text>\n\
                 <rect x=\"{NAMES}\" y=\"{y:.0}\" width=\"{width:.1}\" height=\"14\" fill=\"{colour}\"/>\n\
                 <text x=\"{after:.1}\" y=\"{base:.0}\">{value:.2}</text>\n",
                escaped(name)
            ));
            y += BAR;
        }
        y += GAP - 8.0;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y:.0}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"8\" y=\"24\" font-size=\"15\">{} ({})</text>\n{body}</svg>\n",
        escaped(title),
        escaped(unit)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_values() {
        let group = Group {
            name: "a & b".to_owned(),
            bars: vec![("ours".to_owned(), 1.0), ("theirs".to_owned(), 4.0)],
        };
        let plot = bars("lateness", "s", &[group]);
        assert!(
            plot.contains("width=\"125.0\"") && plot.contains("width=\"500.0\""),
            "{plot}"
        );
        assert!(plot.contains("a &amp; b"));
        assert!(plot.starts_with("<svg ") && plot.ends_with("</svg>\n"));
    }
}
