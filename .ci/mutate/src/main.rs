//! Writes all mutants of `cargo mutants --list --json` into a copy of the sources, each behind its number: `mutate COPY DROPPED LIST`.
//! DROPPED names a file with the numbers to leave out. Prints `number file start end` for each mutant: where its text is, in bytes.
//!
//! A function's body begins with `if crate::__mutant(7) { return value; }`. An expression becomes
//! `(if crate::__mutant(8) { changed } else { as before })`. The changed text has no other mutants, because only one is active at a
//! time; so the text grows with the number of mutants and not with their combinations.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::ops::Range;

use proc_macro2::{LineColumn, Span};
use serde_json::Value;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Line from 1, column in characters from 0.
type Position = (usize, usize);
/// The start of an expression, and its end; outer expressions are sorted before inner ones.
type Extent = (usize, Reverse<usize>);

fn position(place: LineColumn) -> Position {
    (place.line, place.column)
}

/// The expressions of a file that may be changed.
#[derive(Default)]
struct Expressions {
    /// Binary and unary ones, by the position of the operator.
    by_operator: HashMap<Position, Span>,
    matches: Vec<Span>,
    structs: Vec<Span>,
    /// Where a `match` is a statement, which must not be put in parentheses.
    statements: BTreeSet<Position>,
}

/// `let` in a condition is no expression of its own.
fn has_let(expr: &syn::Expr) -> bool {
    match expr {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

impl<'a> Visit<'a> for Expressions {
    fn visit_stmt(&mut self, stmt: &'a syn::Stmt) {
        if let syn::Stmt::Expr(expr @ syn::Expr::Match(_), None) = stmt {
            self.statements.insert(position(expr.span().start()));
        }
        visit::visit_stmt(self, stmt);
    }

    fn visit_expr_binary(&mut self, expr: &'a syn::ExprBinary) {
        if !has_let(&expr.left) && !has_let(&expr.right) {
            self.by_operator.insert(position(expr.op.span().start()), expr.span());
        }
        visit::visit_expr_binary(self, expr);
    }

    fn visit_expr_unary(&mut self, expr: &'a syn::ExprUnary) {
        self.by_operator.insert(position(expr.op.span().start()), expr.span());
        visit::visit_expr_unary(self, expr);
    }

    fn visit_expr_match(&mut self, expr: &'a syn::ExprMatch) {
        self.matches.push(expr.span());
        visit::visit_expr_match(self, expr);
    }

    fn visit_expr_struct(&mut self, expr: &'a syn::ExprStruct) {
        self.structs.push(expr.span());
        visit::visit_expr_struct(self, expr);
    }
}

/// The text of a file, and where its lines begin.
struct Source {
    text: String,
    lines: Vec<usize>,
}

impl Source {
    fn new(text: String) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, lines }
    }

    fn byte(&self, (line, column): Position) -> usize {
        let start = self.lines[line - 1];
        self.text[start..].char_indices().nth(column).map_or(self.text.len(), |(at, _)| start + at)
    }

    fn range(&self, span: Span) -> Range<usize> {
        self.byte(position(span.start()))..self.byte(position(span.end()))
    }
}

/// A mutant of the list.
struct Mutant {
    number: usize,
    genre: String,
    start: Position,
    end: Position,
    replacement: String,
}

impl Mutant {
    fn new(number: usize, json: &Value) -> Self {
        let count = |path: &str| json.pointer(path).and_then(Value::as_u64).expect("a number") as usize;
        let place =
            |end: &str| (count(&format!("/span/{end}/line")), count(&format!("/span/{end}/column")) - 1);
        let text = |name: &str| json[name].as_str().expect("a text").to_owned();
        Self {
            number,
            genre: text("genre"),
            start: place("start"),
            end: place("end"),
            replacement: text("replacement"),
        }
    }
}

/// The mutants of one expression.
#[derive(Default)]
struct Switch {
    is_statement: bool,
    /// Number, and the whole changed expression.
    changed: Vec<(usize, String)>,
}

/// The mutants of a file by place, and what is written of it.
#[derive(Default)]
struct Writer<'a> {
    source: &'a str,
    switches: BTreeMap<Extent, Switch>,
    /// Number and value, by the start of the function's body.
    returns: BTreeMap<usize, Vec<(usize, String)>>,
    text: String,
    places: Vec<(usize, usize, usize)>,
}

