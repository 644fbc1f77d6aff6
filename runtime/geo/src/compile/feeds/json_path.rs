//! Paths to the networks in a JSON document: names of members separated by `.`, `[]` for every element of an array and
//! `*` for every member of an object, as in `prefixes[].ipv4Prefix` or `regions[].cidrs[].cidr`.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Member(String),
    Elements,
    Members,
}

/// A path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath {
    text: String,
    steps: Vec<Step>,
}

impl FromStr for JsonPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        for part in text.split('.') {
            let name = part.trim_end_matches("[]");
            let arrays = (part.len() - name.len()) / 2;
            let plain = !name.contains(['[', ']', '*']) && !name.contains(char::is_whitespace);
            match name {
                "*" => steps.push(Step::Members),
                // Only the document itself may be an array.
                "" if steps.is_empty() && arrays > 0 => {}
                name if plain && !name.is_empty() => steps.push(Step::Member(name.to_owned())),
                _ => return Err(format!("expected a path such as `prefixes[].ip_prefix`, found `{text}`")),
            }
            steps.extend(std::iter::repeat_n(Step::Elements, arrays));
        }
        Ok(Self { text: text.to_owned(), steps })
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl JsonPath {
    /// Visits every value at the path, with its place (`prefixes[3].ip_prefix`). Objects without the member and values of
    /// another kind than a step needs are skipped: lists often mix elements.
    pub(super) fn visit<'v, E>(
        &self,
        document: &'v Value,
        visit: &mut impl FnMut(&str, &'v Value) -> Result<(), E>,
    ) -> Result<(), E> {
        walk(&self.steps, document, &mut String::new(), visit)
    }
}

fn walk<'v, E>(
    steps: &[Step],
    value: &'v Value,
    place: &mut String,
    visit: &mut impl FnMut(&str, &'v Value) -> Result<(), E>,
) -> Result<(), E> {
    let Some((step, rest)) = steps.split_first() else { return visit(place, value) };
    let length = place.len();
    let dot = if place.is_empty() { "" } else { "." };
    match (step, value) {
        (Step::Member(name), Value::Object(members)) => {
            if let Some(inner) = members.get(name) {
                place.extend([dot, name]);
                walk(rest, inner, place, visit)?;
            }
        }
        (Step::Members, Value::Object(members)) => {
            for (name, inner) in members {
                place.extend([dot, name]);
                walk(rest, inner, place, visit)?;
                place.truncate(length);
            }
        }
        (Step::Elements, Value::Array(elements)) => {
            for (index, inner) in elements.iter().enumerate() {
                // Writing to a String cannot fail.
                let _ = write!(place, "[{index}]");
                walk(rest, inner, place, visit)?;
                place.truncate(length);
            }
        }
        _ => {}
    }
    place.truncate(length);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_name_members_elements_and_all_members() {
        let document = json!({
            "prefixes": [{"v4": "a"}, {"v6": "b"}, {"v4": "c"}, 7],
            "sources": {"x": {"list": ["d", "e"]}, "y": {"list": []}, "z": 1},
            "deep": [[["f"]]],
        });
        let found = |path: &str, document: &Value| {
            let mut found = Vec::new();
            let path: JsonPath = path.parse().expect(path);
            path.visit(document, &mut |place, value| {
                found.push(format!("{place}={}", value.as_str().unwrap_or("?")));
                Ok::<(), ()>(())
            })
            .expect("visited");
            found.join(" ")
        };
        assert_eq!(found("prefixes[].v4", &document), "prefixes[0].v4=a prefixes[2].v4=c");
        assert_eq!(found("sources.*.list[]", &document), "sources.x.list[0]=d sources.x.list[1]=e");
        assert_eq!(found("deep[][][]", &document), "deep[0][0][0]=f");
        assert_eq!(found("sources.x", &document), "sources.x=?");
        assert_eq!(found("none[].v4", &document), "");
        assert_eq!(found("[]", &json!(["g", "h"])), "[0]=g [1]=h");
        assert_eq!(found("[].ip", &json!([{"ip": "i"}])), "[0].ip=i");
    }

    #[test]
    fn paths_that_mean_nothing_are_refused() {
        for text in ["", ".", "a.", ".a", "a..b", "a[0]", "a[", "a]b", "a b", "**", "a.[]", "$.a"] {
            let parsed = text.parse::<JsonPath>();
            // `$` is an ordinary name.
            assert_eq!(parsed.is_err(), text != "$.a", "{text}");
        }
    }
}
