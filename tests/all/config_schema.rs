//! The JSON Schema for editors and the parser agree on configurations.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use boon::{Compiler, SchemaIndex, Schemas};
use refpost::config;
use serde_json::Value as Json;
use toml::{Table, Value};

use crate::support::set_mode;

/// Words of the parser about what a schema can express.
const OF_A_SCHEMA: [&str; 16] = [
    "unknown key",
    "invalid type",
    "missing key",
    "unknown variant",
    "expected a string",
    "expected text",
    "expected one of `text`",
    "is empty: leave the key out",
    "`key` and `key_file` are two answers",
    "stands beside the key that replaces it",
    "an endpoint's name is at most",
    "needs one delay at least",
    "needs a `match`",
    "needs a `url`",
    "needs a `spool`",
    "are not between 16KiB and 64MiB",
];

/// Both judges of a configuration.
struct Judges {
    folder: tempfile::TempDir,
    schemas: Schemas,
    index: SchemaIndex,
}

impl Judges {
    fn new() -> Self {
        let mut schemas = Schemas::new();
        let mut compiler = Compiler::new();
        compiler.add_resource("schema.json", schema()).unwrap();
        let index = compiler.compile("schema.json", &mut schemas).unwrap();
        let folder = tempfile::tempdir().unwrap();
        Self {
            folder,
            schemas,
            index,
        }
    }

    /// The schema's complaint.
    fn complaint(&self, document: &Table) -> Option<String> {
        let document = json(&Value::Table(document.clone()));
        let judged = self.schemas.validate(&document, self.index);
        judged.err().map(|error| error.to_string())
    }

    /// The parser's complaint about the text as the server's file.
    fn refusal(&self, text: &str) -> Option<String> {
        let file = self.folder.path().join("config.toml");
        fs::write(&file, text).unwrap();
        set_mode(&file, 0o600);
        match config::load(&file, true, None, "host") {
            Err(config::Error::Invalid { why, .. }) => Some(why),
            _ => None,
        }
    }

