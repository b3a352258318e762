//! Evidence and durations of the last attempts as a small line, with a text that says the same.

use std::fmt::Write as _;

use crate::domain::record::window_state::VerdictKind;
use crate::ledger::AttemptRow;

const WIDTH: u32 = 320;
const HEIGHT: u32 = 64;
const EDGE: f64 = 4.0;

/// A line of values over time.
pub(super) struct Graph {
    pub(super) words: String,
    /// The SVG: numbers of ours alone.
    pub(super) svg: String,
}

/// Draws both lines of a series, of attempts newest first; nothing where there are fewer than two.
pub(super) fn both(attempts: &[AttemptRow]) -> Vec<Graph> {
    let evidence = |attempt: &AttemptRow| attempt.evidence.map(of_count);
    let took = |attempt: &AttemptRow| Some(attempt.took.as_secs_f64() * 1e3);
    let lines =
        [draw("Evidence", "rows", attempts, &evidence), draw("Duration", "ms", attempts, &took)];
    lines.into_iter().flatten().collect()
}

#[expect(clippy::cast_precision_loss, reason = "a picture of 64 pixels shows six bits")]
fn of_count(count: u64) -> f64 {
    count as f64
}

fn draw(
    title: &str,
    unit: &str,
    attempts: &[AttemptRow],
    of: &dyn Fn(&AttemptRow) -> Option<f64>,
) -> Option<Graph> {
    let points: Vec<(f64, VerdictKind)> =
        attempts.iter().rev().filter_map(|attempt| Some((of(attempt)?, attempt.said))).collect();
    let (last, _) = *points.last()?;
    let top = points.iter().map(|(value, _)| *value).fold(0.0, f64::max);
    let least = points.iter().map(|(value, _)| *value).fold(f64::INFINITY, f64::min);
    if points.len() < 2 {
        return None;
    }
    let (width, height) = (f64::from(WIDTH) - 2.0 * EDGE, f64::from(HEIGHT) - 2.0 * EDGE);
    let steps = f64::from(u32::try_from(points.len() - 1).unwrap_or(u32::MAX));
    let place = |(at, (value, _)): (u32, &(f64, VerdictKind))| {
        let share = if top > 0.0 { value / top } else { 0.0 };
        (EDGE + width * f64::from(at) / steps, EDGE + height * (1.0 - share))
    };
    let places: Vec<(f64, f64)> = (0_u32..).zip(&points).map(place).collect();
    let line: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let number = |value: f64| {
        if value >= 10.0 || value.fract() == 0.0 {
            format!("{value:.0}")
        } else {
            format!("{value:.1}")
        }
    };
    let words = format!(
        "{title} of the last {} looks: between {} and {} {unit}, last {} {unit}",
        points.len(),
        number(least),
        number(top),
        number(last)
    );
    let mut svg = format!(
        "<svg role=\"img\" aria-label=\"{words}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\">\
         <polyline class=\"line\" points=\"{}\"/>",
        line.join(" ")
    );
    for ((x, y), (_, said)) in places.iter().zip(&points) {
        let class = match said {
            VerdictKind::Confirmed => continue,
            VerdictKind::Violated => "dot-violated",
            VerdictKind::Unconfirmed(_) => "dot-unconfirmed",
        };
        let _ = write!(svg, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
    }
    svg.push_str("</svg>");
    Some(Graph { words, svg })
}
