//! What a limit lets pass beside another one: the sets of values that they take, compared.
//!
//! A limit takes intervals of numbers, dates and instants, and single texts. Between two neighbouring values that either
//! limit names, it takes all or nothing: looking at each of those, and just beside them, is looking at everything.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::check::limit::rows::RowLimit;
use crate::domain::check::limit::{Condition, Limit, Tolerance};
use crate::domain::check::literal::Literal;
use crate::domain::check::number::Number;
use crate::domain::check::observation::Moment;
use crate::domain::check::value::Value;

/// Up to which number of rows each is looked at.
const ROWS_MAX: u64 = 2_000;

/// What two limits let pass.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Passing {
    /// A value that passes the new one and failed the old one.
    pub more: Option<String>,
    /// A value that passed the old one and fails the new one.
    pub less: Option<String>,
    /// How many values pass that failed, where they are whole numbers and can be counted.
    pub count: Option<usize>,
}

impl Limit {
    /// Says what passes a new limit beside this one; nothing where their sets cannot be compared.
    pub(in crate::domain) fn beside(&self, new: &Self) -> Option<Passing> {
        if self == new {
            return Some(Passing::default());
        }
        if self.is_of_time() != new.is_of_time() || !self.is_relative_alike(new) {
            return None;
        }
        if let Some(passing) = self.beside_by_tolerance(new) {
            return passing;
        }
        // Two that are relative to the same moment have the order of their distances, whenever that is.
        let now = DateTime::<Utc>::default();
        let moment = Moment { now, window_end: Some(now), epoch: None, keys_epoch: None };
        let (old, new) = (self.at(&moment)?, new.at(&moment)?);
        let values = values(&[&old, &new])?;
        Some(passing(&values, |value| (old.holds(value), new.holds(value))))
    }

    /// Says whether both are relative to the same, or neither to anything.
    fn is_relative_alike(&self, new: &Self) -> bool {
        let kinds: BTreeSet<(bool, bool)> = self
            .literals()
            .chain(new.literals())
            .filter(|(_, literal)| literal.is_ordered() && !literal.is_number())
            .map(|(_, literal)| (literal.is_relative(), literal.needs_window()))
            .collect();
        kinds.len() < 2
    }

    /// Of ratios, the ends of the interval cannot be written down: two of them around one value are compared themselves.
    fn beside_by_tolerance(&self, new: &Self) -> Option<Option<Passing>> {
        let has_ratio = |limit: &Self| {
            limit.conditions.iter().any(|condition| {
                matches!(condition, Condition::Equals(_, tolerance) if tolerance.ratio.is_some())
            })
        };
        if !has_ratio(self) && !has_ratio(new) {
            return None;
        }
        let ([Condition::Equals(x, old)], [Condition::Equals(y, wide)]) =
            (self.conditions.as_slice(), new.conditions.as_slice())
        else {
            return Some(None);
        };
        if x != y {
            return Some(None);
        }
        let null = |grows: bool| grows.then(|| "NULL".to_owned());
        let said =
            |tolerance: &Tolerance| Condition::Equals(x.clone(), tolerance.clone()).to_string();
        let more = tolerance_grows(old, wide).then(|| said(wide));
        let less = tolerance_grows(wide, old).then(|| said(old));
        // Both ways at once: which of two tolerances is wider depends on the value.
        if more.is_some() && less.is_some() {
            return Some(None);
        }
        let more = more.or_else(|| null(new.nulls_allowed && !self.nulls_allowed));
        let less = less.or_else(|| null(self.nulls_allowed && !new.nulls_allowed));
        Some(Some(Passing { more, less, count: None }))
    }
}

impl RowLimit {
    /// Says what number of rows passes a new limit beside this one; nothing where that cannot be compared.
    pub(in crate::domain) fn beside(&self, new: &Self) -> Option<Passing> {
        let named = || self.0.literals().chain(new.0.literals());
        let largest = named().filter_map(|(_, literal)| literal.number()?.as_count()).max();
        let has_tolerance = |limit: &Self| {
            limit.0.conditions.iter().any(
                |condition| matches!(condition, Condition::Equals(_, t) if *t != Tolerance::default()),
            )
        };
        let is_wide = has_tolerance(self) || has_tolerance(new);
        let Some(largest) = largest.filter(|largest| *largest < ROWS_MAX && !is_wide) else {
            return self.0.beside(&new.0);
        };
        let counts: Vec<Value> =
            (0..=largest + 1).map(|rows| Value::Number(Number::from(rows))).collect();
        let both = |value: &Value| (self.0.holds(value), new.0.holds(value));
        let mut passing = passing(&counts, both);
        // What holds beyond all that is named holds for ever.
        let is_open = counts.last().map(both) == Some((false, true));
        let grown = counts.iter().filter(|value| both(value) == (false, true)).count();
        passing.count = (grown > 0 && !is_open).then_some(grown);
        Some(passing)
    }
}

