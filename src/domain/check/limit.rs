//! Limits: what a value must satisfy.
//!
//! A limit is text, read by the type of the value that it meets. A limit that contradicts itself or
//! that nothing could break is a fault when it is written, not a surprise when it is needed.

pub mod compare;
pub mod rows;
mod lenient;
mod shown;
mod wider;

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::domain::check::literal::{Literal, NotALiteral};
use crate::domain::check::number::Number;
use crate::domain::check::observation::Moment;
use crate::domain::check::value::Value;
use crate::domain::sql::parameter::Parameter;

/// What a value must satisfy; proven to be satisfiable and breakable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    conditions: Vec<Condition>,
    nulls_allowed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    Equals(Literal, Tolerance),
    NotEquals(Literal),
    Min(Literal),
    Max(Literal),
    OneOf(Vec<Literal>),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Tolerance {
    absolute: Option<Number>,
    ratio: Option<Number>,
}

/// The parts of a limit as they were written.
#[derive(Debug, Clone, Default)]
pub struct LimitParts<'a> {
    /// `equals`
    pub equals: Option<&'a str>,
    /// `not_equals`
    pub not_equals: Option<&'a str>,
    /// `min`
    pub min: Option<&'a str>,
    /// `max`
    pub max: Option<&'a str>,
    /// `one_of`
    pub one_of: Option<Vec<&'a str>>,
    /// `tolerance`
    pub tolerance: Option<&'a str>,
    /// `tolerance_ratio`
    pub tolerance_ratio: Option<&'a str>,
    /// `nulls: allowed`
    pub nulls_allowed: bool,
}

/// Why parts are no limit: the key to look at, the rule, and what to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitFault {
    /// The key at fault; empty for the limit as a whole.
    pub key: &'static str,
    /// The rule that is broken.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl LimitFault {
    fn new(key: &'static str, message: impl Into<String>, hint: &str) -> Self {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        Self { key, message: message.into(), hint }
    }
}

impl Limit {
    /// Puts a limit together, or says why it is none.
    ///
    /// # Errors
    /// A contradiction, a limit that cannot fail, or a text that no type can read.
    pub fn new(parts: &LimitParts<'_>) -> Result<Self, LimitFault> {
        let mut conditions = Vec::new();
        refuse_parameters(parts)?;
        let tolerance = tolerance(parts)?;
        if let Some(text) = parts.equals {
            let literal = literal("equals", Literal::read(text))?;
            if tolerance != Tolerance::default() && !literal.is_number() {
                return Err(LimitFault::new(
                    "equals",
                    "a tolerance needs a number to be near to",
                    "write a number, or remove the tolerance",
                ));
            }
            conditions.push(Condition::Equals(literal, tolerance));
        }
        if let Some(texts) = &parts.one_of {
            conditions.push(Condition::OneOf(choices(texts)?));
        }
        if let Some(text) = parts.not_equals {
            conditions.push(Condition::NotEquals(literal("not_equals", Literal::read(text))?));
        }
        if let Some(text) = parts.min {
            conditions.push(Condition::Min(literal("min", Literal::read_ordered(text))?));
        }
        if let Some(text) = parts.max {
            conditions.push(Condition::Max(literal("max", Literal::read_ordered(text))?));
        }
        let limit = Self { conditions, nulls_allowed: parts.nulls_allowed };
        limit.refuse_idle_parts()?;
        limit.refuse_empty_range()?;
        Ok(limit)
    }

