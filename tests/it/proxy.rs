//! Somebody between a daemon and a server: cuts, delays, swallows and alters what goes through.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What is done with what goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// It goes through.
    Open,
    /// Every connection is closed, and no new one is let in.
    Cut,
    /// Of what the server answers, about one chunk in so many is altered.
    Garbled(u64),
    /// Each connection is closed after some answers, after four more than the one before.
    Longer,
}

/// A proxy in front of a port of this machine.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    way: Arc<Mutex<Way>>,
    /// How long each chunk is held, in each direction.
    delay: Duration,
    open: Arc<Mutex<Vec<TcpStream>>>,
    drawn: Arc<AtomicU64>,
    /// How many connections there were.
    pub(crate) joined: Arc<AtomicUsize>,
    /// How many chunks were altered.
    pub(crate) altered: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) fn before(port: u16, delay: Duration) -> Self {
        Self::among(vec![port], delay)
    }

    /// In front of several servers, which take turns.
    pub(crate) fn among(ports: Vec<u16>, delay: Duration) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let proxy = Self {
            port: socket.local_addr().unwrap().port(),
            way: Arc::new(Mutex::new(Way::Open)),
            delay,
            open: Arc::default(),
            drawn: Arc::new(AtomicU64::new(11)),
            joined: Arc::default(),
            altered: Arc::default(),
        };
        let served = proxy.clone();
        std::thread::spawn(move || {
            for client in socket.incoming().flatten() {
                if served.way() == Way::Cut {
                    continue;
                }
                let turn = served.joined.load(Ordering::Relaxed) % ports.len();
                let server = SocketAddr::from((Ipv4Addr::LOCALHOST, ports[turn]));
                let Ok(upstream) = TcpStream::connect(server) else { continue };
                served.joined.fetch_add(1, Ordering::Relaxed);
                served.join(&client, &upstream, false);
                served.join(&upstream, &client, true);
                served.open.lock().unwrap().extend([client, upstream]);
            }
        });
        proxy
    }

    fn way(&self) -> Way {
        *self.way.lock().unwrap()
    }

    pub(crate) fn set(&self, way: Way) {
        *self.way.lock().unwrap() = way;
        if way == Way::Cut {
            for stream in self.open.lock().unwrap().drain(..) {
                drop(stream.shutdown(Shutdown::Both));
            }
        }
    }

    fn draw(&self) -> u64 {
        let before = self.drawn.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (before ^ (before >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 27)
    }

    /// Passes on what comes from one side to the other, in order, each chunk as late as the others.
    fn join(&self, from: &TcpStream, to: &TcpStream, is_answer: bool) {
        let (sender, inbox) = std::sync::mpsc::channel::<(Instant, Vec<u8>)>();
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        drop(to.set_nodelay(true));
        let (reader, delay) = (self.clone(), self.delay);
        let most = self.joined.load(Ordering::Relaxed) * 4;
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            let mut answers = 0;
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                let mut chunk = buffer[..count].to_vec();
                if let (Way::Garbled(each), true) = (reader.way(), is_answer) {
                    reader.garble(&mut chunk, each);
                }
                answers += usize::from(is_answer);
                if reader.way() == Way::Longer && answers > most {
                    break;
                }
                if sender.send((Instant::now() + delay, chunk)).is_err() {
                    break;
                }
            }
        });
        std::thread::spawn(move || {
            for (due, chunk) in inbox {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                if to.write_all(&chunk).is_err() {
                    break;
                }
            }
            drop(to.shutdown(Shutdown::Both));
        });
    }

    fn garble(&self, chunk: &mut [u8], each: u64) {
        let drawn = self.draw();
        if !drawn.is_multiple_of(each) {
            return;
        }
        self.altered.fetch_add(1, Ordering::Relaxed);
        let length = u64::try_from(chunk.len()).unwrap();
        let place = usize::try_from((drawn >> 8) % length).unwrap();
        // Mostly the head of a message: its kind, its length.
        let place = if drawn & 0x40 == 0 { place.min(4) } else { place };
        chunk[place] = u8::try_from((drawn >> 40) & 0xff).unwrap();
    }
}
