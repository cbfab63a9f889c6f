//! A pgbouncer before the test server.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Names the program, which must run then. Without it a machine that has none says so.
const PROGRAM: &str = "DOCJOBS_TEST_PGBOUNCER";

/// Ends with the test.
pub(crate) struct Pooler {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(PROGRAM) {
        return Some(named.into());
    }
    let known = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"];
    let found = known.iter().map(PathBuf::from).find(|path| path.exists());
    if found.is_none() {
        println!("skipped: no pgbouncer here; `apt-get install pgbouncer` brings one");
    }
    found
}

impl Pooler {
    /// `server` is the address of a database, whose host and port are taken.
    pub(crate) fn start(server: &str, mode: &str, more: &str) -> Option<Self> {
        use std::os::unix::fs::PermissionsExt as _;

        let program = program()?;
        let (_, host) = server.split_once('@').unwrap();
        let (host, _) = host.split_once('/').unwrap();
        let (host, to) = host.split_once(':').unwrap();
        let folder = tempfile::tempdir().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let place = folder.path().display();
        // Whoever has a session keeps it there.
        let size = if mode == "session" { 20 } else { 2 };
        let settings = format!(
            "[databases]\n* = host={host} port={to} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\nlogfile = {place}/log\npool_mode = {mode}\n\
             default_pool_size = {size}\n{more}\n"
        );
        let file = folder.path().join("ini");
        std::fs::write(&file, settings).unwrap();
        // It does not run as the superuser, and has to read and write there.
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let mut command = Command::new(program);
        if is_superuser(folder.path()) {
            command.args(["-u", "postgres"]);
        }
        let child = command
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let listens = (0..200).any(|_| {
            let _ = Command::new("sleep").arg("0.02").status();
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        let log = std::fs::read_to_string(folder.path().join("log"));
        assert!(listens, "pgbouncer does not start: {log:?}");
        Some(Self {
            child,
            port,
            _folder: folder,
        })
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

fn is_superuser(made: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(made).unwrap().uid() == 0
}
