//! Which names of zones may stand in a check.
//!
//! `Area/City` and `UTC`. A bare name like `CET` or `EST` means another thing to each program that
//! reads it (docs/internals/time.md, "Names that mean two things"), and the sign of `Etc/GMT+5` is the opposite of what it looks like.

use std::sync::Arc;

use jiff::tz::TimeZoneDatabase;

use crate::domain::check::nearest::nearest;
use crate::domain::time::zone::{Rules, ZoneName};
use crate::zones::Zones;

/// A zone that may stand in a check.
#[derive(Debug, Clone)]
pub struct Named {
    /// Its name, as it was written.
    pub name: ZoneName,
    /// Its rules.
    pub rules: Arc<Rules>,
    /// The present name, where the written one is an old one for it.
    pub present: Option<String>,
}

/// Why a name cannot stand in a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The reason.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

pub(super) fn named(zones: &Zones, text: &str) -> Result<Named, Refused> {
    let refused = |message: String, hint: String| Err(Refused { message, hint });
    let present = present_name(text);
    let instead = match &present {
        Some(name) if name.contains('/') || name == "UTC" => format!("write `{name}`"),
        Some(_) | None => "write `Area/City`, like `Europe/Berlin`, or `UTC`".to_owned(),
    };
    let etc = text.strip_prefix("Etc/GMT").filter(|rest| rest.len() > 1);
    if let Some(sign) = etc.and_then(|rest| rest.chars().next()).filter(|c| ['+', '-'].contains(c))
    {
        let side = if sign == '-' { "east" } else { "west" };
        return refused(
            format!(
                "`{text}` is {side} of Greenwich, the opposite of what its sign says elsewhere"
            ),
            "write the `Area/City` whose clocks are meant".into(),
        );
    }
    let rules = ZoneName::parse(text).ok().and_then(|name| Some((zones.rules(&name)?, name)));
    let Some((rules, name)) = rules else {
        if text.contains(['+', '-']) && text.bytes().any(|b| b.is_ascii_digit()) {
            return refused(
                format!("`{text}` is an offset, and an offset does not change with the clocks"),
                "write the `Area/City` whose clocks are meant, or `UTC`".into(),
            );
        }
        let hint = close_to(zones, text).map_or_else(
            || "write `Area/City`, like `Europe/Berlin`, or `UTC`".to_owned(),
            |name| format!("did you mean `{name}`?"),
        );
        return refused(format!("`{text}` is no zone that anybody knows"), hint);
    };
    if text == "UTC" {
        return Ok(Named { name, rules, present: None });
    }
    if !text.contains('/') || text.starts_with("Etc/") || text.starts_with("SystemV/") {
        let instead = match present {
            Some(name) if name == "UTC" => "write `UTC`".to_owned(),
            Some(name) if name.contains('/') => {
                format!("write the `Area/City` that is meant, like `{name}`")
            }
            Some(_) | None => instead,
        };
        return refused(
            format!("`{text}` is an abbreviation, and programs differ about its clock changes"),
            instead,
        );
    }
    if ["posix/", "right/", "posix", "right"].iter().any(|p| text.starts_with(p)) {
        return refused(format!("`{text}` is a file's name, not a zone's"), instead);
    }
    match zones.chosen().zones.get(text) {
        // The database finds names whatever their case; other programs do not.
        Ok(zone) if zone.iana_name().is_some_and(|n| n != text) => {
            let name = zone.iana_name().unwrap_or_default();
            refused(format!("`{text}` is spelt `{name}`"), format!("write `{name}`"))
        }
        Ok(_) | Err(_) => Ok(Named { name, rules, present: present.filter(|name| name != text) }),
    }
}

/// The present name of a zone, by ECMA-402: one for each country at least, so that
/// `Europe/Amsterdam` is no old name for `Europe/Brussels`.
fn present_name(text: &str) -> Option<String> {
    let zone = TimeZoneDatabase::bundled().get(text).ok()?;
    zone.primary_iana_name().map(str::to_owned)
}

/// Says whether a name is a present one, and no old name of another.
pub(super) fn is_primary(name: &str) -> bool {
    name.contains('/') && present_name(name).is_some_and(|present| present == name)
}

/// The name that was most likely meant: by its city where only that was written.
fn close_to(zones: &Zones, text: &str) -> Option<String> {
    let names = zones.chosen().names();
    let written = text.replace(' ', "_").to_lowercase();
    let city = |name: &str| name.rsplit('/').next().unwrap_or_default().to_lowercase();
    let same_city = names.iter().find(|n| n.as_str().contains('/') && city(n.as_str()) == written);
    if let Some(name) = same_city {
        return Some(name.to_string());
    }
    let cities =
        names.iter().map(ZoneName::as_str).filter(|n| n.contains('/') && !n.starts_with("Etc/"));
    nearest(text, cities).map(str::to_owned)
}
