//! What a line of `SHOW GRANTS` allows beyond reading.

use crate::source::role::Powers;

/// Powers over the server and its files.
const REFUSED: [&str; 6] =
    ["ALL PRIVILEGES", "SUPER", "FILE", "SHUTDOWN", "SET USER", "SYSTEM_USER"];
/// How many privileges of one grant are named.
const NAMED: usize = 3;
/// What reads, or lets one see.
const READS: [&str; 11] = [
    "USAGE",
    "SELECT",
    "SHOW VIEW",
    "SHOW DATABASES",
    "SHOW CREATE ROUTINE",
    "SHOW_ROUTINE",
    "PROCESS",
    "EXECUTE",
    "REPLICATION CLIENT",
    "BINLOG MONITOR",
    "SLAVE MONITOR",
];

/// Adds what a line allows.
pub(in crate::source) fn add(grant: &str, powers: &mut Powers) {
    let Some((privileges, target)) = grant
        .strip_prefix("GRANT ")
        .and_then(|grant| grant.split_once(" TO ")?.0.rsplit_once(" ON "))
    else {
        // A role, whose own grants are read by themselves.
        return;
    };
    let mut needless = Vec::new();
    powers.sees_others |= target == "*.*"
        && split(privileges).any(|name| ["PROCESS", "ALL PRIVILEGES"].contains(&name));
    for privilege in split(privileges) {
        // With the columns that it is for.
        let name = privilege.split(" (").next().unwrap_or(privilege);
        if target == "*.*" && REFUSED.contains(&name) {
            powers.refused.push(name.to_owned());
        } else if !READS.contains(&name) {
            needless.push(name);
        }
    }
    if grant.contains(" WITH GRANT OPTION") {
        needless.push("GRANT OPTION");
    }
    if !needless.is_empty() {
        let more = if needless.len() > NAMED { ", …" } else { "" };
        needless.truncate(NAMED);
        powers.needless.push(format!("{}{more} on {target}", needless.join(", ")));
    }
}

/// Splits at the commas that stand in no parentheses.
fn split(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_u32;
    list.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_may_do_beyond_reading_is_seen() {
        for (grant, refused, needless) in [
            ("GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD 'x'", "", ""),
            ("GRANT SELECT, SHOW VIEW ON `w`.* TO `u`@`%`", "", ""),
            ("GRANT SELECT (`a`, `b`) ON `w`.`t` TO `u`@`%`", "", ""),
            (
                "GRANT SELECT, INSERT (`a`, `b`), UPDATE ON `w`.`t` TO `u`@`%`",
                "",
                "INSERT, UPDATE on `w`.`t`",
            ),
            ("GRANT ALL PRIVILEGES ON `w`.* TO `u`@`%`", "", "ALL PRIVILEGES on `w`.*"),
            ("GRANT SELECT ON `w`.* TO `u`@`%` WITH GRANT OPTION", "", "GRANT OPTION on `w`.*"),
            ("GRANT SELECT, RELOAD, SUPER ON *.* TO `u`@`%`", "SUPER", "RELOAD on *.*"),
            ("GRANT `readers` TO `u`@`%`", "", ""),
        ] {
            let mut powers = Powers::default();
            add(grant, &mut powers);
            assert_eq!(
                (powers.refused.join(","), powers.needless.join(",")),
                (refused.into(), needless.into()),
                "{grant}"
            );
        }
    }
}
