//! A value of the data section, decoded.

/// A value of the data section.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// UTF-8 text.
    Text(&'a str),
    /// Any unsigned integer that fits.
    Uint(u64),
    /// 32-bit signed.
    Int(i32),
    /// IEEE 754 double.
    Double(f64),
    /// IEEE 754 single.
    Float(f32),
    /// A truth value.
    Bool(bool),
    /// Raw bytes, or an integer too large for 64 bits.
    Bytes(&'a [u8]),
    /// Keys and values in file order.
    Map(Vec<(&'a str, Value<'a>)>),
    /// Values in order.
    Array(Vec<Value<'a>>),
}

impl<'a> Value<'a> {
    /// The entry of a map; `None` if this is not a map or has no such entry.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().find(|(key, _)| *key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The value under a path of names.
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |value, name| value.get(name))
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is an unsigned integer.
    pub fn uint(&self) -> Option<u64> {
        match self {
            Self::Uint(number) => Some(*number),
            _ => None,
        }
    }
}
