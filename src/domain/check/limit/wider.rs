//! Limits that are a little wider than they were written: what a test has to notice.

use crate::domain::check::limit::rows::RowLimit;
use crate::domain::check::limit::{Condition, Limit, Tolerance};
use crate::domain::check::literal::Literal;
use crate::domain::check::number::Number;

impl Limit {
    /// The same limit, each a little wider in one place, with what was changed; narrower only where NULL is not allowed
    /// any more.
    pub(in crate::domain) fn wider(&self) -> Vec<(Self, String)> {
        let mut all = Vec::new();
        for (at, condition) in self.conditions.iter().enumerate() {
            for (wider, change) in condition.wider() {
                let mut limit = self.clone();
                limit.conditions[at] = wider;
                all.push((limit, change));
            }
        }
        if self.conditions.len() > 1 {
            for at in 0..self.conditions.len() {
                let mut limit = self.clone();
                let gone = limit.conditions.remove(at);
                all.push((limit, format!("`{}` → nothing", gone.in_words())));
            }
        }
        let limit = Self { nulls_allowed: !self.nulls_allowed, ..self.clone() };
        let change =
            if self.nulls_allowed { "`nulls: allowed` → none" } else { "→ `nulls: allowed`" };
        all.push((limit, change.to_owned()));
        all
    }
}

impl Limit {
    /// The texts that it names, that are no numbers, and one that it does not.
    pub(in crate::domain) fn texts(&self) -> Vec<String> {
        let texts = self.literals().filter(|(_, literal)| !literal.is_ordered());
        let mut all: Vec<String> = texts.map(|(_, literal)| literal.text().to_owned()).collect();
        if !all.is_empty() {
            all.push("other".to_owned());
        }
        all
    }

    /// The numbers that it names, and those beside them.
    pub(in crate::domain) fn numbers(&self) -> Vec<String> {
        let near = |literal: &Literal| {
            let beside = [false, true].map(|above| literal.near(above));
            let beside = beside.into_iter().flatten().map(|near| near.text().to_owned());
            literal.number().map(|_| beside.chain([literal.text().to_owned()]).collect::<Vec<_>>())
        };
        self.literals().filter_map(|(_, literal)| near(literal)).flatten().collect()
    }
}

impl RowLimit {
    /// The same limit, each a little wider in one place, with what was changed.
    pub(in crate::domain) fn wider(&self) -> Vec<(Self, String)> {
        let of_rows = |(limit, _): &(Limit, String)| !limit.nulls_allowed;
        let wider = self.0.wider().into_iter().filter(of_rows);
        wider.map(|(limit, change)| (Self(limit), change)).collect()
    }
}

impl Condition {
    fn wider(&self) -> Vec<(Self, String)> {
        let changed = |key: &str, from: &Literal, to: &Literal| {
            format!("`{key}: {}` → `{key}: {}`", from.text(), to.text())
        };
        match self {
            Self::Min(literal) => literal
                .near(false)
                .map(|near| (Self::Min(near.clone()), changed("min", literal, &near)))
                .into_iter()
                .collect(),
            Self::Max(literal) => literal
                .near(true)
                .map(|near| (Self::Max(near.clone()), changed("max", literal, &near)))
                .into_iter()
                .collect(),
            Self::Equals(literal, tolerance) => tolerance.wider(literal),
            Self::NotEquals(_) | Self::OneOf(_) => Vec::new(),
        }
    }

    fn in_words(&self) -> String {
        match self {
            Self::Equals(literal, _) => format!("equals: {}", literal.text()),
            Self::NotEquals(literal) => format!("not_equals: {}", literal.text()),
            Self::Min(literal) => format!("min: {}", literal.text()),
            Self::Max(literal) => format!("max: {}", literal.text()),
            Self::OneOf(_) => "one_of".to_owned(),
        }
    }
}

impl Tolerance {
    /// `equals` with a tolerance of one in the last digit below and above, or with ten times its own.
    fn wider(&self, literal: &Literal) -> Vec<(Condition, String)> {
        let Some(number) = literal.number() else { return Vec::new() };
        let equals = |tolerance| Condition::Equals(literal.clone(), tolerance);
        let ten = |number: &Number| {
            let (digits, scale) = number.digits()?;
            Some(Number::scaled(digits.checked_mul(10)?, scale))
        };
        if *self == Self::default() {
            let Some((_, scale)) = number.digits() else { return Vec::new() };
            let step = Number::scaled(1, scale);
            let change =
                format!("`equals: {0}` → {0} or {1} beside it", literal.text(), step.plain());
            return vec![(equals(Self { absolute: Some(step), ratio: None }), change)];
        }
        let absolute = self.absolute.as_ref().filter(|number| !number.is_zero()).and_then(ten);
        let ratio = self.ratio.as_ref().filter(|number| !number.is_zero()).and_then(ten);
        let mut all = Vec::new();
        if let Some(wide) = absolute {
            let change = format!("`tolerance` → {}", wide.plain());
            all.push((equals(Self { absolute: Some(wide), ..self.clone() }), change));
        }
        if let Some(wide) = ratio {
            let change = format!("`tolerance_ratio` → {}", wide.plain());
            all.push((equals(Self { ratio: Some(wide), ..self.clone() }), change));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::check::limit::LimitParts;

    #[test]
    fn each_part_of_a_limit_is_widened_by_its_least_step() {
        let none = LimitParts::default();
        for (parts, wanted) in [
            (LimitParts { min: Some("1"), ..none.clone() }, vec!["`min: 1` → `min: 0`"]),
            (LimitParts { max: Some("9.99"), ..none.clone() }, vec!["`max: 9.99` → `max: 10.00`"]),
            (
                LimitParts { min: Some("2020-01-01"), ..none.clone() },
                vec!["`min: 2020-01-01` → `min: 2019-12-31`"],
            ),
            (
                LimitParts { equals: Some("0"), ..none.clone() },
                vec!["`equals: 0` → 0 or 1 beside it"],
            ),
            (LimitParts { equals: Some("paid"), ..none.clone() }, vec![]),
            (
                LimitParts { equals: Some("5"), tolerance: Some("0.5"), ..none.clone() },
                vec!["`tolerance` → 5.0"],
            ),
            (
                LimitParts { min: Some("0"), max: Some("1"), ..none.clone() },
                vec![
                    "`min: 0` → `min: -1`",
                    "`max: 1` → `max: 2`",
                    "`min: 0` → nothing",
                    "`max: 1` → nothing",
                ],
            ),
        ] {
            let limit = Limit::new(&parts).unwrap();
            let mut seen: Vec<String> =
                limit.wider().into_iter().map(|(_, change)| change).collect();
            assert_eq!(seen.pop().as_deref(), Some("→ `nulls: allowed`"));
            assert_eq!(seen, wanted, "{parts:?}");
        }
    }
}
