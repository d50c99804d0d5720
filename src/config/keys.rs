//! All keys with their values, to tell what has changed since they were read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use figment::value::{Dict, Value};

use super::{Config, ConfigError, Limits};

/// All keys and their values, as the file and the environment have them. Secrets are among them: values are never shown.
#[derive(Clone, Default)]
pub struct Keys(BTreeMap<String, Value>);

/// Which keys have changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// Those that can be taken over while a node runs.
    pub now: Vec<String>,
    /// Those that count from the next start on.
    pub at_restart: Vec<String>,
}

impl Keys {
    /// Reads the file (if any) and the environment.
    ///
    /// # Errors
    /// [`ConfigError`] where either can't be read.
    pub fn read(file: Option<&Path>) -> Result<Self, ConfigError> {
        let dict: Dict = Config::figment(file).extract().map_err(Box::new)?;
        let mut keys = BTreeMap::new();
        flatten("", dict, &mut keys);
        Ok(Self(keys))
    }

    /// Which keys have other values by now. What can be taken over counts as taken over from here on; what can't is named
    /// again the next time.
    pub fn take_over(&mut self, now: &Self) -> Changed {
        let all: BTreeSet<_> = self.0.keys().chain(now.0.keys()).collect();
        let changed = all.into_iter().filter(|key| self.0.get(*key) != now.0.get(*key)).cloned();
        let (taken, at_restart) = changed.partition(|key| is_taken_over(key));
        let changed = Changed { now: taken, at_restart };
        for key in &changed.now {
            match now.0.get(key) {
                Some(value) => self.0.insert(key.clone(), value.clone()),
                None => self.0.remove(key),
            };
        }
        changed
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Whether a node takes a key over while it runs.
fn is_taken_over(key: &str) -> bool {
    key == "log.filter" || key.strip_prefix("limits.").is_some_and(|key| !Limits::FIXED.contains(&key))
}

/// Lists are one value each: what stands in them has no name.
fn flatten(prefix: &str, dict: Dict, keys: &mut BTreeMap<String, Value>) {
    for (key, value) in dict {
        let key = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value {
            Value::Dict(_, dict) => flatten(&key, dict, keys),
            value => drop(keys.insert(key, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Keys {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Keys::read(Some(file.path())).unwrap()
    }

    #[test]
    fn what_changed_is_named_and_what_needs_a_restart_until_there_is_one() {
        let token = |token| format!("[[auth.tokens]]\ntoken = '{token}'\nactions = ['watch']\n");
        let mut keys = read(&token("one"));
        assert!(!format!("{keys:?}").contains("one"));
        assert_eq!(keys.take_over(&read(&token("one"))), Changed::default());
        let limits = "[limits]\nchildren = 7\ninbox = 99\n[log]\nfilter = 'debug'\n";
        let other = read(&format!("{limits}{}", token("two")));
        let changed = keys.take_over(&other);
        assert_eq!(changed.now, ["limits.children", "log.filter"]);
        assert_eq!(changed.at_restart, ["auth.tokens", "limits.inbox"], "secrets count, and aren't shown");
        let again = keys.take_over(&other);
        assert_eq!((again.now, again.at_restart), (Vec::new(), changed.at_restart));
        // What is taken out of the file is what it was by default.
        assert_eq!(keys.take_over(&read("")).now, ["limits.children", "log.filter"]);
    }

    #[test]
    fn keys_that_are_not_taken_over_are_keys() {
        let all = read("");
        assert!(Limits::FIXED.iter().all(|key| all.0.contains_key(&format!("limits.{key}"))));
        assert_eq!(all.0.keys().filter(|key| is_taken_over(key)).count(), 18 + 1, "{all:?}");
    }
}