fn tolerance_grows(old: &Tolerance, new: &Tolerance) -> bool {
    let zero = Number::from(0_u64);
    let of = |number: &Option<Number>| number.clone().unwrap_or_else(|| zero.clone());
    of(&new.absolute) > of(&old.absolute) || of(&new.ratio) > of(&old.ratio)
}

fn passing(values: &[Value], both: impl Fn(&Value) -> (bool, bool)) -> Passing {
    let find = |wanted: (bool, bool)| {
        let value = values.iter().find(|value| both(value) == wanted)?;
        Some(if let Value::Text(text) = value {
            format!("the text \"{text}\"")
        } else if let Value::Number(number) = value {
            number.normal()
        } else {
            value.to_string()
        })
    };
    Passing { more: find((false, true)), less: find((true, false)), count: None }
}

/// The values at which limits can differ; nothing where they cannot be written down.
fn values(limits: &[&Limit]) -> Option<Vec<Value>> {
    let literals: Vec<&Literal> =
        limits.iter().flat_map(|limit| limit.literals()).map(|(_, literal)| literal).collect();
    let mut all = Vec::new();
    for number in numbers(limits, &literals)? {
        all.push(Value::Number(number));
    }
    all.extend(literals.iter().flat_map(|literal| instants(literal)));
    let numbers: Vec<Value> = all.clone();
    all.extend([true, false].map(Value::Bool));
    all.push(Value::Null);
    // A text counts by its letters, or by what it reads as.
    let texts = literals.iter().map(|literal| literal.text().to_owned());
    let read = numbers.iter().map(ToString::to_string);
    let spelled = ["", "a text", "true", "True", "false", "1", "0"].map(str::to_owned);
    let texts: BTreeSet<String> = texts.chain(read).chain(spelled).collect();
    all.extend(texts.into_iter().map(Value::Text));
    Some(all)
}

/// Every number that a limit names, the ends of its tolerances, and what lies just beside and between them.
fn numbers(limits: &[&Limit], literals: &[&Literal]) -> Option<Vec<Number>> {
    let mut ends: Vec<Number> = vec![Number::from(0_u64), Number::from(1_u64)];
    ends.extend(literals.iter().filter_map(|literal| literal.number()).cloned());
    for condition in limits.iter().flat_map(|limit| &limit.conditions) {
        let Condition::Equals(literal, Tolerance { absolute: Some(by), .. }) = condition else {
            continue;
        };
        if let Some(number) = literal.number() {
            ends.extend([number.plus(by), number.minus(by)]);
        }
    }
    let digits: Vec<(i128, u8)> = ends.iter().map(Number::digits).collect::<Option<_>>()?;
    let scale = digits.iter().map(|(_, scale)| *scale).max().unwrap_or(0).checked_add(1)?;
    let wide = |(digits, own): &(i128, u8)| {
        digits.checked_mul(10_i128.checked_pow(u32::from(scale - own))?)
    };
    let wide: Vec<i128> = digits.iter().map(wide).collect::<Option<_>>()?;
    let mut all = Vec::new();
    // What is written first, as that is what a person reads.
    for beside in [0, -1, 1] {
        for digits in &wide {
            all.push(Number::scaled(digits.checked_add(beside)?, scale));
        }
    }
    Some(all)
}

/// A date or an instant that is named, and what lies just beside it: as dates, and as instants.
fn instants(literal: &Literal) -> Vec<Value> {
    let Some(at) = literal.instant() else { return Vec::new() };
    let step = TimeDelta::nanoseconds(1);
    let dates = [Some(at.date_naive()), at.date_naive().pred_opt(), at.date_naive().succ_opt()];
    let dates = dates.into_iter().flatten().map(Value::Date);
    [at - step, at, at + step].map(Value::Instant).into_iter().chain(dates).collect()
}
