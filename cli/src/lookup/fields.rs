//! The fields that a caller names, as columns.

use ipgeo_runtime::lookup::{Column, FIELDS, column_names};

use crate::config::suggestion;
use crate::ui::output::UsageError;

/// The columns that `ipgeo bulk` adds by default.
pub(crate) const MAIN_FIELDS: &str =
    "country_code,region,city,latitude,longitude,time_zone.name,asn.asn,asn.name";

/// The columns of a list of fields: `city`, `asn`, `asn.name`, `asn.*` for all members of `asn`, `all` for all fields. A
/// repeated field is one column.
pub(crate) fn columns<S: AsRef<str>>(names: &[S]) -> Result<Vec<Column>, UsageError> {
    let mut columns: Vec<Column> = Vec::new();
    for name in names.iter().map(|name| name.as_ref().trim()).filter(|name| !name.is_empty()) {
        let below = name.strip_suffix(".*");
        let is_meant = |known: &&str| {
            name == "all"
                || below.is_some_and(|field| known.split_once('.').is_some_and(|(of, _)| of == field))
        };
        let mut found: Vec<Column> = column_names().filter(is_meant).filter_map(Column::named).collect();
        found.extend(Column::named(name));
        if found.is_empty() {
            return Err(unknown(name));
        }
        found.retain(|column| columns.iter().all(|known| known.name() != column.name()));
        columns.extend(found);
    }
    Ok(columns)
}

fn unknown(name: &str) -> UsageError {
    let known: Vec<&str> = FIELDS.into_iter().filter(|field| *field != "count").collect();
    let members = column_names().filter(|known| known.contains('.'));
    let suggestion =
        if name.contains('.') { suggestion(name, members) } else { suggestion(name, known.iter().copied()) };
    UsageError(format!(
        "unknown field `{name}`{suggestion}\nhelp: the fields are {}; `asn.name` is a member of one, `asn.*` are all its members",
        known.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Result<Vec<&'static str>, String> {
        let names: Vec<&str> = list.split(',').collect();
        let found = columns(&names).map_err(|error| error.to_string())?;
        Ok(found.iter().map(Column::name).collect())
    }

    #[test]
    fn fields_members_and_groups_are_columns() {
        let table = [
            ("city", &["city"][..]),
            (" city , asn.name,", &["city", "asn.name"]),
            ("asn", &["asn"]),
            ("asn.*", &["asn.asn", "asn.name", "asn.domain", "asn.route", "asn.type"]),
            ("asn.name,asn.name,city", &["asn.name", "city"]),
            ("", &[]),
        ];
        for (list, expected) in table {
            assert_eq!(names(list).as_deref(), Ok(expected), "{list}");
        }
        let all = names("all").expect("known");
        assert!(all.contains(&"ip") && all.contains(&"time_zone.offset") && !all.contains(&"time_zone"));
        assert_eq!(names(MAIN_FIELDS).map(|names| names.join(",")).as_deref(), Ok(MAIN_FIELDS));
    }

    #[test]
    fn an_unknown_field_is_refused_with_the_known_ones() {
        for (list, expected) in [
            ("ctiy", "unknown field `ctiy`; did you mean `city`?\nhelp: the fields are ip, "),
            ("city,asn.nmae", "unknown field `asn.nmae`; did you mean `asn.name`?"),
            ("count", "unknown field `count`"),
            ("city.*", "unknown field `city.*`"),
        ] {
            let refused = names(list).expect_err(list);
            assert!(refused.starts_with(expected), "{refused}");
        }
    }
}
