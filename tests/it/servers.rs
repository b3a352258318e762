//! Real servers as child processes: on free ports, in folders of their own, gone with the test.
//!
//! Every child is started by one thread that lives as long as the process, and asks the kernel to be
//! killed when that thread dies: nothing outlives the tests, however they end.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

/// How long a server may take to start.
const START: Duration = Duration::from_secs(60);

/// A folder that is removed with its owner.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(what: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("allswell-{what}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A child process that is killed with its owner.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    fn spawn(command: Command) -> Self {
        type Order = (Command, mpsc::Sender<std::io::Result<Child>>);
        static SPAWNER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
        let spawner = SPAWNER.get_or_init(|| {
            let (orders, inbox) = mpsc::channel::<Order>();
            std::thread::spawn(move || {
                for (mut command, reply) in inbox {
                    drop(reply.send(command.spawn()));
                }
            });
            orders
        });
        let (reply, spawned) = mpsc::channel();
        spawner.send((command, reply)).unwrap();
        Self(spawned.recv().unwrap().expect("setpriv (util-linux) starts the servers"))
    }

    pub(crate) fn signal(&self, signal: &str) {
        signal_tree(self.0.id(), signal);
    }

    /// Starts a program that dies with us, as who we are.
    pub(crate) fn start(program: &Path, prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).stdin(Stdio::null());
        prepare(&mut command);
        Self::spawn(command)
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits for its end, and says how it ended; nothing where it does not end in time.
    pub(crate) fn wait(&mut self, within: Duration) -> Option<std::process::ExitStatus> {
        let started = Instant::now();
        while started.elapsed() < within {
            if let Ok(Some(status)) = self.0.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A frozen process does not die of anything but KILL, and its children not at all.
        self.signal("CONT");
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Sends a signal to a process and all its descendants.
pub(crate) fn signal_tree(pid: u32, signal: &str) {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    for child in children.unwrap_or_default().split_whitespace() {
        signal_tree(child.parse().unwrap(), signal);
    }
    drop(Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).output());
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim() == "0"
}

/// A command that dies with us, and runs as `user` where we are root: servers refuse root.
/// Its temporary files go to its own folder.
fn as_user(user: &str, program: &Path, folder: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if is_root() {
        command.args(["--reuid", user, "--regid", user, "--clear-groups"]);
    }
    command.arg("--").arg(program).stdin(Stdio::null()).env("TMPDIR", folder);
    command
}

/// Waits until no process works in a folder any more: the children of a server that was killed
/// outlive it for a moment, and hold what the next one needs.
fn wait_until_left(folder: &Path) {
    let started = Instant::now();
    let works_there = || {
        let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        processes
            .filter_map(|process| fs::read_link(process.path().join("cwd")).ok())
            .any(|cwd| cwd == folder)
    };
    while works_there() {
        assert!(started.elapsed() < START, "somebody still works in {}", folder.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn give_to(user: &str, path: &Path) {
    if is_root() {
        let id = |flag: &str| {
            let output = Command::new("id").args([flag, user]).output().unwrap();
            String::from_utf8_lossy(&output.stdout).trim().parse::<u32>().unwrap()
        };
        chown(path, Some(id("-u")), Some(id("-g"))).unwrap();
    }
}

pub(crate) fn program(name: &str, folders: &[&str]) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = folders.iter().copied().chain(path.split(':')).map(|f| Path::new(f).join(name));
    found
        .into_iter()
        .find(|p| p.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed: start the tests with tests/run"))
}

/// Where the programs of PostgreSQL are: what `ALLSWELL_POSTGRES` says, or what is installed.
pub(crate) fn postgres_folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("ALLSWELL_POSTGRES") {
        return folder.into();
    }
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.filter_map(|e| Some(e.ok()?.path().join("bin"))).collect())
        .unwrap_or_default();
    versions.sort();
    versions.pop().unwrap_or_else(|| PathBuf::from("/usr/local/bin"))
}

/// The release of PostgreSQL that is tried.
pub(crate) fn postgres_major() -> u32 {
    let postgres = program("postgres", &[postgres_folder().to_str().unwrap()]);
    let output = Command::new(postgres).arg("--version").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let number = said.split(' ').nth(2).unwrap();
    number.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

fn run(mut command: Command, what: &str) {
    let output = command.output().unwrap_or_else(|e| panic!("{what}: {e}"));
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) fn openssl(folder: &Path, args: &str) {
    let mut command = Command::new("openssl");
    command.current_dir(folder).args(args.split(' ')).stdin(Stdio::null());
    run(command, "openssl");
}

/// Makes an authority in a folder: `ca.pem`.
pub(crate) fn authority(folder: &Path) {
    openssl(
        folder,
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca",
    );
}

/// Has the authority in a folder sign a certificate for a host, and for no other: `NAME.key`, `NAME.crt`.
pub(crate) fn signed(folder: &Path, name: &str, host: &str) {
    openssl(
        folder,
        &format!("req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={host}"),
    );
    fs::write(folder.join("names"), format!("subjectAltName=DNS:{host}\n")).unwrap();
    openssl(
        folder,
        &format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out {name}.crt"
        ),
    );
}

fn log(folder: &Path) -> fs::File {
    fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap()
}

/// Waits until the port answers; says what the server's log says if it never does.
fn wait_for(process: &mut Process, port: u16, folder: &Path, ready: impl Fn(&str) -> bool) {
    let started = Instant::now();
    loop {
        let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
        if ready(&log) && TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return;
        }
        assert!(process.is_running() && started.elapsed() < START, "no server: {log}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A PostgreSQL server.
#[derive(Debug)]
pub(crate) struct Postgres {
    process: Option<Process>,
    pub(crate) port: u16,
    folder: Folder,
}

impl Postgres {
    /// The server that tests share, each in databases of its own.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A copy of this server as it is now, which follows `upstream`, or nobody.
    pub(crate) fn copy(&self, upstream: Option<&Self>) -> Self {
        let folder = Folder::new("postgres");
        give_to("postgres", folder.path());
        let data = folder.path().join("data");
        let mut backup = as_user(
            "postgres",
            &program("pg_basebackup", &[postgres_folder().to_str().unwrap()]),
            folder.path(),
        );
        backup.args(["-D", data.to_str().unwrap(), "-U", "postgres", "-h", "127.0.0.1"]);
        backup.args(["-p", &self.port.to_string(), "-c", "fast", "-X", "stream", "--no-sync"]);
        run(backup, "pg_basebackup");
        let mut settings =
            fs::OpenOptions::new().append(true).open(data.join("postgresql.auto.conf")).unwrap();
        writeln!(settings, "wal_receiver_status_interval = 1").unwrap();
        writeln!(settings, "wal_retrieve_retry_interval = 200").unwrap();
        if let Some(upstream) = upstream {
            let conninfo = format!("host=127.0.0.1 port={} user=postgres", upstream.port);
            writeln!(settings, "primary_conninfo = '{conninfo}'").unwrap();
        } else {
            writeln!(settings, "restore_command = 'false'").unwrap();
        }
        drop(settings);
        fs::write(data.join("standby.signal"), "").unwrap();
        give_to("postgres", &data.join("standby.signal"));
        let mut server = Self { process: None, port: free_port(), folder };
        server.restart();
        server
    }

    /// A server of the test's own, which it may hurt.
    pub(crate) fn start() -> Self {
        let folder = Folder::new("postgres");
        give_to("postgres", folder.path());
        let data = folder.path().join("data");
        let mut initdb = as_user(
            "postgres",
            &program("initdb", &[postgres_folder().to_str().unwrap()]),
            folder.path(),
        );
        initdb.args(["-D", data.to_str().unwrap(), "-U", "postgres", "-A", "trust"]);
        initdb.args(["--no-sync", "-E", "UTF8", "--locale=C"]);
        run(initdb, "initdb");
        // Passwords are asked from those whom the tests watch with.
        let hba = "local all all trust\nhost all postgres 127.0.0.1/32 trust\n\
                   host replication postgres 127.0.0.1/32 trust\n\
                   host all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(data.join("pg_hba.conf"), hba).unwrap();
        let mut server = Self { process: None, port: free_port(), folder };
        server.restart();
        server
    }

    /// A server that lets watchers in by TLS only, and the certificate of who signed its own: for
    /// `localhost`, and for no other name.
    pub(crate) fn start_with_tls() -> (Self, PathBuf) {
        let mut server = Self::start();
        let folder = server.folder.path().to_owned();
        let data = folder.join("data");
        authority(&folder);
        signed(&folder, "server", "localhost");
        for suffix in ["key", "crt"] {
            let name = format!("server.{suffix}");
            fs::rename(folder.join(&name), data.join(&name)).unwrap();
        }
        for file in ["server.key", "server.crt"] {
            give_to("postgres", &data.join(file));
            fs::set_permissions(data.join(file), fs::Permissions::from_mode(0o600)).unwrap();
        }
        let hba = "local all all trust\nhost all postgres 127.0.0.1/32 trust\n\
                   hostssl all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(data.join("pg_hba.conf"), hba).unwrap();
        let mut settings = fs::OpenOptions::new().append(true).open(data.join("postgresql.conf"));
        writeln!(settings.as_mut().unwrap(), "ssl = on").unwrap();
        server.restart();
        (server, folder.join("ca.pem"))
    }

    /// Has the server show another certificate: `NAME.crt`, with the key `NAME.key`.
    pub(crate) fn show_certificate(&mut self, folder: &Path, name: &str) {
        let data = self.folder.path().join("data");
        for suffix in ["key", "crt"] {
            let to = data.join(format!("server.{suffix}"));
            drop(fs::remove_file(&to));
            fs::copy(folder.join(format!("{name}.{suffix}")), &to).unwrap();
            give_to("postgres", &to);
            fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).unwrap();
        }
        self.restart();
    }

    /// Has the server believe what an authority signed about who its clients are, and nothing else.
    pub(crate) fn ask_for_certificates(&mut self, authority: &Path) {
        let data = self.folder.path().join("data");
        let mut settings =
            fs::OpenOptions::new().append(true).open(data.join("postgresql.conf")).unwrap();
        writeln!(settings, "ssl_ca_file = '{}'", authority.display()).unwrap();
        let hba = "local all all trust\nhost all postgres 127.0.0.1/32 trust\n\
                   hostssl all all 127.0.0.1/32 cert\n";
        fs::write(data.join("pg_hba.conf"), hba).unwrap();
        self.restart();
    }

    /// Starts the server, again if it ran before.
    pub(crate) fn restart(&mut self) {
        self.process = None;
        let folder = self.folder.path();
        let data = folder.join("data");
        wait_until_left(&data);
        drop(fs::remove_file(data.join("postmaster.pid")));
        drop(fs::remove_file(folder.join("log")));
        let mut command = as_user(
            "postgres",
            &program("postgres", &[postgres_folder().to_str().unwrap()]),
            folder,
        );
        command.args(["-D", data.to_str().unwrap(), "-p", &self.port.to_string()]);
        command.args(["-k", folder.to_str().unwrap(), "-h", "127.0.0.1"]);
        // PostgreSQL 12 and 13 keep passwords in another form by themselves.
        let settings = [
            "fsync=off",
            "max_connections=300",
            "max_prepared_transactions=5",
            "password_encryption=scram-sha-256",
        ];
        for setting in settings {
            command.args(["-c", setting]);
        }
        command.stdout(log(folder)).stderr(log(folder));
        let mut process = Process::spawn(command);
        wait_for(&mut process, self.port, folder, |log| log.contains("ready to accept"));
        self.process = Some(process);
    }

    /// Has another server's data at this one's address: restored, or made anew.
    pub(crate) fn becomes(&mut self, mut other: Self) {
        self.kill();
        other.kill();
        std::mem::swap(&mut self.folder, &mut other.folder);
        self.restart();
    }

    /// Kills the server.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Stops or continues the server and every one of its sessions.
    pub(crate) fn signal(&self, signal: &str) {
        self.process.as_ref().unwrap().signal(signal);
    }
}

/// The MySQL that takes the place of MariaDB.
pub(crate) fn mysqld() -> Option<PathBuf> {
    std::env::var_os("ALLSWELL_MYSQL").map(PathBuf::from)
}

/// A MariaDB server, or the MySQL whose `mysqld` `ALLSWELL_MYSQL` names.
#[derive(Debug)]
pub(crate) struct MariaDb {
    process: Option<Process>,
    pub(crate) port: u16,
    folder: Folder,
}

impl MariaDb {
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<MariaDb> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    pub(crate) fn start() -> Self {
        let folder = Folder::new("mariadb");
        let user = if is_root() { "mysql" } else { "" };
        if is_root() {
            give_to(user, folder.path());
        }
        let data = format!("--datadir={}", folder.path().join("data").display());
        if let Some(mysqld) = mysqld() {
            let mut install = as_user(user, &mysqld, folder.path());
            install.args(["--no-defaults", "--initialize-insecure", &data]);
            run(install, "mysqld --initialize-insecure");
        } else {
            let mut install =
                as_user(user, &program("mariadb-install-db", &["/usr/bin"]), folder.path());
            install.args(["--no-defaults", &data, "--skip-log-bin"]);
            install.args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
            run(install, "mariadb-install-db");
        }
        let mut server = Self { process: None, port: free_port(), folder };
        server.restart();
        server
    }

    /// A server that says of itself that it is another one.
    pub(crate) fn start_as(version: &str) -> Self {
        let mut server = Self::start();
        server.restart_with(&[&format!("--version={version}")]);
        server
    }

    pub(crate) fn restart(&mut self) {
        self.restart_with(&[]);
    }

    fn restart_with(&mut self, more: &[&str]) {
        self.process = None;
        let folder = self.folder.path();
        drop(fs::remove_file(folder.join("log")));
        let user = if is_root() { "mysql" } else { "" };
        let server =
            mysqld().unwrap_or_else(|| program("mariadbd", &["/usr/sbin", "/usr/libexec"]));
        let mut command = as_user(user, &server, folder);
        command.arg("--no-defaults");
        for (name, value) in [
            ("datadir", folder.join("data").display().to_string()),
            ("socket", folder.join("socket").display().to_string()),
            ("pid-file", folder.join("pid").display().to_string()),
            ("port", self.port.to_string()),
            ("bind-address", "127.0.0.1".into()),
            ("innodb-flush-log-at-trx-commit", "2".into()),
            ("innodb-buffer-pool-size", "64M".into()),
            ("max-connections", "300".into()),
            ("secure-file-priv", String::new()),
        ] {
            command.arg(format!("--{name}={value}"));
        }
        command.args(more);
        command.stdout(log(folder)).stderr(log(folder));
        let mut process = Process::spawn(command);
        wait_for(&mut process, self.port, folder, |log| log.contains("ready for connections"));
        self.process = Some(process);
    }

    pub(crate) fn signal(&self, signal: &str) {
        self.process.as_ref().unwrap().signal(signal);
    }
}

/// A PgBouncer in transaction mode before a PostgreSQL server.
#[derive(Debug)]
pub(crate) struct PgBouncer {
    _process: Process,
    pub(crate) port: u16,
    _folder: Folder,
}

impl PgBouncer {
    /// Pools `pool` connections per database and user, who need no password here.
    pub(crate) fn before(server: &Postgres, users: &[&str], pool: u16) -> Self {
        Self::before_port(server.port, users, pool)
    }

    /// The same before whatever answers at a port; its connections take turns.
    pub(crate) fn before_port(server: u16, users: &[&str], pool: u16) -> Self {
        let folder = Folder::new("pgbouncer");
        give_to("postgres", folder.path());
        let port = free_port();
        let mut list = fs::File::create(folder.path().join("users")).unwrap();
        for user in users {
            writeln!(list, "\"{user}\" \"watch\"").unwrap();
        }
        let config = format!(
            "[databases]\n* = host=127.0.0.1 port={server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = scram-sha-256\n\
             auth_file = {}/users\npool_mode = transaction\ndefault_pool_size = {pool}\n\
             server_round_robin = 1\n",
            folder.path().display(),
        );
        let path = folder.path().join("pgbouncer.ini");
        fs::write(&path, config).unwrap();
        let mut command = as_user("postgres", &program("pgbouncer", &["/usr/sbin"]), folder.path());
        command.arg(&path).stdout(log(folder.path())).stderr(log(folder.path()));
        let mut process = Process::spawn(command);
        wait_for(&mut process, port, folder.path(), |_| true);
        Self { _process: process, port, _folder: folder }
    }
}
