//! `ipgeo lookup`.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write};
use std::net::IpAddr;
use std::path::Path;

use anyhow::anyhow;
use clap::Args;
use ipgeo_geo::DatabaseInfo;

use super::source_args::SourceArgs;
use crate::args::Shared;
use crate::lookup::{
    BLOCK, CsvView, FieldView, Input, JsonView, Source, StopFlag, SummaryView, TableView, View, Wanted,
    addresses, columns, hint,
};
use crate::ui::output::{self, Exit, Format, UsageError, grouped};

const FAILURES_SHOWN: usize = 5;

#[derive(Debug, Args)]
#[command(after_long_help = "\
Answers are those of the API for the same database: every field of a location, without `count`. Fields \
of an object are named with a dot: `asn.name`, `time_zone.offset`; `asn.*` are all members of `asn`, and \
`all` are all fields.
With --json, one ADDRESS prints an object, several print an array; -o jsonl prints an object a line. An \
address without a location is `{\"ip\":…,\"message\":…}`.
Exit status: 1 if no address has a location.

Examples:
  ipgeo lookup 8.8.8.8
  ipgeo lookup 8.8.8.8 1.1.1.1 --fields country_code,asn.name
  ipgeo lookup 8.8.8.8 --field city --url https://api.example.com
  ipgeo lookup - --summary < addresses.txt")]
pub(crate) struct LookupArgs {
    /// Addresses; `-` reads them from standard input, one a line
    #[arg(value_name = "ADDRESS")]
    addresses: Vec<String>,
    /// Print only this field, as plain text
    #[arg(long, value_name = "FIELD", conflicts_with_all = ["fields", "summary", "csv"])]
    field: Option<String>,
    /// Print only these fields: city,asn.name
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', conflicts_with = "summary")]
    fields: Vec<String>,
    /// Count countries, networks and threat flags instead
    #[arg(long)]
    summary: bool,
    /// Same as --output csv
    #[arg(long)]
    csv: bool,
    #[command(flatten)]
    source: SourceArgs,
}

impl LookupArgs {
    fn format(&self, shared: &Shared) -> Format {
        if self.csv { Format::Csv } else { shared.format() }
    }

    /// The one address that was named, if there is exactly one.
    fn one(&self) -> Option<&str> {
        match self.addresses.as_slice() {
            [one] if one != "-" => Some(one),
            _ => None,
        }
    }

    fn view(&self, format: Format) -> Result<Box<dyn View>, UsageError> {
        let is_one = self.one().is_some();
        if self.summary {
            return Ok(Box::new(SummaryView::new(format)));
        }
        if let Some(field) = &self.field {
            if format != Format::Table {
                return Err(UsageError::new(
                    "`--field` prints plain text; use `--fields` with this output format",
                ));
            }
            let [column] = <[_; 1]>::try_from(columns(&[field])?)
                .map_err(|_| UsageError(format!("`--field {field}` is not one field; use `--fields`")))?;
            return Ok(Box::new(FieldView::new(column)));
        }
        let chosen = Some(columns(&self.fields)?).filter(|columns| !columns.is_empty());
        Ok(match format {
            Format::Table => Box::new(TableView::new(chosen, is_one)),
            Format::Json if is_one => Box::new(JsonView::lines(chosen)),
            Format::Json => Box::new(JsonView::array(chosen)),
            Format::Jsonl => Box::new(JsonView::lines(chosen)),
            Format::Csv => Box::new(chosen.map_or_else(CsvView::complete, CsvView::new)),
        })
    }
}

/// The result of looking up a list.
#[derive(Debug, Default)]
struct Outcome {
    answered: u64,
    failed: u64,
    /// The first failures, if the view does not show them.
    messages: Vec<String>,
}