impl Writer<'_> {
    fn write_switch(&mut self, number: usize, text: &str) {
        let start = self.text.len();
        self.text.push_str(text);
        self.places.push((number, start, self.text.len()));
    }

    /// Writes a range, which is the inner text of the expression `own`.
    fn write(&mut self, mut range: Range<usize>, own: Option<Extent>) {
        while range.start < range.end {
            let is_inner = |extent: &&Extent| {
                extent.1.0 <= range.end
                    && own.is_none_or(|own| **extent != own && (extent.0 > own.0 || extent.1.0 < own.1.0))
            };
            let next = self
                .switches
                .range((range.start, Reverse(usize::MAX))..)
                .map(|(extent, _)| extent)
                .find(is_inner)
                .copied();
            let body = self.returns.range(range.clone()).next().map(|(start, _)| *start);
            match (next, body) {
                (next, Some(body)) if next.is_none_or(|next| body <= next.0) => {
                    self.text.push_str(&self.source[range.start..body]);
                    for (number, value) in self.returns.remove(&body).unwrap_or_default() {
                        self.write_switch(
                            number,
                            &format!(" if crate::__mutant({number}) {{ return {value}; }} "),
                        );
                    }
                    range.start = body;
                }
                (Some(next), _) => {
                    self.text.push_str(&self.source[range.start..next.0]);
                    self.write_expression(next);
                    range.start = next.1.0;
                }
                _ => {
                    self.text.push_str(&self.source[range.clone()]);
                    return;
                }
            }
        }
    }

    fn write_expression(&mut self, extent: Extent) {
        let Switch { is_statement, changed } =
            std::mem::take(self.switches.get_mut(&extent).expect("a switch"));
        let (open, close) = if is_statement { ("", "") } else { ("(", ")") };
        self.text.push_str(open);
        for (number, text) in changed {
            self.write_switch(number, &format!("if crate::__mutant({number}) {{ {text} }} else "));
        }
        self.text.push_str("{ ");
        self.write(extent.0..extent.1.0, Some(extent));
        self.text.push_str(" }");
        self.text.push_str(close);
    }
}

/// The expression that a mutant changes, and whether it is a statement.
fn expression(mutant: &Mutant, source: &Source, expressions: &Expressions) -> Option<(Range<usize>, bool)> {
    let changed = source.byte(mutant.start)..source.byte(mutant.end);
    let innermost = |spans: &[Span]| {
        let around = spans.iter().filter(|span| {
            let range = source.range(**span);
            range.start <= changed.start && changed.end <= range.end
        });
        around.min_by_key(|span| source.range(**span).len()).copied()
    };
    let span = match mutant.genre.as_str() {
        "BinaryOperator" | "UnaryOperator" => expressions.by_operator.get(&mutant.start).copied(),
        "MatchArm" | "MatchArmGuard" => innermost(&expressions.matches),
        _ => innermost(&expressions.structs),
    }?;
    Some((source.range(span), expressions.statements.contains(&position(span.start()))))
}

/// Rewrites a file; returns where its mutants are.
fn rewrite(path: &str, mutants: &[Mutant]) -> Vec<(usize, usize, usize)> {
    let source = Source::new(fs::read_to_string(path).expect("a source"));
    let mut expressions = Expressions::default();
    expressions.visit_file(&syn::parse_file(&source.text).expect("Rust"));
    let mut writer = Writer { source: &source.text, ..Writer::default() };
    for mutant in mutants {
        let changed = source.byte(mutant.start)..source.byte(mutant.end);
        if mutant.genre == "FnValue" {
            writer
                .returns
                .entry(changed.start)
                .or_default()
                .push((mutant.number, mutant.replacement.clone()));
            continue;
        }
        let Some((range, is_statement)) = expression(mutant, &source, &expressions) else {
            eprintln!("mutant {} has no place in {path}", mutant.number);
            continue;
        };
        let (before, after) =
            (&source.text[range.start..changed.start], &source.text[changed.end..range.end]);
        let text = format!("{before}{}{after}", mutant.replacement);
        let switch = writer.switches.entry((range.start, Reverse(range.end))).or_default();
        switch.is_statement |= is_statement;
        switch.changed.push((mutant.number, text));
    }
    writer.write(0..source.text.len(), None);
    fs::write(path, &writer.text).expect("written");
    writer.places
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [copy, dropped, list] = arguments.as_slice() else { panic!("mutate COPY DROPPED LIST") };
    let read = |path: &str| fs::read_to_string(path).expect("a file");
    let dropped: BTreeSet<usize> =
        read(dropped).split_whitespace().map(|number| number.parse().expect("a number")).collect();
    let list: Vec<Value> = serde_json::from_str(&read(list)).expect("a list of mutants");
    let mut files: BTreeMap<&str, Vec<Mutant>> = BTreeMap::new();
    for (number, json) in (1..).zip(&list).filter(|(number, _)| !dropped.contains(number)) {
        files.entry(json["file"].as_str().expect("a file")).or_default().push(Mutant::new(number, json));
    }
    for (file, mutants) in files {
        for (number, start, end) in rewrite(&format!("{copy}/{file}"), &mutants) {
            println!("{number} {file} {start} {end}");
        }
    }
}
