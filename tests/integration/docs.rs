//! What the documents say is there: each key of the configuration stands in its reference, with its default,
//! examples are accepted, and each link leads somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use figment::error::Kind;
use headwater::config::{Config, ConfigError};

const REFERENCE: &str = include_str!("../../deploy/configuration.md");
/// A key that no table has.
const NONE: &str = "no-such-key";

/// All keys of a table of the configuration, as its own refusal of another one names them; none where it is none.
fn keys(table: &str) -> Option<&'static [&'static str]> {
    let texts = match table {
        "" => vec![format!("{NONE} = 1")],
        table => vec![format!("[{table}]\n{NONE} = 1"), format!("[[{table}]]\n{NONE} = 1")],
    };
    texts.iter().find_map(|text| match Config::parse(text) {
        Err(ConfigError::Invalid(error)) => match &error.kind {
            Kind::UnknownField(found, known) if found == NONE => Some(*known),
            _ => None,
        },
        _ => None,
    })
}

/// Adds the keys of a table, and of the tables in it.
fn collect(table: &str, known: &mut BTreeSet<String>) {
    for key in keys(table).unwrap_or_default() {
        let path = if table.is_empty() { (*key).to_owned() } else { format!("{table}.{key}") };
        collect(&path, known);
        known.insert(path);
    }
}

/// What stands in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The tables and keys of the reference, each key with its default as TOML where it has one.
fn documented() -> BTreeMap<String, Option<&'static str>> {
    let (mut documented, mut table) = (BTreeMap::new(), "");
    for line in REFERENCE.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            table = heading.trim_matches(|c| "`[]".contains(c));
            documented.entry(table.to_owned()).or_default();
        } else if line.starts_with("| `") {
            let cells: Vec<_> = line.trim_matches('|').split(" | ").collect();
            let [names, default, _] = cells.as_slice() else { panic!("three cells: {line}") };
            for name in quoted(names) {
                let before = documented.insert(format!("{table}.{name}"), quoted(default).next());
                assert!(before.is_none(), "{table}.{name} stands there twice");
            }
        }
    }
    documented
}

#[test]
fn the_reference_has_every_key_and_no_other() {
    let mut known = BTreeSet::new();
    collect("", &mut known);
    assert!(
        known.len() > 80 && known.contains("nats.tls.ca") && known.contains("auth.tokens.room"),
        "{known:?}"
    );
    let documented: BTreeSet<_> = documented().into_keys().collect();
    let missing: Vec<_> = known.difference(&documented).collect();
    let invented: Vec<_> = documented.difference(&known).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "deploy/configuration.md lacks {missing:?}, and has {invented:?}, which don't exist"
    );
}

#[test]
fn the_defaults_in_the_reference_are_true() {
    let written = |text: &str| Some(Config::parse(text).ok()?.to_toml().unwrap());
    let (mut compared, mut wrong) = (0, Vec::new());
    for (path, default) in documented() {
        let (Some(default), Some((table, key))) = (default, path.rsplit_once('.')) else { continue };
        // Some tables can't be without keys that have no default.
        let Some(without) = written(&format!("[{table}]")) else { continue };
        compared += 1;
        if written(&format!("[{table}]\n{key} = {default}")) != Some(without) {
            wrong.push(format!("{path} = {default}"));
        }
    }
    assert!(compared > 60, "{compared}");
    assert!(wrong.is_empty(), "deploy/configuration.md has defaults that aren't: {wrong:#?}");
}

/// All Markdown files of the repository.
fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let ours =
            name == ".cargo" || !(name.starts_with('.') || ["target", "node_modules"].contains(&&*name));
        match entry.file_type().unwrap().is_dir() {
            true if ours => documents(&path, found),
            false if name.ends_with(".md") => found.push(path),
            _ => {}
        }
    }
}

#[test]
fn the_examples_of_configurations_are_accepted() {
    let mut files = Vec::new();
    documents(Path::new(env!("CARGO_MANIFEST_DIR")), &mut files);
    let mut examples = 0;
    for document in &files {
        let text = fs::read_to_string(document).unwrap();
        for example in text.split("```toml\n").skip(1) {
            let example = example.split("```").next().unwrap();
            if let Err(error) = Config::parse(example) {
                panic!("{}: {error}\n{example}", document.display());
            }
            examples += 1;
        }
    }
    assert!(examples >= 3, "{examples}");
}

/// The lines that are no code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !fence && !code
    })
}

/// Where the links of a text lead.
fn links(text: &str) -> Vec<&str> {
    let of = |line| str::split(line, "](").skip(1).filter_map(|rest: &str| Some(rest.split_once(')')?.0));
    prose(text).flat_map(of).collect()
}

/// The anchors of a text's headings, as forges make them.
fn anchors(text: &str) -> Vec<String> {
    let anchor = |heading: &str| {
        let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    let headings = prose(text).filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// Why a link of a document leads nowhere, if it does.
fn fault(document: &Path, link: &str) -> Option<&'static str> {
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let target = match path {
        "" => document.to_owned(),
        path => document.parent().unwrap().join(path),
    };
    if !target.exists() {
        return Some("there is no such file");
    }
    let anchor = anchor?.to_owned();
    let has = fs::read_to_string(&target).is_ok_and(|text| anchors(&text).contains(&anchor));
    (!has).then_some("there is no such heading")
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    let mut files = Vec::new();
    documents(Path::new(env!("CARGO_MANIFEST_DIR")), &mut files);
    let (mut dead, mut followed) = (Vec::new(), 0);
    for document in &files {
        let text = fs::read_to_string(document).unwrap();
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            followed += 1;
            if let Some(why) = fault(document, link) {
                dead.push(format!("{}: {link}: {why}", document.display()));
            }
        }
    }
    assert!(followed > 10, "{followed} links in {files:?}");
    assert!(dead.is_empty(), "{dead:#?}");
}