    /// Returns the complaint of one of both, if the other one could have it and has not.
    fn difference(&self, document: &Table) -> Option<String> {
        let text = text(document);
        match (self.refusal(&text), self.complaint(document)) {
            (None, Some(why)) => Some(format!("the schema refuses what the parser takes: {why}")),
            (Some(why), None) if OF_A_SCHEMA.iter().any(|words| why.contains(words)) => {
                Some(format!("the schema takes what the parser refuses: {why}"))
            }
            _ => None,
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn schema() -> Json {
    let text = fs::read(root().join("contrib/refpost.schema.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// The document as a file, with its sections at the end, where they must be.
fn text(document: &Table) -> String {
    let is_section = |value: &Value| value.get(0).is_some_and(Value::is_table);
    let (sections, rest): (Table, Table) = (document.clone().into_iter())
        .partition(|(key, value)| key == "repository" && is_section(value));
    toml::to_string(&rest).unwrap() + "\n" + &toml::to_string(&sections).unwrap()
}

/// The document as editors hand it to a schema, in which a date is a string.
fn json(value: &Value) -> Json {
    match value {
        Value::Datetime(date) => date.to_string().into(),
        Value::Array(values) => values.iter().map(json).collect(),
        Value::Table(table) => {
            let pairs = table.iter().map(|(key, value)| (key.clone(), json(value)));
            Json::Object(pairs.collect())
        }
        value => serde_json::to_value(value).unwrap(),
    }
}

/// The configurations in the docs. Parts of one, and files of other programs, begin with a comment
/// that says so.
fn examples() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for page in crate::docs::pages() {
        let text = fs::read_to_string(&page).unwrap();
        for block in text.split("\n```toml\n").skip(1) {
            let block = block.split("\n```").next().unwrap();
            if !block.starts_with("# One of:") && !block.starts_with("# fedora-messaging.toml") {
                found.push((page.clone(), block.to_owned()));
            }
        }
    }
    assert!(found.len() > 20);
    found
}

#[test]
fn the_schema_and_the_parser_take_every_example_of_the_docs() {
    let judges = Judges::new();
    for (page, text) in examples() {
        let page = page.display();
        let document = text
            .parse()
            .unwrap_or_else(|why| panic!("{page}: {why}\n{text}"));
        assert_eq!(judges.complaint(&document), None, "{page}: {text}");
        assert_eq!(judges.refusal(&text), None, "{page}: {text}");
    }
}

#[test]
fn the_schema_passed_what_the_parser_refuses() {
    let judges = Judges::new();
    let whole = root().join("tests/data/config/every-key.toml");
    let whole: Table = fs::read_to_string(whole).unwrap().parse().unwrap();
    let examples = examples();
    let examples = examples.iter().map(|it| it.1.parse().unwrap());
    let documents: Vec<Table> = std::iter::once(whole).chain(examples).collect();
    let (mut keys, mut differences) = (BTreeSet::new(), BTreeSet::new());
    let mut count = 0;
    for document in documents {
        let text = text(&document);
        assert_eq!(judges.refusal(&text), None);
        let document = Value::Table(document);
        let mut own = BTreeSet::new();
        each_place(&document, &mut Vec::new(), &mut |place| {
            own.extend(place.iter().filter_map(|step| step.clone().ok()));
        });
        // Most examples have no key that the first document lacks.
        if own.is_subset(&keys) {
            continue;
        }
        keys.extend(own);
        each_place(&document, &mut Vec::new(), &mut |place| {
            for changed in changed(&document, place) {
                differences.extend(judges.difference(&changed));
                count += 1;
            }
        });
    }
    assert!(count > 1000, "{count}");
    let told: Vec<String> = differences.into_iter().collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
    // No key of the schema is left out.
    let schema = schema();
    let tables = schema["definitions"].as_object().unwrap().values();
    for table in tables.chain([&schema]) {
        for key in table["properties"].as_object().into_iter().flatten() {
            assert!(keys.contains(key.0), "no document has {}", key.0);
        }
    }
}

/// A key of a table, or an index of an array.
type Step = Result<String, usize>;

fn each_place(value: &Value, place: &mut Vec<Step>, visit: &mut impl FnMut(&[Step])) {
    visit(place);
    let within: Vec<(Step, &Value)> = match value {
        Value::Table(table) => (table.iter().map(|(key, it)| (Ok(key.clone()), it))).collect(),
        Value::Array(values) => (values.iter().enumerate().map(|(at, it)| (Err(at), it))).collect(),
        _ => Vec::new(),
    };
    for (step, value) in within {
        place.push(step);
        each_place(value, place, visit);
        place.pop();
    }
}

/// The document with other values in the place, with a key more there, and without it.
fn changed(document: &Value, place: &[Step]) -> Vec<Table> {
    let others = "x = [\"text\", \"\", 7, -1, 1.5, true, 2027-01-31, [], [\"text\"], [7], [{}], {}, \
                  { text = \"text\" }, { text = 7 }]";
    let others: Table = others.parse().unwrap();
    let others = others["x"].as_array().unwrap();
    let mut all: Vec<Table> = Vec::new();
    let mut change = |by: &dyn Fn(&mut Value)| {
        let mut document = document.clone();
        by(place.iter().fold(&mut document, |value, step| match step {
            Ok(key) => &mut value[key.as_str()],
            Err(at) => &mut value[*at],
        }));
        all.extend(document.as_table().cloned());
    };
    for other in others {
        change(&|value| *value = other.clone());
    }
    for more in ["unheard-of", "key", "key_file"] {
        change(&|value| {
            if let Value::Table(table) = value {
                table.insert(more.to_owned(), "text".into());
            }
        });
    }
    if let Some((Ok(last), before)) = place.split_last() {
        let mut document = document.clone();
        let table = before.iter().fold(&mut document, |value, step| match step {
            Ok(key) => &mut value[key.as_str()],
            Err(at) => &mut value[*at],
        });
        table.as_table_mut().unwrap().remove(last);
        all.extend(document.as_table().cloned());
    }
    all
}
