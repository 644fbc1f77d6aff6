//! DynamoDB's expressions, evaluated by their documentation: conditions and updates of one item. Written apart from the code that
//! composes them, so that a wrong expression is not evaluated as it was meant.

use std::cmp::Ordering;

use ipgeo_runtime::tables::{Change, Item, Value, number};

/// The words of an expression: names, placeholders, and operators.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut previous = ' ';
    for letter in text.chars() {
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || "#:_.".contains(letter);
        let joins = (is_name(letter) && is_name(previous))
            || (previous == '<' && "=>".contains(letter))
            || (previous == '>' && letter == '=');
        match words.last_mut() {
            Some(word) if joins => word.push(letter),
            _ if letter.is_whitespace() => {}
            _ => words.push(letter.to_string()),
        }
        previous = letter;
    }
    words
}

/// An expression that is read and evaluated in one pass over one item.
struct Reader<'a> {
    words: Vec<String>,
    at: usize,
    change: &'a Change,
    item: &'a Item,
}

impl<'a> Reader<'a> {
    fn new(text: &str, change: &'a Change, item: &'a Item) -> Self {
        Self { words: words(text), at: 0, change, item }
    }

    fn peek(&self) -> &str {
        self.words.get(self.at).map_or("", String::as_str)
    }

    fn next(&mut self) -> Result<String, String> {
        let word = self.words.get(self.at).cloned().ok_or("an expression ends too early")?;
        self.at += 1;
        Ok(word)
    }

    fn eat(&mut self, word: &str) -> bool {
        let is_next = self.peek() == word;
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        if self.eat(word) { Ok(()) } else { Err(format!("`{word}` is expected before `{}`", self.peek())) }
    }

    /// The attribute that a placeholder names.
    fn path(&mut self) -> Result<String, String> {
        let word = self.next()?;
        if !word.starts_with('#') {
            return Ok(word);
        }
        let name = self.change.expression_attribute_names.get(&word);
        name.cloned().ok_or_else(|| format!("`{word}` is not declared"))
    }

    /// A value; `None` for a missing attribute.
    fn operand(&mut self) -> Result<Option<Value>, String> {
        if self.peek().starts_with(':') {
            let word = self.next()?;
            let value = self.change.expression_attribute_values.get(&word);
            return value.cloned().map(Some).ok_or_else(|| format!("`{word}` is not declared"));
        }
        if self.eat("size") {
            self.expect("(")?;
            let path = self.path()?;
            self.expect(")")?;
            return Ok(self.item.get(&path).and_then(Value::text).map(|text| number(text.len())));
        }
        if self.eat("if_not_exists") {
            self.expect("(")?;
            let path = self.path()?;
            self.expect(",")?;
            let other = self.operand()?;
            self.expect(")")?;
            return Ok(self.item.get(&path).cloned().or(other));
        }
        let path = self.path()?;
        Ok(self.item.get(&path).cloned())
    }

    fn or(&mut self) -> Result<bool, String> {
        let mut holds = self.and()?;
        while self.eat("OR") {
            holds |= self.and()?;
        }
        Ok(holds)
    }

    fn and(&mut self) -> Result<bool, String> {
        let mut holds = self.not()?;
        while self.eat("AND") {
            holds &= self.not()?;
        }
        Ok(holds)
    }

    fn not(&mut self) -> Result<bool, String> {
        if self.eat("NOT") {
            return Ok(!self.not()?);
        }
        if self.eat("(") {
            let holds = self.or()?;
            self.expect(")")?;
            return Ok(holds);
        }
        for (function, wanted) in [("attribute_exists", true), ("attribute_not_exists", false)] {
            if self.eat(function) {
                self.expect("(")?;
                let path = self.path()?;
                self.expect(")")?;
                return Ok(self.item.contains_key(&path) == wanted);
            }
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<bool, String> {
        for function in ["begins_with", "contains"] {
            if self.eat(function) {
                self.expect("(")?;
                let left = self.operand()?;
                self.expect(",")?;
                let right = self.operand()?;
                self.expect(")")?;
                let text = |value: &Option<Value>| value.as_ref().and_then(Value::text).map(str::to_owned);
                return Ok(text(&left).zip(text(&right)).is_some_and(|(left, right)| match function {
                    "contains" => left.contains(&right),
                    _ => left.starts_with(&right),
                }));
            }
        }
        let left = self.operand()?;
        let operator = self.next()?;
        let right = self.operand()?;
        let order = left.as_ref().zip(right.as_ref()).and_then(|(left, right)| order(left, right));
        Ok(match operator.as_str() {
            "=" => left.is_some() && left == right || order == Some(Ordering::Equal),
            "<>" => left != right && order != Some(Ordering::Equal),
            "<" => order == Some(Ordering::Less),
            "<=" => order.is_some_and(Ordering::is_le),
            ">" => order == Some(Ordering::Greater),
            ">=" => order.is_some_and(Ordering::is_ge),
            other => return Err(format!("`{other}` is not an operator")),
        })
    }
}

/// Numbers by value, texts by their bytes; other pairs have no order.
fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::S(left), Value::S(right)) => Some(left.cmp(right)),
        (Value::N(left), Value::N(right)) => {
            Some(left.parse::<i128>().ok()?.cmp(&right.parse::<i128>().ok()?))
        }
        _ => None,
    }
}