    /// The same at a moment: `now - 2h` is an instant then. Nothing where that is none.
    pub(in crate::domain) fn at(&self, moment: &Moment) -> Option<Cow<'_, Self>> {
        if self.literals().all(|(_, literal)| !literal.is_relative()) {
            return Some(Cow::Borrowed(self));
        }
        let conditions = self.conditions.iter().map(|condition| {
            Some(match condition {
                Condition::Equals(literal, t) => Condition::Equals(literal.at(moment)?, t.clone()),
                Condition::NotEquals(literal) => Condition::NotEquals(literal.at(moment)?),
                Condition::Min(literal) => Condition::Min(literal.at(moment)?),
                Condition::Max(literal) => Condition::Max(literal.at(moment)?),
                Condition::OneOf(all) => {
                    Condition::OneOf(all.iter().map(|l| l.at(moment)).collect::<Option<_>>()?)
                }
            })
        });
        let conditions = conditions.collect::<Option<_>>()?;
        Some(Cow::Owned(Self { conditions, nulls_allowed: self.nulls_allowed }))
    }

    /// Says whether a part of it is relative to the end of a window.
    pub fn needs_window(&self) -> bool {
        self.literals().any(|(_, literal)| literal.needs_window())
    }

    /// Says whether it is about dates or instants.
    pub(in crate::domain) fn is_of_time(&self) -> bool {
        self.literals().any(|(_, literal)| literal.is_ordered() && !literal.is_number())
    }

    /// Says whether the value satisfies every condition.
    ///
    /// NULL satisfies a limit only under `nulls: allowed`; NaN, infinities, dates that no calendar
    /// has and values of another type satisfy none.
    pub fn holds(&self, value: &Value) -> bool {
        match value {
            Value::Null => self.nulls_allowed,
            Value::NonFinite(_) | Value::NoDate(_) => false,
            Value::Number(_)
            | Value::Text(_)
            | Value::Bool(_)
            | Value::Date(_)
            | Value::Instant(_) => self.conditions.iter().all(|c| c.holds(value)),
        }
    }

    /// Says whether it only says how large something may be.
    pub fn is_upper(&self) -> bool {
        self.conditions.iter().all(|condition| matches!(condition, Condition::Max(_)))
    }

    /// Says whether it only says how small something may be.
    pub fn is_lower(&self) -> bool {
        self.conditions.iter().all(|condition| matches!(condition, Condition::Min(_)))
    }

    /// Says whether NULL satisfies it.
    pub fn takes_null(&self) -> bool {
        self.nulls_allowed
    }

    /// Says whether only numbers, dates or instants can satisfy it.
    pub fn is_ordered(&self) -> bool {
        self.literals().all(|(_, literal)| literal.is_ordered())
    }

    /// Says whether the value is of a type that the limit can be read as.
    pub fn understands(&self, value: &Value) -> bool {
        self.conditions.iter().all(|c| match c {
            Condition::Min(literal) | Condition::Max(literal) => literal.against(value).is_some(),
            Condition::Equals(literal, _) | Condition::NotEquals(literal) => {
                literal.can_meet(value)
            }
            Condition::OneOf(all) => all.iter().any(|literal| literal.can_meet(value)),
        })
    }

    /// `equals` and `one_of` say everything by themselves.
    fn refuse_idle_parts(&self) -> Result<(), LimitFault> {
        if self.conditions.is_empty() {
            return Err(LimitFault::new(
                "",
                "a limit that says nothing cannot fail",
                "write one of `equals`, `not_equals`, `min`, `max`, `one_of`",
            ));
        }
        let complete = self.conditions.iter().find_map(|c| match c {
            Condition::Equals(..) => Some("equals"),
            Condition::OneOf(_) => Some("one_of"),
            Condition::NotEquals(_) | Condition::Min(_) | Condition::Max(_) => None,
        });
        match complete {
            Some(key) if self.conditions.len() > 1 => Err(LimitFault::new(
                key,
                format!(
                    "`{key}` leaves nothing to the other limits: they contradict it or say \
                         nothing"
                ),
                "keep one of them",
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn refuse_empty_range(&self) -> Result<(), LimitFault> {
        let (min, max) = (self.bound(true), self.bound(false));
        if let (Some(min), Some(max)) = (min, max) {
            match min.order(max) {
                None => {
                    return Err(LimitFault::new(
                        "max",
                        format!("`min` is {} and `max` is {}", min.kind(), max.kind()),
                        "write both as numbers, both as dates or both as instants",
                    ));
                }
                Some(Ordering::Greater) => {
                    return Err(LimitFault::new(
                        "min",
                        format!("no value is at least {} and at most {}", min.text(), max.text()),
                        "did you mean them the other way round?",
                    ));
                }
                Some(Ordering::Less | Ordering::Equal) => {}
            }
        }
        for condition in &self.conditions {
            let Condition::NotEquals(other) = condition else { continue };
            let cmp = |bound: Option<&Literal>| bound.and_then(|b| other.order(b));
            if (min.is_some() && cmp(min).is_none()) || (max.is_some() && cmp(max).is_none()) {
                return Err(LimitFault::new(
                    "not_equals",
                    format!("nothing that `min` or `max` can bound is ever {}", other.kind()),
                    "write all of them as numbers, as dates or as instants",
                ));
            }
            if cmp(min) == Some(Ordering::Less) || cmp(max) == Some(Ordering::Greater) {
                return Err(LimitFault::new(
                    "not_equals",
                    format!("`not_equals: {}` cannot fail inside `min` and `max`", other.text()),
                    "remove it",
                ));
            }
            if cmp(min) == Some(Ordering::Equal) && cmp(max) == Some(Ordering::Equal) {
                return Err(LimitFault::new(
                    "not_equals",
                    format!("the only value allowed, {}, is also forbidden", other.text()),
                    "",
                ));
            }
        }
        Ok(())
    }

    fn bound(&self, lower: bool) -> Option<&Literal> {
        self.conditions.iter().find_map(|c| match c {
            Condition::Min(l) if lower => Some(l),
            Condition::Max(l) if !lower => Some(l),
            Condition::Min(_)
            | Condition::Max(_)
            | Condition::Equals(..)
            | Condition::NotEquals(_)
            | Condition::OneOf(_) => None,
        })
    }

    fn literals(&self) -> impl Iterator<Item = (&'static str, &Literal)> {
        self.conditions.iter().flat_map(|c| match c {
            Condition::Equals(l, _) => vec![("equals", l)],
            Condition::NotEquals(l) => vec![("not_equals", l)],
            Condition::Min(l) => vec![("min", l)],
            Condition::Max(l) => vec![("max", l)],
            Condition::OneOf(all) => all.iter().map(|l| ("one_of", l)).collect(),
        })
    }
}

impl Condition {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Equals(literal, tolerance) => {
                literal.equals(value) || tolerance.covers(literal, value)
            }
            Self::NotEquals(literal) => literal.can_meet(value) && !literal.equals(value),
            Self::Min(literal) => {
                matches!(literal.against(value), Some(Ordering::Greater | Ordering::Equal))
            }
            Self::Max(literal) => {
                matches!(literal.against(value), Some(Ordering::Less | Ordering::Equal))
            }
            Self::OneOf(all) => all.iter().any(|literal| literal.equals(value)),
        }
    }
}

impl Tolerance {
    fn covers(&self, literal: &Literal, value: &Value) -> bool {
        let (Some(wanted), Value::Number(seen)) = (literal.number(), value) else { return false };
        self.absolute.as_ref().is_some_and(|t| seen.within(wanted, t))
            || self.ratio.as_ref().is_some_and(|r| seen.within_ratio(wanted, r))
    }
}

/// A limit is a value: a parameter stands in the SQL.
fn refuse_parameters(parts: &LimitParts<'_>) -> Result<(), LimitFault> {
    let one_of = parts.one_of.iter().flatten().map(|text| ("one_of", *text));
    let others = [("equals", parts.equals), ("not_equals", parts.not_equals)];
    let others = others.into_iter().filter_map(|(key, text)| Some((key, text?)));
    let is_parameter = |text: &str| text.strip_prefix(':').and_then(Parameter::of_name).is_some();
    match others.chain(one_of).find(|(_, text)| is_parameter(text)) {
        None => Ok(()),
        Some((key, text)) => Err(LimitFault::new(
            key,
            format!("a limit is a value, and `{text}` would be taken for a text"),
            "compare in the SQL, and limit what that says: `booked_on = :window_date as ok`, `ok: {equals: true}`",
        )),
    }
}

/// Names the key at fault.
fn literal(key: &'static str, read: Result<Literal, NotALiteral>) -> Result<Literal, LimitFault> {
    read.map_err(|not| LimitFault::new(key, not.message, not.hint))
}

fn choices<'a>(texts: &[&'a str]) -> Result<Vec<Literal>, LimitFault> {
    if texts.is_empty() {
        return Err(LimitFault::new(
            "one_of",
            "no value is one of nothing",
            "list what is allowed",
        ));
    }
    let mut seen: Vec<&'a str> = Vec::new();
    for text in texts {
        if seen.contains(text) {
            return Err(LimitFault::new("one_of", format!("`{text}` is listed twice"), ""));
        }
        seen.push(text);
    }
    texts.iter().map(|text| literal("one_of", Literal::read(text))).collect()
}

