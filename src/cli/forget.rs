//! `forget`: the values that findings of a check were kept with are cut from the ledger.

use serde_json::json;

use crate::cli::args::{ForgetArgs, Output};
use crate::cli::exit::Exit;
use crate::cli::order::user;
use crate::cli::remote::{Daemon, number};
use crate::cli::{complain, print};

pub(super) fn forget(args: &ForgetArgs) -> Exit {
    let Some(by) = args.by.clone().or_else(user) else {
        complain("allswell: say who wants it, with `--by`");
        return Exit::Invalid;
    };
    let body = json!({"check": args.check, "by": by, "because": args.because});
    let answer = Daemon::new(&args.remote).and_then(|daemon| daemon.post("/api/v1/forget", &body));
    match (answer, args.remote.output) {
        (Ok(answer), Output::Json) => print(&format!("{answer:#}\n")),
        (Ok(answer), Output::Text) => {
            let text = match number(&answer, "notes") {
                0 => "no values are kept of it\n".to_owned(),
                1 => "the values of 1 finding are forgotten; that it was violated is not. What it finds from now on is kept again, unless it has a `mask`\n"
                    .to_owned(),
                count => format!(
                    "the values of {count} findings are forgotten; that they were violated is not. What it finds from now on is kept again, unless it has a `mask`\n"
                ),
            };
            print(&text)
        }
        (Err(exit), _) => exit,
    }
}