/// Whether a condition holds for an item; a missing item has no attributes.
pub(crate) fn holds(condition: &str, change: &Change, item: &Item) -> Result<bool, String> {
    let mut reader = Reader::new(condition, change, item);
    let holds = reader.or()?;
    if reader.at == reader.words.len() {
        Ok(holds)
    } else {
        Err(format!("`{}` is not expected", reader.peek()))
    }
}

/// An item after an update. Every value that it refers to is the one before.
pub(crate) fn updated(change: &Change, item: &Item) -> Result<Item, String> {
    let mut new = item.clone();
    let mut reader = Reader::new(&change.update_expression, change, item);
    while reader.at < reader.words.len() {
        let clause = reader.next()?;
        loop {
            let path = reader.path()?;
            match clause.as_str() {
                "SET" => {
                    reader.expect("=")?;
                    let value = reader.operand()?.ok_or("SET to a missing attribute")?;
                    new.insert(path, value);
                }
                "REMOVE" => drop(new.remove(&path)),
                "ADD" => {
                    let add = reader.operand()?.ok_or("ADD of a missing attribute")?;
                    let sum =
                        |value: Option<&Value>| value.and_then(Value::digits).unwrap_or("0").parse::<i128>();
                    let sum = sum(item.get(&path)).and_then(|old| Ok(old + sum(Some(&add))?));
                    new.insert(path, number(sum.map_err(|error| error.to_string())?));
                }
                other => return Err(format!("`{other}` is not a clause")),
            }
            if !reader.eat(",") {
                break;
            }
        }
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use ipgeo_runtime::tables::string;

    use super::*;

    fn item(values: &[(&str, Value)]) -> Item {
        values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    #[test]
    fn conditions_are_evaluated_as_documented() {
        let change = Change {
            expression_attribute_names: [
                ("#a".to_owned(), "a".to_owned()),
                ("#b".to_owned(), "b".to_owned()),
            ]
            .into(),
            expression_attribute_values: item(&[(":9", number(9)), (":x", string("x")), (":1", number(1))]),
            ..Change::default()
        };
        let present = item(&[("a", number(10)), ("t", string("xyz"))]);
        // (condition, whether it holds)
        let table = [
            ("attribute_exists(#a)", true),
            ("attribute_not_exists(#a) OR #a > :9", true),
            ("attribute_not_exists(#a) AND #a > :9", false),
            ("#a < :9", false),
            ("#b = :9", false),
            ("#b <> :9", true),
            ("NOT (#a = :9)", true),
            ("size(t) <> :9 AND begins_with(t, :x)", true),
            ("#a <> :9 AND (#a <= :9 OR #a >= :9)", true),
            ("contains(t, :x) AND #a = :1", false),
        ];
        for (condition, expected) in table {
            assert_eq!(holds(condition, &change, &present), Ok(expected), "{condition}");
        }
        for broken in ["", "#a", "#c = :9", "#a = :8", "#a = :9 #b", "(#a = :9"] {
            assert!(holds(broken, &change, &present).is_err(), "{broken}");
        }
    }

    #[test]
    fn updates_refer_to_the_item_before_them() {
        let change = Change {
            update_expression: "SET #a = if_not_exists(#b, :9), #b = #a REMOVE t ADD n :9, m :9".to_owned(),
            expression_attribute_names: [
                ("#a".to_owned(), "a".to_owned()),
                ("#b".to_owned(), "b".to_owned()),
            ]
            .into(),
            expression_attribute_values: item(&[(":9", number(9))]),
            ..Change::default()
        };
        let before = item(&[("a", number(1)), ("t", string("x")), ("n", number(2))]);
        let after = item(&[("a", number(9)), ("b", number(1)), ("n", number(11)), ("m", number(9))]);
        assert_eq!(updated(&change, &before), Ok(after));
    }
}
