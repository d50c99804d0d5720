//! Which names a token is good for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::protocol::ids::StreamName;

/// A name, the beginning of one followed by `*`, or `*` alone for any: the one rule of all tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// The name, or how it begins.
    text: String,
    /// Whether anything may follow.
    open: bool,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is neither a name of A-Z, a-z, 0-9, '_' and '-' nor the beginning of one followed by '*'")]
pub struct PatternError(String);

/// One pattern or a list of them: names that fit any of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "OneOrMany", into = "OneOrMany")]
pub struct Names(Vec<Pattern>);

#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged, expecting = "a name such as 'news', a beginning such as 'news-*', or a list of these")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Pattern {
    /// Whether a name fits.
    pub fn fits(&self, name: &str) -> bool {
        if self.open { name.starts_with(&self.text) } else { name == self.text }
    }
}

impl Names {
    /// Whether a name fits any of them.
    pub fn fit(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.fits(name))
    }

    /// Whether there is none, so that nothing fits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let (start, open) = match text.strip_suffix('*') {
            Some(start) => (start, true),
            None => (text, false),
        };
        // All names are made of the same characters.
        let sound = (open && start.is_empty()) || start.parse::<StreamName>().is_ok();
        if sound { Ok(Self { text: start.to_owned(), open }) } else { Err(PatternError(text.to_owned())) }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.text, if self.open { "*" } else { "" })
    }
}

impl FromStr for Names {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Ok(Self(vec![text.parse()?]))
    }
}

impl TryFrom<OneOrMany> for Names {
    type Error = PatternError;

    fn try_from(given: OneOrMany) -> Result<Self, PatternError> {
        match given {
            OneOrMany::One(one) => one.parse(),
            OneOrMany::Many(many) => many.iter().map(|one| one.parse()).collect::<Result<_, _>>().map(Self),
        }
    }
}

impl From<Names> for OneOrMany {
    fn from(Names(patterns): Names) -> Self {
        match patterns.as_slice() {
            [one] => Self::One(one.to_string()),
            many => Self::Many(many.iter().map(Pattern::to_string).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_pattern_is_a_name_or_the_beginning_of_one() {
        let fits = |pattern: &str, name: &str| pattern.parse::<Pattern>().unwrap().fits(name);
        assert!(fits("news", "news") && !fits("news", "news-2"));
        assert!(fits("news-*", "news-2") && fits("news-*", "news-") && !fits("news-*", "news"));
        assert!(fits("*", "anything"));
        for bad in ["", "**", "a*b", "*a", "a.b", "a b", "a?", "[a]*", &"x".repeat(65)] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_are_one_or_many() {
        let names = |json: &str| serde_json::from_str::<Names>(json);
        assert!(names(r#""a""#).unwrap().fit("a"));
        let many = names(r#"["a", "b-*"]"#).unwrap();
        assert!(many.fit("a") && many.fit("b-1") && !many.fit("b"));
        assert_eq!(serde_json::to_string(&many).unwrap(), r#"["a","b-*"]"#);
        assert!(names("[]").unwrap().is_empty());
        assert!(names(r#"["a", 1]"#).is_err() && names(r#"["a", "x*y"]"#).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_pattern_that_reads_back_or_an_error(text in ".{0,70}") {
            if let Ok(pattern) = text.parse::<Pattern>() {
                prop_assert_eq!(pattern.to_string(), text);
            }
        }
    }
}
