//! `recheck`: at which ages a window that was proved is proved again.

use crate::domain::check::recheck::Recheck;
use crate::domain::time::duration;
use crate::manifest::document::{Document, Place};
use crate::manifest::part::required;
use crate::manifest::yaml::{Kind, Node};

/// The keys of `recheck`, where it is a map: nothing is proved again, and why.
pub(super) const RECHECK_KEYS: [&str; 2] = ["ages", "because"];
/// The one word for no age.
pub(super) const NO_AGES: [(&str, ()); 1] = [("none", ())];

/// Reads the ages, or the reason why there are none.
pub(super) fn recheck(doc: &mut Document<'_>, node: &Node, place: Place<'_>) -> Option<Recheck> {
    if let Kind::List(_) = node.kind {
        let mut ages = Vec::new();
        for (i, item) in doc.list(node, place)?.iter().enumerate() {
            ages.push(doc.parsed(item, Place::Item(&place, i), |text| {
                let age = duration::parse(text)?;
                let (least, most) = Recheck::AGES;
                if age < least || age > most {
                    let (least, most) = (duration::show(least), duration::show(most));
                    return Err(format!("this is {least} to {most}"));
                }
                Ok(age)
            })?);
        }
        return match Recheck::new(&ages) {
            Ok(recheck) => Some(recheck),
            Err(rule) => {
                doc.fault(node, place, rule, None);
                None
            }
        };
    }
    if let Kind::Text(text) = &node.kind {
        let message = format!("`{text}` is no list of ages");
        let hint = "write `recheck: [1d, 7d]`, or `recheck: {ages: none, because: …}`".to_owned();
        doc.fault(node, place, message, Some(hint));
        return None;
    }
    let map = doc.map(node, place, &RECHECK_KEYS)?;
    let ages = required(doc, &map, place, "ages")
        .and_then(|node| doc.word(node, Place::Key(&place, "ages"), &NO_AGES));
    let because = required(doc, &map, place, "because")
        .and_then(|node| doc.text(node, Place::Key(&place, "because")).map(drop));
    ages.and(because).map(|()| Recheck::default())
}
