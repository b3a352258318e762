//! The timing of a check, put together from its own words and its file's `defaults`.

use std::time::Duration;

use crate::domain::check::name::{CheckId, SourceName};
use crate::domain::check::recheck::Recheck;
use crate::domain::check::{Alert, CatchUp};
use crate::domain::sql::Engine;
use crate::domain::time::schedule::{Every, Except, Pause, Schedule};
use crate::domain::time::window::WindowRule;
use crate::manifest::World;
use crate::manifest::document::{Document, Map, Place};
use crate::manifest::part::DEFAULTS;
use crate::manifest::recheck::recheck;
use crate::manifest::timing;
use crate::manifest::window::window;

/// How often a check without a window looks, where it does not say.
const HOUR: Duration = Duration::from_secs(3600);

/// When a check looks, at which data, and by when.
#[derive(Debug)]
pub(super) struct Timing {
    pub(super) schedule: Schedule,
    pub(super) window: Option<WindowRule>,
    pub(super) result_by: Option<Duration>,
    pub(super) catch_up: CatchUp,
    pub(super) recheck: Recheck,
    pub(super) alert: Alert,
    pub(super) pause: Option<Pause>,
    pub(super) except: Option<Except>,
}

/// What is known of a check before its timing is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'c> {
    /// The file's `defaults`.
    pub(super) inherited: Option<&'c Map<'c>>,
    /// The check's id, from which its phase follows.
    pub(super) id: Option<&'c CheckId>,
    /// The source that it asks.
    pub(super) target: Option<&'c (SourceName, Engine)>,
    /// What it may name.
    pub(super) world: &'c World<'c>,
}

/// Reads when a check looks; what it does not say, `defaults` may.
pub(super) fn read(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
    context: &Context<'_>,
) -> Option<Timing> {
    let Context { inherited, id, target, world } = *context;
    let own = |key: &'static str| map.get(key).map(|node| (node, Place::Key(&place, key)));
    let at = |key: &'static str| {
        let from_defaults = || inherited.and_then(|map| map.get(key));
        own(key).or_else(|| from_defaults().map(|node| (node, Place::Key(&DEFAULTS, key))))
    };
    let window = present(at("window"), |(n, p)| window(doc, n, p, target, world));
    let known = window.as_ref().and_then(Option::as_ref);
    let schedule = present(at("schedule"), |(n, p)| timing::schedule(doc, n, p, id, known, world));
    let result_by = present(at("result_by"), |(n, p)| timing::result_by(doc, n, p));
    let catch_up = present(at("catch_up"), |(n, p)| timing::catch_up(doc, n, p));
    let again = present(at("recheck"), |(n, p)| recheck(doc, n, p));
    if let (Some((node, place)), Some(None)) = (own("recheck"), &window) {
        let message = "a check without a window looks at the present: nothing is proved again";
        doc.fault(node, place, message, Some("take `recheck` out".into()));
    }
    let alert = present(at("alert"), |(n, p)| timing::alert(doc, n, p));
    let pause = present(own("pause"), |(n, p)| timing::pause(doc, n, p));
    let except = present(own("except"), |(n, p)| timing::except(doc, n, p, known));
    let window = window?;
    let implied = || match (&window, id) {
        (Some(_), _) => Some(Schedule::WindowEnd),
        (None, Some(id)) => Every::new(HOUR, id).ok().map(Schedule::Every),
        (None, None) => None,
    };
    Some(Timing {
        schedule: schedule?.or_else(implied)?,
        result_by: result_by?,
        catch_up: catch_up?.unwrap_or_default(),
        recheck: again?.unwrap_or_else(|| Recheck::implied(window.as_ref())),
        alert: alert?.unwrap_or_default(),
        pause: pause?,
        except: except?,
        window,
    })
}

/// Reads a value that may be absent; the outer `None` is a fault.
fn present<T, N>(node: Option<N>, read: impl FnOnce(N) -> Option<T>) -> Option<Option<T>> {
    node.map_or(Some(None), |node| read(node).map(Some))
}

/// An SQLite file has no type for instants, so the settings have to say how it stores them.
pub(super) fn bindable(
    doc: &mut Document<'_>,
    map: &Map<'_>,
    place: Place<'_>,
    sources: &[&SourceName],
    timing: &Timing,
    world: &World<'_>,
) -> Option<()> {
    let unknown = sources.iter().find(|source| world.without_instants.contains(source));
    let (Some(source), Some(_)) = (unknown, &timing.window) else { return Some(()) };
    let message = format!("the settings do not say how `{source}` stores instants");
    let hint = "write `instants: sql` (or rfc3339, epoch_s, epoch_ms) for that source in \
                allswell.yaml";
    match map.get("window") {
        Some(node) => doc.fault(node, Place::Key(&place, "window"), message, Some(hint.into())),
        None => doc.fault(map.node, place, message, Some(hint.into())),
    }
    None
}