pub(crate) fn run(args: &LookupArgs, shared: &Shared) -> anyhow::Result<Exit> {
    let format = args.format(shared);
    let mut view = args.view(format)?;
    let (mut source, database) = args.source.open(shared)?;
    let mut list = list(args)?;
    let is_one = args.one().is_some();
    let written = output::stream_data(|out| {
        let mut outcome = Outcome::default();
        while !list.block.is_empty() || list.fill()? {
            answer_block(&mut source, view.as_mut(), &list.block, is_one, &mut outcome, out)?;
            list.block.clear();
            if list.may_wait() {
                out.flush()?;
            }
        }
        view.finish(out)?;
        Ok(outcome)
    })?;
    // The reader of the pipe has seen enough.
    let Some(outcome) = written else { return Ok(Exit::Done) };
    report(&outcome, view.shows_failures());
    if let Some(info) = database.filter(|_| format == Format::Table && args.field.is_none()) {
        output::print_note(&credit(&info));
    }
    Ok(if outcome.answered == 0 && outcome.failed > 0 { Exit::Failed } else { Exit::Done })
}

fn answer_block(
    source: &mut Source,
    view: &mut dyn View,
    texts: &[String],
    is_one: bool,
    outcome: &mut Outcome,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    // The view is borrowed for the request, so the columns are copied.
    let columns = view.columns().map(<[_]>::to_vec);
    let wanted = columns.as_deref().map_or(Wanted::Everything, Wanted::Columns);
    source.look_up(texts, wanted, &StopFlag::default(), &mut |index, answer| {
        let text = &texts[index];
        match answer {
            Ok(_) => outcome.answered += 1,
            Err(message) if is_one => return Err(failure(text, message)),
            Err(message) => {
                outcome.failed += 1;
                if outcome.messages.len() < FAILURES_SHOWN && !view.shows_failures() {
                    outcome.messages.push(message.to_owned());
                }
            }
        }
        view.add(out, text, answer)
    })
}

/// The error for the one address that was named: a text that is not an address is wrong usage.
fn failure(text: &str, message: &str) -> anyhow::Error {
    let mut message = message.to_owned();
    if Path::new(text).is_file() {
        let _ = write!(message, "\nhelp: to look up the addresses in a file: `ipgeo bulk {text}`");
    } else if let Some(hint) = hint(text) {
        let _ = write!(message, "\nhelp: {hint}");
    }
    let bare = text.trim().trim_matches(['[', ']']);
    if bare.parse::<IpAddr>().is_ok() { anyhow!(message) } else { UsageError(message).into() }
}

/// Notes about addresses without an answer.
fn report(outcome: &Outcome, is_shown: bool) {
    outcome.messages.iter().for_each(|message| output::print_note(message));
    let total = outcome.answered + outcome.failed;
    if outcome.failed > 0 && (!is_shown || total > 1) {
        output::print_note(&format!("{} of {} have no location", grouped(outcome.failed), addresses(total)));
    }
}

/// The database, and the credit that its licence requires.
fn credit(info: &DatabaseInfo) -> String {
    let credit = format!("{} {}", info.attribution, info.attribution_link);
    let parts = [info.name.as_str(), info.date.as_str(), credit.trim()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// The addresses to look up, block by block: those on the command line, with standard input where `-` is.
struct List {
    named: std::vec::IntoIter<String>,
    input: Option<Input>,
    block: Vec<String>,
}

fn list(args: &LookupArgs) -> anyhow::Result<List> {
    let mut named = args.addresses.clone();
    if named.is_empty() {
        if std::io::stdin().is_terminal() {
            return Err(UsageError::new("no address was given\nhelp: ipgeo lookup 8.8.8.8").into());
        }
        named.push("-".to_owned());
    }
    if named.iter().filter(|name| *name == "-").count() > 1 {
        return Err(UsageError::new("`-` can be given once").into());
    }
    Ok(List { named: named.into_iter(), input: None, block: Vec::new() })
}

impl List {
    /// Fills the block with the addresses that are available; false at the end.
    fn fill(&mut self) -> anyhow::Result<bool> {
        while self.block.len() < BLOCK {
            if let Some(input) = &mut self.input {
                if !self.block.is_empty() && input.is_drained() {
                    break;
                }
                let mut line = String::new();
                if input.next_line(&mut line)? {
                    self.block.push(line);
                } else {
                    self.input = None;
                }
                continue;
            }
            match self.named.next() {
                Some(name) if name == "-" => self.input = Some(Input::open(Path::new("-"))?),
                Some(name) => self.block.push(name),
                None => break,
            }
        }
        Ok(!self.block.is_empty())
    }

    /// Whether the next address may come late, so that what was printed should be seen now.
    fn may_wait(&self) -> bool {
        self.input.as_ref().is_some_and(Input::is_drained)
    }
}
