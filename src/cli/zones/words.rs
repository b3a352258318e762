//! The report about zones, as text and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cli::paint::Paint;
use crate::cli::windows::shown;
use crate::cli::zones::{Report, Users};
use crate::domain::time::zone::ZoneName;
use crate::zones::{self as rules};

impl Report<'_> {
    /// The checks that a zone touches.
    pub(super) fn touched(users: &Users, name: &ZoneName) -> String {
        let checks = users.get(name).into_iter().flatten().map(String::as_str);
        checks.collect::<Vec<_>>().join(", ")
    }

    pub(super) fn text(&self, users: &Users) -> String {
        let paint = Paint::of_stdout();
        let mut text = String::from("rules of time zones\n");
        for database in self.zones.databases() {
            let used = database.origin == self.zones.chosen().origin;
            let release = database.release.as_ref().map_or("?".to_owned(), ToString::to_string);
            let fit = match (&database.unfit, used) {
                (_, true) => paint.green("used"),
                (Some(why), false) => format!("not used: {why}"),
                (None, false) => "not used: not newer".to_owned(),
            };
            let origin = database.origin.to_string();
            let _ = writeln!(text, "  {release:<6}  {origin:<28}  {fit}");
        }
        let witness = rules::witness_release();
        let _ = writeln!(
            text,
            "  {witness:<6}  {:<28}  a witness: many services compute with it",
            "chrono-tz"
        );
        let _ = writeln!(text, "\nzones in use: {}", users.len());
        for (name, checks) in users {
            let count = checks.len();
            let noun = if count == 1 { "check" } else { "checks" };
            let _ = writeln!(text, "  {name:<28}  {count} {noun}");
            for (who, _, at) in self.witnesses.iter().filter(|(_, zone, _)| zone == name) {
                let _ = writeln!(
                    text,
                    "    {}, which touches {}",
                    paint.yellow(&format!("{who} differs from {} on", shown(*at))),
                    Self::touched(users, name)
                );
            }
        }
        if !self.asked.is_empty() {
            text.push_str("\nsources\n");
        }
        for asked in &self.asked {
            let _ = writeln!(text, "  {} ({}) {}", asked.source, asked.engine, asked.said);
            for (name, at) in &asked.differs {
                let differs = format!("{name} differs from {} on", shown(*at));
                let touched = Self::touched(users, name);
                let _ = writeln!(text, "    {}, which touches {touched}", paint.red(&differs));
            }
            for name in &asked.unknown {
                let touched = Self::touched(users, name);
                let unknown = paint.red(&format!("{name} is not known there"));
                let _ = writeln!(text, "    {unknown}, which touches {touched}");
            }
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "\n{} {warning}", paint.yellow("warning:"));
        }
        text
    }

    pub(super) fn json(&self, users: &Users) -> Value {
        let databases = self.zones.databases().iter().map(|d| {
            json!({
                "origin": d.origin.to_string(),
                "release": d.release.as_ref().map(ToString::to_string),
                "used": d.origin == self.zones.chosen().origin,
                "unfit": d.unfit,
            })
        });
        let zones = users.iter().map(|(name, checks)| {
            let differs = self.witnesses.iter().filter(|(_, zone, _)| zone == name);
            let differs = differs.map(|(who, _, at)| json!({"who": who, "from": shown(*at)}));
            json!({"zone": name.as_str(), "checks": checks, "differs": differs.collect::<Vec<_>>()})
        });
        let sources = self.asked.iter().map(|asked| {
            let differs = asked.differs.iter();
            let differs = differs.map(|(z, at)| json!({"zone": z.as_str(), "from": shown(*at)}));
            let unknown = asked.unknown.iter().map(ZoneName::as_str);
            json!({
                "source": asked.source,
                "engine": asked.engine.to_string(),
                "said": asked.said,
                "differs": differs.collect::<Vec<_>>(),
                "unknown": unknown.collect::<Vec<_>>(),
            })
        });
        json!({
            "format": 1,
            "databases": databases.collect::<Vec<_>>(),
            "witness": {"origin": "chrono-tz", "release": rules::witness_release()},
            "zones": zones.collect::<Vec<_>>(),
            "sources": sources.collect::<Vec<_>>(),
            "warnings": self.warnings,
        })
    }
}
