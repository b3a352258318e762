//! What is found in files of other tools: rules for tables, queries, and what became of each test.

use std::collections::{BTreeMap, BTreeSet};

/// What stands in a check until its owner says it.
const WHY: &str = "Taken over as it was. Say here what breaks where it does not hold.";

/// What became of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It is in a check.
    Taken,
    /// A person has to say something.
    Needs,
    /// There is nothing like it.
    Cannot,
}

/// A test, and what became of it.
#[derive(Debug, Clone)]
pub struct Item {
    /// Where it stands: a file, with its line where that is known.
    pub place: String,
    /// What it is, in the words of its tool.
    pub what: String,
    /// What became of it.
    pub fate: Fate,
    /// Why it was not taken.
    pub why: String,
    /// The check that it is in, or would have been.
    pub check: String,
}

/// What a check is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct About {
    pub(super) table: String,
    pub(super) filter: Option<String>,
    pub(super) severity: Option<&'static str>,
    pub(super) owner: Option<String>,
}

/// A check that is being put together.
#[derive(Debug, Clone)]
pub(super) struct Check {
    pub(super) id: String,
    pub(super) why: String,
    pub(super) about: About,
    pub(super) body: Body,
}

#[derive(Debug, Clone)]
pub(super) enum Body {
    Table(Rules),
    /// A query, and what healthy means, as YAML; how what was looked at is counted.
    Sql {
        sql: String,
        expect: String,
        evidence: Option<String>,
    },
}

/// Rules of a table, each as the YAML of its value.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    pub(super) columns: BTreeMap<String, BTreeMap<&'static str, String>>,
    pub(super) unique: BTreeSet<Vec<String>>,
    pub(super) never: Vec<String>,
    pub(super) rows: BTreeMap<&'static str, String>,
    pub(super) newest: Option<(String, String)>,
}

/// A rule of a table.
#[derive(Debug, Clone)]
pub(super) enum Rule {
    /// Of a column: the key, and the YAML of its value.
    Column(String, &'static str, String),
    /// A column has to be there.
    There(String),
    Unique(Vec<String>),
    Never(String),
    Rows(&'static str, String),
    Newest(String, String),
}

/// Says why a check would not be taken, where it would not.
type Objection<'f> = dyn Fn(&Check) -> Option<String> + 'f;

/// Everything that was found.
pub(super) struct Found<'f> {
    checks: Vec<Check>,
    items: Vec<Item>,
    ids: BTreeSet<String>,
    objection: Box<Objection<'f>>,
}

impl<'f> Found<'f> {
    /// Begins with nothing.
    pub(super) fn new(objection: impl Fn(&Check) -> Option<String> + 'f) -> Self {
        Self {
            checks: Vec::new(),
            items: Vec::new(),
            ids: BTreeSet::new(),
            objection: Box::new(objection),
        }
    }

    pub(super) fn into_parts(self) -> (Vec<Check>, Vec<Item>) {
        (self.checks, self.items)
    }

    /// Takes rules of one test into the check of its table.
    pub(super) fn rules(
        &mut self,
        about: &About,
        rules: Vec<Rule>,
        (place, what): (String, String),
    ) {
        let mut alone = Rules::default();
        for rule in &rules {
            alone.take(rule.clone());
        }
        let alone = Check {
            id: "it".to_owned(),
            why: WHY.to_owned(),
            about: about.clone(),
            body: Body::Table(alone),
        };
        if let Some(why) = (self.objection)(&alone) {
            return self.needs((place, what), why);
        }
        let at = self.checks.iter().position(|check| {
            check.about == *about && matches!(&check.body, Body::Table(known) if known.fit(&rules))
        });
        let at = at.unwrap_or_else(|| {
            let id = self.id(&format!("{}-rules", about.table));
            self.checks.push(Check {
                id,
                why: WHY.to_owned(),
                about: about.clone(),
                body: Body::Table(Rules::default()),
            });
            self.checks.len() - 1
        });
        let Some(check) = self.checks.get_mut(at) else { return };
        if let Body::Table(known) = &mut check.body {
            for rule in rules {
                known.take(rule);
            }
        }
        let check = check.id.clone();
        self.items.push(Item { place, what, fate: Fate::Taken, why: String::new(), check });
    }

    /// Takes a query as a check of its own.
    pub(super) fn sql(
        &mut self,
        name: &str,
        about: About,
        (sql, expect, evidence): (String, String, Option<String>),
        (place, what): (String, String),
    ) {
        let id = self.id(name);
        let why = WHY.to_owned();
        let body = Body::Sql { sql, expect, evidence };
        let check = Check { id: id.clone(), why, about, body };
        if let Some(why) = (self.objection)(&check) {
            return self.needs((place, what), why);
        }
        self.checks.push(check);
        self.items.push(Item { place, what, fate: Fate::Taken, why: String::new(), check: id });
    }

    /// Says of a test that a person has to say something.
    pub(super) fn needs(&mut self, (place, what): (String, String), why: impl Into<String>) {
        let (why, check) = (why.into(), String::new());
        self.items.push(Item { place, what, fate: Fate::Needs, why, check });
    }

    /// Says of a test that there is nothing like it.
    pub(super) fn cannot(&mut self, (place, what): (String, String), why: impl Into<String>) {
        let (why, check) = (why.into(), String::new());
        self.items.push(Item { place, what, fate: Fate::Cannot, why, check });
    }

    /// An id that no other check has.
    fn id(&mut self, name: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let mut slug: String = name.chars().map(plain).take(80).collect();
        while slug.contains("--") {
            slug = slug.replace("--", "-");
        }
        let slug = slug.trim_matches('-');
        let begins = slug.starts_with(|c: char| c.is_ascii_alphabetic());
        let slug = if begins { slug.to_owned() } else { format!("t-{slug}") };
        let (mut id, mut number) = (slug.clone(), 1);
        while !self.ids.insert(id.clone()) {
            number += 1;
            id = format!("{slug}-{number}");
        }
        id
    }
}

impl Rules {
    /// Says whether rules can stand beside those that are there: one of each key of a column.
    fn fit(&self, rules: &[Rule]) -> bool {
        rules.iter().all(|rule| match rule {
            Rule::Column(column, key, value) => {
                let known = self.columns.get(column).and_then(|rules| rules.get(key));
                known.is_none_or(|known| known == value)
            }
            Rule::Rows(key, value) => self.rows.get(key).is_none_or(|known| known == value),
            Rule::Newest(..) => self.newest.is_none(),
            Rule::There(_) | Rule::Unique(_) | Rule::Never(_) => true,
        })
    }

    fn take(&mut self, rule: Rule) {
        match rule {
            Rule::Column(column, key, value) => {
                self.columns.entry(column).or_default().insert(key, value);
            }
            Rule::There(column) => {
                self.columns.entry(column).or_default();
            }
            Rule::Unique(columns) => {
                self.unique.insert(columns);
            }
            Rule::Never(condition) => {
                if !self.never.contains(&condition) {
                    self.never.push(condition);
                }
            }
            Rule::Rows(key, value) => {
                self.rows.insert(key, value);
            }
            Rule::Newest(column, within) => self.newest = Some((column, within)),
        }
    }
}
