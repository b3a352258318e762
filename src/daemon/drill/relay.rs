//! A relay before a scratch database that fails as networks do.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How a relay fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// It does not: what comes is passed on.
    Through,
    /// Nobody listens.
    Refuse,
    /// Connections are taken, and nothing is answered.
    Stall,
    /// Connections break off at the first word.
    Reset,
    /// Each word waits.
    Slow,
}

/// How long each word waits: longer than a statement of a drill may run.
const WAITS: Duration = Duration::from_secs(4);

/// Opens a relay to a server; returns its port.
pub(super) async fn open(
    to: (String, u16),
    mode: Mode,
    stop: CancellationToken,
    tasks: &mut JoinSet<()>,
) -> std::io::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    if mode == Mode::Refuse {
        return Ok(port);
    }
    tasks.spawn(async move {
        let mut passed = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Ok((stream, _)) = listener.accept() => {
                    passed.spawn(pass(stream, to.clone(), mode));
                }
                Some(_) = passed.join_next() => {}
            }
        }
    });
    Ok(port)
}

async fn pass(mut near: TcpStream, to: (String, u16), mode: Mode) {
    match mode {
        // Held until the drill ends: its end drops it.
        Mode::Stall => std::future::pending().await,
        Mode::Reset => {
            let mut word = [0; 1];
            drop(near.read(&mut word).await);
            // What was not read makes the kernel answer with a reset.
            drop(near);
        }
        Mode::Through | Mode::Slow | Mode::Refuse => {
            let Ok(mut far) = TcpStream::connect((to.0.as_str(), to.1)).await else { return };
            let wait = if mode == Mode::Slow { WAITS } else { Duration::ZERO };
            let (mut one, mut other) = (vec![0; 16 << 10], vec![0; 16 << 10]);
            loop {
                let is_passed = tokio::select! {
                    count = near.read(&mut one) => match count {
                        Ok(count) if count > 0 => far.write_all(&one[..count]).await.is_ok(),
                        Ok(_) | Err(_) => false,
                    },
                    count = far.read(&mut other) => match count {
                        Ok(count) if count > 0 => {
                            sleep(wait).await;
                            near.write_all(&other[..count]).await.is_ok()
                        }
                        Ok(_) | Err(_) => false,
                    },
                };
                if !is_passed {
                    return;
                }
            }
        }
    }
}