fn tolerance(parts: &LimitParts<'_>) -> Result<Tolerance, LimitFault> {
    let read = |key, text: Option<&str>| match text.map(Number::parse) {
        None => Ok(None),
        Some(Some(n)) if !n.is_negative() => Ok(Some(n)),
        Some(_) => Err(LimitFault::new(key, "a tolerance is a number from 0", "")),
    };
    let tolerance = Tolerance {
        absolute: read("tolerance", parts.tolerance)?,
        ratio: read("tolerance_ratio", parts.tolerance_ratio)?,
    };
    if parts.equals.is_none() && tolerance != Tolerance::default() {
        let key = if tolerance.absolute.is_some() { "tolerance" } else { "tolerance_ratio" };
        return Err(LimitFault::new(
            key,
            "a tolerance stands beside `equals`",
            "add `equals`, or widen `min` and `max` instead",
        ));
    }
    if tolerance.ratio.as_ref().is_some_and(|r| *r >= Number::from(1_u64)) {
        return Err(LimitFault::new(
            "tolerance_ratio",
            "a ratio of 1 or more lets everything pass",
            "1 % is 0.01",
        ));
    }
    Ok(tolerance)
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "tests build the parts in place")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::check::limit::rows::RowLimit;
    use crate::domain::check::value::{self, NonFinite};

    fn limit(parts: LimitParts<'_>) -> Result<Limit, LimitFault> {
        Limit::new(&parts)
    }

    fn number(text: &str) -> Value {
        Value::Number(Number::parse(text).unwrap())
    }

    #[test]
    fn values_meet_limits_by_their_own_type() {
        let min = limit(LimitParts { min: Some("2.5"), ..Default::default() }).unwrap();
        assert!(min.holds(&number("2.50")));
        assert!(!min.holds(&number("2.4999999999999999999999999")));
        assert!(!min.holds(&Value::Text("9".into())), "a text is no number");
        let after = limit(LimitParts { min: Some("2026-03-08"), ..Default::default() }).unwrap();
        assert!(after.holds(&Value::Date(value::date("2026-03-08").unwrap())));
        assert!(after.holds(&Value::Instant(value::instant("2026-03-08T00:00:00Z").unwrap())));
        assert!(after.holds(&Value::Text("2026-03-09".into())), "SQLite keeps dates as text");
        assert!(!after.holds(&Value::Text("later".into())));
        let open = limit(LimitParts { equals: Some("open"), ..Default::default() }).unwrap();
        assert!(open.holds(&Value::Text("open".into())));
        assert!(!open.holds(&number("1")));
        let yes = limit(LimitParts { equals: Some("true"), ..Default::default() }).unwrap();
        assert!(yes.holds(&Value::Bool(true)) && !yes.holds(&Value::Bool(false)));
    }

    #[test]
    fn what_is_not_a_value_satisfies_no_limit() {
        let limits = [
            LimitParts { not_equals: Some("5"), ..Default::default() },
            LimitParts { min: Some("-1e9"), ..Default::default() },
            LimitParts { max: Some("1e9"), ..Default::default() },
            LimitParts { not_equals: Some("x"), ..Default::default() },
            LimitParts { one_of: Some(vec!["0", "NULL"]), ..Default::default() },
        ];
        for parts in limits {
            let limit = limit(parts).unwrap();
            for value in [
                Value::Null,
                Value::NonFinite(NonFinite::NaN),
                Value::NonFinite(NonFinite::Infinity),
                Value::NonFinite(NonFinite::NegativeInfinity),
                Value::NoDate("0000-00-00".into()),
            ] {
                assert!(!limit.holds(&value), "{value} satisfied {limit}");
            }
        }
        let nulls = limit(LimitParts { min: Some("0"), nulls_allowed: true, ..Default::default() });
        assert!(nulls.unwrap().holds(&Value::Null));
    }

    #[test]
    fn limits_that_contradict_or_cannot_fail_are_refused() {
        let cases: Vec<(LimitParts<'_>, &str)> = vec![
            (LimitParts::default(), ""),
            (LimitParts { min: Some("5"), max: Some("4"), ..Default::default() }, "min"),
            (LimitParts { min: Some("5"), max: Some("2026-01-01"), ..Default::default() }, "max"),
            (LimitParts { equals: Some("5"), min: Some("1"), ..Default::default() }, "equals"),
            (LimitParts { one_of: Some(vec![]), ..Default::default() }, "one_of"),
            (LimitParts { one_of: Some(vec!["a", "a"]), ..Default::default() }, "one_of"),
            (LimitParts { min: Some("abc"), ..Default::default() }, "min"),
            (LimitParts { max: Some(".inf"), ..Default::default() }, "max"),
            (LimitParts { equals: Some("NaN"), ..Default::default() }, "equals"),
            (
                LimitParts { tolerance: Some("1"), min: Some("1"), ..Default::default() },
                "tolerance",
            ),
            (
                LimitParts { equals: Some("x"), tolerance: Some("1"), ..Default::default() },
                "equals",
            ),
            (
                LimitParts { equals: Some("1"), tolerance: Some("-1"), ..Default::default() },
                "tolerance",
            ),
            (
                LimitParts { equals: Some("1"), tolerance_ratio: Some("1"), ..Default::default() },
                "tolerance_ratio",
            ),
            (
                LimitParts { not_equals: Some("0"), min: Some("1"), ..Default::default() },
                "not_equals",
            ),
        ];
        for (parts, key) in cases {
            let shown = format!("{parts:?}");
            assert_eq!(limit(parts).expect_err(&shown).key, key, "{shown}");
        }
    }

    #[test]
    fn row_limits_are_counts_that_can_be_reached_and_missed() {
        let rows = |parts: LimitParts<'_>| RowLimit::new(&parts, 100);
        for parts in [
            LimitParts { min: Some("0"), ..Default::default() },
            LimitParts { equals: Some("-1"), ..Default::default() },
            LimitParts { equals: Some("0.5"), ..Default::default() },
            LimitParts { max: Some("101"), ..Default::default() },
            LimitParts { equals: Some("many"), ..Default::default() },
            LimitParts { equals: Some("1"), nulls_allowed: true, ..Default::default() },
        ] {
            assert!(rows(parts.clone()).is_err(), "{parts:?}");
        }
        let none = rows(LimitParts { equals: Some("0"), ..Default::default() }).unwrap();
        assert!(none.holds(0) && !none.holds(1) && none.is_past(1) && !none.is_past(0));
        let some = rows(LimitParts { min: Some("3"), ..Default::default() }).unwrap();
        assert!(!some.holds(2) && some.holds(3) && !some.is_past(1_000_000));
    }

    proptest! {
        #[test]
        fn min_and_max_agree_with_integer_order(min in -50_i64..50, width in 0_i64..50, v in -120_i64..120) {
            let (low, high) = (min.to_string(), (min + width).to_string());
            let limit = limit(LimitParts { min: Some(&low), max: Some(&high), ..Default::default() }).unwrap();
            prop_assert_eq!(limit.holds(&Value::Number(Number::from(v))), (min..=min + width).contains(&v));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}", other in "[-+.0-9eEinfa]{0,12}") {
            for t in [&text, &other] {
                let _ = limit(LimitParts { equals: Some(t), ..Default::default() }).is_ok();
                let _ = limit(LimitParts { min: Some(t), ..Default::default() }).is_ok();
                let _ = limit(LimitParts { equals: Some("1"), tolerance: Some(t), ..Default::default() }).is_ok();
            }
        }
    }
}
