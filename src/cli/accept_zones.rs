//! `accept-zones`: the next list of zones is taken as it is, though many are gone.

use serde_json::json;

use crate::cli::args::{AcceptZonesArgs, Output};
use crate::cli::exit::Exit;
use crate::cli::order::user;
use crate::cli::remote::Daemon;
use crate::cli::{complain, print};

pub(super) fn accept_zones(args: &AcceptZonesArgs) -> Exit {
    let Some(by) = args.by.clone().or_else(user) else {
        complain("allswell: say who accepts it, with `--by`");
        return Exit::Invalid;
    };
    let body = json!({"check": args.check, "by": by, "because": args.because});
    let answer =
        Daemon::new(&args.remote).and_then(|daemon| daemon.post("/api/v1/accept-zones", &body));
    match (answer, args.remote.output) {
        (Ok(answer), Output::Json) => print(&format!("{answer:#}\n")),
        (Ok(_), Output::Text) => print(
            "the next list of zones is taken as it is, and read as soon as there is a place for it\n",
        ),
        (Err(exit), _) => exit,
    }
}
