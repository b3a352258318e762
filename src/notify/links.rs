//! Where alerts lead to: the page of a check, of what is wrong with the daemon, and of the manual.

use crate::domain::alerting::alert::Labels;
use crate::domain::check::name::CheckId;

/// Where alerts lead to.
#[derive(Debug, Clone, Default)]
pub struct Links {
    url: Option<String>,
    has_pages: bool,
}

impl Links {
    /// Leads to this address, where one is known; to JSON where there are no pages.
    pub fn new(url: Option<String>, has_pages: bool) -> Self {
        Self { url, has_pages }
    }

    fn to(&self, page: impl FnOnce() -> String, json: impl FnOnce() -> String) -> Option<String> {
        let url = self.url.as_ref()?;
        Some(format!("{url}{}", if self.has_pages { page() } else { json() }))
    }

    /// What stands of a check.
    pub(super) fn check(&self, check: &CheckId) -> Option<String> {
        let json = || format!("/api/v1/checks/{check}/windows?open=true");
        self.to(|| format!("/checks/{check}"), json)
    }

    /// What is wrong with the daemon, or with what it stands on.
    pub(super) fn daemon(&self, labels: &Labels) -> Option<String> {
        let page = match labels.get("alertname") {
            "AllswellSourceDown" | "AllswellSourceMoved" => "/sources",
            "AllswellAlertPathBroken"
            | "AllswellAlertRefused"
            | "AllswellAlertUnheard"
            | "AllswellWebhookBroken"
            | "AllswellHeartbeatFails" => "/alerting",
            "AllswellCatalogueRefused" | "AllswellCatalogueWaits" => "/generations",
            _ => "/",
        };
        self.to(|| page.to_owned(), || "/api/v1/status".to_owned())
    }

    /// What the manual says of an alert.
    pub(super) fn manual(&self, alertname: &str) -> Option<String> {
        let url = self.url.as_ref().filter(|_| self.has_pages)?;
        Some(format!("{url}/docs/oncall#{}", alertname.to_ascii_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_lead_to_pages_where_there_are_some_and_nowhere_without_an_address() {
        let check = CheckId::parse("it").unwrap();
        let at = |has_pages| Links::new(Some("https://a.example".into()), has_pages);
        assert_eq!(at(true).check(&check).unwrap(), "https://a.example/checks/it");
        let json = "https://a.example/api/v1/checks/it/windows?open=true";
        assert_eq!(at(false).check(&check).unwrap(), json);
        let manual = "https://a.example/docs/oncall#allswellviolated";
        assert_eq!(at(true).manual("AllswellViolated").unwrap(), manual);
        assert_eq!(at(false).manual("AllswellViolated"), None);
        assert_eq!(Links::default().check(&check), None);
    }
}
